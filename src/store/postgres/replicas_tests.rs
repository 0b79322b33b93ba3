//! Several replicas on one database: whose lanes are, who takes over, and what breaking connections do.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::connections::Connections;
use super::group::{self, Fate, Tried};
use super::proxy::{Cut, Proxy};
use super::server::{Server, connect};
use super::{Address, PostgresReader, PostgresStore, ReplicaFacts};
use crate::domain::{EventId, Job, JobId, Lease, LeaseTerms, Limits, Stage};
use crate::metrics::Metrics;
use crate::store::fixtures::{NOW, alias, entry, job, jobs, key, lane, observed, sample, written};
use crate::store::{
    EventFilter, KeyChange, LaneChange, NoRoom, Observer, RecordChange, ReservationId, Reserved, Store, StoreError,
    StoreReader, SubmitKey, Unit, Which, Wish,
};

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: LeaseTerms = LeaseTerms { term: Duration::from_secs(1), renewal: Duration::from_millis(200) };
/// A replica with these never renews its lease: to the others it is one that was suspended.
const NEVER: LeaseTerms = LeaseTerms { term: Duration::from_hours(1), renewal: Duration::from_hours(1) };

async fn replica(address: &Address, terms: LeaseTerms) -> PostgresStore {
    let observer = Observer::new(Arc::new(Metrics::new().expect("consistent")), None);
    let facts = ReplicaFacts { since: NOW, version: "test".into(), configuration: String::new() };
    PostgresStore::open(address, terms, facts, observer).await.expect("a store")
}

async fn adopt(store: &PostgresStore, name: &str) -> Option<u64> {
    let adoption = store.adopt(Which::These(vec![alias(name)])).await.expect("readable");
    adoption.lanes.first().map(|lane| lane.epoch)
}

async fn adopt_all(store: &PostgresStore) -> Vec<String> {
    let adoption = store.adopt(Which::All).await.expect("readable");
    adoption.lanes.iter().map(|lane| lane.record.resource.as_str().to_owned()).collect()
}

fn about(name: &str, epoch: u64, unit: Unit) -> Unit {
    Unit { lanes: vec![LaneChange { resource: alias(name), epoch, record: RecordChange::Keep }], ..unit }
}

/// A lane with a record, so that it is in force.
fn scaled(name: &str, epoch: u64) -> Unit {
    let lanes = written([lane(name, Some(Stage::Intended))]).into_iter().map(|lane| LaneChange { epoch, ..lane });
    Unit { lanes: lanes.collect(), ..Unit::default() }
}

async fn results(store: &PostgresStore, units: Vec<Unit>) -> Vec<&'static str> {
    let word = |result: &Result<EventId, StoreError>| match result {
        Ok(_) => "good",
        Err(StoreError::NotOwned) => "not owned",
        Err(_) => "failed",
    };
    store.commit(units).await.iter().map(word).collect()
}

/// Waits until lanes are free, and takes them.
async fn take_over(store: &PostgresStore) -> Vec<String> {
    let mut free = store.free_lanes();
    let taken = async {
        loop {
            let taken = adopt_all(store).await;
            if !taken.is_empty() {
                return taken;
            }
            free.changed().await.expect("a keeper");
        }
    };
    timeout(PATIENCE, taken).await.expect("lanes become free")
}

macro_rules! database {
    () => {
        match Server::get() {
            Some(server) => server.database().await,
            None => return,
        }
    };
}

#[tokio::test]
async fn a_lane_of_another_replica_stays_with_it() {
    let address = database!();
    let (one, two) = (replica(&address, SHORT).await, replica(&address, SHORT).await);
    let epoch = adopt(&one, "worker").await.expect("a free lane");
    assert_eq!(results(&one, vec![scaled("worker", epoch)]).await, ["good"]);
    assert_eq!(adopt(&two, "worker").await, None);
    assert_eq!(adopt_all(&two).await, [""; 0]);
    assert!(adopt(&two, "other").await.is_some());
    assert_eq!(results(&two, vec![about("worker", epoch, jobs([job(1, "worker")]))]).await, ["not owned"]);
    assert_eq!(results(&one, vec![about("worker", epoch, Unit::default())]).await, ["good"]);
    two.record(vec![observed("worker", epoch, [sample(1, 1.0)])]).await.expect("left out");
    let again = one.adopt(Which::These(vec![alias("worker")])).await.expect("readable").lanes.remove(0);
    assert_eq!((again.jobs, again.policy), (Vec::new(), None), "nothing of the other one is there");
}

#[tokio::test]
async fn what_a_replica_leaves_is_free_at_once() {
    let address = database!();
    let (one, two) = (replica(&address, NEVER).await, replica(&address, NEVER).await);
    let epoch = adopt(&one, "worker").await.expect("a free lane");
    assert_eq!(results(&one, vec![scaled("worker", epoch)]).await, ["good"]);
    one.close().await;
    assert_eq!(adopt_all(&two).await, ["worker"]);
    assert_eq!(results(&one, vec![about("worker", epoch, Unit::default())]).await, ["failed"], "it is closed");
}

