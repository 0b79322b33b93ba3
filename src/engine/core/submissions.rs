//! How a request to scale becomes a job, joins one, or is refused.
//!
//! First a place is reserved in the store, which knows about idempotency keys and limits; then the lane decides. What changes
//! between the two is decided anew. A refusal must never be the outcome of a commit: it would evict the lane.

use std::sync::Arc;

use uuid::Uuid;

use super::requests::audited;
use super::{Core, Effect};
use crate::domain::{
    Action, Admission, Alias, AuditEntry, AuditVerdict, Goal, Job, JobId, JobRequest, KeyId, OnConflict,
    ResourceConfig, Timestamp,
};
use crate::engine::requests::{Answer, Refusal, ReplyTo};
use crate::store::{
    IdempotencyEntry, JobWish, LaneChange, NoRoom, RecordChange, ReservationId, Reserved, SubmitKey, Unit, Wish,
};

/// A request to scale.
pub(super) struct Submission {
    /// The id of the job, if it becomes one.
    id: JobId,
    request: JobRequest,
    key: Option<SubmitKey>,
    reply_to: ReplyTo,
    /// Whether a job's place is asked for.
    wants_job: bool,
}

/// A request with a reservation.
pub(super) struct Placed {
    submission: Submission,
    reservation: ReservationId,
}

impl Core {
    /// Takes in a request to scale, which becomes job `id` if it becomes one.
    pub fn submit(
        &mut self,
        id: JobId,
        request: JobRequest,
        key: Option<SubmitKey>,
        reply_to: ReplyTo,
        now: Timestamp,
    ) {
        self.reserve(Submission { id, request, key, reply_to, wants_job: false }, now);
    }

    /// Asks for what `submission` needs as things are now.
    fn reserve(&mut self, submission: Submission, now: Timestamp) {
        let Submission { request, key, reply_to, .. } = &submission;
        let job = match self.admit(request) {
            Ok((_, joined)) => joined.is_none().then(|| self.job_wish(request)),
            Err(refusal) if key.is_none() => return self.refuse(&request.resource.clone(), *reply_to, refusal),
            // A repeated request gets its answer all the same.
            Err(_) => None,
        };
        let (reply_to, wants_job) = (*reply_to, job.is_some());
        let wish = self.wish(request, key.clone(), job, now);
        self.submissions.insert(reply_to, Submission { wants_job, ..submission });
        self.effects.push(Effect::Reserve(reply_to, Box::new(wish)));
    }

    fn wish(&self, request: &JobRequest, key: Option<SubmitKey>, job: Option<JobWish>, now: Timestamp) -> Wish {
        let owner = submitter_key(request).cloned();
        Wish { owner, key, jobs: job.into_iter().collect(), limits: self.scaling.limits, now }
    }

    /// What `request` takes as a job. Superseding frees the places of all jobs before it; those of policies have none.
    pub(super) fn job_wish(&self, request: &JobRequest) -> JobWish {
        let lane = self.lane(&request.resource).filter(|_| request.on_conflict == OnConflict::Supersede);
        let superseded = || lane.into_iter().flat_map(|lane| lane.jobs_of_people());
        let key = submitter_key(request);
        let is_own = |job: &Arc<Job>| key.is_some() && job.submitted_with() == key;
        JobWish {
            resource: request.resource.clone(),
            text_bytes: request.text_bytes(),
            supersedes: superseded().next().is_some(),
            supersedes_own: superseded().any(is_own),
        }
    }

    /// What a plan for `request` would need as a job.
    ///
    /// # Errors
    /// As the request itself would be refused.
    pub fn would_need(&self, request: &JobRequest, now: Timestamp) -> Result<Wish, Refusal> {
        let (_, joined) = self.admit(request)?;
        let job = joined.is_none().then(|| self.job_wish(request));
        Ok(self.wish(request, None, job, now))
    }

