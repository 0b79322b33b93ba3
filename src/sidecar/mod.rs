//! The capacity sidecar as scalegate sees it.
//!
//! The trait says what is needed, [`HttpSidecar`] is the only place that knows of HTTP and names its client. It must
//! never retry a change, follow a redirect, or send a change over a connection that was used before: each of these
//! could turn "not sent" into "perhaps sent", or once into twice.
//!
#![doc = include_str!("faults.md")]

mod answer;
mod http;
mod metered;

use crate::domain::{Alias, Capacity, ChangeAnswer, GroupedAnswer, Move, Origin, ReadFailure, Status, Timestamp};

pub use answer::{interpret_change, interpret_grouped_change, interpret_reading};
pub use http::{HttpSidecar, REQUEST_TIMEOUT};
pub use metered::MeteredSidecar;

/// A reading as the sidecar gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawReading {
    /// Status.
    pub status: Status,
    /// Capacity.
    pub capacity: Capacity,
    /// `lastObservedTimestamp` by the wall's clock, if there is one.
    pub stamp: Option<Timestamp>,
}

/// The calls to the sidecar. Their futures need not be `Send`: the engine runs on one thread.
///
/// Each says on whose behalf it is made. That changes nothing about the call; it goes along for those who follow
/// traces.
pub trait Sidecar: 'static {
    /// Reads the capacity of `resource`.
    fn read(&self, resource: &Alias, origin: &Origin) -> impl Future<Output = Result<RawReading, ReadFailure>>;

    /// Reads the capacity of `resource` for a caller who only looks; must not hold up [`Sidecar::read`].
    fn observe(&self, resource: &Alias, origin: &Origin) -> impl Future<Output = Result<RawReading, ReadFailure>>;

    /// Adds or removes units, once. The request is on its way within [`MAX_DISPATCH`](crate::domain::MAX_DISPATCH), or
    /// the answer is that nothing was sent.
    fn change(&self, resource: &Alias, change: Move, origin: &Origin) -> impl Future<Output = ChangeAnswer>;

    /// Adds units to several resources, or removes some, once and in one request. Otherwise as [`Sidecar::change`].
    fn change_together(&self, changes: &[(Alias, Move)], origin: &Origin) -> impl Future<Output = GroupedAnswer>;
}
