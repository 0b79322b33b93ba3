//! What the environment says about traces.
//!
//! The variables are those of OpenTelemetry, so that scalegate is told the same way as everything else around it. Most
//! are read by the library; here are those that decide whether there is anything to do, and those the library would not
//! complain about: a gateway that silently exports nothing is found out when its traces are needed.

use std::time::Duration;

use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_COMPRESSION,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
};
use opentelemetry_sdk::Resource;
use url::Url;

/// Longest time for an export, retries included, unless the environment says otherwise; the standard's own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The names of a variable, the stronger one first; what is accepted; and what is said otherwise.
type Check = (&'static [&'static str], fn(&str) -> bool, &'static str);

/// Variables whose values are checked here, since the library takes what it cannot read for unset.
const CHECKS: [Check; 12] = [
    (&["OTEL_TRACES_EXPORTER"], |value| value == "otlp", "there are otlp and none"),
    (
        &[OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL],
        |value| value == "http/protobuf",
        "there is http/protobuf only",
    ),
    (
        &[SAMPLER],
        |value| ["always_on", "always_off", RATIO].contains(&value.strip_prefix("parentbased_").unwrap_or(value)),
        "there are always_on, always_off, traceidratio, and parentbased_ with each of these",
    ),
    (
        &[OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT],
        |value| value.parse::<u64>().is_ok_and(|millis| millis > 0),
        "must be a number of milliseconds",
    ),
    (&["OTEL_BSP_MAX_QUEUE_SIZE"], is_positive, POSITIVE),
    (&["OTEL_BSP_SCHEDULE_DELAY"], is_positive, POSITIVE),
    (&["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], is_positive, POSITIVE),
    (&["OTEL_BSP_EXPORT_TIMEOUT"], is_positive, POSITIVE),
    (&["OTEL_BSP_MAX_CONCURRENT_EXPORTS"], is_positive, POSITIVE),
    (
        &[OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_HEADERS],
        |value| value.split(',').all(|header| header.contains('=')),
        "must be like name=value,name=value",
    ),
    (
        &[OTEL_EXPORTER_OTLP_TRACES_COMPRESSION, OTEL_EXPORTER_OTLP_COMPRESSION],
        |value| ["gzip", "none"].contains(&value),
        "there are gzip and none",
    ),
    (
        &["OTEL_TRACES_SAMPLER_ARG"],
        |value| value.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)),
        "must be a number between 0 and 1",
    ),
];
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const RATIO: &str = "traceidratio";
const POSITIVE: &str = "must be a whole number, 1 or more";

fn is_positive(value: &str) -> bool {
    value.parse::<u32>().is_ok_and(|number| number > 0)
}

