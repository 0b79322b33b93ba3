//! What the engine and the store refuse or cannot do, as problems.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ApiError, Code, FieldErrors};
use crate::domain::policy::{Direction, Hold, HoldKind};
use crate::domain::{Actor, Alias, Job, MAX_STEPS};
use crate::engine::{PlanError, PolicyRefusal, Refusal, Unavailable};
use crate::store::NoRoom;

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ResourceNotListed { resource } => Self::new(
                Code::ResourceNotFound,
                format!("\"{resource}\" is not among the resources this gateway is configured for."),
            ),
            Refusal::LessCare { problems } => {
                let mut errors = FieldErrors::default();
                problems.into_iter().for_each(|invalid| errors.add_setting(invalid));
                Self::invalid(errors)
            }
            Refusal::OutOfBounds { target, bounds } => Self::new(
                Code::OutOfBounds,
                format!("The target {target} is outside the bounds of the resource, {} to {}.", bounds.min, bounds.max),
            )
            .at("/targetCapacity"),
            Refusal::DeltaOutOfBounds { start, delta, bounds } => Self::new(
                Code::OutOfBounds,
                format!(
                    "A delta of {delta:+} from {start} leads outside the bounds of the resource, {} to {}.",
                    bounds.min, bounds.max
                ),
            )
            .at("/delta"),
            Refusal::TooManySteps { start, target, step_size } => Self::new(
                Code::OutOfBounds,
                format!(
                    "From {start} to {target} by {step_size} takes more than {} steps; use a larger stepSize, if the operator allows it, \
                     or a nearer target.",
                    MAX_STEPS
                ),
            )
            .at("/stepSize"),
            Refusal::Held(hold) => Self::new(Code::ResourceHeld, held_detail(&hold)),
            Refusal::Busy { by } => Self::new(Code::ResourceBusy, busy_detail(&by)).with_job(by.id),
            Refusal::MembersBusy { by } => Self::new(Code::ResourceBusy, members_busy_detail(&by)).with_jobs(&by),
            Refusal::Member { resource, refusal } => Self::from(*refusal).of_member(&resource),
            Refusal::QueueFull { limit } => {
                Self::new(Code::QueueFull, format!("{limit} jobs are waiting for this resource already."))
            }
            Refusal::TooManyResources { limit } => {
                Self::new(Code::TooManyResources, too_many_resources(limit, "are scaled"))
            }
            Refusal::TooManyResourcesOfKey { limit } => {
                Self::new(Code::TooManyResources, too_many_resources(limit, "are scaled with this API key"))
            }
            Refusal::NoRoom(no_room) => no_room.into(),
            Refusal::NotUnfinished => Self::new(Code::JobFinished, "The job is over already."),
        }
    }
}

fn too_many_resources(limit: usize, are_scaled: &str) -> String {
    format!(
        "{limit} resources that the configuration does not list {are_scaled} already. List the resource in the \
         configuration, or wait until others are forgotten: a day after their last change, and a minute after their last \
         job if there was none."
    )
}

fn held_detail(hold: &Hold) -> String {
    let by = match hold.by.as_ref() {
        Some(Actor::Key { key, name }) => format!(" by the key {key} ({name})"),
        _ => String::new(),
    };
    let what = match hold.kind {
        HoldKind::Capacity(capacity) => format!("The resource is held at capacity {capacity}"),
        HoldKind::Direction(Direction::Both) => "The resource is held".to_owned(),
        HoldKind::Direction(Direction::Up) => "The resource is held on the way up".to_owned(),
        HoldKind::Direction(Direction::Down) => "The resource is held on the way down".to_owned(),
    };
    let why = hold.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{what} until {}{by}{why}.", hold.until)
}

fn busy_detail(job: &Job) -> String {
    let goal = job.target.map_or("by a delta".to_owned(), |target| format!("to {target}"));
    format!("Job {} is scaling \"{}\" {goal}. onConflict says what else can be done.", job.id, job.resource)
}

fn members_busy_detail(jobs: &[Arc<Job>]) -> String {
    let resources: BTreeSet<&str> = jobs.iter().map(|job| job.resource.as_str()).collect();
    let resources: Vec<&str> = resources.into_iter().collect();
    format!("Unfinished jobs are scaling {}. onConflict says what else can be done.", resources.join(", "))
}

impl ApiError {
    /// Why a change was not made, or may not have been.
    pub(in crate::api) fn of_change(unavailable: Unavailable) -> Self {
        let (Unavailable::Interrupted | Unavailable::Slow) = unavailable else { return unavailable.into() };
        let detail = "What was asked for may still be done: see what there is, or send a submission again with the same \
                      Idempotency-Key.";
        Self::new(Code::OutcomeUnknown, format!("{} {detail}", sentence(&unavailable)))
    }
}

fn sentence(unavailable: &Unavailable) -> String {
    let text = unavailable.to_string();
    let mut letters = text.chars();
    let capitalised = letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect());
    format!("{capitalised}.")
}

impl From<Unavailable> for ApiError {
    fn from(unavailable: Unavailable) -> Self {
        let code = match unavailable {
            Unavailable::Storage(_) => Code::StorageUnavailable,
            Unavailable::Busy | Unavailable::Stopping | Unavailable::Interrupted | Unavailable::Slow => {
                Code::Overloaded
            }
        };
        Self::new(code, sentence(&unavailable))
    }
}

