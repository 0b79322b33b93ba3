//! The configuration file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::value::InFile;
use super::{ConfigError, Hosts, LogFormat, Origins, SidecarUrl};
use crate::domain::{Alias, Bounds, Capacity, SettingsOverrides};

/// What a configuration file can say. Everything may be left out; what is not listed here is refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub listen: Option<InFile<SocketAddr>>,
    pub sidecar_url: Option<InFile<SidecarUrl>>,
    pub data_dir: Option<InFile<PathBuf>>,
    pub log_format: Option<InFile<LogFormat>>,
    pub audit_log: Option<InFile<Option<PathBuf>>>,
    pub shutdown_grace: Option<InFile<Duration>>,
    pub insecure_no_auth: Option<InFile<bool>>,
    pub require_key: Option<InFile<bool>>,
    pub admin_key_file: Option<InFile<Option<PathBuf>>>,
    pub open_metrics: Option<InFile<bool>>,
    pub allowed_hosts: Option<InFile<Hosts>>,
    pub allowed_origins: Option<InFile<Origins>>,
    pub tls_cert: Option<InFile<Option<PathBuf>>>,
    pub tls_key: Option<InFile<Option<PathBuf>>>,
    pub max_request_rate: Option<InFile<u64>>,
    pub max_streams_per_key: Option<InFile<u64>>,
    pub cooldown: Option<InFile<Duration>>,
    pub step_size: Option<InFile<u64>>,
    pub active_timeout: Option<InFile<Duration>>,
    pub poll_interval: Option<InFile<Duration>>,
    pub settle: Option<InFile<Duration>>,
    pub deadline: Option<InFile<Duration>>,
    pub min_cooldown: Option<InFile<Duration>>,
    pub max_step_size: Option<InFile<u64>>,
    pub min_settle: Option<InFile<Duration>>,
    pub max_active_jobs: Option<InFile<u64>>,
    pub max_jobs_per_key: Option<InFile<u64>>,
    pub max_queue_length: Option<InFile<u64>>,
    pub keep_finished_for: Option<InFile<Duration>>,
    pub keep_finished_count: Option<InFile<u64>>,
    pub only_listed: Option<InFile<bool>>,
    #[serde(default)]
    pub resources: BTreeMap<Alias, ResourceTable>,
}

/// What it can say about one resource.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceTable {
    pub min: Option<InFile<Capacity>>,
    pub max: Option<InFile<Capacity>>,
    cooldown: Option<InFile<Duration>>,
    step_size: Option<InFile<u64>>,
    active_timeout: Option<InFile<Duration>>,
    poll_interval: Option<InFile<Duration>>,
    settle: Option<InFile<Duration>>,
    deadline: Option<InFile<Duration>>,
    min_cooldown: Option<InFile<Duration>>,
    max_step_size: Option<InFile<u64>>,
    min_settle: Option<InFile<Duration>>,
}

impl ResourceTable {
    /// The bounds given, the rest unrestricted. Not checked for their order.
    pub fn bounds(&self) -> Bounds {
        let given = |bound: &Option<InFile<Capacity>>, otherwise| bound.as_ref().map_or(otherwise, |bound| bound.0);
        Bounds { min: given(&self.min, Bounds::NONE.min), max: given(&self.max, Bounds::NONE.max) }
    }

    /// The settings given. Not checked for their ranges.
    pub fn overrides(&self) -> SettingsOverrides {
        SettingsOverrides {
            step_size: units(&self.step_size),
            cooldown: duration(&self.cooldown),
            active_timeout: duration(&self.active_timeout),
            poll_interval: duration(&self.poll_interval),
            settle: duration(&self.settle),
            deadline: duration(&self.deadline),
        }
    }

    /// The limits of settings given, each in place of the setting that it limits. Not checked for their ranges.
    pub fn limits(&self) -> SettingsOverrides {
        SettingsOverrides {
            step_size: units(&self.max_step_size),
            cooldown: duration(&self.min_cooldown),
            settle: duration(&self.min_settle),
            ..SettingsOverrides::default()
        }
    }
}

fn duration(given: &Option<InFile<Duration>>) -> Option<Duration> {
    given.as_ref().map(|given| given.0)
}

fn units(given: &Option<InFile<u64>>) -> Option<u32> {
    given.as_ref().map(|given| saturated(given.0))
}

/// `number` as a step size, for a range check to refuse if it is too large for one.
pub(super) fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, or says something a configuration cannot say.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        toml::from_str(&text).map_err(|error| ConfigError::Malformed { path: path.to_owned(), error: Box::new(error) })
    }
}
