//! The policies among which a search chooses: the given one with other numbers in it.
//!
//! What is varied: the load per unit of the first rule that follows the demand, the time for which a fall waits, and the
//! `forecast` rule of the demand. Everything else stays as it was given, bounds and schedules included.
//!
//! A member is named by whole numbers, so that the search never plays one twice because of a rounding.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::demand_spec::DemandSpec;
use crate::domain::policy::{Forecast, ForecastSource, MAX_RULES, Name, OnMissing, Policy, Rule, RuleKind, When};

/// Shares of the load that one unit carries, in percent.
const SHARES: std::ops::RangeInclusive<u16> = 50..=130;
/// Lower ends of a band as shares of its upper end, in percent.
const LOWS: std::ops::RangeInclusive<u16> = 30..=95;
/// What documents allow as a quantile, in percent.
const QUANTILES: std::ops::RangeInclusive<u16> = 50..=99;
/// Seconds for which a fall waits, up to the most that documents allow.
const WAITS: [u16; 8] = [0, 120, 300, 600, 900, 1200, 1800, 3600];

/// The settings that are varied, as a document has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TunedSettings {
    /// Of the rule that follows the demand, if there is one.
    pub load: Option<LoadSetting>,
    /// For how long a fall waits.
    pub down_stabilization: Duration,
    /// Of the `forecast` rule, if there is one that learns.
    pub quantile: Option<f64>,
}

/// How a rule follows the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoadSetting {
    /// The load per unit of a `target` rule.
    PerUnit(f64),
    /// The ends of a `band` rule.
    Band {
        /// Least load per unit.
        low: f64,
        /// Most load per unit.
        high: f64,
    },
}

/// One member of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The load per unit, as a share of what one unit carries, in percent.
    share: u16,
    /// The lower end of the band as a share of its upper end, in percent; 0 without a band.
    low: u16,
    /// Which of [`WAITS`].
    wait: usize,
    /// The quantile in percent; none without a `forecast` rule.
    quantile: Option<u16>,
}

impl Member {
    /// Whether it has a `forecast` rule that learns.
    pub fn forecasts(self) -> bool {
        self.quantile.is_some()
    }
}

/// How far apart the neighbours of a member are.
#[derive(Clone, Copy, Debug)]
pub enum Width {
    /// Half of the coarse grid.
    Wide,
    /// As fine as makes a difference.
    Narrow,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Family<'a> {
    given: &'a Policy,
    demand: &'a DemandSpec,
    /// Which rule follows the demand.
    load: Option<usize>,
    /// Which rule forecasts the demand by what it learns.
    forecast: Option<usize>,
}

impl<'a> Family<'a> {
    /// That of `given`.
    pub fn of(given: &'a Policy, demand: &'a DemandSpec) -> Self {
        let load = given.rules.iter().position(|rule| match &rule.kind {
            RuleKind::Target(target) => target.metric == demand.metric,
            RuleKind::Band(band) => band.metric == demand.metric,
            _ => false,
        });
        let forecast = given.rules.iter().position(|rule| learned(rule, demand).is_some());
        Self { given, demand, load, forecast }
    }

    /// Whether members may have a `forecast` rule: there is one, or one more is valid.
    pub fn may_forecast(&self) -> bool {
        let metric = self.given.metrics.get(&self.demand.metric);
        let may_add = self.given.rules.len() < MAX_RULES && metric.is_some_and(|spec| !spec.allow_negative);
        self.forecast.is_some() || may_add
    }

    /// Whether members may have none: what remains follows the demand.
    pub fn may_go_without(&self) -> bool {
        self.forecast.is_none() || self.load.is_some()
    }

    /// The coarse grid of those with or without a `forecast` rule.
    pub fn grid(&self, forecasts: bool) -> Vec<Member> {
        // A floor ahead of the load makes up for what a thrifty rule misses, so fewer of the others are worth a try.
        let (shares, waits, quantiles): (&[u16], &[usize], &[Option<u16>]) = if forecasts {
            (&[80, 100], &[0, 4], &[Some(50), Some(70), Some(90)])
        } else {
            (&[60, 70, 80, 90, 100, 110], &[0, 2, 4, 7], &[None])
        };
        let shares = if self.load.is_some() { shares } else { &[100] };
        let lows: &[u16] = match (self.has_band(), forecasts) {
            (false, _) => &[0],
            (true, true) => &[80],
            (true, false) => &[50, 80],
        };
        let mut members = Vec::new();
        for share in shares {
            for low in lows {
                for wait in waits {
                    let member =
                        |quantile: &Option<u16>| Member { share: *share, low: *low, wait: *wait, quantile: *quantile };
                    members.extend(quantiles.iter().map(member));
                }
            }
        }
        members
    }

