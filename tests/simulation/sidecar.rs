//! The truth about the resources, and a sidecar that tells it late, wrongly, twice or not at all.
//!
//! Written apart from the simulator that ships in the binary: a judge must not share the beliefs, or the bugs, of
//! what is judged, and it has to be fast enough for thousands of lives per second.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use scalegate::domain::{Alias, Capacity, ChangeAnswer, Move, Op, ReadFailure, Status, Timestamp};
use scalegate::sidecar::{REQUEST_TIMEOUT, RawReading, interpret_change, interpret_reading};
use scalegate::sim::{BEGIN, Delayed};

use crate::scenario::{ChangeFate, Lags, MOST_UNITS, Nature, RESOURCES, ReadFate, Stamps};
use crate::support::dice::Dice;

/// How long the sidecar takes to answer, unless it is slow.
const CALL: Duration = Duration::from_millis(3);
/// How long it can take if it is slow; any longer, and no call waits for it.
const SLOW: Duration = Duration::from_secs(55);

/// What a resource was from one moment until the next.
#[derive(Clone, Copy)]
struct State {
    since: Timestamp,
    units: u32,
    ready_at: Timestamp,
    /// What was up and running when this state began.
    ready_units: u32,
}

impl State {
    fn is_ready(self, at: Timestamp) -> bool {
        self.ready_at <= at
    }

    fn ready_units(self, at: Timestamp) -> u32 {
        if self.is_ready(at) { self.units } else { self.ready_units }
    }
}

/// One resource.
pub struct Resource {
    states: Vec<State>,
    /// Changes accepted and not in effect yet, by when they will be.
    pending: Vec<(Timestamp, i64)>,
    /// What the capacity will be once everything accepted is in effect, and since when.
    booked: Vec<(Timestamp, u32)>,
    status: Option<&'static str>,
}

impl Resource {
    fn new(units: u32) -> Self {
        let since = BEGIN - Duration::from_hours(1000);
        Self {
            states: vec![State { since, units, ready_at: since, ready_units: units }],
            pending: Vec::new(),
            booked: vec![(since, units)],
            status: None,
        }
    }

    fn latest(&self) -> State {
        self.states[self.states.len() - 1]
    }

    /// What the capacity will be once everything accepted is in effect.
    pub fn booked(&self) -> u32 {
        self.booked[self.booked.len() - 1].1
    }

    /// Whether the capacity, or what it was about to be, was `units` at some time from `from` on.
    pub fn was(&self, units: u32, from: Timestamp) -> bool {
        let booked = self.booked.iter().copied();
        let in_effect = self.states.iter().map(|state| (state.since, state.units));
        shows(booked, units, from) || shows(in_effect, units, from)
    }

    /// How many units were up and running at `at`.
    pub fn ready_units_at(&self, at: Timestamp) -> u32 {
        self.as_of(at).ready_units(at)
    }

    /// When the capacity last changed, and what it is since.
    pub fn last_change(&self) -> (Timestamp, u32) {
        (self.latest().since, self.latest().units)
    }

    fn book(&mut self, now: Timestamp, due: Timestamp, delta: i64) {
        let booked = i64::from(self.booked()) + delta;
        self.booked.push((now, u32::try_from(booked).unwrap_or(0)));
        self.pending.push((due, delta));
    }

    /// Lets take effect what is due.
    fn advance(&mut self, now: Timestamp, provisioning: Duration) {
        while let Some(at) =
            self.pending.iter().enumerate().filter(|(_, (due, _))| *due <= now).min_by_key(|(_, p)| p.0)
        {
            let (due, delta) = self.pending.remove(at.0);
            let units = u32::try_from(i64::from(self.latest().units) + delta).unwrap_or(0);
            self.enter(due, units, provisioning);
        }
    }

    fn enter(&mut self, at: Timestamp, units: u32, provisioning: Duration) {
        let ready_units = self.latest().ready_units(at);
        self.states.push(State { since: at, units, ready_at: at + provisioning, ready_units });
    }

    fn set(&mut self, now: Timestamp, units: u32, provisioning: Duration) {
        let delta: i64 = self.pending.iter().map(|(_, delta)| delta).sum();
        self.enter(now, units, provisioning);
        self.booked.push((now, u32::try_from(i64::from(units) + delta).unwrap_or(0)));
    }

    fn as_of(&self, at: Timestamp) -> State {
        *self.states.iter().rev().find(|state| state.since <= at).unwrap_or(&self.states[0])
    }
}

