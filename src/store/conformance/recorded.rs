//! For how long what was recorded is kept.

use std::time::Duration;

use super::{House, Scene, about};
use crate::domain::Timestamp;
use crate::domain::policy::{Decision, Sample};
use crate::store::fixtures::{ALL_KEPT, NOW, alias, changes, decision, name, observed, revision, sample, seconds};
use crate::store::{
    DECISION_RETENTION, MINUTE_RETENTION, Observations, Point, PolicyWrite as Write, RAW_RETENTION, RETIRED_RETENTION,
    REVISION_RETENTION, Series, Unit,
};

const MINUTE: Duration = Duration::from_mins(1);

async fn series(scene: &Scene<'_>, from: Timestamp, to: Timestamp, step: Duration) -> Vec<Point> {
    let found = scene.reader.series(&alias("worker"), &name("queue"), from, to, step).await;
    let Series { step: chosen, points } = found.expect("readable");
    assert_eq!(chosen, step);
    points
}

/// Ten minutes of samples, one every ten seconds: what they say by the minute stays the same whenever it is asked for.
pub async fn samples_become_minutes_and_go(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    record(&scene, observed("worker", epoch, (0..60).map(|number| sample(number * 10, number as f64)))).await;
    let end = NOW + Duration::from_mins(10);
    let minutes: Vec<Point> = (0..10)
        .map(|minute| Point {
            at: NOW + seconds(minute * 60),
            mean: minute as f64 * 6.0 + 2.5,
            max: minute as f64 * 6.0 + 5.0,
            count: 6,
        })
        .collect();
    let raw_goes = end + RAW_RETENTION;
    for (now, raw) in [
        (NOW, 60),
        (NOW + seconds(299), 60),
        (end + MINUTE, 60),
        (NOW + RAW_RETENTION, 60),
        // Of the oldest minute of which anything is gone, and those before, one point is left each.
        (NOW + RAW_RETENTION + seconds(130), 3 + 7 * 6),
        (raw_goes, 10),
        (NOW + MINUTE_RETENTION, 10),
    ] {
        scene.prune(ALL_KEPT, now).await;
        assert_eq!(series(&scene, NOW, end, MINUTE).await, minutes, "{now}");
        assert_eq!(series(&scene, NOW, end, seconds(10)).await.len(), raw, "{now}");
        scene.restart().await;
    }
    scene.prune(ALL_KEPT, NOW + MINUTE_RETENTION + 3 * MINUTE).await;
    assert_eq!(series(&scene, NOW, end, MINUTE).await, minutes[3..]);
    let newest = Sample { at: NOW + seconds(590), value: 59.0 };
    let adopted = scene.adopt("worker").await.policy.expect("one").samples;
    assert_eq!(adopted, [(name("queue"), vec![newest])].into(), "however long ago");
    scene.prune(ALL_KEPT, end + MINUTE_RETENTION).await;
    assert_eq!(series(&scene, NOW, end, MINUTE).await, []);
    assert_eq!(scene.reader.metric_names(&alias("worker")).await.expect("readable"), []);
}

async fn record(scene: &Scene<'_>, observations: Observations) {
    scene.store.record(vec![observations]).await.expect("recorded");
}

pub async fn late_samples_are_in_their_minutes(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    record(&scene, observed("worker", epoch, [sample(0, 1.0), sample(200, 5.0)])).await;
    scene.prune(ALL_KEPT, NOW + seconds(600)).await;
    record(&scene, observed("worker", epoch, [sample(30, 4.0), sample(70, 2.0)])).await;
    let mut other = observed("other", scene.adopt("other").await.epoch, [sample(65, 7.0)]);
    other.samples.push((name("rps"), sample(3, 9.0)));
    record(&scene, other).await;
    let point = |second, mean, max, count| Point { at: NOW + seconds(second), mean, max, count };
    let expected = [point(0, 2.5, 4.0, 2), point(60, 2.0, 2.0, 1), point(180, 5.0, 5.0, 1)];
    for now in [seconds(600), RAW_RETENTION + seconds(900)] {
        scene.prune(ALL_KEPT, NOW + now).await;
        assert_eq!(series(&scene, NOW, NOW + seconds(600), MINUTE).await, expected);
    }
}

pub async fn decisions_go_by_age(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let at = |id, last_at| Decision { last_at, ..decision(id) };
    let decisions = vec![at(1, NOW), at(2, NOW + seconds(5)), at(3, NOW + seconds(9))];
    record(&scene, Observations { decisions, ..observed("worker", epoch, []) }).await;
    for (after, left) in [(Duration::ZERO, 2), (seconds(5), 1), (seconds(9), 0)] {
        scene.restart().await;
        scene.prune(ALL_KEPT, NOW + DECISION_RETENTION + after).await;
        let page = scene.reader.decisions(&alias("worker"), None, 9).await.expect("a page");
        assert_eq!(page.entries.len(), left, "after {after:?}");
    }
}

/// The number of the policy and the newest decision stay.
pub async fn what_is_left_of_a_deleted_policy_goes(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    for (resource, ends) in [("api", false), ("worker", true)] {
        let epoch = scene.adopt(resource).await.epoch;
        record(&scene, observed(resource, epoch, [sample(1, 1.0)])).await;
        let last = revision(3, (!ends).then_some("three"));
        let revisions = [revision(1, Some("one")), revision(2, Some("two")), last];
        let policies = changes(resource, revisions.map(Write::Revision));
        scene.put(Unit { policies, ..about(resource, epoch) }).await;
    }
    let deleted_at = NOW + seconds(3);
    for (now, revisions, metrics) in [
        (deleted_at + RETIRED_RETENTION - seconds(1), 3, 1),
        (deleted_at + RETIRED_RETENTION, 3, 0),
        (deleted_at + REVISION_RETENTION - seconds(1), 3, 0),
        (deleted_at + REVISION_RETENTION, 1, 0),
        (deleted_at + 2 * REVISION_RETENTION, 1, 0),
    ] {
        scene.prune(ALL_KEPT, now).await;
        let kept = scene.reader.policy_revisions(&alias("worker")).await.expect("readable");
        assert_eq!((kept.len(), &kept[0]), (revisions, &revision(3, None)), "{now}");
        let names = scene.reader.metric_names(&alias("worker")).await.expect("readable");
        assert_eq!(names.len(), metrics, "{now}");
        let of_other = scene.reader.policy_revisions(&alias("api")).await.expect("readable");
        assert_eq!(of_other.len(), 3, "{now}: that policy goes on");
    }
}