/// Why traces cannot be exported as the environment asks for.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A variable has a value that cannot be.
    #[error("{variable}={value:?}: {problem}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The library refuses something.
    #[error("traces cannot be exported")]
    Exporter(#[from] ExporterBuildError),
    /// The system refuses a thread or what belongs to it.
    #[error("the system refuses what exporting traces needs")]
    System(#[from] std::io::Error),
}

/// What is to be done.
pub(super) struct Settings {
    /// Longest time for an export.
    pub timeout: Duration,
    /// The endpoint as it may be shown: without what could be a password.
    pub shown: String,
}

/// Reads the variables; `None` if nothing is to be exported. One that is empty counts as unset.
pub(super) fn read() -> Result<Option<Settings>, TracesError> {
    read_from(|name| {
        let value = std::env::var_os(name)?;
        // Something that is not UTF-8 is none of the values a variable can have, and refused as such.
        Some(value.to_string_lossy().into_owned())
    })
}

fn read_from(variable: impl Fn(&'static str) -> Option<String>) -> Result<Option<Settings>, TracesError> {
    let first = |names: &[&'static str]| {
        let set = |name: &&'static str| Some((*name, variable(name).filter(|value| !value.trim().is_empty())?));
        names.iter().find_map(set)
    };
    let is = |name, expected: fn(&str) -> bool| first(&[name]).is_some_and(|(_, value)| expected(&value));
    let refuse =
        |(variable, value): (&'static str, String), problem| Err(TracesError::Variable { variable, value, problem });
    let endpoint = first(&[OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT]);
    let is_off = is("OTEL_SDK_DISABLED", |value| value.eq_ignore_ascii_case("true"))
        || is("OTEL_TRACES_EXPORTER", |value| value == "none");
    let (Some(endpoint), false) = (endpoint, is_off) else { return Ok(None) };
    for (names, is_accepted, problem) in CHECKS {
        // The argument is for the samplers that take one.
        let matters = names != ["OTEL_TRACES_SAMPLER_ARG"] || is(SAMPLER, |sampler| sampler.ends_with(RATIO));
        match first(names) {
            Some(given) if matters && !is_accepted(&given.1) => return refuse(given, problem),
            _ => {}
        }
    }
    let timeout = first(&[OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT]);
    let timeout = timeout.and_then(|(_, millis)| millis.parse().ok()).map_or(DEFAULT_TIMEOUT, Duration::from_millis);
    match shown(&endpoint.1) {
        Ok(shown) => Ok(Some(Settings { timeout, shown })),
        Err(problem) => refuse(endpoint, problem),
    }
}

/// `endpoint` without what could be a password.
fn shown(endpoint: &str) -> Result<String, &'static str> {
    const NO_URL: &str = "must be a URL like http://collector:4318";
    let url = Url::parse(endpoint).map_err(|_| NO_URL)?;
    match url.scheme() {
        // The parser would repair these: no host between the slashes, or a colon without a port.
        "http" if endpoint.split('/').nth(2).is_none_or(|address| address.is_empty() || address.ends_with(':')) => {
            Err(NO_URL)
        }
        "http" => Ok(url.origin().ascii_serialization() + url.path()),
        "https" => Err("there is no TLS: send traces to a collector nearby, by http://, which sends them on"),
        _ => Err(NO_URL),
    }
}

/// The service: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, and a name in any case.
pub(super) fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let named = Resource::builder().build();
    let name = named.get(&Key::from_static_str("service.name"));
    // The library's name for a service without one is "unknown_service".
    let nameless = name.is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder();
    if named.get(&version.key).is_none() {
        resource = resource.with_attribute(version);
    }
    if nameless {
        resource = resource.with_service_name("scalegate");
    }
    resource.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    fn read(variables: &[(&str, &str)]) -> Result<Option<(String, Duration)>, String> {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let settings = read_from(variable).map_err(|error| error.to_string())?;
        Ok(settings.map(|settings| (settings.shown, settings.timeout)))
    }

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", " ")],
            &[("OTEL_SERVICE_NAME", "x"), ("OTEL_TRACES_SAMPLER", "nonsense"), ("OTEL_TRACES_EXPORTER", "otlp")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert_eq!(read(variables), Ok(None), "{variables:?}");
        }
    }

    #[test]
    fn the_more_particular_variable_is_stronger() {
        let read = |variables: &[(&str, &str)]| read(variables).expect("valid").expect("on");
        assert_eq!(read(&[ENDPOINT]), ("http://collector:4318/".into(), DEFAULT_TIMEOUT));
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:secret@traces/here");
        let timeouts = [("OTEL_EXPORTER_OTLP_TIMEOUT", "1"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250")];
        let found = read(&[ENDPOINT, traces, timeouts[0], timeouts[1]]);
        assert_eq!(found, ("http://traces/here".into(), Duration::from_millis(250)));
        read(&[
            ENDPOINT,
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_SDK_DISABLED", "false"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret,tenant=a=b"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http:collector"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http:///collector"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:99999"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5s"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-5"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "lzma"),
        ] {
            let error = read(&[(name, value), ENDPOINT]).expect_err(value);
            assert!(error.starts_with(&format!("{name}={value:?}: ")), "{error}");
        }
        for ratio in ["half", "1.5", "-1", "NaN"] {
            let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
            read(&[ENDPOINT, sampler, ("OTEL_TRACES_SAMPLER_ARG", ratio)]).expect_err(ratio);
        }
    }
}
