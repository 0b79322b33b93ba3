//! Statements that are sent together, so that all of them take one trip to the database.
//!
//! Each is sent without a name: a pooler may hand every transaction to another connection, where a prepared statement
//! would not be. It must never be given a statement whose text depends on the one before it.
//!
//! Rejected: one text with several statements, because such a text has no parameters.

use std::borrow::Cow;

use futures_util::poll;
use std::task::Poll;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

/// A value for a statement, with the type that the database is told.
pub(super) type Parameter = (Box<dyn ToSql + Send + Sync>, Type);

/// What can be a parameter.
pub(super) trait Typed: ToSql + Send + Sync + Sized + 'static {
    fn type_of() -> Type;

    fn parameter(self) -> Parameter {
        (Box::new(self), Self::type_of())
    }
}

macro_rules! typed {
    ($($rust:ty => $one:ident, $many:ident;)*) => {
        $(impl Typed for $rust {
            fn type_of() -> Type {
                Type::$one
            }
        }
        impl Typed for Option<$rust> {
            fn type_of() -> Type {
                Type::$one
            }
        }
        impl Typed for Vec<$rust> {
            fn type_of() -> Type {
                Type::$many
            }
        }
        impl Typed for Option<Vec<$rust>> {
            fn type_of() -> Type {
                Type::$many
            }
        }
        impl Typed for Vec<Option<$rust>> {
            fn type_of() -> Type {
                Type::$many
            }
        })*
    };
}
typed! {
    String => TEXT, TEXT_ARRAY;
    i64 => INT8, INT8_ARRAY;
    f64 => FLOAT8, FLOAT8_ARRAY;
    bool => BOOL, BOOL_ARRAY;
    Vec<u8> => BYTEA, BYTEA_ARRAY;
}

/// The parameters of a statement.
macro_rules! parameters {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::store::postgres::batch::Typed::parameter($value)),*]
    };
}
pub(super) use parameters;

/// A statement and its parameters.
pub(super) struct Statement {
    sql: Cow<'static, str>,
    parameters: Vec<Parameter>,
}

impl Statement {
    pub fn new(sql: impl Into<Cow<'static, str>>, parameters: Vec<Parameter>) -> Self {
        Self { sql: sql.into(), parameters }
    }
}

/// Statements in their order.
#[derive(Default)]
pub(super) struct Batch(Vec<Statement>);

impl Batch {
    pub fn add(&mut self, sql: impl Into<Cow<'static, str>>, parameters: Vec<Parameter>) {
        self.0.push(Statement::new(sql, parameters));
    }

    /// Sends all of them, and then waits for their rows.
    ///
    /// # Errors
    /// That of the first one that fails.
    pub async fn run(&self, db: &Client) -> Result<Vec<Vec<Row>>, Error> {
        let references: Vec<Vec<(&(dyn ToSql + Sync), Type)>> = self.0.iter().map(references).collect();
        let sending = self.0.iter().zip(&references).map(|(statement, values)| db.query_typed(&statement.sql, values));
        let mut sending: Vec<_> = sending.map(Box::pin).collect();
        // A statement is sent when its future is polled first, and they have to be sent in their order.
        let mut early = Vec::with_capacity(sending.len());
        for answer in &mut sending {
            early.push(match poll!(answer.as_mut()) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            });
        }
        let mut answers = Vec::with_capacity(sending.len());
        for (waiting, early) in sending.into_iter().zip(early) {
            answers.push(match early {
                Some(answer) => answer?,
                None => waiting.await?,
            });
        }
        Ok(answers)
    }
}

fn references(statement: &Statement) -> Vec<(&(dyn ToSql + Sync), Type)> {
    statement.parameters.iter().map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone())).collect()
}

/// The rows of one statement.
///
/// # Errors
/// If it fails.
pub(super) async fn query(
    db: &Client,
    sql: impl Into<Cow<'static, str>>,
    parameters: Vec<Parameter>,
) -> Result<Vec<Row>, Error> {
    let statement = Statement::new(sql, parameters);
    db.query_typed(&statement.sql, &references(&statement)).await
}
