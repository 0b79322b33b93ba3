//! The tables, and how older ones become current ones.

use std::time::Duration;

use super::batch::query;
use super::connections::Connections;
use super::error::{Fault, PostgresError};

mod embedded {
    refinery::embed_migrations!("src/store/postgres/migrations");
}

/// Where it is noted what the tables have been through.
const HISTORY: &str = "scalegate_migrations";
/// Attempts to bring the tables up to date: another replica may do so at the same time, and then one of the two fails.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// The version this release reads and writes.
pub(super) fn version() -> i32 {
    embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

/// Brings the tables up to date, if they are not.
///
/// # Errors
/// If they are those of a later release, or cannot be read or changed.
pub(super) async fn migrate(connections: &Connections) -> Result<(), PostgresError> {
    let at = connections.at.clone();
    let mut failure = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let (found, known) = (found(connections).await.map_err(|fault| fault.explain(&at))?, version());
        match found {
            Some(found) if found == known => return Ok(()),
            Some(found) if found > known => return Err(PostgresError::NewerSchema { at, found, known }),
            _ => {}
        }
        let mut lent = connections.lend().await.map_err(|fault| fault.explain(&at))?;
        let mut runner = embedded::migrations::runner();
        runner.set_migration_table_name(HISTORY);
        match runner.run_async(lent.client()).await {
            Ok(_) => lent.give_back(),
            Err(error) => failure = in_words(&error),
        }
    }
    Err(PostgresError::Migration { at, why: failure })
}

/// The version of the tables that are there, if any are.
async fn found(connections: &Connections) -> Result<Option<i32>, Fault> {
    connections
        .run(async |db| {
            let sql = "SELECT to_regclass($1) IS NOT NULL";
            let is_there = query(db, sql, super::batch::parameters![HISTORY.to_owned()]).await?;
            if !is_there.first().is_some_and(|row| row.get(0)) {
                return Ok(None);
            }
            let latest = query(db, format!("SELECT max(version) FROM {HISTORY}"), Vec::new()).await?;
            Ok(latest.first().and_then(|row| row.get(0)))
        })
        .await
}

fn in_words(error: &refinery::Error) -> String {
    use std::error::Error as _;
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}
