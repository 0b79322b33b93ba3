use proptest::prelude::*;

use super::Dialect::{OpenMetrics, Prometheus};
use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn values(text: &str, dialect: Dialect, metric: &str, wanted: &[(&str, &str)]) -> Result<Vec<f64>, String> {
    let exposition = Exposition::read(text.as_bytes(), dialect, true).map_err(|error| error.detail)?;
    let selected = exposition.select(metric, &labels(wanted)).map_err(|error| error.detail)?;
    Ok(selected.values().map(|sample| sample.value).collect())
}

/// The example of Prometheus's own description of the format.
const EXAMPLE: &str = r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -0

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320
"#;

#[test]
fn series_are_selected_by_name_and_labels() {
    let awkward = [("path", "C:\\DIR\\FILE.TXT"), ("error", "Cannot find file:\n\"FILE.TXT\"")];
    for (metric, wanted, expected) in [
        ("http_requests_total", &[][..], &[1027.0, 3.0][..]),
        ("http_requests_total", &[("code", "400")], &[3.0]),
        ("http_requests_total", &[("code", "400"), ("method", "get")], &[]),
        ("http_requests_total", &[("zone", "")], &[1027.0, 3.0]),
        ("http_requests_total", &[("code", "")], &[]),
        ("http_requests", &[], &[]),
        ("msdos_file_access_time_seconds", &awkward, &[1_458_255_915.0]),
        ("metric_without_timestamp_and_labels", &[], &[12.47]),
        ("something_weird", &[], &[f64::INFINITY]),
        ("http_request_duration_seconds_bucket", &[("le", "+Inf")], &[144_320.0]),
        ("http_request_duration_seconds_sum", &[], &[53_423.0]),
        ("http_request_duration_seconds_count", &[], &[144_320.0]),
    ] {
        assert_eq!(values(EXAMPLE, Prometheus, metric, wanted).as_deref(), Ok(expected), "{metric} {wanted:?}");
    }
}

#[test]
fn blanks_commas_quoted_names_and_exemplars_are_read() {
    for (line, wanted, expected) in [
        ("a 1", &[][..], 1.0),
        ("  a\t{ x = \"1\" , y=\"2\", }\t 2.5e-3  7 ", &[("x", "1"), ("y", "2")], 0.0025),
        ("a{}5", &[], 5.0),
        ("a{x=\"}, # \\\\\"} -1", &[("x", "}, # \\")], -1.0),
        ("a{x=\"ä€\u{1f600}\"} 1", &[("x", "ä€\u{1f600}")], 1.0),
        ("{\"a\",x=\"1\"} 1", &[("x", "1")], 1.0),
        ("{x=\"1\",\"a\"} 1", &[("x", "1")], 1.0),
        ("a{\"x.y\"=\"1\"} 1", &[("x.y", "1")], 1.0),
        ("a{x=\"1\"} 17 # {trace_id=\"} 9\"} 0.67 1520879607.789", &[], 17.0),
        ("a 17 1520879607 # {} 0.67", &[], 17.0),
        ("a .5", &[], 0.5),
    ] {
        for dialect in [Prometheus, OpenMetrics] {
            let text = format!("# TYPE a counter\n{line}\n# EOF\n");
            assert_eq!(values(&text, dialect, "a", wanted), Ok(vec![expected]), "{line}");
        }
    }
    assert!(values("a NaN\n", Prometheus, "a", &[]).expect("a value")[0].is_nan());
    assert_eq!(values("job:rate:1m 1\n", Prometheus, "job:rate:1m", &[]), Ok(vec![1.0]));
}

#[test]
fn timestamps_are_in_the_unit_of_the_dialect() {
    for (text, dialect, expected) in [
        ("a 1 1520879607789\n", Prometheus, Some(1_520_879_607_789)),
        ("a 1\n", Prometheus, None),
        ("a 1 1520879607.789\n# EOF\n", OpenMetrics, Some(1_520_879_607_789)),
        ("a 1 1520879607\n# EOF\n", OpenMetrics, Some(1_520_879_607_000)),
    ] {
        let exposition = Exposition::read(text.as_bytes(), dialect, true).expect("a text of metrics");
        assert_eq!(exposition.samples[0].stamp.map(Timestamp::as_millis), expected, "{text}");
    }
}

