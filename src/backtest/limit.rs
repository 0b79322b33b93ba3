//! The least that any plan could have cost, had it known the future.
//!
//! Of all plans that send their changes at the points of a grid, under the same step size, cooldown, times of changes and
//! bounds: first the least that is unmet, then the least that is paid. Worked out backwards: at each point of the grid, for
//! each capacity that is free to change, the best of what can be done there is known from the points after it. Where the grid
//! or the capacities are too many for that, [`Limit::Bound`] is less than any plan could reach.
//!
//! On a grid that divides the time between rows and all waits, plans between its points are no better: what a plan costs is
//! piecewise linear in the times of its changes, and all its corners lie on the grid.

use std::time::Duration;

use super::recording::with_ends;
use super::{Change, Level, Need, Run, Setup, Span};
use crate::domain::{Bounds, Capacity, Move, Op, Timestamp};

/// Most steps of the calculation: some seconds on one core.
const MOST_STEPS: u64 = 1_000_000_000;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// The best plan.
    Plan(Run),
    /// No plan pays less than this, in unit-hours; it may be that none reaches it.
    Bound {
        /// Units that are paid for, in unit-hours.
        unit_hours: f64,
    },
}

/// The limit for a resource that is free to change at the beginning. Rows are `spacing` apart.
pub fn limit(needs: &[Need], bounds: Bounds, spacing: Duration, setup: &Setup) -> Limit {
    let span = setup.span;
    let Some(grid) = Grid::new(bounds, spacing, setup) else { return bound(needs, bounds, span) };
    let sums = Sums::new(needs, &grid, span);
    Limit::Plan(grid.plan(&sums, setup))
}

/// What is paid if there is always just what is needed.
fn bound(needs: &[Need], bounds: Bounds, span: Span) -> Limit {
    let paid = with_ends(needs, span).map(|(need, end)| {
        let units = need.units.map_or(0, |units| units.clamp(bounds.min.units(), bounds.max.units()));
        f64::from(units) * end.since(need.at).as_secs_f64() / 3600.0
    });
    Limit::Bound { unit_hours: paid.sum() }
}

/// What is unmet and what is paid, both in unit-milliseconds, in the order in which they count.
type Cost = (u64, u64);

fn plus(one: Cost, other: Cost) -> Cost {
    (one.0 + other.0, one.1 + other.1)
}

/// The points at which changes are sent, and the waits in steps of it.
struct Grid {
    step: Duration,
    steps: usize,
    lowest: u32,
    highest: u32,
    most_units: u32,
    /// Steps until units that are added are ready, and until those that are removed are not paid for any more.
    changing: [usize; 2],
    /// Steps from a change to the next.
    waiting: [usize; 2],
}

const fn index(op: Op) -> usize {
    match op {
        Op::Add => 0,
        Op::Remove => 1,
    }
}

impl Grid {
    /// None if there are too many points or capacities, or if changes would not take any time.
    fn new(bounds: Bounds, spacing: Duration, setup: &Setup) -> Option<Self> {
        let Setup { plant: spec, capacity: start, span, .. } = setup;
        let waits = [spec.provisioning, spec.removal, spec.cooldown];
        let step = waits.into_iter().fold(spacing.as_millis(), |step, wait| greatest_divisor(step, wait.as_millis()));
        let step = Duration::from_millis(u64::try_from(step).ok().filter(|step| *step > 0)?);
        let steps_in = |wait: Duration| (wait.as_millis() / step.as_millis()) as usize;
        let ops = [Op::Add, Op::Remove];
        let waiting = ops.map(|op| steps_in(spec.time_to_next(op)));
        let steps = span.to.since(span.from).as_millis().div_ceil(step.as_millis());
        let (lowest, highest) = (bounds.min.units().min(start.units()), bounds.max.units().max(start.units()));
        let levels = u64::from(highest - lowest) + 1;
        let choices = levels.checked_mul(u64::try_from(steps).ok()?)?;
        let most_units = spec.step_size.min(highest - lowest);
        let work = choices.checked_mul(2 * u64::from(most_units) + 1)?;
        let is_small =
            choices <= setup.allowance.most_choices && work <= MOST_STEPS && waiting.iter().all(|wait| *wait > 0);
        is_small.then(|| Self {
            step,
            steps: steps as usize,
            lowest,
            highest,
            most_units,
            changing: ops.map(|op| steps_in(spec.time_of_change(op))),
            waiting,
        })
    }

    fn levels(&self) -> usize {
        (self.highest - self.lowest) as usize + 1
    }

    fn point(&self, span: Span, nth: usize) -> Timestamp {
        span.from + self.step * u32::try_from(nth).unwrap_or(u32::MAX)
    }

    /// What it costs to change from one level to another at a point, until the next change can be sent, and when that is.
    fn change(&self, sums: &Sums, nth: usize, from: usize, to: usize) -> (Cost, usize) {
        let op = index(if to > from { Op::Add } else { Op::Remove });
        let over = (nth + self.changing[op]).min(self.steps);
        let next = (nth + self.waiting[op]).min(self.steps);
        let cost = if to > from {
            // Paid for at once, ready later.
            let unmet = sums.unmet(from, nth, over) + sums.unmet(to, over, next);
            (unmet, self.units(to) * sums.judged(nth, next))
        } else {
            let paid = self.units(from) * sums.judged(nth, over) + self.units(to) * sums.judged(over, next);
            (sums.unmet(to, nth, next), paid)
        };
        (cost, next)
    }

