//! What the gateway tells about itself while it runs: its log, and traces for a collector.
//!
//! Neither may ever hold up work or change its outcome. What cannot be delivered in time is dropped.

mod log;
mod traces;

pub use log::{FILTER_VARIABLE, FlushAtEnd, LogError, chain, complain, flush, init};
pub use traces::{RequestSpan, Traced, Traces, TracesError};
