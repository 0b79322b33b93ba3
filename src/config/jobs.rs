//! The options that have their types in the domain: settings of jobs, limits, retention.
//!
//! The domain knows nothing of command lines, so the rows are here, and a conversion into the domain's type beside
//! them.

use std::time::Duration;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::LIMITS;
use super::value::{capacity, duration, duration_between, number, units};
use crate::domain::{Bounds, Capacity, Limits, Retention, SettingLimits, Settings, SettingsOverrides};

/// Makes options of the domain's type `$type`: those of `$rows`, which can be converted into it, as `$augment` adds
/// them.
macro_rules! options {
    ($($type:ty: $rows:ty, $augment:path;)+) => {$(
        impl FromArgMatches for $type {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                <$rows>::from_arg_matches(matches).map(Into::into)
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                Self::from_arg_matches(matches).map(|options| *self = options)
            }
        }

        impl Args for $type {
            fn augment_args(command: Command) -> Command {
                $augment(command)
            }

            fn augment_args_for_update(command: Command) -> Command {
                $augment(command)
            }
        }
    )+};
}

options! {
    Settings: SettingRows, SettingRows::augment_args;
    SettingsOverrides: SettingRows, augment_with_overrides;
    SettingLimits: SettingLimitRows, SettingLimitRows::augment_args;
    Limits: LimitRows, LimitRows::augment_args;
    Retention: RetentionRows, RetentionRows::augment_args;
}

/// Adds the settings of one job for a command that submits it: without variables and defaults, which are the gateway's.
fn augment_with_overrides(command: Command) -> Command {
    let rows = SettingRows::augment_args(Command::new("settings"));
    let heading = "Settings of the job (durations such as 90s, 5m, 1h 30m) [default: the gateway's]";
    command.args(
        rows.get_arguments().map(|row| row.clone().env(None::<&str>).default_value(None::<&str>).help_heading(heading)),
    )
}

/// What the configuration file can say of one resource.
#[derive(Args)]
pub(super) struct ResourceRows {
    #[arg(long, default_value = "0", value_parser = capacity)]
    min: Capacity,
    #[arg(long, default_value = "1000000", value_parser = capacity)]
    max: Capacity,
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub limits: SettingLimits,
}

impl ResourceRows {
    /// Its bounds, not checked for their order.
    pub fn bounds(&self) -> Bounds {
        Bounds { min: self.min, max: self.max }
    }
}

/// Not checked for their ranges, which are the domain's.
#[derive(Args)]
#[command(next_help_heading = "Default job settings (durations such as 90s, 5m, 1h 30m)")]
struct SettingRows {
    /// Least time between two changes of one resource
    #[arg(long, env = "SCALEGATE_COOLDOWN", default_value = "5m", value_name = "DURATION", value_parser = duration)]
    cooldown: Option<Duration>,

    /// Most capacity units changed in one step
    #[arg(long, env = "SCALEGATE_STEP_SIZE", default_value = "1", value_name = "UNITS", value_parser = units)]
    step_size: Option<u32>,

    /// Longest wait for a resource to become ACTIVE, for a change to show, or for the sidecar to answer
    #[arg(long, env = "SCALEGATE_ACTIVE_TIMEOUT", default_value = "15m",
          value_name = "DURATION", value_parser = duration)]
    active_timeout: Option<Duration>,

    /// Longest time between two readings while a job waits
    #[arg(long, env = "SCALEGATE_POLL_INTERVAL", default_value = "30s",
          value_name = "DURATION", value_parser = duration)]
    poll_interval: Option<Duration>,

    /// How long a change may take to have its effect and to be seen in readings
    #[arg(long, env = "SCALEGATE_SETTLE", default_value = "90s", value_name = "DURATION", value_parser = duration)]
    settle: Option<Duration>,

    /// Longest life of a job, counted from its submission
    #[arg(long, env = "SCALEGATE_DEADLINE", default_value = "24h", value_name = "DURATION", value_parser = duration)]
    deadline: Option<Duration>,
}

