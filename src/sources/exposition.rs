//! The text format of Prometheus and OpenMetrics, as workers and exporters serve it.
//!
//! Every sample line is one series; what belongs together as a histogram or a summary does not matter here, so
//! `# TYPE` and `# HELP` are skipped. One line that is not in the format spoils the whole answer: a reader that skips
//! it would take the rest of a sum for the sum.
//!
//! Rejected: the crates for this format. Of the two there are, one skips lines that it does not understand, splits
//! labels at commas inside their values and leaves `_sum` and `_count` out; the other has a licence that a permissive
//! program cannot take in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Timestamp;

use crate::domain::policy::NoValue;

/// The end of the year 9999 in seconds: later timestamps are mistakes.
const LATEST_SECONDS: f64 = 253_402_300_799.0;

/// Which of the two formats a text is in. They differ in the unit of timestamps and in whether the end is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Timestamps in milliseconds.
    Prometheus,
    /// Timestamps in seconds, and `# EOF` at the end.
    OpenMetrics,
}

impl Dialect {
    /// That of an answer with this content type. Servers that tell none mean Prometheus's format.
    pub fn of(content_type: Option<&str>) -> Self {
        let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// A line that is not in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not in the text format of Prometheus: {why}")]
pub struct Malformed {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it, as a clause.
    pub why: &'static str,
}

/// The name of a label, and its value.
type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// One sample: a series and its value, which need not be finite.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSample<'a> {
    /// The name of the metric.
    pub name: Cow<'a, str>,
    /// Labels and their values, in the order of the text.
    pub labels: Vec<Label<'a>>,
    /// The value.
    pub value: f64,
    /// When the value was observed, by the clock of the source, if it says so.
    pub stamp: Option<Timestamp>,
}

impl TextSample<'_> {
    /// A text that is equal for equal labels, whatever their order.
    pub fn series(&self) -> String {
        let labels: BTreeSet<_> = self.labels.iter().collect();
        format!("{labels:?}")
    }

    /// Whether it is a series of `metric` with all of `labels`. A label that it does not have is an empty one.
    fn is_of(&self, metric: &str, labels: &BTreeMap<String, String>) -> bool {
        let value_of =
            |wanted: &str| self.labels.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value);
        self.name == metric && labels.iter().all(|(name, value)| value_of(name) == value)
    }
}

/// A whole text.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposition<'a> {
    samples: Vec<TextSample<'a>>,
    may_lack_lines: bool,
}

impl<'a> Exposition<'a> {
    /// Reads `body`. `is_whole` says whether its end is certain: a value in a last line that was cut off looks like another
    /// value.
    ///
    /// # Errors
    /// If any line is not in the format, or the end may be missing.
    pub fn read(body: &'a [u8], dialect: Dialect, is_whole: bool) -> Result<Self, NoValue> {
        let text = std::str::from_utf8(body).map_err(|_| NoValue::invalid("the answer is not a text in UTF-8"))?;
        if text.trim().is_empty() {
            return Err(NoValue::invalid("the answer is empty"));
        }
        if text.trim_start().starts_with('<') {
            return Err(NoValue::invalid("the answer is HTML or XML instead of a text of metrics"));
        }
        if dialect == Dialect::Prometheus && !is_whole && !text.ends_with('\n') {
            return Err(NoValue::invalid("the last line of the answer has no end: it may be cut off"));
        }
        let samples = parse(text, dialect).map_err(|error| NoValue::invalid(error.to_string()))?;
        Ok(Self { samples, may_lack_lines: dialect == Dialect::Prometheus && !is_whole })
    }

    /// Whether lines may be missing at the end: the text marks none, and neither did the answer.
    pub fn may_lack_lines(&self) -> bool {
        self.may_lack_lines
    }

    /// The series of `metric` that have all of `labels`.
    ///
    /// # Errors
    /// If one of them is there twice: which of the two counts cannot be told.
    pub fn select(
        &self,
        metric: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, &TextSample<'a>>, NoValue> {
        let mut selected = BTreeMap::new();
        for sample in self.samples.iter().filter(|sample| sample.is_of(metric, labels)) {
            if selected.insert(sample.series(), sample).is_some() {
                return Err(NoValue::invalid(format!("one series of {metric} is there twice")));
            }
        }
        Ok(selected)
    }
}

