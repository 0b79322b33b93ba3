//! The store of a [`super::Machine`]: plain maps that survive a crash.
//!
//! It keeps what the real store keeps and says nothing of files, locks or time. Rejected: the real store in memory, because a
//! simulated life has thousands of commits and would spend nearly all its time in SQL.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::policies::KeptPolicies;
use crate::clock::Anchor;
use crate::domain::policy::Decision;
use crate::domain::{Alias, EventId, Group, GroupId, HistoryEntry, Job, JobEvent, JobId, LaneRecord, Timestamp};
use crate::store::{
    AdmissionRecords, AdoptedGroup, AdoptedLane, Adoption, Epoch, Held, Holder, IdempotencyEntry, LaneChange,
    Observations, PolicyRecord, RecordChange, UnfinishedJob, Unit,
};

/// The id of the first version of a job.
const FIRST_EVENT: EventId = 1;

/// What is on the disk.
#[derive(Default)]
pub struct Disk {
    lanes: BTreeMap<Alias, LaneRecord>,
    order: Vec<JobId>,
    jobs: HashMap<JobId, Arc<Job>>,
    groups: BTreeMap<GroupId, Group>,
    entries: HashMap<String, IdempotencyEntry>,
    /// The versions of all jobs, in order.
    versions: Vec<JobEvent>,
    timelines: HashMap<Alias, Vec<HistoryEntry>>,
    policies: KeptPolicies,
    pub(super) clock: Option<Anchor>,
    /// What a broken store does to a unit before it writes it. For tests that must notice.
    pub corrupt: Option<fn(&mut Unit)>,
    /// What a broken store does to what it gives back to a new process. For tests that must notice.
    pub forget: Option<fn(&mut Restored)>,
}

/// What the store gives back to a new process.
pub struct Restored {
    /// All lanes.
    pub adoption: Adoption,
    /// What admissions are decided by.
    pub admissions: AdmissionRecords,
    /// The id of the next version of a job.
    pub next_event: EventId,
}

