//! A policy in plain English sentences.

use std::time::Duration;

use super::canonical::{instant, time, zone_name};
use crate::domain::policy::{
    DayOfWeek, Forecast, ForecastSource, Mode, OnMissing, Policy, Ready, Rule, RuleKind, Smoothing, StepRule,
    Threshold, When, Window, number,
};
use crate::domain::{Capacity, Setting, SettingValue};
use strum::VariantArray as _;

/// What `policy` does with `resource`, which is its alias or another name for it.
pub fn summary(policy: &Policy, resource: &str) -> Vec<String> {
    let mut sentences = vec![if policy.min == policy.max {
        format!("Keeps {resource} at {}.", policy.min)
    } else {
        format!("Keeps {resource} between {} and {}.", policy.min, policy.max)
    }];
    match policy.mode {
        Mode::Active => {}
        Mode::Advise => sentences.push("Only advises: it decides and records, and changes nothing.".to_owned()),
        Mode::Off => sentences.push("Is off: it neither decides nor changes anything.".to_owned()),
    }
    sentences.extend(policy.rules.iter().map(rule));
    let recommending: Vec<&str> = policy
        .rules
        .iter()
        .filter(|rule| !matches!(rule.kind, RuleKind::Schedule(_)))
        .map(|rule| rule.name.as_str())
        .collect();
    if recommending.is_empty() {
        sentences.push(format!("No rule recommends a capacity, so it is {} outside of windows.", policy.min));
    } else {
        if recommending.len() > 1 {
            sentences.push(format!("Of {} the highest counts.", list(&recommending)));
        }
        sentences.push(smoothing("Rises", "lowest", &policy.behavior.up));
        sentences.push(smoothing("Falls", "highest", &policy.behavior.down));
    }
    if let Some(after) = policy.idle_after {
        sentences.push(format!("Goes to 0 after {} without demand, even if the minimum is higher.", span(after)));
    }
    sentences.extend(jobs(policy));
    sentences
}

fn rule(rule: &Rule) -> String {
    let (what, on_missing) = match &rule.kind {
        RuleKind::Target(target) => (
            format!("one unit for every {} of metric {}", number(target.per_unit), target.metric),
            Some(target.on_missing),
        ),
        RuleKind::Band(band) => {
            let what = format!(
                "as few changes as keep metric {} between {} and {} per unit",
                band.metric,
                number(band.low),
                number(band.high)
            );
            (what, Some(band.on_missing))
        }
        RuleKind::Utilization(utilization) => {
            let what = format!(
                "as many units as bring metric {} to {}, give or take {} %",
                utilization.metric,
                number(utilization.target),
                // Shares such as 0.07 have no exact form, and a hundred times theirs would show it.
                (utilization.tolerance * 1e8).round() / 1e6
            );
            (what, Some(utilization.on_missing))
        }
        RuleKind::Step(step) => (steps(step), Some(step.on_missing)),
        RuleKind::Follow(follow) => {
            let share = if follow.ratio == 1.0 { String::new() } else { format!("{} times ", number(follow.ratio)) };
            let offset = match follow.offset {
                0 => String::new(),
                offset if offset > 0 => format!(" plus {offset}"),
                offset => format!(" minus {}", offset.unsigned_abs()),
            };
            (format!("{share}the target of {}{offset}", follow.resource), None)
        }
        RuleKind::Expression(rule) => {
            (format!("what \"{}\" gives, rounded up", rule.expression.as_str()), Some(rule.on_missing))
        }
        RuleKind::Forecast(forecast) => (self::forecast(forecast), Some(forecast.on_missing)),
        RuleKind::Schedule(window) => (self::window(window), None),
    };
    let lack = match rule.kind {
        RuleKind::Expression(_) => "it has no result",
        _ => "the metric is missing",
    };
    let missing = on_missing.map_or(String::new(), |on_missing| format!("; while {lack}, {}", missing(on_missing)));
    format!("{}: {what}{missing}.", rule.name)
}

fn forecast(forecast: &Forecast) -> String {
    let unit = format!("one unit for every {} of metric {}", number(forecast.per_unit), forecast.metric);
    match forecast.source {
        ForecastSource::Learned => {
            let percent = (forecast.quantile * 1e4).round() / 1e2;
            let zone = zone_name(&forecast.zone);
            format!(
                "{unit} that its past (days by the clock of {zone}) lets expect, in time for it; in {percent} % of cases this \
                 is enough"
            )
        }
        ForecastSource::Push => format!("{unit} that the pushed predictions expect, in time for it"),
    }
}

fn missing(on_missing: OnMissing) -> String {
    match on_missing {
        OnMissing::Hold => "capacity is not lowered".to_owned(),
        OnMissing::Ignore => "the rule does not count".to_owned(),
        OnMissing::Capacity { capacity, after } if after.is_zero() => format!("it wants {capacity}"),
        OnMissing::Capacity { capacity, after } => {
            let after = span(after);
            format!("capacity is not lowered, and after {after} it wants {capacity}")
        }
    }
}

fn steps(step: &StepRule) -> String {
    let each: Vec<String> = step
        .steps
        .iter()
        .map(|step| {
            let threshold = match step.threshold {
                Threshold::Above(limit) => format!("above {}", number(limit)),
                Threshold::Below(limit) => format!("below {}", number(limit)),
            };
            let direction = if step.change > 0 { "more" } else { "fewer" };
            format!("{threshold} {} {direction}", step.change.unsigned_abs())
        })
        .collect();
    let time = if step.breach_time.is_zero() { String::new() } else { format!(" for {}", span(step.breach_time)) };
    format!("while metric {} has been{time} {}", step.metric, each.join(", "))
}

