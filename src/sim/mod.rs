//! A gateway without a platform: virtual time, a simulated sidecar, and the engine's core between them.
//!
//! [`sidecar`] is the simulated sidecar, which also answers over real sockets (`scalegate simulate`, `scalegate demo`).
//! [`Machine`] runs the engine's core in virtual time over a model [`Disk`], so that hours of scaling take milliseconds and
//! every run is the same; [`SidecarLink`] connects the two.
//!
//! It must never decide anything about scaling: the rules are those of [`crate::engine::Core`] and [`crate::domain`], which run
//! here as they run live. Rejected: the driver of the engine on tokio's paused clock, because a crash could not be put between
//! any two events, and a run would depend on the order in which tasks are polled.

mod disk;
mod link;
mod machine;
mod policies;
pub mod sidecar;

use std::time::Duration;

pub use disk::{Disk, Restored};
pub use link::SidecarLink;
pub use machine::{BEGIN, CommitFailure, Machine, Surroundings, shifted};

/// Something together with the time that it takes to arrive.
pub type Delayed<T> = (Duration, T);
