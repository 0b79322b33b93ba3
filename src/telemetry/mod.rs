//! What the gateway tells about itself while it runs: its log, and traces for those who collect them.
//!
//! Neither may ever hold up work or change its outcome. What cannot be told in time is lost.

mod log;
mod traces;

pub use log::{FILTER_VARIABLE, FlushAtEnd, LogError, chain, complain, flush, init};
pub use traces::{RequestSpan, Traced, Traces, TracesError};
