//! What is asked of the engine, from the command to the answer.

use std::collections::BTreeMap;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::super::handle::{Command, Health, PlanError, ResourceStatus, Submitted, Unavailable};
use super::super::requests::{Answer, Refusal, ReplyTo};
use super::super::shared_reads::{Source, Waiter};
use super::calls::timed;
use super::{Done, Engine, PlanReply, Waiting, storage_unavailable};
use crate::domain::{Alias, Job, JobId, JobRequest, Origin, ReadFailure, Reading, Timestamp, TraceContext};
use crate::sidecar::Sidecar;
use crate::store::{Reserved, StoreError};

/// Longest wait for a reading of a caller who only observes.
pub const OBSERVE_TIMEOUT: Duration = Duration::from_secs(10);

impl<S: Sidecar> Engine<S> {
    pub(super) fn take(&mut self, command: Command) {
        let now = self.clock.now();
        if let Some(outage) = &self.outage {
            return command.refuse(outage);
        }
        if let Some(stuck) = self.commits.stuck_for(now) {
            return command.refuse(&Unavailable::Storage(format!(
                "it is stuck, what was to be written {} s ago is not on the disk yet: that one hangs, or another program has locked the \
                 store",
                stuck.as_secs()
            )));
        }
        match command {
            Command::Submit(request, key, reply) => {
                let id = self.new_job_id(now);
                let reply_to = self.await_answer(Waiting::Submit(reply));
                self.core.submit(id, *request, key, reply_to, now);
            }
            Command::Change(id, change, attempt, reply) => {
                // A caller cannot mean a job that was never shown.
                let Some(job) = self.projections.table.get(id) else {
                    drop(reply.send(Ok(Answer::Refused(Refusal::NotUnfinished))));
                    return;
                };
                if self.evicted.contains_key(&job.job().resource) {
                    return drop(reply.send(Err(lane_unavailable())));
                }
                let reply_to = self.await_answer(Waiting::Change(reply));
                self.core.change(id, change, &job.job().resource, attempt, reply_to, now);
            }
            Command::SubmitGroup(request, key, reply) => {
                let reply_to = self.await_answer(Waiting::Change(reply));
                self.core.submit_group(*request, key, reply_to, now);
            }
            Command::CancelGroup(id, attempt, reply) => {
                if !self.evicted.is_empty() && self.projections.groups.get(id).is_none() {
                    return drop(reply.send(Err(lane_unavailable())));
                }
                let reply_to = self.await_answer(Waiting::Change(reply));
                self.core.cancel_group(id, attempt, reply_to, now);
            }
            Command::PlanGroup(request, reply) => {
                let reply_to = self.await_answer(Waiting::Change(reply));
                self.core.plan_group(*request, reply_to, now);
            }
            Command::Plan(request, reply) if self.evicted.contains_key(&request.resource) => {
                drop(reply.send(Err(lane_unavailable())));
            }
            Command::Plan(request, reply) => self.admit_plan(request, reply, now),
            Command::Observe(resource, _, reply) if self.core.resource(&resource, now).is_none() => {
                drop(reply.send(Ok(None)))
            }
            Command::Observe(resource, trace, reply) => self.observe(resource, trace, Waiter::Observe(reply)),
            Command::ListResources { reach, after, size, reply } => {
                let mut views = self.core.resources(&reach, after.as_ref(), size, now);
                views.iter_mut().for_each(|view| self.projections.trim(view));
                drop(reply.send(Ok(views)));
            }
            Command::Alternatives(alias, reach, reply) => {
                drop(reply.send(Ok(self.core.alternatives(&alias, &reach))));
            }
            Command::ChangePolicy(request, reply) if self.evicted.contains_key(&request.resource) => {
                drop(reply.send(Err(lane_unavailable())));
            }
            Command::ChangePolicy(request, reply) => {
                let reply_to = self.await_answer(Waiting::Change(reply));
                self.core.change_policy(*request, reply_to, now);
            }
            Command::Standing(resource, reply) if self.evicted.contains_key(&resource) => {
                drop(reply.send(Err(lane_unavailable())));
            }
            Command::Standing(resource, reply) => drop(reply.send(Ok(self.core.standing(&resource, now)))),
            Command::ListPolicies { reach, after, size, reply } => {
                drop(reply.send(Ok(self.core.policies(&reach, after.as_ref(), size))));
            }
            Command::Evaluate { resource, asked, reply } => {
                drop(reply.send(Ok(self.core.evaluate(&resource, &asked, now))));
            }
            Command::TrialBasis { resource, reply, .. } if self.evicted.contains_key(&resource) => {
                drop(reply.send(Err(lane_unavailable())));
            }
            Command::TrialBasis { resource, policy, reply } => {
                drop(reply.send(Ok(self.core.trial_basis(&resource, policy))));
            }
            Command::Health(reply) => {
                let health = Health { unfinished_jobs: self.core.unfinished_jobs(), sidecar: self.contact.clone() };
                drop(reply.send(Ok(health)));
            }
        }
    }

