//! What can be observed: changes fed to readers, metrics and traces.

mod feed;
mod metrics;
mod traces;
