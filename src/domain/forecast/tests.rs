use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::domain::Timestamp;

const DAY: i64 = 1440;

fn at(minute: i64) -> Timestamp {
    // A Monday: 2027-01-04T00:00:00Z.
    Timestamp::from_millis(1_799_020_800_000 + minute * 60_000)
}

/// Load by the minute: quiet nights, a peak of 400 in the afternoon, and some noise that is the same in every run.
fn load(minute: i64) -> f64 {
    let day = (minute as f64 / DAY as f64 - 0.6) * std::f64::consts::TAU;
    let noise = (minute.wrapping_mul(2_654_435_761) % 97) as f64 / 97.0 - 0.5;
    (200.0 + 180.0 * day.cos()) * (1.0 + 0.1 * noise)
}

fn history(days: i64, value: impl Fn(i64) -> Option<f64>) -> History {
    let mut history = History::new(Duration::from_mins(1));
    for minute in 0..days * DAY {
        if let Some(value) = value(minute) {
            history.note(at(minute), value);
        }
    }
    history
}

fn lesson(through: i64) -> Lesson {
    Lesson { through: at(through), zone: TimeZone::UTC, quantile: 0.9, lead: Duration::from_mins(60) }
}

fn pattern(history: &History, through: i64) -> std::sync::Arc<Pattern> {
    match learn(history, &lesson(through)) {
        Learned::Pattern(pattern) => pattern,
        learning => panic!("{learning:?}"),
    }
}

/// What is expected at `later` by one who has seen `value` in the hour before `now`.
fn expected(pattern: &Pattern, now: i64, later: i64, value: impl Fn(i64) -> f64) -> Expected {
    let samples: Vec<(Timestamp, f64)> = (now - 60..now).map(|minute| (at(minute), value(minute))).collect();
    let deviation = pattern.deviation(samples.into_iter(), at(now)).expect("a deviation");
    pattern.expect(at(later), at(now), deviation).expect("an expectation")
}

fn is_near(found: f64, wanted: f64, share: f64) -> bool {
    (found - wanted).abs() <= share * wanted
}

#[test]
fn a_day_is_learned_in_two_days() {
    for (minutes, share) in [(0, 0.0), (600, 600.0 / 2880.0), (2875, 2875.0 / 2880.0)] {
        let learned = learn(&history(3, |minute| (minute < minutes).then(|| load(minute))), &lesson(minutes));
        assert_eq!(learned, Learned::Learning { share, through: at(minutes) });
    }
    let pattern = pattern(&history(2, |minute| Some(load(minute))), 2 * DAY);
    assert!(pattern.accuracy().is_better());
    for ahead in [15, 100, 600, 1400] {
        let later = 2 * DAY + ahead;
        let found = expected(&pattern, 2 * DAY, later, load);
        assert!(is_near(found.middle, load(later), 0.15), "{ahead}: {found:?} for {}", load(later));
        assert!(found.middle < found.upper && found.upper < 1.3 * load(later), "{ahead}: {found:?}");
    }
}

#[test]
fn a_quiet_weekend_is_learned_in_two_weeks() {
    let weekly = |minute: i64| if minute / DAY % 7 >= 5 { load(minute) / 4.0 } else { load(minute) };
    let history = history(26, |minute| Some(weekly(minute)));
    let after_two = pattern(&history, 19 * DAY);
    assert_ne!(after_two.shape(), Shape::RecentDays);
    // On Friday night, what Saturday afternoon will be.
    let saturday = 19 * DAY + 14 * 60;
    assert!(is_near(expected(&after_two, 19 * DAY, saturday, weekly).middle, weekly(saturday), 0.3));
    let in_a_week = 24 * DAY + 14 * 60;
    assert!(is_near(expected(&after_two, 19 * DAY, in_a_week, weekly).middle, weekly(in_a_week), 0.3));
}

#[test]
fn neither_a_gap_nor_an_outage_is_learned_as_no_load() {
    let afternoon = 6 * DAY + 14 * 60;
    let gap = history(6, |minute| (!(4 * DAY + 480..5 * DAY + 900).contains(&minute)).then(|| load(minute)));
    let outage = history(6, |minute| Some(if (4 * DAY + 480..5 * DAY).contains(&minute) { 0.0 } else { load(minute) }));
    for (what, history) in [("gap", gap), ("outage", outage)] {
        let pattern = pattern(&history, 6 * DAY);
        let found = expected(&pattern, 6 * DAY, afternoon, load).middle;
        assert!(is_near(found, load(afternoon), 0.2), "{what}: {found} for {}", load(afternoon));
    }
}

#[test]
fn another_level_is_followed_within_an_hour() {
    let pattern = pattern(&history(14, |minute| Some(load(minute))), 14 * DAY);
    for factor in [0.3, 3.0] {
        let changed = |minute: i64| load(minute) * factor;
        let now = 14 * DAY + 11 * 60;
        let later = now + 100;
        let found = expected(&pattern, now, later, changed).middle;
        assert!(is_near(found, changed(later), 0.35), "{factor}: {found} for {}", changed(later));
    }
}

#[test]
fn the_pattern_goes_with_the_clock() {
    let zone = crate::domain::policy::zone("Europe/Berlin").expect("a zone");
    // The clocks went forward on 2027-03-28, day 83 from here on.
    let first = 70 * DAY;
    let change = 83 * DAY + 60;
    let local = |minute: i64| load(minute + if minute < change { 60 } else { 120 });
    let mut history = History::new(Duration::from_mins(1));
    for minute in first..change {
        history.note(at(minute), local(minute));
    }
    let lesson = Lesson { zone, ..lesson(change) };
    let Learned::Pattern(pattern) = learn(&history, &lesson) else { panic!("nothing learned") };
    let morning = 83 * DAY + 7 * 60;
    let found = expected(&pattern, change, morning, local).middle;
    assert!(is_near(found, local(morning), 0.12), "{found} for {}", local(morning));
    assert!(!is_near(load(morning + 60), local(morning), 0.12), "an hour makes a difference here");
}

#[test]
fn what_comes_after_makes_no_difference() {
    let all = history(20, |minute| Some(if minute < 15 * DAY { load(minute) } else { 9.0 * load(minute) }));
    let before = history(15, |minute| Some(load(minute)));
    assert_eq!(learn(&all, &lesson(15 * DAY)), learn(&before, &lesson(15 * DAY)));
}

#[test]
fn load_without_a_pattern_is_of_no_use() {
    let mut walk = vec![300.0_f64];
    let mut seed = 7_u64;
    for minute in 1..10 * DAY {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = (seed >> 33) as f64 / f64::from(u32::MAX >> 1) - 0.5;
        walk.push((walk[minute as usize - 1] + 6.0 * step).max(0.0));
    }
    let history = history(10, |minute| walk.get(minute as usize).copied());
    assert!(!pattern(&history, 10 * DAY).accuracy().is_better());
}
