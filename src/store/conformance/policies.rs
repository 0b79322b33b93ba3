//! Policies: documents, states, claims, holds and decisions.

use super::{House, Scene, about, writing};
use crate::domain::policy::{Claim, Decision};
use crate::domain::{JobId, Stage};
use crate::store::fixtures::{NOW, alias, changes, claim, decision, hold, job, jobs, lane, revision, seconds, state};
use crate::store::{AdoptedLane, MAX_REVISIONS, PolicyRecord, PolicyWrite as Write, Revision, Unit};

/// Commits these changes of the policy of `worker`, as the owner of its lane.
async fn write(scene: &Scene<'_>, writes: impl IntoIterator<Item = Write>) {
    let epoch = scene.adopt("worker").await.epoch;
    scene.put(Unit { policies: changes("worker", writes), ..about("worker", epoch) }).await;
}

async fn found(scene: &Scene<'_>) -> PolicyRecord {
    *scene.adopt("worker").await.policy.unwrap_or_default()
}

fn decided(id: u128) -> Write {
    Write::Decision(Box::new(decision(id)))
}

pub async fn a_policy_comes_back_whole_after_a_restart(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    assert_eq!(scene.adopt("worker").await.policy, None);
    let writes = [
        Write::Revision(revision(1, Some("{\"min\":1}"))),
        Write::State(state("{\"wish\":3}")),
        Write::Claim(claim(2)),
        Write::Claim(claim(1)),
        Write::Hold(Some(hold())),
        decided(1),
    ];
    write(&scene, writes).await;
    let expected = PolicyRecord {
        revision: Some(revision(1, Some("{\"min\":1}"))),
        state: Some(state("{\"wish\":3}")),
        claims: vec![claim(1), claim(2)],
        hold: Some(hold()),
        samples: Default::default(),
        predictions: Default::default(),
        last_decision: Some(Box::new(decision(1))),
    };
    assert_eq!(found(&scene).await, expected);
    let adopted = scene.restart().await.lanes.remove(0);
    assert_eq!(adopted.policy, Some(Box::new(expected)));
}

pub async fn revisions_go_on_after_a_policy_was_deleted(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    write(&scene, [Write::Revision(revision(1, Some("one"))), Write::Revision(revision(2, None))]).await;
    assert_eq!(scene.restart().await.lanes, [], "nothing is in force");
    assert_eq!(found(&scene).await.revision, Some(revision(2, None)));
    write(&scene, [Write::Revision(revision(3, Some("three")))]).await;
    assert_eq!(found(&scene).await.revision, Some(revision(3, Some("three"))));
}

pub async fn revisions_are_listed_newest_first(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let all = |scene: &Scene<'_>| {
        let reader = std::sync::Arc::clone(&scene.reader);
        async move { reader.policy_revisions(&alias("worker")).await.expect("readable") }
    };
    assert_eq!(all(&scene).await, []);
    let mut expected = vec![revision(1, Some("one")), Revision { by: None, ..revision(2, None) }];
    write(&scene, expected.iter().cloned().map(Write::Revision)).await;
    expected.reverse();
    assert_eq!(all(&scene).await, expected);
    write(&scene, (3..=MAX_REVISIONS + 5).map(|number| Write::Revision(revision(number, Some("more"))))).await;
    scene.restart().await;
    let numbers: Vec<u64> = all(&scene).await.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, (6..=MAX_REVISIONS + 5).rev().collect::<Vec<_>>());
}

pub async fn the_end_of_a_policy_ends_its_claims_and_not_the_hold(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let put = Write::Revision(revision(1, Some("one")));
    write(&scene, [put, Write::State(state("s")), Write::Claim(claim(1)), Write::Hold(Some(hold())), decided(1)]).await;
    write(&scene, [Write::Revision(revision(2, Some("two")))]).await;
    let replaced = found(&scene).await;
    assert_eq!((replaced.state, replaced.claims), (Some(state("s")), vec![claim(1)]), "a new document ends neither");
    write(&scene, [Write::Revision(revision(3, None))]).await;
    for _ in 0..2 {
        let expected = PolicyRecord {
            revision: Some(revision(3, None)),
            hold: Some(hold()),
            last_decision: Some(Box::new(decision(1))),
            ..PolicyRecord::default()
        };
        assert_eq!(found(&scene).await, expected);
        scene.restart().await;
    }
    write(&scene, [Write::Hold(None)]).await;
    assert_eq!(found(&scene).await.hold, None);
}

