//! What windows do on ordinary days and in the nights in which clocks are changed.

mod cron;
mod naive;
mod nights;
mod transitions;
mod weekly;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::{Date, Time};

use super::*;

/// The instant of an RFC 3339 text.
fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().expect("an instant").as_millisecond())
}

fn occurrence(opens: &str, closes: &str) -> Occurrence {
    Occurrence::new(at(opens), at(closes)).expect("some time between them")
}

fn time(text: &str) -> Time {
    text.parse().expect("a time")
}

fn dates(all: &[&str]) -> BTreeSet<Date> {
    all.iter().map(|date| date.parse().expect("a date")).collect()
}

const EVERY_DAY: &[DayOfWeek] = DayOfWeek::VARIANTS;
const WORKDAYS: &[DayOfWeek] = &[DayOfWeek::Mon, DayOfWeek::Tue, DayOfWeek::Wed, DayOfWeek::Thu, DayOfWeek::Fri];

fn weekly(zone_name: &str, days: &[DayOfWeek], from: &str, to: &str) -> Weekly {
    let days = days.iter().copied().collect();
    Weekly { zone: zone(zone_name).expect("a zone"), days, from: time(from), to: time(to), except: BTreeSet::new() }
}

fn cron(zone_name: &str, text: &str, seconds: u64) -> CronWindow {
    CronWindow {
        zone: zone(zone_name).expect("a zone"),
        cron: text.parse().expect("a cron expression"),
        length: Duration::from_secs(seconds),
        except: BTreeSet::new(),
    }
}

/// The first occurrences that begin at `from` or later, `count` of them.
fn first_from(when: &When, from: &str, count: usize) -> Vec<Occurrence> {
    let mut after = at(from) - Duration::from_millis(1);
    let mut all = Vec::new();
    while all.len() < count
        && let Some(next) = when.next_after(after)
    {
        after = next.opens;
        all.push(next);
    }
    all
}

/// The beginnings of the first occurrences from `from` on, as local times with their offsets.
fn local_openings(when: &When, from: &str, count: usize) -> Vec<String> {
    let zone = match when {
        When::Weekly(weekly) => weekly.zone.clone(),
        When::Cron(cron) => cron.zone.clone(),
        When::Once(_) => jiff::tz::TimeZone::UTC,
    };
    let all = first_from(when, from, count).into_iter().map(|occurrence| {
        let instant = jiff::Timestamp::from_millisecond(occurrence.opens.as_millis()).expect("an instant");
        zone.to_datetime(instant).strftime("%a %m-%d %H:%M").to_string()
    });
    all.collect()
}

#[test]
fn a_window_between_two_instants_is_open_once() {
    let once = occurrence("2026-12-01T08:00:00Z", "2026-12-01T20:00:00Z");
    let when = When::Once(once);
    for (now, open, next) in [
        ("2026-12-01T07:59:59.999Z", None, Some(once)),
        ("2026-12-01T08:00:00Z", Some(once), None),
        ("2026-12-01T19:59:59.999Z", Some(once), None),
        ("2026-12-01T20:00:00Z", None, None),
    ] {
        assert_eq!((when.open_at(at(now)), when.next_after(at(now))), (open, next), "{now}");
    }
    assert!(!when.is_over(at("2026-12-01T07:00:00Z")) && when.is_over(at("2026-12-01T20:00:00Z")));
}

#[test]
fn zones_come_from_the_binary_and_misspelt_ones_are_refused_with_a_suggestion() {
    assert_eq!(zone("Europe/Berlin").expect("a zone").iana_name(), Some("Europe/Berlin"));
    assert_eq!(zone("utc").expect("a zone"), jiff::tz::TimeZone::UTC);
    let meant = |name: &str| format!("is not a known time zone: did you mean {name}?");
    let unknown = "is not a known time zone: expected a name such as UTC or Europe/Berlin".to_owned();
    for (written, message) in [
        ("Europe/Berln", meant("Europe/Berlin")),
        ("berlin", meant("Europe/Berlin")),
        ("America/New York", meant("America/New_York")),
        ("", unknown.clone()),
        ("Etc/Unknown", unknown.clone()),
        ("/etc/localtime", unknown.clone()),
        ("CET-1CEST,M3.5.0,M10.5.0/3", unknown.clone()),
        (&"x".repeat(100_000), unknown.clone()),
    ] {
        assert_eq!(zone(written).expect_err("no such zone").to_string(), message, "{written:.80}");
    }
}
