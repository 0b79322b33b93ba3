//! Who is admitted.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::{House, Scene, about};
use crate::domain::{Actor, Ending, Job, JobId, KeyId, Limits, Timestamp};
use crate::store::fixtures::{NOW, alias, ended, entry, job, jobs};
use crate::store::{
    IdempotencyEntry, JobWish, KEY_RETENTION, MAX_IDEMPOTENCY_KEYS, MAX_TEXT_BYTES, NoRoom, ReservationId, Reserved,
    SubmitKey, Unit, Wish,
};

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(10);
const SMALL: Limits = Limits { active_jobs: 4, jobs_per_key: 2, queue_length: 9 };

fn key_id(name: &str) -> KeyId {
    name.parse().expect("an id")
}

fn job_wish(resource: &str, text_bytes: u64) -> JobWish {
    JobWish { resource: alias(resource), text_bytes, supersedes: false, supersedes_own: false }
}

/// A wish for a job with these bytes of text.
fn wish(resource: &str, owner: Option<&str>, text_bytes: u64) -> Wish {
    Wish { owner: owner.map(key_id), key: None, jobs: vec![job_wish(resource, text_bytes)], limits: SMALL, now: NOW }
}

/// A wish with an idempotency key and without a job.
fn keyed(key: &str, owner: Option<&str>, fingerprint: u8, now: Timestamp) -> Wish {
    let key = SubmitKey::new(owner.map(key_id).as_ref(), key.into(), [fingerprint; 32]);
    Wish { key: Some(key), jobs: Vec::new(), now, ..wish("worker", owner, 0) }
}

fn entry_of(wish: &Wish, job: u128) -> IdempotencyEntry {
    let SubmitKey { key, fingerprint } = wish.key.clone().expect("one with a key");
    IdempotencyEntry { fingerprint, joined: false, made: JobId::from_u128(job), ..entry(&key, wish.now) }
}

fn by(owner: &str, job: Job) -> Job {
    Job { submitted_by: Some(Actor::Key { key: key_id(owner), name: "ci".into() }), ..job }
}

#[track_caller]
fn granted(decided: Result<Reserved, NoRoom>) -> ReservationId {
    match decided {
        Ok(Reserved::Granted(reservation)) => reservation,
        other => panic!("{other:?}"),
    }
}

const ONE: &str = "Aa1Aa1Aa1A";
const TWO: &str = "Bb2Bb2Bb2B";

pub async fn limits_on_jobs_count_reservations(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    scene.put(jobs([by(ONE, job(1, "a"))])).await;
    let reservation = granted(scene.reserve(wish("b", Some(ONE), 0)).await);
    let too_many_of_key = Err(NoRoom::TooManyJobsOfKey { limit: 2 });
    assert_eq!(scene.reserve(wish("c", Some(ONE), 0)).await, too_many_of_key);
    granted(scene.reserve(wish("c", Some(TWO), 0)).await);
    let last = granted(scene.reserve(wish("c", None, 0)).await);
    assert_eq!(scene.reserve(wish("d", None, 0)).await, Err(NoRoom::TooManyJobs { limit: 4 }));
    let superseding = JobWish { supersedes: true, supersedes_own: true, ..job_wish("a", 0) };
    let taking_places = granted(scene.reserve(Wish { jobs: vec![superseding], ..wish("a", Some(ONE), 0) }).await);
    scene.store.give_back(taking_places);
    // What is used up counts as a job, what is given back does not.
    let unit = Unit { reservation: Some(reservation), ..jobs([by(ONE, job(2, "b"))]) };
    scene.put(unit).await;
    assert_eq!(scene.reserve(wish("d", None, 0)).await, Err(NoRoom::TooManyJobs { limit: 4 }));
    scene.store.give_back(last);
    assert_eq!(scene.reserve(wish("c", Some(ONE), 0)).await, too_many_of_key);
    let again = granted(scene.reserve(wish("d", None, 0)).await);
    scene.store.give_back(again);
    // After a restart only jobs count.
    scene.restart().await;
    assert_eq!(scene.reserve(wish("c", Some(ONE), 0)).await, too_many_of_key);
    scene.put(jobs([by(ONE, ended(1, Ending::Succeeded, NOW))])).await;
    granted(scene.reserve(wish("c", Some(ONE), 0)).await);
}

