//! The guard of a gateway that a test puts together by itself.

use std::path::Path;
use std::sync::Arc;

use scalegate::access::Keyring;
use scalegate::api::{ConnectionLimits, Guard, KeyRule, Perimeter};
use scalegate::clock::Clock;
use scalegate::config::Access;
use scalegate::store::{Catalog, StoreWriter};

/// A guard and a perimeter as on a loopback address, with the keys in `directory`: everybody is admitted as long as there
/// are none.
pub fn on_loopback(
    directory: &Path,
    catalog: &Arc<dyn Catalog>,
    store: &StoreWriter,
    clock: Clock,
) -> (Guard, Perimeter) {
    let access = Access::default();
    let keyring = Keyring::open(Arc::clone(catalog), directory, None).expect("readable");
    let guard = Guard::new(
        KeyRule::new(&access, true),
        &access,
        ConnectionLimits::in_this_process(),
        keyring,
        store.client(),
        clock,
    );
    (guard, Perimeter::new(&access, true))
}
