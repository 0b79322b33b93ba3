//! What is kept, and for whom.

use std::time::Duration;

use super::{House, Scene};
use crate::domain::{
    Action, Actor, Alias, AuditEntry, AuditVerdict, Ending, Job, JobId, JobState, KeyId, Retention, RetentionClass,
};
use crate::store::fixtures::{ALL_KEPT, NOW, accepted_at, alias, ended, entry, job, jobs, readings};
use crate::store::{IdempotencyEntry, JobFilter, KEY_RETENTION, MAX_TEXT_BYTES, Unit};

const TEN: Retention = Retention { count: 10, ..ALL_KEPT };

fn actor(number: u32) -> Actor {
    Actor::Key { key: format!("{number:010}").parse().expect("an id"), name: "ci".into() }
}

/// A finished job that ended so many milliseconds after the others.
fn finished(id: u128, resource: &str, millis: u64) -> Job {
    let at = NOW + Duration::from_millis(millis);
    Job { resource: alias(resource), ..ended(id, Ending::Succeeded, at) }
}

async fn kept(scene: &Scene<'_>) -> Vec<u128> {
    let page = scene.reader.jobs_page(&JobFilter::default(), None, 99_999).await.expect("readable");
    let mut ids: Vec<u128> = page.items().iter().map(|event| event.job.id.as_u128()).collect();
    ids.sort_unstable();
    ids
}

pub async fn what_is_finished_goes_by_age_and_what_is_not_stays(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let running = Job { state: JobState::Running, ..job(2, "worker") };
    scene.put(jobs([job(1, "worker"), running, finished(3, "worker", 0), finished(4, "worker", 1)])).await;
    let over = NOW + ALL_KEPT.age;
    assert_eq!(scene.prune(ALL_KEPT, over - Duration::from_millis(1)).await, [0; 0]);
    assert_eq!(scene.prune(ALL_KEPT, over).await, [3]);
    let none_kept = Retention { age: Duration::ZERO, count: 0 };
    assert_eq!(scene.prune(none_kept, NOW + Duration::from_hours(100_000)).await, [4]);
    assert_eq!(kept(&scene).await, [1, 2]);
    assert_eq!(scene.prune(none_kept, NOW + Duration::from_hours(200_000)).await, [0; 0]);
}

/// The oldest job of all is of a quiet resource.
pub async fn a_busy_resource_does_not_push_out_other_jobs(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    scene.put(jobs([finished(1, "quiet", 0)].into_iter().chain((2..=40).map(|id| finished(id, "busy", 9))))).await;
    scene.restart().await;
    assert_eq!(scene.prune(TEN, NOW).await, (2..=31).collect::<Vec<u128>>());
    assert_eq!(kept(&scene).await, [1].into_iter().chain(32..=40).collect::<Vec<u128>>());
}

/// One key on many resources, of which no other key has any jobs but one.
pub async fn a_busy_key_does_not_push_out_other_jobs(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let of = |number, job| Job { submitted_by: Some(actor(number)), ..job };
    let busy = (2..=40).map(|id| of(2, finished(id, &format!("resource-{id}"), 9)));
    scene.put(jobs([of(1, finished(1, "resource-2", 0))].into_iter().chain(busy))).await;
    scene.prune(TEN, NOW).await;
    let kept = kept(&scene).await;
    assert_eq!((kept.len(), kept[0]), (10, 1));
}

pub async fn a_job_with_a_live_entry_stays(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let kept_by = |id: u128| IdempotencyEntry { made: JobId::from_u128(id), ..entry(&id.to_string(), NOW) };
    let all = jobs((1..=5).map(|id| finished(id, "worker", 0)));
    scene.put(Unit { entries: vec![kept_by(2), kept_by(4)], ..all }).await;
    let none_kept = Retention { age: Duration::ZERO, count: 0 };
    let over = NOW + KEY_RETENTION;
    assert_eq!(scene.prune(none_kept, over - Duration::from_millis(1)).await, [1, 3, 5]);
    assert_eq!(kept(&scene).await, [2, 4]);
    assert_eq!(scene.prune(none_kept, over).await.len() + scene.prune(none_kept, over).await.len(), 2);
}

/// The jobs of the largest holder stay for its idempotency keys: those of others go when they are too many all the same.
pub async fn jobs_that_must_stay_do_not_keep_all_others(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let kept_by = |id: u128| IdempotencyEntry { made: JobId::from_u128(id), ..entry(&id.to_string(), NOW) };
    let busy = jobs((1..=40).map(|id| finished(id, "busy", 0)));
    scene.put(Unit { entries: (1..=40).map(kept_by).collect(), ..busy }).await;
    scene.put(jobs((41..=55).map(|id| finished(id, &format!("quiet-{id}"), 9)))).await;
    assert_eq!(scene.prune(TEN, NOW).await, (41..=45).collect::<Vec<u128>>());
    assert_eq!(scene.prune(TEN, NOW).await, [0; 0]);
}