pub async fn the_jobs_of_a_group_get_all_their_places_or_none(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let group = |resources: &[&str], owner| Wish {
        jobs: resources.iter().map(|resource| job_wish(resource, 0)).collect(),
        ..wish("a", owner, 0)
    };
    let three = ["a", "b", "c"];
    assert_eq!(scene.reserve(group(&three, Some(ONE))).await, Err(NoRoom::TooManyJobsOfKey { limit: 2 }));
    let places = granted(scene.reserve(group(&three, None)).await);
    assert_eq!(scene.reserve(group(&["d", "e"], Some(ONE))).await, Err(NoRoom::TooManyJobs { limit: 4 }));
    let last = granted(scene.reserve(wish("d", None, 0)).await);
    scene.store.give_back(last);
    let unit = Unit { reservation: Some(places), ..jobs([job(1, "a"), job(2, "b"), job(3, "c")]) };
    scene.put(unit).await;
    assert_eq!(scene.reserve(group(&["d", "e"], None)).await, Err(NoRoom::TooManyJobs { limit: 4 }));
    granted(scene.reserve(wish("d", None, 0)).await);
}

pub async fn jobs_of_policies_take_no_places(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let of_policy = |job: Job| Job { submitted_by: Some(Actor::Policy { revision: 7 }), ..job };
    let limits = Limits { active_jobs: 2, ..SMALL };
    let ask = async |scene: &Scene<'_>| scene.reserve(Wish { limits, ..wish("c", None, 0) }).await;
    scene.put(jobs([of_policy(job(1, "a")), job(2, "b")])).await;
    for _ in 0..2 {
        let place = granted(ask(&scene).await);
        assert_eq!(ask(&scene).await, Err(NoRoom::TooManyJobs { limit: 2 }));
        scene.store.give_back(place);
        scene.restart().await;
    }
    scene.put(jobs([of_policy(ended(1, Ending::Succeeded, NOW))])).await;
    let place = granted(ask(&scene).await);
    assert_eq!(ask(&scene).await, Err(NoRoom::TooManyJobs { limit: 2 }), "its end frees nothing");
    scene.store.give_back(place);
}

pub async fn limits_on_text_are_per_resource_and_key(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let long = Job { reason: Some("x".repeat(1 << 20)), ..by(ONE, job(1, "a")) };
    scene.put(jobs([long])).await;
    for _ in 0..2 {
        let too_much = Err(NoRoom::TooMuchText { limit: MAX_TEXT_BYTES });
        let rest = MAX_TEXT_BYTES - (1 << 20);
        assert_eq!(scene.reserve(wish("a", None, rest + 1)).await, too_much, "of the resource");
        assert_eq!(scene.reserve(wish("b", Some(ONE), rest + 1)).await, too_much, "of the key");
        let others = granted(scene.reserve(wish("b", Some(TWO), rest + 1)).await);
        scene.store.give_back(others);
        let all = granted(scene.reserve(wish("a", None, rest)).await);
        assert_eq!(scene.reserve(wish("a", None, 1)).await, too_much, "reservations count");
        let without = granted(scene.reserve(wish("a", None, 0)).await);
        scene.store.give_back(all);
        scene.store.give_back(without);
        scene.restart().await;
    }
}

pub async fn limits_on_idempotency_keys_are_per_api_key(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let used = (2..=MAX_IDEMPOTENCY_KEYS).map(|number| entry_of(&keyed(&number.to_string(), Some(ONE), 7, NOW), 1));
    scene.put(Unit { entries: used.collect(), ..Unit::default() }).await;
    for _ in 0..2 {
        granted(scene.reserve(keyed("new", Some(ONE), 7, NOW)).await);
        let too_many = Err(NoRoom::TooManyIdempotencyKeys { limit: MAX_IDEMPOTENCY_KEYS });
        assert_eq!(scene.reserve(keyed("newer", Some(ONE), 7, NOW)).await, too_many);
        for other in [Some(TWO), None] {
            granted(scene.reserve(keyed("newer", other, 7, NOW)).await);
        }
        let known = scene.reserve(keyed("2", Some(ONE), 7, NOW)).await;
        assert_eq!(known, Ok(Reserved::Replay { made: JobId::from_u128(1), joined: false }));
        scene.restart().await;
    }
}