impl From<NoRoom> for ApiError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::TooManyJobs { limit } => {
                Self::new(Code::TooManyJobs, format!("{limit} jobs are unfinished already."))
            }
            NoRoom::TooManyJobsOfKey { limit } => Self::new(
                Code::TooManyJobsOfKey,
                format!("{limit} jobs submitted with this API key are unfinished already."),
            ),
            NoRoom::TooManyIdempotencyKeys { limit } => Self::new(
                Code::TooManyIdempotencyKeys,
                format!(
                    "{limit} idempotency keys were used with this API key within a day. Send the request without one, or later."
                ),
            ),
            NoRoom::TooMuchText { limit } => Self::new(
                Code::TooMuchText,
                format!(
                    "The reasons and labels of the jobs that are kept for this resource, or of this API key, would be longer \
                     than {limit} bytes together. Send shorter ones, or send the request again in a minute."
                ),
            ),
            NoRoom::KeyReused => {
                Self::new(Code::IdempotencyKeyReused, "The Idempotency-Key came with a different body before.")
            }
        }
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Refused(refusal) => refusal.into(),
            PlanError::NoReading(failure) => Self::no_reading(failure),
        }
    }
}

impl From<PolicyRefusal> for ApiError {
    fn from(refusal: PolicyRefusal) -> Self {
        Self::of_refusal(refusal, "")
    }
}

impl ApiError {
    /// Why something cannot be done with a policy, which stands at `pointer` in the body.
    pub(in crate::api) fn of_refusal(refusal: PolicyRefusal, pointer: &str) -> Self {
        match refusal {
            PolicyRefusal::ResourceNotListed => {
                Self::new(Code::ResourceNotFound, "It is not among the resources this gateway is configured for.")
            }
            PolicyRefusal::TooManyResources { limit } => {
                Self::new(Code::TooManyResources, too_many_resources(limit, "are in use"))
            }
            PolicyRefusal::NoPolicy => Self::new(Code::PolicyNotFound, "There is no policy for the resource."),
            PolicyRefusal::NoActivePolicy => Self::new(
                Code::NoPolicy,
                "It takes a policy that acts: put one for the resource, with the mode active.",
            ),
            PolicyRefusal::BeyondLimits { problems } => {
                let mut errors = FieldErrors::default();
                problems.into_iter().for_each(|it| errors.add(format!("{pointer}{}", it.pointer), it.detail));
                Self::invalid(errors)
            }
            PolicyRefusal::InFile => Self::new(
                Code::PolicyInFile,
                "The policy of the resource is given by the gateway's configuration. Change it there.",
            ),
            PolicyRefusal::Precondition { revision } => Self::new(
                Code::PreconditionFailed,
                revision.map_or("There is no policy for the resource.".to_owned(), |revision| {
                    format!("The policy of the resource is in revision {revision}.")
                }),
            ),
            PolicyRefusal::FollowsItself { circle } => {
                let circle: Vec<&str> = circle.iter().map(Alias::as_str).collect();
                Self::invalid_field(
                    format!("{pointer}/rules"),
                    format!("would have resources follow each other in a circle: {}", circle.join(", ")),
                )
            }
            PolicyRefusal::NoMetric { name } => {
                Self::new(Code::MetricNotFound, format!("The policy has no metric \"{name}\"."))
            }
            PolicyRefusal::NotPushed { name } => {
                Self::invalid_field("/path/name", format!("names the metric {name}, which is pulled from its source"))
            }
            PolicyRefusal::Negative { name } => Self::invalid_field(
                "/value",
                format!("must not be negative for the metric {name}, which does not allow it"),
            ),
            PolicyRefusal::NegativePrediction { name } => Self::invalid_field(
                "/forecast",
                format!("must not have negative values for the metric {name}, which does not allow them"),
            ),
            PolicyRefusal::NoCapacity => {
                Self::invalid_field("/capacity", "is required with status: there is no usable reading of the resource")
            }
            PolicyRefusal::NoHold => Self::new(Code::HoldNotFound, "There is no hold on the resource."),
            PolicyRefusal::NoClaim => {
                Self::new(Code::ClaimNotFound, "There is no such claim. A claim is gone when it has ended.")
            }
            PolicyRefusal::AlertResolved => {
                Self::new(Code::ClaimNotFound, "The alert was resolved already: the notification is older than that.")
            }
            PolicyRefusal::SameClaimEnded => Self::new(
                Code::ClaimNotFound,
                "The same request was answered before, with a claim that has ended. Nothing was done.",
            ),
            PolicyRefusal::NoRoom(no_room) => no_room.into(),
            PolicyRefusal::NotYours => {
                Self::new(Code::ClaimForbidden, "Only the key that made a claim, or an admin, can change it.")
            }
            PolicyRefusal::TooManyClaims { limit } => {
                Self::new(Code::TooManyClaims, format!("There are {limit} claims on the resource already."))
            }
            PolicyRefusal::TooManyClaimsOfKey { limit } => Self::new(
                Code::TooManyClaims,
                format!("There are {limit} claims of this API key on the resource already."),
            ),
            PolicyRefusal::ClaimAboveMax { max } => {
                Self::invalid_field("/units", format!("must be at most {max}, the largest capacity of the policy"))
            }
        }
    }
}
