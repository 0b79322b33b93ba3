//! Whole configurations: command line, environment and file together.

mod access;
mod printing;
mod refusals;

use std::fs;

use clap::{Args, FromArgMatches};
use tempfile::TempDir;

use super::*;
use crate::domain::{Bounds, Capacity};

/// The options as the command line gives them, whatever the environment of the tests contains.
fn parsed(arguments: &[&str]) -> ServeArgs {
    let command = ServeArgs::augment_args(clap::Command::new("serve")).mut_args(|option| option.env(None::<&str>));
    let matches = command.try_get_matches_from(std::iter::once(&"serve").chain(arguments)).expect("flags that exist");
    ServeArgs::from_arg_matches(&matches).expect("arguments that match")
}

/// `args` with a variable of the environment in the place of `key`, unless a flag is there already.
fn with_variable(mut args: ServeArgs, key: &str, value: &str) -> ServeArgs {
    let option = match key {
        "listen" => &mut args.listen,
        "sidecar_url" => &mut args.sidecar_url,
        "data_dir" => &mut args.data_dir,
        "config" => &mut args.config,
        "log_format" => &mut args.log_format,
        "audit_log" => &mut args.audit_log,
        "shutdown_grace" => &mut args.shutdown_grace,
        "cooldown" => &mut args.cooldown,
        "step_size" => &mut args.step_size,
        "active_timeout" => &mut args.active_timeout,
        "poll_interval" => &mut args.poll_interval,
        "settle" => &mut args.settle,
        "deadline" => &mut args.deadline,
        "min_cooldown" => &mut args.min_cooldown,
        "max_step_size" => &mut args.max_step_size,
        "min_settle" => &mut args.min_settle,
        "only_listed" => &mut args.only_listed,
        "max_active_jobs" => &mut args.max_active_jobs,
        "max_jobs_per_key" => &mut args.max_jobs_per_key,
        "insecure_no_auth" => &mut args.insecure_no_auth,
        "require_key" => &mut args.require_key,
        "open_metrics" => &mut args.open_metrics,
        "allowed_hosts" => &mut args.allowed_hosts,
        "allowed_origins" => &mut args.allowed_origins,
        "max_request_rate" => &mut args.max_request_rate,
        "max_streams_per_key" => &mut args.max_streams_per_key,
        "max_queue_length" => &mut args.max_queue_length,
        "keep_finished_for" => &mut args.keep_finished_for,
        "keep_finished_count" => &mut args.keep_finished_count,
        other => panic!("no setting {other}"),
    };
    option.get_or_insert_with(|| Given::by_environment(value));
    args
}

fn load_args(args: &ServeArgs) -> Result<Loaded, ConfigError> {
    load(args, [])
}

/// A directory with the configuration file `text`, and the file's path.
fn file(text: &str) -> (TempDir, String) {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("gate.toml");
    fs::write(&path, text).expect("a file in it");
    let path = path.to_str().expect("a path in UTF-8").to_owned();
    (directory, path)
}

fn load_file(text: &str) -> Result<Config, ConfigError> {
    let (_directory, path) = file(text);
    load_args(&parsed(&["--config", &path])).map(|loaded| loaded.config)
}

fn alias(text: &str) -> Alias {
    text.parse().expect("an alias")
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Each setting with three values, as written in TOML: for flag, environment and file; and how to see it.
type Row = (&'static str, [&'static str; 3], fn(&Config) -> String);

const SETTINGS: [Row; 28] = [
    ("listen", ["\"1.1.1.1:1\"", "\"[::1]:2\"", "\"3.3.3.3:3\""], |c| format!("{:?}", c.listen.to_string())),
    ("sidecar_url", ["\"http://a\"", "\"http://b:2\"", "\"http://c\""], |c| format!("{:?}", c.sidecar_url.as_str())),
    ("data_dir", ["\"/a\"", "\"b\"", "\"./c\""], |c| format!("{:?}", c.data_dir)),
    ("audit_log", ["\"/a\"", "\"b\"", "\"./c\""], |c| format!("{:?}", c.audit_log.clone().unwrap_or_default())),
    ("log_format", ["\"json\"", "\"json\"", "\"json\""], |c| {
        if c.log_format == LogFormat::Json { "\"json\"".to_owned() } else { "\"text\"".to_owned() }
    }),
    ("shutdown_grace", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.shutdown_grace)),
    ("cooldown", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.settings.cooldown)),
    ("step_size", ["11", "12", "13"], |c| c.settings.step_size.to_string()),
    ("active_timeout", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.settings.active_timeout)),
    ("poll_interval", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.settings.poll_interval)),
    ("settle", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.settings.settle)),
    ("deadline", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.settings.deadline)),
    ("min_cooldown", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.setting_limits.min_cooldown)),
    ("max_step_size", ["11", "12", "13"], |c| c.setting_limits.max_step_size.to_string()),
    ("min_settle", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.setting_limits.min_settle)),
    ("max_active_jobs", ["11", "12", "13"], |c| c.limits.active_jobs.to_string()),
    ("max_jobs_per_key", ["11", "12", "13"], |c| c.limits.jobs_per_key.to_string()),
    ("insecure_no_auth", ["true", "true", "true"], |c| c.access.insecure_no_auth.to_string()),
    ("require_key", ["true", "true", "true"], |c| c.access.require_key.to_string()),
    ("open_metrics", ["true", "true", "true"], |c| c.access.open_metrics.to_string()),
    ("allowed_hosts", ["\"a.b,c\"", "\"d\"", "\"e,f\""], |c| format!("{:?}", c.access.allowed_hosts.0.join(","))),
    ("allowed_origins", ["\"http://a:1\"", "\"https://d\"", "\"https://e\""], |c| {
        format!("{:?}", c.access.allowed_origins.0.join(","))
    }),
    ("max_request_rate", ["11", "12", "0"], |c| c.access.request_rate.to_string()),
    ("max_streams_per_key", ["11", "12", "0"], |c| c.access.streams_per_key.to_string()),
    ("max_queue_length", ["11", "12", "13"], |c| c.limits.queue_length.to_string()),
    ("keep_finished_for", ["\"1s\"", "\"2s\"", "\"3s\""], |c| seconds(c.retention.age)),
    ("keep_finished_count", ["11", "12", "13"], |c| c.retention.count.to_string()),
    ("only_listed", ["true", "true", "true"], |c| c.only_listed.to_string()),
];

