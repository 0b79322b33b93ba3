//! A policy in the configuration file, over whole lives of the process.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::{Gateway, PATIENCE, Raw, run_to_its_end, serve};
use crate::support::sidecar::Sidecar;
use scalegate::sim::sidecar::Behaviour;

const QUICK: [&str; 6] = ["--cooldown", "200ms", "--settle", "100ms", "--poll-interval", "50ms"];
const POLICY: &str = "[resources.worker.policy]\nmin = 1\nmax = 5\nmetrics.queue.source.type = \"push\"\n\
                      rules = [{name = \"queue\", type = \"target\", metric = \"queue\", perUnit = 100}]\n";

struct Scene {
    sidecar: Sidecar,
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(100), ..Behaviour::default() };
        Self { sidecar: Sidecar::start(behaviour), dir: TempDir::new().expect("a directory") }
    }

    /// The path of a configuration file with this text.
    fn config(&self, text: &str) -> String {
        let path = self.dir.path().join("config.toml");
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }

    fn data(&self) -> std::path::PathBuf {
        Path::new(self.dir.path()).join("data")
    }

    fn start(&self, text: &str) -> Gateway {
        let config = self.config(text);
        Gateway::start(&self.data(), self.sidecar.address(), &[&QUICK[..], &["--config", &config]].concat())
    }
}

async fn until(gateway: &Gateway, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let shown = gateway.get(path).await.json();
        if wanted(&shown) {
            return shown;
        }
        assert!(begin.elapsed() < PATIENCE, "{shown:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn a_policy_in_the_file_replaces_a_stored_one_and_ends_when_it_is_taken_out() {
    let scene = Scene::new();
    let stored = scene.start("[resources.worker]\n");
    let document = json!({
        "min": 1, "max": 2, "metrics": {"queue": {"source": {"type": "push"}}},
        "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}],
    });
    stored.must_put("/v1/resources/worker/policy", &document).await;
    stored.kill();

    let gateway = scene.start(POLICY);
    let policy = until(&gateway, "/v1/resources/worker", |shown| shown["policy"]["inFile"] == true).await;
    assert_eq!(policy["listed"], true);
    // The policy in the file counts from the start; that it ended the stored one is on the disk a moment later.
    let is_ended = |shown: &Value| shown["revisions"][0]["policy"].is_null();
    let revisions = until(&gateway, "/v1/resources/worker/policy/revisions", is_ended).await;
    assert_eq!(revisions["revisions"][0]["by"]["kind"], "operator", "{revisions:#}");
    let put = Raw::put("/v1/resources/worker/policy", document.to_string());
    gateway.refuses(&put, 409, "policy_in_file").await;
    gateway.refuses(&Raw::new("DELETE", "/v1/resources/worker/policy"), 409, "policy_in_file").await;
    assert_eq!(gateway.post("/v1/resources/worker/metrics/queue", &json!({"value": 900})).await.status, 202);
    until(&gateway, "/v1/resources/worker", |shown| shown["capacity"] == 5).await;
    // What it remembers is on the disk within a second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    gateway.kill();

    let gateway = scene.start(POLICY);
    let decided = |shown: &Value| shown["policy"]["decided"] == 5 && shown["policy"]["conditions"] == json!([]);
    until(&gateway, "/v1/resources/worker", decided).await;
    gateway.kill();

    let gateway = scene.start("[resources.worker]\n");
    assert_eq!(gateway.get("/v1/resources/worker").await.json()["policy"], Value::Null);
    gateway.must_put("/v1/resources/worker/policy", &document).await;
}

#[actix_web::test]
async fn a_gateway_does_not_start_with_a_policy_that_makes_no_sense() {
    let scene = Scene::new();
    let config = scene.config(&POLICY.replace("max = 5", "max = 5\nmx = 6").replace("100", "0"));
    let mut command = serve(&scene.data(), scene.sidecar.address(), &["--config", &config]);
    let output = run_to_its_end(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for place in ["resources.worker.policy.mx in line 4 of", "resources.worker.policy.rules[0].perUnit in line 6 of"] {
        assert!(said.contains(place), "{place} is not in {said}");
    }
}
