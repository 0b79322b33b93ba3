//! The integration tests, one module for each subject. They are one binary, since every test binary links the whole
//! gateway.

#[path = "../support/mod.rs"]
mod support;

mod api;
mod cli;
mod engine;
mod repository;
mod sources;
mod store;
mod telemetry;
