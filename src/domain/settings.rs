//! How a resource is to be scaled: step size, waits and bounds.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::capacity::{Capacity, MAX_CAPACITY};

/// Longest cooldown, settle time or active timeout. A day is far beyond anything the platform needs, and it bounds how
/// long the records of an idle resource must be kept.
pub const MAX_WAIT: Duration = Duration::from_hours(24);
/// Longest time between two readings while a job waits; beyond an hour a job would look dead.
pub const MAX_POLL_INTERVAL: Duration = Duration::from_hours(1);
/// Shortest time between two readings while a job waits: below it, polling would be a busy loop.
pub const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Longest life of a job. Thirty days of five-minute steps are more than eight thousand steps.
pub const MAX_DEADLINE: Duration = Duration::from_hours(30 * 24);

/// The settings one job runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Most units changed in one step, at least 1.
    pub step_size: u32,
    /// Least time between two changes of the resource.
    #[serde(with = "duration_millis")]
    pub cooldown: Duration,
    /// Longest wait for the resource to be ready, for a change to show, or for the sidecar to answer.
    #[serde(with = "duration_millis")]
    pub active_timeout: Duration,
    /// Longest time between two readings while a job waits for something to happen.
    #[serde(with = "duration_millis")]
    pub poll_interval: Duration,
    /// How long a request may take to have its effect *and* that effect to be seen in readings.
    #[serde(with = "duration_millis")]
    pub settle: Duration,
    /// Longest life of a job, counted from its submission.
    #[serde(with = "duration_millis")]
    pub deadline: Duration,
}

impl Settings {
    /// The platform guide's advice (cooldown 5 min, steps of 1, 15 min for ACTIVE, polls every 30 s), 90 s for a
    /// change to settle, and a day for the whole job.
    pub const DEFAULT: Self = Self {
        step_size: 1,
        cooldown: Duration::from_mins(5),
        active_timeout: Duration::from_mins(15),
        poll_interval: Duration::from_secs(30),
        settle: Duration::from_secs(90),
        deadline: Duration::from_hours(24),
    };

    /// These settings with as much care as `limits` ask for.
    pub fn within(self, limits: &SettingLimits) -> Self {
        Self {
            step_size: self.step_size.min(limits.max_step_size),
            cooldown: self.cooldown.max(limits.min_cooldown),
            settle: self.settle.max(limits.min_settle),
            ..self
        }
    }

    /// These settings with whatever `overrides` gives put in their place.
    pub fn with(self, overrides: &SettingsOverrides) -> Self {
        Self {
            step_size: overrides.step_size.unwrap_or(self.step_size),
            cooldown: overrides.cooldown.unwrap_or(self.cooldown),
            active_timeout: overrides.active_timeout.unwrap_or(self.active_timeout),
            poll_interval: overrides.poll_interval.unwrap_or(self.poll_interval),
            settle: overrides.settle.unwrap_or(self.settle),
            deadline: overrides.deadline.unwrap_or(self.deadline),
        }
    }
}

/// How little care the operator lets jobs take. Whatever a job asks for, and whatever it was accepted with, no change is sent
/// with less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingLimits {
    /// Least cooldown.
    pub min_cooldown: Duration,
    /// Largest step size.
    pub max_step_size: u32,
    /// Least settle time.
    pub min_settle: Duration,
}

impl SettingLimits {
    /// None beyond the range of each setting.
    pub const NONE: Self =
        Self { min_cooldown: Duration::ZERO, max_step_size: MAX_CAPACITY, min_settle: Duration::ZERO };

    /// Each limit in place of the setting that it limits.
    pub fn as_settings(&self) -> SettingsOverrides {
        SettingsOverrides {
            step_size: Some(self.max_step_size),
            cooldown: Some(self.min_cooldown),
            settle: Some(self.min_settle),
            ..SettingsOverrides::default()
        }
    }

    /// Every one of `overrides` that takes less care than this.
    pub fn problems(&self, overrides: &SettingsOverrides) -> Vec<InvalidSetting> {
        let too_short = |setting, value: Option<Duration>, least: Duration, limit| {
            value.filter(|value| *value < least).map(|_| InvalidSetting {
                setting,
                detail: format!("must be at least {} here: the operator has set {limit}", in_seconds(least)),
            })
        };
        let too_large = overrides.step_size.filter(|size| *size > self.max_step_size).map(|_| InvalidSetting {
            setting: Setting::StepSize,
            detail: format!("must be at most {} here: the operator has set max_step_size", self.max_step_size),
        });
        let cooldown = too_short(Setting::Cooldown, overrides.cooldown, self.min_cooldown, "min_cooldown");
        let settle = too_short(Setting::Settle, overrides.settle, self.min_settle, "min_settle");
        too_large.into_iter().chain(cooldown).chain(settle).collect()
    }
}

