//! The schedules of a document.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::Value;
use strum::VariantArray as _;

use super::fields::Fields;
use super::problem::child;
use super::scalars::{capacity, choice, duration, kind_of, string};
use crate::domain::policy::{
    CronExpression, CronWindow, DayOfWeek, InvalidCron, MAX_RECURRING_WINDOW, Occurrence, Ready, UnknownZone, Weekly,
    When, Window, zone,
};
use crate::domain::{Capacity, Timestamp};

/// Most dates on which a window does not begin: the holidays of twenty years.
const MAX_EXCEPT: usize = 400;

const RECURRING_ONLY: &str = "belongs into a schedule with days or cron: at and until are instants";

/// The window of a rule.
pub(super) fn read(fields: &mut Fields, bounds: Option<(Capacity, Capacity)>) -> Option<Window> {
    let min = fields.optional("min", capacity);
    let max = fields.optional("max", capacity);
    let ready = fields.or("ready", Ready::default(), choice);
    check_bounds(fields, bounds, min.flatten(), max.flatten());
    if fields.has("ready") && !fields.has("min") {
        fields.refuse("ready", "needs a min: it says when that is reached");
    }
    let when = match (fields.has("days"), fields.has("cron"), fields.has("at")) {
        (true, false, false) => weekly(fields).map(When::Weekly),
        (false, true, false) => cron(fields).map(When::Cron),
        (false, false, true) => once(fields).map(When::Once),
        _ => {
            // All of them are known, and which are wrong cannot be told.
            for name in ["timeZone", "days", "from", "to", "cron", "forSeconds", "at", "until", "except"] {
                fields.given(name);
            }
            fields.refuse_all("must have days with from and to, or cron with forSeconds, or at with until");
            None
        }
    };
    Some(Window { when: when?, min: min?, max: max?, ready: ready? })
}

fn check_bounds(
    fields: &mut Fields,
    bounds: Option<(Capacity, Capacity)>,
    min: Option<Capacity>,
    max: Option<Capacity>,
) {
    if !fields.has("min") && !fields.has("max") {
        fields.refuse_all("must have min or max");
    }
    for (name, given) in [("min", min), ("max", max)] {
        if let Some((given, (least, most))) = given.zip(bounds)
            && !(least..=most).contains(&given)
        {
            fields.refuse(name, format!("must be between {least} and {most}, the bounds of the policy"));
        }
    }
    if let Some((min, max)) = min.zip(max)
        && min > max
    {
        fields.refuse("max", format!("must be at least min, which is {min}"));
    }
}

fn weekly(fields: &mut Fields) -> Option<Weekly> {
    let zone = time_zone(fields);
    let days = days(fields);
    let from = fields.required("from", time);
    let to = fields.required("to", |value| match value.as_str() {
        Some("24:00") => Ok(Time::midnight()),
        _ => time(value),
    });
    let is_whole_day = fields.given("to").is_some_and(|place| place.value == "24:00");
    if from.is_some() && from == to && !is_whole_day {
        fields.refuse("to", "must not be equal to from; a whole day is from 00:00 to 24:00");
    }
    let except = except(fields);
    fields.forbid("forSeconds", "belongs into a schedule with cron: to is the end of this one");
    fields.forbid("until", "belongs into a schedule with at: to is the end of this one");
    Some(Weekly { zone: zone?, days: days?, from: from?, to: to?, except: except? })
}

fn cron(fields: &mut Fields) -> Option<CronWindow> {
    let zone = time_zone(fields);
    let cron = fields.required("cron", |value| {
        string(value)?.parse::<CronExpression>().map_err(|invalid: InvalidCron| invalid.to_string())
    });
    let length = fields.required("forSeconds", duration(Duration::from_secs(1), MAX_RECURRING_WINDOW));
    let except = except(fields);
    for name in ["from", "to"] {
        fields.forbid(name, "belongs into a schedule with days: this one begins as cron says");
    }
    fields.forbid("until", "belongs into a schedule with at: this one ends after forSeconds");
    Some(CronWindow { zone: zone?, cron: cron?, length: length?, except: except? })
}

