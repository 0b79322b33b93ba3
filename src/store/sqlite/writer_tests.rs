use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use futures_util::FutureExt as _;

use super::super::fixtures::{self, NOW, alias};
use super::super::journal::SqliteJournal;
use super::super::store::SqliteStore;
use super::*;
use crate::domain::KeyId;
use crate::metrics::Metrics;
use crate::store::requests::{MAX_GROUP, MAX_WITHOUT_LANES};
use crate::store::{Epoch, LaneChange, RecordChange, Store as _, Which};

/// What the journal was asked for, in order.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// A commit of units, by the first lane of each.
    Commit(Vec<String>),
    /// What was observed about these resources.
    Record(Vec<String>),
    Reopen,
    Prune,
}

/// A journal that reports what it is asked for and, if it is a commit, waits to be told how that went. It has no lanes
/// but those of the real one.
struct Puppet {
    asked: Sender<Asked>,
    verdicts: Receiver<bool>,
    reopens_fail: Receiver<()>,
    is_scarce: Arc<AtomicBool>,
    inner: SqliteJournal,
}

impl Puppet {
    fn report(&self, asked: Asked) {
        // The test may be over.
        let _ = self.asked.send(asked);
    }
}

impl Journal for Puppet {
    fn commit(&mut self, units: &[Unit], _: EventId) -> Result<(), SqliteError> {
        let name = |unit: &Unit| unit.lanes.first().map_or("none".to_owned(), |lane| lane.resource.to_string());
        self.report(Asked::Commit(units.iter().map(name).collect()));
        match self.verdicts.recv() {
            Ok(true) => Ok(()),
            _ => Err(failure()),
        }
    }

    fn commit_urgently(&mut self, units: &[Unit]) -> Result<(), SqliteError> {
        self.commit(units, 0)
    }

    fn has_spare_room(&mut self) -> bool {
        !self.is_scarce.load(Ordering::SeqCst)
    }

    fn record(&mut self, observations: &[Observations]) -> Result<(), SqliteError> {
        self.report(Asked::Record(observations.iter().map(|part| part.resource.to_string()).collect()));
        match self.verdicts.recv() {
            Ok(true) => Ok(()),
            _ => Err(failure()),
        }
    }

    fn reopen(&mut self) -> Result<Opened, SqliteError> {
        self.report(Asked::Reopen);
        if self.reopens_fail.try_recv().is_ok() { Err(failure()) } else { self.inner.reopen() }
    }

    fn lane_reader(&self) -> Result<LaneReader, SqliteError> {
        self.inner.lane_reader()
    }

    fn prune(&mut self, _: Retention, _: Timestamp, _: Option<&Excess>) -> Result<Pruned, SqliteError> {
        self.report(Asked::Prune);
        Ok(Pruned::default())
    }
}

fn failure() -> SqliteError {
    SqliteError::Corrupt { path: "store".into(), detail: "as told".into() }
}

struct Stage {
    store: SqliteStore,
    thread: JoinHandle<()>,
    asked: Receiver<Asked>,
    verdicts: Sender<bool>,
    reopens_fail: Sender<()>,
    is_scarce: Arc<AtomicBool>,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// A store that was opened, with its thread.
    async fn set() -> Self {
        let directory = fixtures::directory();
        let (report, asked) = channel();
        let (verdicts, orders) = channel();
        let (reopens_fail, failures) = channel();
        let inner = fixtures::open(directory.path());
        let is_scarce = Arc::new(AtomicBool::default());
        let scarce = Arc::clone(&is_scarce);
        let puppet = Puppet { asked: report, verdicts: orders, reopens_fail: failures, is_scarce: scarce, inner };
        let (store, inbox) = SqliteStore::channel();
        let thread = inbox.start(puppet, observer()).expect("a thread");
        store.adopt(Which::All).await.expect("readable");
        let stage = Self { store, thread, asked, verdicts, reopens_fail, is_scarce, _directory: directory };
        assert_eq!(stage.asked(), Asked::Reopen);
        stage
    }

    async fn adopt(&self, name: &str) -> Epoch {
        let adoption = self.store.adopt(Which::These(vec![alias(name)])).await.expect("adopted");
        adoption.lanes[0].epoch
    }

    #[track_caller]
    fn asked(&self) -> Asked {
        self.asked.recv_timeout(Duration::from_secs(10)).expect("the journal is asked for something")
    }

    fn verdict(&self, good: bool) {
        self.verdicts.send(good).expect("the thread lives");
    }
}

