//! Intents that wait for others of their group, so that one request changes several resources.
//!
//! To a lane, an intent that is held here is one that a slow disk has not written yet: nothing of it is committed, and nothing is
//! sent. It must never be overtaken by another unit about its lane, so [`Core::release_about`] comes before each of them. What
//! is held is gone with the process, as if it had never been decided.
//!
//! Rejected: lanes that agree on a time to read, because each would have to know what the others wait for; and requests that
//! are put together after their commits, because after a crash between two commits half of a request would look like all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Core, Effect, GroupedChange, abandoned};
use crate::domain::{Alias, Call, CallId, ChangeAnswer, GroupId, GroupedAnswer, Job, Lane, Op, Timestamp};
use crate::store::Unit;

/// Longest time that an intent waits for others.
const LONGEST: Duration = Duration::from_secs(1);
/// For how long the sidecar is not asked to change several resources at once, after it had nothing at that path.
const SINGLE_CALLS_FOR: Duration = Duration::from_hours(1);

/// See the module's documentation.
#[derive(Default)]
pub(super) struct HeldIntents {
    held: BTreeMap<Key, Held>,
    /// Until when there are only single calls.
    single_until: Option<Timestamp>,
}

/// What goes into one request: changes of a group that all add units, or all remove them.
type Key = (GroupId, Op);

struct Held {
    until: Timestamp,
    intents: Vec<Intent>,
}

/// The intent of one lane.
pub(super) struct Intent {
    pub resource: Alias,
    pub unit: Unit,
    /// What is done once that is durable.
    pub effects: Vec<Effect>,
}

impl HeldIntents {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// When the next of them have waited long enough.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.held.values().map(|held| held.until).min()
    }

    fn holds(&self, key: Key, resource: &Alias) -> bool {
        self.held.get(&key).is_some_and(|held| held.intents.iter().any(|intent| intent.resource == *resource))
    }

    fn key_of(&self, resource: &Alias) -> Option<Key> {
        self.held.keys().find(|key| self.holds(**key, resource)).copied()
    }

    /// Drops the intent of a lane that is evicted.
    fn drop_intent(&mut self, resource: &Alias) -> Option<Intent> {
        let key = self.key_of(resource)?;
        let held = self.held.get_mut(&key)?;
        let intent = held.intents.extract_if(.., |intent| intent.resource == *resource).next();
        if held.intents.is_empty() {
            self.held.remove(&key);
        }
        intent
    }
}

impl Core {
    /// Commits `intent`, at once or with others of its group.
    pub(super) fn commit_intent(&mut self, intent: Intent, now: Timestamp) {
        let Some(key) = self.gathering_for(&intent.resource, now) else { return self.commit_intents(vec![intent]) };
        let held = self.intents.held.entry(key).or_insert_with(|| Held { until: now + LONGEST, intents: Vec::new() });
        held.intents.push(intent);
        if !self.awaits_others(key, now) {
            self.release(key);
        }
    }

    /// With what the intent of `resource` can go into one request, if there is more than it.
    fn gathering_for(&self, resource: &Alias, now: Timestamp) -> Option<Key> {
        let is_possible = self.scaling.grouped_calls && !self.draining;
        if !is_possible || self.intents.single_until.is_some_and(|until| now < until) {
            return None;
        }
        let lane = self.lane(resource)?;
        let group = groupable(lane.active()?)?;
        let key = (group, lane.change()?.movement.op);
        (self.intents.held.contains_key(&key) || self.awaits_others(key, now)).then_some(key)
    }

    /// Whether another member of the group may have an intent in time.
    fn awaits_others(&self, key: Key, now: Timestamp) -> bool {
        let Some(group) = self.groups.latest(key.0) else { return false };
        let is_near = |lane: &Lane| lane.decides_by(now + LONGEST) && lane.active().and_then(groupable) == Some(key.0);
        let lanes = group.members.iter().filter_map(|member| self.lane(&member.resource));
        lanes.filter(|lane| !self.intents.holds(key, lane.resource())).any(is_near)
    }

