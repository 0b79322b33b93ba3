//! The guard of a gateway that a test puts together by itself.

use std::sync::Arc;

use scalegate::access::Keyring;
use scalegate::api::{ConnectionLimits, Guard, KeyRule, Perimeter};
use scalegate::clock::Clock;
use scalegate::config::Access;
use scalegate::store::{Store, StoreReader};

/// A guard and a perimeter as on a loopback address, with the keys that `reader` finds: everybody is admitted as long as there
/// are none.
pub async fn on_loopback(reader: &Arc<dyn StoreReader>, store: Arc<dyn Store>, clock: Clock) -> (Guard, Perimeter) {
    let access = Access::default();
    let keyring = Keyring::open(Arc::clone(reader), None).await.expect("readable");
    let guard =
        Guard::new(KeyRule::new(&access, true), &access, ConnectionLimits::in_this_process(), keyring, store, clock);
    (guard, Perimeter::new(&access, true))
}
