//! What cron expressions match and which are refused.

use super::*;

#[test]
fn days_of_the_week_are_numbered_from_sunday() {
    // 29 November 2026 is a Sunday.
    for (text, expected) in [
        ("0 12 * * 0", vec!["Sun 11-29", "Sun 12-06"]),
        ("0 12 * * 7", vec!["Sun 11-29", "Sun 12-06"]),
        ("0 12 * * SUN", vec!["Sun 11-29", "Sun 12-06"]),
        ("0 12 * * 1", vec!["Mon 11-30", "Mon 12-07"]),
        ("0 12 * * 6", vec!["Sat 12-05", "Sat 12-12"]),
        ("0 12 * * 1-5", vec!["Mon 11-30", "Tue 12-01", "Wed 12-02", "Thu 12-03", "Fri 12-04", "Mon 12-07"]),
        ("0 12 * * mon-fri", vec!["Mon 11-30", "Tue 12-01", "Wed 12-02", "Thu 12-03", "Fri 12-04", "Mon 12-07"]),
        ("0 12 * * 5-7", vec!["Sun 11-29", "Fri 12-04", "Sat 12-05", "Sun 12-06"]),
        ("0 12 * * FRI-SUN", vec!["Sun 11-29", "Fri 12-04", "Sat 12-05", "Sun 12-06"]),
        ("0 12 13 * 5", vec!["Fri 12-04", "Fri 12-11", "Sun 12-13", "Fri 12-18"]),
        ("0 12 13 * *", vec!["Sun 12-13", "Wed 01-13", "Sat 02-13"]),
        ("0 12 31 * *", vec!["Thu 12-31", "Sun 01-31", "Wed 03-31"]),
        ("0 12 1 1 *", vec!["Fri 01-01", "Sat 01-01"]),
        ("0 12 1 JAN,DEC *", vec!["Tue 12-01", "Fri 01-01", "Wed 12-01"]),
    ] {
        let when = When::Cron(cron("UTC", text, 60));
        let expected: Vec<_> = expected.iter().map(|day| format!("{day} 12:00")).collect();
        assert_eq!(local_openings(&when, "2026-11-29T00:00:00Z", expected.len()), expected, "{text}");
    }
}

#[test]
fn a_leap_day_is_found_eight_years_ahead() {
    let when = When::Cron(cron("UTC", "0 0 29 2 *", 60));
    let next = when.next_after(at("2096-02-29T00:00:00Z")).expect("2100 has none");
    assert_eq!(next.opens, at("2104-02-29T00:00:00Z"));
}

#[test]
fn an_expression_that_never_matches_says_so_at_once() {
    for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 31 2 *"] {
        let window = CronWindow { length: MAX_RECURRING_WINDOW, ..cron("Europe/Berlin", text, 1) };
        let when = When::Cron(window);
        let begin = std::time::Instant::now();
        for _ in 0..100 {
            assert!(when.is_over(at("2026-11-29T00:00:00Z")), "{text}");
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "{text}: {:?}", begin.elapsed());
    }
}

#[test]
fn of_occurrences_that_overlap_the_longest_end_counts() {
    // Every half hour for 40 minutes between 8 and 10: open without a dip from 08:00 until 10:10.
    let when = When::Cron(cron("UTC", "*/30 8-9 * * *", 2400));
    let mut now = at("2026-11-29T07:00:00Z");
    while now < at("2026-11-29T12:00:00Z") {
        let expected = at("2026-11-29T08:00:00Z") <= now && now < at("2026-11-29T10:10:00Z");
        assert_eq!(when.open_at(now).is_some(), expected, "{now}");
        now = now + Duration::from_mins(1);
    }
    let last = when.open_at(at("2026-11-29T08:35:00Z")).expect("two of them");
    assert_eq!(last, occurrence("2026-11-29T08:30:00Z", "2026-11-29T09:10:00Z"));
}