    /// The rules for the resource, and the unfinished job that does the same already.
    pub(super) fn admit(&self, request: &JobRequest) -> Result<(ResourceConfig, Option<Arc<Job>>), Refusal> {
        let rules = self.check_rules(request)?;
        let queue_length = self.scaling.limits.queue_length;
        let lane = self.lane(&request.resource);
        let admission =
            lane.map_or(Admission::Accept, |lane| lane.admit(request.goal, request.on_conflict, queue_length));
        match admission {
            Admission::Join(job) => Ok((rules, Some(job))),
            Admission::Busy(job) => Err(Refusal::Busy { by: job }),
            Admission::QueueFull => Err(Refusal::QueueFull { limit: queue_length }),
            Admission::Accept => {
                if !self.scaling.resources.contains_key(&request.resource) {
                    self.unlisted.admit(&request.resource, submitter_key(request))?;
                }
                Ok((rules, None))
            }
        }
    }

    /// The rules for the resource, which leave room for `request`.
    pub(super) fn check_rules(&self, request: &JobRequest) -> Result<ResourceConfig, Refusal> {
        let rules = self
            .scaling
            .resource(&request.resource)
            .ok_or_else(|| Refusal::ResourceNotListed { resource: request.resource.clone() })?;
        let careless = rules.setting_limits.problems(&request.overrides);
        if !careless.is_empty() {
            return Err(Refusal::LessCare { problems: careless });
        }
        if let Goal::Target(target) = request.goal
            && !rules.bounds.contains(target)
        {
            return Err(Refusal::OutOfBounds { target, bounds: rules.bounds });
        }
        if let Some(hold) = self.hold_against(request) {
            return Err(Refusal::Held(Box::new(hold.clone())));
        }
        Ok(rules)
    }

    /// The answer to [`Effect::Reserve`]; `None` if the store cannot tell.
    pub fn on_reserved(&mut self, reply_to: ReplyTo, decided: Option<Result<Reserved, NoRoom>>, now: Timestamp) {
        if let Some(request) = self.keyed_claims.remove(&reply_to) {
            return self.on_claim_reserved(request, reply_to, decided, now);
        }
        if self.on_group_reserved(reply_to, &decided, now) {
            return;
        }
        let Some(submission) = self.submissions.remove(&reply_to) else { return };
        match decided {
            Some(Ok(Reserved::Granted(reservation))) => self.place(Placed { submission, reservation }, now),
            Some(Ok(Reserved::Replay { made: job, joined })) => {
                self.effects.push(Effect::Replay { to: reply_to, job, joined });
            }
            Some(Err(no_room)) => self.refuse(&submission.request.resource, reply_to, Refusal::NoRoom(no_room)),
            None => self.effects.push(Effect::Abandon(reply_to)),
        }
    }

    /// Has the lane decide about a request.
    fn place(&mut self, placed: Placed, now: Timestamp) {
        let Placed { submission, reservation } = placed;
        let resource = submission.request.resource.clone();
        if self.draining {
            return self.give_up(submission.reply_to, reservation);
        }
        match self.admit(&submission.request) {
            Err(refusal) => {
                self.effects.push(Effect::GiveBack(reservation));
                self.refuse(&resource, submission.reply_to, refusal);
            }
            Ok((_, Some(job))) => self.join(job, submission, reservation, now),
            Ok((_, None)) if !submission.wants_job => {
                self.effects.push(Effect::GiveBack(reservation));
                self.reserve(submission, now);
            }
            Ok((rules, None)) if self.lane(&resource).is_some() => self.accept(submission, rules, reservation, now),
            Ok((_, None)) => {
                if !self.scaling.resources.contains_key(&resource) {
                    self.unlisted.add(&resource, submitter_key(&submission.request));
                }
                self.ask_for_lane(&resource);
                self.placed.entry(resource).or_default().push(Placed { submission, reservation });
            }
        }
    }

    /// Asks for the adoption of the lane of `resource`, unless that is under way.
    pub(super) fn ask_for_lane(&mut self, resource: &Alias) {
        if self.adopting.insert(resource.clone()) {
            self.effects.push(Effect::Adopt(resource.clone()));
        }
    }

