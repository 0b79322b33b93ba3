//! A decision for people.

use std::time::Duration;

use crate::api::view::{AlternativeView, DecisionView, HoldView, MetricStateView, Resource, WireTime};
use crate::api::{Outlook, PolicyDocument};
use crate::cli::{hold, words};
use crate::domain::Timestamp;
use crate::domain::policy::{Action, ClaimKind, ConditionCode, Limiter, Missing, Trigger, number as shown};

/// Most events ahead that are shown.
const MAX_AHEAD: usize = 5;

/// A decision, and what stands beside it now.
pub struct Story {
    /// The decision.
    pub decision: DecisionView,
    /// The policy of the resource as it is, if there is one.
    pub policy: Option<PolicyDocument>,
    /// The resource as it is, if the gateway knows of it.
    pub resource: Option<Resource>,
    /// What is ahead of the resource, if it has a policy.
    pub outlook: Option<Outlook>,
}

impl Story {
    /// The story, a line each.
    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let mut lines = vec![self.decision.detail.clone()];
        lines.extend(self.facts(now).into_iter().map(|(name, value)| format!("  {name:<9}  {value}")));
        let mut section = |title: &str, rows: Vec<(String, String)>| {
            if !rows.is_empty() {
                lines.push(title.to_owned());
                let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
                lines.extend(rows.into_iter().map(|(name, text)| format!("  {name:<width$}  {text}")));
            }
        };
        section("Conditions now", self.conditions(now));
        section("Metrics", self.metrics());
        section("Rules", self.rules());
        section("Stages", self.stages());
        section("Otherwise if", self.decision.otherwise_if.iter().map(|other| self.otherwise(other)).collect());
        section("Ahead", self.ahead(now));
        lines
    }

    fn facts(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let decision = &self.decision;
        let mut facts = vec![
            ("resource", format!("{}{}", decision.resource, reading(decision))),
            ("target", number(decision.target)),
            ("decided", decided(decision)),
            ("action", action(decision)),
            ("when", format!("{}, {}", moment(decision.at, now), occasion(decision.trigger))),
        ];
        if decision.count > 1 {
            let count = decision.count;
            facts.push(("again", format!("{count} times in a row, the last time {}", moment(decision.last_at, now))));
        }
        facts.push(("policy", self.policy(now)));
        if let Some(resource) = &self.resource {
            facts.extend(resource.hold.as_ref().map(|hold| ("hold", held(hold, now))));
            facts.extend(resource.read_failure.as_ref().map(|failure| ("reading", format!("fails: {failure}"))));
        }
        facts
    }

    /// What keeps the policy from acting or from deciding well now. A hold has a line of its own.
    fn conditions(&self, now: Timestamp) -> Vec<(String, String)> {
        let policy = self.resource.as_ref().and_then(|resource| resource.policy.as_ref());
        let conditions = policy.map(|policy| &policy.conditions[..]).unwrap_or_default();
        let conditions = conditions.iter().filter(|condition| condition.code != ConditionCode::Held);
        let text = conditions.map(|condition| {
            let left = condition.until.map(|until| until.0.since(now)).filter(|left| !left.is_zero());
            let left = left.map_or(String::new(), |left| format!(" It ends in {}.", words::brief(left)));
            (condition.code.as_str().to_owned(), format!("{}{left}", condition.detail))
        });
        text.collect()
    }

    /// Which revision decided, and what became of it.
    fn policy(&self, now: Timestamp) -> String {
        let DecisionView { policy_revision: revision, mode, .. } = self.decision;
        let since = match &self.policy {
            None => "; there is none any more".to_owned(),
            Some(policy) if policy.revision.is_none_or(|newer| newer == revision) => String::new(),
            Some(policy) => {
                let at = policy.updated_at.map_or(String::new(), |at| format!(" since {}", moment(at, now)));
                format!(
                    "; revision {} is in force{at}, mode {}",
                    policy.revision.unwrap_or_default(),
                    words::mode(policy.mode)
                )
            }
        };
        format!("revision {revision}, mode {}{since}", words::mode(mode))
    }

    fn metrics(&self) -> Vec<(String, String)> {
        let last = self.decision.last_metrics.as_ref();
        let text = |(name, state): (&String, &MetricStateView)| {
            let (first, last) = (metric(state), last.and_then(|last| last.get(name)).map(metric));
            let later = last.filter(|last| *last != first).map(|last| format!("; the last time {last}"));
            (name.clone(), format!("{first}{}", later.unwrap_or_default()))
        };
        self.decision.metrics.iter().map(text).collect()
    }

    fn rules(&self) -> Vec<(String, String)> {
        let text = self.decision.rules.iter().map(|rule| {
            let wish = match (rule.wants, rule.min, rule.max) {
                (Some(wants), _, _) => format!("wants {wants}"),
                (None, Some(min), Some(max)) if min == max => format!("exactly {min}"),
                (None, Some(min), Some(max)) => format!("{min} to {max}"),
                (None, Some(min), None) => format!("at least {min}"),
                (None, None, Some(max)) => format!("at most {max}"),
                (None, None, None) => "nothing".to_owned(),
            };
            (rule.name.clone(), joined(&wish, &rule.detail))
        });
        text.collect()
    }

    fn stages(&self) -> Vec<(String, String)> {
        let text = self.decision.stages.iter().map(|stage| {
            (
                stage_name(stage.stage).to_owned(),
                joined(&stage.value.to_string(), stage.detail.as_deref().unwrap_or_default()),
            )
        });
        text.collect()
    }

    fn otherwise(&self, other: &AlternativeView) -> (String, String) {
        let sides =
            [("above", other.above), ("at least", other.at_least), ("at most", other.at_most), ("below", other.below)];
        let side = sides.into_iter().find_map(|(side, value)| value.map(|value| format!("{side} {}", shown(value))));
        let metric = match self.metric_of(&other.rule) {
            Some(metric) => metric.to_owned(),
            None => format!("the metric of {}", other.rule),
        };
        let condition = format!("{metric} {}", side.unwrap_or_default());
        (condition.trim_end().to_owned(), format!("{} wants {}", other.rule, other.wants))
    }

    /// The metric of a rule, if the policy that decided is at hand.
    fn metric_of(&self, name: &str) -> Option<&str> {
        let policy = self.policy.as_ref().filter(|policy| policy.revision == Some(self.decision.policy_revision))?;
        policy.rules.iter().find(|rule| rule.name() == name)?.metric()
    }

    /// The windows that open and close and the claims that begin and end, the nearest ones.
    fn ahead(&self, now: Timestamp) -> Vec<(String, String)> {
        let Some(outlook) = &self.outlook else { return Vec::new() };
        let windows = outlook.transitions.iter().map(|transition| {
            let does = if transition.opens { "opens" } else { "closes" };
            let bounds = [("min", transition.min), ("max", transition.max)];
            let bounds = bounds.iter().filter_map(|(name, bound)| bound.map(|bound| format!("{name} {bound}")));
            (transition.at, format!("{} {does} ({})", transition.rule, bounds.collect::<Vec<_>>().join(", ")))
        });
        let claims = outlook.claims.iter().flat_map(|claim| {
            let units = match claim.kind {
                ClaimKind::AtLeast => format!("at least {}", claim.units),
                ClaimKind::Extra => format!("{} extra", claim.units),
            };
            [(claim.from, "begins"), (claim.until, "ends")]
                .map(|(at, does)| (at, format!("the claim of {units} {does}")))
        });
        let mut events: Vec<(WireTime, String)> = windows.chain(claims).filter(|(at, _)| at.0 > now).collect();
        events.sort_by_key(|(at, _)| *at);
        events.truncate(MAX_AHEAD);
        events.into_iter().map(|(at, text)| (moment(at, now), text)).collect()
    }
}

