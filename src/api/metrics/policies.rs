//! What policies decided last, what they lack and what keeps them from acting, for those who should know when it lasts.
//!
//! Since when something is so is not said: `for` in an alert counts that, across restarts of the gateway, and no two clocks are
//! compared.

use std::collections::BTreeSet;

use strum::VariantArray as _;

use crate::domain::policy::{ConditionCode, Decision, ForecastState, Foresight, Mode};
use crate::domain::{Capacity, Timestamp};
use crate::engine::{PolicyView, ResourceView};
use crate::metrics::Scrape;

/// The number of policies, over all resources, named or not.
pub(super) fn describe_number(scrape: &mut Scrape, views: &[ResourceView]) {
    let help = "Policies in force, by mode: active; advise: it decides and changes nothing; off: it does not decide.";
    scrape.gauge("scalegate_policies", help, |family| {
        for mode in Mode::VARIANTS {
            let policies = views.iter().filter_map(|view| view.standing.policy.as_ref());
            let count = policies.filter(|policy| policy.policy.mode == *mode).count();
            family.add(&[("mode", mode.as_str())], count as f64);
        }
    });
}

/// What the policies of these resources decided last.
pub(super) fn describe(scrape: &mut Scrape, views: &[ResourceView], now: Timestamp) {
    describe_capacities(scrape, views);
    let help = "1 if the metric of the policy was missing at its last decision, 0 if it had a value. Missing is not zero: what the \
                rule does then is its onMissing.";
    scrape.gauge("scalegate_policy_metric_missing", help, |family| {
        for (view, decision) in decided(views) {
            for (metric, state) in &decision.metrics {
                let labels = [("metric", metric.as_str()), ("resource", view.resource.as_str())];
                family.add(&labels, f64::from(u8::from(state.fresh().is_none())));
            }
        }
    });
    let help = "1 with the code of what keeps the policy of the resource from acting, or from deciding well; absent while \
                nothing does.";
    scrape.gauge("scalegate_policy_condition", help, |family| {
        for (view, policy) in deciding(views) {
            // One code may be there for both directions, and for several metrics.
            let codes: BTreeSet<ConditionCode> = policy.conditions.iter().map(|condition| condition.code).collect();
            for code in codes {
                family.add(&[("code", code.as_str()), ("resource", view.resource.as_str())], 1.0);
            }
        }
    });
    describe_forecasts(scrape, views);
    let help = "Time until the hold on the resource ends by itself; absent while there is none.";
    scrape.gauge("scalegate_resource_hold_remaining_seconds", help, |family| {
        for view in views {
            let remaining = view.standing.hold.as_ref().map(|hold| hold.until.since(now).as_secs_f64());
            remaining.into_iter().for_each(|value| family.add(&[("resource", view.resource.as_str())], value));
        }
    });
}

fn describe_forecasts(scrape: &mut Scrape, views: &[ResourceView]) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&Foresight) -> Option<f64>| {
        scrape.gauge(name, help, |family| {
            for view in views {
                for foresight in &view.standing.foresights {
                    if let Some(value) = value(foresight) {
                        family.add(&[("resource", view.resource.as_str()), ("rule", foresight.rule.as_str())], value);
                    }
                }
            }
        });
    };
    each(
        "scalegate_policy_forecast_trusted",
        "1 if the forecast rule counts; 0 while it has nothing to go by, learns, or was no better than the guess that all stays as it \
         is.",
        &|foresight| Some(f64::from(u8::from(foresight.state == ForecastState::Trusted))),
    );
    each(
        "scalegate_policy_forecast_error",
        "Mean error of what the forecast rule expected, in the unit of its metric, at the distance of the longest climb; what was a \
         day ago counts a quarter. Absent before anything could be compared.",
        &|foresight| foresight.accuracy.map(|accuracy| accuracy.error),
    );
    each("scalegate_policy_forecast_naive_error", "The same for the guess that all stays as it is.", &|foresight| {
        foresight.accuracy.map(|accuracy| accuracy.naive_error)
    });
    each(
        "scalegate_policy_forecast_coverage",
        "Share of the values of the metric that were at most what the forecast rule provided for. It should be about the quantile \
         of the rule.",
        &|foresight| foresight.accuracy.map(|accuracy| accuracy.coverage),
    );
}

fn describe_capacities(scrape: &mut Scrape, views: &[ResourceView]) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&PolicyView, &Decision) -> Option<Capacity>| {
        scrape.gauge(name, help, |family| {
            for (view, policy) in deciding(views) {
                if let Some(capacity) = policy.decision.as_ref().and_then(|decision| value(policy, decision)) {
                    family.add(&[("resource", view.resource.as_str())], f64::from(capacity.units()));
                }
            }
        });
    };
    each(
        "scalegate_policy_wanted_capacity",
        "Capacity that the rules of the policy of the resource wanted last, in units, before anything limited it.",
        &|_, decision| decision.wanted,
    );
    each(
        "scalegate_policy_decided_capacity",
        "Capacity that the policy of the resource decided last, in units; absent while there is no reading to decide on.",
        &|_, decision| decision.decided,
    );
    each(
        "scalegate_policy_max_capacity",
        "Largest capacity that the policy of the resource may decide, in units.",
        &|policy, _| Some(policy.policy.max.min(policy.rules.bounds.max)),
    );
}

/// The policies that decide.
fn deciding(views: &[ResourceView]) -> impl Iterator<Item = (&ResourceView, &PolicyView)> {
    let policies = views.iter().filter_map(|view| Some((view, view.standing.policy.as_ref()?)));
    policies.filter(|(_, policy)| policy.policy.mode != Mode::Off)
}

/// Their last decisions.
fn decided(views: &[ResourceView]) -> impl Iterator<Item = (&ResourceView, &Decision)> {
    deciding(views).filter_map(|(view, policy)| Some((view, policy.decision.as_ref()?)))
}