fn in_seconds(duration: Duration) -> String {
    let unit = if duration == Duration::from_secs(1) { "second" } else { "seconds" };
    format!("{} {unit}", duration.as_secs_f64())
}

/// Settings of which each may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettingsOverrides {
    /// See [`Settings::step_size`].
    pub step_size: Option<u32>,
    /// See [`Settings::cooldown`].
    pub cooldown: Option<Duration>,
    /// See [`Settings::active_timeout`].
    pub active_timeout: Option<Duration>,
    /// See [`Settings::poll_interval`].
    pub poll_interval: Option<Duration>,
    /// See [`Settings::settle`].
    pub settle: Option<Duration>,
    /// See [`Settings::deadline`].
    pub deadline: Option<Duration>,
}

impl From<Settings> for SettingsOverrides {
    /// All of them given.
    fn from(settings: Settings) -> Self {
        let Settings { step_size, cooldown, active_timeout, poll_interval, settle, deadline } = settings;
        Self {
            step_size: Some(step_size),
            cooldown: Some(cooldown),
            active_timeout: Some(active_timeout),
            poll_interval: Some(poll_interval),
            settle: Some(settle),
            deadline: Some(deadline),
        }
    }
}

/// One setting that may not be what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Which one.
    pub setting: Setting,
    /// What it must be, as a sentence fragment: `must be between … and …`.
    pub detail: String,
}

/// The names of the settings, so that each surface can print its own spelling of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Setting {
    StepSize,
    Cooldown,
    ActiveTimeout,
    PollInterval,
    Settle,
    Deadline,
}

impl Setting {
    /// Its name in a configuration.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// Its field in requests, answers and policies: its key in camel case, with the unit of durations.
    pub fn field(self) -> String {
        let mut field = String::new();
        for part in self.key().split('_') {
            let (first, rest) = part.split_at(1);
            field += &if field.is_empty() { first.to_owned() } else { first.to_uppercase() };
            field += rest;
        }
        if self == Self::StepSize { field } else { field + "Seconds" }
    }

    /// The name of its limit in a configuration, for those that the operator can limit.
    pub fn limit_key(self) -> Option<&'static str> {
        match self {
            Self::StepSize => Some("max_step_size"),
            Self::Cooldown => Some("min_cooldown"),
            Self::Settle => Some("min_settle"),
            _ => None,
        }
    }
}

/// The least and the greatest value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingRange {
    /// Units.
    Units(u32, u32),
    /// Durations.
    Durations(Duration, Duration),
}

impl Setting {
    /// What its values may be.
    pub const fn range(self) -> SettingRange {
        match self {
            Self::StepSize => SettingRange::Units(1, MAX_CAPACITY),
            Self::Cooldown | Self::Settle => SettingRange::Durations(Duration::ZERO, MAX_WAIT),
            Self::ActiveTimeout => SettingRange::Durations(MIN_POLL_INTERVAL, MAX_WAIT),
            Self::PollInterval => SettingRange::Durations(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL),
            Self::Deadline => SettingRange::Durations(MIN_POLL_INTERVAL, MAX_DEADLINE),
        }
    }
}

/// The value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingValue {
    /// Units.
    Units(u32),
    /// A duration.
    Duration(Duration),
}

impl SettingsOverrides {
    /// The value of `setting`, if it is given.
    pub fn get(&self, setting: Setting) -> Option<SettingValue> {
        let duration = match setting {
            Setting::StepSize => return self.step_size.map(SettingValue::Units),
            Setting::Cooldown => self.cooldown,
            Setting::ActiveTimeout => self.active_timeout,
            Setting::PollInterval => self.poll_interval,
            Setting::Settle => self.settle,
            Setting::Deadline => self.deadline,
        };
        duration.map(SettingValue::Duration)
    }

    /// Every value outside its range; empty when all are fine.
    pub fn problems(&self) -> Vec<InvalidSetting> {
        let given = Setting::VARIANTS.iter().filter_map(|setting| Some((*setting, self.get(*setting)?)));
        let problems = given.filter_map(|(setting, value)| {
            let detail = match (value, setting.range()) {
                (SettingValue::Units(units), SettingRange::Units(least, most)) if !(least..=most).contains(&units) => {
                    format!("must be between {least} and {most}")
                }
                (SettingValue::Duration(value), SettingRange::Durations(least, most))
                    if !(least..=most).contains(&value) =>
                {
                    format!("must be between {} and {}", least.as_secs_f64(), in_seconds(most))
                }
                _ => return None,
            };
            Some(InvalidSetting { setting, detail })
        });
        problems.collect()
    }
}

/// The least and the largest capacity a resource may be asked for, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Least capacity.
    pub min: Capacity,
    /// Largest capacity.
    pub max: Capacity,
}

impl Bounds {
    /// No restriction beyond what a capacity can be.
    pub const NONE: Self = Self { min: Capacity::ZERO, max: Capacity::MAX };

