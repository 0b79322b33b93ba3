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
//! range stops the start, and the message says which one and what was expected. It reads the configuration file and the
//! one with the admin key, and nothing else; the environment is an argument, so that all of it can be tested without
//! one.
//!
//! An option is a field of [`Config`], of [`Access`], or of what is in `jobs.rs`: its doc comment is the help, its
//! attributes give the variable, the default and the parser. Flag, key, printing and messages follow from them.

mod access;
mod args;
mod environment;
mod error;
mod file;
mod jobs;
mod layers;
mod lines;
mod policies;
mod print;
mod resolve;
mod secrets;
mod sidecar_url;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use access::{Access, Hosts, Origins, TlsFiles, exposure, parse_key, read_key};
pub use args::{Given, GivenParser, ServeArgs};
pub use error::{ConfigError, Problem};
pub use print::Loaded;
pub use sidecar_url::{InvalidSidecarUrl, SidecarUrl};
pub use value::{capacity as parse_capacity, duration as parse_duration};

use self::value::{address, duration_between, path};

use crate::domain::policy::Policy;
use crate::domain::{Alias, Limits, ResourceConfig, Retention, ScalingConfig, SettingLimits, Settings};
use crate::sources::{MetricHosts, Secrets};

const SERVER: &str = "Server";
const LIMITS: &str = "Limits and retention";

/// Everything `scalegate serve` needs to know, each value within its range.
#[derive(clap::Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = SERVER)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one
    // On any address but a loopback one, keys are needed.
    #[arg(long, env = "SCALEGATE_LISTEN", default_value = "127.0.0.1:8080",
          value_name = "ADDR:PORT", value_parser = address)]
    pub listen: SocketAddr,

    /// Where the sidecar is, as http://host:port
    #[arg(long, env = "SCALEGATE_SIDECAR_URL", default_value = SidecarUrl::DEFAULT, value_name = "URL")]
    pub sidecar_url: SidecarUrl,

    /// Directory of the durable records; a relative one starts at the working directory
    #[arg(long, env = "SCALEGATE_DATA_DIR", default_value = "./scalegate-data",
          value_name = "DIR", value_parser = path)]
    pub data_dir: PathBuf,

    /// How logs are written: text for people, json for machines
    #[arg(long, env = "SCALEGATE_LOG_FORMAT", default_value = "text", value_name = "text|json")]
    pub log_format: LogFormat,

    /// File to which a line of JSON is appended for each attempt to change something, as GET /v1/audit shows it; it may
    /// be renamed at any time [default: none]
    #[arg(long, env = "SCALEGATE_AUDIT_LOG", value_name = "FILE", value_parser = path)]
    pub audit_log: Option<PathBuf>,

    /// Longest time to finish requests and record changes in flight after SIGTERM
    // Container runtimes kill ten seconds after SIGTERM unless told otherwise (Kubernetes after thirty); eight leave
    // two for the last commit and for the process to end by itself. No orchestrator waits an hour.
    #[arg(long, env = "SCALEGATE_SHUTDOWN_GRACE", default_value = "8s",
          value_name = "DURATION", value_parser = duration_between("0s", "1h"))]
    pub shutdown_grace: Duration,

    /// Who may call.
    #[command(flatten)]
    pub access: Access,

    /// Hosts, each with its port, that policies put over HTTP may have asked for metrics [default: none]
    // Without it, a caller who may put a policy could have the gateway call anything that it can reach.
    #[arg(
        long,
        env = "SCALEGATE_METRIC_HOSTS",
        default_value = "",
        hide_default_value = true,
        value_name = "HOST:PORT,...",
        help_heading = "Metrics of policies"
    )]
    pub metric_hosts: MetricHosts,

    /// What requests for metrics may send as headers, by the names that policies use. The values are never printed.
    #[arg(skip)]
    pub metric_secrets: Secrets,

    /// General settings of jobs.
    #[command(flatten)]
    pub settings: Settings,

    /// How little care jobs may take. The general settings keep to it, and so do those of each resource to its own
    /// limits.
    #[command(flatten)]
    pub setting_limits: SettingLimits,

    /// Scale only the resources listed in the configuration file
    // If so, at least one is listed.
    #[arg(long, env = "SCALEGATE_ONLY_LISTED", help_heading = LIMITS)]
    pub only_listed: bool,

    /// Change members of a group that are due together in one request to the sidecar
    // Off, because nobody has observed how the platform refuses a part of such a request.
    #[arg(long, env = "SCALEGATE_GROUPED_CALLS")]
    pub grouped_calls: bool,

    /// How much work is accepted.
    #[command(flatten)]
    pub limits: Limits,

    /// How long finished jobs are kept.
    #[command(flatten)]
    pub retention: Retention,

    /// Listed resources, with the general settings filled in where the file gives none of their own.
    #[arg(skip)]
    pub resources: BTreeMap<Alias, ResourceConfig>,

    /// Policies of listed resources.
    #[arg(skip)]
    pub policies: BTreeMap<Alias, Arc<Policy>>,
}

impl Config {
    /// The operator's rules, as the engine wants them.
    pub fn scaling(&self) -> ScalingConfig {
        ScalingConfig {
            settings: self.settings,
            setting_limits: self.setting_limits,
            resources: self.resources.clone(),
            policies: self.policies.clone(),
            only_listed: self.only_listed,
            limits: self.limits,
            grouped_calls: self.grouped_calls,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        layers::defaults()
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
/// The parsed `args` already contain the environment's values of options; `environment` is searched for secrets, and for
/// variables that look like ours and are not. Give it [`std::env::vars_os`].
///
/// # Errors
/// If the file cannot be read, or any value, key or variable is wrong. All wrong values are reported at once; a file
/// that is not valid by itself is reported alone.
pub fn load(
    args: &ServeArgs,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let mut problems = environment::unknown_variables(&environment);
    let path = resolve::config_file(args, &mut problems);
    let file = path.as_deref().map(file::File::read).transpose()?.unwrap_or_default();
    resolve::resolve(args, path, file, environment::SecretVariables::of(environment), problems)
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
    let mut problems = environment::unknown_variables(&environment);
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
