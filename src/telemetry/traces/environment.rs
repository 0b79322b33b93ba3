//! What the environment says about traces.
//!
//! The variables are those of OpenTelemetry, so that scalegate is told the same way as everything else around it. Most are
//! read by the library; here are those that decide whether there is anything to do, and those the library would not
//! complain about: a gateway that silently exports nothing is found out when its traces are needed.

use std::time::Duration;

use actix_web::http::Uri;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_COMPRESSION,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
};
use opentelemetry_sdk::Resource;

/// Longest time for an export, retries included, unless the environment says otherwise; the standard's own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The samplers there are.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// How spans are gathered. The library takes what it cannot read for unset, and a delay of nothing for one.
const BATCHES: [&str; 5] = [
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_CONCURRENT_EXPORTS",
];

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
    let refuse =
        |(variable, value): (&'static str, String), problem| Err(TracesError::Variable { variable, value, problem });
    let endpoint = first(&[OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT]);
    let disabled = first(&["OTEL_SDK_DISABLED"]).is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
    let (Some(endpoint), false) = (endpoint, disabled) else { return Ok(None) };
    match first(&["OTEL_TRACES_EXPORTER"]) {
        Some((_, value)) if value == "none" => return Ok(None),
        Some(exporter) if exporter.1 != "otlp" => return refuse(exporter, "there are otlp and none"),
        _ => {}
    }
    match first(&[OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL]) {
        Some(protocol) if protocol.1 != "http/protobuf" => return refuse(protocol, "there is http/protobuf only"),
        _ => {}
    }
    match first(&["OTEL_TRACES_SAMPLER"]) {
        Some(sampler) if !SAMPLERS.contains(&sampler.1.as_str()) => {
            return refuse(
                sampler,
                "there are always_on, always_off, traceidratio, and parentbased_ with each of these",
            );
        }
        Some((_, sampler)) if sampler.ends_with("traceidratio") => match first(&["OTEL_TRACES_SAMPLER_ARG"]) {
            Some(ratio) if !is_ratio(&ratio.1) => return refuse(ratio, "must be a number between 0 and 1"),
            _ => {}
        },
        _ => {}
    }
    let timeout = match first(&[OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT]) {
        None => DEFAULT_TIMEOUT,
        Some(given) => match given.1.parse() {
            Ok(millis) if millis > 0 => Duration::from_millis(millis),
            _ => return refuse(given, "must be a number of milliseconds"),
        },
    };
    for name in BATCHES {
        match first(&[name]) {
            Some(given) if !given.1.parse::<u32>().is_ok_and(|number| number > 0) => {
                return refuse(given, "must be a whole number, 1 or more");
            }
            _ => {}
        }
    }
    match first(&[OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_HEADERS]) {
        Some(headers) if !headers.1.split(',').all(|header| header.contains('=')) => {
            return refuse(headers, "must be like name=value,name=value");
        }
        _ => {}
    }
    match first(&[OTEL_EXPORTER_OTLP_TRACES_COMPRESSION, OTEL_EXPORTER_OTLP_COMPRESSION]) {
        Some(compression) if !["gzip", "none"].contains(&compression.1.as_str()) => {
            return refuse(compression, "there are gzip and none");
        }
        _ => {}
    }
    match shown(&endpoint.1) {
        Ok(shown) => Ok(Some(Settings { timeout, shown })),
        Err(problem) => refuse(endpoint, problem),
    }
}

fn is_ratio(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio))
}

fn shown(endpoint: &str) -> Result<String, &'static str> {
    const NO_URL: &str = "must be a URL like http://collector:4318";
    let uri: Uri = endpoint.parse().map_err(|_| NO_URL)?;
    let address = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
    // What looks like a port and is none would be left out without a word.
    if uri.port_u16().is_none() && address != uri.host() {
        return Err(NO_URL);
    }
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(host)) => {
            let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
            Ok(format!("http://{host}{port}{}", uri.path()))
        }
        (Some("https"), _) => {
            Err("there is no TLS: send traces to a collector nearby, by http://, which sends them on")
        }
        _ => Err(NO_URL),
    }
}

/// Who tells: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, and a name in any case.
pub(super) fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let named = Resource::builder().build();
    let name = named.get(&Key::from_static_str("service.name"));
    // The library calls whoever has no name "unknown_service".
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
    fn nothing_is_exported_unless_somebody_says_where_to() {
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
