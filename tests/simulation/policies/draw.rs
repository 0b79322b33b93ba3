//! Draws what is done about policies in a life, and puts it between its other acts.

use std::time::Duration;

use scalegate::domain::policy::{ClaimKind, Direction, HoldKind, Missing, Mode, Smoothing};

use super::plan::{Formula, Metric, PER_UNIT, Plan, PolicyAct, RulePlan, WindowBounds};
use crate::scenario::{Act, MOST_UNITS, Nature, Stamps};
use crate::sidecar::capacity;
use crate::support::dice::Dice;

/// In so many of a hundred lives there are policies.
const WITH_POLICIES: u64 = 40;
/// In so many of a hundred of those nothing but time and metrics comes after the policy was put: windows have to be ready.
const LEFT_ALONE: u64 = 15;
/// In so many nothing but metrics and restarts: what was wanted before them has to count.
const INTERRUPTED: u64 = 15;
/// In so many nothing but values of an average, some of them from before a change.
const BY_AVERAGES: u64 = 10;
/// In so many a metric changes faster than commits are done.
const HASTY: u64 = 5;

/// Puts policies and what is done about them between the `acts`.
pub fn draw(nature: &mut Nature, acts: &mut Vec<Act>, dice: &mut Dice) {
    if !dice.percent(WITH_POLICIES) {
        return;
    }
    let resources: &[usize] = dice.pick(&[&[0], &[0], &[1], &[0, 1]]);
    let resource = resources[0];
    let alone = match dice.between(0, 99) {
        choice if choice < LEFT_ALONE => {
            steady(nature);
            left_alone(dice, resource)
        }
        choice if choice < LEFT_ALONE + INTERRUPTED => interrupted(dice, resource),
        choice if choice < LEFT_ALONE + INTERRUPTED + BY_AVERAGES => by_averages(dice, resource),
        choice if choice < LEFT_ALONE + INTERRUPTED + BY_AVERAGES + HASTY => hasty(dice, resource),
        _ => Vec::new(),
    };
    if !alone.is_empty() {
        acts.truncate(if dice.percent(70) { 0 } else { dice.index(acts.len()) + 1 });
        acts.extend(alone);
        return;
    }
    for resource in resources {
        let place = dice.index(acts.len().min(3));
        acts.insert(place, put(dice, *resource));
        let share = dice.pick(&[30, 60, 100]);
        let mut kinds = KINDS[..ALWAYS].to_vec();
        kinds.extend(KINDS[ALWAYS..].iter().filter(|_| dice.percent(share)));
        let weights = kinds.iter().map(|(weight, _)| weight).sum();
        for _ in 0..dice.between(4, 16) {
            let mut choice = dice.between(1, weights);
            let after = place + 1;
            for (weight, kind) in &kinds {
                if choice <= *weight {
                    let place = after + dice.index(acts.len() - after + 1);
                    acts.insert(place, Act::Policy(kind(dice, *resource)));
                    break;
                }
                choice -= weight;
            }
        }
    }
}

/// Has every change take the same time and be seen at once.
fn steady(nature: &mut Nature) {
    (nature.apply_within, nature.lag, nature.stamps) = (Duration::ZERO, Duration::ZERO, Stamps::Honest);
    (nature.status_at_zero, nature.active_timeout) = ("PAUSED", Duration::from_mins(2));
    (nature.beyond_settle, nature.tightening) = (false, None);
}

