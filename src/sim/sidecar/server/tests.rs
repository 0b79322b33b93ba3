use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::domain::{Alias, Capacity};
use crate::sim::sidecar::behaviour::Fault;

/// Longest wait for anything in these tests; only a failing one waits so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A simulator on a free port, by a clock that moves only when told to.
struct Stage {
    simulator: RunningSimulator,
    clock: Arc<AtomicI64>,
}

impl Stage {
    fn new(behaviour: Behaviour) -> Self {
        let clock = Arc::new(AtomicI64::new(1_769_860_800_000));
        let millis = Arc::clone(&clock);
        let now = move || Timestamp::from_millis(millis.load(Ordering::SeqCst));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self { simulator: Simulator::start(listener, behaviour, 1, now).expect("a simulator"), clock }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::SeqCst))
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.simulator.model().lock().expect("no panic elsewhere")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.simulator.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    fn worker_capacity(&self) -> u32 {
        self.model().true_capacity(self.now(), &worker()).units()
    }

    /// Sends one request over a connection of its own and reads until the server closes it.
    async fn exchange(&self, method: &str, path: &str, body: &str, headers: &str) -> String {
        let (mut stream, request) = (self.connect(), request(method, path, body, headers));
        blocking(move || {
            stream.write_all(request.as_bytes()).expect("written");
            let mut response = String::new();
            stream.read_to_string(&mut response).expect("the server closes the connection");
            response
        })
        .await
    }

    /// A connection kept alive after an add of one unit was answered on it.
    async fn idle_connection(&self) -> TcpStream {
        let mut stream = self.connect();
        let request = request("POST", ADD, r#"{"capacityToBeAdded": 1}"#, "");
        blocking(move || {
            stream.write_all(request.as_bytes()).expect("written");
            assert_ne!(stream.read(&mut [0; 1024]).expect("an answer"), 0);
            stream
        })
        .await
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        parse(&self.exchange(method, path, &body.to_string(), "Connection: close\r\n").await)
    }
}

fn worker() -> Alias {
    "worker".parse().expect("an alias")
}

fn request(method: &str, path: &str, body: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: sidecar\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Runs what blocks where it does not keep the server from running.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// Waits until the server closes `stream`, and fails if it says anything before.
async fn assert_closed(mut stream: TcpStream) {
    match blocking(move || stream.read(&mut [0; 1024])).await {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("expected the end, got {other:?}"),
    }
}

fn parse(response: &str) -> (u16, Value) {
    let (head, body) = response.split_once("\r\n\r\n").expect("a whole response");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status code");
    (status, if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("JSON") })
}

const ADD: &str = "/resource/worker/capacity/add";
const REMOVE: &str = "/resource/worker/capacity/remove";
const READ: &str = "/resource/worker/capacity";

#[actix_web::test]
async fn speaks_the_guides_api() {
    let stage = Stage::new(Behaviour::default());
    let changed = json!({"instanceId": "instance-simulated", "resourceId": "r-worker", "resourceAlias": "worker"});
    assert_eq!(stage.call("POST", ADD, json!({"capacityToBeAdded": 3})).await, (200, changed.clone()));
    assert_eq!(stage.call("POST", REMOVE, json!({"capacityToBeRemoved": 1})).await, (200, changed));
    stage.clock.fetch_add(20_000, Ordering::SeqCst);
    let reading = json!({"instanceId": "instance-simulated", "resourceId": "r-worker", "resourceAlias": "worker",
        "status": "ACTIVE", "currentCapacity": 3, "lastObservedTimestamp": "2026-01-31T12:00:20.000Z"});
    assert_eq!(stage.call("GET", READ, Value::Null).await, (200, reading));
    stage.simulator.stop().await.expect("stopped");
}

#[actix_web::test]
async fn changes_several_resources_in_one_request() {
    let stage = Stage::new(Behaviour::default());
    for (path, field, expected) in
        [("/resources/capacity/add", "capacityToBeAdded", 3), ("/resources/capacity/remove", "capacityToBeRemoved", 1)]
    {
        let body = json!({"resources": [{"resourceAlias": "api", field: 1}, {"resourceAlias": "worker", field: 2}]});
        let answer = json!({"instanceId": "instance-simulated", "resources": [
            {"resourceAlias": "api", "resourceId": "r-api"}, {"resourceAlias": "worker", "resourceId": "r-worker"}]});
        assert_eq!(stage.call("POST", path, body).await, (200, answer));
        assert_eq!(stage.worker_capacity(), expected);
    }
}

