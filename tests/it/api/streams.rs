//! Streams of events from the real binary: nothing is missed and nothing comes twice, whatever happens in between.

use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::support::events::{Event, Events, ask};
use crate::support::gateway::{Gateway, PATIENCE, Raw};
use scalegate::api::view::JobView;
use scalegate::domain::StateName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

const QUICK: [&str; 6] = ["--cooldown", "500ms", "--settle", "200ms", "--poll-interval", "50ms"];
const SLOW: [&str; 6] = ["--cooldown", "10m", "--settle", "200ms", "--poll-interval", "50ms"];

impl Scene {
    async fn submit(&self, resource: &str, target: u32) -> JobView {
        self.gateway.submit(&json!({"resource": resource, "targetCapacity": target})).await
    }

    async fn open(&self, path: &str, last: Option<u64>) -> Events {
        Events::open(self.gateway.address, path, last).await
    }
}

fn events_of(job: &JobView) -> String {
    format!("/v1/jobs/{}/events", job.id)
}

fn is_over(event: &Event) -> bool {
    event.name == "job" && !event.data["finishedAt"].is_null()
}

#[track_caller]
fn assert_complete(events: &[Event], first: u64, last: u64) {
    let versions: Vec<u64> = events.iter().map(Event::version).collect();
    assert_eq!(versions, (first..=last).collect::<Vec<_>>());
    assert!(events.is_sorted_by(|a, b| a.id < b.id), "{events:?}");
}

#[actix_web::test]
async fn a_job_is_followed_to_its_end() {
    let scene = Scene::start(&QUICK);
    let job = scene.submit("worker", 3).await;
    let mut stream = scene.open(&events_of(&job), None).await;
    for (header, value) in [("content-type", "text/event-stream"), ("cache-control", "no-store")] {
        assert_eq!(stream.headers().get(header).and_then(|value| value.to_str().ok()), Some(value));
    }
    assert_eq!(stream.expect("ready").await, Event { id: None, name: "ready".into(), data: json!({"resumed": false}) });
    let events = stream.rest().await;
    let polled = scene.gateway.finish(job.id).await;
    assert_complete(&events, events[0].version(), polled.version);
    let last = events.last().expect("events");
    assert_eq!(last.data, serde_json::to_value(&polled).expect("JSON"), "as the job is polled");
    let seen = |reason: &str| events.iter().any(|event| event.data["waitingFor"]["reason"] == reason);
    assert!(["change", "active", "cooldown"].into_iter().all(seen), "{events:#?}");

    let known = ask(scene.gateway.address, &events_of(&job), last.id).await;
    assert_eq!(known.status(), 204);
    let mut anew = scene.open(&events_of(&job), None).await;
    anew.expect("ready").await;
    assert_eq!(anew.rest().await, std::slice::from_ref(last), "a job that is over is told as it is");
    let mut resumed = scene.open(&events_of(&job), events[0].id).await;
    assert_eq!(resumed.expect("ready").await.data["resumed"], true);
    assert_eq!(resumed.rest().await, events[1..]);
}

/// The gateway is killed again and again; a client that comes back with the last id sees every version once.
#[actix_web::test]
async fn a_job_is_followed_through_restarts() {
    let mut scene = Scene::start(&QUICK);
    let job = scene.submit("worker", 4).await;
    let mut events: Vec<Event> = Vec::new();
    let mut kills = 0;
    while events.last().is_none_or(|event| !is_over(event)) {
        let last = events.last().and_then(|event| event.id);
        let mut stream = scene.open(&events_of(&job), last).await;
        assert_eq!(stream.expect("ready").await.data["resumed"], last.is_some());
        // Another number of events each time, so that the kill comes in another phase.
        for _ in 0..kills % 4 + 1 {
            events.extend(stream.next().await);
        }
        if events.last().is_none_or(|event| !is_over(event)) {
            // No client listens to what happens from now on.
            kills += 1;
            drop(stream);
            scene = scene.restarted(&QUICK);
        }
    }
    assert!(kills >= 3, "{kills}");
    let polled = scene.gateway.finish(job.id).await;
    assert_eq!((polled.state, scene.sidecar.changes().len()), (StateName::Succeeded, 3));
    assert_complete(&events, events[0].version(), polled.version);
    // Also with the steps as they were, which the log does not repeat.
    let mut whole = scene.open(&events_of(&job), events[0].id).await;
    whole.expect("ready").await;
    assert_eq!(whole.rest().await, events[1..]);
}

