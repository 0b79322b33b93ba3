//! A store written by release 0.1 opens and goes on.
//!
//! `fixtures/store-0.1.db` is what that release left on disk when it was killed with a lane in every stage, and
//! `fixtures/store-0.1.json` what its API had answered a moment before; `fixtures/store-0.1.py` made both. None of the
//! three must ever be made anew by a later release: the files stand for stores that exist.
//!
//! The gateway's clock goes on from the anchor in the store as long as the machine is not started anew. The tests write
//! an anchor of the machine they run on into their copy, and so decide how long ago the kill was, whatever the date is.
//! Every job's cooldown is an hour, and its deadline a month after its submission.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, PATIENCE};
use crate::support::sidecar::{Sidecar, units};
use scalegate::clock::Present;
use scalegate::sim::sidecar::{Behaviour, RecordKind};
use serde_json::Value;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_hours(1);

/// The resources with a change in the air when the gateway was killed, and their capacity afterwards: 1 where the
/// change did not take effect.
const IN_THE_AIR: [(&str, u32); 6] = [
    ("intended", 2),
    ("canceling", 2),
    ("superseding", 1),
    ("acknowledged", 2),
    ("unknown-500", 2),
    ("unknown-reset", 1),
];

/// The other resources at capacity 2. "refused" stays at 1.
const AT_REST: [&str; 4] = ["idle", "replaced", "cooling", "provisioning"];

/// A copy of the store in a directory of its own, what the API said of it, and a sidecar to go on with.
struct Left {
    said: Value,
    data: TempDir,
    sidecar: Sidecar,
}

impl Left {
    /// A store whose anchor says that the gateway was killed `ago`; `None` if another machine, or start of it, left it.
    fn behind(ago: Option<Duration>, provisioning: Duration) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let said = std::fs::read(fixtures.join("store-0.1.json")).expect("the answers");
        let said: Value = serde_json::from_slice(&said).expect("JSON");
        let data = TempDir::new().expect("a directory");
        let file = data.path().join("scalegate.db");
        std::fs::copy(fixtures.join("store-0.1.db"), &file).expect("copied");
        // A store that other users can write to is not trusted, and a checkout may make it one.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("permitted");
        set_anchor(&file, &said, ago);

        let sidecar = Sidecar::start(Behaviour { provisioning, ..Behaviour::default() });
        sidecar.with(|model, now| {
            for (name, capacity) in AT_REST.map(|name| (name, 2)).into_iter().chain(IN_THE_AIR) {
                if capacity != 1 {
                    model.set_capacity(now, &name.parse().expect("an alias"), units(capacity));
                }
            }
        });
        Self { said, data, sidecar }
    }

    fn start(&self) -> Gateway {
        let mut gateway = Gateway::start(self.data.path(), self.sidecar.address(), &["--max-request-rate", "0"]);
        gateway.key = self.said["adminKey"].as_str().map(str::to_owned);
        gateway
    }

    fn jobs(&self) -> &[Value] {
        self.said["jobs"].as_array().expect("jobs")
    }

    /// The jobs that were not over, oldest first.
    fn unfinished(&self) -> Vec<&Value> {
        self.jobs().iter().rev().filter(|job| job["finishedAt"].is_null()).collect()
    }

    /// What reached the sidecar, in order: `None` for a reading, the units for a change. By resource.
    fn requests(&self) -> BTreeMap<String, Vec<Option<i64>>> {
        let mut requests = BTreeMap::<_, Vec<_>>::new();
        for record in self.sidecar.records() {
            let request = match record.kind {
                RecordKind::Read => None,
                RecordKind::Add => Some(record.units),
                RecordKind::Remove => Some(-record.units),
                _ => continue,
            };
            requests.entry(record.alias.to_string()).or_default().push(request);
        }
        requests
    }

    /// The units of all changes that reached the sidecar, by resource. Fails if one came before a reading.
    #[track_caller]
    fn changes(&self) -> BTreeMap<String, Vec<i64>> {
        let mut requests = self.requests();
        for (resource, requests) in &requests {
            assert_eq!(requests[0], None, "a change of {resource} was sent before its capacity was read");
        }
        requests.retain(|_, requests| requests.iter().any(Option::is_some));
        requests.into_iter().map(|(resource, requests)| (resource, requests.into_iter().flatten().collect())).collect()
    }
}

/// Lets the clock in the store show the moment of the kill as if it had been `ago`.
fn set_anchor(file: &Path, said: &Value, ago: Option<Duration>) {
    let store = rusqlite::Connection::open(file).expect("a store");
    let present = Present::now();
    let killed_ms = said["killedMs"].as_i64().expect("a time");
    let (boot, ago) = match ago {
        Some(ago) => (present.boot.expect("a boot id"), ago),
        None => ("another".to_owned(), Duration::ZERO),
    };
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).expect("a short time");
    // As if the machine had run since: what the anchor showed at the present uptime is the time of the kill and `ago`.
    let row = (boot, millis(present.uptime), killed_ms + millis(ago));
    let updated = store.execute("UPDATE clock SET boot = ?1, uptime_ms = ?2, shown_ms = ?3", row).expect("updated");
    assert_eq!(updated, 1);
}

