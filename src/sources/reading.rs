//! What one metric makes of an answer.

use std::collections::BTreeMap;

use crate::domain::Timestamp;
use crate::domain::policy::{MetricSpec, Missing, NoValue, Source, number};

use super::exposition::{Dialect, Exposition};
use super::puller::Answer;
use super::rate::Rate;
use super::request::Form;
use super::{combine, error_message, number_at, query_result};

/// An answer whose status allows to look into it, read once for all metrics.
pub enum Content<'a> {
    /// A text of metrics, or why it is none.
    Exposition(Result<Exposition<'a>, NoValue>),
    /// Any other.
    Answer(&'a Answer),
}

impl<'a> Content<'a> {
    /// The content of `answer`, which should be of `form`.
    ///
    /// # Errors
    /// If its status says that there is none.
    pub fn of(answer: &'a Answer, form: Form) -> Result<Self, NoValue> {
        let failed = |detail| Err(NoValue { reason: Missing::SourceFailed, detail });
        match answer.status {
            200 => {}
            204 => return Err(NoValue::invalid("the answer is empty, with status 204")),
            status @ 300..=399 => {
                let host = answer.location_host.as_deref().unwrap_or("nowhere");
                return failed(format!("status {status} redirects to {host}, which is not followed"));
            }
            status => {
                let message = if form == Form::Query { error_message(&answer.body) } else { None };
                return failed(
                    message.map_or(format!("status {status}"), |message| format!("status {status}: {message}")),
                );
            }
        }
        Ok(match form {
            Form::Document | Form::Query => Self::Answer(answer),
            Form::Exposition => {
                let dialect = Dialect::of(answer.content_type.as_deref());
                Self::Exposition(Exposition::read(&answer.body, dialect, answer.is_whole))
            }
        })
    }
}

/// How one metric reads answers, with what it remembers of the last one.
#[derive(Debug)]
pub struct Reader {
    spec: MetricSpec,
    rate: Option<Rate>,
}

impl Reader {
    /// That of the metric `spec`.
    pub fn new(spec: MetricSpec) -> Self {
        let counts = matches!(spec.source, Source::Scrape { rate: true, .. });
        // Equal requests are made at the shortest of their intervals; a rate keeps to its own.
        let rate = counts.then(|| Rate::new(spec.interval * 3 / 4, spec.max_age.max(spec.interval * 2)));
        Self { spec, rate }
    }

    /// The metric.
    pub fn spec(&self) -> &MetricSpec {
        &self.spec
    }

    /// What `content` says, which was asked for at `asked`. `None` for a counter whose rate cannot be told yet.
    /// `from_wall` gives the gateway's time of a timestamp.
    pub fn read(
        &mut self,
        content: &Content<'_>,
        asked: Timestamp,
        from_wall: impl Fn(Timestamp) -> Timestamp,
    ) -> Option<Result<(Timestamp, f64), NoValue>> {
        let reading = self.value_in(content, |stamp| stamp.map_or(asked, |stamp| from_wall(stamp).min(asked)))?;
        Some(reading.and_then(|(at, value)| match value < 0.0 && !self.spec.allow_negative {
            true => Err(NoValue::invalid(format!("the value is {}, and none below 0 is allowed", number(value)))),
            false => Ok((at, value)),
        }))
    }

    fn value_in(
        &mut self,
        content: &Content<'_>,
        observed_at: impl Fn(Option<Timestamp>) -> Timestamp,
    ) -> Option<Result<(Timestamp, f64), NoValue>> {
        let at_once = |value: Result<f64, NoValue>| Some(value.map(|value| (observed_at(None), value)));
        match (&self.spec.source, content) {
            (Source::Http { pointer, .. }, Content::Answer(answer)) => {
                at_once(number_at(&answer.body, pointer, answer.is_whole))
            }
            (Source::Prometheus { aggregate, .. }, Content::Answer(answer)) => {
                at_once(query_result(&answer.body, *aggregate))
            }
            (Source::Scrape { metric, labels, aggregate, .. }, Content::Exposition(exposition)) => {
                let selected = exposition.as_ref().map_err(Clone::clone).and_then(|text| match aggregate {
                    // A sum of some is none of all. A series by itself is whole, as its line is.
                    Some(_) if text.may_lack_lines() => Err(NoValue::invalid(
                        "the answer does not say where it ends, so series may be missing: it has neither a length nor chunks",
                    )),
                    _ => text.select(metric, labels),
                });
                let selected = match selected {
                    Ok(selected) => selected,
                    Err(error) => return Some(Err(error)),
                };
                let at = observed_at(selected.values().filter_map(|sample| sample.stamp).min());
                let counters: BTreeMap<String, f64> =
                    selected.into_iter().map(|(series, sample)| (series, sample.value)).collect();
                let values: Vec<f64> = counters.values().copied().collect();
                let value = combine(&values, *aggregate, metric);
                let Some(rate) = &mut self.rate else { return Some(value.map(|value| (at, value))) };
                // What cannot be counted together has no rate together.
                if let Err(error) = value {
                    return Some(Err(error));
                }
                rate.next(at, counters).map(|rates| combine(&rates, *aggregate, metric).map(|rate| (at, rate)))
            }
            (Source::Push | Source::Http { .. } | Source::Scrape { .. } | Source::Prometheus { .. }, _) => None,
        }
    }
}

#[cfg(test)]
mod tests;