fn reading(decision: &DecisionView) -> String {
    match (decision.capacity, &decision.status) {
        (Some(capacity), Some(status)) => format!(" at capacity {capacity}, {status}"),
        (Some(capacity), None) => format!(" at capacity {capacity}"),
        (None, _) => ", of which there is no usable reading".to_owned(),
    }
}

fn number(number: Option<u32>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

fn decided(decision: &DecisionView) -> String {
    match (decision.decided, decision.limited_by) {
        (Some(decided), Some(limiter)) => format!("{decided}, because of {}", limit(limiter)),
        (decided, _) => number(decided),
    }
}

fn action(decision: &DecisionView) -> String {
    let job = decision.job_id.map_or(String::new(), |id| format!(" {id}"));
    match decision.action {
        Action::Submitted => format!("submitted job{job}"),
        Action::Retargeted => format!("gave another target to job{job}"),
        Action::Canceled => format!("canceled job{job}"),
        Action::None => match (decision.target, decision.decided) {
            (Some(target), _) if decision.capacity.is_some_and(|capacity| capacity != target) => {
                format!("none: the job to {target} is on its way")
            }
            (Some(target), Some(decided)) if decided != target => "none: the policy is kept from acting".to_owned(),
            (_, None) => "none: nothing was decided".to_owned(),
            _ => "none: nothing is to change".to_owned(),
        },
        Action::Advised => "none, because the mode is advise".to_owned(),
    }
}

fn occasion(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Metric => "after news of a metric",
        Trigger::Reading => "after a reading of the resource",
        Trigger::Time => "because of the time",
        Trigger::Claim => "because a claim changed",
        Trigger::Hold => "because a hold changed",
        Trigger::Job => "because a job began or ended",
        Trigger::Policy => "because the policy changed",
        Trigger::Followed => "because a followed resource changed",
        Trigger::Start => "when the gateway started",
        Trigger::Request => "because it was asked for",
    }
}

