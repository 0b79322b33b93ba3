//! The cheapest policy of a [`Family`] that leaves no more unmet than one asks for.
//!
//! It must never choose by what it is judged on: the last third of the time is kept apart, and only what was chosen by the
//! part before it is played there. A play never looks ahead, so nothing of the last third reaches the choice.
//!
//! The search tries a coarse grid, then the neighbours of the best. Members without and with a `forecast` rule are searched
//! apart, and one with it is proposed only if that saves something worth the rule. Rejected: a method that follows a slope,
//! because what is unmet moves in steps where a unit more or less is needed.

mod family;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::num::NonZero;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

pub use family::{Family, LoadSetting, Member, TunedSettings, Width};

use super::no_trial::NoTrial;
use super::{Demand, DemandSpec, Need, Recordings, Run, Score, Setup, Span, play, score};
use crate::domain::policy::Policy;
use crate::domain::{Capacity, Timestamp};

/// A `forecast` rule learns from two days at least.
const LEARNING: Duration = Duration::from_hours(48);
/// Least time to choose on where a `forecast` rule is tried: a whole day, so that each time of the day counts.
const LEAST_CHOSEN_ON: Duration = Duration::from_hours(24);
/// Most time to choose on, so that a year is no longer a search than four weeks.
const MOST_CHOSEN_ON: Duration = Duration::from_hours(28 * 24);
/// Rounds around the best member, for each width.
const ROUNDS: usize = 4;
/// A `forecast` rule has to save this share of the cost: less is chance.
const LEAST_SAVING: f64 = 0.05;
/// Most points of the curve: each is played over the time that was kept apart, too.
const MOST_POINTS: usize = 12;

/// The parts of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The choice is made on it.
    pub chosen_on: Span,
    /// The choice is judged on it.
    pub held_out: Span,
    /// Whether the values before `chosen_on` are enough to learn from, for a `forecast` rule.
    pub is_learned: bool,
}

impl Parts {
    /// Those of `span`, of which values are known from `known_from` on.
    pub fn of(span: Span, known_from: Timestamp) -> Self {
        let held_from = span.to - span.to.since(span.from) / 3;
        let learned_at = known_from + LEARNING;
        let is_learned = span.from.max(learned_at) + LEAST_CHOSEN_ON <= held_from;
        let from = if is_learned { span.from.max(learned_at) } else { span.from };
        Self {
            chosen_on: Span { from: from.max(held_from - MOST_CHOSEN_ON), to: held_from },
            held_out: Span { from: held_from, to: span.to },
            is_learned,
        }
    }
}

/// A policy that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// Its settings.
    pub settings: TunedSettings,
    /// Which member it is; none is the given policy.
    pub member: Option<Member>,
    /// Its score on the time that the choice is made on.
    pub chosen_on: Score,
}

/// A policy that was tried, and played over the time that was kept apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The policy and its first score.
    pub tried: Tried,
    /// Its score on the time that was kept apart.
    pub held_out: Score,
    /// How it went over both parts.
    pub run: Run,
}

/// The result of a search.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// Most that may be unmet, as a share of the need.
    pub most_unmet: f64,
    /// How policies were played, over both parts.
    pub setup: Setup,
    /// The parts of the time.
    pub parts: Parts,
    /// Whether `forecast` rules were tried.
    pub forecasts_tried: bool,
    /// The need in both parts.
    pub needs: Vec<Need>,
    /// Everything that was tried, the given policy first.
    pub tried: Vec<Tried>,
    /// The given policy.
    pub given: Shown,
    /// The choice: the cheapest one that leaves no more unmet than asked for, or else the one that leaves the least.
    pub proposed: Shown,
    /// The proposed policy.
    pub policy: Policy,
    /// Those than which none was cheaper and left less unmet, the least unmet first, and the proposed one.
    pub curve: Vec<Shown>,
}

impl Tuned {
    /// Whether `score` leaves no more unmet than asked for.
    pub fn meets(&self, score: &Score) -> bool {
        score.unmet_share <= self.most_unmet
    }
}

