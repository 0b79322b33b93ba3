//! Predictions that callers push: decided on at once, still there after a kill, and refused where they make no sense.

use std::time::Duration;

use super::{SHORT_COOLDOWN, Scene};
use crate::support::gateway::{Gateway, Raw};
use serde_json::{Value, json};

const POLICY: &str = "/v1/resources/worker/policy";
const METRIC: &str = "/v1/resources/worker/metrics/queue";
/// Most points that the document promises to take.
const MAX_POINTS: usize = 600;

/// One unit for each 100 that are expected of a pushed metric.
fn ahead(mode: &str) -> Value {
    let metrics =
        json!({"queue": {"source": {"type": "push"}}, "heat": {"source": {"type": "push"}, "allowNegative": true}});
    json!({"mode": mode, "min": 1, "max": 20, "metrics": metrics,
           "rules": [{"name": "ahead", "type": "forecast", "metric": "queue", "perUnit": 100, "source": "push"}],
           "job": {"pollIntervalSeconds": 0.1, "stepSize": 20}})
}

/// The time so many minutes from now.
fn at(minutes: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)).to_string()
}

/// A body with a value for each of these minutes from now.
fn forecast(points: &[(i64, f64)]) -> Value {
    let points = points.iter().map(|(minutes, value)| json!({"at": at(*minutes), "value": value}));
    json!({"forecast": points.collect::<Vec<_>>()})
}

impl Gateway {
    /// Pushes a prediction of which so many values are accepted and ignored.
    async fn predicts(&self, points: &[(i64, f64)], [accepted, ignored]: [u64; 2]) {
        let answer = self.post(METRIC, &forecast(points)).await;
        assert_eq!((answer.status, answer.json()), (202, json!({"accepted": accepted, "ignored": ignored})));
    }

    /// Waits until the last decision that is on the disk has what the rule says.
    async fn says(&self, words: &str) {
        let says = |last: &Value| last["rules"][0]["detail"].as_str().is_some_and(|detail| detail.starts_with(words));
        self.decision(says).await;
    }
}

#[actix_web::test]
async fn a_prediction_scales_and_another_one_takes_its_place() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    scene.gateway.must_put(POLICY, &ahead("active")).await;
    scene.gateway.says("no prediction was pushed").await;
    scene.gateway.predicts(&[(120, 100.0), (-30, 600.0), (-90, 100.0)], [2, 1]).await;
    scene.gateway.says("600 at 100 per unit needs 6").await;
    scene.gateway.capacity(6).await;
    scene.gateway.predicts(&[(-30, 800.0), (120, 800.0)], [2, 0]).await;
    scene.gateway.capacity(8).await;
    scene.gateway.predicts(&[(-90, 100.0), (-60, 100.0)], [0, 2]).await;
    scene.gateway.predicts(&[], [0, 0]).await;
    scene.gateway.says("no prediction was pushed").await;
    scene.gateway.capacity(8).await;
}

#[actix_web::test]
async fn a_kill_loses_no_prediction_and_the_end_of_the_policy_ends_it() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    scene.gateway.must_put(POLICY, &ahead("advise")).await;
    scene.gateway.predicts(&[(0, 700.0), (300, 700.0)], [2, 0]).await;
    scene.gateway.says("700 at 100 per unit needs 7").await;
    let scene = scene.restarted(&SHORT_COOLDOWN);
    // Not what a process before it said.
    let evaluated = async || scene.gateway.post("/v1/resources/worker/policy/evaluate", &json!({})).await.json();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while evaluated().await["rules"][0]["wants"] != json!(7) {
        assert!(std::time::Instant::now() < deadline, "{}", evaluated().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(scene.gateway.raw(&Raw::new("DELETE", POLICY)).await.status, 204);
    scene.gateway.must_put(POLICY, &ahead("advise")).await;
    scene.gateway.says("no prediction was pushed").await;
}

/// What is told of the prediction, once it is on the disk and as `is_as_expected` says.
async fn told(gateway: &Gateway, is_as_expected: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let prediction = gateway.get(METRIC).await.json()["prediction"].clone();
        if is_as_expected(&prediction) {
            return prediction;
        }
        assert!(std::time::Instant::now() < deadline, "{prediction}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn the_metric_tells_which_time_its_prediction_covers_and_when_it_has_ended() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    scene.gateway.must_put(POLICY, &ahead("advise")).await;
    assert_eq!(scene.gateway.get(METRIC).await.json().get("prediction"), Some(&Value::Null));
    let times = [at(-90), at(-30), at(60)];
    let points: Vec<Value> = times.iter().map(|at| json!({"at": at, "value": 700})).collect();
    let before = jiff::Timestamp::now();
    assert_eq!(scene.gateway.post(METRIC, &json!({"forecast": points})).await.status, 202);
    let prediction = told(&scene.gateway, Value::is_object).await;
    let time =
        |field: &str| prediction[field].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok()).expect("a time");
    let pushed: Vec<jiff::Timestamp> = times.iter().map(|at| at.parse().expect("a time")).collect();
    let millis = |at: jiff::Timestamp| at.as_millisecond();
    assert_eq!(millis(time("from")), millis(pushed[1]), "the value that holds now");
    // The last value holds as long as the one before it.
    assert_eq!(millis(time("to")) - millis(pushed[2]), millis(pushed[2]) - millis(pushed[1]));
    assert_eq!((&prediction["points"], &prediction["ended"]), (&json!(2), &json!(false)));
    let received = time("receivedAt").as_millisecond();
    assert!((before.as_millisecond()..=jiff::Timestamp::now().as_millisecond()).contains(&received), "{prediction}");

    let scene = scene.restarted(&SHORT_COOLDOWN);
    assert_eq!(scene.gateway.get(METRIC).await.json()["prediction"], prediction, "a restart changes nothing");
    let soon = |millis: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_millis(millis)).to_string();
    let short = json!({"forecast": [{"at": soon(0), "value": 1}, {"at": soon(100), "value": 1}]});
    assert_eq!(scene.gateway.post(METRIC, &short).await.status, 202);
    let ended = told(&scene.gateway, |prediction| prediction["ended"] == json!(true)).await;
    assert!(ended["receivedAt"].as_str() > prediction["receivedAt"].as_str(), "{ended}");
    scene.gateway.predicts(&[], [0, 0]).await;
    told(&scene.gateway, Value::is_null).await;
}

