//! Traces, from a caller through the real binary to a sidecar, as a collector sees them.

mod collector;

use scalegate::domain::StateName;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use crate::support::gateway::{Gateway, Response, run_to_its_end, serve};
use collector::{Collector, RecordingSidecar, Told};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

const SETTINGS: [&str; 6] = ["--cooldown", "300ms", "--settle", "200ms", "--poll-interval", "50ms"];
/// Long enough that a job is still waiting when it is looked for.
const SLOW: [&str; 6] = ["--cooldown", "1500ms", "--settle", "200ms", "--poll-interval", "50ms"];
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const STATE: &str = "vendor=some words,other=1";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

fn traceparent() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

fn directory() -> TempDir {
    TempDir::new().expect("a directory")
}

/// A gateway that tells `endpoint` of its spans at once.
fn telling(dir: &TempDir, sidecar: SocketAddr, endpoint: &str, more: &[&str]) -> Command {
    let mut command = serve(dir.path(), sidecar, more);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "20");
    command
}

async fn submit(gateway: &Gateway, target: u32, headers: &[(&str, &str)]) -> Response {
    let response =
        gateway.post_with("/v1/jobs", &json!({"resource": "worker", "targetCapacity": target}), headers).await;
    assert_eq!(response.status, 202, "{}", response.text());
    response
}

async fn finish(gateway: &Gateway, id: Uuid) {
    let job = gateway.finish(id).await;
    assert_eq!(job.state, StateName::Succeeded, "{job:#?}");
}

fn calls_for(spans: &[Told], job: Uuid) -> Vec<Told> {
    let is_call = |span: &&Told| span.kind == CLIENT && span.attributes["scalegate.job.id"] == job.to_string();
    spans.iter().filter(is_call).cloned().collect()
}

/// Waits until all calls that reached the sidecar for `job` were told, and each was told it is what it is: a child of
/// the job's span, known to the sidecar by its own id.
async fn assert_calls_belong(collector: &Collector, sidecar: &RecordingSidecar, id: Uuid, job: &Told) -> Vec<Told> {
    let received = sidecar.received();
    let in_trace = |parent: &str| parent.starts_with(&format!("00-{}-", job.trace)) && parent.ends_with("-01");
    let mut known = BTreeSet::new();
    for call in &received {
        let [parent] = &call.trace.0[..] else { panic!("not one traceparent: {call:?}") };
        assert!(in_trace(parent), "{call:?} is not in {job:#?}");
        let fresh = known.insert((call.method.clone(), parent[36..52].to_owned()));
        assert!(fresh, "two calls are told apart: {received:#?}");
    }
    let spans = collector.wait_for("spans of all calls", |spans| calls_for(spans, id).len() == received.len()).await;
    let calls = calls_for(&spans, id);
    let told = calls.iter().map(|call| (call.attribute("http.request.method").to_owned(), call.id.clone())).collect();
    assert_eq!(known, told);
    for call in &calls {
        assert_eq!((&call.trace, &call.parent), (&job.trace, &job.id), "{call:#?}");
        assert_eq!(call.attribute("scalegate.resource"), "worker");
        assert!(call.start_nanos <= call.end_nanos);
    }
    calls
}

