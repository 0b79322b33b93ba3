//! What is observed about resources: samples, states and decisions that no job waits for.

use std::collections::BTreeMap;

use super::reading::all;
use super::{House, Scene, about, changing};
use crate::domain::Timestamp;
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Decision, Name, Sample};
use crate::store::fixtures::{
    NOW, alias, changes, decision, name, observed, prediction, revision, sample, seconds, state,
};
use crate::store::{
    ADOPTED_SAMPLES, MAX_DECISIONS, Observations, Point, PolicyRecord, PolicyWrite as Write, RecordChange, Series, Unit,
};

async fn record(scene: &Scene<'_>, batch: Vec<Observations>) {
    scene.store.record(batch).await.expect("recorded");
}

async fn found(scene: &Scene<'_>, name: &str) -> PolicyRecord {
    *scene.adopt(name).await.policy.unwrap_or_default()
}

/// The samples of the metric `queue` that the next owner of a resource is given.
async fn adopted(scene: &Scene<'_>, resource: &str) -> Vec<Sample> {
    found(scene, resource).await.samples.remove(&name("queue")).unwrap_or_default()
}

pub async fn what_was_observed_comes_back_after_a_restart(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let mut observations = observed("worker", epoch, [sample(1, 0.1), sample(2, 1e300)]);
    observations.samples.push((name("rps"), sample(2, -2.5)));
    observations.state = Some(state("s"));
    observations.decisions = vec![decision(1), decision(2)];
    record(&scene, vec![observations]).await;
    let expected = PolicyRecord {
        state: Some(state("s")),
        samples: [(name("queue"), vec![sample(1, 0.1), sample(2, 1e300)]), (name("rps"), vec![sample(2, -2.5)])].into(),
        last_decision: Some(Box::new(decision(2))),
        ..PolicyRecord::default()
    };
    assert_eq!(found(&scene, "worker").await, expected);
    let adopted = scene.restart().await.lanes.remove(0);
    assert_eq!(adopted.policy, Some(Box::new(expected)));
}

/// The last one of each metric counts, until the policy ends.
pub async fn a_prediction_takes_the_place_of_the_one_before(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let revised = |number, document| {
        let policies = changes("worker", [Write::Revision(revision(number, document))]);
        move |epoch| Unit { policies, ..about("worker", epoch) }
    };
    scene.put(revised(1, Some("one"))(epoch)).await;
    let predicted = |predictions: &[(&str, &[f64])], epoch| Observations {
        predictions: predictions.iter().map(|(of, it)| (name(of), prediction(it.iter().copied()))).collect(),
        ..observed("worker", epoch, [])
    };
    record(
        &scene,
        vec![predicted(&[("queue", &[1.0, 2.0, 3.0]), ("rps", &[0.1, 1e300]), ("old", &[5.0, 6.0])], epoch)],
    )
    .await;
    record(&scene, vec![predicted(&[("queue", &[7.0, 8.0]), ("old", &[]), ("never", &[])], epoch)]).await;
    let expected: BTreeMap<Name, Prediction> =
        [(name("queue"), prediction([7.0, 8.0])), (name("rps"), prediction([0.1, 1e300]))].into();
    let adopted = scene.restart().await.lanes.remove(0);
    assert_eq!(adopted.policy.expect("one").predictions, expected);
    for (metric, prediction) in [("queue", expected.get(&name("queue")).cloned()), ("old", None), ("never", None)] {
        let read = scene.reader.prediction(&alias("worker"), &name(metric)).await.expect("readable");
        assert_eq!(read, prediction, "{metric}");
    }
    let epoch = scene.adopt("worker").await.epoch;
    scene.put(revised(2, Some("two"))(epoch)).await;
    assert_eq!(found(&scene, "worker").await.predictions, expected, "another document takes none away");
    let epoch = scene.adopt("worker").await.epoch;
    scene.put(revised(3, None)(epoch)).await;
    assert_eq!(found(&scene, "worker").await.predictions, BTreeMap::new());
}

