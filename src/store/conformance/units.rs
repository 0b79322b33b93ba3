//! What becomes durable, and whose it is.

use std::sync::Arc;

use super::{House, Scene, about, changing, word, writing};
use crate::domain::{Ending, Job, JobId, JobState, KeyRecord, LaneRecord, Reach, Scope, Stage};
use crate::store::fixtures::{NOW, accepted_at, alias, ended, entry, eventful_job, job, jobs, lane, readings};
use crate::store::{EventFilter, JobFilter, KeyChange, RecordChange, Unit, Which};

fn key() -> KeyRecord {
    KeyRecord {
        id: "Ab0Ab0Ab0A".parse().expect("an id"),
        name: "ci".into(),
        hash: [7; 32],
        scope: Scope::Scale,
        reach: Reach::EVERYTHING,
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

/// A unit with something of everything, in addition to what it says about its lanes.
fn full(unit: Unit) -> Unit {
    Unit {
        jobs: vec![Arc::new(eventful_job()), Arc::new(job(8, "worker"))],
        entries: vec![entry("key", NOW)],
        history: readings(NOW, 1..=2),
        keys: vec![KeyChange::Added(key())],
        audit: vec![accepted_at(1)],
        ..unit
    }
}

/// How many jobs, versions, entries of the timeline of `worker`, keys and audit entries there are.
async fn counts(scene: &Scene<'_>) -> [usize; 5] {
    let reader = &scene.reader;
    let last = reader.last_event().await.expect("readable");
    [
        reader.jobs_page(&JobFilter::default(), None, 99).await.expect("readable").entries.len(),
        reader.versions(&EventFilter::ALL, 0, last, 99).await.expect("readable").versions.len(),
        reader.timeline(&alias("worker"), None, 99).await.expect("readable").entries.len(),
        reader.keys().await.expect("readable").len(),
        reader.audit(None, 99).await.expect("readable").entries.len(),
    ]
}

pub async fn a_unit_comes_back_whole_after_a_restart(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let record = lane("worker", Some(Stage::Unknown { since: NOW }));
    let epoch = scene.adopt("worker").await.epoch;
    let first = scene.put(full(writing(record.clone(), epoch))).await;
    assert_eq!(counts(&scene).await, [2, 2, 2, 1, 1], "it is seen as soon as it is durable");
    let adopted = scene.restart().await;
    assert_eq!(counts(&scene).await, [2, 2, 2, 1, 1]);
    assert_eq!((adopted.lanes.len(), adopted.restored_at), (1, None));
    assert_eq!(adopted.lanes[0].record, record);
    let found: Vec<(u64, &Job)> = adopted.lanes[0].jobs.iter().map(|event| (event.id, &*event.job)).collect();
    assert_eq!(found, [(first, &eventful_job()), (first + 1, &job(8, "worker"))]);
    for stage in [None, Some(Stage::Intended), Some(Stage::Acknowledged)] {
        let (record, epoch) = (lane("worker", stage), scene.adopt("worker").await.epoch);
        scene.put(writing(record.clone(), epoch)).await;
        assert_eq!(scene.restart().await.lanes[0].record, record);
    }
}

pub async fn a_unit_that_fails_leaves_nothing(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    scene.house.curse(true).await;
    let epoch = scene.adopt("cursed").await.epoch;
    let doomed = full(writing(lane("cursed", None), epoch));
    assert_eq!(scene.results(vec![doomed.clone()]).await, ["failed"]);
    assert_eq!(scene.adopt("cursed").await.record, LaneRecord::new(alias("cursed")));
    assert_eq!(counts(&scene).await, [0; 5]);
    assert_eq!(scene.restart().await.lanes, []);
    assert_eq!(counts(&scene).await, [0; 5]);
    scene.house.curse(false).await;
    let epoch = scene.adopt("cursed").await.epoch;
    scene.put(full(writing(lane("cursed", None), epoch))).await;
    assert_eq!(counts(&scene).await, [2, 2, 2, 1, 1], "it can be tried again");
}

pub async fn each_unit_has_a_result(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let [a, stale, c] = [scene.adopt("a").await.epoch, scene.adopt("b").await.epoch, scene.adopt("c").await.epoch];
    scene.adopt("b").await;
    let with_jobs =
        |name: &str, epoch, ids: [u128; 2]| Unit { jobs: jobs(ids.map(|id| job(id, name))).jobs, ..about(name, epoch) };
    let units = vec![with_jobs("a", a, [1, 2]), with_jobs("b", stale, [3, 4]), with_jobs("c", c, [5, 6])];
    let results = scene.store.commit(units).await;
    assert_eq!(results.iter().map(word).collect::<Vec<_>>(), ["good", "not owned", "good"]);
    let [first, _, third] = &results[..] else { panic!("three of them") };
    let (first, third) = (*first.as_ref().expect("good"), *third.as_ref().expect("good"));
    assert_eq!(third, first + 2, "what is refused uses up no id");
    assert!(scene.store.commit(Vec::new()).await.is_empty());
}

pub async fn a_refused_unit_takes_its_lanes_and_no_others(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let [before, b, c] = [scene.adopt("a").await.epoch, scene.adopt("b").await.epoch, scene.adopt("c").await.epoch];
    let now = scene.adopt("a").await.epoch;
    let mut both = about("a", before);
    both.lanes.extend(about("b", b).lanes);
    let both = Unit { jobs: jobs([job(1, "a")]).jobs, ..both };
    let late = Unit { jobs: jobs([job(2, "b")]).jobs, ..about("b", b) };
    let other = Unit { jobs: jobs([job(3, "c")]).jobs, ..about("c", c) };
    assert_eq!(scene.results(vec![both, late.clone(), other]).await, ["not owned", "not owned", "good"]);
    assert_eq!(scene.results(vec![late]).await, ["not owned"], "nor does a later commit");
    assert_eq!(scene.results(vec![about("a", now), about("c", c)]).await, ["good"; 2], "their owners keep theirs");
    assert_eq!(scene.reader.job(JobId::from_u128(2)).await.expect("readable"), None);
    let b = scene.adopt("b").await;
    assert_eq!(b.jobs, []);
    assert_eq!(scene.results(vec![about("b", b.epoch)]).await, ["good"]);
}

/// A unit fails with three more about its lane on their way: none of them lands. Others can go on.
pub async fn a_failed_lane_is_written_again_once_adopted(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    scene.house.curse(true).await;
    let epoch = scene.adopt("cursed").await.epoch;
    let failing = scene.store.commit(vec![writing(lane("cursed", None), epoch)]);
    let pending: Vec<_> = (1..=3)
        .map(|id| scene.store.commit(vec![Unit { jobs: jobs([job(id, "cursed")]).jobs, ..about("cursed", epoch) }]))
        .collect();
    assert_eq!(word(&failing.await[0]), "failed");
    for commit in pending {
        assert_ne!(word(&commit.await[0]), "good");
    }
    assert_eq!(scene.results(vec![about("cursed", epoch)]).await, ["not owned"]);
    let lanes = Which::These(vec![alias("cursed"), alias("other")]);
    let adopted = scene.store.adopt(lanes).await.expect("readable").lanes;
    assert!(adopted.iter().all(|lane| lane.jobs.is_empty() && lane.record.change.is_none()), "{adopted:?}");
    let units = adopted.iter().map(|lane| about(lane.record.resource.as_str(), lane.epoch)).collect();
    assert_eq!(scene.results(units).await, ["good"; 2]);
}

pub async fn the_latest_adoption_counts(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let mut epochs = Vec::new();
    for _ in 0..3 {
        epochs.push(scene.adopt("worker").await.epoch);
    }
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
    assert_eq!(scene.results(vec![about("worker", epochs[1])]).await, ["not owned"]);
    assert_eq!(scene.results(vec![about("worker", epochs[2])]).await, ["good"]);
    assert_eq!(scene.results(vec![about("never-adopted", epochs[2])]).await, ["not owned"]);
    scene.put(writing(lane("worker", None), epochs[2])).await;
    let adopted = scene.restart().await.lanes.remove(0);
    assert_eq!(scene.results(vec![about("worker", adopted.epoch)]).await, ["good"]);
}

pub async fn an_adoption_has_unfinished_jobs_in_order(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    for name in ["web", "api"] {
        let epoch = scene.adopt(name).await.epoch;
        scene.put(writing(lane(name, None), epoch)).await;
    }
    scene.put(jobs([job(3, "z-first"), job(1, "worker"), job(2, "worker"), job(4, "web"), job(5, "worker")])).await;
    let running = Job { state: JobState::Running, version: 2, ..job(1, "worker") };
    let event = scene.put(jobs([Job { version: 2, ..ended(2, Ending::Canceled, NOW) }, running])).await + 1;
    let adopted = scene.restart().await.lanes;
    let found: Vec<(&str, Vec<u128>)> = adopted
        .iter()
        .map(|lane| (lane.record.resource.as_str(), lane.jobs.iter().map(|event| event.job.id.as_u128()).collect()))
        .collect();
    assert_eq!(found, [("api", vec![]), ("web", vec![4]), ("z-first", vec![3]), ("worker", vec![1, 5])]);
    let worker = scene.adopt("worker").await;
    assert_eq!((worker.jobs[0].id, worker.jobs[0].job.state.clone()), (event, JobState::Running));
    assert_eq!(scene.adopt("unheard-of").await.record, LaneRecord::new(alias("unheard-of")));
    let asked = Which::These(["web", "worker", "api"].map(alias).into());
    let order = scene.store.adopt(asked).await.expect("readable").lanes;
    assert_eq!(order.iter().map(|lane| lane.record.resource.as_str()).collect::<Vec<_>>(), ["web", "worker", "api"]);
}

pub async fn a_record_that_goes_releases_the_lane(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let keep = about("worker", epoch);
    scene.put(writing(lane("worker", Some(Stage::Intended)), epoch)).await;
    scene.put(keep.clone()).await;
    assert_eq!(scene.adopt_all().await.lanes[0].record, lane("worker", Some(Stage::Intended)));
    let epoch = scene.adopt("worker").await.epoch;
    scene.put(changing("worker", epoch, RecordChange::Remove)).await;
    assert_eq!(scene.results(vec![about("worker", epoch)]).await, ["not owned"]);
    assert_eq!(scene.restart().await.lanes, []);
}

pub async fn a_commit_lands_whether_it_is_awaited_or_not(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    drop(scene.store.commit(vec![jobs([job(1, "worker")])]));
    let later = scene.store.commit(vec![jobs([job(2, "worker")])]).await;
    assert_eq!(word(&later[0]), "good");
    assert!(scene.reader.job(JobId::from_u128(1)).await.expect("readable").is_some());
}

pub async fn ids_of_versions_have_no_gaps(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let stale = scene.adopt("a").await.epoch;
    scene.adopt("a").await;
    let first = scene.reader.last_event().await.expect("readable") + 1;
    let commits: Vec<_> = (0..20_u128)
        .map(|number| {
            let refused = Unit { jobs: jobs([job(1000 + number, "a")]).jobs, ..about("a", stale) };
            let units = (0..=number % 3).map(|unit| jobs([job(number * 10 + unit, "worker"), job(number, "worker")]));
            scene.store.commit(units.chain([refused]).collect())
        })
        .collect();
    let mut expected = first;
    for commit in commits {
        for id in commit.await.into_iter().flatten() {
            assert_eq!(id, expected);
            expected += 2;
        }
    }
    let last = scene.reader.last_event().await.expect("readable");
    assert_eq!(last + 1, expected);
    let page = scene.reader.versions(&EventFilter::ALL, 0, last, 999).await.expect("readable");
    assert!(page.versions.iter().map(|(id, _)| *id).eq(first..=last));
    scene.restart().await;
    assert_eq!(scene.put(jobs([job(1, "worker")])).await, last + 1);
}

pub async fn units_are_durable_in_their_order(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let version = |version| Job { version, ..job(1, "worker") };
    let commits: Vec<_> = (1..=9).map(|number| scene.store.commit(vec![jobs([version(number)])])).collect();
    let stages = [Some(Stage::Intended), Some(Stage::Acknowledged), None];
    let last = scene.store.commit(stages.map(|stage| writing(lane("worker", stage), epoch)).into());
    assert_eq!(last.await.iter().map(word).collect::<Vec<_>>(), ["good"; 3]);
    for commit in commits {
        assert_eq!(word(&commit.await[0]), "good");
    }
    let found = scene.adopt("worker").await;
    assert_eq!((found.jobs.len(), found.jobs[0].job.version, found.record), (1, 9, lane("worker", None)));
}