/// A listener to everything and one to a single resource, opened before a restart and resumed after it.
#[actix_web::test]
async fn all_jobs_are_followed_through_a_restart() {
    let scene = Scene::start(&QUICK);
    let mut all = scene.open("/v1/events", None).await;
    let ready = all.expect("ready").await;
    assert_eq!(ready.data, json!({"resumed": false}));
    let begin = ready.id.expect("a place to come back to");
    let (worker, api) = (scene.submit("worker", 2).await, scene.submit("api", 2).await);
    let first = all.expect("job").await;
    assert_eq!((first.id, first.version()), (Some(begin + 1), 1));
    drop(all);
    scene.gateway.finish(worker.id).await;
    scene.gateway.finish(api.id).await;
    let scene = scene.restarted(&QUICK);

    let (worker, api) = (scene.gateway.job(worker.id).await, scene.gateway.job(api.id).await);
    let more = scene.submit("worker", 1).await;
    let mut all = scene.open("/v1/events", Some(begin)).await;
    assert_eq!(all.expect("ready").await.data["resumed"], true);
    let mut events: Vec<Event> = Vec::new();
    while events.last().is_none_or(|event| !(is_over(event) && event.data["id"] == json!(more.id))) {
        events.extend(all.next().await.filter(|event| event.name == "job"));
    }
    let ids: Vec<u64> = events.iter().filter_map(|event| event.id).collect();
    assert_eq!(ids, (begin + 1..begin + 1 + ids.len() as u64).collect::<Vec<_>>(), "not one is missing");
    for job in [worker, api] {
        let of_job: Vec<Event> = events.iter().filter(|event| event.data["id"] == json!(job.id)).cloned().collect();
        assert_complete(&of_job, 1, job.version);
    }
    let mut filtered = scene.open("/v1/events?resource=api", Some(begin)).await;
    assert_eq!(filtered.expect("ready").await.data["resumed"], true);
    for event in events.iter().filter(|event| event.data["resource"] == "api") {
        assert_eq!(filtered.next().await.as_ref(), Some(event));
    }
}

/// What goes into a timeline is told to those who listen, and can be read afterwards, also after a restart.
#[actix_web::test]
async fn a_timeline_tells_what_happened() {
    let scene = Scene::start(&QUICK);
    let mut stream = scene.open("/v1/events?resource=worker", None).await;
    stream.expect("ready").await;
    let other = scene.submit("api", 2).await;
    let body = json!({"resource": "worker", "targetCapacity": 3, "reason": "queue depth 812"});
    let job = scene.gateway.submit(&body).await;
    let mut told = Vec::new();
    loop {
        let event = stream.next().await.expect("no end");
        match event.name.as_str() {
            "timeline" => {
                assert_eq!((event.id, &event.data["resource"]), (None, &json!("worker")));
                told.push(event.data["entry"].clone());
            }
            "job" => assert_eq!(event.data["resource"], "worker"),
            _ => panic!("{event:?}"),
        }
        if told.last().is_some_and(|entry| entry["kind"] == "job_ended") {
            break;
        }
    }
    scene.gateway.finish(other.id).await;
    let kinds = |entries: &[Value], of: &str| entries.iter().filter(|entry| entry["kind"] == of).count();
    for (kind, count) in
        [("job_accepted", 1), ("job_started", 1), ("change_sent", 2), ("change_resolved", 2), ("job_ended", 1)]
    {
        assert_eq!(kinds(&told, kind), count, "{kind}: {told:#?}");
    }
    let readings: Vec<_> = told.iter().filter(|entry| entry["kind"] == "reading").collect();
    let shown = |reading: &Value| (reading["status"].clone(), reading["capacity"].clone());
    assert!(
        readings.windows(2).all(|pair| shown(pair[0]) != shown(pair[1])),
        "each shows something new: {readings:#?}"
    );
    assert_eq!((&readings[0]["capacity"], &readings[readings.len() - 1]["capacity"]), (&json!(1), &json!(3)));
    assert_eq!(told[0]["detail"], "Asked to scale to 3: queue depth 812");
    assert!(told.iter().filter(|entry| entry["kind"] != "reading").all(|entry| entry["job"] == json!(job.id)));

    let scene = scene.restarted(&QUICK);
    for size in [3, 200] {
        let mut read = Vec::new();
        let mut token = String::new();
        loop {
            let path = format!("/v1/resources/worker/timeline?pageSize={size}{token}");
            let page = scene.gateway.get(&path).await.json();
            read.extend(page["entries"].as_array().expect("entries").iter().cloned());
            match page["nextPageToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => break,
            }
        }
        read.reverse();
        assert_eq!(read, told, "by {size}");
    }
    assert_eq!(scene.gateway.get("/v1/resources/unheard-of/timeline").await.json()["entries"], json!([]));
}

