//! The values of a metric, and what it means that there is none.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::time::Timestamp;
use super::document::MetricSpec;
use super::number_words::number;

/// How much is kept of what came in place of a value: what a server says about an error.
const MAX_DETAIL_CHARS: usize = 200;

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

/// Why a source gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoValue {
    /// The kind of reason.
    pub reason: Missing,
    /// What came instead, as a clause; empty if there is no more to say.
    pub detail: String,
}

impl NoValue {
    /// Something came that is not one usable number.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self { reason: Missing::Invalid, detail: detail.into() }
    }
}

impl From<Missing> for NoValue {
    fn from(reason: Missing) -> Self {
        Self { reason, detail: String::new() }
    }
}

/// The value of a metric at one moment, or why there is none.
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

impl MetricState {
    /// The value, if it has one.
    pub fn fresh(&self) -> Option<Sample> {
        match self {
            Self::Fresh(sample) => Some(*sample),
            Self::Missing { .. } => None,
        }
    }

    /// Since when it has been missing, if it is.
    pub fn missing_since(&self) -> Option<Timestamp> {
        match self {
            Self::Fresh(_) => None,
            Self::Missing { since, .. } => *since,
        }
    }

    /// Why it has no value, if it has none.
    pub fn missing_reason(&self) -> Option<Missing> {
        match self {
            Self::Fresh(_) => None,
            Self::Missing { reason, .. } => Some(*reason),
        }
    }
}

/// The recent samples of one metric, oldest first and at most one a second, and the failure after the newest one.
///
/// A source that fails says nothing about the value: the newest one counts until it is too old. A source that answers
/// with something else than one number says that the newest value is over: the metric is missing at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    samples: VecDeque<Sample>,
    failure: Option<Failure>,
}

/// What came since the newest sample in place of a value.
#[derive(Clone, Debug, PartialEq)]
struct Failure {
    /// The newest reason. What came instead is lost with the process: the next answer says it again.
    last: NoValue,
    /// When the first answer came that was not one number; none while the source could only not be read.
    refuted_since: Option<Timestamp>,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It is the newest one.
    Accepted,
    /// It is older than the newest one, or not finite.
    Ignored,
}

impl Series {
    /// Most time that samples are kept for: the longest time that a threshold must be breached.
    pub const MAX_SPAN: Duration = Duration::from_hours(1);

    /// A series without samples.
    pub const fn new() -> Self {
        Self { samples: VecDeque::new(), failure: None }
    }

    /// Adds a sample, and drops those that are more than `span` older, but for the newest of them: it was the value when
    /// the span began. Of one second the last sample counts.
    ///
    /// A value that is not finite is no sample: it makes the metric missing, as [`Missing::Invalid`].
    pub fn insert(&mut self, sample: Sample, span: Duration) -> Insertion {
        if !sample.value.is_finite() {
            self.fail(sample.at, NoValue::invalid("the value is not finite"));
            return Insertion::Ignored;
        }
        if let Some(newest) = self.newest() {
            if sample.at < newest.at {
                return Insertion::Ignored;
            }
            if second_of(sample.at) == second_of(newest.at) {
                self.samples.pop_back();
            }
        }
        self.samples.push_back(sample);
        // A value from before what refuted its like does not bring them back.
        self.failure.take_if(|failure| failure.refuted_since.is_none_or(|since| sample.at >= since));
        self.trim(sample.at - span.min(Self::MAX_SPAN));
        Insertion::Accepted
    }

    fn trim(&mut self, begin: Timestamp) {
        while self.samples.get(1).is_some_and(|second| second.at <= begin) {
            self.samples.pop_front();
        }
    }

    /// Notes that at `at` something came that was no value. What is older than the newest sample says nothing.
    pub fn fail(&mut self, at: Timestamp, no_value: NoValue) {
        if self.newest().is_some_and(|newest| at < newest.at) {
            return;
        }
        let before = self.failure.as_ref().and_then(|failure| failure.refuted_since);
        let NoValue { reason, detail } = no_value;
        let refuted_since = before.or_else(|| reason.refutes_the_value_before().then_some(at));
        let detail = detail.chars().take(MAX_DETAIL_CHARS).collect();
        self.failure = Some(Failure { last: NoValue { reason, detail }, refuted_since });
    }

