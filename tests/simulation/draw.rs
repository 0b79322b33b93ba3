//! Drawing a whole life from one seed.
//!
//! Changing anything here gives every seed another life: what a seed once found must have a test of its own.

use std::time::Duration;

use scalegate::domain::{OnConflict, SettingLimits};
use scalegate::sim::CommitFailure;

use crate::groups;
use crate::policies;
use crate::scenario::{
    Act, ChangeFate, Lags, MOST_UNITS, Nature, ReadFate, Scenario, Stamps, Submission, Tightening, Wish,
};
use crate::support::dice::Dice;

impl Scenario {
    /// The life that follows from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut nature = nature(&mut dice, seed);
        let mut acts = acts(&mut dice);
        fail_commits(&mut acts, &mut Dice::for_part(seed, COMMIT_FAILURES));
        policies::draw(&mut nature, &mut acts, &mut Dice::for_part(seed, POLICIES));
        groups::draw(&mut acts, &mut Dice::for_part(seed, GROUPS));
        Self { nature, acts }
    }
}

fn nature(dice: &mut Dice, seed: u64) -> Nature {
    let settle = Duration::from_secs(dice.pick(&[30, 90]));
    let beyond_settle = dice.percent(8);
    let apply_most = if beyond_settle { settle * 3 } else { settle / 2 };
    Nature {
        seed,
        start_units: units(dice),
        settle,
        apply_within: if dice.percent(50) { Duration::ZERO } else { dice.duration(apply_most) },
        lag: if dice.percent(30) { Duration::ZERO } else { dice.duration(settle / 2) },
        lags: dice.pick(&[Lags::Steady, Lags::Replicas]),
        stamps: dice.pick(&[
            Stamps::Honest,
            Stamps::Honest,
            Stamps::Lying,
            Stamps::Lying,
            Stamps::Missing,
            Stamps::Zero,
            Stamps::Ahead,
            Stamps::OfLastChange,
            Stamps::Mixed,
        ]),
        provisioning: Duration::from_secs(dice.pick(&[0, 1, 5, 20, 70])),
        goal_while_modifying: dice.percent(70),
        status_at_zero: dice.pick(&["PAUSED", "UNKNOWN", "STOPPED", "ACTIVE", "DEPLOYING"]),
        active_timeout: Duration::from_secs(dice.pick(&[40, 60, 120])),
        poll_interval: Duration::from_secs(dice.pick(&[5, 15, 30])),
        beyond_settle,
        tightening: tightening(&mut Dice::for_part(seed, TIGHTENING), settle),
    }
}

/// The part of a life that says when the operator asks for more care. With dice of its own: seeds from before it stand
/// for the same acts.
const TIGHTENING: u64 = 2;

/// The part of a life that says which commits fail.
const COMMIT_FAILURES: u64 = 3;

/// The part of a life that says what is done about policies.
const POLICIES: u64 = 4;

/// The part of a life that says what is done about groups.
const GROUPS: u64 = 5;

fn fail_commits(acts: &mut Vec<Act>, dice: &mut Dice) {
    if !dice.percent(30) {
        return;
    }
    for _ in 0..dice.between(1, 3) {
        let failure = dice.pick(&[CommitFailure::NotWritten, CommitFailure::Written]);
        acts.insert(dice.index(acts.len()), Act::CommitFails(failure));
    }
}

fn tightening(dice: &mut Dice, settle: Duration) -> Option<Tightening> {
    dice.percent(40).then(|| Tightening {
        at_restart: dice.between(1, 2),
        limits: SettingLimits {
            min_cooldown: Duration::from_secs(dice.pick(&[0, 20, 120])),
            max_step_size: dice.between(1, 3) as u32,
            min_settle: settle * dice.pick(&[0, 1, 2]),
        },
    })
}