    /// What would be refused as a job is refused as a plan, before it costs a call.
    pub(super) fn admit_plan(&mut self, mut request: Box<JobRequest>, reply: PlanReply, now: Timestamp) {
        let wish = match self.core.would_need(&request, now) {
            Ok(wish) => wish,
            Err(refusal) => return drop(reply.send(Ok(Err(PlanError::Refused(refusal))))),
        };
        // A plan says nothing of them, and many plans may wait.
        (request.reason, request.labels) = (None, BTreeMap::new());
        let store = Arc::clone(&self.store);
        self.tasks.spawn_local(async move {
            let decided = store.reserve(wish).await;
            if let Ok(Ok(Reserved::Granted(reservation))) = decided {
                store.give_back(reservation);
            }
            Done::PlanAdmitted { request, reply, decided }
        });
    }

    pub(super) fn new_job_id(&self, now: Timestamp) -> JobId {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let (seconds, nanos) = (millis / 1000, (millis % 1000) as u32 * 1_000_000);
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.ids, seconds, nanos))
    }

    pub(super) fn await_answer(&mut self, waiting: Waiting) -> ReplyTo {
        self.next_reply += 1;
        self.waiting.insert(self.next_reply, waiting);
        self.next_reply
    }

    /// Gets a reading for a caller who only observes: nothing is decided on it.
    pub(super) fn observe(&mut self, resource: Alias, trace: Option<TraceContext>, waiter: Waiter) {
        let is_unknown = !self.core.is_known(&resource);
        let source = if self.reads.contains_key(&resource) { Source::OfJob } else { Source::Own };
        let (sidecar, clock, origin) = (Rc::clone(&self.sidecar), self.clock, Origin { job: None, trace });
        let (tasks, of) = (&mut self.tasks, resource.clone());
        self.shared_reads.ask(&resource, is_unknown, waiter, source, |number| {
            tasks.spawn_local(async move {
                let reading = async {
                    match source {
                        Source::Own => timed(sidecar.observe(&of, &origin), clock).await,
                        // It is handed on when it arrives.
                        Source::OfJob => pending().await,
                    }
                };
                let reading = timeout(OBSERVE_TIMEOUT, reading).await.unwrap_or_else(|_| {
                    let detail = format!("no answer from the sidecar within {} s", OBSERVE_TIMEOUT.as_secs());
                    Err(ReadFailure { not_found: false, detail, answer: None })
                });
                Done::Observed { resource: of, number, reading }
            })
        });
    }

    /// Tells those who asked for it what `reading` shows.
    pub(super) fn show_to(
        &self,
        waiters: Vec<Waiter>,
        resource: &Alias,
        reading: &Result<Reading, ReadFailure>,
        now: Timestamp,
    ) {
        for waiter in waiters {
            match waiter {
                // The core was told.
                Waiter::Policy => {}
                Waiter::Observe(reply) => drop(reply.send(Ok(self.show(resource, reading.clone())))),
                Waiter::Plan(request, reply) => {
                    let plan = match reading {
                        Ok(reading) => self.core.plan(&request, reading, now).map_err(PlanError::Refused),
                        Err(failure) => Err(PlanError::NoReading(failure.clone())),
                    };
                    drop(reply.send(Ok(plan)));
                }
            }
        }
    }

    /// The status of a resource, with a reading that was made for it.
    pub(super) fn show(&self, resource: &Alias, reading: Result<Reading, ReadFailure>) -> Option<ResourceStatus> {
        let mut view = self.core.resource(resource, self.clock.now())?;
        self.projections.trim(&mut view);
        Some(match reading {
            Ok(reading) => {
                view.observation = Some(reading);
                ResourceStatus { view, failure: None }
            }
            Err(failure) => ResourceStatus { view, failure: Some(failure) },
        })
    }

    pub(super) fn answer(&mut self, to: ReplyTo, answer: Answer) {
        // The caller may have hung up.
        match self.waiting.remove(&to) {
            Some(Waiting::Submit(reply)) => drop(reply.send(Ok(Submitted::Answer(answer)))),
            Some(Waiting::Change(reply)) => drop(reply.send(Ok(answer))),
            None => {}
        }
    }

    pub(super) fn replay(&mut self, to: ReplyTo, job: JobId, joined: bool) {
        let shown = self.projections.table.get(job).map(|shown| Arc::clone(shown.job()));
        let reader = Arc::clone(&self.reader);
        self.tasks.spawn_local(async move {
            let job = match shown {
                Some(job) => Ok(Some(job)),
                // It is not shown any more, or not yet.
                None => reader.job(job).await.map(|event| event.map(|event| event.job)),
            };
            Done::Replayed { to, job, joined }
        });
    }

    /// The job of an earlier answer is found, or is no longer kept.
    pub(super) fn on_replayed(&mut self, to: ReplyTo, job: Result<Option<Arc<Job>>, StoreError>, joined: bool) {
        let Some(Waiting::Submit(reply)) = self.waiting.remove(&to) else { return };
        drop(reply.send(match job {
            Ok(Some(job)) => Ok(Submitted::Replayed { job: self.core.noted(job), joined }),
            Ok(None) => Ok(Submitted::Gone),
            Err(error) => Err(storage_unavailable(&error)),
        }));
    }

    /// Whether what was asked for is on the disk will only be known when the store works again.
    pub(super) fn abandon(&mut self, to: ReplyTo) {
        let unavailable = match &self.outage {
            Some(Unavailable::Storage(why)) => {
                Unavailable::Storage(format!("{why}; what was asked for just then may still be done"))
            }
            _ => Unavailable::Interrupted,
        };
        match self.waiting.remove(&to) {
            Some(Waiting::Submit(reply)) => drop(reply.send(Err(unavailable))),
            Some(Waiting::Change(reply)) => drop(reply.send(Err(unavailable))),
            None => {}
        }
    }
}