pub async fn the_last_sample_of_a_second_counts(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let at = |millis, value| Sample { at: NOW + std::time::Duration::from_millis(millis), value };
    record(&scene, vec![observed("worker", epoch, [at(0, 1.0), at(400, 2.0), at(1000, 3.0)])]).await;
    record(&scene, vec![observed("worker", epoch, [at(1999, 4.0), at(2000, 5.0)])]).await;
    assert_eq!(adopted(&scene, "worker").await, [at(400, 2.0), at(1999, 4.0), at(2000, 5.0)]);
}

/// Of each metric, whenever it was observed last.
pub async fn the_samples_of_the_last_hour_are_adopted(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let hour = ADOPTED_SAMPLES.as_secs();
    let epoch = scene.adopt("worker").await.epoch;
    let mut observations = observed("worker", epoch, [0, 1, hour, hour + 1].map(|second| sample(second, 1.0)));
    observations.samples.extend([0, 1].map(|second| (name("old"), sample(second, 2.0))));
    record(&scene, vec![observations]).await;
    let old = [0, 1].map(|second| sample(second, 2.0)).to_vec();
    let recent = [1, hour, hour + 1].map(|second| sample(second, 1.0)).to_vec();
    let expected: std::collections::BTreeMap<Name, Vec<Sample>> = [(name("old"), old), (name("queue"), recent)].into();
    assert_eq!(found(&scene, "worker").await.samples, expected);
    // All at once it is read in another way.
    let epoch = scene.adopt("worker").await.epoch;
    let policies = changes("worker", [Write::Revision(revision(1, Some("one")))]);
    scene.put(Unit { policies, ..about("worker", epoch) }).await;
    let adopted = scene.restart().await.lanes.remove(0);
    assert_eq!(adopted.policy.expect("one").samples, expected);
}

/// Many others come first, so that the unit finds the batch unwritten.
pub async fn what_is_handed_over_later_is_written_later(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let mut batch = Vec::new();
    for number in 0..400 {
        let resource = format!("other-{number}");
        let epoch = scene.adopt(&resource).await.epoch;
        batch.push(observed(&resource, epoch, (0..20).map(|second| sample(second, 1.0))));
    }
    let epoch = scene.adopt("worker").await.epoch;
    let noting = |text, id| Observations {
        state: Some(state(text)),
        decisions: vec![decision(id)],
        ..observed("worker", epoch, [])
    };
    batch.push(noting("first", 1));
    let first = scene.store.record(batch);
    let second = Write::Decision(Box::new(decision(2)));
    let policies = changes("worker", [Write::State(state("second")), second]);
    let unit = scene.store.commit(vec![Unit { policies, ..about("worker", epoch) }]);
    assert!(unit.await.remove(0).is_ok());
    let after_unit = found(&scene, "worker").await;
    assert_eq!((after_unit.state, after_unit.last_decision), (Some(state("second")), Some(Box::new(decision(2)))));
    first.await.expect("recorded");
    let after_all = found(&scene, "worker").await;
    assert_eq!(after_all.state, Some(state("second")));
    let epoch = scene.adopt("worker").await.epoch;
    record(&scene, vec![Observations { epoch, ..noting("third", 3) }]).await;
    let last = found(&scene, "worker").await;
    assert_eq!((last.state, last.last_decision), (Some(state("third")), Some(Box::new(decision(3)))));
}

pub async fn only_owners_record(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let [stale, other] = [scene.adopt("worker").await.epoch, scene.adopt("other").await.epoch];
    let current = scene.adopt("worker").await.epoch;
    record(&scene, vec![observed("worker", stale, [sample(1, 1.0)]), observed("other", other, [sample(1, 2.0)])]).await;
    record(&scene, vec![observed("worker", stale, [sample(2, 3.0)])]).await;
    assert_eq!(scene.results(vec![about("worker", current)]).await, ["good"], "the owner still has it");
    assert_eq!(adopted(&scene, "worker").await, []);
    assert_eq!(adopted(&scene, "other").await, [sample(1, 2.0)]);
    // A lane that was released has no owner.
    let epoch = scene.adopt("worker").await.epoch;
    assert_eq!(scene.results(vec![changing("worker", epoch, RecordChange::Remove)]).await, ["good"]);
    record(&scene, vec![observed("worker", epoch, [sample(1, 1.0)])]).await;
    assert_eq!(adopted(&scene, "worker").await, []);
}