#[actix_web::test]
async fn refuses_nonsense_in_the_platforms_form() {
    let stage = Stage::new(Behaviour::default());
    let huge = format!("{{\"padding\": \"{}\"}}", "x".repeat(MAX_BODY_BYTES));
    for (method, path, body, status) in [
        ("POST", ADD, "", 400),
        ("POST", ADD, "{", 400),
        ("POST", ADD, "[]", 400),
        ("POST", ADD, r#"{"capacityToBeRemoved": 1}"#, 400),
        ("POST", ADD, r#"{"capacityToBeAdded": 1.5}"#, 400),
        ("POST", ADD, r#"{"capacityToBeAdded": "1"}"#, 400),
        ("POST", ADD, r#"{"capacityToBeAdded": 0}"#, 400),
        ("POST", REMOVE, r#"{"capacityToBeRemoved": -1}"#, 400),
        ("POST", ADD, &huge, 400),
        ("POST", "/resources/capacity/add", "{}", 400),
        ("POST", "/resources/capacity/add", r#"{"resources": []}"#, 400),
        ("POST", "/resources/capacity/add", r#"{"resources": [{"resourceAlias": "worker"}]}"#, 400),
        ("POST", "/resources/capacity/add", r#"{"resources": [{"resourceAlias": "..", "capacityToBeAdded": 1}]}"#, 400),
        ("PUT", "/simulator/resource/worker/capacity", r#"{"capacity": -1}"#, 400),
        ("PUT", "/simulator/faults", r#"{"changes": ["no_such_fault"]}"#, 400),
        ("POST", "/resource/worker/capacity/double", "{}", 404),
        ("POST", READ, "{}", 404),
        ("GET", ADD, "", 404),
        ("GET", "/resource/%2e%2e/capacity", "", 404),
        ("GET", "/resources/capacity", "", 404),
        ("GET", "/", "", 404),
    ] {
        let response = stage.exchange(method, path, body, "Connection: close\r\n").await;
        let (answered, error) = parse(&response);
        assert_eq!(answered, status, "{method} {path}: {error}");
        assert_eq!(error["name"], if status == 400 { "bad_request" } else { "not_found" });
        for field in ["id", "message", "temporary", "timeout", "fault"] {
            assert!(!error[field].is_null(), "{method} {path}: {error}");
        }
    }
    assert_eq!(stage.worker_capacity(), 1);
}

#[actix_web::test]
async fn a_lost_answer_is_not_one_byte() {
    let stage = Stage::new(Behaviour::default());
    for (fault, capacity) in [(Fault::AnswerLost, 2), (Fault::RequestLost, 2)] {
        stage.model().script_change(fault);
        // The client would keep this connection: closing it is the server's doing.
        let response = stage.exchange("POST", ADD, r#"{"capacityToBeAdded": 1}"#, "").await;
        assert_eq!((response.as_str(), stage.worker_capacity()), ("", capacity), "{fault:?}");
    }
    stage.model().script_read(Fault::AnswerLost);
    assert_eq!(stage.exchange("GET", READ, "", "").await, "");
    assert_eq!(stage.call("GET", READ, Value::Null).await.0, 200, "other connections are none the worse for it");
}

#[actix_web::test]
async fn a_slow_answer_comes_after_its_change_was_applied() {
    let mut behaviour = Behaviour::default();
    behaviour.faults.slow_for = Duration::from_millis(300);
    let stage = Stage::new(behaviour);
    stage.model().script_change(Fault::Slow);
    let sent = std::time::Instant::now();
    assert_eq!(stage.call("POST", ADD, json!({"capacityToBeAdded": 1})).await.0, 200);
    assert!(sent.elapsed() >= Duration::from_millis(300));
    assert_eq!(stage.worker_capacity(), 2);
}

#[actix_web::test]
async fn garbage_is_a_200_that_is_not_json() {
    let stage = Stage::new(Behaviour::default());
    stage.model().script_read(Fault::Garbage);
    let response = stage.exchange("GET", READ, "", "Connection: close\r\n").await;
    let (head, body) = response.split_once("\r\n\r\n").expect("a whole response");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(serde_json::from_str::<Value>(body).is_err(), "{body}");
}

#[actix_web::test]
async fn other_processes_can_script_disturb_and_judge() {
    let stage = Stage::new(Behaviour::default());
    let script = json!({"changes": ["error_before"]});
    assert_eq!(stage.call("PUT", "/simulator/faults", script).await.0, 204);
    let script = json!({"changes": [null, "error_after"], "reads": ["error_before"]});
    assert_eq!(stage.call("PUT", "/simulator/faults", script).await.0, 204, "replaces the script before");
    assert_eq!(stage.call("POST", ADD, json!({"capacityToBeAdded": 1})).await.0, 200);
    assert_eq!(stage.call("POST", ADD, json!({"capacityToBeAdded": 1})).await.0, 500);
    assert_eq!(stage.call("GET", READ, Value::Null).await.0, 500);
    let path = "/simulator/resource/worker/capacity";
    assert_eq!(stage.call("PUT", path, json!({"capacity": 9})).await, (204, Value::Null));
    assert_eq!(stage.worker_capacity(), 9);

    let (status, log) = stage.call("GET", "/simulator/log", Value::Null).await;
    assert_eq!(status, 200);
    let kinds: Vec<_> = log["records"].as_array().expect("records").iter().map(|r| r["kind"].clone()).collect();
    assert_eq!(kinds, ["add", "add_applied", "add", "add_applied", "read", "set_by_other"]);
    assert_eq!(
        log["records"][2],
        json!({"atMillis": 1_769_860_800_000_i64, "alias": "worker", "kind": "add", "units": 1, "capacityBefore": 2,
            "capacityAfter": 2, "fault": "error_after", "status": 500})
    );
}

#[actix_web::test]
async fn stopping_closes_everything_and_resuming_goes_on() {
    let stage = Stage::new(Behaviour::default());
    let (address, model) = (stage.simulator.address(), Arc::clone(stage.simulator.model()));
    let idle = stage.idle_connection().await;
    stage.simulator.stop().await.expect("stopped");
    assert_closed(idle).await;
    assert_eq!(TcpStream::connect(address).expect_err("no server listens").kind(), ErrorKind::ConnectionRefused);

    let clock = Arc::clone(&stage.clock);
    let now = move || Timestamp::from_millis(clock.load(Ordering::SeqCst));
    let listener = TcpListener::bind(address).expect("the port is free");
    let simulator = Simulator::resume(listener, model, now).expect("a simulator");
    let stage = Stage { simulator, clock: stage.clock };
    assert_eq!(stage.call("GET", READ, Value::Null).await.1["currentCapacity"], 2);
}

#[actix_web::test]
async fn nothing_reaches_the_model_once_it_is_stopped() {
    let (entered, mut entries) = mpsc::unbounded_channel();
    // Keeps the server's thread busy, with a request half done, for longer than stopping would otherwise take.
    let slow_clock = move || {
        let _ = entered.send(());
        std::thread::sleep(Duration::from_millis(300));
        Timestamp::from_millis(0)
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let simulator = Simulator::start(listener, Behaviour::default(), 1, slow_clock).expect("a simulator");
    let model = Arc::clone(simulator.model());
    let mut client = TcpStream::connect(simulator.address()).expect("a connection");
    client.write_all(request("GET", READ, "", "").as_bytes()).expect("written");
    timeout(PATIENCE, entries.recv()).await.expect("the request is under way");
    simulator.stop().await.expect("stopped");
    assert_eq!(Arc::strong_count(&model), 1, "only this test can reach the model");
}

/// A simulator that has applied a change and will answer in an hour, and the connection that waits for it.
async fn stage_with_a_waiting_client() -> (Stage, TcpStream) {
    let mut behaviour = Behaviour::default();
    behaviour.faults.slow_for = Duration::from_secs(3_600);
    let stage = Stage::new(behaviour);
    stage.model().script_change(Fault::Slow);
    let mut client = stage.connect();
    client.write_all(request("POST", ADD, r#"{"capacityToBeAdded": 1}"#, "").as_bytes()).expect("written");
    let applied = async {
        while stage.worker_capacity() == 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, applied).await.expect("the change is applied before it is answered");
    (stage, client)
}

#[actix_web::test]
async fn stopping_does_not_wait_for_a_slow_answer() {
    let (stage, client) = stage_with_a_waiting_client().await;
    timeout(PATIENCE, stage.simulator.stop()).await.expect("at once").expect("stopped");
    assert_closed(client).await;
}

#[actix_web::test]
async fn a_dropped_simulator_stops() {
    let (stage, client) = stage_with_a_waiting_client().await;
    drop(stage);
    assert_closed(client).await;
}

#[test]
fn serves_in_a_plain_tokio_runtime_and_not_without_one() {
    let listener = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let now = || Timestamp::from_millis(0);
    assert!(Simulator::start(listener(), Behaviour::default(), 1, now).is_err());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stage = Stage::new(Behaviour { start_capacity: Capacity::ZERO, ..Behaviour::default() });
        assert_eq!(stage.call("GET", READ, Value::Null).await.1["status"], "PAUSED");
        stage.simulator.stop().await.expect("stopped");
    });
}