/// Searches the family of `given`.
///
/// # Errors
/// If nothing is known of the demand in one of the parts.
pub fn tune(
    given: &Policy,
    spec: &DemandSpec,
    recordings: &Recordings,
    demand: &Demand<'_>,
    setup: &Setup,
    most_unmet: f64,
) -> Result<Tuned, NoTrial> {
    let parts = Parts::of(setup.span, setup.learn_from);
    let field = Field::new(given, spec, recordings, demand, setup, parts)?;
    let family = Family::of(given, spec);
    let forecasts_tried = parts.is_learned && family.may_forecast();
    let as_given = Tried { settings: family.settings(given), member: None, chosen_on: field.try_out(given) };
    let mut search =
        Search { family: &family, field: &field, most_unmet, seen: BTreeSet::new(), tried: vec![as_given] };
    let kinds = [(false, family.may_go_without()), (true, forecasts_tried)];
    for (forecasts, _) in kinds.into_iter().filter(|(_, is_tried)| *is_tried) {
        search.explore(forecasts);
    }
    let Search { tried, .. } = search;
    let proposed = choose(&tried, most_unmet);
    let show = |tried: &Tried| field.show(tried, &policy_of(&family, given, tried));
    Ok(Tuned {
        most_unmet,
        parts,
        forecasts_tried,
        given: show(&tried[0]),
        proposed: show(proposed),
        policy: policy_of(&family, given, proposed),
        curve: curve(&tried, proposed).into_iter().map(show).collect(),
        needs: field.needs,
        setup: field.setup,
        tried,
    })
}

fn policy_of(family: &Family<'_>, given: &Policy, tried: &Tried) -> Policy {
    tried.member.map_or_else(|| given.clone(), |member| family.policy(member))
}

/// Where policies are played and judged.
struct Field<'a> {
    recordings: &'a Recordings,
    /// Over both parts.
    setup: Setup,
    parts: Parts,
    needs: Vec<Need>,
    needs_chosen_on: Vec<Need>,
    needs_held_out: Vec<Need>,
}

impl<'a> Field<'a> {
    fn new(
        given: &Policy,
        spec: &DemandSpec,
        recordings: &'a Recordings,
        demand: &Demand<'_>,
        setup: &Setup,
        parts: Parts,
    ) -> Result<Self, NoTrial> {
        let span = Span { from: parts.chosen_on.from, to: parts.held_out.to };
        let known = |span| {
            let needs = demand.needs(span);
            match needs.iter().find_map(|need| need.units) {
                Some(first) => Ok((needs, first)),
                None => Err(NoTrial::NothingKnown { metric: spec.metric.clone(), span }),
            }
        };
        let (needs_chosen_on, first) = known(parts.chosen_on)?;
        let (needs_held_out, _) = known(parts.held_out)?;
        let capacity = if span.from == setup.span.from {
            setup.capacity
        } else {
            Capacity::try_from(first).unwrap_or(Capacity::MAX).clamp(given.min, given.max)
        };
        let setup = Setup { span, capacity, ..setup.clone() };
        Ok(Self { recordings, setup, parts, needs: demand.needs(span), needs_chosen_on, needs_held_out })
    }

    /// What `policy` is worth where the choice is made. Nothing after it is played.
    fn try_out(&self, policy: &Policy) -> Score {
        let setup = Setup { span: self.parts.chosen_on, ..self.setup.clone() };
        score(&play(policy, self.recordings, &setup), &self.needs_chosen_on, self.parts.chosen_on)
    }

    fn show(&self, tried: &Tried, policy: &Policy) -> Shown {
        let run = play(policy, self.recordings, &self.setup);
        let held_out = score(&run.within(self.parts.held_out), &self.needs_held_out, self.parts.held_out);
        Shown { tried: tried.clone(), held_out, run }
    }
}

struct Search<'a> {
    family: &'a Family<'a>,
    field: &'a Field<'a>,
    most_unmet: f64,
    seen: BTreeSet<Member>,
    /// Never empty: the given policy is the first.
    tried: Vec<Tried>,
}

