//! The simulated sidecar as a state machine: requests and the time go in, answers come out.
//!
//! No clock, no I/O, no async, and the only chance in it follows from a seed: the same calls give the same answers. It
//! keeps no timers either. Whatever fell due since the last call is applied, in order, before the next one is looked
//! at, so a test may jump from hour to hour.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::answer::{Answer, ChangedBody, GARBAGE, GroupChangedBody, ReadingBody, Refusal, Reply, success};
use super::behaviour::{Behaviour, Fault, FaultRates, OutsideBounds, TimestampMode};
use super::record::{Log, Record, RecordKind};
use super::resource::Resource;
use super::rng::SplitMix64;
use crate::domain::{Alias, Capacity, Op, Timestamp};

/// Most resources created by being mentioned, so that a client with a broken alias cannot fill the memory. Ten thousand
/// is more than one gateway is ever asked to serve.
pub const MAX_RESOURCES: usize = 10_000;

/// Most accepted changes waiting to be applied, over all resources; one more is refused with 400.
pub const MAX_PENDING: usize = 10_000;

/// A simulated sidecar.
#[derive(Clone, Debug)]
pub struct Model {
    behaviour: Behaviour,
    rng: SplitMix64,
    resources: BTreeMap<Alias, Resource>,
    /// By the time they fall due, and by number where that is the same.
    pending: BTreeMap<(Timestamp, u64), Pending>,
    /// Numbers accepted changes and errors.
    next_number: u64,
    read_script: VecDeque<Option<Fault>>,
    change_script: VecDeque<Option<Fault>>,
    log: Log,
}

/// A change accepted and not applied yet.
#[derive(Clone, Debug)]
struct Pending {
    alias: Alias,
    op: Op,
    units: u32,
}

/// What the log tells of a request.
struct Request {
    kind: RecordKind,
    units: i64,
    fault: Option<Fault>,
}

impl Model {
    /// A sidecar in its initial state. `seed` decides which requests the random faults befall.
    pub fn new(behaviour: Behaviour, seed: u64) -> Self {
        Self {
            log: Log::new(behaviour.max_records),
            behaviour,
            rng: SplitMix64::new(seed),
            resources: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_number: 1,
            read_script: VecDeque::new(),
            change_script: VecDeque::new(),
        }
    }

    /// How it behaves.
    pub const fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// How it behaves from now on. What is already accepted or provisioned keeps its times; `start_capacity` concerns
    /// resources not mentioned yet, and `max_records` is taken over only by [`Model::new`].
    pub const fn behaviour_mut(&mut self) -> &mut Behaviour {
        &mut self.behaviour
    }

    /// Lets `fault`, or `None` for no fault, befall the next reading that has not been scripted yet, instead of chance.
    pub fn script_read(&mut self, fault: impl Into<Option<Fault>>) {
        self.read_script.push_back(fault.into());
    }

    /// Lets `fault`, or `None` for no fault, befall the next change that has not been scripted yet, instead of chance.
    pub fn script_change(&mut self, fault: impl Into<Option<Fault>>) {
        self.change_script.push_back(fault.into());
    }

    /// Forgets every scripted fault that has not come to pass.
    pub fn clear_scripts(&mut self) {
        self.read_script.clear();
        self.change_script.clear();
    }

    /// Answers a request for the capacity of `alias`.
    pub fn read(&mut self, now: Timestamp, alias: &Alias) -> Answer {
        self.advance(now);
        let fault = draw(&mut self.rng, &mut self.read_script, &self.behaviour.faults.reads);
        let outcome = self.reading(now, alias);
        let answer = self.answer(outcome, fault);
        self.log_request(now, alias, Request { kind: RecordKind::Read, units: 0, fault }, &answer);
        answer
    }

    /// Answers a request to add or remove `units` units.
    pub fn change(&mut self, now: Timestamp, alias: &Alias, op: Op, units: i64) -> Answer {
        self.change_parts(now, op, &[(alias.clone(), units)], || success(&ChangedBody::new(alias)))
    }

    /// Answers a request to add or remove units of several resources at once.
    ///
    /// One fault befalls the request as a whole, but the parts are applied independently of each other, as the platform
    /// does it: where one is refused the answer is that refusal, and the others are applied nevertheless.
    pub fn change_group(&mut self, now: Timestamp, op: Op, parts: &[(Alias, i64)]) -> Answer {
        if parts.is_empty() {
            return self.refuse_as_bad("resources must not be empty");
        }
        self.change_parts(now, op, parts, || success(&GroupChangedBody::new(parts.iter().map(|(alias, _)| alias))))
    }

