//! Why a backtest is refused.

use super::Span;
use crate::domain::policy::Name;

/// Why nothing can be tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTrial {
    /// There are no values of what is needed.
    #[error("there are no values of {0}, which says what is needed")]
    NoRecording(Name),
    /// The end is not after the beginning.
    #[error("there is no time between {} and {}", .0.from, .0.to)]
    NoTime(Span),
    /// No value of what is needed counts in that time.
    #[error("no value of {metric}, which says what is needed, counts between {} and {}", .span.from, .span.to)]
    NothingKnown {
        /// The metric.
        metric: Name,
        /// That time.
        span: Span,
    },
}