#[actix_web::test]
async fn one_trace_from_the_caller_to_the_sidecar() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SETTINGS));
    let parent = traceparent();
    let accepted = submit(&gateway, 3, &[("traceparent", &parent), ("tracestate", STATE)]).await;
    let id = accepted.job().id;
    finish(&gateway, id).await;

    let request = collector.span("POST /v1/jobs").await;
    assert_eq!((request.trace.as_str(), request.parent.as_str(), request.kind), (TRACE, CALLER, SERVER));
    assert_eq!(request.state, STATE);
    assert_eq!(request.attribute("http.request.method"), "POST");
    assert_eq!(request.attribute("http.route"), "/v1/jobs");
    assert_eq!(request.attribute("url.path"), "/v1/jobs");
    assert_eq!(request.attribute("http.response.status_code"), "202");
    assert_eq!(Some(request.attribute("scalegate.request.id")), accepted.header("x-request-id"));
    assert_eq!(request.resource["service.name"], "scalegate");
    assert_eq!(request.resource["service.version"], env!("CARGO_PKG_VERSION"));

    let job = collector.span("job").await;
    assert_eq!((job.trace.as_str(), &job.parent), (TRACE, &request.id));
    assert_eq!(job.id, format!("{:016x}", id.as_u64_pair().1));
    for (name, value) in [
        ("scalegate.job.id", id.to_string().as_str()),
        ("scalegate.resource", "worker"),
        ("scalegate.job.state", "succeeded"),
        ("scalegate.start", "1"),
        ("scalegate.target", "3"),
        ("scalegate.job.steps", "2"),
    ] {
        assert_eq!(job.attribute(name), value);
    }
    let step = ["change sent", "change resolved"];
    assert_eq!(job.events, [&["started"][..], &step, &step].concat());
    let took = Duration::from_nanos(job.end_nanos - job.start_nanos);
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(30), "{took:?}");
    assert!(request.start_nanos.abs_diff(job.start_nanos) < 1_000_000_000, "{request:#?} {job:#?}");
    assert!(!job.failed && !request.failed);

    let calls = assert_calls_belong(&collector, &sidecar, id, &job).await;
    assert!(sidecar.received().iter().all(|call| call.trace.1 == [STATE]), "{:#?}", sidecar.received());
    let adds: Vec<&Told> = calls.iter().filter(|call| call.name == "POST capacity/add").collect();
    assert_eq!(adds.len(), 2);
    for add in adds {
        assert_eq!((add.attribute("scalegate.op"), add.attribute("scalegate.units")), ("add", "1"));
        assert_eq!(add.attribute("scalegate.outcome"), "acknowledged");
    }
    let read = calls.iter().find(|call| call.name == "GET capacity").expect("a reading");
    assert_eq!((read.attribute("scalegate.outcome"), read.attribute("http.response.status_code")), ("answered", "200"));

    let poll = collector.span("GET /v1/jobs/{id}").await;
    assert_ne!(poll.trace, TRACE, "no caller said that it belongs there");
    assert_eq!(poll.parent, "");
}

#[actix_web::test]
async fn the_same_trace_after_a_crash() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SLOW));
    let id = submit(&gateway, 3, &[("traceparent", &traceparent())]).await.job().id;
    let request = collector.span("POST /v1/jobs").await;
    collector.span("POST capacity/add").await;
    gateway.wait_for(id, |job| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown")).await;
    gateway.kill();
    sidecar.forget();
    let before = collector.spans();
    assert!(before.iter().all(|span| span.name != "job"), "it is not over");

    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SLOW));
    finish(&gateway, id).await;
    let job = collector.span("job").await;
    assert_eq!((job.trace.as_str(), &job.parent), (TRACE, &request.id));
    assert_eq!(job.events.len(), 5, "also what the process before did: {job:#?}");
    let spans = collector
        .wait_for("the second change", |spans| {
            spans.iter().filter(|span| span.name == "POST capacity/add").count() == 2
        })
        .await;
    let calls = calls_for(&spans, id);
    assert!(calls.len() > calls_for(&before, id).len());
    assert!(calls.iter().all(|call| call.trace == TRACE && call.parent == job.id), "{calls:#?}");
    let received = sidecar.received();
    assert!(!received.is_empty() && received.iter().all(|call| call.trace.0[0][3..35] == *TRACE), "{received:#?}");
}

#[actix_web::test]
async fn without_a_caller_the_request_begins_the_trace() {
    let invalid = [&traceparent().to_uppercase(), "00-1-2-01", &format!("{}-x", traceparent())].map(str::to_owned);
    for headers in [
        &[][..],
        &[("traceparent", invalid[0].as_str()), ("tracestate", STATE)],
        &[("traceparent", invalid[1].as_str())],
        &[("traceparent", invalid[2].as_str())],
    ] {
        let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
        let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SETTINGS));
        let id = submit(&gateway, 2, headers).await.job().id;
        finish(&gateway, id).await;
        let (request, job) = (collector.span("POST /v1/jobs").await, collector.span("job").await);
        assert_eq!((request.parent.as_str(), request.state.as_str()), ("", ""), "{headers:?}");
        assert_ne!(request.trace, TRACE);
        assert_eq!((&job.trace, &job.parent), (&request.trace, &request.id));
        assert_calls_belong(&collector, &sidecar, id, &job).await;
    }
}

