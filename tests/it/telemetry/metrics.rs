//! What Prometheus scrapes from the real binary: that the values are true, that there are not too many of them, and
//! that the dashboard and the alerts in `examples` ask for nothing that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::failing_disk::{Disk, ENOSPC};
use crate::support::gateway::{Gateway, PATIENCE, Raw};
use crate::support::sidecar::{Sidecar, units, worker};
use scalegate::api::view::JobView;
use scalegate::domain::StateName;
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

const SHORT_COOLDOWN: [&str; 6] = ["--cooldown", "300ms", "--settle", "200ms", "--poll-interval", "50ms"];
/// A job with more than one step to go waits in its first cooldown for as long as a test lasts.
const LONG_COOLDOWN: [&str; 6] = ["--cooldown", "10m", "--settle", "200ms", "--poll-interval", "50ms"];

fn sidecar() -> Sidecar {
    Sidecar::start(Behaviour { provisioning: Duration::from_millis(100), ..Behaviour::default() })
}

/// What was scraped: the samples by name and labels, and the types by name.
struct Scrape {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
    text: String,
}

impl Scrape {
    async fn of(gateway: &Gateway) -> Self {
        let response = gateway.get("/metrics").await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::parse(response.text().into_owned())
    }

    fn parse(text: String) -> Self {
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines().filter(|line| !line.starts_with("# HELP ")) {
            if let Some(named) = line.strip_prefix("# TYPE ") {
                let (name, kind) = named.split_once(' ').expect("a name and a type");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
                let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
            }
        }
        Self { samples, types, text }
    }

    /// The value of exactly this series, labels in alphabetical order.
    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in\n{}", self.text))
    }

    /// The series that begin like this.
    fn like(&self, beginning: &str) -> Vec<(&str, f64)> {
        let like = self.samples.iter().filter(|(series, _)| series.starts_with(beginning));
        like.map(|(series, value)| (series.as_str(), *value)).collect()
    }

    fn sum(&self, beginning: &str) -> f64 {
        self.like(beginning).iter().map(|(_, value)| value).sum()
    }
}

/// Scrapes until it is as wanted.
async fn until(gateway: &Gateway, what: &str, wanted: impl Fn(&Scrape) -> bool) -> Scrape {
    let begin = Instant::now();
    loop {
        let scrape = Scrape::of(gateway).await;
        if wanted(&scrape) {
            return scrape;
        }
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}\n{}", scrape.text);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn cools(job: &JobView) -> bool {
    job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown")
}

