//! Decides which of flag, environment, file and default each setting is taken from, and checks the outcome.
//!
//! Problems are collected rather than returned one by one: whoever has to redeploy a container to see the next message
//! wants to see all of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::{self, Access, TlsFiles};
use super::args::{Given, ServeArgs};
use super::error::{ConfigError, Problem};
use super::file::{File, ResourceTable, saturated};
use super::value::{InFile, Value};
use super::{Config, Loaded, one_line, table_key};
use crate::access::Token;
use crate::domain::{Alias, Limits, ResourceConfig, Retention, Setting, SettingLimits, Settings, SettingsOverrides};

const HOW_TO_GET_A_KEY: &str = "make one with `scalegate keys generate`";

/// Where a value was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Environment,
    File,
    Default,
}

impl Origin {
    fn of(given: &Given) -> Self {
        if given.by_environment { Self::Environment } else { Self::Flag }
    }

    /// Setting `key` as the user spelled it. Flag and variable follow from the key; a test compares them with the
    /// definitions.
    pub fn name(self, key: &str, file: Option<&Path>) -> String {
        match self {
            Self::Flag => flag(key),
            Self::Environment => variable(key),
            Self::File => in_file(key, file),
            Self::Default => format!("the default of {}", flag(key)),
        }
    }
}

pub(super) fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

pub(super) fn variable(key: &str) -> String {
    format!("SCALEGATE_{}", key.to_ascii_uppercase())
}

fn in_file(key: &str, file: Option<&Path>) -> String {
    format!("{key} in {}", file.map_or_else(|| "the configuration file".to_owned(), one_line))
}

/// The configuration file that `args` name, if any.
pub(super) fn config_file(args: &ServeArgs, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    let given = args.config.as_ref().filter(|given| given.is_set())?;
    if given.text.is_empty() {
        problems.push(Problem::Value {
            name: flag("config"),
            value: "\"\"".to_owned(),
            detail: "must not be empty; write the path of a file, or leave the flag out".to_owned(),
        });
        return None;
    }
    Some(PathBuf::from(&given.text))
}

/// The configuration that `args`, `file` (read from `path`) and the defaults give.
///
/// # Errors
/// If there is any problem, including the `problems` found before.
pub(super) fn resolve(
    args: &ServeArgs,
    path: Option<PathBuf>,
    file: File,
    admin_key: Option<OsString>,
    problems: Vec<Problem>,
) -> Result<Loaded, ConfigError> {
    let mut resolver = Resolver { path: path.as_deref(), origins: BTreeMap::new(), problems };
    let default = Config::default();
    let settings = resolver.settings(args, &file, &default.settings);
    let setting_limits = resolver.setting_limits(args, &file, &default.setting_limits);
    resolver.check_care(
        &settings,
        &setting_limits,
        |resolver, setting| resolver.name(setting_key(setting)),
        |resolver, setting| resolver.name(limit_key(setting)),
    );
    let config = Config {
        settings,
        setting_limits,
        access: resolver.access(args, &file, admin_key, default.access),
        limits: resolver.limits(args, &file, default.limits),
        retention: resolver.retention(args, &file, default.retention),
        shutdown_grace: resolver.shutdown_grace(args, &file, default.shutdown_grace),
        resources: resolver.resources(&file.resources, settings, setting_limits),
        only_listed: resolver.only_listed(args, &file, default.only_listed),
        listen: resolver.pick("listen", &args.listen, file.listen, default.listen),
        sidecar_url: resolver.pick("sidecar_url", &args.sidecar_url, file.sidecar_url, default.sidecar_url),
        data_dir: resolver.pick("data_dir", &args.data_dir, file.data_dir, default.data_dir),
        log_format: resolver.pick("log_format", &args.log_format, file.log_format, default.log_format),
        audit_log: resolver.pick("audit_log", &args.audit_log, file.audit_log, default.audit_log),
    };
    let Resolver { origins, problems, .. } = resolver;
    if problems.is_empty() {
        Ok(Loaded { config, file: path, origins, tables: file.resources })
    } else {
        Err(ConfigError::Invalid { problems })
    }
}

