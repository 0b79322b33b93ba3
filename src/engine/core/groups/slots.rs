//! The groups in progress, each with its durable jobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::accept::{GroupSubmission, PlacedGroup};
use crate::domain::{
    Alias, Group, GroupAction, GroupId, GroupJobs, GroupRequest, GroupState, GroupStatus, Job, JobId, Member, Timestamp,
};
use crate::engine::requests::ReplyTo;
use crate::store::AdoptedGroup;

/// See the module's documentation.
#[derive(Default)]
pub struct GroupSlots {
    slots: BTreeMap<GroupId, Slot>,
    /// Requests that wait for their reservation.
    pub(super) submissions: HashMap<ReplyTo, GroupSubmission>,
    /// Requests with a reservation that wait for their lanes.
    pub(super) placed: Vec<PlacedGroup>,
}

struct Slot {
    /// As it was handed out last.
    latest: Arc<Group>,
    /// As it is durable, if it is.
    durable: Option<Arc<Group>>,
    /// Those that are durable.
    jobs: GroupJobs,
    /// The jobs that take members back and were handed out, with their resources.
    submitted: BTreeMap<JobId, Alias>,
    /// Whether a lane of it was evicted and the store was not asked since: it may be over.
    is_doubtful: bool,
}

impl GroupSlots {
    /// A group that is on its way to the disk.
    pub fn begin(&mut self, group: Arc<Group>) {
        self.slots.insert(group.id, Slot::new(group));
    }

    /// What the store has of a group. It may be older than what was reported since the store was asked.
    pub fn learn(&mut self, group: Arc<Group>, jobs: impl Iterator<Item = Arc<Job>>) {
        let slot = self.slots.entry(group.id).or_insert_with(|| Slot::new(Arc::clone(&group)));
        slot.is_doubtful = false;
        slot.note_group(group);
        jobs.for_each(|job| slot.note_job(&job));
    }

    /// Forgets the groups with an evicted lane of `resources` that are not among `adopted`.
    pub fn forget_others(&mut self, adopted: &[AdoptedGroup], resources: &[Alias]) -> Vec<GroupId> {
        let is_gone = |id: &GroupId, slot: &mut Slot| {
            slot.is_doubtful
                && resources.iter().any(|resource| slot.latest.concerns(resource))
                && !adopted.iter().any(|adopted| adopted.group.id == *id)
        };
        self.slots.extract_if(.., is_gone).map(|(id, _)| id).collect()
    }

    /// Notes what is durable; the groups that it is about.
    pub fn note_committed(&mut self, groups: Vec<Arc<Group>>, jobs: &[Arc<Job>]) -> BTreeSet<GroupId> {
        let mut changed = BTreeSet::new();
        for group in groups {
            if let Some(slot) = self.slots.get_mut(&group.id) {
                changed.insert(group.id);
                slot.note_group(group);
            }
        }
        for job in jobs {
            if let Some(membership) = &job.membership
                && let Some(slot) = self.slots.get_mut(&membership.group)
            {
                slot.note_job(job);
                changed.insert(membership.group);
            }
        }
        changed
    }

    /// The lane of `resource` is evicted: what was handed out about it may not be durable.
    pub fn evict(&mut self, resource: &Alias) {
        self.slots.retain(|_, slot| {
            if !slot.latest.concerns(resource) {
                return true;
            }
            slot.is_doubtful = true;
            slot.submitted.retain(|_, of| of != resource);
            match &slot.durable {
                Some(durable) => slot.latest = Arc::clone(durable),
                None => return false,
            }
            true
        });
    }

    /// The group as readers see it, if it is durable.
    pub fn status(&self, id: GroupId) -> Option<GroupStatus> {
        let slot = self.slots.get(&id)?;
        GroupStatus::of(Arc::clone(slot.durable.as_ref()?), &slot.jobs)
    }

    /// Forgets the group `id` if its end is durable.
    pub fn forget_ended(&mut self, id: GroupId) {
        if self.slots.get(&id).and_then(|slot| slot.durable.as_ref()).is_some_and(|group| group.end.is_some()) {
            self.slots.remove(&id);
        }
    }

    /// What is to be done for the group `id`.
    pub fn next(&self, id: GroupId) -> Option<(Arc<Group>, Vec<GroupAction>)> {
        let slot = self.slots.get(&id)?;
        Some((Arc::clone(&slot.latest), slot.latest.next(&slot.jobs)))
    }

    /// The group as it was handed out last.
    pub fn latest(&self, id: GroupId) -> Option<&Arc<Group>> {
        self.slots.get(&id).map(|slot| &slot.latest)
    }

    /// A durable job of a group.
    pub fn job(&self, id: GroupId, job: JobId) -> Option<Arc<Job>> {
        self.slots.get(&id)?.jobs.get(&job).cloned()
    }

    /// The unfinished group that does what `request` asks for.
    pub fn equal(&self, request: &GroupRequest) -> Option<&Arc<Group>> {
        let is_equal = |slot: &&Slot| slot.latest.does(request) && !slot.latest.has_failed(&slot.jobs);
        self.slots.values().find(is_equal).map(|slot| &slot.latest)
    }

    /// Notes that `member` is taken back; whether that is new.
    pub fn note_submitted(&mut self, id: GroupId, member: &Member) -> bool {
        let Some(slot) = self.slots.get_mut(&id) else { return false };
        slot.submitted.insert(member.restore, member.resource.clone()).is_none()
    }

    /// The group `id` in a new version, which is handed out.
    pub fn change(&mut self, id: GroupId, change: impl FnOnce(&mut Group)) -> Option<Arc<Group>> {
        let slot = self.slots.get_mut(&id)?;
        slot.latest = Arc::new(slot.latest.changed(change));
        Some(Arc::clone(&slot.latest))
    }

    /// The group `id` with its end, which is handed out.
    pub fn end(&mut self, id: GroupId, state: GroupState, now: Timestamp) -> Option<Arc<Group>> {
        let slot = self.slots.get_mut(&id)?;
        slot.latest = Arc::new(slot.latest.ended(state, &slot.jobs, now));
        Some(Arc::clone(&slot.latest))
    }

    /// The resources of all groups in progress.
    pub fn resources(&self) -> BTreeSet<&Alias> {
        let members = self.slots.values().flat_map(|slot| &slot.latest.members);
        members.map(|member| &member.resource).collect()
    }
}

impl Slot {
    fn new(group: Arc<Group>) -> Self {
        let (jobs, submitted) = (GroupJobs::new(), BTreeMap::new());
        Self { latest: group, durable: None, jobs, submitted, is_doubtful: false }
    }

    fn note_group(&mut self, group: Arc<Group>) {
        if self.latest.version < group.version {
            self.latest = Arc::clone(&group);
        }
        if self.durable.as_ref().is_none_or(|durable| durable.version < group.version) {
            self.durable = Some(group);
        }
    }

    fn note_job(&mut self, job: &Arc<Job>) {
        if self.jobs.get(&job.id).is_none_or(|known| known.version < job.version) {
            self.jobs.insert(job.id, Arc::clone(job));
        }
    }
}
