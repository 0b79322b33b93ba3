//! Every route for every kind of caller.

use std::collections::BTreeSet;

use scalegate::access::Token;
use scalegate::api;
use serde_json::json;

use super::scene::{Scene, UNLIMITED, verdict, with_key};
use crate::support::gateway::{Raw, assert_documented};

/// What a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Nothing,
    WrongKey,
    ExpiredKey,
    RevokedKey,
    PushKey,
    ReadKey,
    ScaleKey,
    /// A key to scale another resource.
    ScaleKeyElsewhere,
    AdminKey,
}

impl Shows {
    const ALL: [Self; 9] = [
        Self::Nothing,
        Self::WrongKey,
        Self::ExpiredKey,
        Self::RevokedKey,
        Self::PushKey,
        Self::ReadKey,
        Self::ScaleKey,
        Self::ScaleKeyElsewhere,
        Self::AdminKey,
    ];
}

/// For whom a route is.
#[derive(Clone, Copy, Debug)]
enum For {
    EveryCaller,
    /// Everyone with a good key.
    EveryKey,
    /// Keys that may look; a key for another resource sees what is its own.
    Read,
    /// Keys that may look at the resource.
    ReadWorker,
    /// Keys that may look at everything.
    ReadAll,
    /// Keys that may scale anything.
    Scale,
    /// Keys that may scale the resource.
    ScaleWorker,
    /// Who may look at the resource of the job. To others there is no such job.
    ReadJob,
    /// Who may scale the resource of the job.
    ScaleJob,
    /// Who may look at all resources of the group. To others there is no such group.
    ReadGroup,
    /// Who may scale all resources of the group.
    ScaleGroup,
    Admin,
    /// Keys that may push metrics of the resource.
    PushWorker,
}

