//! Windows on days of the week.

use super::*;

#[test]
fn a_window_of_workdays_is_closed_over_the_weekend() {
    let when = When::Weekly(weekly("Europe/Berlin", WORKDAYS, "09:00", "17:00"));
    // 27 November 2026 is a Friday.
    let friday = occurrence("2026-11-27T08:00:00Z", "2026-11-27T16:00:00Z");
    let monday = occurrence("2026-11-30T08:00:00Z", "2026-11-30T16:00:00Z");
    for (now, open, next) in [
        ("2026-11-27T07:59:59.999Z", None, friday),
        ("2026-11-27T08:00:00Z", Some(friday), monday),
        ("2026-11-27T15:59:59.999Z", Some(friday), monday),
        ("2026-11-27T16:00:00Z", None, monday),
        ("2026-11-28T10:00:00Z", None, monday),
        ("2026-11-29T23:59:00Z", None, monday),
        ("2026-11-30T08:00:00Z", Some(monday), occurrence("2026-12-01T08:00:00Z", "2026-12-01T16:00:00Z")),
    ] {
        assert_eq!((when.open_at(at(now)), when.next_after(at(now))), (open, Some(next)), "{now}");
    }
}

#[test]
fn only_what_holds_now_matters_after_a_long_outage() {
    let when = When::Weekly(weekly("Europe/Berlin", WORKDAYS, "09:00", "17:00"));
    for years in 0..40 {
        // 1 July 2026 is a Wednesday.
        let day = jiff::civil::date(2026 + years, 7, 1);
        let noon = at(&format!("{day}T10:00:00Z"));
        let workday = WORKDAYS.contains(&DayOfWeek::of(day));
        assert_eq!(when.open_at(noon).is_some(), workday, "{day}");
        assert!(when.next_after(noon).is_some_and(|next| next.opens.since(noon) < Duration::from_hours(72)), "{day}");
    }
}

#[test]
fn a_window_that_goes_past_midnight_ends_on_the_next_day() {
    let when = When::Weekly(weekly("UTC", &[DayOfWeek::Thu], "22:00", "06:00"));
    // 31 December 2026 is a Thursday.
    let night = occurrence("2026-12-31T22:00:00Z", "2027-01-01T06:00:00Z");
    assert_eq!(when.next_after(at("2026-12-31T06:00:00Z")), Some(night), "Thursday morning belongs to no window");
    assert_eq!(when.open_at(at("2027-01-01T05:59:59.999Z")), Some(night));
    assert_eq!(when.open_at(at("2026-12-31T05:00:00Z")), None);
    assert_eq!(when.open_at(at("2027-01-01T06:00:00Z")), None);
}

#[test]
fn a_window_until_midnight_adjoins_one_from_midnight_without_a_dip() {
    let evening = When::Weekly(weekly("Europe/Berlin", EVERY_DAY, "18:00", "00:00"));
    let night = When::Weekly(weekly("Europe/Berlin", EVERY_DAY, "00:00", "18:00"));
    let mut now = at("2026-03-27T00:00:00Z");
    while now < at("2026-03-31T00:00:00Z") {
        let open = [&evening, &night].into_iter().filter(|when| when.open_at(now).is_some()).count();
        assert_eq!(open, 1, "{now}");
        now = now + Duration::from_mins(1);
    }
}

#[test]
fn a_window_of_a_whole_day_has_no_dip_before_the_next_one() {
    let when = When::Weekly(weekly("Europe/Berlin", &[DayOfWeek::Sat, DayOfWeek::Sun], "00:00", "00:00"));
    // The clocks go forward on Sunday 29 March 2026: that day has 23 hours.
    let saturday = occurrence("2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z");
    let sunday = occurrence("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_eq!(first_from(&when, "2026-03-27T00:00:00Z", 2), [saturday, sunday]);
    assert_eq!(when.open_at(at("2026-03-28T22:59:59.999Z")), Some(saturday));
    assert_eq!(when.open_at(at("2026-03-28T23:00:00Z")), Some(sunday));
    assert_eq!(when.open_at(at("2026-03-29T22:00:00Z")), None);
}

#[test]
fn an_excepted_date_has_no_beginning_but_may_have_an_end() {
    let except = dates(&["2026-12-25", "2026-12-31"]);
    let when = When::Weekly(Weekly { except, ..weekly("UTC", EVERY_DAY, "20:00", "04:00") });
    for (now, open) in [
        ("2026-12-25T03:00:00Z", true),
        ("2026-12-25T21:00:00Z", false),
        ("2026-12-26T03:00:00Z", false),
        ("2026-12-26T20:00:00Z", true),
        ("2026-12-31T03:59:00Z", true),
        ("2027-01-01T01:00:00Z", false),
        ("2027-01-01T20:00:00Z", true),
    ] {
        assert_eq!(when.open_at(at(now)).is_some(), open, "{now}");
    }
    let next = when.next_after(at("2026-12-24T20:00:00Z")).expect("one on the day after");
    assert_eq!(next.opens, at("2026-12-26T20:00:00Z"));
}

/// Dates are those of the window's zone, not of UTC.
#[test]
fn excepted_dates_and_days_are_local_ones() {
    let except = dates(&["2026-12-25"]);
    let when = When::Weekly(Weekly { except, ..weekly("Pacific/Auckland", WORKDAYS, "08:00", "10:00") });
    // It is 25 December there from 11:00 on the 24th; a Friday, followed by a weekend.
    assert_eq!(
        local_openings(&when, "2026-12-23T00:00:00Z", 3),
        ["Thu 12-24 08:00", "Mon 12-28 08:00", "Tue 12-29 08:00"]
    );
}
