use std::time::{Duration, Instant};

use super::super::directory::database_path;
use super::super::fixtures::*;
use super::super::{Journal as _, SqliteJournal, back_up};
use crate::domain::policy::Sample;
use crate::domain::{Alias, Timestamp};
use crate::store::{
    DECISION_RETENTION, Observations, PolicyRecord, PolicyState, PolicyWrite as Write, Retention, Unit, Which,
};

/// All that is kept about `worker`, which goes on.
fn scene(journal: &mut SqliteJournal) {
    let writes = [Write::Revision(revision(1, Some("one"))), Write::Claim(claim(1)), Write::Hold(Some(hold()))];
    journal.put(&[Unit { policies: changes("worker", writes), ..Unit::default() }]).expect("committed");
    let mut observations = observed("worker", 0, [sample(0, 1.0), sample(61, 2.0)]);
    observations.state = Some(state("s"));
    observations.predictions = vec![(name("rps"), prediction([900.0, 0.1]))];
    observations.decisions = vec![decision(1)];
    journal.record(&[observations]).expect("recorded");
}

fn found(journal: &SqliteJournal) -> PolicyRecord {
    let read = |which| {
        let mut adoption = journal.lane_reader().expect("readable").adopt(&which, |_| 0).expect("readable");
        adoption.lanes.remove(0).policy.expect("one")
    };
    let one = read(Which::These(vec![alias("worker")]));
    assert_eq!(read(Which::All), one, "one lane is read as all are");
    *one
}

/// Ages stay what they are, to the second; claims and holds end at the times that their callers were told, and predictions are
/// about such times.
#[test]
fn what_is_kept_about_a_policy_moves_with_the_clock() {
    for (forward, moved) in [(7_200_000, 7_200), (-7_200_400, -7_200), (86_399_600, 86_400)] {
        let directory = directory();
        let mut journal = open(directory.path());
        scene(&mut journal);
        let later = |at: Timestamp, by: i64| Timestamp::from_millis(at.as_millis() + by);
        let before = found(&journal);
        assert_eq!(before.predictions, [(name("rps"), prediction([900.0, 0.1]))].into());
        journal.prune(Retention::DEFAULT, NOW + seconds(121), None).expect("pruned");
        let there = later(NOW, forward);
        journal.change_clock(Some(&anchor("next")), NOW, there).expect("changed");
        let on = |at| later(at, forward);
        let by_seconds = |sample: &Sample| Sample { at: later(sample.at, moved * 1000), ..*sample };
        let samples =
            before.samples.iter().map(|(metric, samples)| (metric.clone(), samples.iter().map(by_seconds).collect()));
        let expected = PolicyRecord {
            revision: before.revision.clone(),
            state: before.state.clone().map(|state| PolicyState { at: on(state.at), ..state }),
            claims: before.claims.clone(),
            hold: before.hold.clone(),
            samples: samples.collect(),
            predictions: before.predictions.clone(),
            last_decision: before.last_decision.clone(),
        };
        assert_eq!(found(&journal), expected);
        // A sample of now is in a minute that is not over.
        journal
            .record(&[observed("worker", 0, [Sample { at: on(NOW + seconds(130)), value: 3.0 }])])
            .expect("recorded");
        assert_eq!(found(&journal).samples[&name("queue")].len(), 3);
        let decisions = |journal: &SqliteJournal| -> u64 {
            journal.shell().query_row("SELECT count(*) FROM decisions", [], |row| row.get(0)).expect("a table")
        };
        for (second, left) in [(-2, 1), (2, 0)] {
            let now = later(there + DECISION_RETENTION, second * 1000);
            journal.prune(Retention::DEFAULT, now, None).expect("pruned");
            assert_eq!(decisions(&journal), left, "moved by {forward}, {second}");
        }
    }
}

#[test]
fn a_backup_has_all_that_is_kept_about_policies() {
    let directory = directory();
    let mut journal = open(directory.path());
    scene(&mut journal);
    let file = directory.path().join("backup");
    back_up(directory.path(), &file).expect("made");
    let elsewhere = super::super::fixtures::directory();
    std::fs::copy(&file, database_path(elsewhere.path())).expect("copied");
    assert_eq!(found(&open(elsewhere.path())), found(&journal));
}

/// To be run by hand, with `--release --nocapture`: a second of a thousand resources, and a start with an hour of them.
#[test]
#[ignore = "takes minutes, and shows how long things take"]
fn how_long_a_second_of_a_thousand_resources_takes() {
    let directory = directory();
    let mut journal = open(directory.path());
    let resources: Vec<Alias> = (0..1000).map(|number| alias(&format!("resource-{number}"))).collect();
    let (mut pieces, mut prunes) = (Vec::new(), Vec::new());
    for second in 0..3600 {
        let of = |resource: &Alias| Observations {
            state: Some(PolicyState { at: NOW + seconds(second), text: "x".repeat(500) }),
            ..observed(resource.as_str(), 0, [sample(second, second as f64)])
        };
        let batch: Vec<Observations> = resources.iter().map(of).collect();
        for piece in batch.chunks(256) {
            let begun = Instant::now();
            journal.record(piece).expect("recorded");
            pieces.push(begun.elapsed());
        }
        if second % 60 == 59 {
            let mut more = true;
            while more {
                let begun = Instant::now();
                more = journal.prune(Retention::DEFAULT, NOW + seconds(second), None).expect("pruned").more;
                prunes.push(begun.elapsed());
            }
        }
    }
    let begun = Instant::now();
    let adopted = journal.lane_reader().expect("readable").adopt(&Which::All, |_| 0).expect("readable");
    let adoption = begun.elapsed();
    assert_eq!(adopted.lanes.len(), 1000);
    let total: Duration = pieces.iter().sum();
    for times in [&mut pieces, &mut prunes] {
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!("half {:?}, 99 in 100 {:?}, longest {:?} of {}", at(0.5), at(0.99), at(1.0), times.len());
    }
    println!("a second of a thousand resources {:?}; adoption of an hour {adoption:?}", total / 3600);
}
