//! What happens in a life: the nature of its surroundings and the list of what is done to the gateway.
//!
//! It is data, so that a failing one can be cut down to what matters and printed.

use std::time::Duration;

use scalegate::domain::{OnConflict, SettingLimits};
use scalegate::sim::CommitFailure;

use crate::groups::GroupAct;
use crate::policies::PolicyAct;

/// Resources in every life.
pub const RESOURCES: [&str; 2] = ["worker", "api"];
/// Where their capacities may be put.
pub const MOST_UNITS: u32 = 6;

/// A whole life before it is lived.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub nature: Nature,
    pub acts: Vec<Act>,
}

/// What holds for a whole life.
#[derive(Clone, Debug)]
pub struct Nature {
    /// Decides what chance decides within the life.
    pub seed: u64,
    pub start_units: u32,
    /// The setting, which all delays together stay within unless [`Nature::beyond_settle`].
    pub settle: Duration,
    /// A change takes effect at most this long after its request.
    pub apply_within: Duration,
    /// A reading is at most this old.
    pub lag: Duration,
    pub lags: Lags,
    pub stamps: Stamps,
    /// From a change taking effect to the resource being ready.
    pub provisioning: Duration,
    /// Whether the new capacity shows while it is provisioned.
    pub goal_while_modifying: bool,
    pub status_at_zero: &'static str,
    pub active_timeout: Duration,
    pub poll_interval: Duration,
    /// Whether changes may take effect later than `settle`, which the promises about capacities exclude.
    pub beyond_settle: bool,
    pub tightening: Option<Tightening>,
}

/// The operator asks for more care than before.
#[derive(Clone, Copy, Debug)]
pub struct Tightening {
    /// From this restart on, counted from 1.
    pub at_restart: u64,
    pub limits: SettingLimits,
}

/// How old readings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lags {
    /// Always the same.
    Steady,
    /// Whichever of several replicas answers: readings go backwards.
    Replicas,
}

/// What readings say about when they were observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    Honest,
    /// The time of the request, however old the reading is.
    Lying,
    Missing,
    /// The year 1.
    Zero,
    /// An hour ahead.
    Ahead,
    /// The time of the last change of the resource.
    OfLastChange,
    /// One or the other.
    Mixed,
}

/// What befalls a request to change a capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeFate {
    RequestLost,
    AnswerLost,
    /// 500, and it has no effect.
    ErrorBefore,
    /// 500, and it has its effect all the same.
    ErrorAfter,
    /// Answered some time later.
    Slow,
    /// No answer in time; it takes effect at some time.
    TimedOutApplied,
    /// No answer in time; it has no effect.
    TimedOutLost,
    /// 200 with a body that is not JSON; it has its effect.
    Garbage,
    /// 400, 404, 409 or 422; it has no effect.
    Rejected,
    /// 408, 425 or 429; it has no effect.
    Throttled,
    /// 408 although it has its effect.
    ThrottledAfter,
    /// 302; it has no effect.
    Redirected,
    /// The connection is refused.
    Refused,
    /// 200, and it never has any effect.
    Swallowed,
}

impl ChangeFate {
    pub const ALL: [Self; 14] = [
        Self::RequestLost,
        Self::AnswerLost,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::Slow,
        Self::TimedOutApplied,
        Self::TimedOutLost,
        Self::Garbage,
        Self::Rejected,
        Self::Throttled,
        Self::ThrottledAfter,
        Self::Redirected,
        Self::Refused,
        Self::Swallowed,
    ];
}

/// What befalls a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReadFate {
    Closed,
    Error,
    Garbage,
    NotFound,
    /// Answered some time later, with what was true when it was asked.
    Slow,
    TimedOut,
}

impl ReadFate {
    pub const ALL: [Self; 6] = [Self::Closed, Self::Error, Self::Garbage, Self::NotFound, Self::Slow, Self::TimedOut];
}

