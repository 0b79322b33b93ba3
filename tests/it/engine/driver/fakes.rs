//! A sidecar, a journal and a store that do as they are told.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use scalegate::domain::{
    Alias, ChangeAnswer, EventId, GroupedAnswer, JobId, Move, Op, Origin, ReadFailure, Retention, Stage, Status,
    Timestamp,
};
use scalegate::sidecar::{RawReading, Sidecar};
use scalegate::store::sqlite::{Journal, LaneReader, Opened, SqliteError, SqliteJournal, SqliteStore};
use scalegate::store::{
    Adoption, Commit, Excess, NoRoom, Observations, Pruned, RecordChange, Recording, ReservationId, Reserved, Store,
    StoreError, Unit, Which, Wish,
};
use tokio::sync::watch;

use super::rig::{millis, units};
use crate::support::world::worker;

/// What the sidecar does with requests; "applies" is about changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Applies and answers them at once.
    Prompt,
    /// Applies them, and answers only when told to behave otherwise.
    Hang,
    /// Panics instead of answering.
    Panic,
}

/// The sidecar's side of the calls, shared with the test.
pub struct FakeSidecar {
    pub capacities: Mutex<BTreeMap<Alias, u32>>,
    pub changes: Mutex<Vec<(Alias, Move)>>,
    pub on_change: watch::Sender<Manner>,
    pub on_read: watch::Sender<Manner>,
    /// How often it was read.
    pub reads: watch::Sender<usize>,
}

impl FakeSidecar {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            capacities: Mutex::default(),
            changes: Mutex::default(),
            on_change: watch::Sender::new(Manner::Prompt),
            on_read: watch::Sender::new(Manner::Prompt),
            reads: watch::Sender::new(0),
        })
    }

    pub fn changes(&self) -> usize {
        self.changes.lock().expect("no panic").len()
    }

    pub fn capacity(&self) -> u32 {
        self.capacities.lock().expect("no panic").get(&worker()).copied().unwrap_or(1)
    }
}

pub async fn behave(manner: &watch::Sender<Manner>) {
    let mut manner = manner.subscribe();
    let manner = *manner.wait_for(|manner| *manner != Manner::Hang).await.expect("the sidecar lives");
    assert!(manner != Manner::Panic, "the sidecar's client panics, as told");
}

/// Not `Send`, as the real one.
pub struct Client {
    pub sidecar: Arc<FakeSidecar>,
    _not_send: Rc<()>,
}

impl Client {
    pub fn new(sidecar: Arc<FakeSidecar>) -> Self {
        Self { sidecar, _not_send: Rc::new(()) }
    }
}

impl Sidecar for Client {
    async fn read(&self, resource: &Alias, _: &Origin) -> Result<RawReading, ReadFailure> {
        self.sidecar.reads.send_modify(|reads| *reads += 1);
        behave(&self.sidecar.on_read).await;
        let capacity = self.sidecar.capacities.lock().expect("no panic").get(resource).copied().unwrap_or(1);
        Ok(RawReading { status: Status::new("ACTIVE"), capacity: units(capacity), stamp: None })
    }

    async fn observe(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        self.read(resource, origin).await
    }

    async fn change(&self, resource: &Alias, change: Move, _: &Origin) -> ChangeAnswer {
        self.sidecar.changes.lock().expect("no panic").push((resource.clone(), change));
        {
            let mut capacities = self.sidecar.capacities.lock().expect("no panic");
            let capacity = capacities.entry(resource.clone()).or_insert(1);
            match change.op {
                Op::Add => *capacity += change.units,
                Op::Remove => *capacity -= change.units,
            }
        }
        behave(&self.sidecar.on_change).await;
        ChangeAnswer::Acknowledged
    }

    async fn change_together(&self, changes: &[(Alias, Move)], origin: &Origin) -> GroupedAnswer {
        let mut answers = Vec::new();
        for (resource, change) in changes {
            answers.push(self.change(resource, *change, origin).await);
        }
        GroupedAnswer { answers, has_path: true }
    }
}

/// What becomes of commits.
#[derive(Default)]
pub struct Disk {
    /// Whether commits fail.
    pub broken: AtomicBool,
    /// Whether a failing commit is on the disk all the same.
    pub keeps: AtomicBool,
    /// Whether it cannot even be read.
    pub unreadable: AtomicBool,
    /// Whether the next commit of an intent breaks it.
    pub breaks_at_intent: AtomicBool,
    /// Whether commits of intents take until this changes.
    pub holds_intents: AtomicBool,
    pub held_intents: AtomicUsize,
    pub panics: AtomicBool,
    pub loads: AtomicUsize,
    pub pruned: Mutex<Vec<JobId>>,
}

