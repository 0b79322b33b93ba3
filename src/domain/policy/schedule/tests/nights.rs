//! The nights in which clocks are changed.

use super::*;

/// Windows on every day; what they are in one night, and none if they do not occur in it.
#[test]
fn windows_in_the_nights_in_which_clocks_are_changed() {
    let berlin = "Europe/Berlin";
    let new_york = "America/New_York";
    let lord_howe = "Australia/Lord_Howe";
    for (zone, from, to, night, expected) in [
        // 2026-03-29, 02:00 becomes 03:00.
        (berlin, "02:30", "04:00", "2026-03-29T00:00:00Z", Some(("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"))),
        (berlin, "01:00", "02:30", "2026-03-29T00:00:00Z", Some(("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"))),
        (berlin, "02:00", "02:30", "2026-03-29T00:00:00Z", None),
        (berlin, "02:30", "03:00", "2026-03-29T00:00:00Z", None),
        (berlin, "02:59", "03:01", "2026-03-29T00:00:00Z", Some(("2026-03-29T01:00:00Z", "2026-03-29T01:01:00Z"))),
        (berlin, "03:00", "02:30", "2026-03-28T00:00:00Z", Some(("2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z"))),
        // 2026-10-25, 03:00 becomes 02:00.
        (berlin, "02:30", "03:00", "2026-10-25T00:00:00Z", Some(("2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"))),
        (berlin, "02:00", "02:30", "2026-10-25T00:00:00Z", Some(("2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"))),
        (berlin, "01:30", "02:30", "2026-10-24T12:00:00Z", Some(("2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z"))),
        // 2026-03-08, 02:00 becomes 03:00; 2026-11-01, 02:00 becomes 01:00.
        (new_york, "02:15", "03:15", "2026-03-08T05:00:00Z", Some(("2026-03-08T07:00:00Z", "2026-03-08T07:15:00Z"))),
        (new_york, "02:00", "03:00", "2026-03-08T05:00:00Z", None),
        (new_york, "01:30", "02:00", "2026-11-01T04:00:00Z", Some(("2026-11-01T05:30:00Z", "2026-11-01T07:00:00Z"))),
        (new_york, "01:00", "01:30", "2026-11-01T04:00:00Z", Some(("2026-11-01T05:00:00Z", "2026-11-01T05:30:00Z"))),
        // 2026-10-04, 02:00 becomes 02:30; 2026-04-05, 02:00 becomes 01:30.
        (lord_howe, "02:15", "02:45", "2026-10-03T14:00:00Z", Some(("2026-10-03T15:30:00Z", "2026-10-03T15:45:00Z"))),
        (lord_howe, "02:00", "02:30", "2026-10-03T14:00:00Z", None),
        (lord_howe, "01:45", "02:00", "2026-04-04T13:30:00Z", Some(("2026-04-04T14:45:00Z", "2026-04-04T15:30:00Z"))),
        (lord_howe, "01:30", "01:45", "2026-04-04T13:30:00Z", Some(("2026-04-04T14:30:00Z", "2026-04-04T14:45:00Z"))),
    ] {
        let when = When::Weekly(weekly(zone, EVERY_DAY, from, to));
        let found = when.next_after(at(night)).filter(|next| next.opens.since(at(night)) < Duration::from_hours(20));
        let found = found.or_else(|| when.open_at(at(night)).filter(|open| open.opens == at(night)));
        let expected = expected.map(|(opens, closes)| occurrence(opens, closes));
        assert_eq!(found, expected, "{from} to {to} in {zone}");
    }
}

/// The offset is that of the day itself: neither the day before nor the day after is an hour off.
#[test]
fn the_days_around_a_change_of_clocks_keep_their_local_times() {
    for (zone, from, expected) in [
        ("Europe/Berlin", "2026-03-28T00:00:00Z", ["03-28T08", "03-29T07", "03-30T07"]),
        ("Europe/Berlin", "2026-10-24T00:00:00Z", ["10-24T07", "10-25T08", "10-26T08"]),
        ("America/New_York", "2026-03-07T00:00:00Z", ["03-07T14", "03-08T13", "03-09T13"]),
        ("America/New_York", "2026-10-31T00:00:00Z", ["10-31T13", "11-01T14", "11-02T14"]),
    ] {
        let when = When::Weekly(weekly(zone, EVERY_DAY, "09:00", "17:00"));
        let as_cron = When::Cron(cron(zone, "0 9 * * *", 8 * 3600));
        let expected = expected.map(|hour| at(&format!("2026-{hour}:00:00Z")));
        let opens = |when: &When| first_from(when, from, 3).iter().map(|next| next.opens).collect::<Vec<_>>();
        assert_eq!(opens(&when), expected, "{zone}");
        assert_eq!(opens(&as_cron), expected, "{zone}");
    }
}