    /// The members beside `member`: each with one setting changed.
    pub fn neighbours(&self, member: Member, width: Width) -> Vec<Member> {
        let (share, low, wait, quantile) = match width {
            Width::Wide => (5, 15, 2, 10),
            Width::Narrow => (2, 5, 1, 4),
        };
        let around = |value: u16, by: u16| [value.saturating_sub(by), value + by];
        let mut members = Vec::new();
        if self.load.is_some() {
            let shares = around(member.share, share).into_iter().filter(|share| SHARES.contains(share));
            members.extend(shares.map(|share| Member { share, ..member }));
        }
        if self.has_band() {
            let lows = around(member.low, low).into_iter().filter(|low| LOWS.contains(low));
            members.extend(lows.map(|low| Member { low, ..member }));
        }
        let waits = [member.wait.checked_sub(wait), Some(member.wait + wait)];
        let waits = waits.into_iter().flatten().filter(|wait| *wait < WAITS.len());
        members.extend(waits.map(|wait| Member { wait, ..member }));
        if let Some(before) = member.quantile {
            let quantiles = around(before, quantile).into_iter().filter(|quantile| QUANTILES.contains(quantile));
            members.extend(quantiles.map(|quantile| Member { quantile: Some(quantile), ..member }));
        }
        members
    }

    fn has_band(&self) -> bool {
        self.load.is_some_and(|nth| matches!(self.given.rules[nth].kind, RuleKind::Band(_)))
    }

    /// The policy that `member` is.
    pub fn policy(&self, member: Member) -> Policy {
        let mut policy = self.given.clone();
        policy.behavior.down.stabilization = Duration::from_secs(WAITS[member.wait].into());
        let per_unit = rounded(self.demand.per_unit * share(member.share));
        match self.load.map(|nth| &mut policy.rules[nth].kind) {
            Some(RuleKind::Target(target)) => target.per_unit = per_unit,
            Some(RuleKind::Band(band)) => (band.high, band.low) = (per_unit, rounded(per_unit * share(member.low))),
            _ => {}
        }
        match (self.forecast, member.quantile.map(share)) {
            (Some(nth), Some(quantile)) => {
                if let RuleKind::Forecast(forecast) = &mut policy.rules[nth].kind {
                    forecast.quantile = quantile;
                }
            }
            (Some(nth), None) => drop(policy.rules.remove(nth)),
            (None, Some(quantile)) => policy.rules.extend(self.forecast_rule(quantile)),
            (None, None) => {}
        }
        policy
    }

    /// A rule that looks ahead to what one unit carries, whatever the rule beside it does.
    fn forecast_rule(&self, quantile: f64) -> Option<Rule> {
        let is_free = |name: &Name| self.given.rules.iter().all(|rule| rule.name != *name);
        let names = (1..).map(|nth| if nth == 1 { "forecast".to_owned() } else { format!("forecast{nth}") });
        let name = names.filter_map(|name| name.parse().ok()).find(is_free)?;
        let forecast = Forecast {
            metric: self.demand.metric.clone(),
            per_unit: self.demand.per_unit,
            quantile,
            source: ForecastSource::Learned,
            zone: self.zone(),
            on_missing: OnMissing::default(),
        };
        Some(Rule { name, kind: RuleKind::Forecast(forecast) })
    }

    /// The clock that the schedules of the policy follow.
    fn zone(&self) -> TimeZone {
        let zones = self.given.rules.iter().find_map(|rule| match &rule.kind {
            RuleKind::Schedule(window) => match &window.when {
                When::Weekly(weekly) => Some(weekly.zone.clone()),
                When::Cron(cron) => Some(cron.zone.clone()),
                When::Once(_) => None,
            },
            _ => None,
        });
        zones.unwrap_or(TimeZone::UTC)
    }

    /// The settings of a policy of the family.
    pub fn settings(&self, policy: &Policy) -> TunedSettings {
        let load = self.load.and_then(|nth| {
            // The rule stands one place earlier where the one that forecasts before it is left out.
            let name = &self.given.rules[nth].name;
            policy.rules.iter().find(|rule| rule.name == *name)
        });
        let load = load.and_then(|rule| match &rule.kind {
            RuleKind::Target(target) => Some(LoadSetting::PerUnit(target.per_unit)),
            RuleKind::Band(band) => Some(LoadSetting::Band { low: band.low, high: band.high }),
            _ => None,
        });
        let quantile = policy.rules.iter().find_map(|rule| learned(rule, self.demand)).map(|rule| rule.quantile);
        TunedSettings { load, down_stabilization: policy.behavior.down.stabilization, quantile }
    }
}

/// The rule, if it forecasts the demand by what it learns.
fn learned<'a>(rule: &'a Rule, demand: &DemandSpec) -> Option<&'a Forecast> {
    match &rule.kind {
        RuleKind::Forecast(rule) if rule.metric == demand.metric => {
            (rule.source == ForecastSource::Learned).then_some(rule)
        }
        _ => None,
    }
}

fn share(percent: u16) -> f64 {
    f64::from(percent) / 100.0
}

/// Four digits: more would be made up, and `0.1 × 3` is no number for a document.
fn rounded(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}
