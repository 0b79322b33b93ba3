//! Policies: how the target of a resource follows metrics, schedules, other resources and callers' claims.
//!
//! [`Policy`] is the document. Everything here is pure: no I/O, no clock, and the time is an argument. A policy never
//! changes capacity itself: what it decides becomes a job of its own, in the same lane as the jobs of people.
//!
//! Start reading at [`decide`]: events in, a [`Decision`] and an [`Act`] out, and the [`PolicyState`] that the next one needs.
//!
//! Missing is not zero: nothing here turns an absent, old or senseless value into a number.

mod act;
mod alert;
mod behavior;
mod climb;
mod condition;
mod decide;
mod decision;
mod demand;
mod document;
mod explain;
mod expression;
mod foresight;
mod inputs;
mod lessons;
mod metric;
mod name;
mod note;
mod number_words;
mod plan;
mod rules;
mod schedule;
mod stages;
mod state;
mod time_words;
mod timer;
mod windows;

pub use act::Act;
pub use alert::Alert;
pub use climb::{Due, Pace};
pub use condition::{Condition, ConditionCode};
pub use decide::{Outcome, TOGETHER, decide};
pub use decision::{Action, Alternative, Beyond, Decision, DecisionId, Limiter, Opinion, Says, StageValue, Trigger};
pub use demand::{Claim, ClaimId, ClaimKind, Direction, Hold, HoldKind, PinNote, Whereabouts};
pub use document::{
    Aggregate, Band, Behavior, ExpressionRule, Follow, Forecast, ForecastSource, MAX_METRICS, MAX_RULES, MetricSpec,
    Mode, OnMissing, Policy, PolicyNews, Rule, RuleKind, Smoothing, Source, StepRule, Target, Threshold,
    ThresholdChange, Utilization,
};
pub use expression::{Expression, InvalidExpression, MAX_EXPRESSION_BYTES};
pub use foresight::{ForecastState, Foresight, foresights};
pub use inputs::{Foreseen, Inputs, LastReading, OwnJob};
pub use lessons::{Assignment, assignments};
pub use metric::{Insertion, MetricState, Missing, NoValue, Sample, Series, stale_at};
pub use name::{InvalidName, Name};
pub use note::{JobNote, direction_of};
pub use number_words::number;
pub use plan::{Planned, Prospects, plan};
pub use schedule::{
    CronExpression, CronField, CronWindow, DayOfWeek, InvalidCron, MAX_CRON_CHARS, MAX_RECURRING_WINDOW, Occurrence,
    Ready, Transition, UnknownZone, Weekly, When, Window, transitions, zone,
};
pub use state::{JobEnd, PolicyState};