fn parse(text: &str, dialect: Dialect) -> Result<Vec<TextSample<'_>>, Malformed> {
    let mut samples = Vec::new();
    let mut lines = text.split('\n').zip(1..);
    while let Some((line, number)) = lines.next() {
        if line == "# EOF" {
            return match lines.find(|(line, _)| !line.is_empty()) {
                Some((_, line)) => Err(Malformed { line, why: "it comes after the end, # EOF" }),
                None => Ok(samples),
            };
        }
        let mut cursor = Cursor { rest: line };
        cursor.skip_blanks();
        if !cursor.rest.is_empty() && !cursor.rest.starts_with('#') {
            samples.push(cursor.sample(dialect).map_err(|why| Malformed { line: number, why })?);
        }
    }
    match dialect {
        Dialect::Prometheus => Ok(samples),
        Dialect::OpenMetrics => {
            Err(Malformed { line: text.lines().count(), why: "the text ends without # EOF: it may be cut off" })
        }
    }
}

/// What is left of a line. Its methods take what they name from the beginning.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// `expected`, if it is next.
    fn take(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// All characters up to the first that `ends`.
    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A name without quotes. Colons are for metrics only.
    fn name(&mut self, has_colons: bool) -> &'a str {
        if self.rest.starts_with(|first: char| first.is_ascii_digit()) {
            return "";
        }
        self.until(|letter| !(letter.is_ascii_alphanumeric() || letter == '_' || (has_colons && letter == ':')))
    }

    /// A text in quotes, of which the opening one is taken already.
    fn quoted(&mut self) -> Result<Cow<'a, str>, &'static str> {
        let mut text = Cow::Borrowed(self.until(|letter| matches!(letter, '"' | '\\')));
        while !self.take('"') {
            if !self.take('\\') {
                return Err("a quote is not closed");
            }
            let escaped = match self.rest.chars().next() {
                Some('n') => '\n',
                Some(plain @ ('"' | '\\')) => plain,
                _ => return Err("a backslash is followed by none of n, \" and \\"),
            };
            self.rest = &self.rest[1..];
            text.to_mut().push(escaped);
            *text.to_mut() += self.until(|letter| matches!(letter, '"' | '\\'));
        }
        Ok(text)
    }

    fn sample(&mut self, dialect: Dialect) -> Result<TextSample<'a>, &'static str> {
        let mut name = Cow::Borrowed(self.name(true));
        self.skip_blanks();
        let labels = if self.take('{') { self.labels(&mut name)? } else { Vec::new() };
        if name.is_empty() {
            return Err("it does not begin with the name of a metric");
        }
        self.skip_blanks();
        let value = self.word().parse().map_err(|_| "it has no number as its value")?;
        self.skip_blanks();
        let stamp = match self.rest.is_empty() || self.rest.starts_with('#') {
            true => None,
            false => Some(timestamp(self.word(), dialect).ok_or("what follows its value is not a timestamp")?),
        };
        self.skip_blanks();
        // An exemplar is about single events, not about the value.
        if !self.rest.is_empty() && !self.rest.starts_with('#') {
            return Err("something follows its timestamp");
        }
        Ok(TextSample { name, labels, value, stamp })
    }

    fn word(&mut self) -> &'a str {
        self.until(|letter| matches!(letter, ' ' | '\t'))
    }

    /// Labels after their opening brace, up to and with the closing one. A metric whose name needs quotes has it there.
    fn labels(&mut self, metric: &mut Cow<'a, str>) -> Result<Vec<Label<'a>>, &'static str> {
        let mut labels = Vec::new();
        loop {
            self.skip_blanks();
            if self.take('}') {
                return Ok(labels);
            }
            let is_quoted = self.take('"');
            let name = if is_quoted { self.quoted()? } else { Cow::Borrowed(self.name(false)) };
            self.skip_blanks();
            if self.take('=') {
                self.skip_blanks();
                if !self.take('"') || name.is_empty() {
                    return Err("a label has no name, or a value without quotes");
                }
                labels.push((name, self.quoted()?));
            } else if is_quoted && metric.is_empty() {
                *metric = name;
            } else {
                return Err("a label has no value, or the labels have no end");
            }
            self.skip_blanks();
            if !self.take(',') && !self.rest.starts_with('}') {
                return Err("labels are not separated by commas");
            }
        }
    }
}

fn timestamp(text: &str, dialect: Dialect) -> Option<Timestamp> {
    let seconds = match dialect {
        Dialect::Prometheus => text.parse::<i64>().ok()? as f64 / 1000.0,
        Dialect::OpenMetrics => text.parse::<f64>().ok()?,
    };
    // The cast cuts off parts of milliseconds.
    (0.0..=LATEST_SECONDS).contains(&seconds).then(|| Timestamp::from_millis((seconds * 1000.0).round() as i64))
}

#[cfg(test)]
mod tests;
