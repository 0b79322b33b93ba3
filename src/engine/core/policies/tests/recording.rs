//! What is written without acting.

use super::*;

impl Scene {
    fn written_samples(&self) -> usize {
        self.batches.iter().flatten().map(|part| part.samples.len()).sum()
    }
}

/// While the store is busy with a batch no other is handed over, and what comes meanwhile is in the next one.
#[test]
fn one_batch_is_on_its_way_at_a_time() {
    let mut scene = Scene::with(by_queue());
    scene.wait(10);
    scene.batches.clear();
    scene.holds_records = true;
    for second in 0..30 {
        scene.push(if second < 15 { 299.0 } else { 301.0 });
        scene.wait(1);
    }
    assert_eq!((scene.batches.len(), scene.written_samples()), (1, 1), "the first is under way");
    assert_eq!(scene.core.next_wake().filter(|at| *at <= scene.now), None, "nothing turns in circles meanwhile");
    scene.end_record();
    scene.wait(1);
    assert_eq!((scene.batches.len(), scene.written_samples()), (2, 30), "all of the rest is in the next one");
    scene.holds_records = false;
    scene.end_record();
    scene.push(300.0);
    scene.wait(2);
    assert_eq!(scene.written_samples(), 31);
}

/// Decisions that follow each other while the store is busy are all written.
#[test]
fn no_decision_is_lost_while_the_store_is_busy() {
    let mut document = by_queue();
    document["mode"] = json!("advise");
    let mut scene = Scene::with(document);
    scene.wait(10);
    scene.batches.clear();
    scene.holds_records = true;
    let loads = [100.0, 500.0, 500.0, 900.0, 200.0];
    for load in loads {
        scene.push(load);
        scene.wait(1);
    }
    scene.end_record();
    scene.wait(1);
    scene.end_record();
    let decisions = scene.batches.iter().flatten().flat_map(|part| &part.decisions);
    let decided: Vec<_> = decisions.map(|decision| (decision.decided.map(Capacity::units), decision.count)).collect();
    assert_eq!(decided, [(Some(1), 1), (Some(5), 2), (Some(9), 1), (Some(2), 1)]);
}

#[test]
fn what_a_stuck_store_leaves_unwritten_is_bounded() {
    let mut scene = Scene::with(by_queue());
    scene.wait(10);
    scene.holds_records = true;
    scene.push(299.0);
    scene.wait(1);
    scene.batches.clear();
    for _ in 0..400 {
        let samples = (1..=60).map(|second| Sample { at: scene.now + Duration::from_secs(second), value: 299.0 });
        let samples = BTreeMap::from([("queue".parse().expect("a name"), samples.collect())]);
        scene.ask(PolicyChangeRequest::Push(samples));
        scene.wait(60);
    }
    scene.end_record();
    scene.wait(1);
    let written = scene.written_samples();
    assert!((5_000..=10_000).contains(&written), "{written}");
    let newest = scene.batches.iter().flatten().flat_map(|part| &part.samples).map(|(_, sample)| sample.at).max();
    assert!(newest.is_some_and(|newest| newest + Duration::from_secs(2) >= scene.now), "the oldest are lost");
}