pub async fn a_batch_that_fails_takes_no_lanes(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let [cursed, other] = [scene.adopt("cursed").await.epoch, scene.adopt("other").await.epoch];
    let batch = |second| {
        let noting = Observations { state: Some(state("s")), ..observed("cursed", cursed, [sample(second, 1.0)]) };
        vec![observed("other", other, [sample(second, 2.0)]), noting]
    };
    scene.house.curse(true).await;
    assert!(scene.store.record(batch(1)).await.is_err());
    assert_eq!(scene.results(vec![about("cursed", cursed), about("other", other)]).await, ["good"; 2]);
    scene.house.curse(false).await;
    record(&scene, batch(2)).await;
    assert_eq!(scene.results(vec![about("cursed", cursed), about("other", other)]).await, ["good"; 2]);
    for (resource, value) in [("cursed", 1.0), ("other", 2.0)] {
        assert_eq!(adopted(&scene, resource).await, [sample(2, value)], "of a piece nothing is left, or all");
    }
}

/// One that is put again soon goes on with what is observed again.
pub async fn metrics_of_a_deleted_policy_are_out_of_use(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let mut observations = observed("worker", epoch, [sample(1, 1.0)]);
    observations.samples.push((name("rps"), sample(1, 2.0)));
    record(&scene, vec![observations]).await;
    let revise = |revision| changes("worker", [Write::Revision(revision)]);
    scene.put(Unit { policies: revise(revision(1, None)), ..about("worker", epoch) }).await;
    assert_eq!(found(&scene, "worker").await.samples, [].into());
    let epoch = scene.adopt("worker").await.epoch;
    scene.put(Unit { policies: revise(revision(2, Some("again"))), ..about("worker", epoch) }).await;
    record(&scene, vec![observed("worker", epoch, [sample(9, 9.0)])]).await;
    let expected = [(name("queue"), vec![sample(1, 1.0), sample(9, 9.0)])];
    assert_eq!(found(&scene, "worker").await.samples, expected.into());
}

pub async fn decisions_are_paged_newest_first(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    for ids in [1..=3, 4..=7] {
        let decisions = ids.map(decision).collect();
        record(&scene, vec![Observations { decisions, ..observed("worker", epoch, []) }]).await;
    }
    let other = scene.adopt("api").await.epoch;
    record(&scene, vec![Observations { decisions: vec![decision(9)], ..observed("api", other, []) }]).await;
    let again = Decision { count: 2, last_at: NOW + seconds(9), ..decision(7) };
    let write = Write::Decision(Box::new(again.clone()));
    scene.put(Unit { policies: changes("worker", [write]), ..about("worker", epoch) }).await;
    let expected: Vec<Decision> = std::iter::once(again).chain((1..=6).rev().map(decision)).collect();
    for size in [1, 2, 3, 7, 8] {
        let read = async |after| scene.reader.decisions(&alias("worker"), after, size).await.expect("a page");
        assert_eq!(all(size, read).await, expected, "by {size}");
        scene.restart().await;
    }
    assert_eq!(scene.reader.decisions(&alias("x"), None, 9).await.expect("a page").entries, []);
}

pub async fn a_page_of_decisions_is_bounded(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let decisions = (1..=40).map(|id| Decision { detail: "x".repeat(100_000), ..decision(id) }).collect();
    record(&scene, vec![Observations { decisions, ..observed("worker", epoch, []) }]).await;
    let page = scene.reader.decisions(&alias("worker"), None, 40).await.expect("a page");
    assert!((1..=20).contains(&page.entries.len()) && page.next == page.entries.last().map(|(place, _)| *place));
}

