//! Calls to the sidecar, each in a task of its own.

use std::rc::Rc;

use super::super::core::GroupedChange;
use super::{Done, Engine};
use crate::clock::Clock;
use crate::domain::{Alias, Call, CallId, Move, Origin, ReadFailure, Reading};
use crate::sidecar::{RawReading, Sidecar};

impl<S: Sidecar> Engine<S> {
    pub(super) fn call(&mut self, resource: Alias, call: CallId, what: Call, origin: Origin) {
        match what {
            Call::Read => self.read(resource, call, origin),
            Call::Change(change) => self.change(resource, call, change, origin),
        }
    }

    /// No job waits any more for an earlier reading of the resource, which may take a minute: it is given up, so that there
    /// are never more connections than resources.
    pub(super) fn read(&mut self, resource: Alias, call: CallId, origin: Origin) {
        let (sidecar, clock, of) = (Rc::clone(&self.sidecar), self.clock, resource.clone());
        let reading = self.tasks.spawn_local(async move {
            let reading = timed(sidecar.read(&of, &origin), clock).await;
            Done::Read { resource: of, call, reading }
        });
        if let Some((_, earlier)) = self.reads.insert(resource, (call, reading)) {
            earlier.abort();
        }
    }

    pub(super) fn change(&mut self, resource: Alias, call: CallId, change: Move, origin: Origin) {
        let (sidecar, of) = (Rc::clone(&self.sidecar), resource.clone());
        let changing = self.tasks.spawn_local(async move {
            let answer = sidecar.change(&of, change, &origin).await;
            Done::Change { resource: of, call, answer }
        });
        // The lane has no other change on its way.
        self.changes.insert(resource, changing);
    }

    /// Not given up with one of its lanes, since the others wait for the answer too; a lane that was evicted does not hear it.
    pub(super) fn change_together(&mut self, changes: Vec<GroupedChange>) {
        let sidecar = Rc::clone(&self.sidecar);
        let calls = changes.iter().map(|change| (change.resource.clone(), change.id)).collect();
        self.tasks.spawn_local(async move {
            let origin = changes.first().map(|change| change.origin.clone()).unwrap_or_default();
            let changes: Vec<(Alias, Move)> = changes.into_iter().map(|part| (part.resource, part.change)).collect();
            let answer = sidecar.change_together(&changes, &origin).await;
            Done::ChangedTogether { calls, answer }
        });
    }

    pub(super) fn note_contact(&mut self, reading: &Result<Reading, ReadFailure>) {
        let answered = match reading {
            Ok(_) => true,
            Err(failure) => failure.answer.is_some(),
        };
        self.contact.reachable = Some(answered);
        if answered {
            self.contact.last_answer_at = Some(self.clock.now());
            self.contact.last_failure = None;
        } else {
            self.contact.last_failure = reading.as_ref().err().map(|failure| failure.detail.clone());
        }
    }
}

/// A reading with the times at which it was asked for and received.
pub(super) async fn timed(
    asking: impl Future<Output = Result<RawReading, ReadFailure>>,
    clock: Clock,
) -> Result<Reading, ReadFailure> {
    let asked_at = clock.now();
    let raw = asking.await?;
    Ok(Reading {
        status: raw.status,
        capacity: raw.capacity,
        stamp: raw.stamp.map(|stamp| clock.from_wall(stamp)),
        wall_set_at: None,
        asked_at,
        received_at: clock.now(),
    })
}