pub async fn too_much_text_makes_room_for_itself(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let text = |id| Job { reason: Some("x".repeat(1 << 20)), ..finished(id, "wordy", 0) };
    let quiet = finished(1, "quiet", 0);
    for ids in [2..20_u128, 20..37] {
        scene.put(jobs(ids.map(text))).await;
    }
    scene.put(jobs([quiet])).await;
    let wordy = 35 << 20;
    assert!(wordy > MAX_TEXT_BYTES / 2 && wordy < MAX_TEXT_BYTES);
    assert!(scene.prune(ALL_KEPT, NOW).await.contains(&2), "although nothing is too old, nor are there too many");
    assert!(kept(&scene).await.contains(&1));
}

pub async fn timelines_go_by_age(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let young = NOW + Duration::from_millis(1);
    let of = |name: &str, history: Vec<_>| -> Vec<(Alias, _)> {
        history.into_iter().map(|(_, entry)| (alias(name), entry)).collect()
    };
    for name in ["a", "b", "c"] {
        let history = readings(NOW, 1..=300).into_iter().chain(readings(young, 301..=302)).collect();
        scene.put(Unit { history: of(name, history), ..Unit::default() }).await;
    }
    let length =
        async |name: &str| scene.reader.timeline(&alias(name), None, 999).await.expect("readable").entries.len();
    scene.prune(ALL_KEPT, NOW + ALL_KEPT.age - Duration::from_millis(1)).await;
    assert_eq!([length("a").await, length("b").await, length("c").await], [302; 3]);
    // Whatever takes turns gets its turn.
    for _ in 0..3 {
        scene.prune(ALL_KEPT, NOW + ALL_KEPT.age).await;
    }
    assert_eq!([length("a").await, length("b").await, length("c").await], [2; 3]);
}

// ---- attempts ---------------------------------------------------------------------------------------------------

fn attempt(action: Action, by: Option<u32>, verdict: AuditVerdict) -> AuditEntry {
    let mut entry = AuditEntry { action, verdict, ..accepted_at(0) };
    entry.attempt.actor = by.map(actor);
    entry
}

/// Records these and removes what is then too many; what is kept, newest first.
async fn kept_of(scene: &Scene<'_>, entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
    for part in entries.chunks(10_000) {
        scene.put(Unit { audit: part.to_vec(), ..Unit::default() }).await;
    }
    scene.prune(ALL_KEPT, NOW).await;
    scene.reader.audit(None, usize::MAX - 1).await.expect("a page").items()
}

pub async fn attempts_that_change_nothing_push_out_no_others(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let refused = || AuditVerdict::Refused { code: "insufficient_scope".into() };
    let (strangers, repeated) = (RetentionClass::Strangers.room(), RetentionClass::Repeated.room());
    let made = attempt(Action::CreateKey, Some(1), AuditVerdict::Accepted);
    let stranger = |number: usize| {
        let mut entry = attempt(Action::RevokeKey, None, refused());
        entry.subject.key = format!("{number:010}").parse::<KeyId>().ok();
        entry
    };
    let entries = std::iter::once(made.clone())
        .chain((1..=strangers + 7).map(stranger))
        .chain((0..repeated + 1000).map(|_| attempt(Action::RevokeKey, Some(1), AuditVerdict::Unchanged)))
        .chain([attempt(Action::SubmitJob, Some(1), refused())]);
    let kept = kept_of(&scene, entries.collect()).await;
    let of = |class| kept.iter().filter(move |entry| entry.retention_class() == class);
    let counts = RetentionClass::ALL.map(|class| of(class).count());
    assert_eq!(counts, [1, 0, repeated, 1, strangers]);
    assert_eq!(kept.last(), Some(&made));
    assert_eq!(of(RetentionClass::Strangers).next_back(), Some(&stranger(8)), "the oldest ones are gone");
}

/// A key that may only scale can submit as often as it likes.
pub async fn scaling_pushes_out_neither_keys_nor_other_scaling(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let scaling = |by| attempt(Action::SubmitJob, Some(by), AuditVerdict::Accepted);
    let made = attempt(Action::CreateKey, Some(3), AuditVerdict::Accepted);
    let room = RetentionClass::Obeyed.room();
    let entries = [made.clone(), scaling(2)].into_iter().chain((0..room + 50).map(|_| scaling(1)));
    let kept = kept_of(&scene, entries.collect()).await;
    assert_eq!(kept.len(), room + 1);
    assert_eq!(kept[room - 1..], [scaling(2), made]);
}