async fn get(gateway: &Gateway, path: &str) -> Value {
    let response = gateway.get(path).await;
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    response.json()
}

fn id(job: &Value) -> &str {
    job["id"].as_str().expect("an id")
}

/// Fails if something that was said is not said any more. There may be more by now.
#[track_caller]
fn assert_still_says(now: &Value, before: &Value) {
    match (now, before) {
        (Value::Object(now), Value::Object(before)) => {
            for (name, before) in before {
                assert_still_says(now.get(name).unwrap_or_else(|| panic!("{name} is missing: {now:#?}")), before);
            }
        }
        (Value::Array(now), Value::Array(before)) => {
            assert_eq!(now.len(), before.len(), "{now:#?}\n{before:#?}");
            now.iter().zip(before).for_each(|(now, before)| assert_still_says(now, before));
        }
        _ => assert_eq!(now, before),
    }
}

/// What of a job cannot have changed in a few seconds: everything if it was over.
fn lasting(job: &Value) -> Value {
    let mut job = job.clone();
    if job["finishedAt"].is_null() {
        let mut changing = vec!["waitingFor", "progress", "externalChanges", "currentCapacity", "updatedAt", "version"];
        // These end, or begin, as soon as the change in the air has settled.
        if job["resource"] == "canceling" || job["resource"] == "superseding" {
            changing.extend(["state", "startedAt", "finishedAt", "startCapacity", "endingAs"]);
        }
        let fields = job.as_object_mut().expect("a job");
        fields.retain(|name, _| !changing.contains(&&**name));
        for step in job["steps"].as_array_mut().expect("steps") {
            let fields = step.as_object_mut().expect("a step");
            // The exact moment is not known of a change without an answer: recovery counts from the latest.
            fields.retain(|name, _| !["sentAt", "resolvedAt", "outcome"].contains(&name.as_str()));
        }
    }
    job
}

/// Waits until the job is over.
async fn finish(gateway: &Gateway, id: &str) -> Value {
    let begin = Instant::now();
    loop {
        let job = gateway.get_with(&format!("/v1/jobs/{id}"), ("Prefer", "wait=10")).await.json();
        if !job["finishedAt"].is_null() {
            return job;
        }
        assert!(begin.elapsed() < PATIENCE, "it takes too long: {job:#?}");
    }
}

