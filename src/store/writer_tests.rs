use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;

/// What the journal was asked for, in order.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// A commit of so many batches, by the name of the first lane forgotten in each.
    Commit(Vec<String>),
    Load,
    Answer(String),
    Prune,
}

/// A journal that reports what it is asked for and, if it is a commit, waits to be told how that went.
struct Puppet {
    asked: Sender<Asked>,
    verdicts: Receiver<bool>,
    loads_fail: bool,
}

impl Puppet {
    fn report(&self, asked: Asked) {
        // The test may be over.
        let _ = self.asked.send(asked);
    }
}

impl Journal for Puppet {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        self.report(Asked::Commit(batches.iter().map(|batch| batch.forgotten_lanes[0].to_string()).collect()));
        match self.verdicts.recv() {
            Ok(true) => Ok(()),
            _ => Err(StoreError::Corrupt { path: "store".into(), detail: "as told".into() }),
        }
    }

    fn load(&mut self) -> Result<Snapshot, StoreError> {
        self.report(Asked::Load);
        if std::mem::take(&mut self.loads_fail) { Err(StoreError::Closed) } else { Ok(Snapshot::default()) }
    }

    fn answer(&mut self, key: &str) -> Result<Option<KeyedAnswer>, StoreError> {
        self.report(Asked::Answer(key.to_owned()));
        Ok(None)
    }

    fn prune(&mut self, _: Retention, _: Timestamp) -> Result<Pruned, StoreError> {
        self.report(Asked::Prune);
        Ok(Pruned::default())
    }
}

struct Stage {
    writer: StoreWriter,
    acknowledgements: UnboundedReceiver<Acknowledgement>,
    thread: JoinHandle<()>,
    asked: Receiver<Asked>,
    verdicts: Sender<bool>,
}

impl Stage {
    fn set(loads_fail: bool) -> Self {
        let (report, asked) = channel();
        let (verdicts, orders) = channel();
        let puppet = Puppet { asked: report, verdicts: orders, loads_fail };
        let (writer, inbox) = StoreWriter::channel();
        let (acknowledgements, thread) = inbox.start(puppet).expect("a thread");
        Self { writer, acknowledgements, thread, asked, verdicts }
    }

    fn commit(&self, name: &str) {
        let forgotten_lanes = vec![name.parse().expect("an alias")];
        self.writer.commit(Batch { forgotten_lanes, ..Batch::default() }).expect("the thread lives");
    }

    #[track_caller]
    fn asked(&self) -> Asked {
        self.asked.recv_timeout(Duration::from_secs(10)).expect("the journal is asked for something")
    }

    fn verdict(&self, good: bool) {
        self.verdicts.send(good).expect("the thread lives");
    }

    /// The next acknowledgements, by whether they are good and, if not, whether they are but consequences.
    async fn acknowledged(&mut self, count: usize) -> Vec<&'static str> {
        let mut words = Vec::new();
        for _ in 0..count {
            words.push(match self.acknowledgements.recv().await.expect("the thread lives") {
                Ok(()) => "good",
                Err(StoreError::Uncertain { .. }) => "uncertain",
                Err(_) => "failed",
            });
        }
        words
    }
}