fn submission(dice: &mut Dice) -> Submission {
    Submission {
        resource: resource(dice),
        goal: if dice.percent(75) { Wish::Target(units(dice)) } else { Wish::Delta(dice.pick(&[-3, -2, -1, 1, 2, 3])) },
        on_conflict: dice.pick(&[OnConflict::Reject, OnConflict::Queue, OnConflict::Queue, OnConflict::Supersede]),
        step_size: dice.between(1, 3) as u32,
        cooldown: Duration::from_secs(dice.pick(&[0, 5, 60, 300])),
        settles_slowly: dice.percent(20),
        deadline: if dice.percent(20) { Duration::from_secs(dice.between(1, 900)) } else { Duration::from_hours(24) },
        key: dice.percent(40).then(|| dice.between(0, 3) as u8),
    }
}

type Draw = fn(&mut Dice) -> Act;

/// The kinds of acts and how often each is drawn compared to the others.
const KINDS: [(u64, Draw); 16] = [
    (22, |dice| Act::Submit(submission(dice))),
    (15, |dice| Act::Events(dice.between(1, 12) as u32)),
    (12, |dice| Act::Pass(pause(dice))),
    (3, |dice| Act::SubmitAgain(dice.between(0, 7) as usize)),
    (6, |dice| Act::Cancel(dice.between(0, 5) as usize)),
    (10, |dice| Act::Crash { durable: dice.between(0, 2) as usize, away: away(dice), reboot: dice.percent(20) }),
    (2, |dice| Act::Restart { away: away(dice) }),
    (4, |dice| Act::SetClock(clock_jump(dice))),
    (10, |dice| Act::NextChange(dice.pick(&ChangeFate::ALL))),
    (4, |dice| Act::NextReadings(dice.pick(&ReadFate::ALL), dice.between(1, 5) as u8)),
    (3, |dice| Act::SidecarDown(dice.percent(50))),
    (2, |dice| Act::SetCapacity { resource: resource(dice), units: units(dice) }),
    (3, |dice| Act::Status { resource: resource(dice), status: dice.pick(&STATUSES) }),
    (2, |dice| Act::CommitsTake(Duration::from_millis(dice.pick(&[2, 2000, 7000])))),
    (2, |dice| Act::DispatchTakes(dice.duration(Duration::from_secs(1)))),
    (1, |_| Act::CleanUp),
];
/// So many of them, the first ones, are drawn in every life.
const ALWAYS: usize = 3;

/// Statuses a resource can be made to show; `None` is its own.
const STATUSES: [Option<&str>; 9] = [
    None,
    None,
    Some("FAILED"),
    Some("UNKNOWN"),
    Some("SCALING_UP"),
    Some("PENDING"),
    Some("Verifying-Lately"),
    Some("BLUE"),
    Some(""),
];

/// A life knows only some of the kinds: what happens ten times in a row in one life hardly does where everything
/// happens.
fn acts(dice: &mut Dice) -> Vec<Act> {
    let mut kinds: Vec<_> = KINDS[..ALWAYS].to_vec();
    let share = dice.pick(&[30, 60, 100]);
    kinds.extend(KINDS[ALWAYS..].iter().filter(|_| dice.percent(share)));
    let weights = kinds.iter().map(|(weight, _)| weight).sum();
    let mut acts = vec![Act::Submit(submission(dice))];
    for _ in 0..dice.between(3, 24) {
        let mut draw = dice.between(1, weights);
        for (weight, kind) in &kinds {
            if draw <= *weight {
                acts.push(kind(dice));
                break;
            }
            draw -= weight;
        }
    }
    acts
}

fn units(dice: &mut Dice) -> u32 {
    dice.between(0, MOST_UNITS.into()) as u32
}

fn resource(dice: &mut Dice) -> usize {
    usize::from(dice.percent(25))
}

fn pause(dice: &mut Dice) -> Duration {
    let most = dice.pick(&[5, 400]);
    dice.duration(Duration::from_secs(most))
}

fn away(dice: &mut Dice) -> Duration {
    match dice.between(0, 2) {
        0 => Duration::ZERO,
        1 => dice.duration(Duration::from_secs(30)),
        _ => dice.duration(Duration::from_secs(2000)),
    }
}

fn clock_jump(dice: &mut Dice) -> i64 {
    let most = dice.pick(&[5_000, 30_000, 60_000, 600_000, 7_200_000]);
    dice.between(0, 2 * most) as i64 - most as i64
}
