//! The configuration as a whole: what is chosen for each option, and what no option can be checked for alone.
//!
//! Problems are collected rather than returned one by one: an operator who has to redeploy a container to see the next
//! message wants to see all of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::access;
use super::args::ServeArgs;
use super::environment::SecretVariables;
use super::error::{ConfigError, Problem};
use super::file::{File, Section};
use super::jobs::ResourceRows;
use super::layers::{Choices, Layers, Origin, choice, in_file, parse};
use super::{Config, Loaded, table_key};
use crate::access::Token;
use crate::domain::{Alias, ResourceConfig, SettingLimits, Settings, SettingsOverrides};

const HOW_TO_GET_A_KEY: &str = "make one with `scalegate keys generate`";

/// The configuration file that `args` name, if any.
pub(super) fn config_file(args: &ServeArgs, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    let given = args.given.get("config").filter(|given| given.is_set())?;
    if given.text.is_empty() {
        problems.push(Problem::Value {
            name: "--config".to_owned(),
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
    secrets: SecretVariables,
    problems: Vec<Problem>,
) -> Result<Loaded, ConfigError> {
    let mut layers = Layers { file: path.as_deref(), problems };
    let mut general = layers.choose::<Config>(&args.given, &file.general, None, &Choices::new());
    layers.check_tls(&mut general);
    let mut config: Config = parse(&general);
    layers.check_settings(&mut general, &config.settings, &config.setting_limits);
    layers.check_care(&general, &config.settings, &config.setting_limits, |_| true);
    layers.check_key_rule(&general, &config);
    config.access.admin_key = layers.admin_key(&general, config.access.admin_key_file.as_deref(), secrets.admin_key);
    let secret_origins;
    (config.metric_secrets, secret_origins) = layers.metric_secrets(&file.secrets, &secrets.metric_secrets);
    if config.only_listed && file.resources.is_empty() {
        layers.problems.push(Problem::NothingListed { name: layers.name(&general, "only_listed") });
    }
    let mut tables = BTreeMap::new();
    for (alias, line, section) in file.resources {
        match alias.parse::<Alias>() {
            Ok(alias) => {
                let (choices, resource) = layers.resource(&alias, line, &section, &general);
                if let Some(policy) = layers.policy(&alias, &section, &resource, &config.metric_secrets) {
                    config.policies.insert(alias.clone(), policy);
                }
                config.resources.insert(alias.clone(), resource);
                tables.insert(alias, choices);
            }
            Err(why) => {
                let name = in_file(&format!("resources.{alias:?}"), line, layers.file);
                layers.problems.push(Problem::Alias { name, detail: why.to_string() });
            }
        }
    }
    layers.check_circles(&config.policies);
    let problems = layers.problems;
    if problems.is_empty() {
        Ok(Loaded { config, file: path, general, secrets: secret_origins, tables })
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
    let mut layers = Layers { file: path, problems };
    let general = layers.choose::<Config>(&args.given, &file.general, None, &Choices::new());
    let problems = layers.problems;
    // Certificates do not matter here, and one without its key could not be parsed.
    let directory: Choices = general.into_iter().filter(|(key, _)| key == "data_dir").collect();
    if problems.is_empty() { Ok(parse::<Config>(&directory).data_dir) } else { Err(ConfigError::Invalid { problems }) }
}

impl Layers<'_> {
    /// Notes half of a pair of files, and takes it out.
    fn check_tls(&mut self, general: &mut Choices) {
        let is_given = |key| choice(general, key).is_some_and(|choice| !choice.text.is_empty() || choice.is_wrong);
        let missing = match (is_given("tls_cert"), is_given("tls_key")) {
            (false, true) => "--tls-cert",
            (true, false) => "--tls-key",
            _ => return,
        };
        self.problems.push(Problem::Missing { name: missing.to_owned(), what: "HTTPS needs both files".to_owned() });
        general.retain(|(key, _)| !key.starts_with("tls_"));
    }

    /// Notes every one of `settings` and `limits`, as in `choices`, that is out of range.
    fn check_settings(&mut self, choices: &mut Choices, settings: &Settings, limits: &SettingLimits) {
        for problem in SettingsOverrides::from(*settings).problems() {
            self.refuse(choices, problem.setting.key(), problem.detail);
        }
        for problem in limits.as_settings().problems() {
            if let Some(key) = problem.setting.limit_key() {
                self.refuse(choices, key, problem.detail);
            }
        }
    }

    /// Notes every one of `settings` that takes less care than `limits`, unless one of the two is wrong by itself or
    /// neither `is_new`.
    fn check_care(
        &mut self,
        choices: &Choices,
        settings: &Settings,
        limits: &SettingLimits,
        is_new: fn(&Origin) -> bool,
    ) {
        for problem in limits.problems(&SettingsOverrides::from(*settings)) {
            let Some(limit_key) = problem.setting.limit_key() else { continue };
            let key = problem.setting.key();
            let (Some(setting), Some(limit)) = (choice(choices, key), choice(choices, limit_key)) else { continue };
            if setting.is_wrong || limit.is_wrong || !(is_new(&setting.origin) || is_new(&limit.origin)) {
                continue;
            }
            self.problems.push(Problem::Contradiction {
                name: self.name(choices, key),
                value: setting.to_toml(),
                limit_name: self.name(choices, limit_key),
                limit: limit.to_toml(),
                setting: key,
                limit_key,
            });
        }
    }

    fn check_key_rule(&mut self, general: &Choices, config: &Config) {
        if config.access.insecure_no_auth && config.access.require_key {
            let detail = format!("contradicts {}: leave one of them out", self.name(general, "insecure_no_auth"));
            let name = self.name(general, "require_key");
            self.problems.push(Problem::Value { name, value: "true".to_owned(), detail });
        }
    }

    /// The key itself occurs in no problem: they are printed.
    fn admin_key(&mut self, general: &Choices, file: Option<&Path>, variable: Option<OsString>) -> Option<Token> {
        let variable_is = |detail| (access::ADMIN_KEY.to_owned(), detail);
        let read = match (file, variable) {
            (None, None) => return None,
            (Some(_), Some(_)) => Err(variable_is("is set besides an admin_key_file".to_owned())),
            (None, Some(text)) => access::parse_key(&text.to_string_lossy())
                .map_err(|why| variable_is(format!("{why}; {HOW_TO_GET_A_KEY}"))),
            (Some(path), None) => access::read_key(path)
                .map_err(|why| (self.name(general, "admin_key_file"), format!("{why}; {HOW_TO_GET_A_KEY}"))),
        };
        read.map_err(|(name, detail)| self.problems.push(Problem::Secret { name, detail })).ok()
    }

    /// What is chosen for the resource `alias`, whose table begins at `line`, and what that means.
    fn resource(
        &mut self,
        alias: &Alias,
        line: usize,
        section: &Section,
        general: &Choices,
    ) -> (Choices, ResourceConfig) {
        let mut choices = self.choose::<ResourceRows>(&BTreeMap::new(), section, Some(alias), general);
        let rows: ResourceRows = parse(&choices);
        self.check_settings(&mut choices, &rows.settings, &rows.limits);
        self.check_care(&choices, &rows.settings, &rows.limits, Origin::is_table);
        let bounds = rows.bounds();
        if bounds.min > bounds.max {
            self.problems.push(Problem::BoundsReversed {
                name: in_file(&table_key(alias), line, self.file),
                min: bounds.min.units(),
                max: bounds.max.units(),
            });
        }
        (choices, ResourceConfig { bounds, settings: rows.settings, setting_limits: rows.limits })
    }
}
