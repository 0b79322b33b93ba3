//! What can be wrong with a store, as far as callers act on it.

use std::error::Error;

/// Why a store did not do what it was asked for.
///
/// After any of them a caller of [`Store::commit`](super::Store::commit) does not own the lanes of the unit any more
/// and has to adopt them anew, and one of [`Store::record`](super::Store::record) still owns them; each variant says
/// what else.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operation failed. A unit may be durable all the same; nothing else was done. What it says is for the
    /// operator. Ask again, after a pause.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
    /// Another operation failed, perhaps for another caller, and the store was not read again since. A unit may be
    /// durable all the same, if it was tried together with one that failed. Ask again, after a pause.
    #[error("an earlier operation failed, and what is on the disk is uncertain until it was read again: {cause}")]
    Uncertain {
        /// [`StoreError::in_full`] of what failed.
        cause: String,
    },
    /// A lane of the unit belongs to another owner, or an earlier unit about it failed. The unit is not durable. To ask
    /// again with the same epoch is of no use.
    #[error("an earlier record of the resource was not written, or another process has taken the resource over")]
    NotOwned,
    /// The caller waited as long as it wanted to. Whether the unit is durable is not known, and it may become so later.
    #[error("the store does not answer in time")]
    Slow,
    /// Too many units without lanes wait already. The unit is not durable. Ask again, after a pause.
    #[error("too much waits to be written already")]
    Congested,
    /// Little room is left on the disk, and it is kept for jobs. What was observed is not written. Ask again later.
    #[error("little room is left on the disk, and it is kept for jobs")]
    Scarce,
    /// The store was closed, or has died. Whether the unit is durable is not known. No later attempt will succeed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What is wrong, and what the system says about it.
    pub fn in_full(&self) -> String {
        let source = self.source().map_or(String::new(), |source| format!(": {source}"));
        format!("{self}{source}")
    }

    /// What another caller is told that is refused because of this: the cause is worth as much to it.
    pub fn consequence(&self) -> Self {
        match self {
            Self::Uncertain { cause } => Self::Uncertain { cause: cause.clone() },
            failure => Self::Uncertain { cause: failure.in_full() },
        }
    }
}
