//! A policy as it is drawn, and what is done about policies in a life. It is data, so that it can be cut down and printed.

use std::sync::LazyLock;
use std::time::Duration;

use scalegate::domain::Timestamp;
use scalegate::domain::policy::{ClaimKind, HoldKind, Missing, Mode, Name, Policy, Smoothing};
use scalegate::policy::Document;
use serde_json::{Value, json};

use crate::scenario::RESOURCES;

/// Load that one unit carries.
pub const PER_UNIT: u32 = 10;
/// What the average per unit should be.
const UTILIZATION: u32 = 60;
/// The time that a value of [`Metric::Cpu`] averages over.
pub const CPU_WINDOW: Duration = Duration::from_secs(20);

/// The metrics that every policy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The load of the whole resource.
    Load,
    /// An average per unit over a time.
    Cpu,
    /// What a rule by steps looks at.
    Delay,
}

impl Metric {
    pub const ALL: [Self; 3] = [Self::Load, Self::Cpu, Self::Delay];

    pub fn name(self) -> &'static Name {
        static NAMES: LazyLock<[Name; 3]> =
            LazyLock::new(|| ["load", "cpu", "delay"].map(|name| name.parse().expect("a name")));
        &NAMES[self as usize]
    }
}

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub mode: Mode,
    pub min: u32,
    pub max: u32,
    pub rules: Vec<RulePlan>,
    /// What its rules do without their metrics: whether they hold what there is, or have no opinion.
    pub holds_when_missing: bool,
    /// How old a value may be.
    pub max_age: Duration,
    pub up: Smoothing,
    pub down: Smoothing,
    pub idle_after: Option<Duration>,
    pub step_size: u32,
    pub cooldown: Duration,
    pub expected_change: Duration,
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RulePlan {
    Target,
    Band,
    Utilization,
    Step { breach_time: Duration },
    Follow { offset: i32 },
    Expression(Formula),
    Once { opens_after: Duration, lasts: Duration, bounds: WindowBounds },
    Cron { every_minutes: u8, lasts: Duration, bounds: WindowBounds },
}

/// What an expression works out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// What a target rule wants.
    Load,
    /// What a utilization rule without a tolerance wants: a value must not count again after the change that it led to.
    Capacity,
    /// One unit more or less than there is, once for each value.
    Target,
}

impl Formula {
    fn text(self) -> String {
        match self {
            Self::Load => format!("metrics.load / {PER_UNIT}.0"),
            Self::Capacity => format!("metrics.cpu * double(capacity) / {UTILIZATION}.0"),
            Self::Target => "metrics.delay > 50.0 ? target + 1 : (metrics.delay < 10.0 ? target - 1 : null)".to_owned(),
        }
    }
}

/// What a window asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowBounds {
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub is_before: bool,
}

impl RulePlan {
    /// The metric that it looks at.
    pub fn metric(&self) -> Option<Metric> {
        match self {
            Self::Target | Self::Band | Self::Expression(Formula::Load) => Some(Metric::Load),
            Self::Utilization | Self::Expression(Formula::Capacity) => Some(Metric::Cpu),
            Self::Step { .. } | Self::Expression(Formula::Target) => Some(Metric::Delay),
            Self::Follow { .. } | Self::Once { .. } | Self::Cron { .. } => None,
        }
    }

    /// What it asks for, if it is a window.
    pub fn bounds(&self) -> Option<WindowBounds> {
        match self {
            Self::Once { bounds, .. } | Self::Cron { bounds, .. } => Some(*bounds),
            _ => None,
        }
    }

    /// The least capacity that it asks for, if it is a window with one.
    pub fn min_mut(&mut self) -> Option<&mut u32> {
        match self {
            Self::Once { bounds, .. } | Self::Cron { bounds, .. } => bounds.min.as_mut(),
            _ => None,
        }
    }

    /// Its name in the policy, as the so-manieth rule.
    pub fn name(index: usize) -> String {
        format!("rule{index}")
    }

    fn document(&self, index: usize, plan: &Plan, resource: usize, now: Timestamp) -> Value {
        let mut rule = match *self {
            Self::Target => json!({"type": "target", "perUnit": PER_UNIT}),
            Self::Band => json!({"type": "band", "high": PER_UNIT, "low": PER_UNIT / 2}),
            Self::Utilization => json!({"type": "utilization", "target": UTILIZATION}),
            Self::Step { breach_time } => json!({
                "type": "step", "forSeconds": breach_time.as_secs(),
                "steps": [{"above": 50, "change": 1}, {"above": 100, "change": 2}, {"below": 10, "change": -1}],
            }),
            Self::Follow { offset } => json!({
                "type": "follow", "resource": RESOURCES[1 - resource], "ratio": 1, "offset": offset,
            }),
            Self::Expression(formula) => json!({"type": "expression", "expression": formula.text()}),
            Self::Once { opens_after, lasts, .. } => {
                let opens = now + opens_after;
                json!({"type": "schedule", "at": opens.to_string(), "until": (opens + lasts).to_string()})
            }
            Self::Cron { every_minutes, lasts, .. } => json!({
                "type": "schedule", "timeZone": "UTC", "cron": format!("*/{every_minutes} * * * *"),
                "forSeconds": lasts.as_secs(),
            }),
        };
        rule["name"] = Self::name(index).into();
        if let Some(metric) = self.metric() {
            if !matches!(self, Self::Expression(_)) {
                rule["metric"] = metric.name().as_str().into();
            }
            rule["onMissing"] = if plan.holds_when_missing { "hold" } else { "ignore" }.into();
        }
        if let Some(WindowBounds { min, max, is_before }) = self.bounds() {
            let bounds = [("min", min), ("max", max)];
            bounds.into_iter().filter_map(|(name, units)| Some((name, units?))).for_each(|(name, units)| {
                rule[name] = units.into();
            });
            if min.is_some() {
                rule["ready"] = if is_before { "before" } else { "after" }.into();
            }
        }
        rule
    }
}

