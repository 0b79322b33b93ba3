//! An idempotency key has one job and one answer, after a restart and at the same time too.

use super::{LONG_COOLDOWN, Scene};
use crate::support::gateway::{Raw, Response, read_answer};
use futures_util::future::join_all;
use scalegate::api::view::JobView;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

#[actix_web::test]
async fn the_same_key_gets_the_same_answer() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 8});
    let first = scene.gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", "scale-up")]).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (202, None));
    let cools = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
    scene.gateway.wait_for(first.job().id, cools).await;

    let assert_replayed = async |scene: &Scene| {
        // The same in other words: quoted, and with white space.
        let words = format!("  {}  ", body.to_string().replace(',', " , "));
        for (key, body) in [("scale-up", body.to_string()), ("\"scale-up\"", words)] {
            let again = scene.gateway.raw(&Raw::post("/v1/jobs", body).header("Idempotency-Key", key)).await;
            assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
            assert_eq!(again.header("location"), first.header("location"));
            let now = scene.gateway.job(first.job().id).await;
            assert_eq!(again.job(), now, "as it is now");
        }
        for other in
            [json!({"resource": "worker", "targetCapacity": 7}), json!({"resource": "other", "targetCapacity": 8})]
        {
            let request = Raw::post("/v1/jobs", other.to_string()).header("Idempotency-Key", "scale-up");
            scene.gateway.refuses(&request, 422, "idempotency_key_reused").await;
        }
    };
    assert_replayed(&scene).await;
    // An answer that was "join that job" is kept as such.
    let joined = scene.gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", "me too")]).await;
    assert_eq!((joined.status, joined.header("idempotency-replayed")), (200, None));

    let scene = scene.restarted(&LONG_COOLDOWN);
    assert_replayed(&scene).await;
    let again = scene.gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", "me too")]).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.body, joined.body);
    // Even when the job is over, the key means the answer that was given.
    scene.gateway.post(&format!("{}/cancel", first.header("location").expect("a location")), &Value::Null).await;
    assert_replayed(&scene).await;
    assert_eq!(scene.gateway.get("/v1/jobs").await.json()["jobs"].as_array().expect("jobs").len(), 1);
}

#[actix_web::test]
async fn concurrent_duplicates_make_one_job() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let keyed = json!({"resource": "keyed", "targetCapacity": 8});
    let keyed =
        join_all((0..20).map(|_| scene.gateway.post_with("/v1/jobs", &keyed, &[("Idempotency-Key", "one")]))).await;
    let plain = json!({"resource": "plain", "targetCapacity": 8});
    let plain = join_all((0..20).map(|_| scene.gateway.post("/v1/jobs", &plain))).await;
    for (answers, replayed) in [(&keyed, true), (&plain, false)] {
        let id = answers[0].job().id;
        assert!(answers.iter().all(|answer| answer.job().id == id));
        let first = |answer: &&Response| answer.status == 202 && answer.header("idempotency-replayed").is_none();
        assert_eq!(answers.iter().filter(first).count(), 1);
        if replayed {
            // A replayed answer shows the job as it is by then.
            assert!(answers.iter().all(|answer| answer.status == 202));
        }
    }
    // The same key at once for two different things: one of them wins, all others are told.
    let targets: Vec<Value> = (2..22).map(|n| json!({"resource": "contested", "targetCapacity": n})).collect();
    let contested =
        join_all(targets.iter().map(|body| scene.gateway.post_with("/v1/jobs", body, &[("Idempotency-Key", "two")])))
            .await;
    assert_eq!(contested.iter().filter(|answer| answer.status == 202).count(), 1);
    let reused =
        |answer: &&Response| answer.status == 422 && answer.problem().code.as_str() == "idempotency_key_reused";
    assert_eq!(contested.iter().filter(reused).count(), 19);
    assert_eq!(scene.gateway.get("/v1/jobs").await.json()["jobs"].as_array().expect("jobs").len(), 3);
}

