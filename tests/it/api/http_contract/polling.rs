//! How clients follow a job without a stream: tags, waits, pages of the list, and `HEAD`.

use std::time::{Duration, Instant};

use super::{LONG_COOLDOWN, Scene};
use crate::support::gateway::Raw;
use scalegate::domain::StateName;
use serde_json::{Value, json};

#[actix_web::test]
async fn unchanged_jobs_are_not_sent_again() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let job = scene.cooling_job("worker").await;
    let path = format!("/v1/jobs/{}", job.id);
    let tag = scene.gateway.get(&path).await.header("etag").expect("a tag").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let unchanged = scene.gateway.get_with(&path, ("If-None-Match", &known)).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{known}");
        assert_eq!(unchanged.header("etag"), Some(tag.as_str()));
        assert!(unchanged.header("retry-after").is_some(), "a client that polls like this is told when to, too");
    }
    for other in ["\"v1\"", "\"\"", "garbage", "v1", "\"v1", ",,,"] {
        let changed = scene.gateway.get_with(&path, ("If-None-Match", other)).await;
        assert_eq!((changed.status, changed.job().id), (200, job.id), "{other}");
    }
    let odd = Raw::get(&path).header("If-None-Match", b"\xff\"");
    assert_eq!(scene.gateway.raw(&odd).await.status, 200, "what cannot be read matches nothing");
    scene.gateway.post(&format!("{path}/cancel"), &Value::Null).await;
    let changed = scene.gateway.get_with(&path, ("If-None-Match", &tag)).await;
    assert_eq!((changed.status, changed.job().state), (200, StateName::Canceled));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    let unchanged =
        Raw::get(&path).header("If-None-Match", changed.header("etag").expect("a tag")).header("Prefer", "wait=30");
    let unchanged = scene.gateway.raw(&unchanged).await;
    assert_eq!(unchanged.status, 304, "a job that is over changes no more");
    assert_eq!(unchanged.header("retry-after"), None);
}

#[actix_web::test]
async fn answers_can_be_held_back() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let job = scene.cooling_job("worker").await;
    let path = format!("/v1/jobs/{}", job.id);
    // Until the time is up.
    let begin = Instant::now();
    let waited = scene.gateway.get_with(&path, ("Prefer", "wait=1")).await;
    assert!((1.0..5.0).contains(&begin.elapsed().as_secs_f64()), "{:?}", begin.elapsed());
    assert_eq!((waited.status, waited.header("preference-applied")), (200, Some("wait=1")));
    assert_eq!(waited.job().state, StateName::Running);
    // Not at all, for what is no wish to wait.
    for prefer in ["wait=soon", "respond-async", "wait=-1", ""] {
        let begin = Instant::now();
        let answer = scene.gateway.get_with(&path, ("Prefer", prefer)).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (200, None));
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
    // Until the job is over, however many wait for it.
    let begin = Instant::now();
    let ends = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.gateway.post(&format!("{path}/cancel"), &Value::Null).await
    };
    let wait = || scene.gateway.get_with(&path, ("Prefer", "wait=30"));
    let (one, other, canceled) = tokio::join!(wait(), wait(), ends);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(canceled.status, 200);
    for answer in [one, other] {
        assert_eq!((answer.job().state, answer.header("retry-after")), (StateName::Canceled, None));
        assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    }
    // No longer than a minute is granted; a job that is over needs none of it.
    let over = scene.gateway.get_with(&path, ("Prefer", "wait=3600")).await;
    assert_eq!(over.header("preference-applied"), Some("wait=60"));
    scene
        .gateway
        .refuses(
            &Raw::get(&format!("/v1/jobs/{}", uuid::Uuid::nil())).header("Prefer", "wait=30"),
            404,
            "job_not_found",
        )
        .await;
}

#[actix_web::test]
async fn lists_are_paged_filtered_and_stable() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let mut ids = Vec::new();
    for n in 0..12 {
        let resource = if n % 3 == 0 { "even" } else { "odd" };
        let body = json!({"resource": resource, "targetCapacity": 10 + n, "onConflict": "queue"});
        ids.insert(0, scene.gateway.submit(&body).await.id.to_string());
    }
    let list = async |query: &str| {
        let page = scene.gateway.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        let page = page.json();
        let ids =
            page["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].as_str().expect("an id").to_owned());
        (ids.collect::<Vec<String>>(), page["nextPageToken"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await, (ids.clone(), None), "newest first");
    assert_eq!(list("pageSize=12").await, (ids.clone(), None));
    let by_resource = |name: &str| format!("resource={name}");
    assert_eq!(list(&by_resource("even")).await.0, ids.iter().rev().step_by(3).rev().cloned().collect::<Vec<_>>());
    assert_eq!(list(&by_resource("unused")).await, (vec![], None));
    assert_eq!(list("state=running").await.0.len(), 2);
    assert_eq!(list("state=queued").await.0.len(), 10);
    assert_eq!(list("state=queued&resource=even").await.0.len(), 3);
    assert_eq!(list("state=queued&state=running").await.0, ids);
    assert_eq!(list("state=succeeded&state=failed&state=canceled&state=superseded").await.0, [] as [String; 0]);
    scene.gateway.post(&format!("/v1/jobs/{}/cancel", ids[3]), &Value::Null).await;
    assert_eq!(list("state=canceled").await.0, ids[3..4]);

    // Page by page, while jobs are added and end: each of the first is there, and none twice.
    let (mut pages, mut query) = (Vec::new(), "pageSize=5".to_owned());
    for n in 0.. {
        let (page, next) = list(&query).await;
        assert!(page.len() <= 5);
        pages.extend(page);
        scene.gateway.submit(&json!({"resource": format!("new-{n}"), "targetCapacity": 1})).await;
        let _ = scene.gateway.post(&format!("/v1/jobs/{}/cancel", ids[4 + n]), &Value::Null).await;
        match next {
            Some(token) => query = format!("pageSize=5&pageToken={token}"),
            None => break,
        }
    }
    assert_eq!(pages, ids);
    let polled = scene.gateway.get(&format!("/v1/jobs/{}", ids[0])).await.json();
    let listed = scene.gateway.get("/v1/jobs?pageSize=200").await.json();
    let same =
        listed["jobs"].as_array().expect("jobs").iter().find(|job| job["id"] == polled["id"]).expect("it is listed");
    assert_eq!(*same, polled, "a job looks the same everywhere");
}

/// `HEAD` says what `GET` would, without a body, and the connection stays usable.
#[actix_web::test]
async fn head_is_get_without_a_body() {
    use tokio::io::AsyncWriteExt as _;
    let scene = Scene::start(&LONG_COOLDOWN);
    let job = scene.cooling_job("worker").await;
    let path = format!("/v1/jobs/{}", job.id);
    let mut stream = scene.gateway.connect().await;
    for _ in 0..2 {
        stream.write_all(&Raw::new("HEAD", &path).head()).await.expect("sent");
        let head = crate::support::gateway::read_answer(&mut stream, false).await;
        stream.write_all(&Raw::get(&path).head()).await.expect("sent");
        let get = crate::support::gateway::read_answer(&mut stream, true).await;
        assert_eq!((head.status, get.status), (200, 200));
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
        assert_eq!(head.header("etag"), get.header("etag"));
        assert_ne!(head.header("x-request-id"), get.header("x-request-id"));
    }
}
