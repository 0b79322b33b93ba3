//! Whole configurations: command line, environment and file together.

mod access;
mod policies;
mod printing;
mod refusals;
mod secrets;

use std::fs;

use clap::{Args, FromArgMatches};
use tempfile::TempDir;

use super::value::Kind;
use super::*;
use strum::VariantArray as _;

use crate::domain::{Bounds, Capacity, Setting, SettingRange, SettingValue, SettingsOverrides};

/// The options as the command line gives them, whatever the environment of the tests contains.
fn parsed(arguments: &[&str]) -> ServeArgs {
    let command = ServeArgs::augment_args(clap::Command::new("serve")).mut_args(|option| option.env(None::<&str>));
    let matches = command.try_get_matches_from(std::iter::once(&"serve").chain(arguments)).expect("flags that exist");
    ServeArgs::from_arg_matches(&matches).expect("arguments that match")
}

/// `args` with a variable of the environment in the place of `key`, unless a flag is there already.
fn with_variable(mut args: ServeArgs, key: &str, value: &str) -> ServeArgs {
    args.given.entry(key.to_owned()).or_insert_with(|| Given::by_environment(value));
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

/// Three values of an option as they are written in the file, different ones where there are so many: for flag,
/// environment and file. And a file that must be there is named.
fn values(option: &clap::Arg) -> [&'static str; 3] {
    match (option.get_id().as_str(), Kind::of(option)) {
        ("listen", _) => ["\"1.1.1.1:1\"", "\"[::1]:2\"", "\"3.3.3.3:3\""],
        ("sidecar_url", _) => ["\"http://a\"", "\"http://b:2\"", "\"http://c\""],
        ("log_format", _) => ["\"json\""; 3],
        ("allowed_origins", _) => ["[\"http://a:1\"]", "[\"https://d\", \"https://a\"]", "[\"https://e\"]"],
        ("metric_hosts", _) => ["[\"a:1\", \"[::1]:2\"]", "[\"d:3\"]", "[\"e:4\"]"],
        (_, Kind::Text) => ["\"/a\"", "\"b\"", "\"./c\""],
        (_, Kind::Duration) => ["\"1s\"", "\"2000ms\"", "\"3s\""],
        (_, Kind::Number) => ["11", "12", "13"],
        (_, Kind::Switch) => ["true"; 3],
        (_, Kind::List) => ["[\"a.b\", \"c\"]", "[\"d\"]", "[\"e\", \"f\"]"],
    }
}

/// A value of the file as it is written after a flag.
fn as_text(value: &str) -> String {
    let entries = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
    entries.replace('"', "").replace(", ", ",")
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    // These need each other, and the last one a file that is there.
    let apart = ["tls_cert", "tls_key", "admin_key_file"];
    let options = layers::options::<Config>();
    let options = options.get_arguments().filter(|option| !apart.contains(&option.get_id().as_str()));
    for option in options {
        let key = option.get_id().as_str();
        let [flag, variable, in_file] = values(option);
        let (_directory, path) = file(&format!("{key} = {in_file}\n[resources.worker]"));
        let flag_argument = format!("--{}={}", key.replace('_', "-"), as_text(flag));
        let with_file = || parsed(&["--config", &path]);
        let with_flag = || parsed(&["--config", &path, &flag_argument]);
        let variable_text = as_text(variable);
        let (by_flag, by_variable) = (
            format!("flag --{}", key.replace('_', "-")),
            format!("environment SCALEGATE_{}", key.to_ascii_uppercase()),
        );
        let default = option.get_default_values().first().map_or("".into(), |text| text.to_string_lossy());
        let default = Kind::of(option).to_toml(&default);
        for (args, expected, origin) in [
            (with_variable(with_flag(), key, &variable_text), flag, by_flag.clone()),
            (with_flag(), flag, by_flag),
            (with_variable(with_file(), key, &variable_text), variable, by_variable),
            (with_variable(with_file(), key, ""), in_file, format!("file {path}")),
            (with_file(), in_file, format!("file {path}")),
            (parsed(&[]), &default, "default".to_owned()),
            (with_variable(parsed(&[]), key, ""), &default, "default".to_owned()),
        ] {
            let printed = load_args(&args).unwrap_or_else(|error| panic!("{key}: {error}")).to_toml();
            let line = printed.lines().find(|line| line.starts_with(&format!("{key} = ")));
            assert_eq!(line, Some(format!("{key} = {expected}  # {origin}").as_str()));
        }
    }
}

/// The options whose values pass through a conversion, or whose fields have other names.
#[test]
fn each_value_comes_to_its_field() {
    let text = "max_request_rate = 1\nmax_streams_per_key = 2\ntls_cert = \"c\"\ntls_key = \"k\"\n\
                min_cooldown = \"2s\"\nmax_step_size = 9\nmin_settle = \"1s\"\nmax_active_jobs = 10\n\
                max_jobs_per_key = 11\nmax_queue_length = 12\nkeep_finished_for = \"13s\"\nkeep_finished_count = 14\n";
    let expected = Config {
        access: Access {
            request_rate: 1,
            streams_per_key: 2,
            tls: Some(TlsFiles { cert: "c".into(), key: "k".into() }),
            ..Access::default()
        },
        setting_limits: SettingLimits { min_cooldown: secs(2), max_step_size: 9, min_settle: secs(1) },
        limits: Limits { active_jobs: 10, jobs_per_key: 11, queue_length: 12 },
        retention: Retention { age: secs(13), count: 14 },
        ..Config::default()
    };
    assert_eq!(load_file(text).expect("valid"), expected);
}

#[test]
fn each_setting_comes_to_its_field() {
    for setting in Setting::VARIANTS {
        let (text, expected) = match setting.range() {
            SettingRange::Units(..) => ("4", SettingValue::Units(4)),
            SettingRange::Durations(..) => ("\"7s\"", SettingValue::Duration(secs(7))),
        };
        let config = load_file(&format!("{} = {text}", setting.key())).expect("valid");
        for other in Setting::VARIANTS {
            let defaults = SettingsOverrides::from(Settings::DEFAULT);
            let wanted = if other == setting { Some(expected) } else { defaults.get(*other) };
            assert_eq!(SettingsOverrides::from(config.settings).get(*other), wanted, "{other:?} with {setting:?}");
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
fn the_defaults_are_those_of_the_domain() {
    let Config { settings, setting_limits, limits, retention, .. } = Config::default();
    assert_eq!((settings, setting_limits), (Settings::DEFAULT, SettingLimits::NONE));
    assert_eq!((limits, retention), (Limits::DEFAULT, Retention::DEFAULT));
    assert_eq!(load_args(&parsed(&[])).expect("valid").config, Config::default());
}

#[test]
fn the_help_is_complete_and_names_are_what_messages_say() {
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    for option in command.get_arguments().filter(|option| option.get_id() != "print_config") {
        let key = option.get_id().as_str();
        let help = option.get_help().expect("every option has help").to_string();
        let has_default = !option.get_default_values().is_empty() && !option.is_hide_default_value_set();
        let is_switch = option.get_num_args().is_some_and(|number| number.min_values() == 0);
        assert!(has_default || is_switch || help.ends_with("[default: none]"), "{key}: {help}");
        assert_eq!(layers::flag(key), format!("--{}", option.get_long().expect("a long name")));
        assert_eq!(Some(layers::variable(key).as_ref()), option.get_env().map(|name| name.to_str().expect("ASCII")));
        assert!(option.get_help_heading().is_some(), "{key} stands under no heading");
    }
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
    assert!(printed.contains("\ndeadline = \"24h\"  # default\n"), "{printed}");
    let refused = child(&[("SCALEGATE_ONLY_LISTED", "perhaps"), ("SCALEGATE_COOLDWON", "2m")]);
    assert!(refused.contains("- SCALEGATE_ONLY_LISTED: \"perhaps\" must be true or false\n"), "{refused}");
    assert!(refused.contains("- SCALEGATE_COOLDWON: no such environment variable"), "{refused}");
}