    /// The newest sample.
    pub fn newest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// The samples observed at `since` or later, oldest first.
    pub fn observed_since(&self, since: Timestamp) -> impl DoubleEndedIterator<Item = Sample> + '_ {
        self.samples.iter().copied().filter(move |sample| sample.at >= since)
    }

    /// All samples that are kept, oldest first.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = Sample> + '_ {
        self.samples.iter().copied()
    }

    /// Since when and why the newest sample does not count, although it may be young.
    pub fn refuted(&self) -> Option<(Timestamp, Missing)> {
        self.failure.as_ref().and_then(|failure| Some((failure.refuted_since?, failure.last.reason)))
    }

    /// What came in place of a value, if that is known and is the `reason` why there is none.
    fn came_instead(&self, reason: Missing) -> Option<&str> {
        let last = self.failure.as_ref().map(|failure| &failure.last).filter(|last| last.reason == reason)?;
        Some(last.detail.as_str()).filter(|detail| !detail.is_empty())
    }

    /// Why the metric has no value, as a fragment that follows its name; nothing if `state` is one.
    pub fn lack(&self, state: MetricState) -> Option<String> {
        let MetricState::Missing { reason, last, .. } = state else { return None };
        let negative = last.filter(|last| reason == Missing::Invalid && last.value < 0.0);
        let came = self.came_instead(reason).map(str::to_owned);
        let came = came.or_else(|| negative.map(|last| format!("the value is {}", number(last.value))));
        let came = came.map_or(String::new(), |came| format!(" ({came})"));
        Some(format!("{}{came}", reason.as_fragment()))
    }

    /// The value of the metric at `now`, or why there is none. `waiting_since` is when the policy began to wait for a first value.
    pub fn state(&self, spec: &MetricSpec, waiting_since: Timestamp, now: Timestamp) -> MetricState {
        let Some(last) = self.newest() else {
            let reason = self.failure.as_ref().map_or(Missing::Never, |failure| failure.last.reason);
            return MetricState::Missing { reason, last: None, since: Some(waiting_since) };
        };
        let missing = |reason, since| MetricState::Missing { reason, last: Some(last), since: Some(since) };
        if let Some((since, reason)) = self.refuted() {
            return missing(reason, since);
        }
        if last.value < 0.0 && !spec.allow_negative {
            return missing(Missing::Invalid, last.at);
        }
        let stale_at = stale_at(last, spec);
        if now >= stale_at {
            let reason = self.failure.as_ref().map_or(Missing::Stale, |failure| failure.last.reason);
            return missing(reason, stale_at);
        }
        MetricState::Fresh(last)
    }
}

/// When a fresh value becomes too old, if nothing comes after it: a timer.
pub fn stale_at(sample: Sample, spec: &MetricSpec) -> Timestamp {
    sample.at + spec.max_age + Duration::from_millis(1)
}

fn second_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}

impl Missing {
    /// Whether it means that the value before it is over, not only that no other is known.
    pub const fn refutes_the_value_before(self) -> bool {
        match self {
            Self::Invalid | Self::SeveralSeries => true,
            Self::Never | Self::Stale | Self::SourceFailed => false,
        }
    }