impl Disk {
    pub fn set(flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::SeqCst);
    }
}

/// The real journal, failing when told to.
pub struct FakeJournal {
    pub inner: SqliteJournal,
    pub disk: Arc<Disk>,
}

pub fn failure() -> SqliteError {
    SqliteError::Directory { path: "store".into(), source: std::io::Error::other("no space left on device") }
}

impl Journal for FakeJournal {
    fn commit(&mut self, units: &[Unit], first_event: EventId) -> Result<(), SqliteError> {
        assert!(!self.disk.panics.load(Ordering::SeqCst), "the journal panics, as told");
        let is_intent = units.iter().flat_map(|unit| &unit.lanes).any(|lane| {
            matches!(&lane.record, RecordChange::Write(record)
                if record.change.is_some_and(|change| change.stage == Stage::Intended))
        });
        if is_intent && self.disk.holds_intents.load(Ordering::SeqCst) {
            self.disk.held_intents.fetch_add(1, Ordering::SeqCst);
            while self.disk.holds_intents.load(Ordering::SeqCst) {
                std::thread::sleep(millis(1));
            }
        }
        if is_intent && self.disk.breaks_at_intent.swap(false, Ordering::SeqCst) {
            Disk::set(&self.disk.broken, true);
        }
        if !self.disk.broken.load(Ordering::SeqCst) {
            return self.inner.commit(units, first_event);
        }
        if self.disk.keeps.load(Ordering::SeqCst) {
            self.inner.commit(units, first_event)?;
        }
        Err(failure())
    }

    fn commit_urgently(&mut self, units: &[Unit]) -> Result<(), SqliteError> {
        self.commit(units, 0)
    }

    fn has_spare_room(&mut self) -> bool {
        self.inner.has_spare_room()
    }

    fn record(&mut self, observations: &[Observations]) -> Result<(), SqliteError> {
        if self.disk.broken.load(Ordering::SeqCst) { Err(failure()) } else { self.inner.record(observations) }
    }

    fn reopen(&mut self) -> Result<Opened, SqliteError> {
        self.disk.loads.fetch_add(1, Ordering::SeqCst);
        if self.disk.unreadable.load(Ordering::SeqCst) { Err(failure()) } else { self.inner.reopen() }
    }

    fn lane_reader(&self) -> Result<LaneReader, SqliteError> {
        self.inner.lane_reader()
    }

    fn prune(&mut self, retention: Retention, now: Timestamp, excess: Option<&Excess>) -> Result<Pruned, SqliteError> {
        let pruned = self.inner.prune(retention, now, excess)?;
        self.disk.pruned.lock().expect("no panic").extend(pruned.jobs.iter().map(|job| job.id));
        Ok(pruned)
    }
}

/// The real store. Adoptions are noted, and take as long as they are held.
pub struct FakeStore {
    pub inner: SqliteStore,
    /// The lanes of each adoption that the engine asked for after its start.
    pub adoptions: Mutex<Vec<Vec<Alias>>>,
    pub holds_adoptions: watch::Sender<bool>,
}

impl FakeStore {
    pub fn new(inner: SqliteStore) -> Arc<Self> {
        Arc::new(Self { inner, adoptions: Mutex::default(), holds_adoptions: watch::Sender::new(false) })
    }

    pub fn adoptions(&self) -> Vec<Vec<Alias>> {
        self.adoptions.lock().expect("no panic").clone()
    }
}

#[async_trait]
impl Store for FakeStore {
    fn commit(&self, units: Vec<Unit>) -> Commit {
        self.inner.commit(units)
    }

    fn record(&self, batch: Vec<Observations>) -> Recording {
        self.inner.record(batch)
    }

    async fn adopt(&self, which: Which) -> Result<Adoption, StoreError> {
        if let Which::These(lanes) = &which {
            self.adoptions.lock().expect("no panic").push(lanes.clone());
        }
        let mut holds = self.holds_adoptions.subscribe();
        holds.wait_for(|holds| !holds).await.expect("the store lives");
        self.inner.adopt(which).await
    }

    async fn reserve(&self, wish: Wish) -> Result<Result<Reserved, NoRoom>, StoreError> {
        self.inner.reserve(wish).await
    }

    fn give_back(&self, reservation: ReservationId) {
        self.inner.give_back(reservation);
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.inner.prune(retention, now).await
    }
}
