//! Gateways broken on purpose. The referee has to catch every one of them, or it proves nothing about the real one.
//!
//! Each is broken from outside, in what surrounds the engine, so that the engine needs no hooks for it.

use std::sync::Arc;
use std::time::Duration;

use scalegate::domain::policy::Mode;
use scalegate::domain::{JobId, JobState, StepOutcome};
use scalegate::sim::{Machine, Restored};
use scalegate::store::{RecordChange, Unit};

use crate::policies::{Plan, RulePlan};
use crate::referee::Referee;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A change whose outcome is unknown is sent again.
    ResendOnTimeout,
    /// A restart forgets when the last change was sent.
    CooldownInMemoryOnly,
    /// A usable reading is waited for, and then the capacity is read once more to decide on.
    ActOnReRead,
    /// A change is taken to show at once.
    NoSettleTime,
    /// A change is sent without having been recorded.
    NoIntentRecord,
    /// The store says of a commit that it is on the disk when it is not yet.
    CommitsEarly,
    /// A restart forgets which idempotency keys were used.
    ForgottenKeys,
    /// A restart takes the time from a clock that may have been set.
    WallClock,
    /// A restart forgets the jobs that wait for their turn.
    ForgottenQueue,
    /// A restart gives ids of versions out again.
    RepeatedEventIds,
    /// The store loses what happened to resources.
    NoTimeline,
    /// One unit more is changed than was decided.
    OneUnitTooMany,
    /// What is to happen at some time does not.
    TimersIgnored,
    /// A restart does not hear of limits of settings that the operator has tightened.
    LimitsIgnored,
    /// A source that gives no number is taken to give 0.
    MissingIsZero,
    /// What a policy remembers, such as the wishes that stabilise it, is kept in memory only.
    PolicyStateInMemoryOnly,
    /// A window that asks for a capacity is content with one unit less: close enough.
    ToleranceOnSchedules,
    /// A policy that is to advise acts.
    ActsInAdvise,
    /// Whatever value comes counts as observed just now, also one from before the last change.
    SamplesAlwaysNew,
    /// A change goes out although the target that it was intended for has been replaced.
    StaleIntent,
    /// A hold is accepted and counts for nothing.
    HoldsIgnored,
    /// A restart forgets claims.
    ForgottenClaims,
    /// A restart does not read which policies the configuration file lays down.
    FileIgnored,
    /// The store loses the job of a group's last member when the group is accepted.
    HalfAGroup,
    /// A restart forgets that members of groups wait for their stage.
    ForgottenStages,
    /// A restart forgets groups; their jobs go on alone.
    ForgottenGroups,
    /// A request that changes several resources is sent again when its outcome is unknown.
    ResendTogether,
    /// An answer that is no clear yes to such a request is taken to refuse all of it.
    RefusalOfAll,
    /// The intents of such a request are written one by one, and it is sent after the first.
    FirstIntentOnly,
}

impl Sabotage {
    pub const ALL: [Self; 29] = [
        Self::ResendOnTimeout,
        Self::CooldownInMemoryOnly,
        Self::ActOnReRead,
        Self::NoSettleTime,
        Self::NoIntentRecord,
        Self::CommitsEarly,
        Self::ForgottenKeys,
        Self::WallClock,
        Self::ForgottenQueue,
        Self::RepeatedEventIds,
        Self::NoTimeline,
        Self::OneUnitTooMany,
        Self::TimersIgnored,
        Self::LimitsIgnored,
        Self::MissingIsZero,
        Self::PolicyStateInMemoryOnly,
        Self::ToleranceOnSchedules,
        Self::ActsInAdvise,
        Self::SamplesAlwaysNew,
        Self::StaleIntent,
        Self::HoldsIgnored,
        Self::ForgottenClaims,
        Self::FileIgnored,
        Self::HalfAGroup,
        Self::ForgottenStages,
        Self::ForgottenGroups,
        Self::ResendTogether,
        Self::RefusalOfAll,
        Self::FirstIntentOnly,
    ];

