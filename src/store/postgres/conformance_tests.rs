//! The suite that every store passes, on this one.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::conformance::{House, suite};
use super::server::{Server, connect};
use super::{Address, PostgresReader, PostgresStore, ReplicaFacts};
use crate::domain::LeaseTerms;
use crate::metrics::Metrics;
use crate::store::fixtures::NOW;
use crate::store::{Observer, Store, StoreReader};

struct Database {
    address: Address,
    open: Option<Arc<PostgresStore>>,
}

#[async_trait(?Send)]
impl House for Database {
    async fn open(&mut self) -> (Arc<dyn Store>, Arc<dyn StoreReader>) {
        if let Some(store) = self.open.take() {
            store.close().await;
        }
        let observer = Observer::new(Arc::new(Metrics::new().expect("consistent")), None);
        let facts = ReplicaFacts { since: NOW, version: "test".into(), configuration: String::new() };
        let store = PostgresStore::open(&self.address, LeaseTerms::DEFAULT, facts, observer).await.expect("a store");
        let (store, reader) = (Arc::new(store), PostgresReader::open(&self.address).expect("readable"));
        self.open = Some(Arc::clone(&store));
        (store, Arc::new(reader))
    }

    async fn curse(&mut self, is_cursed: bool) {
        let db = connect(&self.address).await;
        for table in ["lanes", "policy_states"] {
            let sql = match is_cursed {
                true => {
                    format!("ALTER TABLE {table} ADD CONSTRAINT refuse_{table} CHECK (resource <> 'cursed') NOT VALID")
                }
                false => format!("ALTER TABLE {table} DROP CONSTRAINT refuse_{table}"),
            };
            db.batch_execute(&sql).await.expect("changed");
        }
    }
}

async fn house() -> Option<Database> {
    let address = Server::get()?.database().await;
    Some(Database { address, open: None })
}

suite!(house().await);
