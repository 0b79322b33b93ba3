//! What befell the lives that were lived: a simulation that never loses an answer proves nothing about lost answers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use scalegate::domain::{Ending, Group, GroupState, Job, StateName};

use crate::scenario::{ChangeFate, ReadFate};

/// What happens besides requests to the sidecar going wrong.
const OTHERS: [&str; 48] = [
    "answers given again",
    "cancel",
    "capacity changed by another program",
    "claim ended",
    "claim made",
    "claim renewed",
    "clock set back",
    "clock set forward",
    "commit failed",
    "commit failed, but is on the disk",
    "decision compared across a restart",
    "decision compared with a dry run",
    "decision: advised",
    "decision: canceled",
    "decision: none",
    "decision: retargeted",
    "decision: submitted",
    "expression in a decision",
    "group canceled",
    "group in two stages succeeded",
    "group refused",
    "hold ended",
    "hold made",
    "job of a policy canceled",
    "kill -9",
    "limits of settings tightened",
    "machine restarted",
    "member could not be taken back",
    "member of a group canceled",
    "member taken back",
    "metric missing in a decision",
    "negative value refused",
    "orderly restart",
    "policy deleted",
    "policy laid down in the file",
    "policy put",
    "policy taken out of the file",
    "refused about a policy",
    "several resources changed in one request",
    "sidecar up or down",
    "source of a metric failed",
    "status FAILED",
    "status back to normal",
    "status out of the ordinary",
    "value pulled",
    "value pushed late",
    "value pushed twice",
    "window ready on time",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub lives: u64,
    pub changes: u64,
    pub readings: u64,
    change_fates: BTreeMap<ChangeFate, u64>,
    read_fates: BTreeMap<ReadFate, u64>,
    endings: BTreeMap<&'static str, u64>,
    others: BTreeMap<&'static str, u64>,
}

impl Coverage {
    pub fn change(&mut self, fate: Option<ChangeFate>) {
        self.changes += 1;
        if let Some(fate) = fate {
            *self.change_fates.entry(fate).or_default() += 1;
        }
    }

    pub fn reading(&mut self, fate: Option<ReadFate>) {
        self.readings += 1;
        if let Some(fate) = fate {
            *self.read_fates.entry(fate).or_default() += 1;
        }
    }

    pub fn readings(&self, fate: ReadFate) -> u64 {
        self.read_fates.get(&fate).copied().unwrap_or(0)
    }

    pub fn count(&mut self, what: &'static str) {
        debug_assert!(OTHERS.contains(&what), "{what} is not listed");
        *self.others.entry(what).or_default() += 1;
    }

    pub fn has(&self, what: &'static str) -> bool {
        self.others.contains_key(what)
    }

    /// One job's life is over.
    pub fn life(&mut self, job: &Job) {
        self.lives += 1;
        let ending = match job.ended() {
            None => return,
            Some(Ending::Succeeded) => "succeeded",
            Some(Ending::Canceled) => "canceled",
            Some(Ending::Superseded { .. }) => "superseded",
            Some(Ending::Failed(error)) => error.code.as_str(),
        };
        *self.endings.entry(ending).or_default() += 1;
    }

    /// One group's life is over.
    pub fn group(&mut self, group: &Group) {
        let Some(end) = &group.end else { return };
        if end.state == GroupState::Succeeded && group.members.iter().any(|member| member.stage > 0) {
            self.count("group in two stages succeeded");
        }
        for restore in end.members.iter().filter_map(|member| member.restore.as_ref()) {
            let is_back = restore.state == StateName::Succeeded;
            self.count(if is_back { "member taken back" } else { "member could not be taken back" });
        }
    }

    /// The kinds of faults, and how often each struck.
    pub fn faults(&self) -> impl Iterator<Item = (String, u64)> {
        let changes = ChangeFate::ALL
            .iter()
            .map(|fate| (format!("change: {fate:?}"), self.change_fates.get(fate).copied().unwrap_or(0)));
        let readings = ReadFate::ALL.iter().map(|fate| (format!("reading: {fate:?}"), self.readings(*fate)));
        let others = OTHERS.iter().map(|what| ((*what).to_owned(), self.others.get(what).copied().unwrap_or(0)));
        changes.chain(readings).chain(others)
    }

    /// How the jobs ended.
    pub fn endings(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.endings.iter().map(|(ending, count)| (*ending, *count))
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        self.lives += other.lives;
        self.changes += other.changes;
        self.readings += other.readings;
        add(&mut self.change_fates, other.change_fates);
        add(&mut self.read_fates, other.read_fates);
        add(&mut self.endings, other.endings);
        add(&mut self.others, other.others);
    }
}

fn add<K: Ord>(sum: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (what, count) in more {
        *sum.entry(what).or_default() += count;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12}  jobs, from submission to end", self.lives)?;
        writeln!(f, "{:>12}  changes sent", self.changes)?;
        writeln!(f, "{:>12}  readings", self.readings)?;
        for (ending, count) in self.endings() {
            writeln!(f, "{count:>12}  ended as {ending}")?;
        }
        for (fault, count) in self.faults() {
            writeln!(f, "{count:>12}  {fault}")?;
        }
        Ok(())
    }
}