    /// The requests that wait for the lane of `resource`, which was adopted, are decided.
    pub(super) fn place_waiting(&mut self, resource: &Alias, now: Timestamp) {
        for placed in self.placed.remove(resource).unwrap_or_default() {
            self.place(placed, now);
        }
        self.place_waiting_groups(resource, now);
        for (request, reply_to) in self.changes.remove(resource).unwrap_or_default() {
            self.change_policy(request, reply_to, now);
        }
    }

    /// The lane of `resource` cannot be adopted at present.
    pub fn on_adoption_failed(&mut self, resource: &Alias) {
        self.adopting.remove(resource);
        // Without a lane, nothing would take it out again.
        self.unlisted.remove(resource);
        for Placed { submission, reservation } in self.placed.remove(resource).unwrap_or_default() {
            self.give_up(submission.reply_to, reservation);
        }
        self.give_up_groups(resource);
        let changes = self.changes.remove(resource).unwrap_or_default();
        self.effects.extend(changes.into_iter().map(|(_, reply_to)| Effect::Abandon(reply_to)));
    }

    pub(super) fn give_up(&mut self, reply_to: ReplyTo, reservation: ReservationId) {
        self.effects.extend([Effect::GiveBack(reservation), Effect::Abandon(reply_to)]);
    }

    fn accept(&mut self, submission: Submission, rules: ResourceConfig, reservation: ReservationId, now: Timestamp) {
        let Submission { id, request, key, reply_to, .. } = submission;
        let (resource, on_conflict, attempt) = (request.resource.clone(), request.on_conflict, request.attempt.clone());
        let settings = rules.settings.with(&request.overrides);
        let job = Job::accept(id, request, settings, now);
        let outcome = self.run(&resource, now, |lane, turn| lane.submit(job, on_conflict, turn));
        let mut unit = Unit { reservation: Some(reservation), ..Unit::default() };
        let mut after = Vec::new();
        if let Some(job) = outcome.jobs.iter().find(|job| job.id == id).cloned() {
            unit.audit.extend(audited(attempt, Action::SubmitJob, &job, AuditVerdict::Accepted, now));
            unit.entries.extend(key.map(|key| entry(key, false, id, now)));
            after.push(Effect::Reply(reply_to, Answer::Created(self.noted(job))));
        }
        self.apply_outcome(&resource, outcome, unit, after, now);
    }

    fn join(&mut self, job: Arc<Job>, submission: Submission, reservation: ReservationId, now: Timestamp) {
        let Submission { request, key, reply_to, .. } = submission;
        let resource = request.resource;
        let reply = Effect::Reply(reply_to, Answer::Joined(self.noted(Arc::clone(&job))));
        let audit: Vec<AuditEntry> =
            audited(request.attempt, Action::SubmitJob, &job, AuditVerdict::Unchanged, now).into_iter().collect();
        let entries: Vec<IdempotencyEntry> = key.into_iter().map(|key| entry(key, true, job.id, now)).collect();
        let Some(epoch) = self.lanes.epoch(&resource).filter(|_| !(audit.is_empty() && entries.is_empty())) else {
            self.effects.push(Effect::GiveBack(reservation));
            return self.after_pending(&resource, reply);
        };
        let lanes = vec![LaneChange { resource, epoch, record: RecordChange::Keep }];
        let unit = Unit { lanes, audit, entries, reservation: Some(reservation), ..Unit::default() };
        self.commit(unit, vec![reply]);
    }
}

fn submitter_key(request: &JobRequest) -> Option<&KeyId> {
    request.attempt.as_ref()?.actor.as_ref()?.key()
}

pub(super) fn entry(
    SubmitKey { key, fingerprint }: SubmitKey,
    joined: bool,
    made: Uuid,
    answered_at: Timestamp,
) -> IdempotencyEntry {
    IdempotencyEntry { key, fingerprint, joined, made, answered_at }
}