#[test]
fn one_line_that_is_not_in_the_format_spoils_the_answer() {
    for (line, why) in [
        ("a", "it has no number as its value"),
        ("a b", "it has no number as its value"),
        ("a 1_000", "it has no number as its value"),
        ("a 0x10", "it has no number as its value"),
        ("a \"1\"", "it has no number as its value"),
        ("1a 1", "it does not begin with the name of a metric"),
        ("{} 1", "it does not begin with the name of a metric"),
        ("{x=\"1\"} 1", "it does not begin with the name of a metric"),
        ("a-b 1", "it has no number as its value"),
        ("a{x=1} 1", "a label has no name, or a value without quotes"),
        ("a{=\"1\"} 1", "a label has no name, or a value without quotes"),
        ("a{x} 1", "a label has no value, or the labels have no end"),
        ("a{x=\"1\" y=\"2\"} 1", "labels are not separated by commas"),
        ("a{x=\"1\"", "labels are not separated by commas"),
        ("a{x=\"1\",", "a label has no value, or the labels have no end"),
        ("a{\"b\"} 1", "a label has no value, or the labels have no end"),
        ("a{x=\"1} 1", "a quote is not closed"),
        ("a{x=\"\\t\"} 1", "a backslash is followed by none of n, \" and \\"),
        ("a 1 soon", "what follows its value is not a timestamp"),
        ("a 1 -5", "what follows its value is not a timestamp"),
        ("a 1 9999999999999999", "what follows its value is not a timestamp"),
        ("a 1 5 5", "something follows its timestamp"),
        ("a 5\r", "it has no number as its value"),
    ] {
        let expected = format!("line 2 is not in the text format of Prometheus: {why}");
        assert_eq!(values(&format!("b 1\n{line}\nc 1\n"), Prometheus, "b", &[]), Err(expected), "{line}");
    }
}

#[test]
fn what_is_no_text_of_metrics_is_called_by_its_name() {
    for (body, dialect, expected) in [
        (&b""[..], Prometheus, "the answer is empty"),
        (b" \n\n", OpenMetrics, "the answer is empty"),
        (b"\xff\xfe", Prometheus, "the answer is not a text in UTF-8"),
        (b"<!DOCTYPE html>\n", Prometheus, "the answer is HTML or XML instead of a text of metrics"),
        (b"# EOF\na 1\n", OpenMetrics, "line 2 is not in the text format of Prometheus: it comes after the end, # EOF"),
        (
            b"a 1\n",
            OpenMetrics,
            "line 1 is not in the text format of Prometheus: the text ends without # EOF: it may be cut off",
        ),
    ] {
        let refused = Exposition::read(body, dialect, true).expect_err(expected);
        assert_eq!(refused, NoValue::invalid(expected));
    }
    assert!(Exposition::read(b"{\"a\": 1}", Prometheus, true).is_err(), "JSON");
    assert!(Exposition::read(b"a 81", Prometheus, true).is_ok());
    let cut_off = Exposition::read(b"a 81", Prometheus, false).expect_err("cut off");
    assert_eq!(cut_off.detail, "the last line of the answer has no end: it may be cut off");
}

#[test]
fn a_series_that_is_there_twice_does_not_count() {
    let twice = "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\nb 1\n";
    assert_eq!(values(twice, Prometheus, "a", &[]), Err("one series of a is there twice".into()));
    assert_eq!(values(twice, Prometheus, "b", &[]), Ok(vec![1.0]));
}

#[test]
fn the_content_type_tells_the_dialect() {
    for (content_type, expected) in [
        (None, Prometheus),
        (Some("text/plain; version=0.0.4"), Prometheus),
        (Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), OpenMetrics),
        (Some("Application/OpenMetrics-Text"), OpenMetrics),
    ] {
        assert_eq!(Dialect::of(content_type), expected, "{content_type:?}");
    }
}

/// What Debian's prometheus-node-exporter serves, shortened by whole metrics.
#[test]
fn a_real_exporter_is_understood() {
    let text = include_str!("node-exporter.txt");
    for (metric, wanted, count) in [
        ("node_load1", &[][..], 1),
        ("node_cpu_seconds_total", &[], 16),
        ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "idle")], 1),
        ("go_gc_duration_seconds", &[("quantile", "0.5")], 1),
        ("go_gc_duration_seconds_count", &[], 1),
        ("node_uname_info", &[("sysname", "Linux")], 1),
        ("node_memory_MemAvailable_bytes", &[], 1),
        ("node_nothing", &[], 0),
    ] {
        let found = values(text, Prometheus, metric, wanted).expect("a text of metrics");
        assert_eq!(found.len(), count, "{metric} {wanted:?}");
        assert!(found.iter().all(|value| value.is_finite()), "{metric} {found:?}");
    }
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(body: Vec<u8>, text in "[a{}=\", #0-9\\\\\n.eE+-]{0,60}") {
        for dialect in [Prometheus, OpenMetrics] {
            for body in [&body[..], text.as_bytes()] {
                let _ = Exposition::read(body, dialect, false);
            }
        }
    }

    #[test]
    fn what_is_written_by_the_rules_is_read_back(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}",
        written in prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", any::<String>(), 0..4),
        value: f64,
    ) {
        let escape = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        let pairs: Vec<String> = written.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let text = format!("{name}{{{}}} {value:e}\n", pairs.join(","));
        let exposition = Exposition::read(text.as_bytes(), Prometheus, true).expect("by the rules");
        let selected = exposition.select(&name, &written).expect("once");
        let read = selected.values().next().expect("the series").value;
        prop_assert!(read == value || (read.is_nan() && value.is_nan()));
    }
}