/// Waits until the job waits for the end of the cooldown. Fails if something is sent meanwhile.
async fn wait_for_cooldown(gateway: &Gateway, left: &Left, id: &str) {
    let begin = Instant::now();
    loop {
        assert_eq!(left.changes(), BTreeMap::new());
        let job = get(gateway, &format!("/v1/jobs/{id}")).await;
        if job["waitingFor"]["reason"] == "cooldown" {
            return;
        }
        assert!(job["finishedAt"].is_null() && begin.elapsed() < PATIENCE, "it does not wait: {job:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every wait goes on where it was: nothing may be sent for an hour.
#[actix_web::test]
async fn killed_a_moment_ago_nothing_is_lost_and_nothing_is_sent() {
    let left = Left::behind(Some(Duration::ZERO), HOUR);
    let gateway = left.start();
    let listed = get(&gateway, "/v1/jobs?pageSize=100").await;
    let listed = listed["jobs"].as_array().expect("jobs");
    assert_eq!(listed.len(), left.jobs().len());
    for (now, before) in listed.iter().zip(left.jobs()) {
        assert_still_says(now, &lasting(before));
        assert_still_says(&get(&gateway, &format!("/v1/jobs/{}", id(before))).await, &lasting(before));
        if before["resource"] == "cooling" {
            assert_still_says(&now["waitingFor"], &before["waitingFor"]);
        }
    }
    for resource in ["idle", "cooling"] {
        let shown = get(&gateway, &format!("/v1/resources/{resource}")).await;
        let remaining = shown["cooldownRemainingSeconds"].as_f64().expect("a cooldown");
        assert!((3000.0..3600.0).contains(&remaining), "{resource}: {remaining}");
    }

    for answer in left.said["answers"].as_array().expect("answers") {
        let key = answer["key"].as_str().expect("a key");
        let replayed = gateway.post_with("/v1/jobs", &answer["body"], &[("Idempotency-Key", key)]).await;
        assert_eq!(replayed.header("idempotency-replayed"), Some("true"), "{key}: {}", replayed.text());
        assert_eq!(Value::from(replayed.status), answer["status"]);
        assert_eq!(replayed.json()["id"], answer["job"]);
    }

    // Newest first: what was done since comes before.
    for (path, before) in
        [("/v1/audit", &left.said["audit"]), ("/v1/resources/cooling/timeline", &left.said["timeline"])]
    {
        let now = get(&gateway, &format!("{path}?pageSize=100")).await;
        let (now, before) =
            (now["entries"].as_array().expect("entries"), before["entries"].as_array().expect("entries"));
        assert!(!before.is_empty() && now.len() >= before.len(), "{path}");
        let now = &now[now.len() - before.len()..];
        now.iter().zip(before).for_each(|(now, before)| assert_still_says(now, before));
    }

    // Two changes in the air had not taken effect. The jobs learn it from readings, and want to send the next change.
    for job in left.unfinished() {
        let sends_next =
            job["resource"] == "unknown-reset" || job["state"] == "queued" && job["resource"] == "superseding";
        if sends_next {
            wait_for_cooldown(&gateway, &left, id(job)).await;
        }
    }
    assert_eq!(left.changes(), BTreeMap::new());
}

/// Cooldowns and the time in which changes settle are over, deadlines and patience are not.
#[actix_web::test]
async fn killed_three_hours_ago_every_job_goes_on_to_its_end() {
    let left = Left::behind(Some(HOUR * 3), Duration::ZERO);
    let gateway = left.start();
    let mut ends = Vec::new();
    for job in left.unfinished() {
        let over = finish(&gateway, id(job)).await;
        let began_with = over["steps"].as_array().expect("steps").iter().zip(job["steps"].as_array().expect("steps"));
        for (now, before) in began_with {
            assert_eq!((&now["op"], &now["units"]), (&before["op"], &before["units"]));
            assert_eq!((&now["fromCapacity"], &now["toCapacity"]), (&before["fromCapacity"], &before["toCapacity"]));
        }
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let outcomes = over["steps"].as_array().expect("steps").iter().map(|step| text(&step["outcome"]));
        ends.push((text(&over["resource"]), text(&over["state"]), outcomes.collect::<Vec<_>>().join(" ")));
    }
    let ends: Vec<_> = ends.iter().map(|(resource, state, outcomes)| (&**resource, &**state, &**outcomes)).collect();
    let expected = [
        ("cooling", "succeeded", "confirmed confirmed"),
        ("provisioning", "succeeded", "confirmed"),
        ("provisioning", "succeeded", "confirmed"),
        ("acknowledged", "succeeded", "confirmed"),
        ("intended", "succeeded", "confirmed"),
        ("canceling", "canceled", "confirmed"),
        ("superseding", "superseded", "not_applied"),
        ("superseding", "succeeded", "confirmed"),
        ("unknown-500", "succeeded", "confirmed"),
        ("unknown-reset", "succeeded", "not_applied confirmed"),
    ];
    assert_eq!(ends, expected);
    // A change that had taken effect was not sent again.
    let sent = [("cooling", 1), ("provisioning", 1), ("superseding", 2), ("unknown-reset", 1)];
    assert_eq!(left.changes(), sent.map(|(resource, units)| (resource.to_owned(), vec![units])).into());
}

/// The wall's clock is believed, which may show anything by now: jobs may be too late for their deadlines, or all that
/// was is in the future. A copy of the store on another machine is of use either way.
#[actix_web::test]
async fn on_another_machine_at_any_time_unfinished_jobs_are_known() {
    let left = Left::behind(None, Duration::ZERO);
    let gateway = left.start();
    for job in left.unfinished() {
        let now = get(&gateway, &format!("/v1/jobs/{}", id(job))).await;
        for field in ["resource", "targetCapacity", "settings"] {
            assert_still_says(&now[field], &job[field]);
        }
    }
    // Fails if something was sent before a reading.
    left.changes();
}

#[actix_web::test]
async fn keys_are_good_or_revoked_as_they_were() {
    let left = Left::behind(Some(HOUR), HOUR);
    let mut gateway = left.start();
    let with = |name: &str| left.said[name].as_str().map(str::to_owned);
    for (key, path, status, code) in [
        ("adminKey", "/v1/keys", 200, Value::Null),
        ("liveKey", "/v1/resources/idle", 200, Value::Null),
        ("liveKey", "/v1/resources/cooling", 403, "resource_forbidden".into()),
        ("liveKey", "/v1/keys", 403, "insufficient_scope".into()),
        ("revokedKey", "/v1/resources/idle", 401, "key_revoked".into()),
    ] {
        gateway.key = with(key);
        let response = gateway.get(path).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (status, &code),
            "{key} for {path}: {}",
            response.text()
        );
    }
    gateway.key = None;
    assert_eq!(gateway.get("/v1/jobs").await.status, 401);
}