/// All routes: method, path with `{job}`, `{worker}` and `{key}` filled in for each caller, body, whom it is for, and
/// the status for a caller who is admitted.
const TABLE: &[(&str, &str, &str, For, u16)] = &[
    ("GET", "/livez", "", For::EveryCaller, 200),
    ("GET", "/readyz", "", For::EveryCaller, 200),
    ("GET", "/", "", For::EveryCaller, 200),
    ("GET", "/panel/main.js", "", For::EveryCaller, 200),
    ("GET", "/docs", "", For::EveryCaller, 307),
    ("GET", "/docs/index.html", "", For::EveryCaller, 200),
    ("GET", "/openapi.json", "", For::EveryCaller, 200),
    ("GET", "/metrics", "", For::ReadAll, 200),
    ("POST", "/v1/jobs", r#"{"resource": "worker", "targetCapacity": 3}"#, For::ScaleWorker, 200),
    ("GET", "/v1/jobs", "", For::Read, 200),
    ("GET", "/v1/jobs?resource=worker", "", For::ReadWorker, 200),
    ("GET", "/v1/jobs/{job}", "", For::ReadJob, 200),
    ("GET", "/v1/jobs/{job}?x", "", For::ReadJob, 200),
    ("POST", "/v1/jobs/{job}/cancel", "", For::ScaleJob, 409),
    ("GET", "/v1/jobs/{job}/events", "", For::ReadJob, 200),
    ("GET", "/v1/events", "", For::Read, 200),
    ("GET", "/v1/events?resource=worker", "", For::ReadWorker, 200),
    ("POST", "/v1/plans", r#"{"resource": "worker", "targetCapacity": 3}"#, For::ReadWorker, 200),
    ("GET", "/v1/groups", "", For::Read, 200),
    ("POST", "/v1/groups", GROUP, For::ScaleWorker, 409),
    ("POST", "/v1/groups/plan", GROUP, For::ReadWorker, 409),
    ("GET", "/v1/groups/{group}", "", For::ReadGroup, 200),
    ("POST", "/v1/groups/{group}/cancel", "", For::ScaleGroup, 409),
    ("GET", "/v1/groups/{group}/events", "", For::ReadGroup, 200),
    ("GET", "/v1/resources", "", For::Read, 200),
    ("GET", "/v1/resources/worker", "", For::ReadWorker, 200),
    ("GET", "/v1/resources/worker/timeline", "", For::ReadWorker, 200),
    ("GET", "/v1/policies", "", For::Read, 200),
    ("PUT", "/v1/resources/worker/policy", POLICY, For::Admin, 201),
    ("GET", "/v1/resources/worker/policy", "", For::ReadWorker, 200),
    ("GET", "/v1/resources/worker/policy/revisions", "", For::ReadWorker, 200),
    ("POST", "/v1/resources/worker/policy/evaluate", "{}", For::ReadWorker, 200),
    (
        "POST",
        "/v1/backtests",
        r#"{"resource": "worker", "demand": {"metric": "none", "perUnit": 1}}"#,
        For::ScaleWorker,
        422,
    ),
    ("POST", "/v1/resources/worker/metrics", r#"{"queue": 1}"#, For::PushWorker, 202),
    ("POST", "/v1/resources/worker/metrics/queue", r#"{"value": 1}"#, For::PushWorker, 202),
    ("POST", "/v1/resources/worker/metrics/queue", r#"{"forecast": []}"#, For::PushWorker, 202),
    ("GET", "/v1/resources/worker/metrics/queue", "", For::ReadWorker, 200),
    ("GET", "/v1/resources/worker/decisions", "", For::ReadWorker, 200),
    ("GET", "/v1/resources/worker/outlook", "", For::ReadWorker, 200),
    ("DELETE", "/v1/resources/worker/hold", "", For::ScaleWorker, 404),
    ("PUT", "/v1/resources/worker/hold", r#"{"forSeconds": 3600}"#, For::ScaleWorker, 200),
    ("GET", "/v1/resources/worker/hold", "", For::ReadWorker, 200),
    ("POST", "/v1/resources/worker/claims", r#"{"units": 1, "forSeconds": 3600}"#, For::ScaleWorker, 201),
    ("GET", "/v1/resources/worker/claims", "", For::ReadWorker, 200),
    ("GET", "/v1/resources/worker/claims/0198c3f2-7a00-7000-8000-000000000009", "", For::ReadWorker, 404),
    (
        "POST",
        "/v1/resources/worker/claims/0198c3f2-7a00-7000-8000-000000000009/renew",
        r#"{"forSeconds": 1}"#,
        For::ScaleWorker,
        404,
    ),
    ("DELETE", "/v1/resources/worker/claims/0198c3f2-7a00-7000-8000-000000000009", "", For::ScaleWorker, 404),
    ("POST", "/v1/hooks/alertmanager", r#"{"alerts": []}"#, For::Scale, 200),
    ("DELETE", "/v1/resources/worker/policy", "", For::Admin, 204),
    ("POST", "/v1/keys", r#"{"name": "x", "scope": "read"}"#, For::Admin, 201),
    ("GET", "/v1/keys", "", For::Admin, 200),
    ("GET", "/v1/keys/{key}", "", For::Admin, 200),
    ("POST", "/v1/keys/{key}/revoke", "", For::Admin, 200),
    ("GET", "/v1/whoami", "", For::EveryKey, 200),
    ("GET", "/v1/audit", "", For::Admin, 200),
];

/// An id that no job or group has.
const EXAMPLE_ID: &str = "0198c3f2-7a00-7000-8000-000000000001";

/// A group that is refused, since there is a job in its way. A key for one of its resources is not enough.
const GROUP: &str = r#"{"targets": {"worker": 7, "other": 7}}"#;

/// A policy that a resource can have whatever else stands about it.
const POLICY: &str = r#"{"min": 1, "max": 9, "metrics": {"queue": {"source": {"type": "push"}}},
    "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 1}]}"#;

/// What a caller who shows `shows` is told instead of being admitted.
fn refusal(shows: Shows, whom: For) -> Option<(u16, &'static str)> {
    use Shows::*;
    match (whom, shows) {
        (For::EveryCaller, _) => None,
        (_, Nothing) => Some((401, "authentication_required")),
        (_, WrongKey) => Some((401, "invalid_key")),
        (_, ExpiredKey) => Some((401, "key_expired")),
        (_, RevokedKey) => Some((401, "key_revoked")),
        (For::EveryKey, _) | (_, AdminKey) => None,
        (For::PushWorker, PushKey | ScaleKey) => None,
        (For::PushWorker, ScaleKeyElsewhere) => Some((403, "resource_forbidden")),
        (For::PushWorker, ReadKey) => Some((403, "insufficient_scope")),
        (For::Admin, _) | (_, PushKey) | (For::Scale | For::ScaleWorker | For::ScaleJob | For::ScaleGroup, ReadKey) => {
            Some((403, "insufficient_scope"))
        }
        (For::ReadWorker | For::ReadAll | For::ScaleWorker, ScaleKeyElsewhere) => Some((403, "resource_forbidden")),
        (For::ReadJob | For::ScaleJob, ScaleKeyElsewhere) => Some((404, "job_not_found")),
        (For::ReadGroup | For::ScaleGroup, ScaleKeyElsewhere) => Some((404, "group_not_found")),
        (For::Read | For::ReadWorker | For::ReadAll | For::ReadJob | For::ReadGroup, _) => None,
        (For::Scale | For::ScaleWorker | For::ScaleJob | For::ScaleGroup, _) => None,
    }
}

struct Keys([(Shows, Option<Token>); 9]);

impl Keys {
    async fn make(scene: &Scene) -> Self {
        let expired = scene.key(json!({"name": "short", "scope": "admin", "expiresInSeconds": 1})).await;
        let revoked = scene.key_with("admin").await;
        scene.revoke(&revoked).await;
        let elsewhere = scene.key(json!({"name": "other", "scope": "scale", "resources": ["other"]})).await;
        let keys = Self([
            (Shows::Nothing, None),
            (Shows::WrongKey, Some(Token::generate().expect("randomness"))),
            (Shows::ExpiredKey, Some(expired.clone())),
            (Shows::RevokedKey, Some(revoked)),
            (Shows::PushKey, Some(scene.key_with("push").await)),
            (Shows::ReadKey, Some(scene.key_with("read").await)),
            (Shows::ScaleKey, Some(scene.key_with("scale").await)),
            (Shows::ScaleKeyElsewhere, Some(elsewhere)),
            (Shows::AdminKey, Some(scene.key_with("admin").await)),
        ]);
        while scene.get("/v1/jobs", &expired).await.status != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        keys
    }

    fn of(&self, shows: Shows) -> Option<&Token> {
        self.0.iter().find(|(own, _)| *own == shows).and_then(|(_, key)| key.as_ref())
    }
}

impl Scene {
    /// A group of the resource that is over.
    async fn finished_group(&self) -> String {
        let group = json!({"targets": {"worker": 1}}).to_string();
        let answer = self.ask(&Raw::with_json("POST", "/v1/groups", group), &self.admin).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let path = answer.header("location").expect("an address").to_owned();
        let waited = self.ask(&Raw::get(&path).header("Prefer", "wait=30"), &self.admin).await;
        assert_eq!(waited.json()["state"], "succeeded", "{}", waited.text());
        waited.json()["id"].as_str().expect("an id").to_owned()
    }
}

#[actix_web::test]
async fn every_route_for_every_caller() {
    let scene = Scene::start(&UNLIMITED);
    let keys = Keys::make(&scene).await;
    let finished = scene.submit(json!({"resource": "worker", "targetCapacity": 1}), &scene.admin).await;
    while !scene.get(&format!("/v1/jobs/{finished}"), &scene.admin).await.job().state.is_over() {}
    let group = scene.finished_group().await;
    // A caller who asks for the same joins it.
    scene.submit(json!({"resource": "worker", "targetCapacity": 3, "cooldownSeconds": 86400}), &scene.admin).await;
    for (method, path, body, whom, status) in TABLE {
        for shows in Shows::ALL {
            let victim = scene.key_with("read").await;
            let path = path.replace("{job}", &finished).replace("{group}", &group);
            let path = path.replace("{key}", victim.id().as_str());
            let mut request =
                if body.is_empty() { Raw::new(method, &path) } else { Raw::with_json(method, &path, *body) };
            if let Some(key) = keys.of(shows) {
                request = with_key(&request, key.expose());
            }
            let answer = scene.gateway.raw(&request).await;
            let expected = refusal(shows, *whom);
            let seen = if expected.is_some() { verdict(&answer) } else { (answer.status, None) };
            let wanted = expected.map_or((*status, None), |(status, code)| (status, Some(code)));
            assert_eq!(seen, wanted, "{shows:?}: {method} {path}: {}", answer.text());
            if let Some((status, code)) = expected {
                assert_documented(method, &path, status, code);
                let challenge = answer.header("www-authenticate").unwrap_or_default();
                assert_eq!(
                    challenge.contains("Bearer"),
                    !matches!(code, "resource_forbidden" | "job_not_found" | "group_not_found"),
                    "{code}: {challenge}"
                );
            }
        }
    }
}

/// Whether the gateway is ready is for all; how many jobs it has, and how it gets on with its sidecar, is not. No key
/// makes a probe fail, be it wrong or expired.
#[actix_web::test]
async fn readiness_has_details_for_readers_alone() {
    let scene = Scene::start(&["--max-request-rate", "1000"]);
    let keys = Keys::make(&scene).await;
    scene.submit(json!({"resource": "worker", "targetCapacity": 3, "cooldownSeconds": 86400}), &scene.admin).await;
    for shows in Shows::ALL {
        let probe = Raw::get("/readyz");
        let probe = keys.of(shows).map_or(probe.clone(), |key| with_key(&probe, key.expose()));
        let answer = scene.gateway.raw(&probe).await;
        let ready = answer.json();
        assert_eq!((answer.status, &ready["status"]), (200, &json!("ready")), "{shows:?}: {}", answer.text());
        let (sees_sidecar, sees_jobs) = match shows {
            Shows::Nothing | Shows::WrongKey | Shows::ExpiredKey | Shows::RevokedKey | Shows::PushKey => (false, false),
            Shows::ScaleKeyElsewhere => (true, false),
            Shows::ReadKey | Shows::ScaleKey | Shows::AdminKey => (true, true),
        };
        assert_eq!(ready["unfinishedJobs"], if sees_jobs { json!(1) } else { json!(null) }, "{shows:?}");
        assert_eq!(ready["sidecar"].is_object(), sees_sidecar, "{shows:?}: {ready}");
        assert_eq!(ready.as_object().map(serde_json::Map::len), Some(3), "{ready}");
    }
}

/// Probes with wrong keys are answered without a limit, as any probe is, but keys are not tried without one.
#[actix_web::test]
async fn a_probe_is_no_way_to_use_a_key_faster() {
    let scene = Scene::start(&["--max-request-rate", "5"]);
    let key = scene.key_with("read").await;
    let mut told = Vec::new();
    for _ in 0..20 {
        let answer = scene.get("/readyz", &key).await;
        assert_eq!(answer.status, 200);
        told.push(answer.json()["unfinishedJobs"].is_u64());
    }
    assert!(told[0] && told.contains(&false), "{told:?}");
}

/// A route that is not listed here fails this: which callers is it for?
#[test]
fn the_table_has_every_route() {
    let routes = api::routes();
    let there: BTreeSet<_> =
        routes.operations().map(|(method, pattern, _)| (method.to_string(), pattern.to_owned())).collect();
    let in_table: BTreeSet<_> = TABLE
        .iter()
        .map(|(method, path, ..)| {
            let path = path.split('?').next().unwrap_or_default();
            let path = path.replace("{job}", EXAMPLE_ID).replace("{group}", EXAMPLE_ID).replace("{key}", "4fJ2kQ9xZa");
            let pattern = routes.place(&path).and_then(|place| routes.patterns().nth(place)).expect("a route");
            ((*method).to_owned(), pattern.to_owned())
        })
        .collect();
    assert_eq!(in_table, there);
}

/// The same path written in another way is the same path to the router, and so it is to the guard.
#[actix_web::test]
async fn no_spelling_of_a_path_is_a_way_around() {
    let scene = Scene::start(&UNLIMITED);
    for (method, path, body, whom, _) in TABLE.iter().filter(|(.., whom, _)| !matches!(whom, For::EveryCaller)) {
        let path = path
            .replace("{job}", EXAMPLE_ID)
            .replace("{group}", EXAMPLE_ID)
            .replace("{key}", scene.admin.id().as_str());
        let (path, query) = path.split_once('?').map_or((path.as_str(), ""), |(path, query)| (path, query));
        let letters = path.char_indices().filter(|(_, letter)| *letter != '/');
        let spellings = letters.map(|(at, letter)| format!("{}%{:02X}{}", &path[..at], letter as u32, &path[at + 1..]));
        for spelling in spellings.chain([path.replace('/', "//"), format!("{path}/"), path.replace('/', "/./")]) {
            let target = format!("{spelling}?{query}");
            let request =
                if body.is_empty() { Raw::new(method, &target) } else { Raw::with_json(method, &target, *body) };
            let status = scene.gateway.raw(&request).await.status;
            assert!(matches!(status, 401 | 404), "{method} {target} ({whom:?}) is answered with {status}");
        }
    }
}

/// What is the same for all methods and paths that do not exist: they say so to every caller, and nothing else.
#[actix_web::test]
async fn what_does_not_exist_is_no_secret() {
    let scene = Scene::start(&UNLIMITED);
    for (method, path, status) in
        [("GET", "/v1/nothing", 404), ("DELETE", "/v1/jobs", 405), ("GET", "/v1", 404), ("PUT", "/v1/audit", 405)]
    {
        assert_eq!(scene.gateway.raw(&Raw::new(method, path)).await.status, status, "{method} {path}");
    }
}

/// A HEAD needs what a GET needs.
#[actix_web::test]
async fn a_head_is_no_way_around() {
    let scene = Scene::start(&UNLIMITED);
    for path in ["/v1/jobs", "/v1/keys", "/v1/audit", "/metrics", "/v1/events"] {
        assert_eq!(scene.gateway.raw(&Raw::new("HEAD", path)).await.status, 401, "{path}");
        assert_eq!(scene.ask(&Raw::new("HEAD", path), &scene.admin).await.status, 200, "{path}");
    }
}

/// Lists and streams show a key that is for some resources only what is about those.
#[actix_web::test]
async fn a_limited_key_sees_its_own_part_of_lists() {
    let scene = Scene::start(&UNLIMITED);
    let own = scene.key(json!({"name": "api", "scope": "scale", "resources": ["api", "unused"]})).await;
    for resource in ["worker", "api"] {
        scene.submit(json!({"resource": resource, "targetCapacity": 3}), &scene.admin).await;
    }
    let names = |answer: serde_json::Value, list: &str| -> Vec<String> {
        let items = answer[list].as_array().expect("a list").iter();
        items.map(|item| item["resource"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(scene.get("/v1/jobs", &own).await.json(), "jobs"), ["api"]);
    assert_eq!(names(scene.get("/v1/jobs?state=running&state=queued", &own).await.json(), "jobs"), ["api"]);
    assert_eq!(names(scene.get("/v1/resources", &own).await.json(), "resources"), ["api"]);
    assert_eq!(names(scene.get("/v1/jobs", &scene.admin).await.json(), "jobs"), ["api", "worker"]);
    let job = scene.submit(json!({"resource": "api", "targetCapacity": 4, "onConflict": "queue"}), &own).await;
    assert_eq!(scene.ask(&Raw::new("POST", &format!("/v1/jobs/{job}/cancel")), &own).await.status, 200);
}

/// The id of a job for a resource out of reach is answered like one that was never given out, byte for byte.
#[actix_web::test]
async fn a_job_out_of_reach_is_no_job() {
    let scene = Scene::start(&UNLIMITED);
    let other = scene.key(json!({"name": "other", "scope": "scale", "resources": ["other"]})).await;
    let job = scene.submit(json!({"resource": "worker", "targetCapacity": 3}), &scene.admin).await;
    let unknown = "01980000-0000-7000-8000-000000000000";
    for (method, end) in [("GET", ""), ("GET", "/events"), ("POST", "/cancel")] {
        let mut told = Vec::new();
        for id in [&job, unknown] {
            let answer = scene.ask(&Raw::new(method, &format!("/v1/jobs/{id}{end}")), &other).await;
            let problem = answer.problem();
            assert!(!problem.detail.contains("worker"), "{}", problem.detail);
            told.push((verdict(&answer), problem.detail.replace(id, "ID"), problem.title));
        }
        assert_eq!(told[0].0, (404, Some("job_not_found")), "{method} {end}");
        assert_eq!(told[0], told[1], "{method} {end}");
    }
    let entries = scene.audit().await;
    assert_eq!((&entries[1]["job"], &entries[1]["resource"]), (&json!(job), &json!("worker")), "admins see it all");
}

/// Whatever is not exactly one key is none, whichever caller sent it.
#[actix_web::test]
async fn authorization_headers_of_every_kind() {
    let scene = Scene::start(&UNLIMITED);
    let good = scene.admin.expose().to_owned();
    let long = format!("Bearer {}", "x".repeat(50_000));
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer sg_",
        "Basic c2c6c2c=",
        &good,
        &format!("Bearer {}", &good[1..]),
        &format!("Bearer {}", good.to_lowercase()),
        &format!("Bearer {}", &good[..50]),
        &format!("Bearer {good}0"),
        &format!("Bearer {good} {good}"),
        &format!("Bearer {good}, Bearer {good}"),
        &format!("Bearer \"{good}\""),
        &format!("Bearer\t{good}"),
        &format!("Token {good}"),
        &long,
        "Bearer sg_\u{e9}",
    ] {
        let answer = scene.gateway.raw(&Raw::get("/v1/jobs").header("Authorization", header)).await;
        assert_eq!(verdict(&answer), (401, Some("invalid_key")), "{header:.60}");
    }
    let twice = with_key(&with_key(&Raw::get("/v1/jobs"), &good), &good);
    assert_eq!(verdict(&scene.gateway.raw(&twice).await), (401, Some("invalid_key")));
    // A key in the address would be in every log on the way.
    let in_query = Raw::get(&format!("/v1/jobs?access_token={good}"));
    assert_eq!(verdict(&scene.gateway.raw(&in_query).await), (401, Some("authentication_required")));
}
