//! Secrets of policies: where they come from, and that no mistake in them shows one.

use super::*;

fn load_with(args: &ServeArgs, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(args, variables.iter().map(|(name, value)| (name.into(), value.into())))
}

#[test]
fn secrets_are_in_the_file_and_in_stronger_variables_and_are_printed_without_values() {
    let (_directory, path) = file(
        "metric_hosts = [\"api:8000\"]\n[metric_secrets]\ntoken = \"Bearer hunter1\"\nweak = \"hunter2\"\n\
         [resources.worker]\nmax = 3\n",
    );
    let loaded = load_with(
        &parsed(&["--config", &path]),
        &[
            ("SCALEGATE_METRIC_SECRETS_WEAK", "hunter3"),
            ("SCALEGATE_METRIC_SECRETS_OTHER_1", "hunter4"),
            ("SCALEGATE_METRIC_SECRETS_TOKEN", ""),
        ],
    )
    .expect("valid");
    let mut expected = Secrets::default();
    for (name, value) in [("token", "Bearer hunter1"), ("weak", "hunter3"), ("other_1", "hunter4")] {
        expected.insert(name, value).expect("a secret");
    }
    assert_eq!(loaded.config.metric_secrets, expected);
    assert_eq!(loaded.file_with_secrets(), Some(Path::new(&path)));
    let printed = loaded.to_toml();
    for line in [
        format!("# metric_secrets.token is not shown  # file {path}"),
        "# metric_secrets.weak is not shown  # environment SCALEGATE_METRIC_SECRETS_WEAK".to_owned(),
        "# metric_secrets.other_1 is not shown  # environment SCALEGATE_METRIC_SECRETS_OTHER_1".to_owned(),
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in\n{printed}");
    }
    assert!(!printed.contains("hunter") && !format!("{loaded:?}").contains("hunter"), "{loaded:?}");
    let again = load_file(&printed).expect("a configuration without the secrets");
    assert_eq!(again, Config { metric_secrets: Secrets::default(), ..loaded.config });
    assert_eq!(load_with(&parsed(&[]), &[]).expect("valid").file_with_secrets(), None);
}

#[test]
fn every_mistake_in_a_secret_is_told_at_once_and_shows_none() {
    let (_directory, path) = file(
        "cooldown = \"5\"\n[metric_secrets]\nempty = \"\"\nToken = \"hunter\"\n\"a b\\n\" = \"hunter\"\nnumber = 4711\n\
         lines = \"hunter\\nhunter\"\ntable = { x = \"hunter\" }\n\n[resources.worker]\nmaxx = 3\n",
    );
    let refused = load_with(
        &parsed(&["--config", &path]),
        &[
            ("SCALEGATE_METRIC_SECRETS_", "hunter"),
            ("SCALEGATE_METRIC_SECRETS_1A", "hunter"),
            ("SCALEGATE_METRIC_SECRETS_GOOD", "hunter"),
            ("SCALEGATE_METRIC_SECRETS_LONG", &"hunter".repeat(1000)),
            ("SCALEGATE_METRIC_SECRETS_lower", "hunter"),
            ("SCALEGATE_METRIC_SECRET_X", "hunter"),
        ],
    );
    let refused = refused.expect_err("mistakes").to_string().replace(&path, "FILE");
    let name = "must have a name of lower-case letters, digits and '_' that does not begin with a digit";
    let variable = "must end in a name of capital letters, digits and '_' that does not begin with a digit";
    let value = "must be at most 4096 visible ASCII characters, with blanks only in between";
    let expected = [
        "the configuration is not valid".to_owned(),
        "  - SCALEGATE_METRIC_SECRET_X: no such environment variable; ".to_owned(),
        "  - cooldown in line 1 of FILE: \"5\" has no unit".to_owned(),
        "  - metric_secrets.empty in line 3 of FILE: must not be empty".to_owned(),
        format!("  - metric_secrets.Token in line 4 of FILE: {name}"),
        format!("  - metric_secrets.\"a b\\U0000000a\" in line 5 of FILE: {name}"),
        "  - metric_secrets.number in line 6 of FILE: must be a text in quotes".to_owned(),
        format!("  - metric_secrets.lines in line 7 of FILE: {value}"),
        "  - metric_secrets.table in line 8 of FILE: must be a text in quotes".to_owned(),
        format!("  - SCALEGATE_METRIC_SECRETS_: {variable}"),
        format!("  - SCALEGATE_METRIC_SECRETS_1A: {variable}"),
        format!("  - SCALEGATE_METRIC_SECRETS_LONG: {value}"),
        format!("  - SCALEGATE_METRIC_SECRETS_lower: {variable}"),
        "  - resources.worker.maxx in line 11 of FILE: no such key".to_owned(),
    ];
    assert_eq!(refused.lines().count(), expected.len(), "{refused}");
    for (line, start) in refused.lines().zip(&expected) {
        assert!(line.starts_with(start), "{line}\nshould begin with\n{start}");
    }
    assert!(!refused.contains("hunter") && !refused.contains("4711"), "{refused}");
}