/// The data directory that `args`, `file` (read from `path`) and the default give.
///
/// # Errors
/// If it makes no sense, or there were `problems` before.
pub(super) fn data_dir(
    args: &ServeArgs,
    path: Option<&Path>,
    file: File,
    problems: Vec<Problem>,
) -> Result<PathBuf, ConfigError> {
    let mut resolver = Resolver { path, origins: BTreeMap::new(), problems };
    let data_dir = resolver.pick("data_dir", &args.data_dir, file.data_dir, Config::default().data_dir);
    let problems = resolver.problems;
    if problems.is_empty() { Ok(data_dir) } else { Err(ConfigError::Invalid { problems }) }
}

struct Resolver<'a> {
    path: Option<&'a Path>,
    origins: BTreeMap<&'static str, Origin>,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    /// The value of setting `key`: the first one given. Where it cannot be read, the problem is noted and the default
    /// stands in for it, so that the other settings can be checked too.
    fn pick<T: Value>(
        &mut self,
        key: &'static str,
        given: &Option<Given>,
        in_file: Option<InFile<T>>,
        default: T,
    ) -> T {
        let given = given.as_ref().filter(|given| given.is_set());
        let (origin, value) = match (given, in_file) {
            (Some(given), _) => (Origin::of(given), self.read(key, given).unwrap_or(default)),
            (None, Some(in_file)) => (Origin::File, in_file.0),
            (None, None) => (Origin::Default, default),
        };
        self.origins.insert(key, origin);
        value
    }

    fn read<T: Value>(&mut self, key: &str, given: &Given) -> Option<T> {
        let read = match given.text.to_str() {
            Some(text) => T::from_text(text),
            None => Err("is not valid UTF-8".to_owned()),
        };
        let refuse = |detail| {
            let value = format!("{:?}", given.text.to_string_lossy());
            self.problems.push(Problem::Value { name: Origin::of(given).name(key, self.path), value, detail });
        };
        read.map_err(refuse).ok()
    }

    /// Setting `key` as the user spelled it.
    fn name(&self, key: &str) -> String {
        self.origins.get(key).copied().unwrap_or(Origin::Default).name(key, self.path)
    }

    fn check<T: Value + PartialOrd>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            let detail = format!("must be between {} and {}", range.start().to_toml(), range.end().to_toml());
            self.problems.push(Problem::Value { name: self.name(key), value: value.to_toml(), detail });
        }
    }

    fn settings(&mut self, args: &ServeArgs, file: &File, default: &Settings) -> Settings {
        let mut pick = |key, given, in_file: &Option<_>, default| self.pick(key, given, in_file.clone(), default);
        let cooldown = pick("cooldown", &args.cooldown, &file.cooldown, default.cooldown);
        let active_timeout = pick("active_timeout", &args.active_timeout, &file.active_timeout, default.active_timeout);
        let poll_interval = pick("poll_interval", &args.poll_interval, &file.poll_interval, default.poll_interval);
        let settle = pick("settle", &args.settle, &file.settle, default.settle);
        let deadline = pick("deadline", &args.deadline, &file.deadline, default.deadline);
        let step_size = self.pick("step_size", &args.step_size, file.step_size.clone(), u64::from(default.step_size));
        let overrides = SettingsOverrides {
            step_size: Some(saturated(step_size)),
            cooldown: Some(cooldown),
            active_timeout: Some(active_timeout),
            poll_interval: Some(poll_interval),
            settle: Some(settle),
            deadline: Some(deadline),
        };
        self.check_settings(&overrides, |resolver, setting| resolver.name(setting_key(setting)));
        default.with(&overrides)
    }

    fn setting_limits(&mut self, args: &ServeArgs, file: &File, default: &SettingLimits) -> SettingLimits {
        let in_file = file.min_cooldown.clone();
        let min_cooldown = self.pick("min_cooldown", &args.min_cooldown, in_file, default.min_cooldown);
        let (in_file, most) = (file.max_step_size.clone(), u64::from(default.max_step_size));
        let max_step_size = self.pick("max_step_size", &args.max_step_size, in_file, most);
        let min_settle = self.pick("min_settle", &args.min_settle, file.min_settle.clone(), default.min_settle);
        let limits = SettingLimits { min_cooldown, max_step_size: saturated(max_step_size), min_settle };
        self.check_settings(&limited(&limits), |resolver, setting| resolver.name(limit_key(setting)));
        limits
    }

    /// Notes every one of `settings` that takes less care than `limits`, each under its name, unless one of the two is wrong by
    /// itself.
    fn check_care(
        &mut self,
        settings: &Settings,
        limits: &SettingLimits,
        setting_name: impl Fn(&Self, Setting) -> String,
        limit_name: impl Fn(&Self, Setting) -> String,
    ) {
        let (settings, limited) = (SettingsOverrides::from(*settings), limited(limits));
        for problem in limits.problems(&settings) {
            let (setting, limit_key) = (setting_key(problem.setting), limit_key(problem.setting));
            let (name, limit_name) = (setting_name(self, problem.setting), limit_name(self, problem.setting));
            let is_wrong_by_itself = |problem: &Problem| match problem {
                Problem::Value { name: noted, .. } => *noted == name || *noted == limit_name,
                _ => false,
            };
            if self.problems.iter().any(is_wrong_by_itself) {
                continue;
            }
            let value = setting_value(&settings, problem.setting).unwrap_or_default();
            let limit = setting_value(&limited, problem.setting).unwrap_or_default();
            let contradiction = Problem::Contradiction { name, value, limit_name, limit, setting, limit_key };
            // Resources that have both from the general ones contradict nothing new.
            if !self.problems.contains(&contradiction) {
                self.problems.push(contradiction);
            }
        }
    }

    /// Notes every one of `overrides` that is out of range, under the name that `name` gives it.
    fn check_settings(&mut self, overrides: &SettingsOverrides, name: impl Fn(&Self, Setting) -> String) {
        for problem in overrides.problems() {
            let name = name(self, problem.setting);
            let value = setting_value(overrides, problem.setting).unwrap_or_default();
            self.problems.push(Problem::Value { name, value, detail: problem.detail });
        }
    }

    fn limits(&mut self, args: &ServeArgs, file: &File, default: Limits) -> Limits {
        let active_jobs =
            self.count("max_active_jobs", &args.max_active_jobs, &file.max_active_jobs, default.active_jobs);
        self.check("max_active_jobs", active_jobs, 1..=Config::MAX_ACTIVE_JOBS);
        let queue_length =
            self.count("max_queue_length", &args.max_queue_length, &file.max_queue_length, default.queue_length);
        self.check("max_queue_length", queue_length, 0..=Config::MAX_QUEUE_LENGTH);
        let jobs_per_key =
            self.count("max_jobs_per_key", &args.max_jobs_per_key, &file.max_jobs_per_key, default.jobs_per_key);
        self.check("max_jobs_per_key", jobs_per_key, 1..=Config::MAX_ACTIVE_JOBS);
        Limits {
            active_jobs: as_usize(active_jobs),
            jobs_per_key: as_usize(jobs_per_key),
            queue_length: as_usize(queue_length),
        }
    }

    fn retention(&mut self, args: &ServeArgs, file: &File, default: Retention) -> Retention {
        let in_file = file.keep_finished_for.clone();
        let age = self.pick("keep_finished_for", &args.keep_finished_for, in_file, default.age);
        self.check("keep_finished_for", age, Retention::MIN_AGE..=Retention::MAX_AGE);
        let count =
            self.count("keep_finished_count", &args.keep_finished_count, &file.keep_finished_count, default.count);
        self.check("keep_finished_count", count, 1..=Retention::MAX_COUNT);
        Retention { age, count: as_usize(count) }
    }

    fn access(&mut self, args: &ServeArgs, file: &File, admin_key: Option<OsString>, default: Access) -> Access {
        let tls_cert = self.pick("tls_cert", &args.tls_cert, file.tls_cert.clone(), None);
        let tls_key = self.pick("tls_key", &args.tls_key, file.tls_key.clone(), None);
        let missing = match (&tls_cert, &tls_key) {
            (None, Some(_)) => Some("tls_cert"),
            (Some(_), None) => Some("tls_key"),
            _ => None,
        };
        let needed = |key| Problem::Missing { name: flag(key), what: "HTTPS needs both files".to_owned() };
        self.problems.extend(missing.map(needed));
        let (insecure_no_auth, require_key) = self.key_rule(args, file, &default);
        let in_file = file.admin_key_file.clone();
        let admin_key_file = self.pick("admin_key_file", &args.admin_key_file, in_file, default.admin_key_file);
        let rate = u64::from(default.request_rate);
        let request_rate = self.pick("max_request_rate", &args.max_request_rate, file.max_request_rate.clone(), rate);
        self.check("max_request_rate", request_rate, 0..=Access::MAX_REQUEST_RATE);
        let streams = default.streams_per_key;
        let streams = self.count("max_streams_per_key", &args.max_streams_per_key, &file.max_streams_per_key, streams);
        let hosts = file.allowed_hosts.clone();
        let (open_metrics, origins) = (file.open_metrics.clone(), file.allowed_origins.clone());
        Access {
            insecure_no_auth,
            require_key,
            admin_key: self.admin_key(admin_key_file.as_deref(), admin_key),
            admin_key_file,
            open_metrics: self.pick("open_metrics", &args.open_metrics, open_metrics, default.open_metrics),
            allowed_hosts: self.pick("allowed_hosts", &args.allowed_hosts, hosts, default.allowed_hosts),
            allowed_origins: self.pick("allowed_origins", &args.allowed_origins, origins, default.allowed_origins),
            tls: tls_cert.zip(tls_key).map(|(cert, key)| TlsFiles { cert, key }),
            request_rate: saturated(request_rate),
            streams_per_key: as_usize(streams),
        }
    }

    /// Whether no key is needed, and whether one is in any case.
    fn key_rule(&mut self, args: &ServeArgs, file: &File, default: &Access) -> (bool, bool) {
        let no_auth = file.insecure_no_auth.clone();
        let no_auth = self.pick("insecure_no_auth", &args.insecure_no_auth, no_auth, default.insecure_no_auth);
        let required = self.pick("require_key", &args.require_key, file.require_key.clone(), default.require_key);
        if no_auth && required {
            let detail = format!("contradicts {}: leave one of them out", self.name("insecure_no_auth"));
            self.problems.push(Problem::Value { name: self.name("require_key"), value: "true".to_owned(), detail });
        }
        (no_auth, required)
    }

    /// The key itself occurs in no problem: they are printed.
    fn admin_key(&mut self, file: Option<&Path>, variable: Option<OsString>) -> Option<Token> {
        let read = match (file, variable) {
            (None, None) => return None,
            (Some(_), Some(_)) => Err((access::ADMIN_KEY.to_owned(), "is set besides an admin_key_file".to_owned())),
            (None, Some(text)) => access::parse_key(&text.to_string_lossy())
                .map_err(|why| (access::ADMIN_KEY.to_owned(), format!("{why}; {HOW_TO_GET_A_KEY}"))),
            (Some(path), None) => access::read_key(path)
                .map_err(|why| (self.name("admin_key_file"), format!("{why}; {HOW_TO_GET_A_KEY}"))),
        };
        read.map_err(|(name, detail)| self.problems.push(Problem::AdminKey { name, detail })).ok()
    }

    fn count(&mut self, key: &'static str, given: &Option<Given>, file: &Option<InFile<u64>>, default: usize) -> u64 {
        self.pick(key, given, file.clone(), u64::try_from(default).unwrap_or(u64::MAX))
    }

    fn shutdown_grace(&mut self, args: &ServeArgs, file: &File, default: Duration) -> Duration {
        let grace = self.pick("shutdown_grace", &args.shutdown_grace, file.shutdown_grace.clone(), default);
        self.check("shutdown_grace", grace, Duration::ZERO..=Config::MAX_SHUTDOWN_GRACE);
        grace
    }

    fn only_listed(&mut self, args: &ServeArgs, file: &File, default: bool) -> bool {
        let only_listed = self.pick("only_listed", &args.only_listed, file.only_listed.clone(), default);
        if only_listed && file.resources.is_empty() {
            self.problems.push(Problem::NothingListed { name: self.name("only_listed") });
        }
        only_listed
    }

    fn resources(
        &mut self,
        tables: &BTreeMap<Alias, ResourceTable>,
        settings: Settings,
        limits: SettingLimits,
    ) -> BTreeMap<Alias, ResourceConfig> {
        let resources =
            tables.iter().map(|(alias, table)| (alias.clone(), self.resource(alias, table, settings, limits)));
        resources.collect()
    }

    fn resource(
        &mut self,
        alias: &Alias,
        table: &ResourceTable,
        settings: Settings,
        limits: SettingLimits,
    ) -> ResourceConfig {
        let key = table_key(alias);
        let (overrides, own_limits) = (table.overrides(), table.limits());
        let name =
            |resolver: &Self, own: &SettingsOverrides, setting, setting_key: &str| match setting_value(own, setting) {
                Some(_) => in_file(&format!("{key}.{setting_key}"), resolver.path),
                None => resolver.name(setting_key),
            };
        let setting_name = |resolver: &Self, setting| name(resolver, &overrides, setting, setting_key(setting));
        let limit_name = |resolver: &Self, setting| name(resolver, &own_limits, setting, limit_key(setting));
        self.check_settings(&overrides, setting_name);
        self.check_settings(&own_limits, limit_name);
        let (settings, limits) = (settings.with(&overrides), with_limits(limits, &own_limits));
        self.check_care(&settings, &limits, setting_name, limit_name);
        let bounds = table.bounds();
        if bounds.min > bounds.max {
            self.problems.push(Problem::BoundsReversed {
                name: in_file(&key, self.path),
                min: bounds.min.units(),
                max: bounds.max.units(),
            });
        }
        ResourceConfig { bounds, settings, setting_limits: limits }
    }
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The settings in the order in which they are shown.
pub(super) const SETTINGS: [Setting; 6] = [
    Setting::Cooldown,
    Setting::StepSize,
    Setting::ActiveTimeout,
    Setting::PollInterval,
    Setting::Settle,
    Setting::Deadline,
];

