//! Backtests over HTTP: what they tell, what is refused, and that there is one at a time, as long as its caller is there.

use std::time::{Duration, Instant};

use scalegate::clock::wall_now;
use scalegate::domain::Timestamp;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Scene, seconds};
use crate::support::gateway::{Gateway, PATIENCE, Raw, Response, read_answer, run_to_its_end, scalegate};

const PATH: &str = "/v1/backtests";
const POLICY: &str = "/v1/resources/worker/policy";
const METRIC: &str = "/v1/resources/worker/metrics/queue";
const MINUTE: Duration = Duration::from_mins(1);

/// One unit for each 100 of a pushed metric; it is off, so that only backtests decide.
fn by_queue() -> Value {
    json!({"mode": "off", "min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}},
           "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}],
           "behavior": {"down": {"stabilizationSeconds": 120}}, "job": {"stepSize": 2, "cooldownSeconds": 180}})
}

/// Values for so many minutes up to the last whole one, but for an hour in the middle.
fn recorded(minutes: u32) -> Vec<(Timestamp, f64)> {
    let whole = wall_now().as_millis().div_euclid(60_000) * 60_000;
    let begin = Timestamp::from_millis(whole) - MINUTE * minutes;
    let gap = minutes / 2 - 30..minutes / 2 + 30;
    let value = |minute: u32| 500.0 + 450.0 * (f64::from(minute) / 15.0).sin();
    (0..minutes).filter(|minute| !gap.contains(minute)).map(|minute| (begin + MINUTE * minute, value(minute))).collect()
}