/// Jobs of every kind, and then everything that is counted is compared to what the jobs themselves say.
#[actix_web::test]
async fn what_is_counted_is_what_the_jobs_say() {
    let (sidecar, dir) = (sidecar(), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SHORT_COOLDOWN);
    let mut jobs = Vec::new();
    // Succeeds after another program interfered.
    let disturbed = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    gateway.wait_for(disturbed, cools).await;
    assert!(sidecar.with(|model, now| model.set_capacity(now, &worker(), units(5))));
    jobs.push(gateway.finish(disturbed).await);
    // Fails, because the platform has bounds that the gateway does not know of.
    sidecar.with(|model, _| model.behaviour_mut().bounds.max = units(3));
    let refused = gateway.submit(&json!({"resource": "worker", "targetCapacity": 9})).await.id;
    jobs.push(gateway.finish(refused).await);
    // Is superseded while it waits for the other's turn, which is canceled.
    let body = json!({"resource": "other", "targetCapacity": 3, "cooldownSeconds": 600});
    let superseded = gateway.submit(&body).await.id;
    gateway.wait_for(superseded, cools).await;
    let body = json!({"resource": "other", "targetCapacity": 2, "cooldownSeconds": 600, "onConflict": "supersede", "delta": null});
    let last = gateway.submit(&body).await.id;
    jobs.push(gateway.finish(superseded).await);
    jobs.push(gateway.finish(last).await);
    let body = json!({"resource": "third", "targetCapacity": 3, "cooldownSeconds": 600});
    let canceled = gateway.submit(&body).await.id;
    gateway.wait_for(canceled, cools).await;
    gateway.post(&format!("/v1/jobs/{canceled}/cancel"), &Value::Null).await;
    jobs.push(gateway.finish(canceled).await);

    use StateName::{Canceled, Failed, Succeeded, Superseded};
    let states: Vec<StateName> = jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [Succeeded, Failed, Superseded, Succeeded, Canceled]);
    let scrape = Scrape::of(&gateway).await;
    for (state, code, count) in [
        ("succeeded", "none", 2.0),
        ("failed", "sidecar_rejected", 1.0),
        ("failed", "no_progress", 0.0),
        ("superseded", "none", 1.0),
        ("canceled", "none", 1.0),
    ] {
        let labels = format!("{{error_code=\"{code}\",state=\"{state}\"}}");
        assert_eq!(scrape.value(&format!("scalegate_jobs_ended_total{labels}")), count, "{labels}");
    }
    for (state, count) in
        [("queued", 0.0), ("running", 0.0), ("succeeded", 2.0), ("failed", 1.0), ("canceled", 1.0), ("superseded", 1.0)]
    {
        assert_eq!(scrape.value(&format!("scalegate_jobs{{state=\"{state}\"}}")), count, "{state}");
    }
    assert_eq!(scrape.value("scalegate_jobs_accepted_total"), 5.0);
    let versions: u64 = jobs.iter().map(|job| job.version).sum();
    assert_eq!(scrape.value("scalegate_job_events_total"), versions as f64);
    assert_eq!(scrape.value("scalegate_external_changes_total"), 1.0);
    assert_steps(&scrape, &jobs);
    assert_times(&scrape, &jobs);

    let calls = |labels: &str| scrape.value(&format!("scalegate_sidecar_calls_total{{{labels}}}"));
    assert_eq!(calls("operation=\"add\",outcome=\"rejected\""), 1.0);
    let sent = sidecar.changes().len() as f64;
    let changes = ["add", "remove"].map(|op| scrape.sum(&format!("scalegate_sidecar_calls_total{{operation=\"{op}\"")));
    assert_eq!(changes.iter().sum::<f64>(), sent);
    assert!(calls("operation=\"read\",outcome=\"ok\"") >= sent, "each change was read back");
    let timed = scrape.value("scalegate_sidecar_call_duration_seconds_count{operation=\"add\"}");
    assert_eq!(timed, changes[0], "each call was timed");
    assert_eq!(scrape.sum("scalegate_store_failures_total"), 0.0);
    let commits = scrape.value("scalegate_store_commit_duration_seconds_count");
    assert!(commits > 5.0 && commits == scrape.value("scalegate_store_commit_batches_count"));
    assert!(scrape.value("scalegate_store_commit_batches_sum") >= commits);
    assert!(scrape.value("scalegate_sidecar_last_success_age_seconds") < PATIENCE.as_secs_f64());
}

fn assert_steps(scrape: &Scrape, jobs: &[JobView]) {
    let mut expected = BTreeMap::new();
    for step in jobs.iter().flat_map(|job| &job.steps) {
        let series = format!("scalegate_steps_total{{op=\"{}\",outcome=\"{}\"}}", step.op, step.outcome);
        *expected.entry(series).or_insert(0.0) += 1.0;
    }
    assert!(expected.len() >= 3, "added, removed and rejected: {expected:?}");
    let counted: BTreeMap<String, f64> = scrape
        .like("scalegate_steps_total")
        .into_iter()
        .filter(|(_, n)| *n > 0.0)
        .map(|(s, n)| (s.into(), n))
        .collect();
    assert_eq!(counted, expected);
}