#[test]
fn a_window_longer_than_its_period_is_found_however_long_it_is() {
    let yearly = When::Cron(CronWindow { length: MAX_RECURRING_WINDOW, ..cron("UTC", "0 0 1 1 *", 1) });
    assert_eq!(
        yearly.open_at(at("2026-12-31T23:59:00Z")),
        Some(occurrence("2026-01-01T00:00:00Z", "2027-01-02T00:00:00Z"))
    );
    let minutely = When::Cron(CronWindow { length: MAX_RECURRING_WINDOW, ..cron("UTC", "* * * * *", 1) });
    let now = at("2026-11-29T10:00:30Z");
    assert_eq!(minutely.open_at(now).map(|open| open.opens), Some(at("2026-11-29T10:00:00Z")));
    assert_eq!(minutely.next_after(now).map(|next| next.opens), Some(at("2026-11-29T10:01:00Z")));
}

#[test]
fn an_excepted_date_is_left_out() {
    let when = When::Cron(CronWindow { except: dates(&["2026-12-25"]), ..cron("Europe/Berlin", "30 0 * * *", 3600) });
    assert_eq!(local_openings(&when, "2026-12-24T00:00:00Z", 2), ["Sat 12-26 00:30", "Sun 12-27 00:30"]);
}

#[test]
fn whatever_programs_read_differently_is_refused() {
    let field = |field: CronField, text: &str| InvalidCron::Field { field, text: text.to_owned() };
    for (text, error) in [
        ("", InvalidCron::Fields(0)),
        ("* * * *", InvalidCron::Fields(4)),
        ("0 * * * * *", InvalidCron::Fields(6)),
        ("0 0 * * * * 2026", InvalidCron::Fields(7)),
        ("@daily", InvalidCron::Fields(1)),
        ("60 * * * *", field(CronField::Minute, "60")),
        ("-1 * * * *", field(CronField::Minute, "-1")),
        ("1, * * * *", field(CronField::Minute, "1,")),
        (", * * * *", field(CronField::Minute, ",")),
        ("5/30 * * * *", field(CronField::Minute, "5/30")),
        ("*/0 * * * *", field(CronField::Minute, "*/0")),
        ("*/ * * * *", field(CronField::Minute, "*/")),
        ("/5 * * * *", field(CronField::Minute, "/5")),
        ("1-2-3 * * * *", field(CronField::Minute, "1-2-3")),
        ("99999999999 * * * *", field(CronField::Minute, "99999999999")),
        ("0 24 * * *", field(CronField::Hour, "24")),
        ("0 MON * * *", field(CronField::Hour, "MON")),
        ("0 5-3 * * *", field(CronField::Hour, "5-3")),
        ("0 0 0 * *", field(CronField::DayOfMonth, "0")),
        ("0 0 32 * *", field(CronField::DayOfMonth, "32")),
        ("0 0 L * *", field(CronField::DayOfMonth, "L")),
        ("0 0 15W * *", field(CronField::DayOfMonth, "15W")),
        ("0 0 ? * *", field(CronField::DayOfMonth, "?")),
        ("0 0 * 13 *", field(CronField::Month, "13")),
        ("0 0 * MON *", field(CronField::Month, "MON")),
        ("0 0 * JANFEB *", field(CronField::Month, "JANFEB")),
        ("0 0 * * 8", field(CronField::DayOfWeek, "8")),
        ("0 0 * * 1#2", field(CronField::DayOfWeek, "1#2")),
        ("0 0 * * 5L", field(CronField::DayOfWeek, "5L")),
        ("0 0 * * +1", field(CronField::DayOfWeek, "+1")),
        (&" ".repeat(300), InvalidCron::Length),
    ] {
        assert_eq!(text.parse::<CronExpression>().expect_err("not a cron expression"), error, "{text:.40}");
    }
    assert_eq!(
        "0 24 * * *".parse::<CronExpression>().expect_err("there is no such hour").to_string(),
        "has \"24\" as hour: expected 0 to 23, ranges (1-5), steps (*/2), lists (1,3) or *"
    );
}

#[test]
fn an_expression_keeps_its_text() {
    let written: CronExpression = "30  2 * * mon".parse().expect("a cron expression");
    assert_eq!(written.as_str(), "30  2 * * mon");
    assert_eq!(written, written.to_string().parse().expect("the same again"));
    assert_ne!(written, "30 2 * * 1".parse().expect("the same times, in other words"));
}
