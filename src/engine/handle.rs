//! How the rest of the process talks to the engine: over a bounded channel, with a reply.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::policy_requests::{
    EvaluationRequest, PolicyAnswer, PolicyRefusal, PolicyRequest, PolicyView, StandingView, TrialBasis,
};
use super::requests::{Alternatives, Answer, JobChange, JobPlan, NotedJob, Refusal, ResourceView};
use crate::domain::policy::{Decision, Policy};
use crate::domain::{
    Alias, Attempt, GroupId, GroupRequest, JobId, JobRequest, Reach, ReadFailure, Timestamp, TraceContext,
};
use crate::store::SubmitKey;

/// Requests that may wait for the engine. It takes some microseconds for most, and a microsecond for each resource on a page
/// of them: a full queue means that it is stuck in something else, and more waiting would not help.
const QUEUE: usize = 1024;
/// Longest wait for the engine itself, as opposed to the sidecar.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of the engine.
pub(super) enum Command {
    Submit(Box<JobRequest>, Option<SubmitKey>, oneshot::Sender<Result<Submitted, Unavailable>>),
    SubmitGroup(Box<GroupRequest>, Option<SubmitKey>, oneshot::Sender<Result<Answer, Unavailable>>),
    CancelGroup(GroupId, Option<Attempt>, oneshot::Sender<Result<Answer, Unavailable>>),
    PlanGroup(Box<GroupRequest>, oneshot::Sender<Result<Answer, Unavailable>>),
    Change(JobId, JobChange, Option<Attempt>, oneshot::Sender<Result<Answer, Unavailable>>),
    Plan(Box<JobRequest>, oneshot::Sender<Result<Result<JobPlan, PlanError>, Unavailable>>),
    Observe(Alias, Option<TraceContext>, oneshot::Sender<Result<Option<ResourceStatus>, Unavailable>>),
    ListResources {
        reach: Reach,
        after: Option<Alias>,
        size: usize,
        reply: oneshot::Sender<Result<Vec<ResourceView>, Unavailable>>,
    },
    Alternatives(Alias, Reach, oneshot::Sender<Result<Alternatives, Unavailable>>),
    ChangePolicy(Box<PolicyRequest>, oneshot::Sender<Result<Answer, Unavailable>>),
    Standing(Alias, oneshot::Sender<Result<StandingView, Unavailable>>),
    ListPolicies {
        reach: Reach,
        after: Option<Alias>,
        size: usize,
        reply: oneshot::Sender<Result<Vec<(Alias, PolicyView)>, Unavailable>>,
    },
    Evaluate {
        resource: Alias,
        asked: Box<EvaluationRequest>,
        reply: oneshot::Sender<Result<Result<Decision, PolicyRefusal>, Unavailable>>,
    },
    TrialBasis {
        resource: Alias,
        policy: Option<Box<Policy>>,
        reply: oneshot::Sender<Result<Result<TrialBasis, PolicyRefusal>, Unavailable>>,
    },
    Health(oneshot::Sender<Result<Health, Unavailable>>),
}

/// The answer to a submission.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// The engine's own.
    Answer(Answer),
    /// The same request was answered before.
    Replayed {
        /// The job in the answer, as it is now.
        job: NotedJob,
        /// Whether the request joined it.
        joined: bool,
    },
    /// The same request was answered before, with a job that is no longer kept.
    Gone,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The job would be refused.
    Refused(Refusal),
    /// The sidecar gives no reading.
    NoReading(ReadFailure),
}

/// A resource, and why there is no new reading of it, if there is none.
#[derive(Clone, Debug)]
pub struct ResourceStatus {
    /// What is known.
    pub view: ResourceView,
    /// What went wrong when it was asked for just now.
    pub failure: Option<ReadFailure>,
}

/// How the engine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Unfinished jobs.
    pub unfinished_jobs: usize,
    /// The last contact with the sidecar.
    pub sidecar: SidecarContact,
}

/// The last contact with the sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarContact {
    /// Whether the last call got an answer; `None` before the first.
    pub reachable: Option<bool>,
    /// When a call last got an answer.
    pub last_answer_at: Option<Timestamp>,
    /// Why the last one got none.
    pub last_failure: Option<String>,
}

/// The engine cannot take the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Its queue is full.
    #[error("too many requests are waiting")]
    Busy,
    /// The store cannot be written.
    #[error("the store cannot be used at present: {0}")]
    Storage(String),
    /// The process is going down.
    #[error("the gateway is stopping")]
    Stopping,
    /// The engine stopped, or started over from the store, before it answered.
    #[error("the request was interrupted")]
    Interrupted,
    /// It did not answer in time.
    #[error("the engine did not answer in time")]
    Slow,
}

/// A handle to the engine. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
}

/// What was asked of an engine that is still to be started.
pub struct EngineInbox(pub(super) mpsc::Receiver<Command>);

impl EngineHandle {
    /// A handle to an engine that is still to be started with what is asked meanwhile.
    pub fn channel() -> (Self, EngineInbox) {
        let (commands, inbox) = mpsc::channel(QUEUE);
        (Self { commands }, EngineInbox(inbox))
    }

    /// Submits a request to scale; the answer comes once it is durable.
    ///
    /// # Errors
    /// If the engine cannot take it. Only after [`Unavailable::Busy`] is it certain that nothing was done: otherwise the
    /// job may be durable without the engine having come to say so.
    pub async fn submit(&self, request: JobRequest, key: Option<SubmitKey>) -> Result<Submitted, Unavailable> {
        self.ask(PATIENCE, |reply| Command::Submit(Box::new(request), key, reply)).await
    }

