//! The guard of a gateway that a test puts together by itself.

use std::sync::Arc;

use scalegate::access::Keyring;
use scalegate::api::{BrowserRules, ConnectionLimits, Guard, KeyRule};
use scalegate::clock::Clock;
use scalegate::config::Access;
use scalegate::store::{Store, StoreReader};

/// A guard and the rules for browsers as on a loopback address, with the keys that `reader` finds: all are admitted as long as there
/// are none.
pub async fn on_loopback(reader: &Arc<dyn StoreReader>, store: Arc<dyn Store>, clock: Clock) -> (Guard, BrowserRules) {
    let access = Access::default();
    let keyring = Keyring::open(Arc::clone(reader), None).await.expect("readable");
    let guard =
        Guard::new(KeyRule::new(&access, true), &access, ConnectionLimits::in_this_process(), keyring, store, clock);
    (guard, BrowserRules::new(&access, true))
}
