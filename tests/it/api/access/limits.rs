//! One noisy caller does not starve the others.

use serde_json::json;

use super::scene::{Scene, UNLIMITED, verdict};
use crate::support::events::Events;
use crate::support::gateway::{PATIENCE, Raw};

#[actix_web::test]
async fn a_key_has_a_rate_and_others_do_not_notice() {
    let scene = Scene::start(&["--max-request-rate", "5"]);
    let (noisy, quiet) = (scene.key_with("read").await, scene.key_with("read").await);
    let mut refused = None;
    for _ in 0..50 {
        let answer = scene.get("/v1/jobs", &noisy).await;
        assert_eq!(answer.header("ratelimit-policy"), Some("\"requests\";q=5;w=1"));
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert!(answer.header("ratelimit").is_some_and(|rate| rate.starts_with("\"requests\";r=")));
    }
    let refused = refused.expect("fifty requests took less than ten seconds");
    assert_eq!(verdict(&refused), (429, Some("rate_limited")));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), (Some("1"), Some("\"requests\";r=0;t=1")));
    assert_eq!(scene.get("/v1/jobs", &quiet).await.status, 200);
    assert_eq!(scene.get("/livez", &noisy).await.status, 200, "probes are not counted");
    // A caller who waits as long as he was told is admitted.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(scene.get("/v1/jobs", &noisy).await.status, 200);
}

#[actix_web::test]
async fn a_key_has_so_many_streams() {
    let scene = Scene::start(&["--max-request-rate", "0", "--max-streams-per-key", "2"]);
    let (noisy, quiet) = (scene.key_with("read").await, scene.key_with("read").await);
    let open = async |key: &str| Events::open_with_key(scene.gateway.address, "/v1/events", key).await;
    let streams = [open(noisy.expose()).await, open(noisy.expose()).await];
    let refused = scene.get("/v1/events", &noisy).await;
    assert_eq!(verdict(&refused), (429, Some("too_many_streams_of_caller")));
    open(quiet.expose()).await;
    drop(streams);
    // That they are gone shows when they are told something, which the refusal itself brings about.
    let begun = std::time::Instant::now();
    while scene.get("/v1/events", &noisy).await.status == 429 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn a_key_has_so_many_jobs() {
    let limits = ["--max-request-rate", "0", "--max-jobs-per-key", "2"];
    let mut scene = Scene::start(&limits);
    let (noisy, quiet) = (scene.key_with("scale").await, scene.key_with("scale").await);
    let wish = |resource: &str| json!({"resource": resource, "targetCapacity": 3});
    let first = scene.submit(wish("a"), &noisy).await;
    scene.submit(wish("b"), &noisy).await;
    let refused = Raw::post("/v1/jobs", wish("c").to_string());
    for _ in 0..2 {
        assert_eq!(verdict(&scene.ask(&refused, &noisy).await), (429, Some("too_many_jobs_of_key")));
        let plan = Raw::post("/v1/plans", wish("c").to_string());
        assert_eq!(verdict(&scene.ask(&plan, &noisy).await), (429, Some("too_many_jobs_of_key")));
        // They are counted again by the next process.
        scene = scene.restart(&limits);
    }
    scene.submit(wish("d"), &quiet).await;
    let superseding = json!({"resource": "a", "targetCapacity": 4, "onConflict": "supersede"});
    let second = scene.submit(superseding, &noisy).await;
    assert_ne!(first, second, "it takes the place of one of its own");
    assert_eq!(scene.ask(&Raw::new("POST", &format!("/v1/jobs/{second}/cancel")), &noisy).await.status, 200);
    let begun = std::time::Instant::now();
    while scene.ask(&refused, &noisy).await.status == 429 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// From this machine, requests without a key are not limited together: behind the loopback address are all its
/// programs.
#[actix_web::test]
async fn without_keys_this_machine_is_not_limited() {
    let scene = Scene::start(&["--max-request-rate", "1", "--insecure-no-auth"]);
    for _ in 0..20 {
        let answer = scene.gateway.raw(&Raw::get("/v1/jobs")).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
    }
    let wrong = Raw::get("/v1/jobs").header("Authorization", "Bearer sg_wrong");
    assert_eq!(verdict(&scene.gateway.raw(&wrong).await), (401, Some("invalid_key")));
}

#[actix_web::test]
async fn no_limit_is_a_limit_of_zero() {
    let scene = Scene::start(&UNLIMITED);
    for _ in 0..200 {
        let answer = scene.get("/v1/jobs", &scene.admin).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
    }
}

/// Made-up aliases do not grow without a limit, one key leaves room for others, and what is listed is not counted.
#[actix_web::test]
async fn a_key_scales_so_many_resources_that_are_not_listed() {
    const OF_KEY: usize = 200;
    let scene = Scene::start(&UNLIMITED);
    let config = scene.dir.path().join("config.toml");
    std::fs::write(&config, "[resources.listed]\nmax = 9\n").expect("written");
    let options = ["--max-request-rate", "0", "--config", config.to_str().expect("text")];
    let mut scene = scene.stop_and_start(&options);
    let (noisy, quiet) = (scene.key_with("scale").await, scene.key_with("scale").await);
    let wish = |resource: &str| json!({"resource": resource, "targetCapacity": 3});
    for number in 0..OF_KEY {
        scene.submit(wish(&format!("made-up-{number}")), &noisy).await;
    }
    for _ in 0..2 {
        for path in ["/v1/jobs", "/v1/plans"] {
            let refused = scene.ask(&Raw::post(path, wish("one-more").to_string()), &noisy).await;
            assert_eq!(verdict(&refused), (429, Some("too_many_resources")), "{path}");
            assert!(refused.problem().detail.contains("List the resource in the configuration"));
        }
        // Those with unfinished jobs are counted again by the next process.
        scene = scene.restart(&options);
    }
    scene.submit(wish("listed"), &noisy).await;
    scene.submit(json!({"resource": "made-up-0", "targetCapacity": 4, "onConflict": "queue"}), &quiet).await;
    scene.submit(wish("one-more"), &quiet).await;

    let page = scene.get("/v1/resources", &quiet).await.json();
    let first = page["resources"].as_array().expect("resources");
    assert_eq!((first.len(), &page["nextPageToken"]), (200, &first[199]["resource"]));
    let token = page["nextPageToken"].as_str().expect("a token");
    let answer = scene.get(&format!("/v1/resources?pageToken={token}"), &scene.admin).await.json();
    assert_eq!((answer["resources"].as_array().map(Vec::len), &answer["nextPageToken"]), (Some(2), &json!(null)));
    let refused = scene.get("/v1/resources?pageSize=201&page=2", &scene.admin).await;
    assert_eq!(verdict(&refused), (422, Some("validation_failed")));
}
