//! How a request to scale several resources becomes a group, joins one, or is refused: for all members at once.
//!
//! As with jobs, places are reserved in the store first, then the lanes decide; what changes between the two is decided anew.

use std::sync::Arc;

use super::super::requests::audited_group;
use super::super::submissions::entry;
use super::super::{Core, Effect};
use super::Batch;
use crate::domain::{
    Action, Admission, Alias, AuditVerdict, Group, GroupId, GroupRequest, Job, KeyId, Membership, Timestamp,
};
use crate::engine::requests::{Answer, Refusal, ReplyTo};
use crate::store::{NoRoom, ReservationId, Reserved, SubmitKey, Unit, Wish};

/// A request to scale several resources.
pub struct GroupSubmission {
    request: GroupRequest,
    key: Option<SubmitKey>,
    reply_to: ReplyTo,
    /// Whether places for jobs are asked for.
    wants_jobs: bool,
    /// Whether it is only asked what would become of it.
    is_plan: bool,
}

/// A request with a reservation.
pub struct PlacedGroup {
    submission: GroupSubmission,
    reservation: ReservationId,
}

impl Core {
    /// Takes in a request to scale several resources.
    pub fn submit_group(&mut self, request: GroupRequest, key: Option<SubmitKey>, reply_to: ReplyTo, now: Timestamp) {
        self.reserve_group(GroupSubmission { request, key, reply_to, wants_jobs: false, is_plan: false }, now);
    }

    /// Finds out what would become of such a request: everything is checked as for one, its places in the store too, and nothing
    /// is kept.
    pub fn plan_group(&mut self, request: GroupRequest, reply_to: ReplyTo, now: Timestamp) {
        self.reserve_group(GroupSubmission { request, key: None, reply_to, wants_jobs: false, is_plan: true }, now);
    }

    /// Asks for what `submission` needs as things are now.
    fn reserve_group(&mut self, submission: GroupSubmission, now: Timestamp) {
        let GroupSubmission { request, key, reply_to, .. } = &submission;
        let jobs = match self.admit_group(request) {
            Ok(Some(_)) => Vec::new(),
            Ok(None) => request.members.iter().map(|(request, _)| self.job_wish(request)).collect(),
            Err(refusal) if key.is_none() => return self.refuse_group(request, *reply_to, refusal),
            // A repeated request gets its answer all the same.
            Err(_) => Vec::new(),
        };
        let (reply_to, wants_jobs) = (*reply_to, !jobs.is_empty());
        let owner = submitter_key(request).cloned();
        let wish = Wish { owner, key: key.clone(), jobs, limits: self.scaling.limits, now };
        self.groups.submissions.insert(reply_to, GroupSubmission { wants_jobs, ..submission });
        self.effects.push(Effect::Reserve(reply_to, Box::new(wish)));
    }

    /// The unfinished group that does the same already.
    ///
    /// # Errors
    /// Why there can be no such group now. Of members that are in the way of it, all are named.
    fn admit_group(&self, request: &GroupRequest) -> Result<Option<GroupId>, Refusal> {
        if let Some(group) = self.groups.equal(request) {
            return Ok(Some(group.id));
        }
        let mut busy = Vec::new();
        for (member, _) in &request.members {
            self.check_rules(member).map_err(|refusal| Refusal::of_member(member, refusal))?;
            let queue_length = self.scaling.limits.queue_length;
            let lane = self.lane(&member.resource);
            match lane.map_or(Admission::Accept, |lane| lane.admit_member(member.on_conflict, queue_length)) {
                Admission::Accept | Admission::Join(_) => {}
                Admission::Busy(_) => busy.extend(lane.into_iter().flat_map(|lane| lane.jobs_of_people()).cloned()),
                Admission::QueueFull => {
                    return Err(Refusal::of_member(member, Refusal::QueueFull { limit: queue_length }));
                }
            }
        }
        if !busy.is_empty() {
            return Err(Refusal::MembersBusy { by: busy });
        }
        let unlisted = request.members.iter().map(|(member, _)| &member.resource);
        let unlisted = unlisted.filter(|resource| !self.scaling.resources.contains_key(*resource));
        self.unlisted.admit_all(unlisted, submitter_key(request))?;
        Ok(None)
    }

    /// The answer to the reservation of a group; whether it was one.
    pub(in super::super) fn on_group_reserved(
        &mut self,
        reply_to: ReplyTo,
        decided: &Option<Result<Reserved, NoRoom>>,
        now: Timestamp,
    ) -> bool {
        let Some(submission) = self.groups.submissions.remove(&reply_to) else { return false };
        match *decided {
            Some(Ok(Reserved::Granted(reservation))) => self.place_group(PlacedGroup { submission, reservation }, now),
            Some(Ok(Reserved::Replay { made: group, joined })) => {
                self.effects.push(Effect::Reply(reply_to, Answer::GroupReplayed { group, joined }));
            }
            Some(Err(no_room)) => self.refuse_group(&submission.request, reply_to, Refusal::NoRoom(no_room)),
            None => self.effects.push(Effect::Abandon(reply_to)),
        }
        true
    }