fn once(fields: &mut Fields) -> Option<Occurrence> {
    let at = fields.required("at", instant);
    let until = fields.required("until", instant);
    for name in ["timeZone", "from", "to", "except"] {
        fields.forbid(name, RECURRING_ONLY);
    }
    fields.forbid("forSeconds", "belongs into a schedule with cron: until is the end of this one");
    let (at, until) = at.zip(until)?;
    let occurrence = Occurrence::new(at, until);
    if occurrence.is_none() {
        fields.refuse("until", "must be later than at");
    }
    occurrence
}

fn time_zone(fields: &mut Fields) -> Option<TimeZone> {
    fields.required("timeZone", zone_named)
}

/// The time zone with a name.
pub(super) fn zone_named(value: &Value) -> Result<TimeZone, String> {
    zone(string(value)?).map_err(|unknown: UnknownZone| unknown.to_string())
}

/// The days of the week, of which there must be one and none twice.
fn days(fields: &mut Fields) -> Option<BTreeSet<DayOfWeek>> {
    let all = set(fields, "days", DayOfWeek::VARIANTS.len(), choice)?;
    if all.is_empty() {
        fields.refuse("days", "must have one day at least, such as MON");
        return None;
    }
    Some(all)
}

fn except(fields: &mut Fields) -> Option<BTreeSet<Date>> {
    set(fields, "except", MAX_EXCEPT, |value| {
        let wanted = "must be a date such as 2026-12-25";
        let text = string(value)?;
        // The parser would also take a time after the date, and a sign before it.
        if text.len() == 10 { text.parse().map_err(|_| wanted.to_owned()) } else { Err(wanted.to_owned()) }
    })
}

/// The entries of the list in the field `name`, in which none is twice; none if it is not given.
fn set<T: Ord>(
    fields: &mut Fields,
    name: &'static str,
    most: usize,
    read: fn(&Value) -> Result<T, String>,
) -> Option<BTreeSet<T>> {
    let Some(place) = fields.given(name) else { return Some(BTreeSet::new()) };
    let Value::Array(list) = place.value else {
        fields.refuse(name, format!("must be an array, not {}", kind_of(place.value)));
        return None;
    };
    if list.len() > most {
        fields.refuse(name, format!("has more than {most} entries"));
        return None;
    }
    let mut all = Some(BTreeSet::new());
    for (index, value) in list.iter().enumerate() {
        let at = child(&place.at, &index.to_string());
        match (read(value), &mut all) {
            (Ok(entry), Some(entries)) => {
                if !entries.insert(entry) {
                    fields.problems.add(at, "is given twice");
                }
            }
            (Ok(_), None) => {}
            (Err(detail), _) => {
                fields.problems.add(at, detail);
                all = None;
            }
        }
    }
    all
}

/// A time of day: hours and minutes, and seconds if need be.
fn time(value: &Value) -> Result<Time, String> {
    let wanted = "must be a time of day such as 09:00";
    let text = string(value)?;
    let is_plain = matches!(text.len(), 5 | 8) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let parsed = if is_plain && text.as_bytes().get(2) == Some(&b':') { text.parse::<Time>().ok() } else { None };
    // A leap second would be read as the second before it.
    parsed.filter(|_| !text.ends_with(":60")).ok_or_else(|| wanted.to_owned())
}

/// An instant, to the millisecond.
fn instant(value: &Value) -> Result<Timestamp, String> {
    let wanted = "must be a date and time with Z or an offset, such as 2026-12-01T08:00:00Z";
    let parsed: jiff::Timestamp = string(value)?.parse().map_err(|_| wanted.to_owned())?;
    if parsed.subsec_nanosecond() % 1_000_000 != 0 {
        return Err("is finer than a millisecond".to_owned());
    }
    Ok(Timestamp::from_millis(parsed.as_millisecond()))
}