/// Another program changes the capacity while no job runs: the next look at the resource notices, and the next job says
/// so.
#[actix_web::test]
async fn a_timeline_has_what_others_did_meanwhile() {
    let scene = Scene::start(&QUICK);
    let job = scene.submit("worker", 2).await;
    scene.gateway.finish(job.id).await;
    scene.sidecar.with(|model, now| {
        model.set_capacity(now, &crate::support::sidecar::worker(), crate::support::sidecar::units(7))
    });
    assert_eq!(scene.gateway.get("/v1/resources/worker").await.json()["capacity"], 7);
    let listed = scene.gateway.get("/v1/resources").await.json();
    assert_eq!(listed["resources"][0]["capacity"], 7, "the list knows it as well");
    let job = scene.submit("worker", 7).await;
    scene.gateway.finish(job.id).await;
    let timeline = scene.gateway.get("/v1/resources/worker/timeline").await.json();
    let entries = timeline["entries"].as_array().expect("entries").iter();
    let newest: Vec<&Value> = entries.filter(|entry| entry["kind"] != "reading").take(4).collect();
    let kinds: Vec<&str> = newest.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    assert_eq!(kinds, ["job_ended", "external_change", "job_started", "job_accepted"]);
    assert_eq!((&newest[1]["fromCapacity"], &newest[1]["toCapacity"]), (&json!(2), &json!(7)));
}

#[actix_web::test]
async fn an_id_that_is_not_known_begins_anew() {
    let scene = Scene::start(&SLOW);
    let job = scene.submit("worker", 9).await;
    let cooling = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
    let job = scene.gateway.wait_for(job.id, cooling).await;
    for strange in [0, 1, u64::MAX] {
        let mut stream = scene.open(&events_of(&job), Some(strange)).await;
        assert_eq!(stream.expect("ready").await.data["resumed"], false, "{strange}");
        assert_eq!(stream.expect("job").await.version(), job.version);
        let ready = scene.open("/v1/events", Some(strange)).await.expect("ready").await;
        assert_eq!((&ready.data["resumed"], ready.id.is_some()), (&json!(false), true), "{strange}");
    }
    // Also if the job is over: 204 would mean that the end is known.
    let over = scene.submit("other", 1).await;
    scene.gateway.finish(over.id).await;
    let mut stream = scene.open(&events_of(&over), Some(u64::MAX)).await;
    assert_eq!(stream.expect("ready").await.data["resumed"], false);
    assert!(is_over(&stream.expect("job").await));
    let unknown = ask(scene.gateway.address, "/v1/jobs/0198c3f2-0000-7000-8000-000000000000/events", None).await;
    assert_eq!(unknown.status(), 404);
}

