//! The configuration of `scalegate serve`: flags, environment, a TOML file, defaults — in this order of precedence.
//!
//! ```toml
//! cooldown = "5m"               # the general setting, as --cooldown
//!
//! [resources.worker]            # aliases with a dot need quotes: [resources."web.eu"]
//! min = 0
//! max = 6
//! cooldown = "2m"               # for this resource
//! ```
//!
//! The more specific wins: `resources.worker.cooldown` holds for `worker` even where `--cooldown` or
//! `SCALEGATE_COOLDOWN` give another general setting. A flag is thereby a default for the resources the file does not
//! speak of, never a way to break what was laid down for one of them.
//!
//! Nothing here starts with half a configuration: an unknown key, an unknown `SCALEGATE_…` variable or a value out of
//! range stops the start, and the message says which one and what was expected. It reads the configuration file and
//! the one with the admin key, and nothing else; the environment is an argument, so that all of it can be tested without one.

mod access;
mod args;
mod environment;
mod error;
mod file;
mod print;
mod resolve;
mod sidecar_url;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use access::{Access, Hosts, Origins, TlsFiles, exposure, parse_key, read_key};
pub use args::{Given, GivenParser, ServeArgs};
pub use error::{ConfigError, Problem};
pub use print::Loaded;
pub use sidecar_url::{InvalidSidecarUrl, SidecarUrl};
pub use value::{parse_capacity, parse_duration};

use crate::domain::{Alias, Limits, ResourceConfig, Retention, ScalingConfig, SettingLimits, Settings};

/// Everything `scalegate serve` needs to know, each value within its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; port 0 takes a free one. The loopback address unless told otherwise: on any other, keys are needed.
    pub listen: SocketAddr,
    /// Where the sidecar is.
    pub sidecar_url: SidecarUrl,
    /// Directory of the durable records. A relative one starts at the working directory, also if the file names it.
    pub data_dir: PathBuf,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Where a line is appended for each attempt to change something, if anywhere.
    pub audit_log: Option<PathBuf>,
    /// Longest time between the signal to stop and the end of the process.
    pub shutdown_grace: Duration,
    /// Who may call.
    pub access: Access,
    /// General settings of jobs.
    pub settings: Settings,
    /// How little care jobs may take. The general settings keep to it, and so do those of each resource to its own limits.
    pub setting_limits: SettingLimits,
    /// How much work is accepted.
    pub limits: Limits,
    /// How long finished jobs are kept.
    pub retention: Retention,
    /// Whether only the resources listed may be scaled; if so, at least one is.
    pub only_listed: bool,
    /// Listed resources, with the general settings filled in where the file gives none of their own.
    pub resources: BTreeMap<Alias, ResourceConfig>,
}

impl Config {
    /// Container runtimes kill ten seconds after SIGTERM unless told otherwise (Kubernetes after thirty); eight leave
    /// two for the last commit and for the process to end by itself.
    pub const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(8);

    /// Longest grace time. No orchestrator waits an hour for a process to end.
    pub const MAX_SHUTDOWN_GRACE: Duration = Duration::from_hours(1);

    /// Most unfinished jobs that can be configured. At a few kilobytes each, a million are a few gigabytes: the most
    /// that one process should be trusted with.
    pub const MAX_ACTIVE_JOBS: u64 = 1_000_000;

    /// Longest queue of one resource that can be configured. At one cooldown of five minutes per job, ten thousand
    /// wait for more than a month, longer than any job may live.
    pub const MAX_QUEUE_LENGTH: u64 = 10_000;

    /// The operator's rules, as the engine wants them.
    pub fn scaling(&self) -> ScalingConfig {
        ScalingConfig {
            settings: self.settings,
            setting_limits: self.setting_limits,
            resources: self.resources.clone(),
            only_listed: self.only_listed,
            limits: self.limits,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            sidecar_url: SidecarUrl::default(),
            data_dir: PathBuf::from("./scalegate-data"),
            log_format: LogFormat::Text,
            audit_log: None,
            shutdown_grace: Self::DEFAULT_SHUTDOWN_GRACE,
            access: Access::default(),
            settings: Settings::DEFAULT,
            setting_limits: SettingLimits::NONE,
            limits: Limits::DEFAULT,
            retention: Retention::DEFAULT,
            only_listed: false,
            resources: BTreeMap::new(),
        }
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object per line, for programs.
    Json,
}

/// The configuration that `args`, the file they name and the defaults give together.
///
/// The parsed `args` already contain the environment's values; `environment` is searched only for variables that look
/// like ours and are not. Give it [`std::env::vars_os`].
///
/// # Errors
/// If the file cannot be read, or any value, key or variable is wrong. All wrong values are reported at once; a file
/// that is not valid by itself is reported alone.
pub fn load(
    args: &ServeArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let mut problems = environment::unknown_variables(environment.iter());
    let path = resolve::config_file(args, &mut problems);
    let file = path.as_deref().map(file::File::read).transpose()?.unwrap_or_default();
    let admin_key = environment.into_iter().find(|(name, value)| name == access::ADMIN_KEY && !value.is_empty());
    resolve::resolve(args, path, file, admin_key.map(|(_, value)| value), problems)
}

/// The data directory of the gateway that `args` describe, for a command that works on it: only what they say of the
/// directory and the configuration file matters.
///
/// # Errors
/// If the file cannot be read, the directory makes no sense, or a variable is misspelled.
pub fn data_dir(
    args: &ServeArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<PathBuf, ConfigError> {
    let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let mut problems = environment::unknown_variables(environment.iter());
    let path = resolve::config_file(args, &mut problems);
    let file = path.as_deref().map(file::File::read).transpose()?.unwrap_or_default();
    resolve::data_dir(args, path.as_deref(), file, problems)
}

/// `path` for a message or a comment: on one line, whatever its name contains.
pub(crate) fn one_line(path: &Path) -> String {
    crate::printable::one_line(path.display())
}

/// The key of the table of resource `alias` in the file; an alias with a dot needs quotes there.
fn table_key(alias: &Alias) -> String {
    match alias.as_str() {
        dotted if dotted.contains('.') => format!("resources.\"{dotted}\""),
        plain => format!("resources.{plain}"),
    }
}