fn observer() -> Observer {
    Observer::new(Arc::new(Metrics::new().expect("consistent")), None)
}

/// A unit about the lane of a resource, by its owner of this adoption.
fn about(name: &str, epoch: Epoch) -> Unit {
    Unit { lanes: vec![LaneChange { resource: alias(name), epoch, record: RecordChange::Keep }], ..Unit::default() }
}

/// Results by whether they are good and, if not, why.
fn words(results: &[Result<EventId, StoreError>]) -> Vec<&'static str> {
    let word = |result: &Result<EventId, StoreError>| match result {
        Ok(_) => "good",
        Err(StoreError::Uncertain { .. }) => "uncertain",
        Err(StoreError::NotOwned) => "not owned",
        Err(_) => "failed",
    };
    results.iter().map(word).collect()
}

fn commits(names: &[&str]) -> Asked {
    Asked::Commit(names.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn units_that_queue_up_behind_a_commit_go_into_the_next_one_together() {
    let stage = Stage::set().await;
    let (a, b) = (stage.adopt("a").await, stage.adopt("b").await);
    let mut first = stage.store.commit(vec![about("a", a)]);
    assert_eq!(stage.asked(), commits(&["a"]));
    let second = stage.store.commit(vec![about("b", b), about("a", a)]);
    let third = stage.store.commit(vec![about("b", b)]);
    assert!((&mut first).now_or_never().is_none(), "nothing is on the disk yet");
    stage.verdict(true);
    assert_eq!(stage.asked(), commits(&["b", "a", "b"]));
    assert_eq!(words(&first.await), ["good"]);
    stage.verdict(true);
    assert_eq!(words(&second.await), ["good"; 2]);
    assert_eq!(words(&third.await), ["good"]);
}

#[tokio::test]
async fn a_group_is_not_larger_than_it_may_be() {
    let stage = Stage::set().await;
    let epoch = stage.adopt("a").await;
    let first = stage.store.commit(vec![about("a", epoch)]);
    assert_eq!(stage.asked(), commits(&["a"]));
    let more: Vec<_> = (0..=MAX_GROUP).map(|_| stage.store.commit(vec![about("a", epoch)])).collect();
    for _ in 0..3 {
        stage.verdict(true);
    }
    assert_eq!(stage.asked(), Asked::Commit(vec!["a".into(); MAX_GROUP]));
    assert_eq!(stage.asked(), commits(&["a"]));
    for commit in std::iter::once(first).chain(more) {
        assert_eq!(words(&commit.await), ["good"]);
    }
}

#[tokio::test]
async fn other_requests_keep_their_place_among_the_commits() {
    let stage = Stage::set().await;
    let epoch = stage.adopt("a").await;
    let first = stage.store.commit(vec![about("a", epoch)]);
    assert_eq!(stage.asked(), commits(&["a"]));
    let second = stage.store.commit(vec![about("a", epoch)]);
    let mut pruning = stage.store.prune(Retention::DEFAULT, NOW);
    assert!((&mut pruning).now_or_never().is_none());
    let third = stage.store.commit(vec![about("a", epoch)]);
    for asked in [commits(&["a"]), Asked::Prune, commits(&["a"])] {
        stage.verdict(true);
        assert_eq!(stage.asked(), asked);
        if asked == Asked::Prune {
            break;
        }
    }
    assert!(pruning.await.is_ok());
    stage.verdict(true);
    for commit in [first, second, third] {
        assert_eq!(words(&commit.await), ["good"]);
    }
}

/// Commit k fails with three more pending: none of them lands. Another lane goes on.
#[tokio::test]
async fn after_a_failed_unit_no_later_one_about_its_lanes_lands_before_they_are_adopted_again() {
    let stage = Stage::set().await;
    let (a, b) = (stage.adopt("a").await, stage.adopt("b").await);
    let failing = stage.store.commit(vec![about("a", a)]);
    assert_eq!(stage.asked(), commits(&["a"]));
    let pending: Vec<_> = (0..3).map(|_| stage.store.commit(vec![about("a", a)])).collect();
    stage.verdict(false);
    assert_eq!(words(&failing.await), ["failed"]);
    for commit in pending {
        assert_eq!(words(&commit.await), ["not owned"]);
    }
    let other = stage.store.commit(vec![about("b", b)]);
    assert_eq!(words(&other.await), ["uncertain"], "the file is not opened again before a pause is over");
    let (a, b) = (stage.adopt("a").await, stage.adopt("b").await);
    assert_eq!(stage.asked(), Asked::Reopen, "nothing in between reached the journal");
    let later = stage.store.commit(vec![about("a", a), about("b", b)]);
    stage.verdict(true);
    assert_eq!(words(&later.await), ["good"; 2]);
    assert_eq!(stage.asked(), commits(&["a", "b"]));
}

/// What the new owner of a lane reads has all that its earlier owner was told is durable.
#[tokio::test]
async fn an_adoption_waits_for_the_commit_on_its_way_and_takes_the_lane_from_those_behind_it() {
    let stage = Stage::set().await;
    let earlier = stage.adopt("a").await;
    let commit = stage.store.commit(vec![about("a", earlier)]);
    assert_eq!(stage.asked(), commits(&["a"]));
    let mut adoption = Box::pin(stage.adopt("a"));
    for _ in 0..100 {
        assert!((&mut adoption).now_or_never().is_none(), "the commit is not over");
        tokio::task::yield_now().await;
    }
    let behind = stage.store.commit(vec![about("a", earlier)]);
    stage.verdict(true);
    assert_eq!(words(&commit.await), ["good"]);
    let later = adoption.await;
    assert_eq!(words(&behind.await), ["not owned"]);
    stage.verdict(true);
    assert_eq!(words(&stage.store.commit(vec![about("a", later)]).await), ["good"]);
}

#[tokio::test]
async fn a_failed_store_is_opened_again_when_a_lane_is_adopted() {
    let stage = Stage::set().await;
    let epoch = stage.adopt("a").await;
    stage.verdict(false);
    assert_eq!(words(&stage.store.commit(vec![about("a", epoch)]).await), ["failed"]);
    assert!(matches!(stage.store.prune(Retention::DEFAULT, NOW).await, Err(StoreError::Uncertain { .. })));
    stage.reopens_fail.send(()).expect("the thread lives");
    let refused = stage.store.adopt(Which::These(vec![alias("a")])).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    let epoch = stage.adopt("a").await;
    stage.verdict(true);
    assert_eq!(words(&stage.store.commit(vec![about("a", epoch)]).await), ["good"]);
    let asked: Vec<Asked> = stage.asked.try_iter().collect();
    assert_eq!(asked, [commits(&["a"]), Asked::Reopen, Asked::Reopen, commits(&["a"])]);
}

#[tokio::test]
async fn the_thread_does_what_it_was_asked_for_and_ends() {
    let stage = Stage::set().await;
    let epoch = stage.adopt("a").await;
    let commits: Vec<_> = (0..2).map(|_| stage.store.commit(vec![about("a", epoch)])).collect();
    stage.store.close();
    stage.verdict(true);
    stage.verdict(true);
    for commit in commits {
        assert_eq!(words(&commit.await), ["good"]);
    }
    stage.thread.join().expect("no panic");
    let late = stage.store.commit(vec![about("a", epoch)]).await;
    assert!(matches!(late[0], Err(StoreError::Closed)));
}

/// A caller that gives up waiting does not make room for one more: what it asked for still waits.
#[tokio::test]
async fn units_without_lanes_do_not_pile_up_before_a_disk_that_hangs() {
    let stage = Stage::set().await;
    let epoch = stage.adopt("a").await;
    let first = stage.store.commit(vec![about("a", epoch)]);
    stage.asked();
    for _ in 0..MAX_WITHOUT_LANES {
        assert!(stage.store.commit(vec![Unit::default()]).now_or_never().is_none());
    }
    let refused = stage.store.commit(vec![Unit::default()]).now_or_never();
    assert!(matches!(refused.as_deref(), Some([Err(StoreError::Congested)])));
    // Once one group of them is done, there is room again.
    stage.verdict(true);
    assert_eq!(words(&first.await), ["good"]);
    stage.asked();
    stage.verdict(true);
    stage.asked();
    assert!(stage.store.commit(vec![Unit::default()]).now_or_never().is_none());
}

/// What is urgent gets the room that is kept for it, so that no caller without an admin's key may ask for it.
#[test]
fn only_changes_of_keys_are_urgent() {
    let id: KeyId = "Ab0Ab0Ab0A".parse().expect("an id");
    let changing = |change| Unit { keys: vec![change], audit: vec![fixtures::accepted_at(1)], ..Unit::default() };
    let revoking = changing(KeyChange::Revoked { id: id.clone(), at: NOW });
    assert!(is_urgent(&revoking) && is_urgent(&changing(KeyChange::Configured { at: NOW })));
    for other in [
        changing(KeyChange::Used { id, at: NOW }),
        Unit { audit: revoking.audit.clone(), ..Unit::default() },
        Unit { history: fixtures::readings(NOW, 1..=1), ..revoking.clone() },
        Unit { keys: revoking.keys, ..about("a", 1) },
        Unit::default(),
    ] {
        assert!(!is_urgent(&other), "{other:?}");
    }
}

fn records(names: &[&str]) -> Asked {
    Asked::Record(names.iter().map(ToString::to_string).collect())
}

fn batch(resources: impl IntoIterator<Item = (String, Epoch)>) -> Vec<Observations> {
    resources.into_iter().map(|(name, epoch)| fixtures::observed(&name, epoch, [fixtures::sample(1, 1.0)])).collect()
}

/// Two pieces of a batch, with a group between them that came after it; one about what is in the second piece waits.
#[tokio::test]
async fn what_was_observed_is_written_between_commits_and_before_a_later_unit_about_it() {
    let stage = Stage::set().await;
    let (a, b, c) = (stage.adopt("a").await, stage.adopt("b").await, stage.adopt("c").await);
    let mut large = batch([("a".into(), a), ("b".into(), b)]);
    large[0].samples = vec![large[0].samples[0].clone(); 600];
    let first = stage.store.commit(vec![about("c", c)]);
    assert_eq!(stage.asked(), commits(&["c"]));
    let recording = stage.store.record(large);
    let second = stage.store.commit(vec![about("c", c), about("a", a)]);
    stage.verdict(true);
    assert_eq!(stage.asked(), records(&["a"]), "before the unit about it");
    let third = stage.store.commit(vec![about("c", c)]);
    stage.verdict(true);
    assert_eq!(stage.asked(), commits(&["c", "a"]), "which does not wait for the rest");
    stage.verdict(true);
    assert_eq!(stage.asked(), records(&["b"]), "between two commits");
    stage.verdict(true);
    assert_eq!(stage.asked(), commits(&["c"]));
    stage.verdict(true);
    assert!(recording.await.is_ok());
    for commit in [first, second, third] {
        assert!(commit.await.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_takes_no_lanes_and_has_the_store_opened_again() {
    let stage = Stage::set().await;
    let a = stage.adopt("a").await;
    for good in [false, true] {
        stage.verdict(good);
        assert_eq!(stage.store.record(batch([("a".into(), a)])).await.is_ok(), good);
        stage.verdict(true);
        assert_eq!(words(&stage.store.commit(vec![about("a", a)]).await), ["good"]);
    }
    let asked: Vec<Asked> = stage.asked.try_iter().collect();
    assert_eq!(asked, [records(&["a"]), Asked::Reopen, commits(&["a"]), records(&["a"]), commits(&["a"])]);
}

/// Jobs and changes of keys go on in the room that is left.
#[tokio::test]
async fn what_was_observed_is_given_up_first_when_room_becomes_scarce() {
    let stage = Stage::set().await;
    let a = stage.adopt("a").await;
    stage.is_scarce.store(true, Ordering::SeqCst);
    let refused = stage.store.record(batch([("a".into(), a)])).await;
    assert!(matches!(refused, Err(StoreError::Scarce)));
    let revoked = KeyChange::Revoked { id: fixtures::key_id(1), at: NOW };
    for unit in [about("a", a), Unit { keys: vec![revoked], ..Unit::default() }] {
        stage.verdict(true);
        assert_eq!(words(&stage.store.commit(vec![unit]).await), ["good"]);
    }
    stage.is_scarce.store(false, Ordering::SeqCst);
    stage.verdict(true);
    assert!(stage.store.record(batch([("a".into(), a)])).await.is_ok());
    let asked: Vec<Asked> = stage.asked.try_iter().collect();
    assert_eq!(asked, [commits(&["a"]), commits(&["none"]), records(&["a"])]);
}

/// The next owner is given what was observed before it came.
#[tokio::test]
async fn an_adoption_waits_for_what_was_observed() {
    let stage = Stage::set().await;
    let (a, b) = (stage.adopt("a").await, stage.adopt("b").await);
    let first = stage.store.commit(vec![about("b", b)]);
    assert_eq!(stage.asked(), commits(&["b"]));
    let recording = stage.store.record(batch([("a".into(), a)]));
    let mut adoption = Box::pin(stage.adopt("a"));
    assert!((&mut adoption).now_or_never().is_none());
    stage.verdict(true);
    assert_eq!(stage.asked(), records(&["a"]));
    stage.verdict(true);
    adoption.await;
    assert!(recording.await.is_ok() && first.await[0].is_ok());
}