/// Many clients, or one client that tries again and again, with the same request under one key. All of it is written
/// before the first answer is read.
#[actix_web::test]
async fn a_key_sent_128_times_at_once_has_one_job_and_one_first_answer() {
    const SUBMISSIONS: usize = 128;
    let mut scene = Scene::start(&LONG_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 8}).to_string();
    let request = Raw::post("/v1/jobs", body.clone()).header("Idempotency-Key", "one");
    let request = [request.head(), body.into_bytes()].concat();
    let mut streams = join_all((0..SUBMISSIONS).map(|_| scene.gateway.connect())).await;
    let sent = join_all(streams.iter_mut().map(|stream| stream.write_all(&request))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let answers = join_all(streams.iter_mut().map(|stream| read_answer(stream, true))).await;

    let id = answers[0].job().id;
    assert!(answers.iter().all(|answer| (answer.status, answer.job().id) == (202, id)), "{answers:#?}");
    let replayed = answers.iter().filter(|answer| answer.header("idempotency-replayed") == Some("true")).count();
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
    assert_eq!((first, replayed), (1, SUBMISSIONS - 1));
    let listed = scene.gateway.get("/v1/jobs").await.json();
    assert_eq!(listed["jobs"].as_array().expect("jobs").len(), 1);

    drop(streams);
    scene.gateway.signal("-TERM");
    assert_eq!(scene.gateway.wait().0, Some(0));
    // What it says of the test's directory while it starts does not count.
    let log = scene.gateway.log();
    let above_info: Vec<&Value> = log.iter().filter(|line| line["level"] != "INFO").collect();
    assert!(!log.is_empty() && above_info.is_empty(), "{above_info:#?}");
}

#[actix_web::test]
async fn a_claim_with_a_key_is_made_once() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let policy = json!({"min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}},
                        "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}]});
    for resource in ["worker", "other"] {
        let put = Raw::put(&format!("/v1/resources/{resource}/policy"), policy.to_string());
        assert_eq!(scene.gateway.raw(&put).await.status, 201);
    }
    let (claims, body) = ("/v1/resources/worker/claims", json!({"units": 3, "forSeconds": 600, "owner": "import"}));
    let key = [("Idempotency-Key", "import-1")];
    let answers = join_all((0..20).map(|_| scene.gateway.post_with(claims, &body, &key))).await;
    let first: Vec<&Response> =
        answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).collect();
    assert_eq!(first.len(), 1, "{answers:#?}");
    let (id, location) = (first[0].json()["id"].clone(), first[0].header("location"));
    let is_same =
        |answer: &&Response| (answer.status, &answer.json()["id"], answer.header("location")) == (201, &id, location);
    assert_eq!(answers.iter().filter(is_same).count(), 20);

    let assert_replayed = async |scene: &Scene| {
        let again = scene.gateway.post_with(claims, &body, &key).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")), "{}", again.text());
        assert_eq!((&again.json()["id"], again.header("location")), (&id, location));
        let listed = scene.gateway.get(claims).await.json();
        assert_eq!(listed["claims"].as_array().map(Vec::len), Some(1));
        for (path, other) in [
            (claims, json!({"units": 4, "forSeconds": 600, "owner": "import"})),
            ("/v1/resources/other/claims", body.clone()),
            ("/v1/jobs", json!({"resource": "worker", "targetCapacity": 8})),
        ] {
            let request = Raw::post(path, other.to_string()).header("Idempotency-Key", "import-1");
            scene.gateway.refuses(&request, 422, "idempotency_key_reused").await;
        }
    };
    assert_replayed(&scene).await;
    let scene = scene.restarted(&LONG_COOLDOWN);
    assert_replayed(&scene).await;
    // A refusal is not kept.
    let too_many =
        Raw::post(claims, json!({"units": 21, "forSeconds": 600}).to_string()).header("Idempotency-Key", "two");
    scene.gateway.refuses(&too_many, 422, "validation_failed").await;
    let fewer = json!({"units": 2, "forSeconds": 600});
    let made = scene.gateway.post_with(claims, &fewer, &[("Idempotency-Key", "two")]).await;
    assert_eq!((made.status, made.header("idempotency-replayed")), (201, None));
    assert_eq!(scene.gateway.raw(&Raw::new("DELETE", location.expect("a location"))).await.status, 204);
    let request = Raw::post(claims, body.to_string()).header("Idempotency-Key", "import-1");
    scene.gateway.refuses(&request, 404, "claim_not_found").await;
}
