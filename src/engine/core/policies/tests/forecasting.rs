//! When patterns are learned anew.

use super::*;
use crate::domain::forecast::Learned;

const NONE: [i64; 0] = [];

fn ahead(quantile: f64) -> Value {
    let mut document = by_queue();
    let rules = document["rules"].as_array_mut().expect("rules");
    rules.push(json!({"name": "ahead", "type": "forecast", "metric": "queue", "perUnit": 100, "quantile": quantile}));
    document
}

/// The moments up to which something was to be learned since the last time, in minutes after the beginning.
fn asked(scene: &mut Scene) -> Vec<i64> {
    let minutes = |at: Timestamp| (at.as_millis() - NOW.as_millis()) / 60_000;
    std::mem::take(&mut scene.lessons).iter().map(|lesson| minutes(lesson.lesson.through)).collect()
}

fn learned(scene: &mut Scene, learned: Option<Learned>) {
    scene.core.on_learned(&worker(), &"ahead".parse().expect("a name"), learned, scene.now);
    scene.wait(1);
}

fn says(scene: &Scene) -> String {
    let decision = scene.standing().policy.and_then(|policy| policy.decision).expect("a decision");
    decision.rules.last().expect("a rule").detail.clone()
}

fn too_little(scene: &Scene, minutes: i64) -> Option<Learned> {
    let through = Timestamp::from_millis(NOW.as_millis() + minutes * 60_000);
    assert!(through <= scene.now);
    Some(Learned::Learning { share: 0.25, through })
}

#[test]
fn a_pattern_is_asked_for_once_and_every_hour_until_there_is_enough() {
    let mut scene = Scene::with(ahead(0.7));
    scene.push(250.0);
    // The beginning is 08:00 UTC.
    assert_eq!(asked(&mut scene), [-480], "the midnight before");
    scene.wait(60);
    scene.push(260.0);
    assert_eq!(asked(&mut scene), NONE, "it is on its way");
    assert_eq!(says(&scene), "its history is being read");
    let so_far = too_little(&scene, -480);
    learned(&mut scene, so_far);
    assert_eq!(says(&scene), "learning: 25 % of two days");
    assert_eq!(asked(&mut scene), [0], "the hour that has begun since");
    let so_far = too_little(&scene, 0);
    learned(&mut scene, so_far);
    scene.push(270.0);
    assert_eq!(asked(&mut scene), NONE);
    scene.wait(3600);
    scene.push(280.0);
    assert_eq!(asked(&mut scene), [60]);
}

#[test]
fn what_cannot_be_learned_is_tried_again_after_a_while() {
    let mut scene = Scene::with(ahead(0.7));
    scene.push(250.0);
    assert_eq!(asked(&mut scene).len(), 1);
    learned(&mut scene, None);
    scene.push(260.0);
    assert_eq!(asked(&mut scene), NONE);
    scene.wait(300);
    scene.push(270.0);
    assert_eq!(asked(&mut scene).len(), 1);
}

#[test]
fn another_rule_learns_anew_and_the_same_one_does_not() {
    let mut scene = Scene::with(ahead(0.7));
    scene.push(250.0);
    let so_far = too_little(&scene, -480);
    learned(&mut scene, so_far);
    let so_far = too_little(&scene, 0);
    learned(&mut scene, so_far);
    asked(&mut scene);
    let mut same = ahead(0.7);
    same["max"] = json!(19);
    scene.put(same);
    scene.wait(2);
    assert_eq!((asked(&mut scene), says(&scene).as_str()), (vec![], "learning: 25 % of two days"));
    scene.put(ahead(0.9));
    scene.wait(2);
    assert_eq!(asked(&mut scene), [-480]);
    let so_far = too_little(&scene, -480);
    scene.put(by_queue());
    learned(&mut scene, so_far);
    assert_eq!(asked(&mut scene), NONE, "an answer that nobody waits for");
}