/// Durations to the millisecond, and waits that fit into them.
fn assert_times(scrape: &Scrape, jobs: &[JobView]) {
    let lived = |job: &JobView| job.finished_at.expect("it is over").0.since(job.created_at.0).as_secs_f64();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
    let total: f64 = jobs.iter().map(lived).sum();
    assert!(close(scrape.sum("scalegate_job_duration_seconds_sum"), total));
    assert_eq!(scrape.sum("scalegate_job_duration_seconds_count"), jobs.len() as f64);
    // A job waits from its first version to its end, and always for something.
    let waited = scrape.sum("scalegate_job_waiting_seconds_total");
    assert!(close(waited, total), "{waited} of {total}");
    let cooled = scrape.value("scalegate_job_waiting_seconds_total{reason=\"cooldown\"}");
    assert!(cooled > 0.2 && cooled < total, "a cooldown of 300 ms was waited for: {cooled}");
}

/// Everything about resources while jobs run, wait and are configured.
#[actix_web::test]
async fn resources_are_shown_as_they_are() {
    let (sidecar, dir) = (sidecar(), TempDir::new().expect("a directory"));
    let gateway = busy_gateway(dir.path(), &sidecar).await;
    let scrape = Scrape::of(&gateway).await;
    for (name, value) in [("capacity", 2.0), ("target_capacity", 4.0), ("min_capacity", 1.0), ("max_capacity", 6.0)] {
        assert_eq!(scrape.value(&format!("scalegate_resource_{name}{{resource=\"worker\"}}")), value, "{name}");
    }
    assert_eq!(scrape.value("scalegate_resource_queued_jobs{resource=\"worker\"}"), 2.0);
    assert_eq!(scrape.value("scalegate_resource_ready{resource=\"worker\"}"), 1.0);
    assert_eq!(scrape.value("scalegate_resource_waiting{reason=\"cooldown\",resource=\"worker\"}"), 1.0);
    assert_eq!(scrape.like("scalegate_resource_waiting").len(), 1, "one reason for the one running job");
    let remaining = scrape.value("scalegate_resource_cooldown_remaining_seconds{resource=\"worker\"}");
    assert!(remaining > 500.0 && remaining <= 600.0, "{remaining}");
    for name in ["reading_age", "job_age"] {
        let age = scrape.value(&format!("scalegate_resource_{name}_seconds{{resource=\"worker\"}}"));
        assert!((0.0..PATIENCE.as_secs_f64()).contains(&age), "{name}: {age}");
    }
    // Listed, but nothing is known about it.
    assert_eq!(scrape.like("scalegate_resource_capacity{resource=\"idle\"}"), []);
    assert_eq!(scrape.value("scalegate_resource_min_capacity{resource=\"idle\"}"), 0.0);
    assert_eq!(scrape.like("scalegate_resource_max_capacity{resource=\"idle\"}"), [], "it has no limit");
    assert_eq!(scrape.value("scalegate_resource_cooldown_remaining_seconds{resource=\"idle\"}"), 0.0);
    for (reason, count) in [("turn", 2.0), ("cooldown", 1.0), ("sidecar", 0.0)] {
        assert_eq!(scrape.value(&format!("scalegate_jobs_waiting{{reason=\"{reason}\"}}")), count, "{reason}");
    }
    for (state, count) in [("queued", 2.0), ("running", 1.0), ("succeeded", 0.0)] {
        assert_eq!(scrape.value(&format!("scalegate_jobs{{state=\"{state}\"}}")), count, "{state}");
    }
    assert_eq!((scrape.value("scalegate_resources"), scrape.value("scalegate_resources_omitted")), (2.0, 0.0));
    assert_eq!(scrape.value("scalegate_engine_available"), 1.0);
    assert_eq!(scrape.value(&format!("scalegate_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    // A process of this machine, started just now.
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    assert!((now - scrape.value("process_start_time_seconds")).abs() < PATIENCE.as_secs_f64());
    if cfg!(target_os = "linux") {
        assert!(scrape.value("process_cpu_seconds_total") > 0.0);
        assert!(scrape.value("process_resident_memory_bytes") > 1e6);
        assert!(scrape.value("process_open_fds") > 5.0);
    }
}

/// A gateway whose one job has taken a step and is cooling down, with two more in the queue.
async fn busy_gateway(dir: &Path, sidecar: &Sidecar) -> Gateway {
    let config = dir.join("config.toml");
    std::fs::write(&config, "[resources.worker]\nmin = 1\nmax = 6\n[resources.idle]\n").expect("written");
    let config = config.to_str().expect("text");
    let gateway =
        Gateway::start(&dir.join("data"), sidecar.address(), &[&LONG_COOLDOWN[..], &["--config", config]].concat());
    let running = gateway.submit(&json!({"resource": "worker", "targetCapacity": 4})).await.id;
    gateway.wait_for(running, cools).await;
    for target in [5, 6] {
        gateway.submit(&json!({"resource": "worker", "targetCapacity": target, "onConflict": "queue"})).await;
    }
    gateway
}

/// After a restart counters begin at zero, what is a matter of now is as it was, and a job that goes on is counted
/// once.
#[actix_web::test]
async fn a_restart_counts_nothing_twice() {
    let (sidecar, dir) = (sidecar(), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SHORT_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 2});
    let done = gateway.submit(&body).await.id;
    gateway.finish(done).await;
    let goes_on = gateway.submit(&json!({"resource": "worker", "targetCapacity": 4})).await.id;
    gateway.wait_for(goes_on, |job| job.steps.len() == 1 && cools(job)).await;
    gateway.kill();
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SHORT_COOLDOWN);
    gateway.finish(goes_on).await;
    let scrape = Scrape::of(&gateway).await;
    assert_eq!(scrape.value("scalegate_jobs_accepted_total"), 0.0, "both were accepted before");
    assert_eq!(scrape.value("scalegate_jobs_ended_total{error_code=\"none\",state=\"succeeded\"}"), 1.0);
    assert_eq!(scrape.value("scalegate_steps_total{op=\"add\",outcome=\"confirmed\"}"), 1.0, "two were before");
    assert_eq!(scrape.value("scalegate_jobs{state=\"succeeded\"}"), 2.0);
}

/// A gateway that cannot write says so in its metrics, and the rest of them is there.
#[actix_web::test]
async fn a_gateway_whose_engine_is_away_still_answers() {
    let (sidecar, disk) = (sidecar(), Disk::new());
    let gateway = disk.start(&sidecar);
    let job = gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await.id;
    gateway.finish(job).await;
    assert_eq!(Scrape::of(&gateway).await.value("scalegate_engine_available"), 1.0);
    disk.fails("write", ENOSPC);
    let refused = gateway.post("/v1/jobs", &json!({"resource": "worker", "targetCapacity": 1})).await;
    assert_eq!(refused.status, 503);
    let away = until(&gateway, "the engine is away", |scrape| scrape.value("scalegate_engine_available") == 0.0).await;
    assert!(away.value("scalegate_store_failures_total{operation=\"commit\"}") >= 1.0);
    assert_eq!(away.value("scalegate_jobs{state=\"succeeded\"}"), 1.0);
    assert_eq!(away.like("scalegate_resource_capacity"), [], "no sidecar says what it is now");
    disk.works();
    let back = until(&gateway, "the engine is back", |scrape| scrape.value("scalegate_engine_available") == 1.0).await;
    assert_eq!(back.value("scalegate_resources"), 1.0);
    let job = gateway.submit(&json!({"resource": "worker", "targetCapacity": 1})).await.id;
    gateway.finish(job).await;
    let succeeded = "scalegate_jobs_ended_total{error_code=\"none\",state=\"succeeded\"}";
    assert_eq!(Scrape::of(&gateway).await.value(succeeded), 2.0, "it goes on counting where it was");
}

/// Calls that get no answer are counted as such, and the age of the last success grows.
#[actix_web::test]
async fn a_sidecar_that_is_gone_is_noticed() {
    let dir = TempDir::new().expect("a directory");
    let no_sidecar = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let gateway = Gateway::start(dir.path(), no_sidecar, &["--poll-interval", "20ms"]);
    gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await;
    let failed = "scalegate_sidecar_calls_total{operation=\"read\",outcome=\"no_answer\"}";
    let before = until(&gateway, "calls fail", |scrape| scrape.value(failed) >= 2.0).await;
    assert_eq!(before.sum("scalegate_sidecar_calls_total{operation=\"read\",outcome=\"ok\"}"), 0.0);
    let age = "scalegate_sidecar_last_success_age_seconds";
    let later = until(&gateway, "more calls fail", |scrape| scrape.value(failed) > before.value(failed)).await;
    assert!(later.value(age) > before.value(age));
    until(&gateway, "the job waits for it", |scrape| {
        scrape.like("scalegate_resource_waiting{reason=\"sidecar\",resource=\"worker\"}").len() == 1
    })
    .await;
}

/// Whatever is requested, routes are patterns, methods and statuses come from a short list, and held answers are
/// watchers and no slow requests.
#[actix_web::test]
async fn requests_are_counted_by_route() {
    let (sidecar, dir) = (sidecar(), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &LONG_COOLDOWN);
    let job = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    gateway.wait_for(job, cools).await;
    let polled = Scrape::of(&gateway)
        .await
        .value(r#"scalegate_http_requests_total{method="GET",route="/v1/jobs/{id}",status="200"}"#);
    for n in 0..20 {
        gateway.get(&format!("/nothing/{n}")).await;
        gateway.get(&format!("/v1/jobs/{n}")).await;
        gateway.get(&format!("/v1/resources/r{n}")).await;
        gateway.raw(&Raw::new(&format!("VERB{n}"), "/v1/jobs")).await;
        gateway.raw(&Raw::new("HEAD", &format!("/docs/{n}"))).await;
    }
    let path = format!("/v1/jobs/{job}");
    let (held, ()) = tokio::join!(gateway.get_with(&path, ("Prefer", "wait=2")), async {
        let series = "scalegate_watchers{kind=\"long_poll\"}";
        until(&gateway, "a client waits", |scrape| scrape.value(series) == 1.0).await;
    });
    assert_eq!(held.header("preference-applied"), Some("wait=2"));
    // Streams, until their callers hang up.
    let streams = "scalegate_watchers{kind=\"event_stream\"}";
    for kind in ["event_stream", "long_poll"] {
        assert!(Scrape::of(&gateway).await.value(&format!("scalegate_watchers_limit{{kind=\"{kind}\"}}")) >= 1.0);
    }
    let mut followed = gateway.connect().await;
    followed.write_all(&Raw::get(&format!("{path}/events")).head()).await.expect("sent");
    until(&gateway, "a stream is open", |scrape| scrape.value(streams) == 1.0).await;
    drop(followed);
    until(&gateway, "the stream is gone", |scrape| scrape.value(streams) == 0.0).await;
    let scrape = Scrape::of(&gateway).await;
    assert_eq!(scrape.value("scalegate_watchers{kind=\"long_poll\"}"), 0.0);
    let count = |labels: &str| scrape.value(&format!("scalegate_http_requests_total{{{labels}}}"));
    assert_eq!(count(r#"method="GET",route="other",status="404""#), 20.0);
    assert_eq!(count(r#"method="GET",route="/v1/jobs/{id}",status="404""#), 20.0);
    assert_eq!(count(r#"method="GET",route="/v1/resources/{alias}",status="200""#), 20.0);
    assert_eq!(count(r#"method="other",route="/v1/jobs",status="405""#), 20.0);
    assert_eq!(count(r#"method="HEAD",route="/docs/{page:.*}",status="404""#), 20.0);
    assert_eq!(count(r#"method="POST",route="/v1/jobs",status="202""#), 1.0);
    assert_eq!(count(r#"method="GET",route="/v1/jobs/{id}/events",status="200""#), 1.0);
    assert!(count(r#"method="GET",route="/metrics",status="200""#) >= 2.0);
    assert_eq!(count(r#"method="GET",route="/v1/jobs/{id}",status="200""#), polled + 1.0, "the held one");
    let series = |name: &str| scrape.value(&format!("{name}{{method=\"GET\",route=\"/v1/jobs/{{id}}\"}}"));
    assert_eq!(series("scalegate_http_request_duration_seconds_count"), polled + 20.0, "all but the held one");
    assert!(series("scalegate_http_request_duration_seconds_sum") < 2.0);
    let number = scrape.like("scalegate_http_requests_total").len();
    assert!(number < 15, "{number} series\n{}", scrape.text);
}

/// A policy that decides on one metric, lacks another and is held.
#[actix_web::test]
async fn policies_are_shown_with_what_they_lack_and_what_stops_them() {
    let (sidecar, dir) = (sidecar(), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SHORT_COOLDOWN);
    gateway.must_put("/v1/resources/worker/hold", &json!({"forSeconds": 600, "direction": "up"})).await;
    gateway.must_put("/v1/resources/worker/policy", &policy()).await;
    let mut off = policy();
    off["mode"] = json!("off");
    gateway.must_put("/v1/resources/other/policy", &off).await;
    let pushed = gateway.post("/v1/resources/worker/metrics/queue", &json!({"value": 4000})).await;
    assert_eq!(pushed.status, 202, "{pushed:?}");
    let wanted = "scalegate_policy_wanted_capacity{resource=\"worker\"}";
    let scrape = until(&gateway, "the value counts", |scrape| scrape.like(wanted) == [(wanted, 40.0)]).await;
    assert_eq!(scrape.value("scalegate_policy_max_capacity{resource=\"worker\"}"), 9.0);
    assert_eq!(scrape.value("scalegate_policy_decided_capacity{resource=\"worker\"}"), 1.0, "it is held");
    for (metric, missing) in [("queue", 0.0), ("rps", 1.0)] {
        let series = format!("scalegate_policy_metric_missing{{metric=\"{metric}\",resource=\"worker\"}}");
        assert_eq!(scrape.value(&series), missing, "{metric}");
    }
    let conditions = scrape.like("scalegate_policy_condition");
    let condition = |code: &str| format!("scalegate_policy_condition{{code=\"{code}\",resource=\"worker\"}}");
    assert_eq!(conditions, [(&*condition("held"), 1.0), (&*condition("metric_missing"), 1.0)]);
    assert_eq!(scrape.value("scalegate_policy_forecast_trusted{resource=\"worker\",rule=\"ahead\"}"), 0.0);
    assert_eq!(scrape.like("scalegate_policy_forecast_trusted{resource=\"other\""), [], "it is off");
    let remaining = scrape.value("scalegate_resource_hold_remaining_seconds{resource=\"worker\"}");
    assert!(remaining > 500.0 && remaining <= 600.0, "{remaining}");
    for (mode, count) in [("active", 1.0), ("advise", 0.0), ("off", 1.0)] {
        assert_eq!(scrape.value(&format!("scalegate_policies{{mode=\"{mode}\"}}")), count, "{mode}");
    }
    assert!(scrape.value("scalegate_policy_decisions_total{action=\"none\"}") >= 1.0);
    assert_eq!(scrape.value("scalegate_policy_decisions_total{action=\"submitted\"}"), 0.0);
    assert_eq!(scrape.like("scalegate_policy_decided_capacity{resource=\"other\"}"), [], "it is off");

    let released = gateway.raw(&Raw::new("DELETE", "/v1/resources/worker/hold")).await;
    assert_eq!(released.status, 204, "{released:?}");
    let submitted = "scalegate_policy_decisions_total{action=\"submitted\"}";
    let scrape = until(&gateway, "it acts", |scrape| scrape.value(submitted) == 1.0).await;
    assert_eq!(scrape.value("scalegate_policy_decided_capacity{resource=\"worker\"}"), 9.0);
    assert_eq!(scrape.like("scalegate_resource_hold_remaining_seconds"), []);
}

/// A policy of a metric that is pushed, and of one that never comes.
fn policy() -> Value {
    json!({
        "min": 1, "max": 9,
        "metrics": {"queue": {"source": {"type": "push"}}, "rps": {"source": {"type": "push"}}},
        "rules": [
            {"name": "queue", "type": "target", "metric": "queue", "perUnit": 100},
            {"name": "rps", "type": "target", "metric": "rps", "perUnit": 100},
            {"name": "ahead", "type": "forecast", "metric": "rps", "perUnit": 100},
        ],
    })
}

/// At most a thousand resources are named, and always the same ones.
#[actix_web::test]
async fn the_number_of_series_is_bounded() {
    let (sidecar, dir) = (sidecar(), TempDir::new().expect("a directory"));
    let config = dir.path().join("config.toml");
    let listed: String = (0..1005).map(|n| format!("[resources.r{n:04}]\nmax = 9\n")).collect();
    std::fs::write(&config, listed).expect("written");
    let config = config.to_str().expect("text");
    let gateway = Gateway::start(&dir.path().join("data"), sidecar.address(), &["--config", config]);
    // First by name, but not listed.
    let unlisted = gateway.submit(&json!({"resource": "a", "targetCapacity": 1})).await.id;
    gateway.finish(unlisted).await;
    let scrape = Scrape::of(&gateway).await;
    let named = |scrape: &Scrape| -> BTreeSet<String> {
        scrape.like("scalegate_resource_max_capacity").iter().map(|(series, _)| (*series).to_owned()).collect()
    };
    assert_eq!(named(&scrape).len(), 1000);
    assert_eq!((scrape.value("scalegate_resources"), scrape.value("scalegate_resources_omitted")), (1006.0, 6.0));
    assert_eq!(scrape.like("scalegate_resource_queued_jobs{resource=\"a\"}"), []);
    assert_eq!(named(&Scrape::of(&gateway).await), named(&scrape));
}

/// The names of metrics in a text, as they are in the types of a scrape.
fn names_in(text: &str, types: &BTreeMap<String, String>) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for prefix in ["scalegate_", "process_"] {
        for (at, _) in text.match_indices(prefix).filter(|(at, _)| !text[..*at].ends_with(is_name)) {
            let name: String = text[at..].chars().take_while(|c| is_name(*c)).collect();
            let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let histogram = stem.filter(|stem| types.get(*stem).is_some_and(|kind| kind == "histogram"));
            names.insert(histogram.unwrap_or(&name).to_owned());
        }
    }
    names
}

/// The dashboard and the alerts name only what a gateway at work exports, and the dashboard leaves none of it out.
#[actix_web::test]
async fn dashboard_and_alerts_ask_for_what_is_there() {
    let (sidecar, dir) = (sidecar(), TempDir::new().expect("a directory"));
    let gateway = busy_gateway(dir.path(), &sidecar).await;
    gateway.must_put("/v1/resources/idle/policy", &policy()).await;
    gateway.must_put("/v1/resources/idle/hold", &json!({"forSeconds": 600})).await;
    let scrape = until(&gateway, "the policy knows of the hold", |scrape| {
        !scrape.like("scalegate_policy_condition{code=\"held\"").is_empty()
    })
    .await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let read = |name: &str| std::fs::read_to_string(here.join(name)).expect("the example");
    // How good a forecast is shows once it was compared with what came: after days of values.
    let later = ["error", "naive_error", "coverage"].map(|name| format!("scalegate_policy_forecast_{name}"));
    let exported: BTreeSet<String> = scrape.types.keys().cloned().chain(later).collect();

    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().expect("a query")).collect();
    assert!(queries.len() > 30, "{queries:?}");
    let shown = names_in(&queries.join("\n"), &scrape.types);
    assert_eq!(shown.difference(&exported).collect::<Vec<_>>(), [""; 0], "in the dashboard, but not exported");
    assert_eq!(exported.difference(&shown).collect::<Vec<_>>(), [""; 0], "exported, but not in the dashboard");

    let alerts = read("prometheus-alerts.yml");
    let watched = names_in(&alerts, &scrape.types);
    assert!(watched.len() > 5, "{watched:?}");
    assert_eq!(watched.difference(&exported).collect::<Vec<_>>(), [""; 0], "in the alerts, but not exported");
}
