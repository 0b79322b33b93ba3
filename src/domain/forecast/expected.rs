//! What patterns and predictions say of one time.

/// What is expected of a metric at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// As often above as below.
    pub middle: f64,
    /// Up to where it stays with the probability that was asked for.
    pub upper: f64,
}