fn window(window: &Window) -> String {
    let bounds = match (window.min, window.max) {
        (Some(min), Some(max)) if min == max => format!("exactly {min}"),
        (Some(min), Some(max)) => format!("between {min} and {max}"),
        (min, max) => {
            let said = |words: &str, bound: Option<Capacity>| bound.map(|bound| format!("{words} {bound}"));
            said("at least", min).or_else(|| said("at most", max)).unwrap_or_default()
        }
    };
    let (when, except) = match &window.when {
        When::Weekly(weekly) => {
            let to = if weekly.from == weekly.to { "24:00".to_owned() } else { time(weekly.to) };
            let next_day = if weekly.to < weekly.from && to != "00:00" { " of the next day" } else { "" };
            let (from, zone) = (time(weekly.from), zone_name(&weekly.zone));
            let days: Vec<DayOfWeek> = weekly.days.iter().copied().collect();
            (format!("from {from} to {to}{next_day} {zone} {}", on_days(&days)), Some(&weekly.except))
        }
        When::Cron(cron) => {
            let (length, zone) = (span(cron.length), zone_name(&cron.zone));
            (format!("for {length} from each time that \"{}\" matches in {zone}", cron.cron), Some(&cron.except))
        }
        When::Once(once) => (format!("from {} to {}", instant(once.opens), instant(once.closes)), None),
    };
    let ready = match (window.min, window.ready) {
        (None, _) => "",
        (Some(_), Ready::Before) => ", ready before it begins",
        (Some(_), Ready::After) => ", from its beginning on",
    };
    let dates: Vec<String> = except.into_iter().flatten().map(ToString::to_string).collect();
    let dates: Vec<&str> = dates.iter().map(String::as_str).collect();
    let except = if dates.is_empty() { String::new() } else { format!(", except {}", list(&dates)) };
    format!("{bounds} {when}{ready}{except}")
}

/// `days`, which are in their order, with those that follow each other as a range.
fn on_days(days: &[DayOfWeek]) -> String {
    if days.len() == DayOfWeek::VARIANTS.len() {
        return "every day".to_owned();
    }
    let mut runs: Vec<Vec<DayOfWeek>> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| *last as u8 + 1 == *day as u8) => run.push(*day),
            _ => runs.push(vec![*day]),
        }
    }
    let names = runs.iter().flat_map(|run| match run.as_slice() {
        [first, .., last] if run.len() > 2 => vec![format!("{} to {}", day_name(*first), day_name(*last))],
        few => few.iter().map(|day| day_name(*day).to_owned()).collect(),
    });
    let names: Vec<String> = names.collect();
    format!("on {}", list(&names.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn day_name(day: DayOfWeek) -> &'static str {
    match day {
        DayOfWeek::Mon => "Monday",
        DayOfWeek::Tue => "Tuesday",
        DayOfWeek::Wed => "Wednesday",
        DayOfWeek::Thu => "Thursday",
        DayOfWeek::Fri => "Friday",
        DayOfWeek::Sat => "Saturday",
        DayOfWeek::Sun => "Sunday",
    }
}

/// `Rises at once`, `Falls to the highest wish of the last 5 min, by at most 2 units in 10 min`.
fn smoothing(verb: &str, which: &str, smoothing: &Smoothing) -> String {
    let start = if smoothing.stabilization.is_zero() {
        format!("{verb} at once")
    } else {
        format!("{verb} to the {which} wish of the last {}", span(smoothing.stabilization))
    };
    let units = |units: u32| format!("{units} {}", if units == 1 { "unit" } else { "units" });
    let most = match (smoothing.max_units, smoothing.max_percent) {
        (None, None) => return format!("{start}."),
        (Some(0), None) => return format!("Never {}.", verb.to_lowercase()),
        (Some(most), None) => units(most),
        (None, Some(percent)) => format!("{percent} %"),
        (Some(most), Some(percent)) => format!("the larger of {} and {percent} %", units(most)),
    };
    format!("{start}, by at most {most} in {}.", span(smoothing.period))
}

fn jobs(policy: &Policy) -> Vec<String> {
    let given: Vec<String> = Setting::VARIANTS
        .iter()
        .filter_map(|setting| {
            let value = match policy.job.get(*setting)? {
                SettingValue::Units(units) => units.to_string(),
                SettingValue::Duration(duration) => span(duration),
            };
            Some(format!("a {} of {value}", setting.key().replace('_', " ")))
        })
        .collect();
    let mut sentences = Vec::new();
    if !given.is_empty() {
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        sentences.push(format!("Its jobs have {}.", list(&given).replace("a active", "an active")));
    }
    let climbs_ahead = |rule: &Rule| match &rule.kind {
        RuleKind::Schedule(window) => window.min.is_some() && window.ready == Ready::Before,
        _ => false,
    };
    if policy.rules.iter().any(climbs_ahead) {
        let expected = span(policy.expected_change);
        sentences.push(format!("Until it has learned how long a change takes, it expects {expected}."));
    }
    sentences
}

/// `a, b and c`.
fn list(names: &[&str]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.concat(),
    }
}

/// `5 min`, `1 h 30 min`, `0.5 s`.
fn span(duration: Duration) -> String {
    let (seconds, rest) = (duration.as_secs(), duration.subsec_millis());
    if rest != 0 || seconds == 0 {
        return format!("{} s", duration.as_secs_f64());
    }
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let parts: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number} {unit}")).collect();
    parts.join(" ")
}