/// A policy with a window ahead, and time until it opens.
fn left_alone(dice: &mut Dice, resource: usize) -> Vec<Act> {
    let mut plan = plan(dice, resource);
    plan.mode = Mode::Active;
    plan.rules.retain(|rule| rule.bounds().is_none_or(|bounds| bounds.max.is_none()));
    let bounds = WindowBounds {
        min: Some(dice.between(plan.min.max(1).into(), MOST_UNITS.into()) as u32),
        max: None,
        is_before: true,
    };
    let opens_after = Duration::from_secs(dice.between(600, 4000));
    plan.rules.push(RulePlan::Once { opens_after, lasts: Duration::from_secs(600), bounds });
    plan.max = MOST_UNITS;
    // Longer than it takes and than it is before a reading shows it.
    plan.expected_change = Duration::from_secs(120);
    let mut acts = vec![Act::Policy(PolicyAct::Put { resource, plan: Box::new(plan) })];
    let mut left = opens_after + Duration::from_secs(10);
    while !left.is_zero() {
        let time = dice.duration(Duration::from_secs(500)).max(Duration::from_secs(1)).min(left);
        left -= time;
        if dice.percent(40) {
            acts.push(Act::Policy(push(dice, resource)));
        }
        acts.push(Act::Pass(time));
    }
    acts
}

/// A policy that waits until its wishes agree, and processes that die meanwhile.
fn interrupted(dice: &mut Dice, resource: usize) -> Vec<Act> {
    let mut plan = Plan { mode: Mode::Active, ..plan(dice, resource) };
    plan.rules.retain(|rule| !matches!(rule, RulePlan::Follow { .. }));
    plan.rules.push(RulePlan::Target);
    plan.up = smoothing(dice, &[0, 30]);
    plan.down = smoothing(dice, &[60, 300]);
    let mut acts = vec![Act::Policy(PolicyAct::Put { resource, plan: Box::new(plan) })];
    for _ in 0..dice.between(2, 5) {
        let value = value(dice).max(0);
        let every = Duration::from_secs(dice.pick(&[1, 5, 10]));
        let times = dice.between(3, 20) as u8;
        acts.push(Act::Policy(PolicyAct::Feed { resource, metric: Metric::Load, value, every, times }));
        if dice.percent(60) {
            let away = dice.pick(&[Duration::ZERO, Duration::from_secs(20)]);
            acts.push(Act::Crash { durable: dice.index(3), away, reboot: false });
            acts.push(Act::Policy(PolicyAct::Feed { resource, metric: Metric::Load, value, every, times }));
        }
    }
    acts
}

/// A policy by an average per unit, and values that come again after the change that they led to.
fn by_averages(dice: &mut Dice, resource: usize) -> Vec<Act> {
    let rules = vec![RulePlan::Utilization];
    let plan = Plan { mode: Mode::Active, min: 1, max: MOST_UNITS, idle_after: None, rules, ..plan(dice, resource) };
    let mut acts = vec![Act::Policy(PolicyAct::Put { resource, plan: Box::new(plan) })];
    let metric = Metric::Cpu;
    for _ in 0..dice.between(1, 3) {
        let value = dice.pick(&[20, 90, 120]);
        acts.push(Act::Policy(PolicyAct::Push { resource, metric, value, age: Duration::ZERO }));
        for _ in 0..dice.between(2, 6) {
            acts.push(Act::Pass(dice.duration(Duration::from_secs(15))));
            acts.push(Act::Policy(PolicyAct::PushAgain { resource, metric }));
        }
        acts.push(Act::Pass(dice.duration(Duration::from_secs(100))));
    }
    acts
}

/// A policy that changes its mind while what it intends is on its way to the disk.
fn hasty(dice: &mut Dice, resource: usize) -> Vec<Act> {
    let at_once =
        Smoothing { stabilization: Duration::ZERO, max_units: None, max_percent: None, period: Duration::ZERO };
    let rules = vec![RulePlan::Target];
    let plan = Plan { mode: Mode::Active, rules, up: at_once, down: at_once, idle_after: None, ..plan(dice, resource) };
    let mut acts = vec![
        Act::Policy(PolicyAct::Put { resource, plan: Box::new(Plan { min: 0, max: MOST_UNITS, ..plan }) }),
        Act::CommitsTake(Duration::from_secs(dice.between(1, 4))),
    ];
    for _ in 0..dice.between(10, 30) {
        let value = dice.between(0, u64::from(MOST_UNITS * PER_UNIT)) as i32;
        acts.push(Act::Policy(PolicyAct::Push { resource, metric: Metric::Load, value, age: Duration::ZERO }));
        acts.push(Act::Pass(dice.duration(Duration::from_secs(8))));
    }
    acts
}

