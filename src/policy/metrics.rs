//! The metrics of a document and their sources.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::fields::{Fields, Place};
use super::problem::{Problems, child};
use super::scalars::{base_url, boolean, choice, duration, json_pointer, kind_of, name, none_of, string, text, url};
use crate::domain::policy::{MAX_METRICS, MetricSpec, Name, Source};

/// How often a pulled source is asked unless the document says so: as often as a waiting job reads its resource.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
/// Shortest and longest time between two questions to a source.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));
/// How many values of a pulled source may be lost in a row.
const DEFAULT_AGE_IN_INTERVALS: u32 = 3;
/// Ages a value may have: below a second, delays on the way would make every value old.
const AGES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24));
/// Longest time that a value averages over.
const MAX_WINDOW: Duration = Duration::from_hours(1);

/// Longest query, in bytes. It travels in a URL or a form; a query that is longer belongs into a recording rule.
const MAX_QUERY_BYTES: usize = 4096;
/// Longest name of a metric of a source, or of one of its labels, in bytes: several times what exporters use.
const MAX_SERIES_NAME_BYTES: usize = 255;
/// Longest value of a label, in bytes: a path or an image may be in it.
const MAX_LABEL_VALUE_BYTES: usize = 1024;
/// Most labels, and most headers: more than series and requests have in practice.
const MAX_ENTRIES: usize = 16;
/// Headers that say how a request is made. A policy that could set them could make two requests of one, or have an
/// answer sent in a form that is not read.
const FORBIDDEN_HEADERS: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const TYPES: [&str; 4] = ["push", "http", "scrape", "prometheus"];

/// A metric that a document declares.
pub(super) struct Declared {
    /// What it is, unless that is wrong: rules may name it all the same.
    pub spec: Option<MetricSpec>,
    /// Whether values below 0 make sense.
    pub allow_negative: bool,
}

/// The metrics in the object at `place`.
pub(super) fn read(place: &Place, problems: &mut Problems) -> Option<BTreeMap<Name, Declared>> {
    let Value::Object(object) = place.value else {
        problems.add(&place.at, format!("must be an object, not {}", kind_of(place.value)));
        return None;
    };
    if object.len() > MAX_METRICS {
        problems.add(&place.at, format!("has more than {MAX_METRICS} metrics"));
        return None;
    }
    let mut metrics = BTreeMap::new();
    for (key, value) in object {
        let place = Place { value, at: child(&place.at, key) };
        let spec = metric(&place, problems);
        match name(&Value::from(key.as_str())) {
            Ok(name) => {
                let allow_negative = value.get("allowNegative") == Some(&Value::Bool(true));
                metrics.insert(name, Declared { spec, allow_negative });
            }
            Err(detail) => problems.add(place.at, format!("has a name that is none: it {detail}")),
        }
    }
    Some(metrics)
}

fn metric(place: &Place, problems: &mut Problems) -> Option<MetricSpec> {
    let mut fields = Fields::of(place, problems)?;
    let source = fields.needed("source").and_then(|place| source(&place, fields.problems));
    let is_pushed = matches!(source, Some(Source::Push));
    let interval = fields.or("intervalSeconds", DEFAULT_INTERVAL, duration(INTERVALS.0, INTERVALS.1));
    if is_pushed && fields.has("intervalSeconds") {
        fields.refuse("intervalSeconds", "belongs into a metric that is asked for: callers send this one");
    }
    let default_age = if is_pushed {
        MetricSpec::PUSHED_MAX_AGE
    } else {
        interval.unwrap_or(DEFAULT_INTERVAL) * DEFAULT_AGE_IN_INTERVALS
    };
    let max_age = fields.or("maxAgeSeconds", default_age, duration(AGES.0, AGES.1));
    let window = fields.or("windowSeconds", Duration::ZERO, duration(Duration::ZERO, MAX_WINDOW));
    let allow_negative = fields.or("allowNegative", false, boolean);
    fields.end();
    Some(MetricSpec {
        source: source?,
        interval: interval?,
        max_age: max_age?,
        window: window?,
        allow_negative: allow_negative?,
    })
}

fn source(place: &Place, problems: &mut Problems) -> Option<Source> {
    let mut fields = Fields::of(place, problems)?;
    let kind = fields.required("type", |value| {
        let given = string(value)?;
        TYPES.into_iter().find(|kind| *kind == given).ok_or_else(|| none_of(given, &TYPES))
    })?;
    let source = match kind {
        "http" => http(&mut fields),
        "scrape" => scrape(&mut fields),
        "prometheus" => prometheus(&mut fields),
        _ => Some(Source::Push),
    };
    fields.end();
    source
}

