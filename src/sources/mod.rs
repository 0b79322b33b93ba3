//! Metrics that the gateway fetches for policies.
//!
//! [`Sources`] is the way in: it is told the metrics of each policy and gives an [`Observation`] for each answer. It
//! decides when to ask; a [`Puller`] asks; what an answer means is decided by pure functions.
//!
//! These functions turn one answer into a number or into the reason why there is none. They must never guess:
//! an answer that is empty, not a number, cut off or ambiguous is [`NoValue`], never 0 and never the part of it that
//! could be read. Their sentences tell what kind of thing came and not what it was, because they are shown to callers
//! who may not be allowed to see what the gateway can reach.

mod aggregate;
mod connect;
mod document;
mod exposition;
mod hosts;
mod pace;
mod permission;
mod prometheus;
mod puller;
mod pulling;
mod rate;
mod reading;
mod request;
mod schedule;
mod secrets;
mod tls;

use crate::domain::policy::NoValue;

pub use aggregate::combine;
pub use document::number_at;
pub use exposition::{Dialect, Exposition, Malformed, TextSample};
pub use hosts::MetricHosts;
pub use permission::{SourceRules, problems_of};
pub use prometheus::{error_message, query_result};
pub use puller::{Answer, Failure, Fetch, MAX_ANSWER_BYTES, Puller};
pub use pulling::{Observation, Sources};
pub use rate::Rate;
pub use request::REQUEST_TIMEOUT;
pub use request::{Form, Request};
pub use schedule::{MAX_REQUESTS, MAX_REQUESTS_PER_HOST};
pub use secrets::{InvalidSecret, Secrets};

/// `value`, if it is finite.
fn finite(value: f64) -> Result<f64, NoValue> {
    if value.is_finite() {
        return Ok(value);
    }
    let name = match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "+Inf",
        _ => "-Inf",
    };
    Err(NoValue::invalid(format!("the value is {name}")))
}