impl Plan {
    /// The document of it, put on `resource` when its clock shows `now`.
    fn document(&self, resource: usize, now: Timestamp) -> Value {
        let metric = |window: Duration| {
            json!({
                "source": {"type": "push"}, "maxAgeSeconds": self.max_age.as_secs(), "windowSeconds": window.as_secs(),
            })
        };
        let rules = self.rules.iter().enumerate().map(|(index, rule)| rule.document(index, self, resource, now));
        let mut document = json!({
            "mode": self.mode.as_str(), "min": self.min, "max": self.max,
            "metrics": {
                "load": metric(Duration::ZERO), "cpu": metric(CPU_WINDOW), "delay": metric(Duration::ZERO),
            },
            "rules": rules.collect::<Vec<_>>(),
            "behavior": {"up": smoothing(&self.up), "down": smoothing(&self.down)},
            "job": {
                "stepSize": self.step_size, "cooldownSeconds": self.cooldown.as_secs(),
                "expectedChangeSeconds": self.expected_change.as_secs(),
            },
        });
        if let Some(after) = self.idle_after {
            document["idle"] = json!({"afterSeconds": after.as_secs()});
        }
        document
    }

    /// The policy of it.
    pub fn policy(&self, resource: usize, now: Timestamp) -> Policy {
        let document = self.document(resource, now);
        Document::from(document.clone()).policy().unwrap_or_else(|problems| panic!("{problems:#?} in {document:#}"))
    }

    /// Whether a rule looks at `metric`.
    pub fn looks_at(&self, metric: Metric) -> bool {
        self.rules.iter().any(|rule| rule.metric() == Some(metric))
    }

    /// The least of what its windows let it have.
    pub fn least_max(&self) -> u32 {
        self.rules.iter().filter_map(|rule| rule.bounds()?.max).min().unwrap_or(self.max)
    }
}

fn smoothing(smoothing: &Smoothing) -> Value {
    let mut document = json!({"stabilizationSeconds": smoothing.stabilization.as_secs()});
    if let Some(units) = smoothing.max_units {
        document["maxUnits"] = units.into();
        document["periodSeconds"] = smoothing.period.as_secs().into();
    }
    document
}

/// Something that is done about the policy of a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyAct {
    Put {
        resource: usize,
        plan: Box<Plan>,
    },
    /// The policy that was put last, with another mode.
    Mode {
        resource: usize,
        mode: Mode,
    },
    Delete {
        resource: usize,
    },
    /// The operator lays this policy down in the configuration file, or none, and starts the gateway anew.
    File {
        resource: usize,
        plan: Option<Box<Plan>>,
    },
    /// A value that was observed some time ago is pushed.
    Push {
        resource: usize,
        metric: Metric,
        value: i32,
        age: Duration,
    },
    /// The value that was pushed last is pushed again.
    PushAgain {
        resource: usize,
        metric: Metric,
    },
    /// A value is pushed again and again, as time passes.
    Feed {
        resource: usize,
        metric: Metric,
        value: i32,
        every: Duration,
        times: u8,
    },
    /// The source of a metric is asked and answers with this.
    Pull {
        resource: usize,
        metric: Metric,
        result: Result<u32, Missing>,
    },
    Hold {
        resource: usize,
        kind: HoldKind,
        lasts: Duration,
    },
    EndHold {
        resource: usize,
    },
    Claim {
        resource: usize,
        units: u32,
        kind: ClaimKind,
        after: Duration,
        lasts: Duration,
    },
    /// The so-manieth claim gets another end.
    RenewClaim {
        which: usize,
        lasts: Duration,
    },
    /// The so-manieth claim ends.
    EndClaim {
        which: usize,
    },
    /// A person cancels the job of the policy.
    Cancel {
        resource: usize,
    },
}

impl PolicyAct {
    /// Whether it leaves alone what a policy decides on, but for its metrics and the time.
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Push { .. } | Self::PushAgain { .. } | Self::Feed { .. } | Self::Pull { .. })
    }
}
