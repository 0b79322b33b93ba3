//! Shows the configuration in effect, as a configuration file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::file::ResourceTable;
use super::resolve::{LIMITED, Origin, SETTINGS, flag, limit_key, limited, setting_key, setting_value, variable};
use super::value::Value;
use super::{Access, Config, TlsFiles, one_line, table_key};
use crate::domain::{Alias, SettingsOverrides};

/// A configuration, and where each of its values was taken from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    pub(super) origins: BTreeMap<&'static str, Origin>,
    pub(super) tables: BTreeMap<Alias, ResourceTable>,
}

impl Loaded {
    /// The configuration as a TOML document which, used as the configuration file, gives the same configuration. A
    /// comment at the end of each line says where the value was taken from.
    ///
    /// Settings that a resource takes from the general ones are shown commented out: written out, they would no longer
    /// follow them.
    pub fn to_toml(&self) -> String {
        let Config { listen, sidecar_url, data_dir, log_format, audit_log, shutdown_grace, .. } = &self.config;
        let Config { settings, setting_limits, limits, retention, only_listed, access, .. } = &self.config;
        let mut lines = vec![
            self.line("listen", &listen.to_toml()),
            self.line("sidecar_url", &sidecar_url.to_toml()),
            self.line("data_dir", &data_dir.to_toml()),
            self.line("log_format", &log_format.to_toml()),
            self.line("audit_log", &audit_log.to_toml()),
            self.line("shutdown_grace", &shutdown_grace.to_toml()),
        ];
        lines.extend(self.access(access));
        let (settings, limits_of_settings) = (SettingsOverrides::from(*settings), limited(setting_limits));
        let of_settings = SETTINGS.map(|setting| (setting_key(setting), setting_value(&settings, setting)));
        let of_limits = LIMITED.map(|setting| (limit_key(setting), setting_value(&limits_of_settings, setting)));
        let values = of_settings.into_iter().chain(of_limits);
        lines.extend(values.map(|(key, value)| self.line(key, &value.unwrap_or_default())));
        lines.extend([
            self.line("only_listed", &only_listed.to_toml()),
            self.line("max_active_jobs", &limits.active_jobs.to_string()),
            self.line("max_jobs_per_key", &limits.jobs_per_key.to_string()),
            self.line("max_queue_length", &limits.queue_length.to_string()),
            self.line("keep_finished_for", &retention.age.to_toml()),
            self.line("keep_finished_count", &retention.count.to_string()),
        ]);
        let tables = self.tables.iter().map(|(alias, table)| self.table(alias, table));
        lines.into_iter().chain(tables).collect()
    }

    /// The admin key itself is never shown, and cannot be in a configuration file.
    fn access(&self, access: &Access) -> Vec<String> {
        let tls = |file: fn(&TlsFiles) -> &PathBuf| access.tls.as_ref().map(|files| file(files).clone());
        vec![
            self.line("insecure_no_auth", &access.insecure_no_auth.to_toml()),
            self.line("require_key", &access.require_key.to_toml()),
            self.line("admin_key_file", &access.admin_key_file.to_toml()),
            self.line("open_metrics", &access.open_metrics.to_toml()),
            self.line("allowed_hosts", &access.allowed_hosts.to_toml()),
            self.line("allowed_origins", &access.allowed_origins.to_toml()),
            self.line("tls_cert", &tls(|files| &files.cert).to_toml()),
            self.line("tls_key", &tls(|files| &files.key).to_toml()),
            self.line("max_request_rate", &access.request_rate.to_string()),
            self.line("max_streams_per_key", &access.streams_per_key.to_string()),
        ]
    }

    fn line(&self, key: &str, value: &str) -> String {
        format!("{key} = {value}  # {}\n", self.source(key))
    }

    /// Where general setting `key` was taken from.
    fn source(&self, key: &str) -> String {
        match self.origins.get(key) {
            Some(Origin::Flag) => format!("flag {}", flag(key)),
            Some(Origin::Environment) => format!("environment {}", variable(key)),
            Some(Origin::File) => self.file_source(),
            Some(Origin::Default) | None => "default".to_owned(),
        }
    }

    fn file_source(&self) -> String {
        self.file.as_deref().map_or_else(|| "file".to_owned(), |path| format!("file {}", one_line(path)))
    }

    fn table(&self, alias: &Alias, table: &ResourceTable) -> String {
        let mut text = format!("\n[{}]\n", table_key(alias));
        let bounds = table.bounds();
        for (key, bound, given) in [("min", bounds.min, table.min.is_some()), ("max", bounds.max, table.max.is_some())]
        {
            let source = if given { self.file_source() } else { "default".to_owned() };
            let _ = writeln!(text, "{key} = {bound}  # {source}");
        }
        let Config { settings, setting_limits, .. } = &self.config;
        let values = |own: &SettingsOverrides, general: &SettingsOverrides, setting| {
            (setting_value(own, setting), setting_value(general, setting))
        };
        let (own, general) = (table.overrides(), SettingsOverrides::from(*settings));
        let of_settings = SETTINGS.map(|setting| (setting_key(setting), values(&own, &general, setting)));
        let (own, general) = (table.limits(), limited(setting_limits));
        let of_limits = LIMITED.map(|setting| (limit_key(setting), values(&own, &general, setting)));
        for (key, values) in of_settings.into_iter().chain(of_limits) {
            let _ = match values {
                (Some(value), _) => writeln!(text, "{key} = {value}  # {}", self.file_source()),
                (None, general) => {
                    let value = general.unwrap_or_default();
                    writeln!(text, "# {key} = {value}  # general setting, {}", self.source(key))
                }
            };
        }
        text
    }
}
