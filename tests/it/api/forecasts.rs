//! A policy that looks ahead, with a history that is on the disk.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::{Gateway, PATIENCE};
use crate::support::sidecar::Sidecar;
use scalegate::sim::sidecar::Behaviour;

const MINUTES_OF_DAY: i64 = 1440;

/// A load that is more than three times as high from ten minutes after `begin` on, for some hours of each day.
fn load(minutes_after_begin: i64) -> f64 {
    if (10..300).contains(&minutes_after_begin.rem_euclid(MINUTES_OF_DAY)) { 870.0 } else { 250.0 }
}

/// One change takes longer than it is until the load rises, so that all that it needs is wanted now.
fn policy(rules: &Value) -> Value {
    json!({"mode": "advise", "min": 1, "max": 20, "rules": rules,
           "metrics": {"rps": {"source": {"type": "push"}, "maxAgeSeconds": 600}},
           "job": {"stepSize": 20, "expectedChangeSeconds": 1200}})
}

/// The rule that looks ahead, as it is evaluated once its history was read.
async fn ahead(gateway: &Gateway) -> Value {
    let begin = Instant::now();
    loop {
        let decision = gateway.post("/v1/resources/worker/policy/evaluate", &json!({})).await.json();
        let rule = decision["rules"].as_array().and_then(|rules| rules.last()).cloned().unwrap_or_default();
        let detail = rule["detail"].as_str().unwrap_or_default().to_owned();
        if detail.contains("needs") {
            return rule;
        }
        assert!(begin.elapsed() < PATIENCE && !detail.contains("distrusted"), "{decision:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn a_climb_begins_before_the_load_rises_and_a_restart_knows_it_too() {
    let (sidecar, dir) = (Sidecar::start(Behaviour::default()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &[]);
    let target = json!({"name": "now", "type": "target", "metric": "rps", "perUnit": 100});
    gateway.must_put("/v1/resources/worker/policy", &policy(&json!([target]))).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    // Patterns have bins of five minutes: at whole ones, the time of day at which this runs makes no difference.
    let begin = now.div_euclid(300) * 300;
    let minutes: Vec<i64> = (-4 * MINUTES_OF_DAY..=0).step_by(5).collect();
    for part in minutes.chunks(500) {
        let at = |minute: i64| jiff::Timestamp::from_second(begin + minute * 60).expect("a time").to_string();
        let samples: Vec<Value> =
            part.iter().map(|minute| json!({"at": at(*minute), "value": load(*minute)})).collect();
        let pushed = gateway.post("/v1/resources/worker/metrics/rps", &json!({"samples": samples})).await;
        assert_eq!(pushed.json()["accepted"], part.len(), "all are taken in");
    }
    let recorded = async || {
        let path = "/v1/resources/worker/metrics/rps?stepSeconds=3600";
        gateway.get(path).await.json()["points"].as_array().is_some_and(|points| !points.is_empty())
    };
    let begin = Instant::now();
    while !recorded().await {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let forecast = json!({"name": "ahead", "type": "forecast", "metric": "rps", "perUnit": 100});
    gateway.must_put("/v1/resources/worker/policy", &policy(&json!([target, forecast]))).await;
    let before = ahead(&gateway).await;
    assert_eq!(before["wants"], json!(9), "{before}");
    assert!(before["detail"].as_str().is_some_and(|detail| detail.contains("at 100 per unit needs 9 at")), "{before}");
    gateway.kill();
    let gateway = Gateway::start(dir.path(), sidecar.address(), &[]);
    let after = ahead(&gateway).await;
    assert_eq!(after["wants"], json!(9), "{after}");
}