#[actix_web::test]
async fn a_client_that_looks_on_has_a_trace_as_well() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let parent = traceparent();
    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SETTINGS));
    assert_eq!(gateway.get_with("/v1/resources/worker", ("traceparent", &parent)).await.status, 200);
    let body = json!({"resource": "worker", "targetCapacity": 3});
    assert_eq!(gateway.post_with("/v1/plans", &body, &[("traceparent", &parent)]).await.status, 200);
    for name in ["GET /v1/resources/{alias}", "POST /v1/plans"] {
        let request = collector.span(name).await;
        assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, CALLER));
        collector.wait_for("its call", |spans| spans.iter().any(|span| span.parent == request.id)).await;
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(gateway.get(path).await.status, 200);
    }
    assert_eq!(gateway.get("/nowhere/at/all").await.status, 404);
    // They are told in the order in which they ended.
    let nowhere = collector.span("GET").await;
    assert_eq!(nowhere.attribute("http.response.status_code"), "404");
    let probes =
        collector.spans().into_iter().filter(|span| span.name.contains("livez") || span.name.contains("readyz"));
    assert_eq!(probes.collect::<Vec<_>>(), []);
}

/// The names of the threads of a process.
#[cfg(target_os = "linux")]
fn threads(gateway: &Gateway) -> BTreeSet<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).expect("it lives");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name == "traces" || name.contains("Telemetry")).collect()
}

#[actix_web::test]
async fn off_it_passes_on_what_the_caller_said_and_does_nothing_else() {
    let (sidecar, dir) = (RecordingSidecar::start(), directory());
    let quiet = |dir: &TempDir| {
        let mut command = serve(dir.path(), sidecar.address, &SLOW);
        command.env("OTEL_SERVICE_NAME", "scaler").env("OTEL_TRACES_SAMPLER", "always_on");
        Gateway::start_with(command)
    };
    let gateway = quiet(&dir);
    #[cfg(target_os = "linux")]
    assert_eq!(threads(&gateway), BTreeSet::new());
    // Flags that mean nothing here belong to other programs.
    let parent = traceparent().replace("-01", "-03");
    let assert_passed_on = |trace: &[&str], state: &[&str]| {
        let received = sidecar.received();
        assert!(!received.is_empty());
        assert!(
            received.iter().all(|call| (&call.trace.0[..], &call.trace.1[..])
                == (
                    &trace.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()[..],
                    &state.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..],
                )),
            "{received:#?}"
        );
        sidecar.forget();
    };
    let id = submit(&gateway, 3, &[("traceparent", &parent), ("tracestate", STATE)]).await.job().id;
    gateway.wait_for(id, |job| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown")).await;
    gateway.kill();
    let gateway = quiet(&dir);
    finish(&gateway, id).await;
    assert_passed_on(&[&parent], &[STATE]);

    gateway.get_with("/v1/resources/worker", ("traceparent", &parent)).await;
    assert_passed_on(&[&parent], &[]);
    let id = submit(&gateway, 4, &[("traceparent", "00-nonsense-01"), ("tracestate", STATE)]).await.job().id;
    finish(&gateway, id).await;
    assert_passed_on(&[], &[]);
    let id = submit(&gateway, 3, &[("traceparent", &parent), ("tracestate", &"x".repeat(513))]).await.job().id;
    finish(&gateway, id).await;
    assert_passed_on(&[&parent], &[]);
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn on_it_has_its_threads() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SETTINGS));
    assert_eq!(threads(&gateway).len(), 2, "{:?}", threads(&gateway));
}

/// Jobs that were accepted while no collector listened have a trace of their own when one does.
#[actix_web::test]
async fn a_job_without_a_trace_gets_its_own() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let gateway = Gateway::start_with(serve(dir.path(), sidecar.address, &SLOW));
    let id = submit(&gateway, 3, &[]).await.job().id;
    gateway.wait_for(id, |job| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown")).await;
    gateway.kill();
    sidecar.forget();
    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SLOW));
    finish(&gateway, id).await;
    let job = collector.span("job").await;
    assert_eq!((job.trace, job.parent), (id.simple().to_string(), String::new()));
    let job = collector.span("job").await;
    assert_calls_belong(&collector, &sidecar, id, &job).await;
}

