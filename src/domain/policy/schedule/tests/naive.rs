//! Windows against a second evaluation, minute by minute, that shares nothing with the first but the time-zone database.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;

/// Each minute from `from` until `to` with the local times that begin in it: of a minute after the clocks went forward
/// also those that were left out. `true` if it is there for the first time.
fn minutes(zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Vec<(DateTime, bool)>)> {
    let local = |millis: i64| zone.to_datetime(jiff::Timestamp::from_millisecond(millis).expect("an instant"));
    let mut seen = BTreeMap::new();
    let mut all = Vec::new();
    let mut millis = from.as_millis();
    while millis < to.as_millis() {
        let mut times = Vec::new();
        let mut time = local(millis - MINUTE) + jiff::Span::new().minutes(1);
        while time < local(millis) {
            times.push((time, true));
            time += jiff::Span::new().minutes(1);
        }
        let time = local(millis);
        times.push((time, seen.insert(time, ()).is_none()));
        all.push((Timestamp::from_millis(millis), times));
        millis += MINUTE;
    }
    all
}

/// The occurrences that begin in those minutes, by `length_at`, which says how they end if they begin then.
fn occurrences(
    minutes: &[(Timestamp, Vec<(DateTime, bool)>)],
    closes: impl Fn(Timestamp, DateTime, bool) -> Option<Timestamp>,
) -> Vec<Occurrence> {
    let all = minutes.iter().flat_map(|(opens, times)| {
        times.iter().filter_map(|(time, first)| Occurrence::new(*opens, closes(*opens, *time, *first)?))
    });
    all.collect()
}

/// The zone and a moment a few days before or after clocks are changed in it, or none are.
fn zones_and_moments() -> impl Strategy<Value = (&'static str, Timestamp)> {
    let around = prop::sample::select(vec![
        ("Europe/Berlin", "2026-03-29T00:00:00Z"),
        ("Europe/Berlin", "2026-10-25T00:00:00Z"),
        ("America/New_York", "2026-03-08T00:00:00Z"),
        ("America/New_York", "2026-11-01T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-05T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T00:00:00Z"),
        ("America/Santiago", "2026-04-05T00:00:00Z"),
        ("America/Santiago", "2026-09-06T00:00:00Z"),
        ("America/St_Johns", "2010-11-07T00:00:00Z"),
        ("Asia/Kathmandu", "2026-12-31T18:00:00Z"),
        ("UTC", "2028-02-29T00:00:00Z"),
    ]);
    around.prop_map(|(zone, moment)| (zone, at(moment)))
}

/// Minutes of the day, gladly those of the night in which clocks are changed.
fn minute_of_day() -> impl Strategy<Value = i8> {
    prop_oneof![0..24i8, 1..4i8]
}

fn time_of_day() -> impl Strategy<Value = Time> {
    let minute = prop_oneof![Just(0), Just(15), Just(30), 0..60i8];
    (minute_of_day(), minute).prop_map(|(hour, minute)| jiff::civil::time(hour, minute, 0, 0))
}

fn weekly_windows() -> impl Strategy<Value = (Weekly, Timestamp)> {
    let days = prop::collection::btree_set(prop::sample::select(EVERY_DAY), 1..=7);
    (zones_and_moments(), days, time_of_day(), time_of_day(), prop::option::of(-3..3i64)).prop_map(
        |((zone_name, moment), days, from, to, except)| {
            let zone = zone(zone_name).expect("a zone");
            let day = |days: i64| at_day(&zone, moment, days);
            let except = except.map(day).into_iter().collect();
            (Weekly { zone, days, from, to, except }, moment)
        },
    )
}

fn cron_windows() -> impl Strategy<Value = (CronWindow, Timestamp)> {
    let minute = prop::sample::select(vec!["*", "0", "30", "15,45", "*/7", "10-40/10", "59"]);
    let hour = prop::sample::select(vec!["*", "0", "1", "2", "3", "*/2", "1-3", "2,23"]);
    let days = prop::sample::select(vec![("*", "*"), ("*", "0,6"), ("29", "*"), ("1-7", "FRI"), ("*/2", "1-5")]);
    let seconds = prop_oneof![Just(60), Just(1), Just(3600), Just(90 * 60), 1..200_000u64];
    (zones_and_moments(), minute, hour, days, seconds, prop::option::of(-3..3i64)).prop_map(
        |((zone, moment), minute, hour, (day, weekday), seconds, except)| {
            let mut window = cron(zone, &format!("{minute} {hour} {day} * {weekday}"), seconds);
            window.except = except.map(|days| at_day(&window.zone, moment, days)).into_iter().collect();
            (window, moment)
        },
    )
}

