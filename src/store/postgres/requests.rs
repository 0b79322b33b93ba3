//! What only this store is asked for.

use tokio::sync::oneshot;

use super::adopt::Taken;
use crate::store::Which;
use crate::store::requests::Reply;

/// Beside what every store is asked for.
pub(super) enum Own {
    Adopt(Which, Reply<Taken>),
    /// The replica was taken for dead under this id.
    Lost(String),
    Close(oneshot::Sender<()>),
}