fn put(dice: &mut Dice, resource: usize) -> Act {
    Act::Policy(PolicyAct::Put { resource, plan: Box::new(plan(dice, resource)) })
}

type Draw = fn(&mut Dice, usize) -> PolicyAct;

/// The kinds of acts and how often each is drawn compared to the others.
const KINDS: [(u64, Draw); 14] = [
    (30, push),
    (25, |dice, resource| PolicyAct::Feed {
        resource,
        metric: dice.pick(&Metric::ALL),
        value: value(dice),
        every: Duration::from_secs(dice.pick(&[1, 5, 20])),
        times: dice.between(2, 20) as u8,
    }),
    (8, |dice, resource| PolicyAct::Put { resource, plan: Box::new(plan(dice, resource)) }),
    (5, |dice, resource| PolicyAct::Mode { resource, mode: dice.pick(&[Mode::Active, Mode::Advise, Mode::Off]) }),
    (2, |_, resource| PolicyAct::Delete { resource }),
    (6, |dice, resource| PolicyAct::PushAgain { resource, metric: dice.pick(&Metric::ALL) }),
    (12, |dice, resource| PolicyAct::Pull { resource, metric: dice.pick(&Metric::ALL), result: pulled(dice) }),
    (10, |dice, resource| PolicyAct::Hold { resource, kind: hold(dice), lasts: lasts(dice) }),
    (4, |_, resource| PolicyAct::EndHold { resource }),
    (10, |dice, resource| PolicyAct::Claim {
        resource,
        units: dice.between(1, MOST_UNITS.into()) as u32,
        kind: dice.pick(&[ClaimKind::AtLeast, ClaimKind::AtLeast, ClaimKind::Extra]),
        after: dice.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_secs(60)]),
        lasts: lasts(dice),
    }),
    (6, |dice, _| PolicyAct::RenewClaim { which: dice.index(2), lasts: lasts(dice) }),
    (6, |dice, _| PolicyAct::EndClaim { which: dice.index(2) }),
    (3, |_, resource| PolicyAct::Cancel { resource }),
    (8, |dice, resource| PolicyAct::File { resource, plan: dice.percent(75).then(|| Box::new(plan(dice, resource))) }),
];
/// So many of them, the first ones, are drawn in every life with policies.
const ALWAYS: usize = 2;

fn push(dice: &mut Dice, resource: usize) -> PolicyAct {
    let age = match dice.between(0, 9) {
        0..7 => Duration::ZERO,
        7 | 8 => dice.duration(Duration::from_secs(30)),
        _ => dice.duration(Duration::from_secs(600)),
    };
    PolicyAct::Push { resource, metric: dice.pick(&Metric::ALL), value: value(dice), age }
}

fn value(dice: &mut Dice) -> i32 {
    match dice.between(0, 19) {
        0 => -1,
        1 => 0,
        _ => dice.between(0, u64::from(MOST_UNITS * PER_UNIT) * 2) as i32,
    }
}

fn pulled(dice: &mut Dice) -> Result<u32, Missing> {
    if dice.percent(30) {
        return Ok(dice.between(0, u64::from(MOST_UNITS * PER_UNIT)) as u32);
    }
    Err(dice.pick(&[Missing::Invalid, Missing::SeveralSeries, Missing::SourceFailed]))
}

fn hold(dice: &mut Dice) -> HoldKind {
    match dice.between(0, 5) {
        0 | 1 => HoldKind::Direction(Direction::Both),
        2 => HoldKind::Direction(Direction::Up),
        3 => HoldKind::Direction(Direction::Down),
        _ => HoldKind::Capacity(capacity(dice.between(0, MOST_UNITS.into()) as u32)),
    }
}