fn at_day(zone: &TimeZone, moment: Timestamp, days: i64) -> Date {
    let millis = moment.as_millis() + days * 24 * 60 * MINUTE;
    zone.to_datetime(jiff::Timestamp::from_millisecond(millis).expect("an instant")).date()
}

/// Compares `when` with `naive`, all of whose occurrences that matter are complete between `from` and `to`.
fn compare(when: &When, naive: &[Occurrence], from: Timestamp, to: Timestamp) {
    let mut now = from;
    while now < to {
        let open = naive.iter().filter(|occurrence| occurrence.holds_at(now)).map(|open| open.closes).max();
        assert_eq!(when.open_at(now).map(|open| open.closes), open, "open at {now}: {when:?}");
        if let Some(open) = when.open_at(now) {
            assert!(naive.contains(&open), "{open:?}: {when:?}");
        }
        let later = naive.iter().filter(|occurrence| occurrence.opens > now);
        let next = later.min_by_key(|next| (next.opens, std::cmp::Reverse(next.closes)));
        let found = when.next_after(now).filter(|found| found.opens < to);
        assert_eq!(found, next.copied().filter(|next| next.opens < to), "next after {now}: {when:?}");
        // Odd steps, so that beginnings and ends are met on both sides.
        now = now + Duration::from_secs(11 * 60 - 20);
        if let Some(next) = next
            && next.opens < now
        {
            assert!(when.open_at(next.opens).is_some_and(|open| open.closes >= next.closes), "{next:?}: {when:?}");
        }
    }
}

const DAY: Duration = Duration::from_hours(24);

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn windows_of_the_week_are_what_a_look_at_every_minute_says((window, moment) in weekly_windows()) {
        let (from, to) = (moment - DAY * 2, moment + DAY * 2);
        let minutes = minutes(&window.zone, from - DAY * 3, to + DAY * 3);
        let first_at = |time: DateTime| {
            minutes.iter().find(|(_, times)| times.contains(&(time, true))).map(|(at, _)| *at)
        };
        let naive = occurrences(&minutes, |_, time, first| {
            let begins = first
                && time.time() == window.from
                && window.days.contains(&DayOfWeek::of(time.date()))
                && !window.except.contains(&time.date());
            let days = i64::from(window.to <= window.from);
            if begins { first_at((time.date() + jiff::Span::new().days(days)).to_datetime(window.to)) } else { None }
        });
        compare(&When::Weekly(window.clone()), &naive, from, to);
    }

    #[test]
    fn cron_windows_are_what_a_look_at_every_minute_says((window, moment) in cron_windows()) {
        let (from, to) = (moment - DAY * 2, moment + DAY * 2);
        let minutes = minutes(&window.zone, from - DAY * 4, to + DAY);
        let text = window.cron.as_str().to_owned();
        let fields: Vec<&str> = text.split(' ').collect();
        let repeats = fields[0].contains(['*', '/']) || fields[1].contains(['*', '/']);
        let naive = occurrences(&minutes, |opens, time, first| {
            let weekday = time.date().weekday().to_sunday_zero_offset();
            let by_day = matches(fields[2], 1, time.day());
            let by_weekday = matches(&fields[4].replace("FRI", "5"), 0, weekday);
            let day = match (fields[2], fields[4]) {
                ("*", _) => by_weekday,
                (_, "*") => by_day,
                _ => by_day || by_weekday,
            };
            let begins = (first || repeats)
                && matches(fields[0], 0, time.minute())
                && matches(fields[1], 0, time.hour())
                && day
                && !window.except.contains(&time.date());
            begins.then(|| opens + window.length)
        });
        compare(&When::Cron(window.clone()), &naive, from, to);
    }
}

/// Whether a field of a cron expression whose values begin at `least` matches `value`, for the few forms that are drawn.
fn matches(field: &str, least: i8, value: i8) -> bool {
    field.split(',').any(|item| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let number = |text: &str| text.parse::<i8>().expect("a number");
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first), number(last)),
            None if range == "*" => (least, i8::MAX),
            None => (number(range), number(range)),
        };
        (first..=last).contains(&value) && (value - first) % number(step) == 0
    })
}