    /// Sets the capacity as another program would: at once, past the bounds if need be, and provisioned like any change.
    /// Returns whether there is such a resource.
    pub fn set_capacity(&mut self, now: Timestamp, alias: &Alias, capacity: Capacity) -> bool {
        self.advance(now);
        let Ok(resource) = self.resource(alias) else { return false };
        let before = resource.capacity();
        self.apply(now, alias, RecordKind::SetByOther, before, capacity);
        true
    }

    /// The capacity that all changes applied until `now` amount to, whatever readings show; zero if there is no such
    /// resource.
    pub fn true_capacity(&mut self, now: Timestamp, alias: &Alias) -> Capacity {
        self.advance(now);
        self.capacity_or_zero(alias)
    }

    /// The largest true capacity there has been until `now`, however long ago; zero if there is no such resource.
    pub fn largest_capacity(&mut self, now: Timestamp, alias: &Alias) -> Capacity {
        self.advance(now);
        self.resource(alias).map_or(Capacity::ZERO, |resource| resource.largest())
    }

    /// Everything that happened until `now`, oldest first, as far as [`Behaviour::max_records`] lets it be kept.
    pub fn records(&mut self, now: Timestamp) -> &VecDeque<Record> {
        self.advance(now);
        self.log.records()
    }

    /// The answer to something that is not a request of the sidecar's API.
    pub(super) fn refuse_as_unknown(&mut self, message: &str) -> Answer {
        self.answer(Err(Refusal::NotFound(message.to_owned())), None)
    }

    /// The answer to a request that cannot be understood.
    pub(super) fn refuse_as_bad(&mut self, message: &str) -> Answer {
        self.answer(Err(Refusal::BadRequest(message.to_owned())), None)
    }

    fn reading(&mut self, now: Timestamp, alias: &Alias) -> Result<Reply, Refusal> {
        let observed_at = now - self.behaviour.read_lag;
        let snapshot = self.resource(alias)?.as_of(observed_at);
        let behaviour = &self.behaviour;
        let capacity = if behaviour.goal_while_modifying { snapshot.goal } else { snapshot.provisioned };
        let status = match (&behaviour.status_override, snapshot.is_ready) {
            (Some(status), _) => status,
            (None, false) if behaviour.goal_while_modifying => "MODIFYING",
            (None, false) => "SCALING",
            (None, true) if capacity == Capacity::ZERO => &behaviour.status_at_zero,
            (None, true) => "ACTIVE",
        };
        let observed = match behaviour.timestamps {
            TimestampMode::Honest => Some(observed_at.to_string()),
            TimestampMode::Fresh => Some(now.to_string()),
            TimestampMode::Missing => None,
            TimestampMode::Zero => Some("0001-01-01T00:00:00Z".to_owned()),
        };
        Ok(success(&ReadingBody::new(alias, status, capacity, observed)))
    }

    fn change_parts(
        &mut self,
        now: Timestamp,
        op: Op,
        parts: &[(Alias, i64)],
        on_success: impl FnOnce() -> Reply,
    ) -> Answer {
        self.advance(now);
        let fault = draw(&mut self.rng, &mut self.change_script, &self.behaviour.faults.changes);
        let mut outcome = Ok(());
        if fault.is_none_or(Fault::lets_through) {
            for (alias, units) in parts {
                let accepted = self.accept(now, alias, op, *units);
                outcome = outcome.and(accepted);
            }
        }
        let answer = self.answer(outcome.map(|()| on_success()), fault);
        for (alias, units) in parts {
            self.log_request(now, alias, Request { kind: RecordKind::request(op), units: *units, fault }, &answer);
        }
        // Only now, so that in the log a request comes before its application.
        self.advance(now);
        answer
    }

    /// Takes on a change, to be applied when it falls due.
    fn accept(&mut self, now: Timestamp, alias: &Alias, op: Op, units: i64) -> Result<(), Refusal> {
        let is_ready = self.resource(alias)?.is_ready(now);
        let capacity = self.capacity_or_zero(alias);
        let units = match Capacity::new(units) {
            Ok(units) if units != Capacity::ZERO => units.units(),
            _ => return Err(Refusal::BadRequest(format!("{units} is not a number of units to {op}"))),
        };
        if self.behaviour.busy_conflict && (!is_ready || self.pending.values().any(|pending| pending.alias == *alias)) {
            return Err(Refusal::InvalidState(format!("{alias} is being modified")));
        }
        if self.pending.len() >= MAX_PENDING {
            return Err(Refusal::BadRequest("too many changes are waiting to be applied".to_owned()));
        }
        let is_outside = self.limited(capacity, op, units).distance(capacity) < units;
        match self.behaviour.outside_bounds {
            OutsideBounds::Reject if is_outside => {
                return Err(Refusal::BadRequest(format!(
                    "to {op} {units} to {alias} at {capacity} would leave the bounds {}..={}",
                    self.behaviour.bounds.min, self.behaviour.bounds.max
                )));
            }
            OutsideBounds::Ignore if is_outside => return Ok(()),
            _ => {}
        }
        let due = now + self.behaviour.apply_delay;
        let number = self.take_number();
        self.pending.insert((due, number), Pending { alias: alias.clone(), op, units });
        Ok(())
    }

