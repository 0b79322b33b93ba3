//! The suite that every store passes, on this one.

use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;

use super::super::conformance::{House, suite};
use super::fixtures::{directory, shell};
use super::{SqliteJournal, SqliteReader, SqliteStore};
use crate::metrics::Metrics;
use crate::store::{Observer, Store, StoreReader};

struct DataDirectory {
    directory: tempfile::TempDir,
    open: Option<(Arc<SqliteStore>, JoinHandle<()>)>,
}

fn house() -> DataDirectory {
    DataDirectory { directory: directory(), open: None }
}

#[async_trait(?Send)]
impl House for DataDirectory {
    async fn open(&mut self) -> (Arc<dyn Store>, Arc<dyn StoreReader>) {
        if let Some((store, thread)) = self.open.take() {
            store.close();
            thread.join().expect("no panic");
        }
        let journal = SqliteJournal::open(self.directory.path()).expect("a store");
        let reader = Arc::new(SqliteReader::open(self.directory.path()).expect("readable"));
        let (store, inbox) = SqliteStore::channel();
        let observer = Observer::new(Arc::new(Metrics::new().expect("consistent")), None);
        let (store, thread) = (Arc::new(store), inbox.start(journal, observer).expect("a thread"));
        self.open = Some((Arc::clone(&store), thread));
        (store, reader)
    }

    async fn curse(&mut self, is_cursed: bool) {
        for table in ["lanes", "policy_states"] {
            let sql = match is_cursed {
                true => format!(
                    "CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN NEW.resource = 'cursed' \
                     BEGIN SELECT RAISE(ABORT, 'cursed'); END"
                ),
                false => format!("DROP TRIGGER refuse_{table}"),
            };
            shell(self.directory.path()).execute_batch(&sql).expect("changed");
        }
    }
}

suite!(Some(house()));