    /// How the violation begins that is to be noticed.
    pub fn breaks(self) -> &'static str {
        match self {
            Self::ResendOnTimeout | Self::ResendTogether => "never twice",
            Self::CooldownInMemoryOnly | Self::WallClock => "never inside a cooldown",
            Self::ActOnReRead | Self::NoSettleTime => "never on a stale reading",
            Self::NoIntentRecord | Self::FirstIntentOnly => "intended before sent",
            Self::CommitsEarly => "accepted is durable",
            Self::ForgottenKeys => "the same key gets the same answer",
            Self::ForgottenQueue | Self::TimersIgnored => "every job ends",
            Self::RepeatedEventIds => "no change is missed",
            Self::NoTimeline => "what is told is kept",
            Self::OneUnitTooMany => "never past the target or the bounds",
            Self::LimitsIgnored => "never with less care than the operator asks for",
            Self::MissingIsZero => "missing is not zero",
            Self::PolicyStateInMemoryOnly | Self::ForgottenClaims => "no amnesia",
            Self::ToleranceOnSchedules => "a window means what it says",
            Self::ActsInAdvise => "nothing unasked",
            Self::SamplesAlwaysNew => "never twice on one sample",
            Self::StaleIntent => "never a stale intent",
            Self::HoldsIgnored => "under a hold only what its pin asks for",
            Self::FileIgnored => "the file has the last word",
            Self::HalfAGroup => "a group is accepted whole",
            Self::ForgottenStages => "stages never overlap",
            Self::ForgottenGroups => "every group ends",
            Self::RefusalOfAll => "step ",
        }
    }

    /// The settle time the gateway works with where `settle` would be right.
    pub fn settle(self, settle: Duration) -> Duration {
        if self == Self::NoSettleTime { Duration::ZERO } else { settle }
    }

    /// The policy the gateway works with where `plan` would be right.
    pub fn plan(self, mut plan: Plan) -> Plan {
        let least = plan.min;
        match self {
            Self::ActsInAdvise if plan.mode == Mode::Advise => plan.mode = Mode::Active,
            Self::ToleranceOnSchedules => {
                let mins = plan.rules.iter_mut().filter_map(RulePlan::min_mut);
                mins.for_each(|min| *min = min.saturating_sub(1).max(least));
            }
            _ => {}
        }
        plan
    }

    /// Breaks `machine`.
    pub fn apply(self, machine: &mut Machine<Referee>) {
        match self {
            Self::CooldownInMemoryOnly => machine.disk.forget = Some(forget_cooldowns),
            Self::ForgottenKeys => machine.disk.forget = Some(|restored| restored.admissions.entries.clear()),
            Self::ForgottenQueue => machine.disk.forget = Some(forget_queue),
            Self::RepeatedEventIds => machine.disk.forget = Some(|restored| restored.next_event = 1),
            Self::NoTimeline => machine.disk.corrupt = Some(|batch| batch.history.clear()),
            Self::NoIntentRecord => machine.disk.corrupt = Some(drop_intents),
            Self::FirstIntentOnly => machine.disk.corrupt = Some(drop_later_intents),
            Self::CommitsEarly => machine.commits_early = true,
            Self::TimersIgnored => machine.ignores_timers = true,
            Self::StaleIntent => machine.sends_withdrawn = true,
            Self::PolicyStateInMemoryOnly => machine.disk.forget = Some(forget_policy_states),
            Self::ForgottenClaims => machine.disk.forget = Some(forget_claims),
            Self::HalfAGroup => machine.disk.corrupt = Some(drop_last_member),
            Self::ForgottenStages => machine.disk.forget = Some(forget_stages),
            Self::ForgottenGroups => machine.disk.forget = Some(|restored| restored.adoption.groups.clear()),
            Self::ResendOnTimeout
            | Self::ResendTogether
            | Self::RefusalOfAll
            | Self::ActOnReRead
            | Self::NoSettleTime
            | Self::WallClock
            | Self::OneUnitTooMany
            | Self::LimitsIgnored
            | Self::MissingIsZero
            | Self::ToleranceOnSchedules
            | Self::ActsInAdvise
            | Self::SamplesAlwaysNew
            | Self::HoldsIgnored
            | Self::FileIgnored => {}
        }
    }
}

fn forget_cooldowns(restored: &mut Restored) {
    for lane in &mut restored.adoption.lanes {
        lane.record.change_state.last_change = None;
    }
}

fn forget_policy_states(restored: &mut Restored) {
    let policies = restored.adoption.lanes.iter_mut().filter_map(|lane| lane.policy.as_mut());
    policies.for_each(|policy| policy.state = None);
}

fn forget_claims(restored: &mut Restored) {
    let policies = restored.adoption.lanes.iter_mut().filter_map(|lane| lane.policy.as_mut());
    policies.for_each(|policy| policy.claims.clear());
}

fn forget_queue(restored: &mut Restored) {
    for lane in &mut restored.adoption.lanes {
        lane.jobs.retain(|event| event.job.state == JobState::Running);
    }
}

fn forget_stages(restored: &mut Restored) {
    for event in restored.adoption.lanes.iter_mut().flat_map(|lane| &mut lane.jobs) {
        if let Some(membership) = &mut Arc::make_mut(&mut event.job).membership {
            membership.awaits_stage = false;
        }
    }
}

fn drop_last_member(unit: &mut Unit) {
    let accepted = unit.groups.iter().filter(|group| group.version == 1);
    let lost: Vec<JobId> = accepted.filter_map(|group| Some(group.members.last()?.job)).collect();
    unit.jobs.retain(|job| !lost.contains(&job.id));
}

fn drop_later_intents(unit: &mut Unit) {
    let mut intents = 0;
    unit.jobs.retain(|job| {
        let intends =
            job.steps.last().is_some_and(|step| step.outcome == StepOutcome::Pending && step.sent_at.is_none());
        intents += u32::from(intends);
        !intends || intents == 1
    });
}

fn drop_intents(unit: &mut Unit) {
    let is_intended = |outcome| outcome == StepOutcome::Pending;
    unit.jobs.retain(|job| job.steps.last().is_none_or(|step| !is_intended(step.outcome)));
    for lane in &mut unit.lanes {
        if matches!(&lane.record, RecordChange::Write(record) if record.change.is_some()) {
            lane.record = RecordChange::Keep;
        }
    }
}
