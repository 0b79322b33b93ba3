//! The stages after the rules: each takes the number of the one before and names itself if it changes it.

use super::super::capacity::{Capacity, Op};
use super::super::time::Timestamp;
use super::climb::Pace;
use super::decision::{Limiter, StageValue};
use super::demand::{Claim, ClaimKind, Direction, HoldKind, Whereabouts};
use super::document::Policy;
use super::inputs::Inputs;
use super::name::Name;
use super::rules::{Recommendation, plus};
use super::state::{PolicyState, Refused};
use super::time_words::{clock, seconds};
use super::timer::Timer;
use super::windows::{Start, Windows};

/// The number on its way through the stages.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The number now.
    pub value: Capacity,
    /// The first stage, and those that changed it.
    pub stages: Vec<StageValue>,
}

impl Trace {
    /// Begins with what the rules want.
    pub fn new(wanted: Capacity) -> Self {
        Self { value: wanted, stages: vec![StageValue { stage: Limiter::Rules, value: wanted, detail: None }] }
    }

    /// Takes `value` as the number after `stage`.
    pub fn set(&mut self, stage: Limiter, value: Capacity, detail: impl FnOnce() -> String) {
        if value != self.value {
            self.value = value;
            self.stages.push(StageValue { stage, value, detail: Some(detail()) });
        }
    }

    /// The last stage that changed the number.
    pub fn limited_by(&self) -> Option<Limiter> {
        self.stages.last().map(|stage| stage.stage).filter(|stage| *stage != Limiter::Rules)
    }
}

/// What claims ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The highest of the claims for a least capacity.
    pub at_least: u32,
    /// The sum of the extra units.
    pub extra: u32,
    /// When the first of them ends.
    pub until: Option<Timestamp>,
}

/// Adds up the claims that count at `now`.
pub fn asked(claims: &[Claim], now: Timestamp, timer: &mut Timer) -> Asked {
    let mut asked = Asked::default();
    for claim in claims {
        timer.note(claim.from);
        if !claim.counts_at(now) {
            continue;
        }
        timer.note(claim.until);
        asked.until = Some(asked.until.map_or(claim.until, |until| until.min(claim.until)));
        match claim.kind {
            ClaimKind::AtLeast => asked.at_least = asked.at_least.max(claim.units.units()),
            ClaimKind::Extra => asked.extra = asked.extra.saturating_add(claim.units.units()),
        }
    }
    asked
}

/// Whether anything is asked of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Something is.
    Some,
    /// Nothing is, and all inputs say so.
    None,
    /// It cannot be told: no rule has an opinion, or what one needs to know is missing.
    Unknown,
}

impl Demand {
    /// Whether something is asked for.
    pub fn is_some(self) -> bool {
        self == Self::Some
    }

    /// Whether it is certain that nothing is.
    pub fn is_none(self) -> bool {
        self == Self::None
    }
}

/// The demand, given whether a claim or a window asks for something.
pub fn demand(recommendations: &[(Name, Recommendation)], is_asked_for: bool) -> Demand {
    let mut wishes = recommendations.iter().filter_map(|(_, said)| said.wants);
    if is_asked_for || wishes.clone().any(|wants| wants > Capacity::ZERO) {
        Demand::Some
    } else if wishes.next().is_some() && !recommendations.iter().any(|(_, said)| said.lacks_input) {
        Demand::None
    } else {
        Demand::Unknown
    }
}

/// The way to 0 and back. The resource is at 0 or at the least capacity, never between; only what asks for something
/// brings it back, and only demand that is known to be none sends it there.
pub fn idle(
    trace: &mut Trace,
    policy: &Policy,
    idle_since: Option<Timestamp>,
    is_asked_for: bool,
    present: Capacity,
    timer: &mut Timer,
) {
    let Some(after) = policy.idle_after else { return };
    let now = timer.now();
    let least = policy.min.max(plus(Capacity::ZERO, 1));
    let idle_at = idle_since.map(|since| since + after);
    if is_asked_for {
        trace.set(Limiter::Idle, trace.value.max(least), || format!("awake: at least {least}"));
    } else if present == Capacity::ZERO {
        trace.set(Limiter::Idle, Capacity::ZERO, || "asleep until something is wanted".to_owned());
    } else if idle_at.is_some_and(|at| at <= now) {
        trace.set(Limiter::Idle, Capacity::ZERO, || format!("nothing was wanted for {}", seconds(after)));
    } else {
        if let Some(at) = idle_at {
            timer.note(at);
        }
        let until = idle_at.map_or(String::new(), |at| format!(" before {}", clock(at, now)));
        trace.set(Limiter::Idle, trace.value.max(least), || format!("not to 0{until}"));
    }
}