#[actix_web::test]
async fn who_repeats_or_joins_does_not_change_the_job() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SLOW));
    let (parent, other) = (traceparent(), traceparent().replace("0af", "fff"));
    let body = json!({"resource": "worker", "targetCapacity": 3});
    let key = ("idempotency-key", "the-same");
    let first = gateway.post_with("/v1/jobs", &body, &[("traceparent", &parent), key]).await;
    let again = gateway.post_with("/v1/jobs", &body, &[("traceparent", &other), key]).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")), "{}", again.text());
    let joined = gateway.post_with("/v1/jobs", &body, &[("traceparent", &other)]).await;
    assert_eq!(joined.status, 200);
    let id = first.job().id;
    assert_eq!((again.job().id, joined.job().id), (id, id));
    finish(&gateway, id).await;
    let job = collector.span("job").await;
    assert_eq!(job.trace, TRACE);
    assert_calls_belong(&collector, &sidecar, id, &job).await;
    let requests = collector.spans().into_iter().filter(|span| span.name == "POST /v1/jobs");
    let others: Vec<Told> = requests.filter(|span| span.trace != TRACE).collect();
    assert_eq!(others.len(), 2, "they have their own: {others:#?}");
}

/// What a job failed of is in its span, and what went wrong in those of the calls.
#[actix_web::test]
async fn failures_are_told() {
    let (collector, dir) = (Collector::start(), directory());
    let no_sidecar = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let impatient = ["--active-timeout", "400ms", "--poll-interval", "100ms"];
    let gateway = Gateway::start_with(telling(&dir, no_sidecar, &collector.url(), &impatient));
    let id = submit(&gateway, 3, &[]).await.job().id;
    assert_eq!(gateway.finish(id).await.state, StateName::Failed);
    let job = collector.span("job").await;
    assert_eq!((job.attribute("scalegate.job.state"), job.failed), ("failed", true));
    assert_eq!(job.attribute("error.type"), "sidecar_unreachable");
    let call = collector.span("GET capacity").await;
    assert_eq!((call.attribute("scalegate.outcome"), call.failed), ("failed", true));
}

/// A call that no caller waits for any more has a span all the same.
#[actix_web::test]
async fn calls_that_are_given_up_are_told() {
    let (collector, dir) = (Collector::start(), directory());
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let sidecar = silent.local_addr().expect("an address");
    let mut gateway = Gateway::start_with(telling(&dir, sidecar, &collector.url(), &SETTINGS));
    let id = submit(&gateway, 3, &[]).await.job().id;
    let _unanswered = silent.accept().await.expect("a call");
    gateway.signal("-TERM");
    let gone = tokio::task::spawn_blocking(move || gateway.wait()).await.expect("no panic");
    assert_eq!(gone.0, Some(0));
    let call = collector.span("GET capacity").await;
    assert_eq!(call.attribute("scalegate.outcome"), "given_up");
    assert_eq!(call.attribute("scalegate.job.id"), id.to_string());
}

fn warnings(log: &[Value]) -> Vec<&Value> {
    log.iter().filter(|line| line["message"].as_str().is_some_and(|text| text.starts_with("traces cannot"))).collect()
}

#[actix_web::test]
async fn a_collector_that_is_not_there_does_no_harm() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nowhere = silent.local_addr().expect("an address");
    for (endpoint, timeout) in [(closed, "100"), (nowhere, "100"), (nowhere, "60000")] {
        let (sidecar, dir) = (RecordingSidecar::start(), directory());
        let mut command = telling(&dir, sidecar.address, &format!("http://{endpoint}"), &SETTINGS);
        command.env("OTEL_EXPORTER_OTLP_TIMEOUT", timeout);
        let mut gateway = Gateway::start_with(command);
        let mut log = Vec::new();
        for target in [3, 1] {
            let id = submit(&gateway, target, &[("traceparent", &traceparent())]).await.job().id;
            finish(&gateway, id).await;
        }
        let patient = timeout != "100";
        while !patient && warnings(&log).is_empty() {
            log.extend(gateway.log());
            tokio::task::yield_now().await;
        }
        gateway.signal("-TERM");
        let (code, took) = gateway.wait();
        log.extend(gateway.log());
        assert_eq!(code, Some(0), "{log:#?}");
        assert!(took < Duration::from_millis(4500), "it took {took:?}");
        assert_eq!(warnings(&log).len(), usize::from(!patient), "{log:#?}");
    }
}