impl Search<'_> {
    /// Tries the grid, and then around the best.
    fn explore(&mut self, forecasts: bool) {
        self.note(self.family.grid(forecasts));
        for width in [Width::Wide, Width::Narrow] {
            for _ in 0..ROUNDS {
                let Some(best) = self.best(forecasts) else { return };
                self.note(self.family.neighbours(best, width));
                if self.best(forecasts) == Some(best) {
                    break;
                }
            }
        }
    }

    fn best(&self, forecasts: bool) -> Option<Member> {
        let members = self.tried.iter().filter(|tried| tried.member.is_some_and(|it| it.forecasts() == forecasts));
        members.min_by(|one, other| order(one, other, self.most_unmet))?.member
    }

    /// Plays those members that were not played before, on all processors.
    fn note(&mut self, mut members: Vec<Member>) {
        members.retain(|member| self.seen.insert(*member));
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
        let share = members.len().div_ceil(workers).max(1);
        let this = &*self;
        let tried: Vec<Tried> = std::thread::scope(|scope| {
            let play =
                |members: &[Member]| members.iter().filter_map(|member| this.try_out(*member)).collect::<Vec<_>>();
            let workers: Vec<_> = members.chunks(share).map(|members| scope.spawn(move || play(members))).collect();
            let join = |worker: ScopedJoinHandle<'_, Vec<Tried>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().flat_map(join).collect()
        });
        self.tried.extend(tried);
    }

    /// What `member` is worth, unless the search is to end.
    fn try_out(&self, member: Member) -> Option<Tried> {
        if self.field.setup.allowance.stop.is_requested() {
            return None;
        }
        let policy = self.family.policy(member);
        let (settings, chosen_on) = (self.family.settings(&policy), self.field.try_out(&policy));
        Some(Tried { settings, member: Some(member), chosen_on })
    }
}

/// Which of two is the better one: the cheaper one of those that leave no more unmet than asked for, or else the one that
/// leaves less.
fn order(one: &Tried, other: &Tried, most_unmet: f64) -> Ordering {
    let rank = |tried: &Tried| {
        let Score { unmet_share, unit_hours, changes, .. } = tried.chosen_on;
        let excess = (unmet_share - most_unmet).max(0.0);
        (excess, unit_hours, changes)
    };
    let (one, other) = (rank(one), rank(other));
    one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2))
}

/// The best one, without a `forecast` rule unless that is worth it. The given policy is the first of those tried, and stays
/// where nothing is better.
fn choose(tried: &[Tried], most_unmet: f64) -> &Tried {
    let best = |forecasts: bool| {
        let kind = tried.iter().filter(|tried| tried.settings.quantile.is_some() == forecasts);
        kind.min_by(|one, other| order(one, other, most_unmet))
    };
    let (without, with) = match (best(false), best(true)) {
        (Some(without), Some(with)) => (without, with),
        (one, other) => return one.or(other).unwrap_or(&tried[0]),
    };
    let (plain, ahead) = (&without.chosen_on, &with.chosen_on);
    let is_less = |one: f64, other: f64| one < other * (1.0 - LEAST_SAVING);
    let is_worth_it = match (plain.unmet_share <= most_unmet, ahead.unmet_share <= most_unmet) {
        (true, true) => is_less(ahead.unit_hours, plain.unit_hours),
        (true, false) => false,
        (false, true) => true,
        (false, false) => is_less(ahead.unmet_share, plain.unmet_share),
    };
    if is_worth_it { with } else { without }
}

/// See [`Tuned::curve`]. Where costs are nearly the same, the one that leaves less unmet stands for all.
fn curve<'a>(tried: &'a [Tried], proposed: &Tried) -> Vec<&'a Tried> {
    let mut all: Vec<&Tried> = tried.iter().collect();
    let key = |tried: &Tried| (tried.chosen_on.unmet_share, tried.chosen_on.unit_hours);
    all.sort_by(|one, other| {
        let (one, other) = (key(one), key(other));
        one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1))
    });
    // Half a percent is no other choice.
    let mut gap = 0.005;
    loop {
        let mut points: Vec<&Tried> = Vec::new();
        let mut cheapest = f64::INFINITY;
        for tried in &all {
            let cost = tried.chosen_on.unit_hours;
            if cost < cheapest * (1.0 - gap) {
                points.push(tried);
                cheapest = cost;
            } else if *tried == proposed {
                points.push(tried);
            }
        }
        if points.len() <= MOST_POINTS {
            return points;
        }
        gap *= 1.5;
    }
}