/// Whether a value that changed at certain times was `units` at some time from `from` on.
fn shows(history: impl DoubleEndedIterator<Item = (Timestamp, u32)>, units: u32, from: Timestamp) -> bool {
    for (since, value) in history.rev() {
        if value == units {
            return true;
        }
        if since < from {
            return false;
        }
    }
    false
}

/// What a request to change a capacity led to.
pub struct Changed {
    pub answer: Delayed<ChangeAnswer>,
    pub fate: Option<ChangeFate>,
    /// Whether the request reached the sidecar.
    pub arrived: bool,
    /// Whether it takes effect.
    pub accepted: bool,
}

pub struct Sidecar {
    nature: Nature,
    resources: [Resource; RESOURCES.len()],
    dice: Dice,
    pub next_changes: VecDeque<ChangeFate>,
    pub next_readings: VecDeque<ReadFate>,
    /// Whether connections are refused.
    pub down: bool,
    /// By how much the wall's clock was ahead at what times.
    wall_errors: BTreeMap<Timestamp, i64>,
}

impl Sidecar {
    pub fn new(nature: &Nature) -> Self {
        Self {
            resources: std::array::from_fn(|_| Resource::new(nature.start_units)),
            dice: Dice::new(nature.seed ^ 0x51de_ca25),
            nature: nature.clone(),
            next_changes: VecDeque::new(),
            next_readings: VecDeque::new(),
            down: false,
            wall_errors: BTreeMap::new(),
        }
    }

    /// All is well from now on.
    pub fn calm_down(&mut self) {
        self.next_changes.clear();
        self.next_readings.clear();
        self.down = false;
        for resource in &mut self.resources {
            resource.status = None;
        }
    }

    pub fn resource(&mut self, now: Timestamp, index: usize) -> &Resource {
        self.resources[index].advance(now, self.nature.provisioning);
        &self.resources[index]
    }

    pub fn set_capacity(&mut self, now: Timestamp, index: usize, units: u32) {
        let provisioning = self.nature.provisioning;
        self.resources[index].advance(now, provisioning);
        self.resources[index].set(now, units, provisioning);
    }

    pub fn set_status(&mut self, index: usize, status: Option<&'static str>) {
        self.resources[index].status = status;
    }

    pub fn set_wall(&mut self, now: Timestamp, error: i64) {
        self.wall_errors.insert(now, error);
    }

    fn by_the_wall(&self, at: Timestamp) -> Timestamp {
        let error = self.wall_errors.range(..=at).next_back().map_or(0, |(_, error)| *error);
        Timestamp::from_millis(at.as_millis() + error)
    }

    /// The answer to a reading, and what befell it.
    pub fn read(
        &mut self,
        now: Timestamp,
        index: usize,
    ) -> (Delayed<Result<RawReading, ReadFailure>>, Option<ReadFate>) {
        let failure = |detail: &str| Err(ReadFailure { not_found: false, detail: detail.into(), answer: None });
        if self.down {
            return ((CALL, failure("connection refused")), None);
        }
        let fate = self.next_readings.pop_front();
        let answer = match fate {
            None => (CALL, Ok(self.observe(now, index))),
            Some(ReadFate::Slow) => (self.dice.duration(SLOW), Ok(self.observe(now, index))),
            Some(ReadFate::Closed) => (CALL, failure("connection closed")),
            Some(ReadFate::TimedOut) => (REQUEST_TIMEOUT, failure("no answer")),
            Some(ReadFate::Error) => (CALL, interpret_reading(500, b"{}")),
            Some(ReadFate::Garbage) => (CALL, interpret_reading(200, b"<html>")),
            Some(ReadFate::NotFound) => (CALL, interpret_reading(404, b"{}")),
        };
        (answer, fate)
    }

    /// What the sidecar believes.
    pub fn observe(&mut self, now: Timestamp, index: usize) -> RawReading {
        let provisioning = self.nature.provisioning;
        self.resources[index].advance(now, provisioning);
        let lag = match self.nature.lags {
            Lags::Steady => self.nature.lag,
            Lags::Replicas => self.nature.lag.mul_f64(f64::from(self.dice.between(0, 3) as u32) / 3.0),
        };
        let seen_at = now - lag;
        let resource = &self.resources[index];
        let state = resource.as_of(seen_at);
        let (shows_goal, is_ready) = (self.nature.goal_while_modifying, state.is_ready(seen_at));
        let units = if shows_goal { state.units } else { state.ready_units(seen_at) };
        let status = match resource.status {
            Some(status) => status,
            None if is_ready && units == 0 => self.nature.status_at_zero,
            None if is_ready => "ACTIVE",
            None if shows_goal => "MODIFYING",
            None => "SCALING",
        };
        let stamp = self.stamp(now, seen_at, state.since);
        RawReading { status: Status::new(status), capacity: capacity(units), stamp }
    }

