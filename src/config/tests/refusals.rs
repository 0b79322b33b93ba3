//! Whatever is wrong is refused, by the name the user gave it.

use super::*;

/// The message for a configuration file that says `text`, with its path replaced by FILE.
fn refused_file(text: &str) -> String {
    let (_directory, path) = file(text);
    let refused = load_args(&parsed(&["--config", &path])).expect_err(text);
    refused.to_string().replace(&path, "FILE")
}

#[test]
fn a_wrong_option_is_named_as_it_was_spelled() {
    for (key, value, detail) in [
        ("listen", "localhost:8080", "\"localhost:8080\" must be a numeric address and a port"),
        ("sidecar_url", "https://127.0.0.1:49750", "must begin with http://, not https://"),
        ("sidecar_url", "http://127.0.0.1/resource", "contains a path"),
        ("log_format", "xml", "must be \"text\" or \"json\""),
        ("shutdown_grace", "2h", "\"2h\" must be between \"0s\" and \"1h\""),
        ("cooldown", "5", "\"5\" has no unit; write \"5s\" for seconds or \"5m\" for minutes"),
        ("cooldown", "-5m", "\"-5m\" must not be negative"),
        ("cooldown", "2d", "\"2d\" must be between 0 and 86400 seconds"),
        ("step_size", "0", "0 must be between 1 and 1000000"),
        ("step_size", "99999999999", "must be between 1 and 1000000"),
        ("step_size", "two", "\"two\" is not a whole number"),
        ("active_timeout", "0s", "must be between"),
        ("poll_interval", "2h", "\"2h\" must be between 0.01 and 3600 seconds"),
        ("settle", "25h", "\"25h\" must be between"),
        ("deadline", "31d", "must be between"),
        ("min_cooldown", "25h", "\"25h\" must be between 0 and 86400 seconds"),
        ("max_step_size", "0", "0 must be between 1 and 1000000"),
        ("min_settle", "5", "\"5\" has no unit"),
        ("max_active_jobs", "0", "0 must be between 1 and 1000000"),
        ("max_jobs_per_key", "0", "0 must be between 1 and 1000000"),
        ("max_request_rate", "1000001", "1000001 must be between 0 and 1000000"),
        ("max_streams_per_key", "many", "\"many\" is not a whole number"),
        ("insecure_no_auth", "perhaps", "must be true or false"),
        ("require_key", "perhaps", "must be true or false"),
        ("allowed_hosts", "a.b:80", "\"a.b:80\" must be names of hosts without ports"),
        ("allowed_hosts", "a,,b", "must be names of hosts"),
        ("allowed_origins", "ops.test", "\"ops.test\" must be origins as browsers send them"),
        ("allowed_origins", "https://ops.test/", "must be origins as browsers send them"),
        ("metric_hosts", "api", "\"api\" must be hosts with their ports, such as prometheus:9090"),
        ("metric_hosts", "a:1,,b:2", "must be hosts with their ports"),
        ("max_queue_length", "10001", "10001 must be between 0 and 10000"),
        ("keep_finished_for", "0s", "\"0s\" must be between \"1s\" and \"365d\""),
        ("keep_finished_count", "0", "0 must be between 1 and 1000000"),
        ("only_listed", "perhaps", "must be true or false"),
        ("only_listed", "true", "none is listed"),
        ("listen", "127.0.0.1:80\n", "\"127.0.0.1:80\\n\" must be a numeric address"),
    ] {
        let flag = format!("--{}", key.replace('_', "-"));
        let by_flag = load_args(&parsed(&[&format!("{flag}={value}")])).expect_err(value).to_string();
        assert!(by_flag.contains(&format!("{flag}: ")) && by_flag.contains(detail), "{by_flag}");
        let variable = format!("SCALEGATE_{}", key.to_ascii_uppercase());
        let by_variable = load_args(&with_variable(parsed(&[]), key, value)).expect_err(value).to_string();
        assert!(by_variable.contains(&format!("{variable}: ")) && by_variable.contains(detail), "{by_variable}");
    }
    for empty in ["--data-dir=", "--config=", "--cooldown=", "--only-listed="] {
        let refused = load_args(&parsed(&[empty])).expect_err(empty).to_string();
        assert!(refused.contains(&format!("{}: \"\" ", empty.trim_end_matches('='))), "{refused}");
    }
}

#[cfg(unix)]
#[test]
fn text_that_is_not_unicode_is_refused_by_name() {
    use std::os::unix::ffi::OsStrExt;
    let broken = std::ffi::OsStr::from_bytes(b"/data/\xff");
    let args = ServeArgs::of_directory(Some(Given::by_environment(broken)), None);
    let refused = load_args(&args).expect_err("not Unicode").to_string();
    assert!(refused.contains("SCALEGATE_DATA_DIR: ") && refused.contains("is not valid UTF-8"), "{refused}");
}