fn http(fields: &mut Fields) -> Option<Source> {
    let url = fields.required("url", url);
    let pointer = fields.required("pointer", json_pointer);
    let headers = headers(fields);
    Some(Source::Http { url: url?, pointer: pointer?, headers: headers? })
}

fn scrape(fields: &mut Fields) -> Option<Source> {
    let url = fields.required("url", url);
    let metric = fields.required("metric", text(MAX_SERIES_NAME_BYTES));
    let labels = entries(fields, "labels", series_name, |value| {
        let label = string(value)?;
        if label.is_empty() { Ok(String::new()) } else { text(MAX_LABEL_VALUE_BYTES)(value) }
    });
    let aggregate = fields.optional("aggregate", choice);
    let rate = fields.or("rate", false, boolean);
    let headers = headers(fields);
    Some(Source::Scrape {
        url: url?,
        headers: headers?,
        metric: metric?,
        labels: labels?,
        aggregate: aggregate?,
        rate: rate?,
    })
}

fn prometheus(fields: &mut Fields) -> Option<Source> {
    let url = fields.required("url", base_url);
    let query = fields.required("query", query);
    let aggregate = fields.optional("aggregate", choice);
    let headers = headers(fields);
    Some(Source::Prometheus { url: url?, headers: headers?, query: query?, aggregate: aggregate? })
}

/// A query, which may have several lines.
fn query(value: &Value) -> Result<String, String> {
    let text = string(value)?;
    if text.trim().is_empty() {
        Err("must not be empty".to_owned())
    } else if text.len() > MAX_QUERY_BYTES {
        Err(format!("has more than {MAX_QUERY_BYTES} bytes"))
    } else if text.contains(|letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        Err("contains a control character".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Headers: of each, the name of the secret that is its value.
fn headers(fields: &mut Fields) -> Option<BTreeMap<String, String>> {
    let headers = entries(fields, "headers", header_name, |value| {
        name(value).map(|name| name.to_string()).map_err(|detail| format!("is the name of a secret: it {detail}"))
    })?;
    let mut seen = BTreeMap::new();
    for header in headers.keys() {
        if let Some(first) = seen.insert(header.to_ascii_lowercase(), header) {
            fields.refuse("headers", format!("has {first} twice: upper and lower case do not count"));
            return None;
        }
    }
    Some(headers)
}

/// Checks that a policy may set the header `header`.
///
/// # Errors
/// Why not, as the end of a sentence.
pub(crate) fn header_name(header: &str) -> Result<(), String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if header.is_empty() || header.len() > MAX_SERIES_NAME_BYTES || !header.bytes().all(is_token) {
        Err("is not the name of a header".to_owned())
    } else if FORBIDDEN_HEADERS.contains(&header.to_ascii_lowercase().as_str()) {
        Err("must not be set: it says how the request is made".to_owned())
    } else {
        Ok(())
    }
}

fn series_name(label: &str) -> Result<(), String> {
    text(MAX_SERIES_NAME_BYTES)(&Value::from(label)).map(drop).map_err(|detail| format!("has a name that {detail}"))
}

/// The entries of the object in the field `name`, each with a name that `check` admits; none if it is not given.
fn entries(
    fields: &mut Fields,
    name: &'static str,
    check: fn(&str) -> Result<(), String>,
    read: fn(&Value) -> Result<String, String>,
) -> Option<BTreeMap<String, String>> {
    let Some(place) = fields.given(name) else { return Some(BTreeMap::new()) };
    let Value::Object(object) = place.value else {
        fields.refuse(name, format!("must be an object of strings, not {}", kind_of(place.value)));
        return None;
    };
    if object.len() > MAX_ENTRIES {
        fields.refuse(name, format!("has more than {MAX_ENTRIES} entries"));
        return None;
    }
    let mut all = Some(BTreeMap::new());
    for (key, value) in object {
        match check(key).and_then(|()| read(value)) {
            Ok(text) => drop(all.as_mut().map(|all| all.insert(key.clone(), text))),
            Err(detail) => {
                fields.problems.add(child(&place.at, key), detail);
                all = None;
            }
        }
    }
    all
}
