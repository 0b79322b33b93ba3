//! Records as rows have them.
//!
//! A record that makes no sense is an error with the name of its row. It must never be skipped: its job may have a change
//! under way.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::error::Fault;

/// A row about a `what` that its first column names.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    what: &'static str,
    row: &'a Row,
}

impl<'a> Named<'a> {
    pub fn new(what: &'static str, row: &'a Row) -> Self {
        Self { what, row }
    }

    pub fn get<T: FromSql<'a>>(self, column: usize) -> Result<T, Fault> {
        self.row.try_get(column).map_err(|error| self.senseless(error))
    }

    /// The text in a column, parsed.
    pub fn parsed<T: FromStr<Err: Display>>(self, column: usize) -> Result<T, Fault> {
        self.get::<&str>(column)?.parse().map_err(|error| self.senseless(error))
    }

    /// The text in a column that may have none, parsed.
    pub fn parsed_or_null<T: FromStr<Err: Display>>(self, column: usize) -> Result<Option<T>, Fault> {
        let text: Option<&str> = self.get(column)?;
        text.map(str::parse).transpose().map_err(|error| self.senseless(error))
    }

    /// The record in JSON in a column.
    pub fn record<T: DeserializeOwned>(self, column: usize) -> Result<T, Fault> {
        serde_json::from_str(self.get(column)?).map_err(|error| self.senseless(error))
    }

    /// The record in JSON in a column that may have none.
    pub fn record_or_null<T: DeserializeOwned>(self, column: usize) -> Result<Option<T>, Fault> {
        let text: Option<&str> = self.get(column)?;
        text.map(serde_json::from_str).transpose().map_err(|error| self.senseless(error))
    }

    /// That the row makes no sense, for this reason.
    pub fn senseless(self, why: impl Display) -> Fault {
        let name = self.row.try_get::<_, &str>(0).map_or_else(
            |_| self.row.try_get::<_, i64>(0).map_or_else(|_| "without a name".to_owned(), |number| number.to_string()),
            str::to_owned,
        );
        Fault::Row(format!("{} {name}", self.what), why.to_string())
    }
}

/// The record as it is stored.
pub(super) fn json(record: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(record).map_err(|error| Fault::Row("a record to be written".to_owned(), error.to_string()))
}

/// A length or number as it is stored.
pub(super) fn stored(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A number that is never negative, as it is read.
pub(super) fn read_count(number: i64) -> u64 {
    number.try_into().unwrap_or(0)
}

/// The number in the only row of a table.
pub(super) fn only(rows: &[Row], what: &'static str) -> Result<u64, Fault> {
    let row = rows.first().ok_or_else(|| Fault::Row(what.to_owned(), "it is missing".to_owned()))?;
    Named::new(what, row).get(0).map(read_count)
}

/// That the database answered fewer statements than it was asked.
pub(super) fn short_answer() -> Fault {
    Fault::Row("an answer".to_owned(), "it is too short".to_owned())
}

/// The only number in an answer.
pub(super) fn count(rows: &[Row]) -> Result<i64, Fault> {
    Named::new("number", rows.first().ok_or_else(short_answer)?).get(0)
}
