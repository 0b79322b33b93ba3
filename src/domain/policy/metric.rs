//! The values of a metric, and what it means that there is none.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::time::Timestamp;

/// One value. Always finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was observed.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
}

/// Why a metric has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
#[schema(as = MetricMissingReason)]
pub enum Missing {
    /// There never was one.
    Never,
    /// The newest one is too old.
    Stale,
    /// What came was not a finite number, or negative where that makes no sense.
    Invalid,
    /// Several series came where one was meant.
    SeveralSeries,
    /// The source could not be read.
    SourceFailed,
}

/// What is known of a metric at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricState {
    /// It has a value.
    Fresh(Sample),
    /// It has none.
    Missing {
        /// Why.
        reason: Missing,
        /// The newest value, if there ever was one.
        last: Option<Sample>,
        /// Since when it has been missing; of a metric without any value, since when the policy has waited for one.
        since: Option<Timestamp>,
    },
}

/// The recent samples of one metric, oldest first, and the failure after the newest one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    samples: VecDeque<Sample>,
    failure: Option<(Timestamp, Missing)>,
}
