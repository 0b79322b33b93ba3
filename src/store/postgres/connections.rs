//! Connections to the database: a bounded number for each purpose, opened when they are needed.
//!
//! A connection whose work was interrupted is closed and never lent again: its next answer may belong to that work, and a
//! transaction may still be open on it.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio::time::timeout;
use tokio_postgres::{Client, Row};

use super::address::Address;
use super::batch::Batch;
use super::error::{Fault, PostgresError};
use super::tls;

/// How long it may take to open a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// Why there is always a connection in [`Lent`].
const STILL_THERE: &str = "it is taken only when this is dropped";

/// See the module's documentation.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool,
    /// Where the database is, for messages: without a password.
    pub at: String,
    /// How long one piece of work may take.
    patience: Duration,
}

impl Connections {
    /// At most so many connections to the database at `address`; none is opened yet. Each piece of work may take as long
    /// as `patience`.
    ///
    /// # Errors
    /// If the system's certificates are needed and cannot be had.
    pub fn new(address: &Address, number: usize, patience: Duration) -> Result<Self, PostgresError> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config(), tls::connector(address.verifies())?, config);
        let timeouts =
            Timeouts { wait: Some(patience), create: Some(CONNECT_PATIENCE), recycle: Some(CONNECT_PATIENCE) };
        let pool = Pool::builder(manager).max_size(number).timeouts(timeouts).runtime(Runtime::Tokio1).build();
        let failed = |error: deadpool_postgres::BuildError| PostgresError::Address(error.to_string());
        Ok(Self { pool: pool.map_err(failed)?, at: address.to_string(), patience })
    }

    /// A connection. Must be called within the runtime that is to carry it.
    ///
    /// # Errors
    /// If none can be had.
    pub async fn lend(&self) -> Result<Lent, Fault> {
        Ok(Lent { connection: Some(self.pool.get().await?), is_whole: false })
    }

    /// What `work` finds on a connection.
    ///
    /// # Errors
    /// If there is none, or if it fails or takes too long.
    pub async fn run<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T, Fault>) -> Result<T, Fault> {
        let lent = self.lend().await?;
        let found = timeout(self.patience, work(&lent)).await.map_err(|_| Fault::Slow)??;
        lent.give_back();
        Ok(found)
    }

    /// The rows of one statement.
    ///
    /// # Errors
    /// As for [`Connections::run`].
    pub async fn query(&self, batch: Batch) -> Result<Vec<Vec<Row>>, Fault> {
        self.run(async |db| Ok(batch.run(db).await?)).await
    }

    /// Lends no more, and closes what is idle.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// A connection that is lent. Dropping it closes it.
pub(super) struct Lent {
    connection: Option<Object>,
    is_whole: bool,
}

impl Lent {
    /// The connection, for what changes how it works.
    pub fn client(&mut self) -> &mut Client {
        self.connection.as_deref_mut().map(DerefMut::deref_mut).expect(STILL_THERE)
    }

    /// It was seen through to the end: others may have it.
    pub fn give_back(mut self) {
        self.is_whole = true;
    }
}

impl Deref for Lent {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.connection.as_deref().map(Deref::deref).expect(STILL_THERE)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| !self.is_whole) {
            drop(Object::take(connection));
        }
    }
}