/// Nothing can be said about a resource whose lane was evicted before it is adopted again.
fn lane_unavailable() -> Unavailable {
    Unavailable::Storage("the records of the resource are being read again".into())
}

impl Command {
    pub(super) fn refuse(self, why: &Unavailable) {
        let why = why.clone();
        match self {
            Self::Submit(_, _, reply) => drop(reply.send(Err(why))),
            Self::SubmitGroup(_, _, reply) => drop(reply.send(Err(why))),
            Self::CancelGroup(_, _, reply) => drop(reply.send(Err(why))),
            Self::PlanGroup(_, reply) => drop(reply.send(Err(why))),
            Self::Change(_, _, _, reply) => drop(reply.send(Err(why))),
            Self::Plan(_, reply) => drop(reply.send(Err(why))),
            Self::Observe(_, _, reply) => drop(reply.send(Err(why))),
            Self::ListResources { reply, .. } => drop(reply.send(Err(why))),
            Self::Alternatives(_, _, reply) => drop(reply.send(Err(why))),
            Self::ChangePolicy(_, reply) => drop(reply.send(Err(why))),
            Self::Standing(_, reply) => drop(reply.send(Err(why))),
            Self::ListPolicies { reply, .. } => drop(reply.send(Err(why))),
            Self::Evaluate { reply, .. } => drop(reply.send(Err(why))),
            Self::TrialBasis { reply, .. } => drop(reply.send(Err(why))),
            Self::Health(reply) => drop(reply.send(Err(why))),
        }
    }
}