pub async fn a_refusal_changes_nothing(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let epoch = scene.adopt("worker").await.epoch;
    let full = Limits { active_jobs: 0, ..SMALL };
    for _ in 0..3 {
        let refused = scene.reserve(Wish { limits: full, ..wish("worker", None, 0) }).await;
        assert_eq!(refused, Err(NoRoom::TooManyJobs { limit: 0 }));
    }
    assert_eq!(scene.results(vec![about("worker", epoch)]).await, ["good"], "the lane keeps its owner");
    let limits = Limits { active_jobs: 1, ..SMALL };
    granted(scene.reserve(Wish { limits, ..wish("worker", None, 0) }).await);
}

/// Whatever becomes of the first one, the second hears of it: it gets the job, or the place.
pub async fn a_request_waits_for_another_one_with_the_same_key(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let limits = Limits { active_jobs: 1, ..SMALL };
    for (number, end) in ["durable", "refused", "given back"].into_iter().enumerate() {
        let wish = Wish { limits, ..keyed(&number.to_string(), None, 7, NOW) };
        let stale = scene.adopt("worker").await.epoch;
        let epoch = scene.adopt("worker").await.epoch;
        let first = granted(scene.reserve(wish.clone()).await);
        let mut second = scene.store.reserve(wish.clone());
        assert!((&mut second).now_or_never().is_none(), "the first one is on its way");
        let unit =
            |epoch| Unit { entries: vec![entry_of(&wish, 7)], reservation: Some(first), ..about("worker", epoch) };
        match end {
            "durable" => assert_eq!(scene.results(vec![unit(epoch)]).await, ["good"]),
            "refused" => assert_eq!(scene.results(vec![unit(stale)]).await, ["not owned"]),
            _ => scene.store.give_back(first),
        }
        let decided = timeout(PATIENCE, second).await.expect("it hears of it").expect("the store can tell");
        if end == "durable" {
            assert_eq!(decided, Ok(Reserved::Replay { made: JobId::from_u128(7), joined: false }));
        } else {
            granted(decided);
        }
    }
}

pub async fn a_key_with_another_request_is_refused(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let first = keyed("key", Some(ONE), 7, NOW);
    scene.put(Unit { entries: vec![entry_of(&first, 7)], ..Unit::default() }).await;
    for _ in 0..2 {
        assert_eq!(scene.reserve(keyed("key", Some(ONE), 8, NOW)).await, Err(NoRoom::KeyReused));
        granted(scene.reserve(keyed("key", Some(TWO), 8, NOW)).await);
        granted(scene.reserve(keyed("key", None, 8, NOW)).await);
        scene.restart().await;
    }
}

pub async fn a_request_is_replayed_after_a_restart_and_for_a_day(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let at = |now| keyed("key", None, 7, now);
    let joined = IdempotencyEntry { joined: true, ..entry_of(&at(NOW), 7) };
    scene.put(Unit { entries: vec![joined], ..Unit::default() }).await;
    let replay = Ok(Reserved::Replay { made: JobId::from_u128(7), joined: true });
    let over = NOW + KEY_RETENTION;
    for _ in 0..2 {
        assert_eq!(scene.reserve(at(NOW)).await, replay);
        assert_eq!(scene.reserve(at(over - Duration::from_millis(1))).await, replay);
        scene.restart().await;
    }
    granted(scene.reserve(at(over)).await);
    scene.restart().await;
    scene.put(Unit { entries: vec![entry_of(&at(over), 8)], ..Unit::default() }).await;
    let replay = Ok(Reserved::Replay { made: JobId::from_u128(8), joined: false });
    assert_eq!(scene.reserve(at(over)).await, replay, "the key means the new job");
}