    /// The reason as a fragment that follows the name of the metric.
    const fn as_fragment(self) -> &'static str {
        match self {
            Self::Never => "has no value yet",
            Self::Stale => "is too old",
            Self::Invalid => "has no usable value",
            Self::SeveralSeries => "is several series",
            Self::SourceFailed => "cannot be read",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::domain::policy::Source;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn spec() -> MetricSpec {
        MetricSpec {
            source: Source::Push,
            interval: Duration::from_secs(30),
            max_age: Duration::from_mins(5),
            window: Duration::ZERO,
            allow_negative: false,
        }
    }

    fn sample(seconds: u64, value: f64) -> Sample {
        Sample { at: NOW + Duration::from_secs(seconds), value }
    }

    fn series(samples: &[Sample]) -> Series {
        let mut series = Series::default();
        for sample in samples {
            assert_eq!(series.insert(*sample, Duration::from_mins(2)), Insertion::Accepted);
        }
        series
    }

    fn reason(series: &Series, spec: &MetricSpec, seconds: u64) -> Option<(Missing, Option<Timestamp>)> {
        match series.state(spec, NOW, NOW + Duration::from_secs(seconds)) {
            MetricState::Fresh(_) => None,
            MetricState::Missing { reason, since, .. } => Some((reason, since)),
        }
    }

    #[test]
    fn of_one_second_the_last_sample_counts_and_older_ones_are_ignored() {
        let mut series = series(&[sample(0, 1.0)]);
        let late = Sample { at: NOW + Duration::from_millis(999), value: 2.0 };
        assert_eq!(series.insert(late, Duration::ZERO), Insertion::Accepted);
        assert_eq!(series.samples().collect::<Vec<_>>(), [late]);
        assert_eq!(series.insert(sample(0, 3.0), Duration::ZERO), Insertion::Ignored);
        assert_eq!(series.newest(), Some(late));
    }

    #[test]
    fn samples_are_kept_for_the_span_and_the_one_before_it() {
        let all: Vec<Sample> = (0..400).map(|second| sample(second, 1.0)).collect();
        let kept: Vec<Sample> = series(&all).samples().collect();
        assert_eq!((kept.first(), kept.len()), (Some(&sample(279, 1.0)), 121));
        let sparse = series(&[sample(0, 1.0), sample(100, 2.0), sample(290, 3.0), sample(300, 4.0)]);
        let kept: Vec<f64> = sparse.samples().map(|sample| sample.value).collect();
        assert_eq!(kept, [2.0, 3.0, 4.0]);
    }

    #[test]
    fn no_span_keeps_more_than_an_hour_of_seconds() {
        let mut series = Series::default();
        for second in 0..10_000 {
            series.insert(sample(second, 1.0), Duration::from_hours(25));
        }
        assert_eq!(series.samples().count(), 3601);
    }

    #[test]
    fn a_metric_is_missing_with_its_reason_and_never_a_number() {
        let (fresh, empty) = (series(&[sample(0, 7.0)]), Series::default());
        let with = |series: &Series, failures: &[(u64, Missing)]| {
            let mut series = series.clone();
            for (seconds, reason) in failures {
                series.fail(NOW + Duration::from_secs(*seconds), (*reason).into());
            }
            series
        };
        let at = |seconds| Some(NOW + Duration::from_secs(seconds));
        let stale = Some(NOW + Duration::from_mins(5) + Duration::from_millis(1));
        for (series, seconds, expected, why) in [
            (empty.clone(), 9, Some((Missing::Never, at(0))), "no value ever"),
            (with(&empty, &[(3, Missing::SourceFailed)]), 9, Some((Missing::SourceFailed, at(0))), "not even one"),
            (fresh.clone(), 300, None, "as old as it may be"),
            (fresh.clone(), 301, Some((Missing::Stale, stale)), "too old"),
            (with(&fresh, &[(9, Missing::SourceFailed)]), 300, None, "a failed read says nothing about the value"),
            (with(&fresh, &[(9, Missing::SourceFailed)]), 301, Some((Missing::SourceFailed, stale)), "until too old"),
            (with(&fresh, &[(9, Missing::Invalid)]), 9, Some((Missing::Invalid, at(9))), "null, NaN, an empty result"),
            (with(&fresh, &[(9, Missing::SeveralSeries)]), 9, Some((Missing::SeveralSeries, at(9))), "two series"),
            (
                with(&fresh, &[(9, Missing::Invalid), (12, Missing::SourceFailed)]),
                12,
                Some((Missing::SourceFailed, at(9))),
                "a failed read does not bring the value back",
            ),
        ] {
            assert_eq!(reason(&series, &spec(), seconds), expected, "{why}");
        }
    }

    #[test]
    fn a_value_ends_a_failure_and_one_that_is_no_number_begins_one() {
        let mut series = series(&[sample(0, 7.0)]);
        let nan = Sample { at: NOW + Duration::from_secs(5), value: f64::NAN };
        assert_eq!(series.insert(nan, Duration::ZERO), Insertion::Ignored);
        assert_eq!(reason(&series, &spec(), 5).map(|(reason, _)| reason), Some(Missing::Invalid));
        series.insert(sample(6, 8.0), Duration::ZERO);
        assert_eq!(reason(&series, &spec(), 6), None);
        series.fail(NOW + Duration::from_secs(5), Missing::Invalid.into());
        assert_eq!(reason(&series, &spec(), 6), None, "it is older than the value");
        series.fail(NOW + Duration::from_secs(8), Missing::Invalid.into());
        assert_eq!(series.insert(sample(7, 9.0), Duration::ZERO), Insertion::Accepted);
        assert_eq!(reason(&series, &spec(), 9).map(|(reason, _)| reason), Some(Missing::Invalid), "the value is older");
        series.insert(sample(8, 9.0), Duration::ZERO);
        assert_eq!(reason(&series, &spec(), 9), None);
    }

    #[test]
    fn a_lack_says_what_came_in_place_of_a_value() {
        let said = |series: &Series, seconds| {
            let state = series.state(&spec(), NOW, NOW + Duration::from_secs(seconds));
            series.lack(state)
        };
        let after = |value, failures: &[NoValue]| {
            let mut series = series(&[sample(0, value)]);
            failures.iter().for_each(|failure| series.fail(NOW + Duration::from_secs(1), failure.clone()));
            series
        };
        let failed = NoValue { reason: Missing::SourceFailed, detail: "status 503".into() };
        let empty = NoValue::invalid("the answer is empty");
        for (series, seconds, expected) in [
            (Series::new(), 0, Some("has no value yet")),
            (after(7.0, &[]), 0, None),
            (after(7.0, &[]), 301, Some("is too old")),
            (after(-5.0, &[]), 0, Some("has no usable value (the value is -5)")),
            (after(7.0, &[Missing::Invalid.into()]), 1, Some("has no usable value")),
            (after(7.0, from_ref(&empty)), 1, Some("has no usable value (the answer is empty)")),
            (after(7.0, from_ref(&failed)), 1, None),
            (after(7.0, from_ref(&failed)), 301, Some("cannot be read (status 503)")),
            (after(7.0, &[failed, empty]), 301, Some("has no usable value (the answer is empty)")),
        ] {
            assert_eq!(said(&series, seconds).as_deref(), expected, "{series:?} after {seconds} s");
        }
        let long = after(7.0, &[NoValue::invalid("x".repeat(1000))]);
        assert!(said(&long, 1).is_some_and(|said| said.len() < 250));
    }

    #[test]
    fn a_negative_value_counts_only_where_it_makes_sense() {
        let series = series(&[sample(0, -2.0)]);
        assert_eq!(reason(&series, &spec(), 1).map(|(reason, _)| reason), Some(Missing::Invalid));
        assert_eq!(reason(&series, &MetricSpec { allow_negative: true, ..spec() }, 1), None);
    }
}
