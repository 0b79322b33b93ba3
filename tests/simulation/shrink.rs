//! Cutting a failing life down to what matters.

use std::time::Duration;

use crate::groups::{GroupAct, GroupPlan};
use crate::life::live;
use crate::policies::{Plan, PolicyAct};
use crate::sabotage::Sabotage;
use crate::scenario::{Act, Lags, Nature, Scenario, Stamps, Submission};

/// The smallest scenario found that still breaks a promise: acts are left out, and what is left made plainer, as long
/// as it fails.
pub fn shrink(mut scenario: Scenario, sabotage: Option<Sabotage>) -> Scenario {
    let fails = |scenario: &Scenario| live(scenario, sabotage, false).violation.is_some();
    loop {
        let simpler = candidates(&scenario).find(&fails);
        match simpler {
            Some(simpler) => scenario = simpler,
            None => return scenario,
        }
    }
}

fn candidates(scenario: &Scenario) -> impl Iterator<Item = Scenario> {
    let halves = [8, 4, 2, 1].into_iter().flat_map(move |size| {
        (0..scenario.acts.len()).step_by(size).map(move |at| {
            let mut shorter = scenario.clone();
            let end = (at + size).min(shorter.acts.len());
            shorter.acts.drain(at..end);
            shorter
        })
    });
    let plainer_acts = (0..scenario.acts.len()).filter_map(|at| {
        let mut plainer = scenario.clone();
        plainer.acts[at] = plainer_act(&scenario.acts[at])?;
        Some(plainer)
    });
    halves
        .filter(|shorter| shorter.acts.len() < scenario.acts.len())
        .chain(plainer_acts)
        .chain(plainer_natures(scenario))
}

fn plainer_act(act: &Act) -> Option<Act> {
    match act {
        Act::Submit(submission) if submission.key.is_some() => {
            Some(Act::Submit(Submission { key: None, ..*submission }))
        }
        Act::Submit(submission) if submission.step_size > 1 => {
            Some(Act::Submit(Submission { step_size: 1, ..*submission }))
        }
        Act::Crash { durable, away, reboot: true } => {
            Some(Act::Crash { durable: *durable, away: *away, reboot: false })
        }
        Act::Crash { durable, away, reboot } if *away > Duration::from_secs(1) => {
            Some(Act::Crash { durable: *durable, away: Duration::ZERO, reboot: *reboot })
        }
        Act::Pass(duration) if *duration > Duration::from_secs(1) => Some(Act::Pass(*duration / 2)),
        Act::NextReadings(fate, times) if *times > 1 => Some(Act::NextReadings(*fate, times - 1)),
        Act::Policy(PolicyAct::Put { resource, plan }) if plan.rules.len() > 1 => {
            let rules = plan.rules[1..].to_vec();
            let plan = Box::new(Plan { rules, ..(**plan).clone() });
            Some(Act::Policy(PolicyAct::Put { resource: *resource, plan }))
        }
        Act::Policy(PolicyAct::Feed { resource, metric, value, every, times }) if *times > 1 => {
            Some(Act::Policy(PolicyAct::Feed {
                resource: *resource,
                metric: *metric,
                value: *value,
                every: *every,
                times: times / 2,
            }))
        }
        Act::Group(GroupAct::Submit(plan)) if plan.key.is_some() => {
            Some(Act::Group(GroupAct::Submit(GroupPlan { key: None, ..plan.clone() })))
        }
        Act::Group(GroupAct::Submit(plan)) if plan.members.len() > 1 => {
            let members = plan.members[1..].to_vec();
            Some(Act::Group(GroupAct::Submit(GroupPlan { members, ..plan.clone() })))
        }
        Act::Events(count) if *count > 1 => Some(Act::Events(count - 1)),
        _ => None,
    }
}

fn plainer_natures(scenario: &Scenario) -> impl Iterator<Item = Scenario> {
    let mut natures = Vec::new();
    let nature = &scenario.nature;
    if nature.apply_within > Duration::ZERO {
        natures.push(Nature { apply_within: Duration::ZERO, ..nature.clone() });
    }
    if nature.lag > Duration::ZERO {
        natures.push(Nature { lag: Duration::ZERO, ..nature.clone() });
    }
    if nature.lags != Lags::Steady {
        natures.push(Nature { lags: Lags::Steady, ..nature.clone() });
    }
    if nature.stamps != Stamps::Honest {
        natures.push(Nature { stamps: Stamps::Honest, ..nature.clone() });
    }
    if nature.provisioning > Duration::ZERO {
        natures.push(Nature { provisioning: Duration::ZERO, ..nature.clone() });
    }
    if !nature.goal_while_modifying {
        natures.push(Nature { goal_while_modifying: true, ..nature.clone() });
    }
    if nature.tightening.is_some() {
        natures.push(Nature { tightening: None, ..nature.clone() });
    }
    natures.into_iter().map(|nature| Scenario { nature, acts: scenario.acts.clone() })
}
