//! What can be wrong with a PostgreSQL database and the store in it, in words for the operator: what it is, and what to do
//! now.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// What can be wrong with a database and the store in it.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// `--store` makes no sense.
    #[error("the store's address is no good: {0}")]
    Address(String),
    /// No connection can be had.
    #[error("the database {at} cannot be reached: {why}")]
    Unreachable {
        /// Where it should be.
        at: String,
        /// What the system says.
        why: String,
    },
    /// It does not answer.
    #[error("the database {at} does not answer: look at its load, its locks and the network")]
    Slow {
        /// Where it is.
        at: String,
    },
    /// An operation failed.
    #[error("the database {at} failed: {}", in_words(source))]
    Database {
        /// Where it is.
        at: String,
        /// What it says.
        source: tokio_postgres::Error,
    },
    /// What is in a row makes no sense.
    #[error("the database {at} is corrupt ({detail}): restore a backup, or correct the row")]
    Corrupt {
        /// Where it is.
        at: String,
        /// The row, and what is wrong with it.
        detail: String,
    },
    /// The tables cannot be made or changed.
    #[error("the tables of the database {at} cannot be brought up to date: {why}")]
    Migration {
        /// Where it is.
        at: String,
        /// Why.
        why: String,
    },
    /// The tables are those of a later release.
    #[error(
        "the tables of the database {at} have version {found}, but this release knows only versions up to {known}: run the \
         release that made them, or a later one"
    )]
    NewerSchema {
        /// Where it is.
        at: String,
        /// Their version.
        found: i32,
        /// The latest version known.
        known: i32,
    },
}

impl From<PostgresError> for StoreError {
    fn from(error: PostgresError) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Why something was not done, before it is said where.
#[derive(Debug)]
pub(super) enum Fault {
    /// No connection could be had.
    Pool(PoolError),
    /// The database refused a statement, or the connection broke.
    Statement(tokio_postgres::Error),
    /// It took too long.
    Slow,
    /// This row makes no sense, for that reason.
    Row(String, String),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Statement(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl Fault {
    /// The error for the operator of the database `at` that place.
    pub fn explain(self, at: &str) -> PostgresError {
        let at = at.to_owned();
        match self {
            Self::Pool(PoolError::Backend(error)) => PostgresError::Unreachable { at, why: in_words(&error) },
            Self::Pool(PoolError::Timeout(_)) | Self::Slow => PostgresError::Slow { at },
            Self::Pool(error) => PostgresError::Unreachable { at, why: error.to_string() },
            Self::Statement(source) => PostgresError::Database { at, source },
            Self::Row(row, why) => PostgresError::Corrupt { at, detail: format!("{row}: {why}") },
        }
    }

    /// Whether the database itself refused a statement, and nothing but it: the connection and the other statements are
    /// not to blame.
    pub fn is_refusal(&self) -> bool {
        let Self::Statement(error) = self else { return false };
        // The class 57 says that the database ends the connection or stops; 25P03 that the transaction was idle for too
        // long.
        let ends = |state: &SqlState| {
            state.code().starts_with("57") || *state == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        };
        !error.is_closed() && error.code().is_some_and(|state| !ends(state))
    }
}

/// What the database or the system says.
fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        let remedy = match *said.code() {
            SqlState::DISK_FULL => "; make room on its disk",
            SqlState::TOO_MANY_CONNECTIONS => "; raise its max_connections, or run fewer replicas",
            SqlState::READ_ONLY_SQL_TRANSACTION => "; it is a standby: name the primary",
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => "; check user and password",
            SqlState::INSUFFICIENT_PRIVILEGE => "; let this user make and change tables in it",
            _ => "",
        };
        return format!("{} (SQLSTATE {}){remedy}", said.message(), said.code().code());
    }
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