fn commits(names: &[&str]) -> Asked {
    Asked::Commit(names.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn what_queues_up_behind_a_commit_goes_into_the_next_one_together() {
    let mut stage = Stage::set(false);
    stage.commit("a");
    assert_eq!(stage.asked(), commits(&["a"]));
    for name in ["b", "c", "d"] {
        stage.commit(name);
    }
    assert!(stage.acknowledgements.try_recv().is_err(), "nothing is on the disk yet");
    stage.verdict(true);
    assert_eq!(stage.asked(), commits(&["b", "c", "d"]));
    assert_eq!(stage.acknowledged(1).await, ["good"]);
    assert!(stage.acknowledgements.try_recv().is_err(), "not before the group is on the disk");
    stage.verdict(true);
    assert_eq!(stage.acknowledged(3).await, ["good"; 3]);
}

#[tokio::test]
async fn a_group_is_not_larger_than_it_may_be() {
    let mut stage = Stage::set(false);
    stage.commit("first");
    assert_eq!(stage.asked(), commits(&["first"]));
    for _ in 0..=MAX_GROUP {
        stage.commit("more");
    }
    for _ in 0..3 {
        stage.verdict(true);
    }
    assert_eq!(stage.asked(), Asked::Commit(vec!["more".into(); MAX_GROUP]));
    assert_eq!(stage.asked(), commits(&["more"]));
    assert_eq!(stage.acknowledged(MAX_GROUP + 2).await.len(), MAX_GROUP + 2);
}

#[tokio::test]
async fn other_requests_keep_their_place_among_the_commits() {
    let stage = Stage::set(false);
    stage.commit("a");
    assert_eq!(stage.asked(), commits(&["a"]));
    // Joined futures are polled, and so the requests sent, in this order.
    let requests = async {
        tokio::join!(
            async { stage.commit("b") },
            stage.writer.answer("key".into()),
            async {
                stage.commit("c");
                stage.commit("d");
            },
            stage.writer.prune(Retention::DEFAULT, Timestamp::from_millis(0)),
            stage.writer.load(),
            async {
                stage.commit("e");
                for _ in 0..4 {
                    stage.verdict(true);
                }
            },
        )
    };
    let (_, answer, _, pruned, loaded, _) = requests.await;
    assert!(answer.is_ok() && pruned.is_ok() && loaded.is_ok());
    let expected = [commits(&["b"]), Asked::Answer("key".into()), commits(&["c", "d"]), Asked::Prune, Asked::Load];
    for asked in expected {
        assert_eq!(stage.asked(), asked);
    }
    assert_eq!(stage.asked(), commits(&["e"]));
}

#[tokio::test]
async fn after_a_failure_nothing_is_written_until_everything_was_read_again() {
    let mut stage = Stage::set(true);
    stage.commit("a");
    assert_eq!(stage.asked(), commits(&["a"]));
    stage.commit("b");
    stage.commit("c");
    stage.verdict(true);
    assert_eq!(stage.asked(), commits(&["b", "c"]));
    stage.commit("d");
    stage.verdict(false);
    assert_eq!(stage.acknowledged(4).await, ["good", "failed", "uncertain", "uncertain"]);
    let pruned = stage.writer.prune(Retention::DEFAULT, Timestamp::from_millis(0)).await;
    assert!(matches!(pruned, Err(StoreError::Uncertain { .. })), "{pruned:?}");
    assert!(stage.writer.load().await.is_err(), "as told");
    stage.commit("e");
    assert_eq!(stage.acknowledged(1).await, ["uncertain"]);
    assert!(stage.writer.load().await.is_ok());
    stage.commit("f");
    stage.verdict(true);
    assert_eq!(stage.acknowledged(1).await, ["good"]);
    for asked in [Asked::Load, Asked::Load, commits(&["f"])] {
        assert_eq!(stage.asked(), asked, "nothing in between reached the journal");
    }
}

#[tokio::test]
async fn the_thread_does_what_it_was_asked_for_and_ends_with_its_last_handle() {
    let Stage { writer, mut acknowledgements, thread, asked, verdicts } = Stage::set(false);
    let batch = || Batch { forgotten_lanes: vec!["a".parse().expect("an alias")], ..Batch::default() };
    writer.commit(batch()).expect("the thread lives");
    let other = writer.clone();
    drop(writer);
    other.commit(batch()).expect("the thread lives");
    drop(other);
    verdicts.send(true).expect("the thread lives");
    verdicts.send(true).expect("the thread lives");
    thread.join().expect("no panic");
    let committed: usize =
        asked.iter().map(|asked| if let Asked::Commit(group) = asked { group.len() } else { 0 }).sum();
    assert_eq!(committed, 2);
    assert!(acknowledgements.recv().await.is_some_and(|first| first.is_ok()));
    assert!(acknowledgements.recv().await.is_some_and(|second| second.is_ok()));
    assert!(acknowledgements.recv().await.is_none());
}

/// Commits of others go into the same transactions, and each hears of its own alone.
#[tokio::test]
async fn clients_hear_of_their_own_commits_and_do_not_keep_the_thread() {
    let mut stage = Stage::set(false);
    let client = stage.writer.client();
    let batch = |name: &str| Batch { forgotten_lanes: vec![name.parse().expect("an alias")], ..Batch::default() };
    stage.commit("a");
    assert_eq!(stage.asked(), commits(&["a"]));
    let (theirs, ()) = tokio::join!(client.commit(batch("b")), async {
        stage.commit("c");
        stage.verdict(true);
        assert_eq!(stage.asked(), commits(&["b", "c"]));
        stage.verdict(true);
        assert_eq!(stage.acknowledged(2).await, ["good"; 2]);
    });
    assert!(theirs.is_ok());
    assert!(stage.acknowledgements.try_recv().is_err(), "of what is good, the engine hears of its own commits alone");

    let (theirs, ()) = tokio::join!(client.commit(batch("d")), async { stage.verdict(false) });
    assert!(matches!(theirs, Err(StoreError::Corrupt { .. })), "{theirs:?}");
    assert!(matches!(client.commit(batch("e")).await, Err(StoreError::Uncertain { .. })));
    for _ in 0..2 {
        let told = stage.acknowledgements.recv().await.expect("the thread lives").expect_err("of all that fail");
        assert!(told.to_string().contains("corrupt (as told)"), "it reads everything again, and tells why: {told}");
    }
    let Stage { writer, thread, .. } = stage;
    drop(writer);
    thread.join().expect("no panic");
    assert!(matches!(client.commit(batch("f")).await, Err(StoreError::Closed)));
}

/// Whoever gives up waiting does not make room for one more: what he asked for still waits.
#[tokio::test]
async fn clients_do_not_pile_up_before_a_disk_that_hangs() {
    let stage = Stage::set(false);
    let client = stage.writer.client();
    let batch = || Batch { forgotten_lanes: vec!["worker".parse().expect("an alias")], ..Batch::default() };
    stage.commit("worker");
    stage.asked();
    for _ in 0..MAX_OF_CLIENTS {
        assert!(client.commit(batch()).now_or_never().is_none());
    }
    assert!(matches!(client.clone().commit(batch()).now_or_never(), Some(Err(StoreError::Congested))));
    // Once one group of them is done, there is room again.
    stage.verdict(true);
    stage.asked();
    stage.verdict(true);
    stage.asked();
    assert!(client.commit(batch()).now_or_never().is_none());
    drop(stage.verdicts);
}