impl Disk {
    /// The job as it was written last.
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.jobs.get(&id)
    }

    /// All jobs in order of submission.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.order.iter().map(|id| &self.jobs[id])
    }

    /// All groups, by their ids.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The group `id`.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// The versions of all jobs, in the order in which they were written.
    pub fn versions(&self) -> &[JobEvent] {
        &self.versions
    }

    /// What has happened to `resource`, in order.
    pub fn timeline(&self, resource: &Alias) -> &[HistoryEntry] {
        self.timelines.get(resource).map_or(&[], Vec::as_slice)
    }

    /// What a new process would be given about the policy of `resource`.
    pub fn standing(&self, resource: &Alias) -> Option<Box<PolicyRecord>> {
        self.policies.adopt(resource)
    }

    /// What was decided about `resource`, in order.
    pub fn decisions(&self, resource: &Alias) -> &[Decision] {
        self.policies.decisions(resource)
    }

    /// What the request with this `key` led to.
    pub fn entry(&self, key: &str) -> Option<&IdempotencyEntry> {
        self.entries.get(key)
    }

    /// The id of the next version of a job.
    pub(super) fn next_event(&self) -> EventId {
        self.versions.last().map_or(FIRST_EVENT, |last| last.id + 1)
    }

    /// Writes `unit`, its jobs in versions from `first_event` on.
    pub(super) fn write(&mut self, unit: Unit, first_event: EventId) {
        for event in (first_event..).zip(unit.jobs).map(|(id, job)| JobEvent { id, job }) {
            if self.jobs.insert(event.job.id, Arc::clone(&event.job)).is_none() {
                self.order.push(event.job.id);
            }
            self.versions.push(event);
        }
        for group in unit.groups {
            self.groups.insert(group.id, Group::clone(&group));
        }
        for (resource, entry) in unit.history {
            self.timelines.entry(resource).or_default().push(entry);
        }
        for LaneChange { resource, record, .. } in unit.lanes {
            match record {
                RecordChange::Keep => {}
                RecordChange::Write(record) => drop(self.lanes.insert(resource, *record)),
                RecordChange::Remove => drop(self.lanes.remove(&resource)),
            }
        }
        self.policies.write(unit.policies);
        for entry in unit.entries {
            self.entries.insert(entry.key.clone(), entry);
        }
    }

    /// Writes what was observed about a resource that belongs to the process.
    pub(super) fn record(&mut self, observations: Observations) {
        self.policies.record(observations);
    }

    /// Everything finished in here is by another clock from now on.
    pub(super) fn change_clock(&mut self, before: Timestamp, after: Timestamp) {
        for record in self.lanes.values_mut() {
            record.change_state.carry_over(before, after);
        }
        for entry in self.entries.values_mut() {
            entry.answered_at = entry.answered_at.on_another_clock(before, after);
        }
        self.policies.change_clock(before, after);
    }

    fn unfinished(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs().filter(|job| job.ended().is_none())
    }

    /// Whether anything is unfinished.
    pub(super) fn has_work(&self) -> bool {
        self.unfinished().next().is_some() || self.lanes.values().any(|lane| lane.change.is_some())
    }

    /// The unfinished groups with a member that `is_wanted`, with their jobs.
    pub(super) fn adopt_groups(&self, is_wanted: impl Fn(&Alias) -> bool) -> Vec<AdoptedGroup> {
        let groups = self.groups.values().filter(|group| group.end.is_none());
        let groups = groups.filter(|group| group.members.iter().any(|member| is_wanted(&member.resource)));
        let adopted = |group: &Group| AdoptedGroup {
            group: serde_json::from_str(&serde_json::to_string(group).expect("serialisable")).expect("readable"),
            jobs: self.jobs().filter(|job| is_of(job, group.id)).map(stored).collect(),
        };
        groups.map(adopted).collect()
    }

    /// The lane of `resource`, with its unfinished jobs in the form in which they are stored.
    pub(super) fn adopt(&self, resource: &Alias, epoch: Epoch) -> AdoptedLane {
        let jobs = self.unfinished().filter(|job| job.resource == *resource).map(stored).collect();
        let record = self.lanes.get(resource).cloned().unwrap_or_else(|| LaneRecord::new(resource.clone()));
        AdoptedLane { epoch, record, jobs, policy: self.policies.adopt(resource) }
    }

    /// All lanes, those with a record first, then those with jobs, in adoptions counted from 1.
    fn adopt_all(&self) -> Adoption {
        let mut resources: Vec<&Alias> = self.lanes.keys().collect();
        for job in self.unfinished() {
            if !resources.contains(&&job.resource) {
                resources.push(&job.resource);
            }
        }
        let others: Vec<&Alias> = self.policies.in_force().filter(|resource| !resources.contains(resource)).collect();
        resources.extend(others);
        for group in self.groups.values().filter(|group| group.end.is_none()) {
            for member in &group.members {
                if !resources.contains(&&member.resource) {
                    resources.push(&member.resource);
                }
            }
        }
        let lanes = resources.into_iter().zip(1..).map(|(resource, epoch)| self.adopt(resource, epoch));
        Adoption { lanes: lanes.collect(), groups: self.adopt_groups(|_| true), restored_at: None }
    }

    /// What a new process starts with.
    pub(super) fn restore(&self) -> Restored {
        let (adoption, admissions, next_event) = (self.adopt_all(), self.admissions(), self.next_event());
        let mut restored = Restored { adoption, admissions, next_event };
        if let Some(forget) = self.forget {
            forget(&mut restored);
        }
        restored
    }

    fn admissions(&self) -> AdmissionRecords {
        let mut held: HashMap<Holder, Held> = HashMap::new();
        for job in self.jobs() {
            let held = held.entry(Holder::Resource(job.resource.clone())).or_default();
            held.jobs += 1;
            held.text_bytes += job.text_bytes();
        }
        AdmissionRecords {
            entries: self.entries.values().cloned().collect(),
            unfinished: self.unfinished().map(|job| UnfinishedJob::from(job.as_ref())).collect(),
            held: held.into_iter().collect(),
            finished: self.jobs().filter(|job| job.ended().is_some()).count(),
        }
    }
}

/// The job as it is read back.
fn stored(job: &Arc<Job>) -> JobEvent {
    let job = serde_json::from_str(&serde_json::to_string(job).expect("serialisable")).expect("readable");
    JobEvent { id: 0, job }
}

fn is_of(job: &Job, group: GroupId) -> bool {
    job.membership.as_ref().is_some_and(|membership| membership.group == group)
}