#[test]
fn cron_in_the_nights_in_which_clocks_are_changed() {
    let (berlin, lord_howe) = ("Europe/Berlin", "Australia/Lord_Howe");
    for (zone, text, from, expected, why) in [
        (berlin, "30 2 * * *", "2026-03-28T12:00:00Z", vec!["03-29T01:00", "03-30T00:30"], "neither never nor twice"),
        (berlin, "30 2 * * *", "2026-10-24T12:00:00Z", vec!["10-25T00:30", "10-26T01:30"], "the first time alone"),
        (berlin, "0,30 2 * * *", "2026-03-28T12:00:00Z", vec!["03-29T01:00", "03-30T00:00"], "both at once are one"),
        (berlin, "0,30 2 * * *", "2026-10-24T12:00:00Z", vec!["10-25T00:00", "10-25T00:30", "10-26T01:00"], "a list"),
        (
            berlin,
            "*/30 2 * * *",
            "2026-10-24T12:00:00Z",
            vec!["10-25T00:00", "10-25T00:30", "10-25T01:00", "10-25T01:30", "10-26T01:00"],
            "a step counts repeated hours",
        ),
        (
            berlin,
            "15 * * * *",
            "2026-10-24T23:00:00Z",
            vec!["10-24T23:15", "10-25T00:15", "10-25T01:15", "10-25T02:15"],
            "so does every hour",
        ),
        (
            berlin,
            "*/20 * * * *",
            "2026-03-29T00:30:00Z",
            vec!["03-29T00:40", "03-29T01:00", "03-29T01:20"],
            "nothing is lost or doubled where an hour is missing",
        ),
        (berlin, "*/30 2 * * *", "2026-03-28T12:00:00Z", vec!["03-29T01:00", "03-30T00:00"], "a missing hour"),
        (
            lord_howe,
            "15 2 * * *",
            "2026-10-03T00:00:00Z",
            vec!["10-03T15:30", "10-04T15:15"],
            "half an hour is missing",
        ),
        (lord_howe, "45 1 * * *", "2026-04-04T00:00:00Z", vec!["04-04T14:45", "04-05T15:15"], "half an hour twice"),
        (
            lord_howe,
            "*/15 1 * * *",
            "2026-04-04T12:00:00Z",
            vec![
                "04-04T14:00",
                "04-04T14:15",
                "04-04T14:30",
                "04-04T14:45",
                "04-04T15:00",
                "04-04T15:15",
                "04-05T14:30",
            ],
            "half an hour twice, with a step",
        ),
    ] {
        let when = When::Cron(cron(zone, text, 60));
        let expected: Vec<_> = expected.iter().map(|minute| at(&format!("2026-{minute}:00Z"))).collect();
        let opens = first_from(&when, from, expected.len()).iter().map(|next| next.opens).collect::<Vec<_>>();
        assert_eq!(opens, expected, "{text} in {zone}: {why}");
    }
}

/// Where clocks go back over midnight, yesterday's last hour comes again after today's beginning is near.
#[test]
fn clocks_that_go_back_over_midnight_keep_the_order_of_occurrences() {
    // Santiago, 2026-04-05: 00:00 becomes 23:00 of the day before.
    let when = When::Cron(cron("America/Santiago", "*/30 * * * *", 60));
    let opens: Vec<_> = first_from(&when, "2026-04-05T00:00:00Z", 12).iter().map(|next| next.opens).collect();
    for (index, opens) in (0..).zip(opens) {
        assert_eq!(opens, at("2026-04-05T00:00:00Z") + Duration::from_mins(30 * index));
    }
    let nightly = When::Weekly(weekly("America/Santiago", EVERY_DAY, "23:30", "00:30"));
    assert_eq!(
        nightly.open_at(at("2026-04-05T03:45:00Z")),
        Some(occurrence("2026-04-05T02:30:00Z", "2026-04-05T04:30:00Z")),
        "from the first 23:30 until 00:30"
    );
}

/// St. John's, 2010-11-07: 00:01 became 23:01 of the day before, so that today begins before yesterday's last hour comes
/// again.
#[test]
fn a_day_that_begins_twice_has_its_occurrences_in_order() {
    let st_johns = "America/St_Johns";
    let when = When::Cron(cron(st_johns, "*/30 * * * *", 60));
    let opens: Vec<_> = first_from(&when, "2010-11-07T01:00:00Z", 12).iter().map(|next| next.opens).collect();
    let half_hours = (0..12).map(|index| at("2010-11-07T01:00:00Z") + Duration::from_mins(30 * index));
    assert_eq!(opens, half_hours.collect::<Vec<_>>());
    for (text, expected) in [
        ("30 23 * * *", ["11-07T02:00", "11-08T03:00"]),
        ("0 0 * * *", ["11-07T02:30", "11-08T03:30"]),
        ("30 0 * * *", ["11-07T04:00", "11-08T04:00"]),
    ] {
        let when = When::Cron(cron(st_johns, text, 60));
        let opens = first_from(&when, "2010-11-06T12:00:00Z", 2).iter().map(|next| next.opens).collect::<Vec<_>>();
        assert_eq!(opens, expected.map(|minute| at(&format!("2010-{minute}:00Z"))), "{text}");
    }
    let nightly = When::Weekly(weekly(st_johns, EVERY_DAY, "23:30", "00:00"));
    let night = first_from(&nightly, "2010-11-06T12:00:00Z", 1);
    assert_eq!(night, [occurrence("2010-11-07T02:00:00Z", "2010-11-07T02:30:00Z")], "the first time alone");
}
