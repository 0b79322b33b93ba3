//! A simulated capacity sidecar: what `scalegate simulate` and `scalegate demo` run, and what the tests referee with.
//!
//! The real sidecar exists only inside a deployed service, where no test can make it drop an answer. Here every
//! trait a sidecar is known or suspected to have is a field of [`Behaviour`], from slow provisioning to stale readings
//! to connections cut after the change was made.
//!
//! [`Model`] decides and [`Simulator`] only carries: the model is synchronous and is told the time, so one and the same
//! model serves real sockets and tests in which hours pass in milliseconds. A server that slept its way through
//! provisioning would have been simpler, and would have served only the first.
//!
//! It must never import anything of the gateway's beyond `domain`'s vocabulary, least of all its idea of when a reading
//! is usable or a change is done: a referee that shares the player's beliefs cannot catch him out. For the same reason
//! it takes whatever it is sent, too early and too often included, and keeps a log of it.

mod answer;
mod behaviour;
mod model;
mod record;
mod resource;
mod rng;
mod server;

pub use answer::{Answer, Reply};
pub use behaviour::{Behaviour, Fault, FaultRates, Faults, OutsideBounds, TimestampMode};
pub use model::{MAX_PENDING, MAX_RESOURCES, Model};
pub use record::{Record, RecordKind};
pub use rng::SplitMix64;
pub use server::{RunningSimulator, SharedModel, Simulator};