    /// Applies whatever has fallen due by `now`, in the order in which it did.
    fn advance(&mut self, now: Timestamp) {
        while let Some(first) = self.pending.first_entry()
            && first.key().0 <= now
        {
            let ((due, _), pending) = first.remove_entry();
            let before = self.capacity_or_zero(&pending.alias);
            let after = self.limited(before, pending.op, pending.units);
            if after != before {
                self.apply(due, &pending.alias, RecordKind::applied(pending.op), before, after);
            }
        }
    }

    /// Where `units` more or fewer lead from `capacity` within the bounds. A capacity outside them, which another program
    /// must have set, is never moved against the direction asked for.
    fn limited(&self, capacity: Capacity, op: Op, units: u32) -> Capacity {
        let (from, units) = (i64::from(capacity.units()), i64::from(units));
        match op {
            Op::Add => {
                let most = self.behaviour.bounds.max.max(capacity);
                Capacity::new(from + units).map_or(most, |goal| goal.min(most))
            }
            Op::Remove => {
                let least = self.behaviour.bounds.min.min(capacity);
                Capacity::new(from - units).map_or(least, |goal| goal.max(least))
            }
        }
    }

    fn apply(&mut self, at: Timestamp, alias: &Alias, kind: RecordKind, before: Capacity, after: Capacity) {
        let ready_at = (!self.behaviour.never_active).then(|| at + self.behaviour.provisioning);
        let Ok(resource) = self.resource(alias) else { return };
        resource.set(at, after, ready_at);
        self.log.push(Record {
            at,
            alias: alias.clone(),
            kind,
            units: i64::from(before.distance(after)),
            capacity_before: before,
            capacity_after: after,
            fault: None,
            status: None,
        });
    }

    fn log_request(&mut self, at: Timestamp, alias: &Alias, request: Request, answer: &Answer) {
        let capacity = self.capacity_or_zero(alias);
        self.log.push(Record {
            at,
            alias: alias.clone(),
            kind: request.kind,
            units: request.units,
            capacity_before: capacity,
            capacity_after: capacity,
            fault: request.fault,
            status: answer.reply.status(),
        });
    }

    /// The resource called `alias`, which is created if it may be.
    fn resource(&mut self, alias: &Alias) -> Result<&mut Resource, Refusal> {
        let exists = match &self.behaviour.known {
            Some(known) => known.contains(alias),
            None => self.resources.len() < MAX_RESOURCES || self.resources.contains_key(alias),
        };
        if !exists {
            return Err(Refusal::NotFound(format!("there is no resource {alias}")));
        }
        let start_capacity = self.behaviour.start_capacity;
        Ok(self.resources.entry(alias.clone()).or_insert_with(|| Resource::new(start_capacity)))
    }

    fn capacity_or_zero(&mut self, alias: &Alias) -> Capacity {
        self.resource(alias).map_or(Capacity::ZERO, |resource| resource.capacity())
    }

    /// What is sent when `outcome` is what ought to be sent and `fault` befalls it.
    fn answer(&mut self, outcome: Result<Reply, Refusal>, fault: Option<Fault>) -> Answer {
        let delay = if fault == Some(Fault::Slow) { self.behaviour.faults.slow_for } else { Duration::ZERO };
        let outcome = match fault {
            Some(Fault::AnswerLost | Fault::RequestLost) => Ok(Reply::ConnectionClosed),
            Some(Fault::ErrorBefore | Fault::ErrorAfter) => Err(Refusal::Internal),
            Some(Fault::Garbage) => Ok(Reply::Response { status: 200, body: GARBAGE.to_owned() }),
            Some(Fault::Slow) | None => outcome,
        };
        let reply = outcome.unwrap_or_else(|refusal| refusal.reply(self.take_number()));
        Answer { delay, reply }
    }

    const fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}

/// The fault of the next request: the scripted one, or else one by chance.
///
/// The generator is asked either way, so that a script does not shift the fate of the requests after it.
fn draw(rng: &mut SplitMix64, script: &mut VecDeque<Option<Fault>>, rates: &FaultRates) -> Option<Fault> {
    let by_chance = rates.pick(rng.next_unit());
    script.pop_front().unwrap_or(by_chance)
}

#[cfg(test)]
mod tests;