    /// Whether `capacity` lies within.
    pub fn contains(&self, capacity: Capacity) -> bool {
        (self.min..=self.max).contains(&capacity)
    }
}

/// Durations as whole milliseconds.
pub(super) mod duration_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_replace_only_what_they_name() {
        let overrides = SettingsOverrides { step_size: Some(3), settle: Some(Duration::ZERO), ..Default::default() };
        let settings = Settings::DEFAULT.with(&overrides);
        assert_eq!(settings, Settings { step_size: 3, settle: Duration::ZERO, ..Settings::DEFAULT });
    }

    #[test]
    fn every_setting_has_a_range() {
        let too_small = SettingsOverrides {
            step_size: Some(0),
            active_timeout: Some(Duration::ZERO),
            poll_interval: Some(Duration::ZERO),
            deadline: Some(Duration::ZERO),
            ..Default::default()
        };
        assert_eq!(too_small.problems().len(), 4);
        let huge = Some(Duration::MAX);
        let too_large = SettingsOverrides {
            step_size: Some(u32::MAX),
            cooldown: huge,
            active_timeout: huge,
            poll_interval: huge,
            settle: huge,
            deadline: huge,
        };
        assert_eq!(too_large.problems().len(), 6);
        assert_eq!(SettingsOverrides::from(Settings::DEFAULT).problems(), []);
    }

    #[test]
    fn the_ends_of_a_range_are_in_it_and_what_is_beyond_is_not() {
        let least = SettingsOverrides {
            step_size: Some(1),
            cooldown: Some(Duration::ZERO),
            active_timeout: Some(Duration::from_millis(10)),
            poll_interval: Some(Duration::from_millis(10)),
            settle: Some(Duration::ZERO),
            deadline: Some(Duration::from_millis(10)),
        };
        let most = SettingsOverrides {
            step_size: Some(1_000_000),
            cooldown: Some(Duration::from_hours(24)),
            active_timeout: Some(Duration::from_hours(24)),
            poll_interval: Some(Duration::from_hours(1)),
            settle: Some(Duration::from_hours(24)),
            deadline: Some(Duration::from_hours(24 * 30)),
        };
        for setting in Setting::VARIANTS {
            let ends = match setting.range() {
                SettingRange::Units(least, most) => (SettingValue::Units(least), SettingValue::Units(most)),
                SettingRange::Durations(least, most) => (SettingValue::Duration(least), SettingValue::Duration(most)),
            };
            assert_eq!((least.get(*setting), most.get(*setting)), (Some(ends.0), Some(ends.1)), "{setting:?}");
        }
        assert_eq!((least.problems(), most.problems()), (Vec::new(), Vec::new()));
    }

    /// The stored form outlives releases: a setting that is new has a default for what older records lack.
    #[test]
    fn the_stored_form_is_this() {
        let stored = serde_json::to_string(&Settings::DEFAULT).expect("serialisable");
        let expected =
            r#"{"step_size":1,"cooldown":300000,"active_timeout":900000,"poll_interval":30000,"settle":90000,"#;
        assert_eq!(stored, format!(r#"{expected}"deadline":86400000}}"#));
    }

    #[test]
    fn less_care_than_the_operator_asks_for_is_a_problem_and_can_be_mended() {
        let seconds = Duration::from_secs;
        let limits = SettingLimits { min_cooldown: seconds(3600), max_step_size: 2, min_settle: seconds(60) };
        let careless = Settings { step_size: 3, cooldown: seconds(3599), settle: seconds(59), ..Settings::DEFAULT };
        let problems = limits.problems(&careless.into());
        let settings: Vec<Setting> = problems.iter().map(|problem| problem.setting).collect();
        assert_eq!(settings, [Setting::StepSize, Setting::Cooldown, Setting::Settle]);
        assert_eq!(problems[1].detail, "must be at least 3600 seconds here: the operator has set min_cooldown");
        let one = SettingLimits { min_settle: seconds(1), ..SettingLimits::NONE };
        let hasty = SettingsOverrides { settle: Some(Duration::ZERO), ..Default::default() };
        assert_eq!(one.problems(&hasty)[0].detail, "must be at least 1 second here: the operator has set min_settle");
        let mended = careless.within(&limits);
        let least = Settings { step_size: 2, cooldown: seconds(3600), settle: seconds(60), ..Settings::DEFAULT };
        assert_eq!((mended, limits.problems(&mended.into())), (least, vec![]));
        let careful = Settings { step_size: 1, cooldown: seconds(3601), settle: seconds(61), ..Settings::DEFAULT };
        assert_eq!(careful.within(&limits), careful);
        assert_eq!(limits.problems(&SettingsOverrides::default()), [], "what is not given takes no less care");
        let largest = Settings { step_size: MAX_CAPACITY, cooldown: Duration::ZERO, settle: Duration::ZERO, ..careful };
        assert_eq!(largest.within(&SettingLimits::NONE), largest);
    }
}
