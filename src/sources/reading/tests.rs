use std::time::Duration;

use super::*;
use crate::domain::policy::Aggregate;

const SECOND: Duration = Duration::from_secs(1);
const ASKED: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn spec(source: Source) -> MetricSpec {
    let interval = SECOND * 10;
    MetricSpec { source, interval, max_age: interval * 3, window: Duration::ZERO, allow_negative: false }
}

fn scrape(metric: &str, labels: &[(&str, &str)], aggregate: Option<Aggregate>, rate: bool) -> MetricSpec {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (url, headers, metric) = ("http://api/metrics".into(), BTreeMap::new(), metric.into());
    spec(Source::Scrape { url, headers, metric, labels, aggregate, rate })
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: body.into(), is_whole: true, ..Answer::default() }
}

type Read = Option<Result<(Timestamp, f64), NoValue>>;

/// What `reader` makes of `text`, asked for so long after [`ASKED`] at a source whose clock is right.
fn read(reader: &mut Reader, text: &str, after: Duration) -> Read {
    let answer = answer(200, text);
    let content = Content::of(&answer, Form::Exposition).expect("content");
    reader.read(&content, ASKED + after, |stamp| stamp)
}

#[test]
fn each_metric_reads_the_same_answer_its_own_way() {
    use Missing::{Invalid, SeveralSeries};
    let text = "jobs{q=\"a\"} 3\njobs{q=\"b\"} 4\ncold -1\nodd NaN\n";
    let several = "there are 2 series of jobs; say how to aggregate them, or select one";
    for (spec, expected) in [
        (scrape("jobs", &[("q", "a")], None, false), Ok(3.0)),
        (scrape("jobs", &[], Some(Aggregate::Sum), false), Ok(7.0)),
        (scrape("jobs", &[], None, false), Err((SeveralSeries, several))),
        (scrape("jobs", &[], None, true), Err((SeveralSeries, several))),
        (scrape("jobs", &[("q", "c")], Some(Aggregate::Sum), false), Err((Invalid, "there is no series of jobs"))),
        (scrape("odd", &[], None, false), Err((Invalid, "the value is NaN"))),
        (scrape("odd", &[], None, true), Err((Invalid, "the value is NaN"))),
        (scrape("cold", &[], None, false), Err((Invalid, "the value is -1, and none below 0 is allowed"))),
        (MetricSpec { allow_negative: true, ..scrape("cold", &[], None, false) }, Ok(-1.0)),
    ] {
        let expected = expected.map(|value| (ASKED, value));
        let expected = expected.map_err(|(reason, detail): (_, &str)| NoValue { reason, detail: detail.into() });
        assert_eq!(read(&mut Reader::new(spec.clone()), text, Duration::ZERO), Some(expected), "{spec:?}");
    }
}

#[test]
fn series_are_added_up_only_if_none_can_be_missing() {
    let [plain, marked] = ["jobs 3\n", "jobs 3\n# EOF\n"];
    let open_metrics = Some("application/openmetrics-text; version=1.0.0".to_owned());
    for (body, content_type, is_whole, aggregate, is_value) in [
        (plain, None, true, Some(Aggregate::Sum), true),
        (plain, None, false, Some(Aggregate::Sum), false),
        (plain, None, false, Some(Aggregate::Max), false),
        (plain, None, false, None, true),
        (marked, open_metrics, false, Some(Aggregate::Sum), true),
    ] {
        let answer = Answer { content_type, is_whole, ..answer(200, body) };
        let content = Content::of(&answer, Form::Exposition).expect("content");
        let mut reader = Reader::new(scrape("jobs", &[], aggregate, false));
        let read = reader.read(&content, ASKED, |stamp| stamp).expect("an outcome");
        assert_eq!(read.is_ok(), is_value, "{body} {is_whole} {aggregate:?}: {read:?}");
    }
}

#[test]
fn a_counter_becomes_a_rate_from_its_second_reading_on() {
    let mut reader = Reader::new(scrape("served_total", &[], Some(Aggregate::Sum), true));
    let text = |one: u32, other: u32| format!("served_total{{w=\"1\"}} {one}\nserved_total{{w=\"2\"}} {other}\n");
    assert_eq!(read(&mut reader, &text(1000, 50), Duration::ZERO), None);
    assert_eq!(read(&mut reader, &text(1001, 50), SECOND), None, "asked for another metric with a shorter interval");
    assert_eq!(read(&mut reader, &text(1100, 150), SECOND * 10), Some(Ok((ASKED + SECOND * 10, 20.0))));
    assert_eq!(read(&mut reader, &text(5, 250), SECOND * 20), None, "one was set back");
    assert_eq!(read(&mut reader, &text(15, 350), SECOND * 30), Some(Ok((ASKED + SECOND * 30, 11.0))));
    let one = "served_total{w=\"2\"} 450\n";
    assert_eq!(read(&mut reader, one, SECOND * 40), Some(Ok((ASKED + SECOND * 40, 10.0))), "the other is gone");
}

#[test]
fn a_value_is_as_old_as_its_source_says_and_never_newer_than_the_question() {
    let stamp = |after: i64| ASKED.as_millis() + after * 1000;
    let mut reader = Reader::new(scrape("a", &[], Some(Aggregate::Sum), false));
    let text = format!("a{{x=\"1\"}} 1 {}\na{{x=\"2\"}} 1 {}\n", stamp(-60), stamp(-90));
    assert_eq!(read(&mut reader, &text, Duration::ZERO), Some(Ok((ASKED - SECOND * 90, 2.0))));
    let text = format!("a 1 {}\n", stamp(3600));
    assert_eq!(read(&mut reader, &text, Duration::ZERO), Some(Ok((ASKED, 1.0))));
    let mut rate = Reader::new(scrape("a", &[], None, true));
    let cached = format!("a 100 {}\n", stamp(-20));
    assert_eq!(read(&mut rate, &cached, Duration::ZERO), None);
    assert_eq!(read(&mut rate, &cached, SECOND * 10), None, "the same reading again is not a rate of 0");
}

#[test]
fn only_the_status_200_has_content() {
    let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let moved = Answer { location_host: Some("evil".into()), ..answer(302, "") };
    for (answer, form, reason, detail) in [
        (answer(204, ""), Form::Document, Missing::Invalid, "the answer is empty, with status 204"),
        (moved, Form::Document, Missing::SourceFailed, "status 302 redirects to evil, which is not followed"),
        (
            answer(304, ""),
            Form::Document,
            Missing::SourceFailed,
            "status 304 redirects to nowhere, which is not followed",
        ),
        (answer(404, "1"), Form::Document, Missing::SourceFailed, "status 404"),
        (answer(500, error), Form::Exposition, Missing::SourceFailed, "status 500"),
        (answer(400, error), Form::Query, Missing::SourceFailed, "status 400: bad_data: parse error"),
        (answer(503, "<html>"), Form::Query, Missing::SourceFailed, "status 503"),
        (answer(206, "1"), Form::Document, Missing::SourceFailed, "status 206"),
    ] {
        let refused = Content::of(&answer, form).err();
        assert_eq!(refused, Some(NoValue { reason, detail: detail.into() }), "{answer:?}");
    }
}
