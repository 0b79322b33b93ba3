//! `--json`: every command that shows something for people can show it for programs, and then writes nothing but JSON.

use std::path::Path;
use std::process::Output;

use clap::{Command, CommandFactory as _};
use scalegate::cli::Cli;
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::{Gateway, run_to_its_end, scalegate};
use crate::support::sidecar::Sidecar;

/// The commands that have no `--json`, and why they need none.
const WITHOUT: [(&str, &str); 12] = [
    ("serve", "runs until it is stopped, and logs"),
    ("demo", "runs until it is stopped, for people"),
    ("simulate", "runs until it is stopped"),
    ("openapi", "writes JSON anyway"),
    ("completions", "writes a script"),
    ("healthcheck", "the exit code says it all"),
    ("backup", "the exit code says it all"),
    ("policy delete", "the exit code says it all"),
    ("keys create", "writes the key alone"),
    ("keys generate", "writes the key alone"),
    ("keys revoke", "the exit code says it all"),
    ("help", "for people"),
];

/// The commands that do something, by the words that they are called by.
fn commands(of: &Command, before: &str) -> Vec<(String, Command)> {
    let named = |sub: &Command| format!("{before} {}", sub.get_name()).trim_start().to_owned();
    let subs = of.get_subcommands().map(|sub| (named(sub), sub.clone()));
    subs.flat_map(|(name, sub)| match sub.has_subcommands() {
        true => commands(&sub, &name),
        false => vec![(name, sub)],
    })
    .collect()
}

fn has_json(command: &Command) -> bool {
    command.get_arguments().any(|argument| argument.get_long() == Some("json"))
}

#[test]
fn a_command_without_json_has_a_reason() {
    for (name, command) in commands(&Cli::command(), "") {
        let is_excused = WITHOUT.iter().any(|(known, _)| *known == name);
        assert_ne!(has_json(&command), is_excused, "{name}");
    }
}

/// What a command with `--json` writes, which must be a line of JSON for each `line`.
#[track_caller]
fn written(output: &Output, command: &str) -> Vec<Value> {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{command}: {out}{err}");
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{command}: {error}: {line}")))
        .collect();
    assert!(!lines.is_empty(), "{command}: {err}");
    lines
}

/// The files that commands are given: a policy, and what was recorded of its metric.
fn files(dir: &Path) {
    let policy = json!({"min": 1, "max": 5, "metrics": {"queue": {"source": {"type": "push"}}},
        "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}]});
    std::fs::write(dir.join("policy.json"), policy.to_string()).expect("written");
    let rows = (0..60).map(|minute| format!("2026-01-31T12:{minute:02}:00Z,{}\n", minute * 5));
    std::fs::write(dir.join("queue.csv"), "time,value\n".to_owned() + &rows.collect::<String>()).expect("written");
}

#[actix_web::test]
async fn with_json_nothing_but_json_is_written() {
    let (sidecar, dir) = (Sidecar::start(Behaviour::default()), TempDir::new().expect("a directory"));
    let data_dir = dir.path().join("data");
    let options = ["--settle", "300ms", "--poll-interval", "100ms", "--cooldown", "10m"];
    let gateway = Gateway::start(&data_dir, sidecar.address(), &options);
    files(dir.path());
    let job = gateway.submit(&json!({"resource": "other", "targetCapacity": 9})).await.id.to_string();
    let server = format!("http://{}", gateway.address);
    let mut made = String::new();
    let mut tried = Vec::new();
    // In this order: some need what others made.
    for (name, arguments) in [
        ("scale", "worker 1 --wait"),
        ("scale", "worker 2 --plan"),
        ("scale", "worker 1"),
        ("resources", ""),
        ("resources", "worker"),
        ("jobs", ""),
        ("jobs", "JOB"),
        ("cancel", "JOB"),
        ("group", "front=2 back=1 --stages front,back"),
        ("group", "front=2 back=1 --stages front,back --plan"),
        ("groups", ""),
        ("timeline", "worker"),
        ("audit", ""),
        ("whoami", ""),
        ("policy check", "policy.json"),
        ("policy put", "worker policy.json"),
        ("policy get", "worker"),
        ("policy explain", "worker"),
        ("metric", "worker queue 5"),
        ("why", "worker"),
        ("claim", "worker 2 --for 1h"),
        ("claim", "worker --list"),
        ("hold", "worker --for 1h"),
        ("backtest", "--policy policy.json --metric queue=queue.csv"),
        ("keys list", ""),
    ] {
        let command = format!("scalegate {name} {arguments}");
        let words = arguments.split_whitespace().map(|word| if word == "JOB" { job.as_str() } else { word });
        let mut run = scalegate();
        run.current_dir(dir.path()).args(name.split(' ')).args(words).arg("--json").env("SCALEGATE_SERVER", &server);
        if name.starts_with("keys") {
            let made = run_to_its_end(
                scalegate().args(["keys", "create", "k", "--scope", "admin", "--yes", "--data-dir"]).arg(&data_dir),
            );
            assert!(made.status.success(), "{made:?}");
            run.arg("--data-dir").arg(&data_dir);
        }
        let output = tokio::task::spawn_blocking(move || run_to_its_end(&mut run)).await.expect("it ran");
        made = written(&output, &command)[0].to_string();
        tried.push(name);
    }
    assert!(made.contains("\"keys\""), "{made}");
    for (name, command) in commands(&Cli::command(), "").into_iter().filter(|(_, command)| has_json(command)) {
        assert!(tried.contains(&name.as_str()), "scalegate {name} --json is not tried ({command})");
    }
}