impl From<SettingRows> for SettingsOverrides {
    fn from(rows: SettingRows) -> Self {
        let SettingRows { cooldown, step_size, active_timeout, poll_interval, settle, deadline } = rows;
        Self { cooldown, step_size, active_timeout, poll_interval, settle, deadline }
    }
}

impl From<SettingRows> for Settings {
    fn from(rows: SettingRows) -> Self {
        Self::DEFAULT.with(&rows.into())
    }
}

/// Not checked for their ranges either.
#[derive(Args)]
#[command(next_help_heading = "Bounds of what jobs may ask for themselves")]
struct SettingLimitRows {
    /// Least cooldown that a job may ask for
    #[arg(long, env = "SCALEGATE_MIN_COOLDOWN", default_value = "0s", value_name = "DURATION", value_parser = duration)]
    min_cooldown: Duration,

    /// Largest step size that a job may ask for
    #[arg(long, env = "SCALEGATE_MAX_STEP_SIZE", default_value = "1000000", value_name = "UNITS", value_parser = units)]
    max_step_size: u32,

    /// Least settle time that a job may ask for
    #[arg(long, env = "SCALEGATE_MIN_SETTLE", default_value = "0s", value_name = "DURATION", value_parser = duration)]
    min_settle: Duration,
}

impl From<SettingLimitRows> for SettingLimits {
    fn from(SettingLimitRows { min_cooldown, max_step_size, min_settle }: SettingLimitRows) -> Self {
        Self { min_cooldown, max_step_size, min_settle }
    }
}

#[derive(Args)]
#[command(next_help_heading = LIMITS)]
struct LimitRows {
    /// Most unfinished jobs on all resources together
    // At a few kilobytes each, a million are a few gigabytes: the most that one process should be trusted with.
    #[arg(long, env = "SCALEGATE_MAX_ACTIVE_JOBS", default_value = "10000",
          value_name = "JOBS", value_parser = number::<usize>(1, 1_000_000))]
    max_active_jobs: usize,

    /// Most unfinished jobs submitted with one API key
    #[arg(long, env = "SCALEGATE_MAX_JOBS_PER_KEY", default_value = "1000",
          value_name = "JOBS", value_parser = number::<usize>(1, 1_000_000))]
    max_jobs_per_key: usize,

    /// Most jobs waiting for their turn on one resource
    // At one cooldown of five minutes per job, ten thousand wait for more than a month, longer than any job may live.
    #[arg(long, env = "SCALEGATE_MAX_QUEUE_LENGTH", default_value = "16",
          value_name = "JOBS", value_parser = number::<usize>(0, 10_000))]
    max_queue_length: usize,
}

impl From<LimitRows> for Limits {
    fn from(LimitRows { max_active_jobs, max_jobs_per_key, max_queue_length }: LimitRows) -> Self {
        Self { active_jobs: max_active_jobs, jobs_per_key: max_jobs_per_key, queue_length: max_queue_length }
    }
}

#[derive(Args)]
#[command(next_help_heading = LIMITS)]
struct RetentionRows {
    /// How long finished jobs are kept, unless there are too many of them
    // A job that disappeared the moment it ended could not be polled to its end. And the gateway is no archive: a job
    // that is a year old says nothing that the logs should not.
    #[arg(long, env = "SCALEGATE_KEEP_FINISHED_FOR", default_value = "7d",
          value_name = "DURATION", value_parser = duration_between("1s", "365d"))]
    keep_finished_for: Duration,

    /// Most finished jobs kept; beyond it the oldest go first
    // A few kilobytes of disk each.
    #[arg(long, env = "SCALEGATE_KEEP_FINISHED_COUNT", default_value = "10000",
          value_name = "JOBS", value_parser = number::<usize>(1, 1_000_000))]
    keep_finished_count: usize,
}

impl From<RetentionRows> for Retention {
    fn from(RetentionRows { keep_finished_for, keep_finished_count }: RetentionRows) -> Self {
        Self { age: keep_finished_for, count: keep_finished_count }
    }
}
