use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::policy::Smoothing;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const FREE: Smoothing =
    Smoothing { stabilization: Duration::ZERO, max_units: None, max_percent: None, period: Duration::ZERO };

fn units(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}

fn at(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn stable(seconds: u64) -> Smoothing {
    Smoothing { stabilization: Duration::from_secs(seconds), ..FREE }
}

fn limited(max_units: Option<u32>, max_percent: Option<f64>) -> Smoothing {
    Smoothing { max_units, max_percent, period: Duration::from_secs(600), ..FREE }
}

/// Follows `wishes` from `present`, each at its second, and gives the numbers after each.
fn followed(behavior: Behavior, mut present: u32, wishes: &[(u64, u32)]) -> Vec<u32> {
    let mut memory = BehaviorMemory::default();
    memory.wishes.enter(units(present), NOW);
    let mut values = Vec::new();
    for (second, wanted) in wishes {
        let now = at(*second);
        let smoothed = memory.follow(&behavior, units(*wanted), units(present), now, &mut Timer::new(now));
        memory.note_move(&behavior, units(present), smoothed.value, now);
        present = smoothed.value.units();
        values.push(present);
    }
    values
}

#[test]
fn a_fall_waits_until_the_greatest_wish_of_the_window_is_over() {
    let behavior = Behavior { up: FREE, down: stable(300) };
    let wishes = [(0, 10), (60, 4), (359, 4), (360, 4)];
    assert_eq!(followed(behavior, 10, &wishes), [10, 10, 10, 4]);
    assert_eq!(followed(behavior, 10, &[(0, 8), (60, 4), (300, 4), (360, 4)]), [10, 10, 8, 4], "each wish in its turn");
    assert_eq!(followed(behavior, 3, &[(0, 7)]), [7], "a rise does not wait");
}

#[test]
fn up_stabilisation_takes_the_least_wish_and_adds_nothing_while_load_is_low() {
    let behavior = Behavior { up: stable(120), down: stable(300) };
    assert_eq!(followed(behavior, 3, &[(0, 3), (10, 9), (20, 3), (100, 3), (140, 3)]), [3; 5], "a spike");
    assert_eq!(followed(behavior, 3, &[(0, 9), (60, 5), (119, 7), (120, 7), (180, 7), (240, 7)]), [3, 3, 3, 5, 5, 7]);
}

#[test]
fn stabilisation_ends_at_the_time_that_the_timer_says() {
    let behavior = Behavior { up: FREE, down: stable(300) };
    let mut memory = BehaviorMemory::default();
    memory.wishes.enter(units(10), NOW);
    let mut timer = Timer::new(at(60));
    let smoothed = memory.follow(&behavior, units(4), units(10), at(60), &mut timer);
    assert_eq!((smoothed.value, timer.at()), (units(10), Some(at(360))));
    assert!(
        smoothed
            .detail
            .expect("a reason")
            .starts_with("down only as far as all wishes of the last 300 s agree, not before ")
    );
}

#[test]
fn rises_of_a_period_are_together_at_most_the_larger_limit_of_what_there_was_before() {
    for (up, wishes, expected, why) in [
        (limited(Some(2), None), vec![(0, 9), (10, 9), (599, 9), (600, 9)], vec![5, 5, 5, 7], "units"),
        (limited(None, Some(50.0)), vec![(0, 9), (10, 9), (600, 9)], vec![5, 5, 8], "50 % of 3 is 2, of 5 it is 3"),
        (limited(Some(1), Some(100.0)), vec![(0, 9), (1, 9)], vec![6, 6], "the larger one"),
        (
            limited(Some(4), None),
            vec![(0, 5), (300, 9), (600, 20)],
            vec![5, 7, 9],
            "what was used in between counts on",
        ),
        (limited(None, None), vec![(0, 9)], vec![9], "neither given: no limit"),
        (limited(Some(0), None), vec![(0, 9), (9999, 9)], vec![3, 3], "0: never"),
        (limited(None, Some(0.0)), vec![(0, 9), (9999, 9)], vec![3, 3], "0 %: never"),
    ] {
        assert_eq!(followed(Behavior { up, down: FREE }, 3, &wishes), expected, "{why}");
    }
}

/// What follows a wish for 20 at 3, with these rises before it.
fn told(up: Smoothing, rises: &[(u64, u32)], second: u64) -> (u32, String, Option<Timestamp>) {
    let (behavior, now) = (Behavior { up, down: FREE }, at(second));
    let (mut memory, mut present) = (BehaviorMemory::default(), 3);
    for (second, value) in rises {
        // Under a limit that allows it.
        let before = Behavior { up: limited(Some(99), None), down: FREE };
        memory.note_move(&before, units(present), units(*value), at(*second));
        present = *value;
    }
    let mut timer = Timer::new(now);
    let smoothed = memory.follow(&behavior, units(20), units(present), now, &mut timer);
    (smoothed.value.units(), smoothed.detail.expect("a reason"), timer.at())
}

/// Time alone brings more when enough of the period is over, and not before.
#[test]
fn a_limit_says_until_when_it_holds() {
    let two = limited(Some(2), None);
    for (up, rises, second, value, detail, wakes) in [
        (two, vec![], 0, 5, "at most 2 more within 600 s, until 08:10 UTC", None),
        (two, vec![(0, 4)], 300, 5, "at most 1 more within 600 s, until 08:10 UTC", Some(600)),
        (two, vec![(0, 5)], 300, 5, "no further rise within 600 s, until 08:10 UTC", Some(600)),
        (two, vec![(0, 4), (100, 7)], 300, 7, "no further rise within 600 s, until 08:11:40 UTC", Some(700)),
        (limited(None, Some(100.0)), vec![(0, 4)], 300, 6, "at most 2 more within 600 s, until 08:10 UTC", Some(600)),
        (limited(Some(0), Some(0.0)), vec![(0, 4)], 300, 4, "the policy allows no rise", None),
    ] {
        let wakes = wakes.map(at);
        assert_eq!(told(up, &rises, second), (value, detail.to_owned(), wakes), "{up:?} after {rises:?}");
    }
}

#[test]
fn falls_are_limited_apart_from_rises() {
    let behavior = Behavior { up: FREE, down: limited(Some(2), None) };
    assert_eq!(followed(behavior, 9, &[(0, 1), (10, 12), (20, 1), (600, 1)]), [7, 12, 12, 10]);
}

#[test]
fn a_share_of_nothing_is_one_unit() {
    assert_eq!(followed(Behavior { up: limited(None, Some(50.0)), down: FREE }, 0, &[(0, 9)]), [1]);
}

#[test]
fn an_hour_of_ever_smaller_wishes_stays_small_and_cautious() {
    let behavior = Behavior { up: FREE, down: stable(3600) };
    let mut memory = BehaviorMemory::default();
    for second in 0..3600_u32 {
        let now = at(u64::from(second));
        let smoothed = memory.follow(&behavior, units(9000 - second), units(9000), now, &mut Timer::new(now));
        assert_eq!(smoothed.value, units(9000), "after {second} s");
        memory.note_move(&Behavior { down: limited(Some(9), None), ..behavior }, units(9000), units(8999), now);
    }
    let length = serde_json::to_string(&memory).expect("JSON").len();
    assert!(length < 16 * 1024, "{length} bytes");
}

/// What the wishes of a window are, by their definition.
fn by_definition(wishes: &[(u64, u32)], window: u64, now: u64) -> (u32, u32) {
    let counted = wishes.iter().enumerate().filter(|(index, _)| {
        let replaced_at = wishes.get(index + 1).map(|next| next.0);
        replaced_at.is_none_or(|replaced_at| replaced_at + window > now)
    });
    let counted: Vec<u32> = counted.map(|(_, wish)| wish.1).collect();
    (*counted.iter().min().expect("the last"), *counted.iter().max().expect("the last"))
}

proptest! {
    #[test]
    fn the_kept_wishes_answer_as_all_of_them_would(
        steps in prop::collection::vec((0_u64..100, 0_u32..20), 1..40), window in 0_u64..400,
    ) {
        let (mut wishes, mut all, mut second) = (Wishes::default(), Vec::new(), 0);
        for (pause, wanted) in steps {
            second += pause;
            wishes.enter(units(wanted), at(second));
            if all.last().is_none_or(|last: &(u64, u32)| last.1 != wanted) {
                all.push((second, wanted));
            }
            let window_time = Duration::from_secs(window);
            let (least, greatest) = by_definition(&all, window, second);
            prop_assert_eq!(wishes.least(window_time, at(second)).map(|(wish, _)| wish.units()), Some(least));
            prop_assert_eq!(wishes.greatest(window_time, at(second)).map(|(wish, _)| wish.units()), Some(greatest));
        }
    }

    #[test]
    fn no_period_sees_more_than_its_limit(
        wishes in prop::collection::vec((1_u64..400, 0_u32..60), 1..60), max_units in 0_u32..5,
    ) {
        let mut second = 0;
        let wishes: Vec<(u64, u32)> = wishes.into_iter().map(|(pause, wish)| { second += pause; (second, wish) }).collect();
        let values = followed(Behavior { up: limited(Some(max_units), None), down: FREE }, 3, &wishes);
        let mut before = 3;
        let mut rises = Vec::new();
        for ((second, _), value) in wishes.iter().zip(values) {
            rises.push((*second, value.saturating_sub(before)));
            before = value;
        }
        for (end, _) in &rises {
            let sum: u32 = rises.iter().filter(|(at, _)| at <= end && at + 600 > *end).map(|(_, rise)| rise).sum();
            prop_assert!(sum <= max_units, "{sum} until {end}");
        }
    }
}