    fn units(&self, level: usize) -> u64 {
        u64::from(self.lowest) + level as u64
    }

    /// The best plan.
    fn plan(&self, sums: &Sums, setup: &Setup) -> Run {
        let (levels, window) = (self.levels(), self.waiting[0].max(self.waiting[1]).min(self.steps) + 1);
        let most = self.most_units as usize;
        // The best cost from each of the next points on, in a ring; and at each point and level, the level to go to.
        let mut best = vec![vec![(0, 0); levels]; window + 1];
        let mut choices = vec![0_u32; self.steps * levels];
        for nth in (0..self.steps).rev() {
            if setup.allowance.stop.is_requested() {
                break;
            }
            let mut here = std::mem::take(&mut best[nth % (window + 1)]);
            for (level, here) in here.iter_mut().enumerate() {
                let after = |nth: usize, level: usize| best[nth % (window + 1)][level];
                let stay = (sums.unmet(level, nth, nth + 1), self.units(level) * sums.judged(nth, nth + 1));
                let stay = plus(stay, after(nth + 1, level));
                let reachable = level.saturating_sub(most)..=(level + most).min(levels - 1);
                let changes = reachable.filter(|other| *other != level).map(|other| {
                    let (cost, next) = self.change(sums, nth, level, other);
                    (plus(cost, after(next, other)), other)
                });
                let (cost, to) = changes.min().filter(|(cost, _)| *cost < stay).unwrap_or((stay, level));
                *here = cost;
                choices[nth * levels + level] = to as u32;
            }
            best[nth % (window + 1)] = here;
        }
        self.follow(&choices, setup.capacity, setup.span)
    }

    /// What the choices lead to.
    fn follow(&self, choices: &[u32], start: Capacity, span: Span) -> Run {
        let capacity = |level: usize| Capacity::try_from(self.units(level) as u32).unwrap_or(start);
        let mut level = (start.units() - self.lowest) as usize;
        let mut run = super::fixed(start, span);
        let mut nth = 0;
        while nth < self.steps {
            let to = choices[nth * self.levels() + level] as usize;
            let Some(movement) = Move::toward(capacity(level), capacity(to), u32::MAX) else {
                nth += 1;
                continue;
            };
            let op = index(movement.op);
            let (at, ready_at) = (self.point(span, nth), self.point(span, nth + self.changing[op]));
            run.changes.push(Change { at, movement, ready_at });
            let (from, to_units) = (movement.from.units(), movement.to.units());
            run.levels.push(Level { at, ready: from.min(to_units), paid: from.max(to_units) });
            run.levels.push(Level { at: ready_at, ready: to_units, paid: to_units });
            (level, nth) = (to, nth + self.waiting[op]);
        }
        run
    }
}

fn greatest_divisor(one: u128, other: u128) -> u128 {
    if other == 0 { one } else { greatest_divisor(other, one % other) }
}

/// From the beginning up to each point of the grid: how much would be unmet at each level, and how much time is judged.
struct Sums {
    unmet: Vec<Vec<u64>>,
    judged: Vec<u64>,
}

impl Sums {
    fn new(needs: &[Need], grid: &Grid, span: Span) -> Self {
        // Each with all the room that it needs: what grows by doubling takes twice as much in between.
        let empty = || {
            let mut sums = Vec::with_capacity(grid.steps + 1);
            sums.push(0);
            sums
        };
        let mut sums = Self { unmet: (0..grid.levels()).map(|_| empty()).collect(), judged: empty() };
        let (mut need_at, mut at) = (0, span.from);
        let (mut judged, mut unmet) = (0, vec![0; grid.levels()]);
        for nth in 1..=grid.steps {
            let end = grid.point(span, nth).min(span.to);
            while at < end {
                while needs.get(need_at + 1).is_some_and(|next| next.at <= at) {
                    need_at += 1;
                }
                let until = needs.get(need_at + 1).map_or(end, |next| next.at.min(end));
                let millis = until.since(at).as_millis() as u64;
                if let Some(units) = needs.get(need_at).and_then(|need| need.units) {
                    judged += millis;
                    for (level, unmet) in unmet.iter_mut().enumerate() {
                        *unmet += u64::from(units).saturating_sub(grid.units(level)) * millis;
                    }
                }
                at = until;
            }
            sums.judged.push(judged);
            sums.unmet.iter_mut().zip(&unmet).for_each(|(sums, sum)| sums.push(*sum));
        }
        sums
    }

    fn unmet(&self, level: usize, from: usize, to: usize) -> u64 {
        self.unmet[level][to] - self.unmet[level][from]
    }

    fn judged(&self, from: usize, to: usize) -> u64 {
        self.judged[to] - self.judged[from]
    }
}