/// Those of them that the operator can limit.
pub(super) const LIMITED: [Setting; 3] = [Setting::Cooldown, Setting::StepSize, Setting::Settle];

/// The key of what limits `setting`. Nothing limits the others: theirs is the key of the setting itself.
pub(super) fn limit_key(setting: Setting) -> &'static str {
    match setting {
        Setting::StepSize => "max_step_size",
        Setting::Cooldown => "min_cooldown",
        Setting::Settle => "min_settle",
        Setting::ActiveTimeout | Setting::PollInterval | Setting::Deadline => setting_key(setting),
    }
}

/// `limits`, each in place of the setting that it limits.
pub(super) fn limited(limits: &SettingLimits) -> SettingsOverrides {
    let SettingLimits { min_cooldown, max_step_size, min_settle } = *limits;
    SettingsOverrides {
        step_size: Some(max_step_size),
        cooldown: Some(min_cooldown),
        settle: Some(min_settle),
        ..SettingsOverrides::default()
    }
}

/// `limits` with whatever `own` gives put in their place.
fn with_limits(limits: SettingLimits, own: &SettingsOverrides) -> SettingLimits {
    SettingLimits {
        min_cooldown: own.cooldown.unwrap_or(limits.min_cooldown),
        max_step_size: own.step_size.unwrap_or(limits.max_step_size),
        min_settle: own.settle.unwrap_or(limits.min_settle),
    }
}

/// The key of `setting` in the file.
pub(super) fn setting_key(setting: Setting) -> &'static str {
    match setting {
        Setting::StepSize => "step_size",
        Setting::Cooldown => "cooldown",
        Setting::ActiveTimeout => "active_timeout",
        Setting::PollInterval => "poll_interval",
        Setting::Settle => "settle",
        Setting::Deadline => "deadline",
    }
}

/// The value of `setting` as it is written in the file, if `overrides` give it.
pub(super) fn setting_value(overrides: &SettingsOverrides, setting: Setting) -> Option<String> {
    let duration = match setting {
        Setting::StepSize => return overrides.step_size.map(|step_size| u64::from(step_size).to_toml()),
        Setting::Cooldown => overrides.cooldown,
        Setting::ActiveTimeout => overrides.active_timeout,
        Setting::PollInterval => overrides.poll_interval,
        Setting::Settle => overrides.settle,
        Setting::Deadline => overrides.deadline,
    };
    duration.map(|duration| duration.to_toml())
}