#[tokio::test]
async fn a_suspended_replica_loses_its_lanes_and_is_refused_when_it_wakes() {
    let address = database!();
    let (asleep, awake) = (replica(&address, NEVER).await, replica(&address, SHORT).await);
    let epoch = adopt(&asleep, "worker").await.expect("a free lane");
    assert_eq!(results(&asleep, vec![scaled("worker", epoch)]).await, ["good"]);
    let begun = Instant::now();
    assert_eq!(take_over(&awake).await, ["worker"]);
    assert!(begun.elapsed() >= SHORT.term, "not before the lease was over: {:?}", begun.elapsed());
    let before = asleep.replica();
    // It knows nothing of that, and what it asks for about the lane is refused; the rest is done under another id.
    let late = about("worker", epoch, jobs([job(1, "worker")]));
    assert_eq!(results(&asleep, vec![late, jobs([job(2, "other")])]).await, ["not owned", "good"]);
    assert_ne!(asleep.replica(), before);
    assert_eq!(asleep.lease(), Lease::Holding);
    let reader = PostgresReader::open(&address).expect("readable");
    assert_eq!(reader.job(JobId::from_u128(1)).await.expect("readable"), None);
    assert_eq!(adopt(&asleep, "worker").await, None, "it belongs to the other one");
}

#[tokio::test]
async fn what_a_dead_replica_had_is_free_after_its_lease() {
    let address = database!();
    let (one, two) = (replica(&address, SHORT).await, replica(&address, SHORT).await);
    let epoch = adopt(&one, "worker").await.expect("a free lane");
    assert_eq!(results(&one, vec![scaled("worker", epoch)]).await, ["good"]);
    let mut free = two.free_lanes();
    assert!(timeout(SHORT.term * 3, free.changed()).await.is_err(), "it renews its lease");
    drop(one);
    assert_eq!(take_over(&two).await, ["worker"]);
}

// ---- requests -----------------------------------------------------------------------------------------------------------

fn wish(key: Option<&str>) -> Wish {
    Wish {
        owner: None,
        key: key.map(|key| SubmitKey::new(None, key.into(), [7; 32])),
        jobs: vec![crate::store::JobWish {
            resource: alias("worker"),
            text_bytes: 0,
            supersedes: false,
            supersedes_own: false,
        }],
        limits: Limits { active_jobs: 2, jobs_per_key: 9, queue_length: 9 },
        now: NOW,
    }
}

