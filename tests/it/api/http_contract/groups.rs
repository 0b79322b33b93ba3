//! Groups over sockets.

use std::time::Duration;

use serde_json::{Value, json};

use super::{LONG_COOLDOWN, SHORT_COOLDOWN, parsed};
use crate::api::scene::Scene;
use crate::support::gateway::{Gateway, Response};
use scalegate::api::Problem;
use scalegate::api::view::{GroupList, GroupPlan, GroupView};
use scalegate::domain::{GroupState, StateName};

fn two_stages() -> Value {
    json!({"targets": {"db": 3, "api": {"delta": 1}}, "stages": [["db"], ["api"]], "reason": "release"})
}

fn group(response: &Response, status: u16) -> GroupView {
    assert_eq!(response.status, status, "{}", response.text());
    serde_json::from_slice(&response.body).expect("a group")
}

async fn until_over(gateway: &Gateway, path: &str) -> GroupView {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let shown = group(&gateway.get_with(path, ("Prefer", "wait=30")).await, 200);
        if shown.state >= GroupState::Succeeded {
            return shown;
        }
        assert!(std::time::Instant::now() < deadline, "{shown:#?}");
    }
}

#[actix_web::test]
async fn a_group_is_carried_out_in_stages_and_followed_by_all_means() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let gateway = &scene.gateway;
    let plan: GroupPlan = parsed(&gateway.post("/v1/groups/plan", &two_stages()).await);
    assert_eq!(plan.stages.iter().map(|stage| stage.members.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(plan.joins, None);
    let answer = gateway.post("/v1/groups", &two_stages()).await;
    let accepted = group(&answer, 202);
    let path = answer.header("location").expect("an address").to_owned();
    assert_eq!(path, format!("/v1/groups/{}", accepted.id));
    let api = &accepted.members[0];
    assert_eq!((api.resource.as_str(), api.stage, api.state), ("api", 2, StateName::Queued));
    assert_eq!(api.waiting_for.as_ref().map(|waiting| waiting.reason.as_str()), Some("stage"));
    assert_eq!(gateway.job(api.job_id).await.group_id, Some(accepted.id));
    let joined = gateway
        .post("/v1/groups", &json!({"targets": {"db": 3, "api": {"delta": 1}}, "stages": [["db"], ["api"]]}))
        .await;
    assert_eq!(joined.status, 409, "a delta is never the same as another one");
    let events = gateway.get(&format!("{path}/events")).await;
    assert!(events.text().matches("event: group").count() >= 3, "{}", events.text());
    let over = until_over(gateway, &path).await;
    assert_eq!(over.state, GroupState::Succeeded, "{over:#?}");
    assert_eq!((over.progress.percent, over.error.is_none()), (100, true));
    assert!(events.text().contains(&format!("id: {}\nevent: group", over.version)));
    let current = gateway.get(&path).await;
    let tag = current.header("etag").expect("a tag").to_owned();
    assert_eq!(gateway.get_with(&path, ("If-None-Match", &tag)).await.status, 304);
    let listed: GroupList = parsed(&gateway.get("/v1/groups?state=succeeded&resource=db").await);
    assert_eq!(listed.groups, [over]);
    let none: GroupList = parsed(&gateway.get("/v1/groups?state=running").await);
    assert!(none.groups.is_empty());
    assert_eq!(gateway.post(&format!("{path}/cancel"), &json!({})).await.problem().code.as_str(), "group_finished");
    let finished_id = listed.groups[0].version.to_string();
    let again = gateway.get_with(&format!("{path}/events"), ("Last-Event-ID", &finished_id)).await;
    assert_eq!(again.status, 204);
}

#[actix_web::test]
async fn a_group_is_refused_with_every_job_in_its_way_and_can_be_canceled() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let gateway = &scene.gateway;
    let (db, api) = (scene.cooling_job("db").await, scene.cooling_job("api").await);
    let refused = gateway.post("/v1/groups", &two_stages()).await;
    let Problem { code, jobs, .. } = refused.problem();
    assert_eq!((refused.status, code.as_str()), (409, "resource_busy"));
    let mut ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [db.id, api.id]);
    let targets = json!({"targets": {"worker": 5, "cache": 5}});
    let keyed = [("Idempotency-Key", "once")];
    let accepted = group(&gateway.post_with("/v1/groups", &targets, &keyed).await, 202);
    let replayed = gateway.post_with("/v1/groups", &targets, &keyed).await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(group(&replayed, 202).id, accepted.id);
    assert_eq!(group(&gateway.post("/v1/groups", &targets).await, 200).id, accepted.id);
    let path = format!("/v1/groups/{}", accepted.id);
    group(&gateway.post(&format!("{path}/cancel"), &json!({})).await, 200);
    let over = until_over(gateway, &path).await;
    assert_eq!((over.state, over.canceled), (GroupState::Canceled, true), "{over:#?}");
    assert_eq!(gateway.get("/v1/groups/0198c3f2-7a00-7000-8000-000000000001").await.status, 404);
}

#[actix_web::test]
async fn what_is_refused_as_a_group_is_refused_as_a_plan_which_keeps_no_places() {
    let scene = Scene::start(&[&LONG_COOLDOWN[..], &["--max-active-jobs", "2"]].concat());
    let gateway = &scene.gateway;
    let (three, two) = (json!({"targets": {"a": 5, "b": 5, "c": 5}}), json!({"targets": {"a": 5, "b": 5}}));
    for path in ["/v1/groups/plan", "/v1/groups"] {
        assert_eq!(gateway.post(path, &three).await.problem().code.as_str(), "too_many_jobs", "{path}");
    }
    for _ in 0..2 {
        let plan: GroupPlan = parsed(&gateway.post("/v1/groups/plan", &two).await);
        assert_eq!(plan.joins, None);
    }
    let accepted = group(&gateway.post("/v1/groups", &two).await, 202);
    let joining: GroupPlan = parsed(&gateway.post("/v1/groups/plan", &two).await);
    assert_eq!(joining.joins, Some(accepted.id));
    let other = json!({"targets": {"a": 6, "b": 5}});
    for path in ["/v1/groups/plan", "/v1/groups"] {
        let refused = gateway.post(path, &other).await.problem();
        assert_eq!((refused.code.as_str(), refused.jobs.len()), ("resource_busy", 2), "{path}");
    }
}