#[actix_web::test]
async fn as_many_points_as_are_promised_are_taken_in_however_they_are_written() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    scene.gateway.must_put(POLICY, &ahead("advise")).await;
    let points = |count: usize| -> Vec<Value> {
        let point = |minute: usize| json!({"at": at(1 + minute as i64 * 15).replace('Z', "+00:00"), "value": 1_234.567_890_123_456_7});
        (0..count).map(point).collect()
    };
    let pretty = serde_json::to_string_pretty(&json!({"forecast": points(MAX_POINTS)})).expect("JSON");
    let taken = scene.gateway.raw(&Raw::post(METRIC, pretty)).await;
    assert_eq!((taken.status, taken.json()["accepted"].as_u64()), (202, Some(MAX_POINTS as u64)), "{}", taken.text());
    let too_many = Raw::post(METRIC, json!({"forecast": points(MAX_POINTS + 1)}).to_string());
    let problem = scene.gateway.refuses(&too_many, 422, "validation_failed").await;
    assert_eq!(
        (problem.errors[0].pointer.as_str(), problem.errors[0].detail.as_str()),
        ("/forecast", "must have at most 600 entries")
    );
}

#[actix_web::test]
async fn predictions_that_make_no_sense_are_refused_whole() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    scene.gateway.refuses(&Raw::post(METRIC, forecast(&[]).to_string()), 404, "policy_not_found").await;
    scene.gateway.must_put(POLICY, &ahead("advise")).await;
    let unknown = Raw::post("/v1/resources/worker/metrics/queu", forecast(&[]).to_string());
    scene.gateway.refuses(&unknown, 404, "metric_not_found").await;
    scene.gateway.predicts(&[(0, 700.0), (300, 700.0)], [2, 0]).await;
    let good = forecast(&[(0, 1.0), (60, 2.0)])["forecast"].clone();
    let with = |more: Value| {
        let mut body = json!({"forecast": good});
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        body.to_string()
    };
    for (body, pointer, detail) in [
        (with(json!({"value": 1})), "/forecast", "must not be given together with value"),
        (with(json!({"samples": []})), "/forecast", "must not be given together with samples"),
        (
            forecast(&[(60, 1.0)]).to_string(),
            "/forecast",
            "must have two different times at least: a value holds until the next one",
        ),
        (
            forecast(&[(0, 1.0), (24_001, 1.0)]).to_string(),
            "/forecast/1/at",
            "must not be more than 400 hours in the future",
        ),
        (
            forecast(&[(0, 1.0), (60, -0.5)]).to_string(),
            "/forecast",
            "must not have negative values for the metric queue, which does not allow them",
        ),
        (
            r#"{"forecast": [{"at": "soon", "value": 1}]}"#.into(),
            "/forecast/0/at",
            "must be a time like 2026-01-31T12:00:00Z",
        ),
        (
            r#"{"forecast": [{"at": "2026-01-01T00:00:00Z", "at": "2026-01-02T00:00:00Z"}]}"#.into(),
            "/forecast/0/at",
            "is given twice",
        ),
    ] {
        let problem = scene.gateway.refuses(&Raw::post(METRIC, body.clone()), 422, "validation_failed").await;
        let errors: Vec<_> =
            problem.errors.iter().map(|error| (error.pointer.as_str(), error.detail.as_str())).collect();
        assert_eq!(errors, [(pointer, detail)], "{body}");
    }
    let infinite = Raw::post(METRIC, r#"{"forecast": [{"at": "2026-01-01T00:00:00Z", "value": 1e999}]}"#);
    scene.gateway.refuses(&infinite, 422, "validation_failed").await;
    scene.gateway.says("700 at 100 per unit needs 7").await;
    let heat = scene.gateway.post("/v1/resources/worker/metrics/heat", &forecast(&[(0, -1.0), (24_000, 1.0)])).await;
    assert_eq!(heat.status, 202, "{}", heat.text());
}