async fn granted(store: &PostgresStore, wish: Wish) -> ReservationId {
    match store.reserve(wish).await.expect("the store can tell") {
        Ok(Reserved::Granted(reservation)) => reservation,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn replicas_share_places_and_idempotency_keys() {
    let address = database!();
    let (one, two) = (replica(&address, NEVER).await, replica(&address, SHORT).await);
    let place = granted(&one, wish(Some("key"))).await;
    let same = two.reserve(wish(Some("key")));
    tokio::pin!(same);
    assert!(timeout(Duration::from_millis(500), &mut same).await.is_err(), "the first one is on its way");
    let unit = Unit { entries: vec![entry("key", NOW)], reservation: Some(place), ..jobs([job(7, "worker")]) };
    assert_eq!(results(&one, vec![unit]).await, ["good"]);
    let decided = timeout(PATIENCE, same).await.expect("it hears of it").expect("the store can tell");
    assert_eq!(decided, Ok(Reserved::Replay { made: JobId::from_u128(7), joined: true }));
    granted(&one, wish(None)).await;
    assert_eq!(two.reserve(wish(None)).await.expect("it can tell"), Err(NoRoom::TooManyJobs { limit: 2 }));
    // The place goes with the replica that had it.
    let freed = async {
        while two.reserve(wish(None)).await.expect("it can tell").is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, freed).await.expect("a place becomes free");
}

#[tokio::test]
async fn a_place_that_nobody_waits_for_any_more_is_given_back() {
    let address = database!();
    let store = replica(&address, SHORT).await;
    let limits = Limits { active_jobs: 1, ..wish(None).limits };
    for _ in 0..20 {
        let mut asked = store.reserve(Wish { limits, ..wish(None) });
        let _ = timeout(Duration::from_micros(500), &mut asked).await.map(|decided| {
            if let Ok(Ok(Reserved::Granted(reservation))) = decided {
                store.give_back(reservation);
            }
        });
    }
    granted(&store, Wish { limits, ..wish(None) }).await;
}

#[tokio::test]
async fn a_change_of_keys_is_noticed_by_all() {
    let address = database!();
    let (one, reader) = (replica(&address, SHORT).await, PostgresReader::open(&address).expect("readable"));
    let known = async {
        loop {
            match reader.keys_state() {
                Some(state) => return state,
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let before = timeout(PATIENCE, known).await.expect("a state");
    let unit = Unit { keys: vec![KeyChange::Added(key(1))], ..Unit::default() };
    assert_eq!(results(&one, vec![unit]).await, ["good"]);
    let begun = Instant::now();
    while reader.keys_state() == Some(before) {
        assert!(begun.elapsed() < Duration::from_secs(2), "it holds everywhere within a second, or nothing is known");
        sleep(Duration::from_millis(10)).await;
    }
}

// ---- broken connections -------------------------------------------------------------------------------------------------

/// Ends all connections of replicas to this database, busy ones too.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND application_name = 'scalegate'";

#[tokio::test]
async fn units_survive_broken_connections_once_each_and_in_order() {
    const UNITS: u64 = 300;
    let address = database!();
    let (store, operator) = (replica(&address, NEVER).await, connect(&address).await);
    let epoch = adopt(&store, "worker").await.expect("a free lane");
    let breaking = tokio::spawn(async move {
        loop {
            operator.batch_execute(TERMINATE).await.expect("terminated");
            sleep(Duration::from_millis(7)).await;
        }
    });
    let mut ids = Vec::new();
    for version in 1..=UNITS {
        let unit = about("worker", epoch, jobs([Job { version, ..job(1, "worker") }]));
        ids.push(store.commit(vec![unit]).await.remove(0).expect("tried until it is done"));
    }
    breaking.abort();
    let reader = PostgresReader::open(&address).expect("readable");
    let page = reader.versions(&EventFilter::ALL, 0, ids[0] + UNITS, 999).await.expect("readable");
    let versions: Vec<(EventId, u64)> = page.versions.iter().map(|(id, version)| (*id, version.job.version)).collect();
    assert_eq!(versions, (ids[0]..).zip(1..=UNITS).collect::<Vec<_>>());
    assert_eq!(ids, (ids[0]..ids[0] + UNITS).collect::<Vec<_>>());
}

/// Whether the database has heard of a commit or not: each unit is written once, and its caller hears of it.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    let address = database!();
    let proxy = Proxy::start(Server::get().expect("a server").directory());
    let store = replica(&proxy.address(address.database()), NEVER).await;
    let epoch = adopt(&store, "worker").await.expect("a free lane");
    let mut ids = Vec::new();
    for version in 1..=20 {
        proxy.cut_next(if version % 2 == 0 { Cut::BeforeCommit } else { Cut::AfterCommit });
        let unit = about("worker", epoch, jobs([Job { version, ..job(1, "worker") }]));
        ids.push(store.commit(vec![unit]).await.remove(0).expect("read back or tried again"));
        assert!(proxy.has_cut(), "version {version}");
    }
    assert_eq!(ids, (ids[0]..ids[0] + 20).collect::<Vec<_>>());
    let reader = PostgresReader::open(&address).expect("readable");
    assert_eq!(reader.last_event().await.expect("readable"), ids[19], "nothing was written twice");
}

#[tokio::test]
async fn the_number_of_a_transaction_tells_what_became_of_it() {
    let address = database!();
    let store = replica(&address, NEVER).await;
    let connections = Connections::new(&address, 2, PATIENCE).expect("connections");
    let (replica, soon) = (store.replica(), || Instant::now() + Duration::from_secs(1));
    let unit = jobs([job(1, "worker")]);
    assert!(matches!(group::write(&connections, &replica, 7, &[&unit]).await, Tried::Durable(_)));
    assert_eq!(group::read_back(&connections, &replica, 7, soon()).await, Fate::Committed);
    assert_eq!(group::read_back(&connections, &replica, 8, soon()).await, Fate::NotCommitted);
    // One that is still under way is waited for.
    let other = connect(&address).await;
    for (end, fate) in [("ROLLBACK", Fate::NotCommitted), ("COMMIT", Fate::Committed)] {
        other.batch_execute("BEGIN; UPDATE commits SET number = 8").await.expect("updated");
        let (asked, ended) = tokio::join!(group::read_back(&connections, &replica, 8, soon() + PATIENCE), async {
            sleep(Duration::from_millis(300)).await;
            other.batch_execute(end).await
        });
        ended.expect("ended");
        assert_eq!(asked, fate, "{end}");
    }
    other.batch_execute("DELETE FROM replicas").await.expect("deleted");
    assert_eq!(group::read_back(&connections, &replica, 8, soon()).await, Fate::Unknown);
    assert!(matches!(group::write(&connections, &replica, 9, &[&unit]).await, Tried::Dead));
}

/// Ids are handed out in the order of commits, whichever replica commits.
#[tokio::test]
async fn ids_of_versions_have_no_gaps_across_replicas() {
    let address = database!();
    let (one, two) = (replica(&address, NEVER).await, replica(&address, NEVER).await);
    let reader = PostgresReader::open(&address).expect("readable");
    let first = reader.last_event().await.expect("readable") + 1;
    let write = async |store: &PostgresStore, of: u128| {
        let mut ids = Vec::new();
        for number in 0..50 {
            ids.push(store.commit(vec![jobs([job(of + number, "worker")])]).await.remove(0).expect("durable"));
        }
        assert!(ids.is_sorted());
        ids
    };
    let (mut ids, others) = tokio::join!(write(&one, 0), write(&two, 1000));
    ids.extend(others);
    ids.sort_unstable();
    assert_eq!(ids, (first..first + 100).collect::<Vec<_>>());
}