/// Settings whose default is nothing at all.
const EMPTY_BY_DEFAULT: [&str; 3] = ["allowed_hosts", "allowed_origins", "audit_log"];

/// Options that name files, which have to be there: they have tests of their own.
const FILES: [&str; 4] = ["config", "admin_key_file", "tls_cert", "tls_key"];

fn seconds(duration: Duration) -> String {
    format!("\"{}s\"", duration.as_secs())
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    for (key, [flag, variable, in_file], seen) in SETTINGS {
        let (_directory, path) = file(&format!("{key} = {in_file}\n[resources.worker]"));
        let flag_argument = format!("--{}={}", key.replace('_', "-"), flag.trim_matches('"'));
        let with_file = || parsed(&["--config", &path]);
        let with_flag = || parsed(&["--config", &path, &flag_argument]);
        let variable_text = variable.trim_matches('"');
        let default = seen(&Config::default());
        for (args, expected, origin) in [
            (with_variable(with_flag(), key, variable_text), flag, format!("flag --{}", key.replace('_', "-"))),
            (with_flag(), flag, format!("flag --{}", key.replace('_', "-"))),
            (
                with_variable(with_file(), key, variable_text),
                variable,
                format!("environment SCALEGATE_{}", key.to_ascii_uppercase()),
            ),
            (with_variable(with_file(), key, ""), in_file, format!("file {path}")),
            (with_file(), in_file, format!("file {path}")),
            (parsed(&[]), default.as_str(), "default".to_owned()),
            (with_variable(parsed(&[]), key, ""), default.as_str(), "default".to_owned()),
        ] {
            let loaded = load_args(&args).unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(seen(&loaded.config), expected, "{key} by {origin}");
            let printed = loaded.to_toml();
            let line = printed.lines().find(|line| line.starts_with(&format!("{key} = "))).expect("a line per setting");
            assert!(line.ends_with(&format!("  # {origin}")), "{line} should come from {origin}");
        }
    }
}

#[test]
fn a_flag_can_switch_off_what_the_file_switches_on() {
    let (_directory, path) = file("only_listed = true\n[resources.worker]");
    assert!(load_args(&parsed(&["--config", &path])).expect("valid").config.only_listed);
    assert!(!load_args(&parsed(&["--config", &path, "--only-listed=false"])).expect("valid").config.only_listed);
    let (_directory, path) = file("[resources.worker]");
    assert!(load_args(&parsed(&["--only-listed", "--config", &path])).expect("valid").config.only_listed);
}

#[test]
fn the_defaults_are_what_the_help_says() {
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    let mut arguments = Vec::new();
    for option in command.get_arguments().filter(|option| option.get_id() != "print_config") {
        let help = option.get_help().expect("every option has help").to_string();
        let (_, default) = help.split_once("[default: ").unwrap_or_else(|| panic!("no default in {help:?}"));
        let default = default.strip_suffix(']').expect("the default ends the help");
        if default != "none" {
            arguments.push(format!("--{}={default}", option.get_long().expect("a long name")));
        }
    }
    assert_eq!(arguments.len(), SETTINGS.len() - EMPTY_BY_DEFAULT.len());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_eq!(load_args(&parsed(&arguments)).expect("valid").config, Config::default());
    assert_eq!(load_args(&parsed(&[])).expect("valid").config, Config::default());
}