pub async fn only_the_newest_decisions_are_kept(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let (epoch, other) = (scene.adopt("worker").await.epoch, scene.adopt("api").await.epoch);
    record(&scene, vec![Observations { decisions: vec![decision(1)], ..observed("api", other, []) }]).await;
    let many = u128::from(MAX_DECISIONS) + 200;
    for first in (1..=many).step_by(1000) {
        let decisions = (first..=many.min(first + 999)).map(decision).collect();
        record(&scene, vec![Observations { decisions, ..observed("worker", epoch, []) }]).await;
    }
    let mut kept = Vec::new();
    let mut after = None;
    loop {
        let page = scene.reader.decisions(&alias("worker"), after, 2000).await.expect("a page");
        after = page.next;
        kept.extend(page.items());
        if after.is_none() {
            break;
        }
    }
    assert_eq!(kept[0], decision(many));
    let most = MAX_DECISIONS as usize;
    assert!((most..most + 100).contains(&kept.len()), "{}", kept.len());
    assert_eq!(scene.reader.decisions(&alias("api"), None, 9).await.expect("a page").entries.len(), 1);
}

fn point(second: u64, mean: f64, max: f64, count: u64) -> Point {
    Point { at: NOW + seconds(second), mean, max, count }
}

async fn series(scene: &Scene<'_>, from: u64, to: u64, step: u64) -> Series {
    let (from, to) = (NOW + seconds(from), NOW + seconds(to));
    scene.reader.series(&alias("worker"), &name("queue"), from, to, seconds(step)).await.expect("readable")
}

pub async fn a_metric_is_told_in_steps(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let mut observations =
        observed("worker", epoch, [(0, 1.0), (59, 4.0), (60, -8.0), (300, 2.0)].map(|(at, value)| sample(at, value)));
    observations.samples.push((name("rps"), sample(1, 99.0)));
    record(&scene, vec![observations]).await;
    for _ in 0..2 {
        for (from, to, step, expected) in [
            (
                0,
                301,
                1,
                vec![point(0, 1.0, 1.0, 1), point(59, 4.0, 4.0, 1), point(60, -8.0, -8.0, 1), point(300, 2.0, 2.0, 1)],
            ),
            (0, 300, 60, vec![point(0, 2.5, 4.0, 2), point(60, -8.0, -8.0, 1)]),
            (30, 60, 20, vec![point(40, 4.0, 4.0, 1)]),
            (30, 60, 60, vec![point(0, 2.5, 4.0, 2)]),
            (0, 9999, 120, vec![point(0, -1.0, 4.0, 3), point(240, 2.0, 2.0, 1)]),
            (61, 300, 1, vec![]),
            (300, 0, 1, vec![]),
        ] {
            let found = series(&scene, from, to, step).await;
            assert_eq!(found, Series { step: seconds(step), points: expected }, "{from} to {to} by {step}");
        }
        let ever = [Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX)];
        for step in [std::time::Duration::ZERO, std::time::Duration::MAX] {
            let found = scene.reader.series(&alias("worker"), &name("queue"), ever[0], ever[1], step).await;
            let counts: Vec<u64> = found.expect("readable").points.iter().map(|point| point.count).collect();
            assert_eq!(counts, [4], "all of time in steps of {step:?}");
        }
        let unknown = scene.reader.series(&alias("worker"), &name("x"), NOW, NOW + seconds(9), seconds(1)).await;
        assert_eq!(unknown.expect("readable").points, []);
        let names = scene.reader.metric_names(&alias("worker")).await.expect("readable");
        assert_eq!(names, [name("queue"), name("rps")]);
        scene.restart().await;
    }
}

pub async fn a_series_has_not_too_many_points(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    record(&scene, vec![observed("worker", epoch, (0..6000).map(|second| sample(second, 1.0)))]).await;
    let found = series(&scene, 0, 6000, 1).await;
    assert_eq!((found.step, found.points.len()), (seconds(2), 3000));
    assert!(found.points.iter().all(|point| (point.mean, point.count) == (1.0, 2)));
    assert_eq!(series(&scene, 0, 4000, 1).await.points.len(), 4000);
}