/// As much is kept of the log as there is room for. A client that comes back later than that is told.
#[actix_web::test]
async fn a_gap_in_the_log_is_not_hidden() {
    let scene = Scene::start(&SLOW);
    let mut all = scene.open("/v1/events", None).await;
    let begin = all.expect("ready").await.id.expect("an id");
    let job = scene.submit("worker", 9).await;
    let cooling = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
    let job = scene.gateway.wait_for(job.id, cooling).await;
    let mut present = scene.open(&events_of(&job), None).await;
    present.expect("ready").await;
    let newest = present.expect("job").await.id.expect("an id");
    // The other one is changed after that, and that change is among those that are no longer kept.
    let other = scene.submit("api", 9).await;
    scene.gateway.wait_for(other.id, cooling).await;
    scene.gateway.kill();
    let path = scene.dir.path().join("scalegate.db");
    let db = rusqlite::Connection::open(path).expect("a database");
    let gone = db.execute("DELETE FROM versions WHERE seq <= ?1", [newest + 1]).expect("deleted");
    assert_eq!(gone as u64, newest + 1 - begin);
    drop(db);
    let gateway = Gateway::start(scene.dir.path(), scene.sidecar.address(), &SLOW);
    for (path, last, resumed) in [
        ("/v1/events".to_owned(), begin, false),
        ("/v1/events".to_owned(), newest, false),
        ("/v1/events".to_owned(), newest + 1, true),
        (events_of(&job), begin, false),
        (events_of(&job), newest - 1, false),
        (events_of(&job), newest, true),
        (events_of(&other), newest, false),
        (events_of(&other), newest + 1, true),
    ] {
        let mut stream = Events::open(gateway.address, &path, Some(last)).await;
        assert_eq!(stream.expect("ready").await.data["resumed"], resumed, "{path} after {last}, from {begin}");
    }
}

#[actix_web::test]
async fn streams_end_with_a_word_when_the_gateway_stops() {
    let mut scene = Scene::start(&SLOW);
    let job = scene.submit("worker", 9).await;
    let mut streams = [scene.open("/v1/events", None).await, scene.open(&events_of(&job), None).await];
    scene.gateway.signal("-TERM");
    for stream in &mut streams {
        let events = stream.rest().await;
        let last = events.last().expect("a word");
        assert_eq!((last.name.as_str(), &last.data["reason"]), ("end", &json!("stopping")), "{events:?}");
    }
    let (code, took) = scene.gateway.wait();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[actix_web::test]
async fn a_quiet_stream_shows_that_it_lives() {
    let scene = Scene::start(&QUICK);
    let begin = Instant::now();
    let mut quiet = scene.open("/v1/events?resource=quiet", None).await;
    quiet.expect("ready").await;
    let heartbeat = quiet.expect(":");
    // What happens elsewhere is no reason to keep still.
    let busy = async {
        for round in 0.. {
            let job = scene.submit("busy", 1 + round % 2).await;
            scene.gateway.finish(job.id).await;
        }
    };
    tokio::select! {
        event = heartbeat => assert_eq!(event.data, "heartbeat"),
        () = busy => {}
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[actix_web::test]
async fn the_head_of_a_stream_can_be_asked_for() {
    let scene = Scene::start(&SLOW);
    let head = scene.gateway.raw(&Raw::new("HEAD", "/v1/events")).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    // The connection is not kept busy with what is never sent.
    let mut connection = scene.gateway.connect().await;
    let requests = [Raw::new("HEAD", "/v1/events"), Raw::get("/livez").header("Connection", "close")];
    connection.write_all(&requests.map(|request| request.head()).concat()).await.expect("sent");
    let mut answers = String::new();
    timeout(PATIENCE, connection.read_to_string(&mut answers)).await.expect("in time").expect("readable");
    assert!(answers.ends_with(r#"{"status":"alive"}"#), "{answers}");
}