    /// Submits a request to scale several resources; the answer comes once it is durable.
    ///
    /// # Errors
    /// As for [`EngineHandle::submit`].
    pub async fn submit_group(&self, request: GroupRequest, key: Option<SubmitKey>) -> Result<Answer, Unavailable> {
        self.ask(PATIENCE, |reply| Command::SubmitGroup(Box::new(request), key, reply)).await
    }

    /// Cancels an unfinished group; `attempt` says for whom, if that is to be recorded.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn cancel_group(&self, id: GroupId, attempt: Option<Attempt>) -> Result<Answer, Unavailable> {
        self.ask(PATIENCE, |reply| Command::CancelGroup(id, attempt, reply)).await
    }

    /// What would come of `request`: [`Answer::GroupPlanned`], or why it would be refused.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn plan_group(&self, request: GroupRequest) -> Result<Answer, Unavailable> {
        self.ask(PATIENCE, |reply| Command::PlanGroup(Box::new(request), reply)).await
    }

    /// Changes an unfinished job; `attempt` says for whom, if that is to be recorded.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn change(&self, id: JobId, change: JobChange, attempt: Option<Attempt>) -> Result<Answer, Unavailable> {
        self.ask(PATIENCE, |reply| Command::Change(id, change, attempt, reply)).await
    }

    /// Says what a request would do. Reads the sidecar, waiting for it at most `patience`.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn plan(
        &self,
        request: JobRequest,
        patience: Duration,
    ) -> Result<Result<JobPlan, PlanError>, Unavailable> {
        self.ask(PATIENCE + patience, |reply| Command::Plan(Box::new(request), reply)).await
    }

    /// Everything known about a resource, with a new reading; `None` if it may not be scaled here. Waits for the sidecar
    /// at most `patience`; `trace` is where that call belongs.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn observe(
        &self,
        resource: Alias,
        trace: Option<TraceContext>,
        patience: Duration,
    ) -> Result<Option<ResourceStatus>, Unavailable> {
        self.ask(PATIENCE + patience, |reply| Command::Observe(resource, trace, reply)).await
    }

    /// Everything known about the resources within `reach`, without new readings, by name: the first `size` of those
    /// that come after `after`.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn resources(
        &self,
        reach: Reach,
        after: Option<Alias>,
        size: usize,
    ) -> Result<Vec<ResourceView>, Unavailable> {
        self.ask(PATIENCE, |reply| Command::ListResources { reach, after, size, reply }).await
    }

    /// The resources within `reach` that a caller can have meant who wrote `alias`.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn alternatives(&self, alias: Alias, reach: Reach) -> Result<Alternatives, Unavailable> {
        self.ask(PATIENCE, |reply| Command::Alternatives(alias, reach, reply)).await
    }

    /// Changes what stands about a resource: its policy, its hold, its claims, or the values of its metrics. The answer comes
    /// once the change is durable, for values of metrics at once.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn change_policy(&self, request: PolicyRequest) -> Result<PolicyAnswer, Unavailable> {
        match self.ask(PATIENCE, |reply| Command::ChangePolicy(Box::new(request), reply)).await? {
            Answer::Policy(answer) => Ok(answer),
            // The engine answers each request in its own words.
            _ => Err(Unavailable::Interrupted),
        }
    }

    /// What stands about a resource besides its jobs.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn standing(&self, resource: Alias) -> Result<StandingView, Unavailable> {
        self.ask(PATIENCE, |reply| Command::Standing(resource, reply)).await
    }

    /// The policies of the resources within `reach`, by the names of these: the first `size` of those that come after
    /// `after`.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn policies(
        &self,
        reach: Reach,
        after: Option<Alias>,
        size: usize,
    ) -> Result<Vec<(Alias, PolicyView)>, Unavailable> {
        self.ask(PATIENCE, |reply| Command::ListPolicies { reach, after, size, reply }).await
    }

    /// The decision that would be taken now on what `asked` gives, and on what is held where it gives nothing.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn evaluate(
        &self,
        resource: Alias,
        asked: Box<EvaluationRequest>,
    ) -> Result<Result<Decision, PolicyRefusal>, Unavailable> {
        self.ask(PATIENCE, |reply| Command::Evaluate { resource, asked, reply }).await
    }

    /// What a backtest of `policy`, or else of the one in force, rests on.
    ///
    /// # Errors
    /// If the engine cannot take it.
    pub async fn trial_basis(
        &self,
        resource: Alias,
        policy: Option<Box<Policy>>,
    ) -> Result<Result<TrialBasis, PolicyRefusal>, Unavailable> {
        self.ask(PATIENCE, |reply| Command::TrialBasis { resource, policy, reply }).await
    }

    /// How the engine is doing.
    ///
    /// # Errors
    /// If it cannot work at present.
    pub async fn health(&self) -> Result<Health, Unavailable> {
        self.ask(PATIENCE, Command::Health).await
    }

    async fn ask<T>(
        &self,
        patience: Duration,
        command: impl FnOnce(oneshot::Sender<Result<T, Unavailable>>) -> Command,
    ) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(command(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Busy,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Stopping,
        })?;
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Unavailable::Interrupted),
            Err(_) => Err(Unavailable::Slow),
        }
    }
}