#[test]
fn names_in_messages_are_the_names_there_are() {
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    let configurable = command.get_arguments().filter(|option| option.get_id() != "print_config");
    let mut seen = 0;
    for option in configurable {
        let key = option.get_id().as_str();
        assert_eq!(resolve::flag(key), format!("--{}", option.get_long().expect("a long name")));
        assert_eq!(Some(resolve::variable(key).as_ref()), option.get_env().map(|name| name.to_str().expect("ASCII")));
        assert!(
            FILES.contains(&key) || SETTINGS.iter().any(|(name, ..)| *name == key),
            "{key} has no row in the tests"
        );
        assert!(option.get_help_heading().is_some(), "{key} stands under no heading");
        seen += 1;
    }
    assert_eq!(seen, SETTINGS.len() + FILES.len());
    clap::Command::debug_assert(command);
}

#[test]
fn a_resource_has_its_own_settings_and_the_general_ones_for_the_rest() {
    let (_directory, path) = file(
        "cooldown = \"10s\"\nsettle = \"20s\"\n[resources.worker]\nmin = 1\nmax = 6\ncooldown = \"2m\"\nstep_size = 2\n\
         min_cooldown = \"1m\"\nmax_step_size = 2\n[resources.\"web.eu\"]\n",
    );
    let limits = ["--min-cooldown", "2s", "--max-step-size", "4", "--min-settle", "5s"];
    let args = parsed(&[&["--config", &path, "--cooldown", "3s", "--deadline", "2h"][..], &limits].concat());
    let scaling = load_args(&args).expect("valid").config.scaling();
    let general = Settings { cooldown: secs(3), settle: secs(20), deadline: secs(7200), ..Settings::DEFAULT };
    let worker = ResourceConfig {
        bounds: Bounds { min: Capacity::new(1).expect("small"), max: Capacity::new(6).expect("small") },
        settings: Settings { cooldown: secs(120), step_size: 2, ..general },
        setting_limits: SettingLimits { min_cooldown: secs(60), max_step_size: 2, min_settle: secs(5) },
    };
    let limits = SettingLimits { min_cooldown: secs(2), max_step_size: 4, min_settle: secs(5) };
    let unlisted = ResourceConfig { bounds: Bounds::NONE, settings: general, setting_limits: limits };
    assert_eq!(scaling.resource(&alias("worker")), Some(worker), "the more specific wins, even over a flag");
    assert_eq!(scaling.resource(&alias("web.eu")), Some(unlisted));
    assert_eq!(scaling.resource(&alias("other")), Some(unlisted));
}

#[test]
fn bounds_may_leave_one_capacity_only() {
    let scaling = load_file("[resources.worker]\nmin = 3\nmax = 3\n").expect("valid").scaling();
    let bounds = scaling.resource(&alias("worker")).expect("listed").bounds;
    assert_eq!((bounds.min.units(), bounds.max.units()), (3, 3));
}

#[test]
fn only_listed_resources_may_be_scaled_if_so_configured() {
    let scaling = load_file("only_listed = true\n[resources.worker]\n").expect("valid").scaling();
    assert!(scaling.resource(&alias("worker")).is_some());
    assert_eq!(scaling.resource(&alias("other")), None);
}

/// Only a process of its own has an environment that can be chosen freely: this test runs itself in one.
#[test]
fn the_real_environment_is_told_from_flags() {
    const CHILD: &str = "CONFIG_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let command = ServeArgs::augment_args(clap::Command::new("serve"));
        let matches = command.get_matches_from(["serve", "--settle=45s"]);
        let args = ServeArgs::from_arg_matches(&matches).expect("arguments that match");
        println!("{}", load(&args, std::env::vars_os()).map_or_else(|e| e.to_string(), |loaded| loaded.to_toml()));
        return;
    }
    let child = |variables: &[(&str, &str)]| {
        let name = std::thread::current().name().expect("tests have names").to_owned();
        let mut command = std::process::Command::new(std::env::current_exe().expect("a running program"));
        let ours =
            std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("SCALEGATE_"));
        ours.for_each(|name| _ = command.env_remove(name));
        command.args([&name, "--exact", "--nocapture"]).env(CHILD, "1").envs(variables.iter().copied());
        String::from_utf8(command.output().expect("a child process").stdout).expect("UTF-8")
    };
    let printed = child(&[
        ("SCALEGATE_COOLDOWN", "2m"),
        ("SCALEGATE_SETTLE", "50s"),
        ("SCALEGATE_DEADLINE", ""),
        ("SCALEGATE_LOG", "debug"),
    ]);
    assert!(printed.contains("\ncooldown = \"2m\"  # environment SCALEGATE_COOLDOWN\n"), "{printed}");
    assert!(printed.contains("\nsettle = \"45s\"  # flag --settle\n"), "{printed}");
    assert!(printed.contains("\ndeadline = \"1d\"  # default\n"), "{printed}");
    let refused = child(&[("SCALEGATE_ONLY_LISTED", "perhaps"), ("SCALEGATE_COOLDWON", "2m")]);
    assert!(refused.contains("- SCALEGATE_ONLY_LISTED: \"perhaps\" must be true or false\n"), "{refused}");
    assert!(refused.contains("- SCALEGATE_COOLDWON: no such environment variable"), "{refused}");
}