fn lasts(dice: &mut Dice) -> Duration {
    Duration::from_secs(dice.pick(&[5, 60, 600, 3600]))
}

fn plan(dice: &mut Dice, resource: usize) -> Plan {
    let min = dice.between(0, 2) as u32;
    let max = dice.between(u64::from(min).max(1), MOST_UNITS.into()) as u32;
    let mut rules: Vec<RulePlan> = (0..dice.between(0, 2)).map(|_| recommending(dice, resource)).collect();
    for _ in 0..dice.pick(&[0, 0, 1, 1, 2]) {
        rules.push(window(dice, min, max));
    }
    // Without one of these, a resource at 0 would stay there.
    let alone = rules.iter().all(|rule| !matches!(rule, RulePlan::Target | RulePlan::Band | RulePlan::Follow { .. }));
    if rules.is_empty() || alone {
        rules.push(dice.pick(&[RulePlan::Target, RulePlan::Band]));
    }
    Plan {
        mode: dice.pick(&[Mode::Active, Mode::Active, Mode::Active, Mode::Active, Mode::Advise, Mode::Off]),
        min,
        max,
        rules,
        holds_when_missing: dice.percent(75),
        max_age: Duration::from_secs(dice.pick(&[20, 300])),
        up: smoothing(dice, &[0, 0, 0, 30]),
        down: smoothing(dice, &[0, 60, 300]),
        idle_after: dice.percent(20).then(|| Duration::from_secs(dice.pick(&[0, 60, 300]))),
        step_size: dice.between(1, 3) as u32,
        cooldown: Duration::from_secs(dice.pick(&[0, 5, 60])),
        expected_change: Duration::from_secs(dice.pick(&[5, 60, 300])),
    }
}

fn recommending(dice: &mut Dice, resource: usize) -> RulePlan {
    match dice.between(0, 11) {
        0..3 => RulePlan::Target,
        10 | 11 => RulePlan::Expression(dice.pick(&[Formula::Load, Formula::Capacity, Formula::Target])),
        3 | 4 => RulePlan::Band,
        5 | 6 => RulePlan::Utilization,
        7 | 8 => RulePlan::Step { breach_time: Duration::from_secs(dice.pick(&[0, 10, 30])) },
        // One direction alone, or most would be refused as a circle.
        _ if resource == 1 => RulePlan::Follow { offset: dice.between(0, 2) as i32 - 1 },
        _ => RulePlan::Target,
    }
}

fn window(dice: &mut Dice, min: u32, max: u32) -> RulePlan {
    let (a, b) = (dice.between(min.into(), max.into()) as u32, dice.between(min.into(), max.into()) as u32);
    let (min, max) = match dice.between(0, 3) {
        0 | 1 => (Some(a), None),
        2 => (None, Some(a)),
        _ => (Some(a.min(b)), Some(a.max(b))),
    };
    let bounds = WindowBounds { min, max, is_before: dice.percent(70) };
    let lasts = Duration::from_secs(dice.pick(&[30, 120, 240]));
    if dice.percent(50) {
        RulePlan::Once { opens_after: dice.duration(Duration::from_secs(1200)), lasts, bounds }
    } else {
        RulePlan::Cron { every_minutes: dice.pick(&[5, 10, 30]), lasts, bounds }
    }
}

fn smoothing(dice: &mut Dice, stabilizations: &[u64]) -> Smoothing {
    let max_units = dice.percent(20).then(|| dice.between(0, 2) as u32);
    Smoothing {
        stabilization: Duration::from_secs(dice.pick(stabilizations)),
        max_units,
        max_percent: None,
        period: Duration::from_secs(if max_units.is_some() { 120 } else { 0 }),
    }
}
