//! The configuration shown is one that can be used.

use super::*;

#[test]
fn what_is_printed_gives_the_same_configuration() {
    let (_directory, path) = file(
        "listen = \"0.0.0.0:80\"\nonly_listed = true\ndata_dir = 'a \"quoted\" \\ # directory'\n\
         cooldown = \"1h 30m\"\nsettle = \"1500ms\"\nmax_step_size = 5\nmin_settle = \"1s\"\n\
         [resources.worker]\nmax = 6\ncooldown = \"2m\"\n[resources.\"web.eu-1\"]\nmin = 1\nsettle = \"0s\"\n\
         step_size = 3\nmin_cooldown = \"1m\"\nmax_step_size = 9\nmin_settle = \"0s\"\nactive_timeout = \"1h\"\npoll_interval = \"250ms\"\ndeadline = \"7d\"\n",
    );
    let args = with_variable(parsed(&["--config", &path, "--step-size", "4"]), "keep_finished_for", "36h");
    let first = load_args(&args).expect("valid");
    assert_ne!(first.config, Config::default());
    for loaded in [first, load_args(&parsed(&[])).expect("valid")] {
        let printed = loaded.to_toml();
        let again = load_file(&printed).unwrap_or_else(|error| panic!("{error}\nin\n{printed}"));
        assert_eq!(again, loaded.config, "{printed}");
    }
}

#[test]
fn the_printed_configuration_tells_its_sources() {
    let (_directory, path) = file(
        "deadline = \"2h\"\nmin_cooldown = \"1m\"\n\
         [resources.\"web.eu\"]\nmax = 6\ncooldown = \"2m\"\nmax_step_size = 4\n",
    );
    let args = with_variable(parsed(&["--config", &path, "--step-size=2", "--min-settle=30s"]), "settle", "45s");
    let printed = load_args(&args).expect("valid").to_toml().replace(&path, "gate.toml");
    let given: Vec<&str> = printed.lines().filter(|line| !line.ends_with(" default")).collect();
    let expected = r#"step_size = 2  # flag --step-size
settle = "45s"  # environment SCALEGATE_SETTLE
deadline = "2h"  # file gate.toml
min_cooldown = "1m"  # file gate.toml
min_settle = "30s"  # flag --min-settle

[resources."web.eu"]
max = 6  # file gate.toml
cooldown = "2m"  # file gate.toml
# step_size = 2  # general setting, flag --step-size
# settle = "45s"  # general setting, environment SCALEGATE_SETTLE
# deadline = "2h"  # general setting, file gate.toml
# min_cooldown = "1m"  # general setting, file gate.toml
max_step_size = 4  # file gate.toml
# min_settle = "30s"  # general setting, flag --min-settle"#;
    assert_eq!(given.join("\n"), expected);
    for line in [
        "listen = \"127.0.0.1:8080\"  # default",
        "audit_log = \"\"  # default",
        "allowed_hosts = []  # default",
        "only_listed = false  # default",
        "max_step_size = 1000000  # default",
        "min = 0  # default",
        "# poll_interval = \"30s\"  # general setting, default",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in\n{printed}");
    }
}

/// What is printed is for terminals as well as for files: no value in it begins a line, or turns around what is beside
/// it.
#[test]
fn what_is_printed_has_nothing_hidden() {
    let args = parsed(&["--data-dir", "a\nlisten = \u{202e}\u{1b}[2J", "--audit-log", "b\u{200b}"]);
    let loaded = load_args(&args).expect("valid");
    let printed = loaded.to_toml();
    assert!(!printed.contains(|c| crate::printable::is_hidden(c) && c != '\n'), "{printed:?}");
    assert!(printed.contains("data_dir = \"a\\U0000000alisten = \\U0000202e"), "{printed}");
    assert_eq!(load_file(&printed).expect("still TOML"), loaded.config);
}

#[cfg(unix)]
#[test]
fn a_strange_file_name_does_not_break_the_printed_configuration() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("two\nlines \u{1b}[31m.toml");
    fs::write(&path, "step_size = 2\n").expect("a file");
    let args = ServeArgs::of_directory(None, Some(Given::by_flag(&path)));
    let loaded = load_args(&args).expect("valid");
    assert_eq!(load_file(&loaded.to_toml()).expect("still TOML"), loaded.config);
}
