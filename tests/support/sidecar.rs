//! The simulated sidecar in the test's own process, with its model at hand.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use scalegate::clock::Clock;
use scalegate::domain::{Alias, Capacity};
use scalegate::sim::sidecar::{Behaviour, Model, Record, RecordKind, RunningSimulator, Simulator};

pub struct Sidecar {
    simulator: RunningSimulator,
    clock: Clock,
}

impl Sidecar {
    pub fn start(behaviour: Behaviour) -> Self {
        let clock = Clock::start();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let behaviour = Behaviour { max_records: None, ..behaviour };
        let simulator = Simulator::start(listener, behaviour, 1, move || clock.now()).expect("it starts");
        Self { simulator, clock }
    }

    pub fn address(&self) -> SocketAddr {
        self.simulator.address()
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Model, scalegate::domain::Timestamp) -> T) -> T {
        let mut model = self.simulator.model().lock().expect("no test panicked with it");
        look(&mut model, self.clock.now())
    }

    pub fn capacity(&self) -> u32 {
        self.with(|model, now| model.true_capacity(now, &worker()).units())
    }

    pub fn largest_capacity(&self) -> u32 {
        self.with(|model, now| model.largest_capacity(now, &worker()).units())
    }

    /// The changes that reached it, oldest first.
    pub fn changes(&self) -> Vec<Record> {
        let is_change = |record: &&Record| matches!(record.kind, RecordKind::Add | RecordKind::Remove);
        self.with(|model, now| model.records(now).iter().filter(is_change).cloned().collect())
    }

    /// When the last change reached it.
    pub fn last_change_at(&self) -> Option<scalegate::domain::Timestamp> {
        let is_change = |record: &&Record| matches!(record.kind, RecordKind::Add | RecordKind::Remove);
        self.with(|model, now| model.records(now).iter().rev().find(is_change).map(|record| record.at))
    }

    /// Everything that reached it or happened in it, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.with(|model, now| model.records(now).iter().cloned().collect())
    }

    /// Fails if two changes reached it less than `cooldown` apart.
    #[track_caller]
    pub fn assert_cooldowns(&self, cooldown: Duration) {
        for pair in self.changes().windows(2) {
            let apart = pair[1].at.since(pair[0].at);
            assert!(apart >= cooldown, "two changes only {apart:?} apart");
        }
    }
}

pub fn worker() -> Alias {
    "worker".parse().expect("an alias")
}

pub fn units(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}