/// Whatever is wrong with the file, and wherever the reader of TOML notices it.
#[test]
fn a_file_that_is_not_valid_shows_no_line_with_a_secret() {
    for (text, expected) in [
        ("[metric_secrets]\ntoken = \"hunter", "TOML parse error in line 2, which is not shown because it may hold"),
        ("[metric_secrets]\ntoken = hunter", "TOML parse error in line 2, which is not shown"),
        ("[metric_secrets]\ntoken = \"hunter\"hunter", "TOML parse error in line 2, which is not shown"),
        ("[metric_secrets]\ntoken = \"hunter\"\ntoken = \"hunter\"", "in line 3, which is not shown"),
        ("[metric_secrets]\ntoken = \"\"\"\nhunter\n[a]\nhunter \" \"\"\"\"\"\"\"", ", which is not shown"),
        ("[metric_secrets]\ntoken = \"\"\"\nhunter", ", which is not shown"),
        ("metric_secrets = { token = \"hunter\", token = \"hunter\" }", "in line 1, which is not shown"),
        ("metric_secrets.token = 'hunter", "in line 1, which is not shown"),
        ("[metric_secret]\ntoken = hunter", "in line 2, which is not shown"),
        ("[METRIC-SECRETS]\ntoken = hunter", "in line 2, which is not shown"),
        ("metric_secrets = \"hunter\"", "metric_secrets in line 1 of FILE: must be a table of texts"),
        ("[[metric_secrets]]\ntoken = \"hunter\"", "metric_secrets in line 1 of FILE: must be a table of texts"),
        (
            "[metric_secret]\ntoken = \"hunter\"",
            "metric_secret in line 1 of FILE: no such key; did you mean metric_secrets?",
        ),
        ("[resources.worker.metric_secrets]\ntoken = \"hunter\"", "no such key"),
        ("cooldown = 5m\n[metric_secrets]\ntoken = \"hunter\"", "1 | cooldown = 5m\n"),
    ] {
        let (_directory, path) = file(text);
        let error = load_args(&parsed(&["--config", &path])).expect_err(text);
        let refused = error.to_string().replace(&path, "FILE");
        assert!(refused.contains(expected), "{text}:\n{refused}");
        assert!(!refused.contains("hunter") && !format!("{error:?}").contains("hunter"), "{text}:\n{error:?}");
        assert_eq!(crate::printable::paragraph(&refused), refused, "its lines stay lines where it is printed");
    }
}

#[test]
fn hosts_are_written_as_a_list_or_as_one_text() {
    let expected: MetricHosts = "api:8000,[::1]:9100".parse().expect("hosts");
    for text in ["metric_hosts = [\"API:8000\", \"[::1]:9100\"]\n", "metric_hosts = \"api:8000, [::1]:9100\"\n"] {
        assert_eq!(load_file(text).expect("valid").metric_hosts, expected);
    }
    assert_eq!(load_file("metric_hosts = []\n").expect("valid").metric_hosts, MetricHosts::default());
}