/// Something that is done to the gateway or around it.
#[derive(Clone, Debug)]
pub enum Act {
    Submit(Submission),
    /// Submits again what the so-manieth submission was, with its key.
    SubmitAgain(usize),
    /// Cancels the so-manieth job.
    Cancel(usize),
    /// Lets so many things happen.
    Events(u32),
    /// Lets time pass.
    Pass(Duration),
    /// The process dies with so many of its commits under way on the disk.
    Crash {
        durable: usize,
        away: Duration,
        reboot: bool,
    },
    /// The process is told to stop, sees through what is on its way, and is started again.
    Restart {
        away: Duration,
    },
    /// The wall's clock is set by so many milliseconds.
    SetClock(i64),
    NextChange(ChangeFate),
    NextReadings(ReadFate, u8),
    /// The sidecar refuses connections from now on, or no longer.
    SidecarDown(bool),
    /// Another program sets the capacity.
    SetCapacity {
        resource: usize,
        units: u32,
    },
    /// The resource shows this status from now on, or its own again.
    Status {
        resource: usize,
        status: Option<&'static str>,
    },
    /// Commits take so long from now on.
    CommitsTake(Duration),
    /// The next commit that did not fail already fails.
    CommitFails(CommitFailure),
    /// Changes take so long to be on their way from now on.
    DispatchTakes(Duration),
    /// Forgets what can no longer matter.
    CleanUp,
    Policy(PolicyAct),
    Group(GroupAct),
}

/// A request to scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Submission {
    pub resource: usize,
    pub goal: Wish,
    pub on_conflict: OnConflict,
    pub step_size: u32,
    pub cooldown: Duration,
    /// Whether it allows more time to settle than is needed.
    pub settles_slowly: bool,
    pub deadline: Duration,
    /// One of a few idempotency keys.
    pub key: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    Target(u32),
    Delta(i32),
}

impl Scenario {
    /// Whether the sidecar does what no protocol can cope with: changes in effect later than `settle`, or never
    /// although it said yes, or a capacity that shows nothing of a change for longer than `settle` with a status that
    /// hides it too.
    pub fn is_lawless(&self) -> bool {
        let nature = &self.nature;
        let shows_late = !nature.goal_while_modifying && nature.provisioning > nature.settle / 2;
        nature.beyond_settle
            || self.acts.iter().any(|act| match act {
                Act::NextChange(fate) => *fate == ChangeFate::Swallowed,
                Act::Status { status, .. } => shows_late && status.is_some(),
                _ => false,
            })
    }

    /// Whether nothing happens that could make a job fail, apart from its own deadline: the sidecar answers and does
    /// what it is asked well within all patience. The process may die all the same.
    pub fn is_calm(&self) -> bool {
        let nature = &self.nature;
        let takes = nature.apply_within + nature.provisioning + nature.lag * 2 + Duration::from_secs(10);
        takes < nature.active_timeout
            && !nature.beyond_settle
            && matches!(nature.stamps, Stamps::Honest | Stamps::Lying)
            && nature.status_at_zero != "DEPLOYING"
            && !self.acts.iter().any(|act| {
                matches!(
                    act,
                    Act::SetClock(_)
                        | Act::NextChange(_)
                        | Act::NextReadings(..)
                        | Act::SidecarDown(_)
                        | Act::SetCapacity { .. }
                        | Act::Status { .. }
                )
            })
    }

    /// Whether every change takes the same time, and readings show at once what is so.
    pub fn is_steady(&self) -> bool {
        let Nature { apply_within, lag, stamps, .. } = self.nature;
        self.is_calm() && apply_within.is_zero() && lag.is_zero() && stamps == Stamps::Honest
    }

    /// Whether decisions are compared with dry runs, which takes time.
    pub fn compares_dry_runs(&self) -> bool {
        self.nature.seed.is_multiple_of(4) && self.acts.iter().any(|act| matches!(act, Act::Policy(_)))
    }

    /// Whether the clocks of the gateway and of what readings tell agree.
    pub fn has_honest_clocks(&self) -> bool {
        let is_set = |act: &Act| matches!(act, Act::SetClock(_));
        self.nature.stamps == Stamps::Honest && !self.acts.iter().any(is_set)
    }

    /// Whether any program but the gateway moves capacities.
    pub fn is_interfered_with(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, Act::SetCapacity { .. }))
    }
}

impl Nature {
    /// How much older a reading can be than it says.
    pub fn hidden_age(&self) -> Duration {
        match self.stamps {
            Stamps::Lying | Stamps::Mixed => self.lag,
            Stamps::Honest | Stamps::Missing | Stamps::Zero | Stamps::Ahead | Stamps::OfLastChange => Duration::ZERO,
        }
    }
}