    fn release(&mut self, key: Key) {
        if let Some(held) = self.intents.held.remove(&key) {
            self.commit_intents(held.intents);
        }
    }

    /// Commits the intent of `resource`, if it is held, with those that it is held with.
    pub(super) fn release_about(&mut self, resource: &Alias) {
        if let Some(key) = self.intents.key_of(resource) {
            self.release(key);
        }
    }

    /// Commits what has waited long enough.
    pub(super) fn release_due(&mut self, now: Timestamp) {
        let due = self.intents.held.iter().filter(|(_, held)| held.until <= now).map(|(key, _)| *key);
        for key in due.collect::<Vec<_>>() {
            self.release(key);
        }
    }

    /// Commits all that is held.
    pub(super) fn release_all(&mut self) {
        for held in std::mem::take(&mut self.intents.held).into_values() {
            self.commit_intents(held.intents);
        }
    }

    /// The lane of `resource` is evicted: its intent was never decided.
    pub(super) fn abandon_intent(&mut self, resource: &Alias) {
        if let Some(intent) = self.intents.drop_intent(resource) {
            self.effects.extend(intent.effects.into_iter().filter_map(abandoned));
        }
    }

    fn commit_intents(&mut self, intents: Vec<Intent>) {
        let (mut all, mut effects, mut resources) = (Unit::default(), Vec::new(), Vec::new());
        for Intent { resource, unit, effects: after } in intents {
            all.append(unit);
            effects.extend(after);
            resources.push(resource);
        }
        self.pending.push(&all, effects, resources);
        self.effects.push(Effect::Commit(all));
    }

    /// These intents are durable, in one unit.
    pub(super) fn on_intents_committed(&mut self, resources: &[Alias], now: Timestamp) {
        let before = self.effects.len();
        for resource in resources {
            self.turn(resource, now, |lane, turn| lane.on_intent_committed(turn));
        }
        if resources.len() > 1 {
            self.join_calls(before);
        }
    }

    /// Makes one call of the changes among the effects from the one at `first` on.
    fn join_calls(&mut self, first: usize) {
        let is_change = |effect: &mut Effect| matches!(effect, Effect::Call { call: Call::Change(_), .. });
        let mut changes: Vec<Effect> = self.effects.extract_if(first.., is_change).collect();
        if changes.len() < 2 {
            self.effects.append(&mut changes);
        } else {
            self.effects.push(Effect::ChangeTogether(changes.into_iter().filter_map(grouped_change).collect()));
        }
    }

    /// The sidecar answered [`Effect::ChangeTogether`], whose calls are `calls`.
    pub fn on_grouped_answer(&mut self, calls: Vec<(Alias, CallId)>, answer: GroupedAnswer, now: Timestamp) {
        if !answer.has_path {
            self.intents.single_until = Some(now + SINGLE_CALLS_FOR);
        }
        let unlisted =
            || ChangeAnswer::Unknown { detail: "the sidecar's answer says nothing of it".into(), answer: None };
        let mut answers = answer.answers.into_iter();
        for (resource, call) in calls {
            let answer = answers.next().unwrap_or_else(unlisted);
            self.on_change_answer(&resource, call, answer, now);
        }
    }
}

/// The group of a job whose changes may go into one request with others. Once something went wrong with a change of the job, it is
/// changed alone, so that a refusal is about it alone.
fn groupable(job: &Arc<Job>) -> Option<GroupId> {
    let membership = job.membership.as_ref().filter(|_| job.last_change_error.is_none());
    membership.map(|membership| membership.group)
}

fn grouped_change(effect: Effect) -> Option<GroupedChange> {
    match effect {
        Effect::Call { resource, id, call: Call::Change(change), origin } => {
            Some(GroupedChange { resource, id, change, origin })
        }
        _ => None,
    }
}
