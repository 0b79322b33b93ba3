//! What `scalegate demo --policy` tells of the day: a line for each decision that acted, and for the moments that matter.
//!
//! It tells what the gateway decided in fewer words than the gateway does, and must never tell what was not decided.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::load::PER_UNIT;
use super::rules::{AHEAD, WINDOW, WINDOW_MIN};
use super::timetable::Timetable;
use crate::api::view::DecisionView;
use crate::domain::Timestamp;
use crate::domain::policy::{Action, Limiter, number};

/// What the day came to so far.
pub(super) struct Story {
    zone: TimeZone,
    timetable: Timetable,
    /// Whether the window was what the last change was for.
    after_window: bool,
    /// The target that was told last.
    target: Option<u32>,
    /// Units that are ready.
    ready: u32,
    most_ready: u32,
    short: Duration,
    unit_hours: f64,
}

impl Story {
    /// The day of a service in `zone`.
    pub fn new(zone: TimeZone, timetable: Timetable) -> Self {
        Self {
            zone,
            timetable,
            after_window: false,
            target: None,
            ready: 0,
            most_ready: 0,
            short: Duration::ZERO,
            unit_hours: 0.0,
        }
    }

    /// The line about `decision`, if it changed the target.
    pub fn tell(&mut self, decision: &DecisionView) -> Option<String> {
        if !matches!(decision.action, Action::Submitted | Action::Retargeted) {
            return None;
        }
        let decided = decision.decided?;
        let before = self.target.replace(decided).or(decision.capacity)?;
        let why = self.why(decision, decided > before);
        Some(self.line(decision.at.0, format_args!("{before:>2} → {decided:<2}  {why}")))
    }

    fn why(&mut self, decision: &DecisionView, is_rise: bool) -> String {
        let was_after_window = std::mem::replace(&mut self.after_window, decision.limited_by == Some(Limiter::Windows));
        if self.after_window {
            let (from, _) = self.timetable.window();
            return format!("the window {WINDOW} needs {WINDOW_MIN} by {from}");
        }
        let highest = decision.rules.iter().filter(|rule| rule.wants.is_some()).max_by_key(|rule| rule.wants);
        match highest {
            Some(rule) if is_rise && rule.name == AHEAD => format!("forecast: {}", rule.detail),
            _ if is_rise => format!("load: {} requests per second", requests(decision)),
            _ if was_after_window => format!("the window {WINDOW} is over; {} requests per second", requests(decision)),
            _ => format!("less was needed for 15 min; now {} requests per second", requests(decision)),
        }
    }

    /// The resource was seen with these units after so much `time`, while `load` came.
    pub fn see(&mut self, units: u32, is_active: bool, load: f64, time: Duration) {
        // A unit that is being added is in the capacity already, and one that is being removed is not any more.
        let is_adding = !is_active && units > self.ready;
        self.ready = units.saturating_sub(is_adding.into());
        self.most_ready = self.most_ready.max(self.ready);
        if f64::from(self.ready) * PER_UNIT < load {
            self.short += time;
        }
        self.unit_hours += f64::from(units) * time.as_secs_f64() / 3600.0;
    }

    /// A moment that matters has come.
    pub fn mark(&self, at: Timestamp, what: &str, load: f64) -> String {
        let ready = self.ready;
        self.line(at, format_args!("{what}: {} requests per second, and {ready} units are ready", number(load)))
    }

    /// What the day came to, beside `without_forecast`: how long units were short then.
    pub fn sum_up(&self, length: Duration, without_forecast: Option<Duration>) -> String {
        let fixed = f64::from(self.most_ready) * length.as_secs_f64() / 3600.0;
        let (cost, most) = (self.unit_hours, self.most_ready);
        let beside = without_forecast.map_or(String::new(), |short| {
            format!(" Without the forecast, a backtest says, that would have been {}.", minutes(short))
        });
        let short = minutes(self.short);
        format!(
            "The day is over. Units were short for {short}.{beside} It cost {cost:.0} unit-hours; {most} units all day, {fixed:.0}."
        )
    }

    fn line(&self, at: Timestamp, what: std::fmt::Arguments<'_>) -> String {
        let time = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        let time = self.zone.to_datetime(time);
        format!("{:02}:{:02}  {what}", time.hour(), time.minute())
    }
}

fn requests(decision: &DecisionView) -> String {
    let value = decision.metrics.values().next().and_then(|metric| metric.value);
    value.map_or("an unknown number of".to_owned(), number)
}

fn minutes(time: Duration) -> String {
    format!("{:.0} min", time.as_secs_f64() / 60.0)
}