#[actix_web::test]
async fn a_collector_that_recovers_is_told_again() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    collector.answer_with(400);
    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SETTINGS));
    let mut log = Vec::new();
    while warnings(&log).is_empty() {
        gateway.get("/v1/jobs").await;
        log.extend(gateway.log());
    }
    assert!(warnings(&log)[0]["cause"].as_str().is_some_and(|cause| cause.contains("400")), "{log:#?}");
    collector.answer_with(200);
    let again = |log: &[Value]| log.iter().any(|line| line["message"] == "traces are exported again");
    while !again(&log) {
        gateway.get("/v1/jobs").await;
        log.extend(gateway.log());
    }
    collector.span("GET /v1/jobs").await;
    assert_eq!(warnings(&log).len(), 1, "{log:#?}");
}

#[actix_web::test]
async fn what_is_left_is_told_when_it_stops() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let mut command = telling(&dir, sidecar.address, &collector.url(), &SETTINGS);
    command.env("OTEL_BSP_SCHEDULE_DELAY", "600000");
    let mut gateway = Gateway::start_with(command);
    gateway.get("/v1/jobs").await;
    assert_eq!(collector.spans(), []);
    gateway.signal("-TERM");
    // The collector lives on this thread.
    let gone = tokio::task::spawn_blocking(move || gateway.wait()).await.expect("no panic");
    assert_eq!(gone.0, Some(0));
    assert_eq!(collector.spans().len(), 1);
}

#[actix_web::test]
async fn the_standard_variables_are_obeyed() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let mut command = telling(&dir, sidecar.address, "http://127.0.0.1:1", &SETTINGS);
    command
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", collector.url()))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc%20def")
        .env("OTEL_SERVICE_NAME", "scaler")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=mine");
    let gateway = Gateway::start_with(command);
    gateway.get("/v1/jobs").await;
    let span = collector.span("GET /v1/jobs").await;
    assert_eq!(span.resource["service.name"], "scaler");
    assert_eq!(span.resource["deployment.environment.name"], "test");
    assert_eq!(span.resource["service.version"], "mine");
    assert_eq!(collector.header("x-token").as_deref(), Some("abc def"));
    drop(gateway);

    // Nothing is recorded, which the sidecar is told as well.
    let (collector, dir) = (Collector::start(), directory());
    let mut command = telling(&dir, sidecar.address, &collector.url(), &SETTINGS);
    command.env("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let mut gateway = Gateway::start_with(command);
    let id = submit(&gateway, 2, &[]).await.job().id;
    finish(&gateway, id).await;
    gateway.signal("-TERM");
    tokio::task::spawn_blocking(move || gateway.wait()).await.expect("no panic");
    assert_eq!(collector.spans(), []);
    let received = sidecar.received();
    assert!(!received.is_empty() && received.iter().all(|call| call.trace.0[0].ends_with("-00")), "{received:#?}");
}

#[test]
fn what_cannot_be_stops_the_start() {
    for (name, value) in
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:4318"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
    {
        let (dir, no_sidecar) = (directory(), SocketAddr::from(([127, 0, 0, 1], 1)));
        let mut command = telling(&dir, no_sidecar, "http://127.0.0.1:4318", &[]);
        let ended = run_to_its_end(command.env(name, value));
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        let (_, end) = name.rsplit_once('_').expect("more than one word");
        assert!(said.starts_with("scalegate: ") && said.to_uppercase().contains(end), "{said}");
    }
}

/// Lines of the log can be found by the trace they belong to.
#[actix_web::test]
async fn the_log_names_the_trace() {
    let (collector, sidecar, dir) = (Collector::start(), RecordingSidecar::start(), directory());
    let gateway = Gateway::start_with(telling(&dir, sidecar.address, &collector.url(), &SETTINGS));
    submit(&gateway, 2, &[("traceparent", &traceparent())]).await;
    let mut log = Vec::new();
    while !log.iter().any(|line: &Value| line["message"] == "audit") {
        log.extend(gateway.log());
        tokio::task::yield_now().await;
    }
    let line = log.iter().find(|line| line["message"] == "audit").expect("it was there");
    assert_eq!(line["span"]["trace"], TRACE, "{line:#?}");
}
