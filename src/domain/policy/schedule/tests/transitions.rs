//! The list of what schedules will do.

use super::super::super::document::{Band, OnMissing, Rule, RuleKind};
use super::super::super::name::Name;
use super::*;

fn rule(name: &str, when: When, min: u32) -> Rule {
    let min = Some(Capacity::try_from(min).expect("a small number"));
    let window = Window { when, min, max: None, ready: Ready::Before };
    Rule { name: name.parse().expect("a name"), kind: RuleKind::Schedule(window) }
}

fn texts(rules: &[Rule], from: &str, to: &str, at_most: usize) -> Vec<String> {
    let all = transitions(rules, at(from), at(to), at_most).into_iter();
    let text = |transition: Transition| {
        assert_eq!(at(&transition.local), transition.at);
        let does = if transition.opens { "opens" } else { "closes" };
        format!("{} {} {does}", transition.local, transition.rule)
    };
    all.map(text).collect()
}

#[test]
fn transitions_are_in_order_with_local_times_and_offsets() {
    let rules = [
        rule("office", When::Weekly(weekly("Europe/Berlin", WORKDAYS, "09:00", "17:00")), 10),
        Rule {
            name: "band".parse::<Name>().expect("a name"),
            kind: RuleKind::Band(Band {
                metric: "queue".parse().expect("a name"),
                high: 2.0,
                low: 1.0,
                on_missing: OnMissing::Hold,
            }),
        },
        rule("nightly", When::Cron(cron("UTC", "30 2 * * *", 5400)), 6),
        rule("launch", When::Once(occurrence("2026-11-30T16:00:00Z", "2026-12-01T08:00:00Z")), 18),
    ];
    let expected = [
        "2026-11-30T02:30:00+00:00 nightly opens",
        "2026-11-30T04:00:00+00:00 nightly closes",
        "2026-11-30T09:00:00+01:00 office opens",
        "2026-11-30T17:00:00+01:00 office closes",
        "2026-11-30T16:00:00+00:00 launch opens",
        "2026-12-01T02:30:00+00:00 nightly opens",
        "2026-12-01T04:00:00+00:00 nightly closes",
        "2026-12-01T08:00:00+00:00 launch closes",
        "2026-12-01T09:00:00+01:00 office opens",
    ];
    assert_eq!(texts(&rules, "2026-11-29T10:00:00Z", "2026-12-01T10:00:00Z", 100), expected);
    assert_eq!(texts(&rules, "2026-11-29T10:00:00Z", "2026-12-01T10:00:00Z", 4), expected[..4]);
    assert_eq!(
        transitions(&rules, at("2026-11-30T08:00:00Z"), at("2026-12-30T08:00:00Z"), 1)[0].min,
        Capacity::new(10).ok()
    );
}

#[test]
fn the_list_is_half_open_like_the_windows() {
    let rules = [rule("launch", When::Once(occurrence("2026-11-30T16:00:00Z", "2026-12-01T08:00:00Z")), 18)];
    for (from, to, count) in [
        ("2026-11-30T16:00:00Z", "2026-12-01T08:00:00.001Z", 2),
        ("2026-11-30T16:00:00Z", "2026-12-01T08:00:00Z", 1),
        ("2026-11-30T16:00:00.001Z", "2026-12-01T08:00:00.001Z", 1),
        ("2026-12-01T08:00:00Z", "2026-12-01T09:00:00Z", 1),
        ("2026-12-01T08:00:00.001Z", "2026-12-01T09:00:00Z", 0),
        ("2026-11-30T16:00:00Z", "2026-11-30T16:00:00Z", 0),
    ] {
        assert_eq!(transitions(&rules, at(from), at(to), 100).len(), count, "{from} {to}");
    }
}

#[test]
fn occurrences_that_adjoin_or_overlap_have_no_transition_between_them() {
    let weekend = [DayOfWeek::Sat, DayOfWeek::Sun];
    let rules = [
        rule("weekend", When::Weekly(weekly("Europe/Berlin", &weekend, "00:00", "00:00")), 1),
        rule("often", When::Cron(cron("UTC", "*/30 8-9 * * 6", 2400)), 1),
        rule("always", When::Cron(cron("UTC", "* * * * *", 61)), 1),
    ];
    assert_eq!(
        texts(&rules, "2026-11-27T12:00:00Z", "2026-12-13T00:00:00Z", 100),
        [
            "2026-11-28T00:00:00+01:00 weekend opens",
            "2026-11-28T08:00:00+00:00 often opens",
            "2026-11-28T10:10:00+00:00 often closes",
            "2026-11-30T00:00:00+01:00 weekend closes",
            "2026-12-05T00:00:00+01:00 weekend opens",
            "2026-12-05T08:00:00+00:00 often opens",
            "2026-12-05T10:10:00+00:00 often closes",
            "2026-12-07T00:00:00+01:00 weekend closes",
            "2026-12-12T00:00:00+01:00 weekend opens",
            "2026-12-12T08:00:00+00:00 often opens",
            "2026-12-12T10:10:00+00:00 often closes",
        ]
    );
}