pub async fn changes_of_a_unit_count_in_their_order(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let renewed = Claim { until: NOW + seconds(9), ..claim(1) };
    let writes = [
        Write::Claim(claim(1)),
        Write::Claim(claim(2)),
        Write::ClaimEnded(JobId::from_u128(2)),
        Write::ClaimEnded(JobId::from_u128(3)),
        Write::Claim(renewed.clone()),
        Write::State(state("first")),
        Write::Revision(revision(1, None)),
        Write::State(state("second")),
        Write::Claim(renewed.clone()),
        Write::Hold(Some(hold())),
        Write::Hold(None),
    ];
    write(&scene, writes).await;
    scene.restart().await;
    let found = found(&scene).await;
    assert_eq!((found.state, found.claims, found.hold), (Some(state("second")), vec![renewed], None));
}

pub async fn a_decision_replaces_the_newest_one_with_its_id(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let again = |id, count| Box::new(Decision { count, last_at: NOW + seconds(count), ..decision(id) });
    write(&scene, [decided(1), decided(2), Write::Decision(again(2, 5))]).await;
    scene.restart().await;
    assert_eq!(found(&scene).await.last_decision, Some(again(2, 5)));
    write(&scene, [decided(3)]).await;
    assert_eq!(found(&scene).await.last_decision, Some(Box::new(decision(3))));
}

pub async fn a_policy_change_without_its_lane_is_refused(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let [a, b] = [scene.adopt("a").await.epoch, scene.adopt("b").await.epoch];
    let policies = changes("b", [Write::Hold(Some(hold()))]);
    let uncovered = [about("a", a), Unit::default()].map(|unit| Unit { policies: policies.clone(), ..unit });
    for unit in uncovered {
        assert_eq!(scene.results(vec![unit]).await, ["not owned"]);
    }
    assert_eq!(scene.results(vec![about("a", a), about("b", b)]).await, ["not owned", "good"]);
    assert_eq!(scene.adopt("b").await.policy, None);
}

pub async fn a_policy_is_durable_with_its_job_or_not_at_all(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let unit = |epoch| Unit {
        jobs: jobs([job(1, "cursed")]).jobs,
        policies: changes("cursed", [decided(1), Write::State(state("s"))]),
        ..writing(lane("cursed", Some(Stage::Intended)), epoch)
    };
    scene.house.curse(true).await;
    let epoch = scene.adopt("cursed").await.epoch;
    assert_eq!(scene.results(vec![unit(epoch)]).await, ["failed"]);
    let AdoptedLane { epoch, jobs, policy, .. } = scene.adopt("cursed").await;
    assert_eq!((jobs.len(), policy), (0, None));
    scene.house.curse(false).await;
    assert_eq!(scene.results(vec![unit(epoch)]).await, ["good"]);
    let adopted = scene.restart().await.lanes.remove(0);
    let policy = adopted.policy.expect("one");
    assert_eq!(
        (adopted.jobs.len(), policy.state, policy.last_decision),
        (1, Some(state("s")), Some(Box::new(decision(1))))
    );
}

pub async fn what_is_in_force_is_adopted_without_a_lane(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    for (name, write) in [
        ("d-policy", Write::Revision(revision(1, Some("one")))),
        ("a-hold", Write::Hold(Some(hold()))),
        ("c-state", Write::State(state("s"))),
        ("b-claim", Write::Claim(claim(1))),
        ("decided", decided(1)),
    ] {
        let epoch = scene.adopt(name).await.epoch;
        scene.put(Unit { policies: changes(name, [write]), ..about(name, epoch) }).await;
    }
    scene.put(jobs([job(1, "working")])).await;
    let epoch = scene.adopt("scaled").await.epoch;
    scene.put(writing(lane("scaled", None), epoch)).await;
    let adopted = scene.restart().await.lanes;
    let names: Vec<&str> = adopted.iter().map(|lane| lane.record.resource.as_str()).collect();
    assert_eq!(names, ["scaled", "working", "a-hold", "b-claim", "c-state", "d-policy"]);
    let units = adopted.iter().map(|lane| about(lane.record.resource.as_str(), lane.epoch));
    assert!(scene.results(units.collect()).await.iter().all(|result| *result == "good"));
    assert_eq!(scene.adopt("unheard-of").await.policy, None);
    assert_eq!(scene.adopt("a-hold").await.record.resource, alias("a-hold"));
}
