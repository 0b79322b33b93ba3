//! Keys and certificates: files that are named, and a secret that is never shown.

use super::*;
use crate::access::Token;

fn token() -> Token {
    Token::generate().expect("randomness")
}

/// Loads a configuration with the admin key in the environment.
fn with_key(args: &ServeArgs, key: &str) -> Result<Loaded, ConfigError> {
    load(args, [("SCALEGATE_ADMIN_KEY".into(), key.into())])
}

#[test]
fn the_admin_key_is_in_a_variable_or_a_file_and_never_shown() {
    let token = token();
    let (_directory, path) = file(&format!("{}\n", token.expose()));
    let by_file = load_args(&parsed(&["--admin-key-file", &path])).expect("valid");
    let by_variable = with_key(&parsed(&[]), token.expose()).expect("valid");
    for loaded in [&by_file, &by_variable] {
        assert_eq!(loaded.config.access.admin_key, Some(token.clone()));
        let secret = &token.expose()[13..];
        assert!(!loaded.to_toml().contains(secret) && !format!("{loaded:?}").contains(secret));
    }
    assert!(by_file.to_toml().contains(&format!("\nadmin_key_file = \"{path}\"  # flag --admin-key-file\n")));
    assert_eq!(with_key(&parsed(&[]), "").expect("unset").config.access.admin_key, None);
}

#[test]
fn a_wrong_admin_key_is_refused_without_being_repeated() {
    let cut_off = &token().expose()[..40].to_owned();
    let (_directory, path) = file(cut_off);
    let (_other_directory, large) = file(&"x".repeat(5000));
    let good = token();
    for (args, key, expected) in [
        (parsed(&[]), cut_off.as_str(), "SCALEGATE_ADMIN_KEY: is no API key".to_owned()),
        (parsed(&["--admin-key-file", &path]), "", format!("--admin-key-file: what is in {path} is no API key")),
        (parsed(&["--admin-key-file", &large]), "", format!("cannot read {large}: it is too large for a key")),
        (
            parsed(&["--admin-key-file", "/nowhere"]),
            "",
            "--admin-key-file: cannot read /nowhere: No such file".to_owned(),
        ),
        (
            parsed(&["--admin-key-file", &path]),
            good.expose(),
            "SCALEGATE_ADMIN_KEY: is set besides an admin_key_file".to_owned(),
        ),
    ] {
        let refused = with_key(&args, key).expect_err("wrong").to_string();
        assert!(refused.contains(&expected), "{refused}");
        assert!(!refused.contains(&cut_off[13..]) && !refused.contains(&good.expose()[13..]), "{refused}");
    }
}

#[test]
fn a_certificate_needs_its_key_and_the_other_way_round() {
    let both = load_args(&parsed(&["--tls-cert", "a.pem", "--tls-key", "b.pem"])).expect("valid").config;
    assert_eq!(both.access.tls, Some(TlsFiles { cert: "a.pem".into(), key: "b.pem".into() }));
    for (given, missing) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
        let refused = load_args(&parsed(&[given, "a.pem"])).expect_err("half").to_string();
        assert_eq!(refused, format!("the configuration is not valid: {missing}: is missing; HTTPS needs both files"));
    }
    let (_directory, path) = file("tls_cert = \"a\"\ntls_key = \"b\"\n");
    let switched_off = load_args(&parsed(&["--config", &path, "--tls-cert=", "--tls-key="])).expect("valid").config;
    assert_eq!(switched_off.access.tls, None);
}

#[test]
fn lists_are_written_as_lists_or_as_one_text() {
    let read = load_file("allowed_hosts = [\"Gate.Test\", \"b\"]\nallowed_origins = \"https://a, http://b:1\"\n")
        .expect("valid");
    assert_eq!(read.access.allowed_hosts.0, ["gate.test", "b"]);
    assert_eq!(read.access.allowed_origins.0, ["https://a", "http://b:1"]);
    assert_eq!(load_file("allowed_hosts = []\n").expect("valid").access, Access::default());
}

#[test]
fn a_key_cannot_be_required_and_not_be_needed() {
    assert!(load_args(&parsed(&["--require-key"])).expect("valid").config.access.require_key);
    let refused = load_args(&with_variable(parsed(&["--require-key"]), "insecure_no_auth", "true")).expect_err("both");
    let expected = "--require-key: true contradicts SCALEGATE_INSECURE_NO_AUTH: leave one of them out";
    assert_eq!(refused.to_string(), format!("the configuration is not valid: {expected}"));
}