/// Explicit demands of callers.
pub fn claims(trace: &mut Trace, asked: &Asked, now: Timestamp) {
    let with_extra = plus(trace.value, i64::from(asked.extra));
    let value = with_extra.max(plus(Capacity::ZERO, i64::from(asked.at_least)));
    let until = asked.until.map_or(String::new(), |until| format!(" until {}", clock(until, now)));
    trace.set(Limiter::Claims, value, || {
        if value > with_extra {
            format!("claims ask for at least {}{until}", asked.at_least)
        } else {
            format!("claims ask for {} more{until}", asked.extra)
        }
    });
}

/// The bounds of windows, and changes that would make one late.
pub fn windows(trace: &mut Trace, windows: &Windows, pace: &Pace, start: Start) {
    if let Some(min) = &windows.min {
        let value = trace.value.max(min.units);
        trace.set(Limiter::Windows, value, || min.detail.clone());
    }
    if let Some((least, detail)) = windows.least_in_time(pace, start, trace.value) {
        trace.set(Limiter::Windows, least, || detail);
    }
    if let Some(max) = &windows.max {
        let value = trace.value.min(max.units);
        trace.set(Limiter::Windows, value, || max.detail.clone());
    }
}

/// The bounds of the policy. What the idle stage sent to 0 stays there.
pub fn bounds(trace: &mut Trace, policy: &Policy) {
    if policy.idle_after.is_some() && trace.value == Capacity::ZERO {
        return;
    }
    let value = trace.value.clamp(policy.min, policy.max);
    let (bound, word) = if value > trace.value { (policy.min, "min") } else { (policy.max, "max") };
    trace.set(Limiter::Bounds, value, || format!("{word} {bound} of the policy"));
}

/// A hold, judged against the capacity there really is, and against the one that a change under way leads to.
pub fn hold(trace: &mut Trace, inputs: &Inputs<'_>, capacity: Capacity, now: Timestamp) {
    let Some(hold) = inputs.hold else { return };
    let (until, there) = (clock(hold.until, now), Whereabouts::of(capacity, inputs.in_flight));
    let (value, what) = match hold.kind {
        HoldKind::Capacity(pin) => (pin, format!("pinned to {pin}")),
        HoldKind::Direction(Direction::Both) => (capacity, "no change".to_owned()),
        HoldKind::Direction(Direction::Up) => (trace.value.min(there.lowest), "no rise".to_owned()),
        HoldKind::Direction(Direction::Down) => (trace.value.max(there.highest), "no fall".to_owned()),
    };
    trace.set(Limiter::Hold, value, || format!("{what} by a hold until {until}"));
}

/// The bounds that the configuration sets.
pub fn file(trace: &mut Trace, inputs: &Inputs<'_>) {
    let bounds = inputs.file_bounds;
    let value = trace.value.max(bounds.min).min(bounds.max);
    let (bound, word) = if value > trace.value { (bounds.min, "min") } else { (bounds.max, "max") };
    trace.set(Limiter::File, value, || format!("{word} {bound} of the configuration"));
}

/// Capacities that the platform refused.
pub fn platform(trace: &mut Trace, state: &PolicyState, capacity: Capacity, now: Timestamp) {
    for op in [Op::Add, Op::Remove] {
        let Some(Refused { capacity: refused, until }) =
            state.direction(op).refused.filter(|refused| refused.until > now)
        else {
            continue;
        };
        let value = match op {
            Op::Add if trace.value > capacity => trace.value.min(plus(refused, -1).max(capacity)),
            Op::Remove if trace.value < capacity => trace.value.max(plus(refused, 1).min(capacity)),
            Op::Add | Op::Remove => continue,
        };
        let until = clock(until, now);
        trace.set(Limiter::Platform, value, || {
            format!("the platform refused {refused}; it is asked again after {until}")
        });
    }
}
