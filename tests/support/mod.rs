//! What several test programs need.

#![allow(dead_code, reason = "each test program uses its own part")]

pub mod dice;
pub mod events;
pub mod failing_disk;
pub mod gateway;
pub mod guard;
pub mod preload;
pub mod sidecar;
pub mod world;
