//! scalegate: an HTTP gateway that turns a capacity sidecar into a scaling API one can trust.

pub mod domain;
pub mod simulator;
