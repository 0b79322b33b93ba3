//! What callers are told about the policy when they submit and cancel jobs.

use super::*;
use crate::domain::Op;
use crate::domain::policy::{ConditionCode, JobNote};

impl Scene {
    fn noted(&mut self, target: i64) -> NotedJob {
        match self.submit(target) {
            Answer::Created(noted) | Answer::Joined(noted) => noted,
            other => panic!("{other:?}"),
        }
    }

    /// Until when the policy really is kept from a direction.
    fn kept_until(&self) -> Option<(Op, Timestamp)> {
        let conditions = self.standing().policy.expect("a policy").conditions;
        let condition = conditions.into_iter().find(|condition| condition.code == ConditionCode::CanceledByPerson)?;
        condition.direction.zip(condition.until)
    }
}

#[test]
fn who_submits_a_job_is_told_that_an_active_policy_waits() {
    let mut scene = Scene::new();
    assert_eq!(scene.noted(5).note, Some(JobNote::UnknownResource), "there is no policy, and no reading so far");
    scene.put(by_queue());
    assert_eq!(scene.noted(5).note, Some(JobNote::PolicyWaits), "also who joins one");
    scene.put(in_mode("advise"));
    let noted = scene.noted(5);
    assert_eq!(noted.note, None, "one that only advises submits nothing anyway");
    scene.put(by_queue());
    assert_eq!(scene.core.noted(Arc::clone(&noted.job)).note, Some(JobNote::PolicyWaits), "told again: as it is now");
    scene.run(2000);
    let ended = Job { state: crate::domain::JobState::Ended(crate::domain::Ending::Succeeded), ..(*noted.job).clone() };
    assert_eq!(scene.core.noted(Arc::new(ended)).note, None, "it waits for this job no longer");
}

#[test]
fn who_cancels_a_job_is_told_from_what_and_until_when_it_keeps_the_policy() {
    let mut scene = Scene::with(by_queue());
    scene.push(900.0);
    let until = scene.now + Duration::from_mins(15);
    assert_eq!(scene.cancel().note, Some(JobNote::KeptAway { op: Op::Add, until: Some(until) }));
    scene.wait(2);
    assert_eq!(scene.kept_until(), Some((Op::Add, until)));
}

#[test]
fn the_quarter_of_an_hour_begins_when_the_change_under_way_is_resolved() {
    let mut scene = Scene::with(by_queue());
    scene.push(900.0);
    scene.answer_calls();
    assert!(scene.change().is_some(), "a change is on its way");
    let note = Some(JobNote::KeptAway { op: Op::Add, until: None });
    assert_eq!((scene.cancel().note, scene.cancel().note), (note, note), "also the second time");
    let canceled_at = scene.now;
    scene.run(120);
    let (op, until) = scene.kept_until().expect("it is kept away");
    assert!(op == Op::Add && until > canceled_at + Duration::from_mins(15));
}

#[test]
fn a_job_that_is_canceled_before_its_first_reading_has_a_direction() {
    let mut scene = Scene::with(by_queue());
    scene.push(100.0);
    assert_eq!((scene.target(), scene.job().and_then(|job| job.current)), (Some(1), None));
    assert!(matches!(scene.cancel().note, Some(JobNote::KeptAway { op: Op::Remove, .. })));
    scene.wait(2);
    assert_eq!((scene.kept_until().map(|(op, _)| op), scene.target()), (Some(Op::Remove), None));
}

#[test]
fn a_cancel_of_what_the_policy_ends_by_itself_keeps_it_from_nothing() {
    let mut scene = Scene::with(by_queue());
    scene.push(900.0);
    scene.answer_calls();
    scene.ask(hold(HoldKind::Direction(Direction::Up)));
    scene.wait(2);
    assert!(scene.job().is_some_and(|job| job.ending.is_some()));
    assert_eq!(scene.cancel().note, None);
    scene.run(120);
    assert_eq!(scene.kept_until(), None);
}

#[test]
fn notes_name_the_direction_and_point_to_holds() {
    let until = NOW + Duration::from_mins(15);
    for (note, expected) in [
        (JobNote::PolicyWaits, "The policy of worker submits nothing until this job is over."),
        (
            JobNote::KeptAway { op: Op::Add, until: Some(until) },
            "The policy of worker submits nothing on the way up until 08:15 UTC.",
        ),
        (
            JobNote::KeptAway { op: Op::Remove, until: None },
            "The policy of worker submits nothing on the way down for 15 minutes after the end of this job.",
        ),
    ] {
        let expected = format!("{expected} To keep it away for longer, make a hold.");
        assert_eq!(note.sentence(&worker(), None, NOW), Some(expected));
    }
}

#[test]
fn a_resource_that_is_new_here_is_told_with_the_one_that_was_meant() {
    let mut scene = Scene::new();
    assert_eq!(scene.noted(5).note, Some(JobNote::UnknownResource));
    scene.run(1);
    assert_eq!(scene.noted(5).note, None, "it was read");
    let (note, worker) = (JobNote::UnknownResource, worker());
    assert_eq!(note.sentence(&worker, None, NOW), None);
    let meant = "workers".parse().ok();
    let told = note.sentence(&worker, meant.as_ref(), NOW);
    assert_eq!(told.as_deref(), Some("\"worker\" was not known here before this job. Did you mean \"workers\"?"));
}
