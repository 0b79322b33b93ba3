//! The engine's thread, its store and its end: what happens when the store fails, the sidecar hangs, or it is told to
//! stop.

mod failing_store;
mod fakes;
mod looks;
mod lost_lanes;
mod panics;
mod requests;
mod rig;
mod stopping;
