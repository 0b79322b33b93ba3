//! A sidecar in the hands of the test: readings can be held back, and a change is answered when the test says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use scalegate::domain::{Alias, ChangeAnswer, GroupedAnswer, Move, Op, Origin, ReadFailure, SidecarAnswer, Status};
use scalegate::sidecar::{RawReading, Sidecar};
use tokio::sync::{oneshot, watch};

use super::reference::{Reply, START_CAPACITY, Sight};
use crate::support::sidecar::units;

struct Resource {
    capacity: u32,
    sight: watch::Sender<Sight>,
    asked: Option<(Move, oneshot::Sender<ChangeAnswer>)>,
    changes: usize,
}

impl Resource {
    fn new() -> Self {
        Self { capacity: START_CAPACITY, sight: watch::Sender::new(Sight::Active), asked: None, changes: 0 }
    }

    fn apply(&mut self, change: Move) {
        match change.op {
            Op::Add => self.capacity += change.units,
            Op::Remove => self.capacity -= change.units,
        }
    }
}

/// The platform behind the sidecar. It outlives the gateways that talk to it.
#[derive(Default)]
pub struct Platform {
    resources: Mutex<BTreeMap<String, Resource>>,
}

impl Platform {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Resource>> {
        self.resources.lock().expect("no thread panicked with it")
    }

    fn with<T>(&self, resource: &str, act: impl FnOnce(&mut Resource) -> T) -> T {
        act(self.lock().entry(resource.to_owned()).or_insert_with(Resource::new))
    }

    /// What can be seen of `resource` from now on.
    pub fn show(&self, resource: &str, sight: Sight) {
        self.with(resource, |resource| resource.sight.send_replace(sight));
    }

    /// The capacity `resource` really has.
    pub fn capacity(&self, resource: &str) -> u32 {
        self.with(resource, |resource| resource.capacity)
    }

    /// The change that waits for its answer: the capacities before and after.
    pub fn asked(&self, resource: &str) -> Option<(u32, u32)> {
        let movement = self.with(resource, |resource| resource.asked.as_ref().map(|(change, _)| *change))?;
        Some((movement.from.units(), movement.to.units()))
    }

    /// The number of changes that ever reached `resource`.
    pub fn changes(&self, resource: &str) -> usize {
        self.with(resource, |resource| resource.changes)
    }

    /// Answers the change that waits for it; whether there was one.
    pub fn answer(&self, resource: &str, reply: Reply) -> bool {
        self.with(resource, |resource| {
            let Some((change, answer)) = resource.asked.take() else { return false };
            if reply != Reply::Rejected {
                resource.apply(change);
            }
            // No process listens any more if the gateway is gone.
            let _ = answer.send(match reply {
                Reply::Accepted => ChangeAnswer::Acknowledged,
                Reply::Lost => ChangeAnswer::Unknown { detail: "connection reset".into(), answer: None },
                Reply::Rejected => ChangeAnswer::Rejected(SidecarAnswer { status: 400, body: "no".into() }),
            });
            true
        })
    }

    /// The changes on their way take effect, but no client will hear of it.
    pub fn lose_answers(&self) {
        for resource in self.lock().values_mut() {
            if let Some((change, _)) = resource.asked.take() {
                resource.apply(change);
            }
        }
    }
}

/// The engine's side of it.
pub struct Client(pub Arc<Platform>);

impl Sidecar for Client {
    async fn read(&self, resource: &Alias, _: &Origin) -> Result<RawReading, ReadFailure> {
        let mut sight = self.0.with(resource.as_str(), |resource| resource.sight.subscribe());
        let seen = *sight.wait_for(|sight| *sight != Sight::Nothing).await.expect("the platform lives");
        let status = Status::new(if seen == Sight::Failed { "FAILED" } else { "ACTIVE" });
        Ok(RawReading { status, capacity: units(self.0.capacity(resource.as_str())), stamp: None })
    }

    async fn observe(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        self.read(resource, origin).await
    }

    async fn change(&self, resource: &Alias, change: Move, _: &Origin) -> ChangeAnswer {
        let (answer, answered) = oneshot::channel();
        self.0.with(resource.as_str(), |resource| {
            assert!(resource.asked.is_none(), "two changes of one resource at a time");
            resource.changes += 1;
            resource.asked = Some((change, answer));
        });
        match answered.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }

    async fn change_together(&self, _: &[(Alias, Move)], _: &Origin) -> GroupedAnswer {
        unreachable!("no job here is one of a group")
    }
}