fn stage_name(stage: Limiter) -> &'static str {
    match stage {
        Limiter::Rules => "rules",
        Limiter::Behavior => "behavior",
        Limiter::Idle => "idle",
        Limiter::Claims => "claims",
        Limiter::Windows => "windows",
        Limiter::Bounds => "bounds",
        Limiter::Hold => "hold",
        Limiter::File => "file",
        Limiter::Platform => "platform",
    }
}

fn limit(limiter: Limiter) -> &'static str {
    match limiter {
        Limiter::Rules => "the rules",
        Limiter::Behavior => "the behavior that the policy sets",
        Limiter::Idle => "idleness",
        Limiter::Claims => "claims",
        Limiter::Windows => "windows of schedules",
        Limiter::Bounds => "the bounds of the policy",
        Limiter::Hold => "a hold",
        Limiter::File => "the bounds in the configuration",
        Limiter::Platform => "a refusal by the platform",
    }
}

/// `812, 2s old`, or why there is no value.
fn metric(state: &MetricStateView) -> String {
    let value =
        state.value.map(|value| match state.age_seconds.and_then(|age| Duration::try_from_secs_f64(age).ok()) {
            Some(age) => format!("{}, {} old", shown(value), words::brief(age)),
            None => shown(value),
        });
    let Some(reason) = state.reason else { return value.unwrap_or_default() };
    let why = match reason {
        Missing::Never => "there never was a value",
        Missing::Stale => "the newest value is too old",
        Missing::Invalid => "what came is no number that makes sense",
        Missing::SeveralSeries => "several series came where one is meant",
        Missing::SourceFailed => "the source cannot be read",
    };
    let last = value.map_or(String::new(), |value| format!(" (the newest value: {value})"));
    format!("missing: {why}{last}")
}

fn held(hold: &HoldView, now: Timestamp) -> String {
    let until = moment(hold.until, now);
    joined(&format!("{} until {until}", hold::described(hold)), hold.reason.as_deref().unwrap_or_default())
}

fn joined(what: &str, why: &str) -> String {
    if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") }
}

/// `12:00:31Z (5m ago)`
fn moment(at: WireTime, now: Timestamp) -> String {
    words::moment(at.0, now)
}
