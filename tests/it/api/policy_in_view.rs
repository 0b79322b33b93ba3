//! What a policy decides, as callers see it without asking for it: in streams, and in the view of its resource.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::events::Events;
use crate::support::gateway::{Gateway, PATIENCE, Raw};
use crate::support::sidecar::Sidecar;
use scalegate::sim::sidecar::Behaviour;

const QUICK: [&str; 6] = ["--cooldown", "200ms", "--settle", "100ms", "--poll-interval", "50ms"];

struct Scene {
    gateway: Gateway,
    _sidecar: Sidecar,
    _dir: TempDir,
}

impl Scene {
    fn start() -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(100), ..Behaviour::default() };
        let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let gateway = Gateway::start(dir.path(), sidecar.address(), &QUICK);
        Self { gateway, _sidecar: sidecar, _dir: dir }
    }

    async fn put_policy(&self, resource: &str) {
        self.put_policy_in(resource, "active").await;
    }

    async fn put_policy_in(&self, resource: &str, mode: &str) {
        let policy = json!({
            "mode": mode, "min": 1, "max": 9,
            "metrics": {"queue": {"source": {"type": "push"}}},
            "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}],
        });
        self.gateway.must_put(&format!("/v1/resources/{resource}/policy"), &policy).await;
    }

    async fn push(&self, resource: &str, value: f64) {
        let path = format!("/v1/resources/{resource}/metrics/queue");
        assert_eq!(self.gateway.post(&path, &json!({"value": value})).await.status, 202);
    }

    /// The resource, as soon as it is as wanted.
    async fn resource(&self, alias: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let resource = self.gateway.get(&format!("/v1/resources/{alias}")).await.json();
            if wanted(&resource) {
                return resource;
            }
            assert!(begin.elapsed() < PATIENCE, "{resource:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Streams tell each decision of the resources that they are about, and before it of nothing that is not durable.
#[actix_web::test]
async fn decisions_are_told_to_those_who_listen() {
    let scene = Scene::start();
    let mut stream = Events::open(scene.gateway.address, "/v1/events?resource=worker", None).await;
    stream.expect("ready").await;
    scene.put_policy("other").await;
    scene.put_policy("worker").await;
    scene.push("worker", 250.0).await;
    let decision = loop {
        let event = stream.next().await.expect("no end");
        if event.name == "decision" {
            assert_eq!((event.id, &event.data["resource"]), (None, &json!("worker")));
            if event.data["action"] == "submitted" {
                break event.data;
            }
        }
    };
    assert_eq!((&decision["decided"], &decision["mode"]), (&json!(3), &json!("active")));
    let job = decision["jobId"].as_str().expect("a job");
    assert_eq!(scene.gateway.get(&format!("/v1/jobs/{job}")).await.status, 200, "it is durable");
    let listed = scene.gateway.get("/v1/resources/worker/decisions").await.json();
    let same = listed["decisions"].as_array().expect("decisions").iter().find(|listed| listed["id"] == decision["id"]);
    assert_eq!(same.map(|same| &same["detail"]), Some(&decision["detail"]));
}

/// Streams tell that a policy was switched off and deleted. No old decision of one that is off is shown as if it were the present
/// one.
#[actix_web::test]
async fn policies_are_told_to_those_who_listen() {
    let scene = Scene::start();
    scene.put_policy("worker").await;
    scene.push("worker", 100.0).await;
    scene.resource("worker", |resource| resource["policy"]["decided"] == 1).await;
    let mut stream = Events::open(scene.gateway.address, "/v1/events?resource=worker", None).await;
    stream.expect("ready").await;
    scene.put_policy("other").await;
    scene.put_policy_in("worker", "off").await;
    let resource = scene.resource("worker", |_| true).await;
    let policy = &resource["policy"];
    assert_eq!((&policy["mode"], &policy["revision"]), (&json!("off"), &json!(2)));
    for field in ["decided", "decidedAt", "detail", "lastDecision"] {
        assert_eq!(policy[field], Value::Null, "{field}");
    }
    assert_eq!(scene.gateway.raw(&Raw::new("DELETE", "/v1/resources/worker/policy")).await.status, 204);
    let mut told = Vec::new();
    while told.len() < 2 {
        let event = stream.next().await.expect("no end");
        if event.name == "policy" {
            assert_eq!(event.id, None);
            told.push(event.data);
        }
    }
    let expected = [
        json!({"resource": "worker", "revision": 2, "mode": "off"}),
        json!({"resource": "worker", "revision": null, "mode": null}),
    ];
    assert_eq!(told, expected);
}

/// A resource shows its policy with the whole last decision, its hold and its claims; a list leaves out what is long.
#[actix_web::test]
async fn a_resource_shows_what_stands_about_it() {
    let scene = Scene::start();
    let bare = scene.resource("worker", |resource| resource["capacity"] == 1).await;
    assert_eq!((&bare["policy"], &bare["hold"], &bare["claims"]), (&Value::Null, &Value::Null, &json!([])));
    scene.put_policy("worker").await;
    let claim = json!({"units": 2, "forSeconds": 600, "owner": "import"});
    assert_eq!(scene.gateway.post("/v1/resources/worker/claims", &claim).await.status, 201);
    scene.push("worker", 100.0).await;
    let settled = |resource: &Value| resource["policy"]["decided"] == 2 && resource["claims"][0]["satisfied"] == true;
    let shown = scene.resource("worker", settled).await;
    let policy = &shown["policy"];
    assert_eq!((&policy["revision"], &policy["mode"], &policy["inFile"]), (&json!(1), &json!("active"), &json!(false)));
    let decision = &policy["lastDecision"];
    assert_eq!((&decision["limitedBy"], &decision["detail"]), (&json!("claims"), &policy["detail"]));
    assert_eq!(decision["lastAt"], policy["decidedAt"]);
    assert_eq!(shown["claims"][0]["owner"], "import");

    scene.gateway.must_put("/v1/resources/worker/hold", &json!({"forSeconds": 600, "reason": "migration"})).await;
    let is_held = |resource: &Value| resource["policy"]["conditions"][0]["code"] == "held";
    let held = scene.resource("worker", is_held).await;
    assert_eq!(held["hold"]["reason"], "migration");
    assert_eq!(held["policy"]["conditions"][0]["until"], held["hold"]["until"]);

    let list = scene.gateway.get("/v1/resources").await.json();
    let listed = &list["resources"][0];
    assert_eq!((&listed["policy"]["lastDecision"], &listed["claims"]), (&Value::Null, &Value::Null));
    assert_eq!((&listed["policy"]["detail"], &listed["hold"]), (&held["policy"]["detail"], &held["hold"]));
}