    fn stamp(&mut self, now: Timestamp, seen_at: Timestamp, changed_at: Timestamp) -> Option<Timestamp> {
        let stamps = match self.nature.stamps {
            Stamps::Mixed => self.dice.pick(&[Stamps::Honest, Stamps::Lying, Stamps::Missing, Stamps::Zero]),
            stamps => stamps,
        };
        match stamps {
            Stamps::Honest | Stamps::Mixed => Some(self.by_the_wall(seen_at)),
            Stamps::Lying => Some(self.by_the_wall(now)),
            Stamps::Ahead => Some(self.by_the_wall(now) + Duration::from_hours(1)),
            Stamps::OfLastChange => Some(self.by_the_wall(changed_at)),
            Stamps::Missing => None,
            Stamps::Zero => Some(Timestamp::from_millis(-62_135_596_800_000)),
        }
    }

    /// A request to change a capacity.
    pub fn change(&mut self, now: Timestamp, index: usize, change: Move) -> Changed {
        if self.down {
            return refused(None);
        }
        let fate = self.next_changes.pop_front();
        let unknown = |after, detail: &str| (after, ChangeAnswer::Unknown { detail: detail.into(), answer: None });
        let with_status = |status| (CALL, interpret_change(status, b"{}"));
        let (effective, answer) = match fate {
            Some(ChangeFate::Refused) => return refused(fate),
            None => (true, (CALL, ChangeAnswer::Acknowledged)),
            Some(ChangeFate::Slow) => (true, (self.dice.duration(SLOW), ChangeAnswer::Acknowledged)),
            Some(ChangeFate::Swallowed) => (false, (CALL, ChangeAnswer::Acknowledged)),
            Some(ChangeFate::Garbage) => (true, (CALL, interpret_change(200, b"<html>"))),
            Some(ChangeFate::RequestLost) => (false, unknown(CALL, "connection closed")),
            Some(ChangeFate::AnswerLost) => (true, unknown(CALL, "connection closed")),
            Some(ChangeFate::TimedOutLost) => (false, unknown(REQUEST_TIMEOUT, "no answer")),
            Some(ChangeFate::TimedOutApplied) => (true, unknown(REQUEST_TIMEOUT, "no answer")),
            Some(ChangeFate::ErrorBefore) => (false, with_status(self.dice.pick(&[500, 502, 503, 504]))),
            Some(ChangeFate::ErrorAfter) => (true, with_status(self.dice.pick(&[500, 502, 503, 504]))),
            Some(ChangeFate::Rejected) => (false, with_status(self.dice.pick(&[400, 404, 409, 422]))),
            Some(ChangeFate::Throttled) => (false, with_status(self.dice.pick(&[408, 425, 429]))),
            Some(ChangeFate::ThrottledAfter) => (true, with_status(408)),
            Some(ChangeFate::Redirected) => (false, with_status(302)),
        };
        if !effective {
            return Changed { answer, fate, arrived: true, accepted: false };
        }
        let delta = match change.op {
            Op::Add => i64::from(change.units),
            Op::Remove => -i64::from(change.units),
        };
        let provisioning = self.nature.provisioning;
        self.resources[index].advance(now, provisioning);
        // What the platform does with bounds of its own.
        let booked = i64::from(self.resources[index].booked());
        if !(0..=booked.max(MOST_UNITS.into())).contains(&(booked + delta)) {
            return Changed { answer: with_status(400), fate, arrived: true, accepted: false };
        }
        let due = now + self.dice.duration(self.nature.apply_within);
        self.resources[index].book(now, due, delta);
        self.resources[index].advance(now, provisioning);
        Changed { answer, fate, arrived: true, accepted: true }
    }
}

fn refused(fate: Option<ChangeFate>) -> Changed {
    let answer = ChangeAnswer::NotSent { detail: "connection refused".into() };
    Changed { answer: (CALL, answer), fate, arrived: false, accepted: false }
}

pub fn capacity(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}

/// Which of the resources it is.
pub fn index_of(alias: &Alias) -> usize {
    RESOURCES.iter().position(|name| *name == alias.as_str()).expect("no other resources")
}