#[test]
fn a_wrong_key_or_value_in_the_file_is_named_with_its_line() {
    for (text, name, detail) in [
        ("cooldwon = \"5m\"", "cooldwon in line 1 of FILE", "no such key; did you mean cooldown?"),
        ("step-size = 1", "step-size in line 1 of FILE", "no such key; did you mean step_size?"),
        ("config = \"x\"", "config in line 1 of FILE", "no such key; there are: listen, sidecar_url, "),
        (
            "\ncooldown = 300",
            "cooldown in line 2 of FILE",
            "300 has no unit; write \"300s\" for seconds or \"300m\" for minutes",
        ),
        ("cooldown = 1.5", "cooldown in line 1 of FILE", "1.5 has no unit"),
        ("cooldown = true", "cooldown in line 1 of FILE", "true must be a text in quotes"),
        ("cooldown = \"soon\"", "cooldown in line 1 of FILE", "\"soon\" is not a duration; write a number and a unit"),
        ("cooldown = -1", "cooldown in line 1 of FILE", "-1 must not be negative"),
        ("step_size = -1", "step_size in line 1 of FILE", "-1 must not be negative"),
        (
            "step_size = \"1\"",
            "step_size in line 1 of FILE",
            "\"1\" is not a whole number; write digits without quotes",
        ),
        ("only_listed = \"yes\"", "only_listed in line 1 of FILE", "\"yes\" must be true or false, without quotes"),
        ("listen = 8080", "listen in line 1 of FILE", "8080 must be a text in quotes"),
        ("listen = [\"127.0.0.1:80\"]", "listen in line 1 of FILE", "a list must be a text in quotes"),
        ("sidecar_url = \"https://a\"", "sidecar_url in line 1 of FILE", "\"https://a\" must begin with http://"),
        ("log_format = \"xml\"", "log_format in line 1 of FILE", "\"xml\" must be \"text\" or \"json\""),
        ("data_dir = \"\"", "data_dir in line 1 of FILE", "\"\" must not be empty"),
        (
            "[resources.worker]\nmaximum = 1",
            "resources.worker.maximum in line 2 of FILE",
            "no such key; there are: min, max, cooldown, ",
        ),
        (
            "[resources.worker]\nmax = 1000001",
            "resources.worker.max in line 2 of FILE",
            "1000001 must be between 0 and 1000000 units",
        ),
        ("[resources.worker]\ncooldown = 5", "resources.worker.cooldown in line 2 of FILE", "5 has no unit"),
        ("[resources.\"a b\"]\nmin = 1", "resources.\"a b\" in line 1 of FILE", "must consist of letters, digits"),
        ("[resources.web.eu]\nmin = 1", "resources.web.eu in line 1 of FILE", "no such key"),
        ("allowed_hosts = 1", "allowed_hosts in line 1 of FILE", "1 must be a list of texts, such as [\"a\", \"b\"]"),
        ("allowed_hosts = [\"a,b\"]", "allowed_hosts in line 1 of FILE", "a list must be a list of texts"),
        ("allowed_origins = [\"a\"]", "allowed_origins in line 1 of FILE", "must be origins"),
        ("[resource.worker]", "resource in line 1 of FILE", "no such key; did you mean resources?"),
        // Also if a flag is stronger.
        ("data_dir = 1", "data_dir in line 1 of FILE", "1 must be a text in quotes"),
    ] {
        let (_directory, path) = file(text);
        let refused = load_args(&parsed(&["--config", &path, "--data-dir", "x"])).expect_err(text).to_string();
        let refused = refused.replace(&path, "FILE");
        let expected = format!("the configuration is not valid: {name}: ");
        assert!(refused.starts_with(&expected) && refused.contains(detail), "{text}:\n{refused}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_shown_in_the_line_where_it_is_none() {
    for (text, line, detail) in [
        ("cooldown = \"5m\"\ncooldown = \"6m\"", "2 | cooldown", "duplicate key"),
        ("cooldown", "1 | cooldown", "key with no value"),
        ("resources = 1", "1 | resources", "invalid type: integer `1`, expected a map"),
        ("[resources]\nworker = 1", "2 | worker", "invalid type: integer `1`, expected a map"),
    ] {
        let refused = refused_file(text);
        assert!(refused.starts_with("the configuration file FILE is not valid\n"), "{refused}");
        assert_eq!(crate::printable::paragraph(&refused), refused, "its lines stay lines where it is printed");
        assert!(refused.contains(line) && refused.contains(detail), "{text}:\n{refused}");
        assert!(!refused.ends_with('\n'));
    }
}

#[test]
fn values_of_the_file_out_of_range_are_named_with_their_table_and_file() {
    for (text, expected) in [
        ("cooldown = \"25h\"", "cooldown in line 1 of FILE: \"25h\" must be between 0 and 86400 seconds"),
        ("step_size = 0", "step_size in line 1 of FILE: 0 must be between 1 and 1000000"),
        ("keep_finished_count = 0", "keep_finished_count in line 1 of FILE: 0 must be between 1 and 1000000"),
        (
            "[resources.worker]\ncooldown = \"25h\"",
            "resources.worker.cooldown in line 2 of FILE: \"25h\" must be between 0 and 86400 seconds",
        ),
        (
            "[resources.\"a.b\"]\nstep_size = 0",
            "resources.\"a.b\".step_size in line 2 of FILE: 0 must be between 1 and 1000000",
        ),
        ("[resources.worker]\nmin = 5\nmax = 3", "resources.worker in line 1 of FILE: min = 5 is greater than max = 3"),
        (
            "only_listed = true",
            "only_listed in line 1 of FILE: only listed resources may be scaled, but none is listed;",
        ),
    ] {
        let refused = refused_file(text);
        assert!(refused.starts_with(&format!("the configuration is not valid: {expected}")), "{refused}");
    }
}

/// No job could be accepted with settings that take less care than every job has to.
#[test]
fn settings_that_contradict_their_limits_are_refused_with_a_remedy() {
    let (_directory, path) = file(
        "min_settle = \"2m\"\n[resources.a]\nstep_size = 5\n[resources.b]\ncooldown = \"2h\"\nsettle = \"3m\"\n\
         min_cooldown = \"3h\"\n[resources.c]\ncooldown = \"2h\"\n[resources.d]\nmin_cooldown = \"0s\"\nmin_settle = \"0s\"\n",
    );
    let args = with_variable(parsed(&["--config", &path, "--min-cooldown", "1h"]), "max_step_size", "4");
    let refused = load_args(&args).expect_err("contradictions").to_string().replace(&path, "FILE");
    let contradiction =
        |setting: &str, limit: &str, remedy: &str| format!("  - {setting} contradicts {limit}; set {remedy}");
    let expected = [
        "the configuration is not valid".to_owned(),
        contradiction(
            "the default of --cooldown: \"5m\"",
            "--min-cooldown, \"1h\"",
            "cooldown to \"1h\", or min_cooldown to \"5m\"",
        ),
        contradiction(
            "the default of --settle: \"90s\"",
            "min_settle in line 1 of FILE, \"2m\"",
            "settle to \"2m\", or min_settle to \"90s\"",
        ),
        contradiction(
            "resources.a.step_size in line 3 of FILE: 5",
            "SCALEGATE_MAX_STEP_SIZE, 4",
            "step_size to 4, or max_step_size to 5",
        ),
        contradiction(
            "resources.b.cooldown in line 5 of FILE: \"2h\"",
            "resources.b.min_cooldown in line 7 of FILE, \"3h\"",
            "cooldown to \"3h\", or min_cooldown to \"2h\"",
        ),
    ];
    assert_eq!(refused.lines().collect::<Vec<_>>(), expected);
    let mended = "cooldown = \"1h\"\nmin_cooldown = \"1h\"\nsettle = \"2m\"\nmin_settle = \"2m\"\nmax_step_size = 1\n";
    assert!(load_file(mended).is_ok(), "as careful as asked for");
    // One mistake is told once.
    let (_directory, path) = file("[resources.worker]\nmin_cooldown = \"25h\"\n");
    let args = parsed(&["--config", &path, "--cooldown", "5", "--min-cooldown", "1h"]);
    let refused = load_args(&args).expect_err("two mistakes").to_string();
    assert_eq!(refused.matches("\n  - ").count(), 2, "{refused}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let (_directory, path) = file(
        "settle = \"25h\"\nlisten = 1\n[resources.worker]\nmin = 2\nmax = 1\ndeadline = \"0s\"\n[resources.db]\nmaxx = 1\n",
    );
    let args = with_variable(parsed(&["--config", &path, "--cooldown", "5"]), "step_size", "0");
    let environment = [("SCALEGATE_COOLDWON".into(), "5m".into())];
    let refused = load(&args, environment).expect_err("eight problems").to_string();
    let starts = [
        "the configuration is not valid".to_owned(),
        "  - SCALEGATE_COOLDWON: no such environment variable; did you mean SCALEGATE_COOLDOWN?".to_owned(),
        format!("  - listen in line 2 of {path}: 1 must be a text in quotes"),
        "  - --cooldown: \"5\" has no unit".to_owned(),
        "  - SCALEGATE_STEP_SIZE: 0 must be".to_owned(),
        format!("  - settle in line 1 of {path}: \"25h\" must be"),
        format!("  - resources.db.maxx in line 8 of {path}: no such key; did you mean max?"),
        format!("  - resources.worker.deadline in line 6 of {path}: \"0s\" must be"),
        format!("  - resources.worker in line 3 of {path}: min = 2 is greater than max = 1"),
    ];
    assert_eq!(refused.lines().count(), starts.len(), "{refused}");
    for (line, start) in refused.lines().zip(&starts) {
        assert!(line.starts_with(start), "{line}\nshould begin with\n{start}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let directory = TempDir::new().expect("a temporary directory");
    let missing = directory.path().join("none.toml");
    let missing = missing.to_str().expect("a path in UTF-8");
    let refused = load_args(&parsed(&["--config", missing])).expect_err("missing").to_string();
    assert!(refused.starts_with(&format!("cannot read the configuration file {missing}: No such file")), "{refused}");
    let named_by_variable = with_variable(parsed(&[]), "config", missing);
    assert!(matches!(load_args(&named_by_variable), Err(ConfigError::Unreadable { .. })));
    assert!(load_args(&with_variable(parsed(&[]), "config", "")).is_ok(), "empty is unset");
}