    /// Has the lanes decide about a request.
    fn place_group(&mut self, placed: PlacedGroup, now: Timestamp) {
        let PlacedGroup { submission, reservation } = placed;
        if self.draining {
            return self.give_up(submission.reply_to, reservation);
        }
        match self.admit_group(&submission.request) {
            Err(refusal) => {
                self.effects.push(Effect::GiveBack(reservation));
                self.refuse_group(&submission.request, submission.reply_to, refusal);
            }
            Ok(joins) if submission.is_plan => {
                let answer = Effect::Reply(submission.reply_to, Answer::GroupPlanned { joins });
                self.effects.extend([Effect::GiveBack(reservation), answer]);
            }
            Ok(Some(group)) => self.join_group(group, submission, reservation, now),
            Ok(None) if !submission.wants_jobs => {
                self.effects.push(Effect::GiveBack(reservation));
                self.reserve_group(submission, now);
            }
            Ok(None) => {
                let missing: Vec<Alias> = self.missing_lanes(&submission.request).cloned().collect();
                if missing.is_empty() {
                    return self.accept_group(submission, reservation, now);
                }
                for resource in missing {
                    if !self.scaling.resources.contains_key(&resource) {
                        self.unlisted.add(&resource, submitter_key(&submission.request));
                    }
                    self.ask_for_lane(&resource);
                }
                self.groups.placed.push(PlacedGroup { submission, reservation });
            }
        }
    }

    fn missing_lanes<'a>(&self, request: &'a GroupRequest) -> impl Iterator<Item = &'a Alias> {
        request.members.iter().map(|(member, _)| &member.resource).filter(|resource| self.lane(resource).is_none())
    }

    /// The requests that waited for the lane of `resource`, which was adopted, are decided, or wait for another one.
    pub(in super::super) fn place_waiting_groups(&mut self, resource: &Alias, now: Timestamp) {
        for placed in self.take_placed(resource) {
            self.place_group(placed, now);
        }
    }

    /// The lane of `resource` cannot be adopted at present.
    pub(in super::super) fn give_up_groups(&mut self, resource: &Alias) {
        for PlacedGroup { submission, reservation } in self.take_placed(resource) {
            self.give_up(submission.reply_to, reservation);
        }
    }

    fn take_placed(&mut self, resource: &Alias) -> Vec<PlacedGroup> {
        let concerns = |placed: &mut PlacedGroup| {
            placed.submission.request.members.iter().any(|(member, _)| member.resource == *resource)
        };
        self.groups.placed.extract_if(.., concerns).collect()
    }

    fn accept_group(&mut self, submission: GroupSubmission, reservation: ReservationId, now: Timestamp) {
        let GroupSubmission { request, key, reply_to, .. } = submission;
        let id = self.ids.next(now);
        let ids = &mut self.ids;
        let group = Arc::new(Group::accept(id, &request, || ids.next(now), now));
        let mut batch = Batch::default();
        for ((asked, stage), member) in request.members.into_iter().zip(&group.members) {
            let (resource, on_conflict) = (asked.resource.clone(), asked.on_conflict);
            let settings = self.scaling.in_force(&resource).settings.with(&asked.overrides);
            let membership = Membership { group: id, stage, awaits_stage: stage > 0, restores: false };
            let job = Job::accept(member.job, asked, settings, now);
            let job = Job { membership: Some(membership), ..job };
            let outcome = self.run(&resource, now, |lane, turn| lane.submit(job, on_conflict, turn));
            self.add(&mut batch, &resource, outcome, now);
        }
        let unit = &mut batch.unit;
        unit.reservation = Some(reservation);
        unit.audit.extend(audited_group(request.attempt, Action::SubmitGroup, id, AuditVerdict::Accepted, now));
        unit.entries.extend(key.map(|key| entry(key, false, id, now)));
        unit.groups.push(Arc::clone(&group));
        batch.effects.push(Effect::Reply(reply_to, Answer::GroupCreated(id)));
        self.groups.begin(group);
        self.commit_batch(batch);
    }

    fn join_group(&mut self, id: GroupId, submission: GroupSubmission, reservation: ReservationId, now: Timestamp) {
        let GroupSubmission { request, key, reply_to, .. } = submission;
        let audit = audited_group(request.attempt.clone(), Action::SubmitGroup, id, AuditVerdict::Unchanged, now);
        let entries = key.map(|key| entry(key, true, id, now));
        let lanes = request.members.iter().filter_map(|(member, _)| self.lane_change(&member.resource, false));
        let unit = Unit {
            lanes: lanes.collect(),
            audit: audit.into_iter().collect(),
            entries: entries.into_iter().collect(),
            reservation: Some(reservation),
            ..Unit::default()
        };
        self.commit(unit, vec![Effect::Reply(reply_to, Answer::GroupJoined(id))]);
    }

    /// An answer may speak of jobs whose commit is under way, so it does not overtake it.
    fn refuse_group(&mut self, request: &GroupRequest, reply_to: ReplyTo, refusal: Refusal) {
        match refusal.resource().or_else(|| request.members.first().map(|(member, _)| member.resource.clone())) {
            Some(resource) => self.refuse(&resource, reply_to, refusal),
            None => self.effects.push(Effect::Reply(reply_to, Answer::Refused(refusal))),
        }
    }
}

fn submitter_key(request: &GroupRequest) -> Option<&KeyId> {
    request.attempt.as_ref()?.actor.as_ref()?.key()
}