/// A gateway that has these values, and a policy that is off.
async fn scene_with(values: &[(Timestamp, f64)]) -> Scene {
    let scene = Scene::start(&["--max-request-rate", "0"]);
    scene.gateway.must_put(POLICY, &by_queue()).await;
    let samples: Vec<Value> = values.iter().map(|(at, value)| json!({"at": at.to_string(), "value": value})).collect();
    let pushed = scene.gateway.post(METRIC, &json!({"samples": samples})).await;
    assert_eq!(pushed.json(), json!({"accepted": values.len(), "ignored": 0}));
    let path = format!("{METRIC}?from={}", values[0].0);
    let begin = Instant::now();
    while scene.gateway.get(&path).await.json()["points"].as_array().map(Vec::len) != Some(values.len()) {
        assert!(begin.elapsed() < PATIENCE, "the values are not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene
}

fn post(body: &Value) -> Raw {
    Raw::post(PATH, body.to_string())
}

#[actix_web::test]
async fn a_policy_that_only_forecasts_is_judged_by_its_forecast_rule() {
    let scene = scene_with(&recorded(180)).await;
    let mut policy = by_queue();
    policy["rules"] = json!([{"name": "ahead", "type": "forecast", "metric": "queue", "perUnit": 50}]);
    let report = scene.gateway.post(PATH, &json!({"resource": "worker", "policy": policy})).await;
    assert_eq!((report.status, &report.json()["demand"]), (200, &json!({"metric": "queue", "perUnit": 50.0})));
}

/// A backtest that takes longer than any test: the best plan of many large steps, just small enough to be worked out.
fn endless() -> Value {
    let mut policy = by_queue();
    (policy["max"], policy["job"]["stepSize"]) = (json!(2900), json!(330));
    json!({"resource": "worker", "policy": policy})
}

fn quick(values: &[(Timestamp, f64)]) -> Value {
    json!({"resource": "worker", "to": (values[0].0 + 2 * MINUTE).to_string()})
}

impl Gateway {
    /// Sends a backtest that goes on until its caller hangs up, and waits until it runs.
    async fn begin_endless(&self, values: &[(Timestamp, f64)]) -> TcpStream {
        let request = [post(&endless()).head(), endless().to_string().into_bytes()].concat();
        let quick = quick(values);
        loop {
            let mut stream = self.connect().await;
            stream.write_all(&request).await.expect("sent");
            tokio::select! {
                // The other one came first.
                refused = read_answer(&mut stream, true) => assert_eq!(refused.status, 429, "{}", refused.text()),
                busy = self.backtest_until(&quick, 429) => {
                    assert_eq!(busy.problem().code.as_str(), "backtest_running");
                    assert!(seconds(&busy, "retry-after") > 0);
                    return stream;
                }
            }
        }
    }

    /// Asks for a backtest until the answer has this `status`.
    async fn backtest_until(&self, body: &Value, status: u16) -> Response {
        let begin = Instant::now();
        loop {
            let answer = self.raw(&post(body)).await;
            if answer.status == status {
                return answer;
            }
            assert!(matches!(answer.status, 200 | 429), "{}", answer.text());
            // An endless one would be refused after a minute.
            assert!(begin.elapsed() < Duration::from_secs(30), "{}", answer.text());
        }
    }
}

#[actix_web::test]
async fn a_backtest_has_the_numbers_of_the_command_on_the_same_values() {
    let values = recorded(240);
    let scene = scene_with(&values).await;
    let (from, to) = ((values[20].0).to_string(), (values[170].0).to_string());
    let body = json!({"resource": "worker", "from": from, "to": to, "plant": {"capacity": 3, "removalSeconds": 60}});
    let answer = scene.gateway.raw(&post(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = values.iter().map(|(at, value)| format!("{at},{value}\n"));
    let csv: String = std::iter::once("time,value\n".to_owned()).chain(rows).collect();
    let file = |name: &str| scene.dir.path().join(name);
    std::fs::write(file("queue.csv"), csv).expect("written");
    std::fs::write(file("policy.json"), by_queue().to_string()).expect("written");
    let mut command = scalegate();
    command.arg("backtest").arg("--policy").arg(file("policy.json"));
    command.arg("--metric").arg(format!("queue={}", file("queue.csv").display()));
    command.args(["--from", &from, "--to", &to, "--capacity", "3", "--removal", "60s", "--json"]);
    let by_command = run_to_its_end(&mut command);
    let by_command: Value = serde_json::from_slice(&by_command.stdout).expect("JSON");
    let mut by_gateway = answer.json();
    // All that is kept is known at the beginning, of which the command does not know how long that is.
    assert!(by_gateway["learnFrom"].as_str() <= Some(&from), "{by_gateway}");
    by_gateway["learnFrom"] = by_command["learnFrom"].clone();
    assert_eq!(by_gateway, by_command);
    let run = |name: &str| by_gateway["runs"].as_array().expect("runs").iter().find(|run| run["name"] == name).cloned();
    let (policy, limit) = (run("policy").expect("it ran"), run("limit").expect("it is small"));
    assert!(policy["changes"].as_u64() > Some(3), "{policy}");
    assert!(limit["unmetUnitHours"].as_f64() <= policy["unmetUnitHours"].as_f64(), "{limit} {policy}");
    let expected = json!({"provisioningSeconds": 300.0, "removalSeconds": 60.0, "stepSize": 2, "cooldownSeconds": 180.0, "capacity": 3});
    assert_eq!(by_gateway["plant"], expected);
    // All but the hour of the gap is judged, and four minutes of it: the last value before it counts for five.
    let fixed = run("fixed peak").expect("it ran");
    let judged = fixed["unitHours"].as_f64().expect("a number") / fixed["peak"].as_f64().expect("a number");
    let hours = values[170].0.since(values[20].0).as_secs_f64() / 3600.0;
    assert!((judged - (hours - 1.0 + 4.0 / 60.0)).abs() < 1e-9, "{judged} of {hours}");
    assert_eq!(scene.gateway.get("/v1/jobs").await.json()["jobs"], json!([]), "nothing is changed");
}

#[actix_web::test]
async fn what_is_left_out_has_defaults_and_the_answer_says_which() {
    let values = recorded(200);
    let scene = scene_with(&values).await;
    let answer = scene.gateway.post(PATH, &json!({"resource": "worker"})).await.json();
    assert_eq!(answer["from"], json!(values[0].0.to_string()));
    assert!(answer["to"].as_str() >= Some(&values[139].0.to_string()), "{answer}");
    assert_eq!(answer["demand"], json!({"metric": "queue", "perUnit": 100.0}));
    // A policy in the body takes the place of the one in force; what is surely not meant is told.
    let mut policy = by_queue();
    policy["metrics"]["other"] = json!({"source": {"type": "push"}});
    policy["rules"] = json!([{"name": "band", "type": "band", "metric": "queue", "high": 200, "low": 200},
                             {"name": "after", "type": "follow", "resource": "api"}]);
    let body = json!({"resource": "worker", "policy": policy, "plant": {"capacity": 7, "provisioningSeconds": 1.5,
        "cooldownSeconds": 0, "stepSize": 9}, "demand": {"metric": "queue", "perUnit": 50}});
    let answer = scene.gateway.post(PATH, &body).await.json();
    let expected = json!({"provisioningSeconds": 1.5, "removalSeconds": 0.0, "stepSize": 9, "cooldownSeconds": 0.0, "capacity": 7});
    assert_eq!((&answer["plant"], &answer["demand"]["perUnit"]), (&expected, &json!(50.0)));
    let codes: Vec<&str> =
        answer["warnings"].as_array().expect("a list").iter().filter_map(|warning| warning["code"].as_str()).collect();
    assert!(codes.contains(&"band_without_gap") && codes.contains(&"metric_unused"), "{codes:?}");
    let remarks = answer["remarks"].to_string();
    assert!(
        remarks.contains("metric other has no values") && remarks.contains("rule after has no opinion"),
        "{remarks}"
    );
    assert_eq!(scene.gateway.get(POLICY).await.json()["revision"], json!(1), "nothing is changed");
}

/// Where a caller does not say where the resource begins, its last reading does.
#[actix_web::test]
async fn a_resource_begins_where_it_is() {
    let scene = scene_with(&recorded(200)).await;
    let job =
        scene.gateway.submit(&json!({"resource": "worker", "targetCapacity": 2, "cooldownSeconds": 0.1})).await.id;
    scene.gateway.finish(job).await;
    let answer = scene.gateway.post(PATH, &json!({"resource": "worker"})).await.json();
    assert_eq!(answer["plant"]["capacity"], json!(2), "{answer}");
}

#[actix_web::test]
async fn what_makes_no_sense_is_told_with_its_place() {
    let values = recorded(200);
    let scene = scene_with(&values).await;
    let now = wall_now();
    let ago = |hours: u64| (now - Duration::from_hours(hours)).to_string();
    let ahead = (now + Duration::from_hours(1)).to_string();
    let with = |field: &str, value: Value| {
        let mut policy = by_queue();
        policy[field] = value;
        policy
    };
    let http = json!({"queue": {"source": {"type": "http", "url": "http://10.0.0.1/x", "pointer": "/a"}}});
    let follows_itself = json!([{"name": "a", "type": "follow", "resource": "worker"}]);
    for (fields, pointers) in [
        (json!({"resource": ""}), &["/resource"][..]),
        (json!({"resource": "a/b"}), &["/resource"]),
        (json!({"from": "yesterday"}), &["/from"]),
        (json!({"from": ago(24 * 40)}), &["/from"]),
        (json!({"from": ahead}), &["/from"]),
        (json!({"to": ahead, "learnFrom": ahead}), &["/to", "/learnFrom"]),
        (json!({"from": ago(1), "to": ago(2)}), &["/from"]),
        (json!({"from": ago(2), "learnFrom": ago(1)}), &["/learnFrom"]),
        (json!({"from": ago(300), "to": ago(299)}), &["/from"]),
        (json!({"to": ago(20)}), &["/from"]),
        (json!({"demand": {"metric": "queue", "perUnit": 0}}), &["/demand/perUnit"]),
        (json!({"demand": {"metric": "a-b", "perUnit": 1}}), &["/demand/metric"]),
        (json!({"demand": {"metric": "rps", "perUnit": 1}}), &["/demand/metric"]),
        (json!({"demand": {"metric": "queue"}}), &["/demand/perUnit"]),
        (
            json!({"plant": {"stepSize": 0, "capacity": 1_000_001, "provisioningSeconds": -1, "removalSeconds": 86_400.001}}),
            &["/plant/stepSize", "/plant/capacity", "/plant/provisioningSeconds", "/plant/removalSeconds"],
        ),
        (json!({"plant": {"size": 1}}), &["/plant/size"]),
        (json!({"colour": 1}), &["/colour"]),
        (json!({"policy": 1, "from": "x"}), &["/policy", "/from"]),
        (json!({"policy": with("max", json!("20")), "from": "x"}), &["/policy/max", "/from"]),
        (json!({"policy": with("metrics", http)}), &["/policy/metrics/queue/source/url"]),
        (json!({"policy": with("rules", follows_itself)}), &["/policy/rules/0/resource"]),
        (json!({"policy": with("rules", json!([{"name": "a", "type": "follow", "resource": "api"}]))}), &["/demand"]),
    ] {
        let mut body = json!({"resource": "worker"});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let problem = scene.gateway.refuses(&post(&body), 422, "validation_failed").await;
        let mut told: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        let mut pointers = pointers.to_vec();
        told.sort_unstable();
        pointers.sort_unstable();
        assert_eq!(told, pointers, "{body}: {problem:?}");
    }
    let twice =
        json!({"resource": "worker", "policy": by_queue()}).to_string().replace(r#""min":1"#, r#""min":1,"min":2"#);
    let problem = scene.gateway.refuses(&Raw::post(PATH, twice), 422, "validation_failed").await;
    assert_eq!(
        (problem.errors[0].pointer.as_str(), problem.errors[0].detail.as_str()),
        ("/policy/min", "is given twice")
    );
    scene.gateway.refuses(&post(&json!({"resource": "api"})), 404, "policy_not_found").await;
    let file = scene.dir.path().join("scalegate.toml");
    std::fs::write(&file, "only_listed = true\n[resources.worker]\nmax = 10\n").expect("written");
    let scene = scene.restarted(&["--config", file.to_str().expect("text")]);
    scene.gateway.refuses(&post(&json!({"resource": "ghost", "policy": by_queue()})), 404, "resource_not_found").await;
    let problem = scene
        .gateway
        .refuses(&post(&json!({"resource": "worker", "policy": by_queue()})), 422, "validation_failed")
        .await;
    assert_eq!(problem.errors[0].pointer, "/policy/max", "beyond what the operator allows");
    // The policy in force was put before that: the operator's bounds hold for it as they do live.
    let answer = scene.gateway.raw(&post(&json!({"resource": "worker", "plant": {"capacity": 1}}))).await.json();
    assert_eq!(answer["runs"][0]["peak"], json!(10), "{answer}");
}

#[actix_web::test]
async fn there_is_one_backtest_at_a_time_as_long_as_its_caller_is_there() {
    let values = recorded(500);
    let scene = scene_with(&values).await;
    let gateway = &scene.gateway;
    // What is wrong is told all the same.
    let mut stream = gateway.begin_endless(&values).await;
    gateway.refuses(&post(&json!({"resource": "worker", "from": "x"})), 422, "validation_failed").await;
    gateway.refuses(&post(&quick(&values)), 429, "backtest_running").await;
    assert_eq!(gateway.get("/v1/resources/worker/policy").await.status, 200, "all else goes on");
    // A caller that closes its side is told; one that has gone away looks the same.
    stream.shutdown().await.expect("half-closed");
    let ended = read_answer(&mut stream, true).await;
    assert_eq!((ended.status, ended.problem().code.as_str()), (503, "overloaded"));
    gateway.backtest_until(&quick(&values), 200).await;
    drop(gateway.begin_endless(&values).await);
    gateway.backtest_until(&quick(&values), 200).await;
}

#[actix_web::test]
async fn a_gateway_that_stops_does_not_wait_for_a_backtest() {
    let values = recorded(500);
    let mut scene = scene_with(&values).await;
    let mut stream = scene.gateway.begin_endless(&values).await;
    scene.gateway.signal("-TERM");
    assert_eq!(read_answer(&mut stream, true).await.problem().code.as_str(), "overloaded");
    let (code, took) = scene.gateway.wait();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
