//! The files for deployment: they agree with each other, with the manifest and with the gateway, and the image gets all
//! that cargo wants to see. That it builds and runs is what `.ci/image` shows, which takes minutes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::gateway::scalegate;
use super::{examples, python_with_packages, root, run};

/// The variables that configure the gateway are the ones it knows, in the image and in the service.
#[test]
fn the_files_for_deployment_name_only_settings_that_exist() {
    let help = scalegate().args(["serve", "--help"]).output().expect("the binary starts");
    let help = String::from_utf8(help.stdout).expect("text");
    let compose = examples().join("omnistrate-compose.yaml");
    for file in [root().join("Dockerfile"), compose] {
        let text = fs::read_to_string(&file).expect("the file");
        // Those are for the programs in `examples/`.
        let names = settings_in(&text).filter(|name| !["SCALEGATE_SERVER", "SCALEGATE_KEY"].contains(name));
        // There is no flag for the admin key, but a sentence.
        let is_known = |name: &str| {
            help.contains(&format!("[env: {name}=")) || (name == "SCALEGATE_ADMIN_KEY" && help.contains(name))
        };
        let unknown: Vec<&str> = names.filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?} mean nothing to the gateway", file.display());
    }
}

fn settings_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_')
        .filter(|word| word.starts_with("SCALEGATE_"))
}

/// The example for Omnistrate.
fn compose() -> Value {
    let program = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let mut python = Command::new(python_with_packages());
    let output =
        python.args(["-c", program]).arg(examples().join("omnistrate-compose.yaml")).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn the_service_is_well_formed_and_agrees_with_the_image() {
    let compose = compose();
    let (gateway, worker) = (&compose["services"]["gateway"], &compose["services"]["worker"]);

    let autoscaling = &worker["x-omnistrate-capabilities"]["autoscaling"];
    assert_eq!(autoscaling["policyType"], "custom");
    assert!(autoscaling["minReplicas"].as_u64() < autoscaling["maxReplicas"].as_u64(), "{autoscaling}");
    assert_eq!(gateway["depends_on"], json!(["worker"]));

    let dockerfile = fs::read_to_string(root().join("Dockerfile")).expect("the file");
    assert_eq!(gateway["ports"], json!(["8080:8080"]));
    assert!(dockerfile.contains("SCALEGATE_LISTEN=0.0.0.0:8080") && dockerfile.contains("EXPOSE 8080"));
    assert_eq!(gateway["volumes"][0]["target"], "/data");
    assert!(dockerfile.contains("SCALEGATE_DATA_DIR=/data\n") && dockerfile.contains("VOLUME [\"/data\"]"));
    let environment = gateway["environment"].as_array().expect("a list");
    // It does not start on all addresses without a key, and the worker must show one.
    assert!(environment.contains(&json!("SCALEGATE_ADMIN_KEY=$var.adminKey")));
    assert!(worker["environment"].as_array().is_some_and(|all| all.contains(&json!("SCALEGATE_KEY=$var.clientKey"))));
    for (service, keys) in [(gateway, &["adminKey", "clientKey"][..]), (worker, &["clientKey"])] {
        let parameters = service["x-omnistrate-api-params"].as_array().expect("a list");
        assert!(parameters.iter().all(|parameter| parameter["type"] == "Password" && parameter["export"] == false));
        let found: Vec<_> = parameters.iter().filter_map(|parameter| parameter["key"].as_str()).collect();
        assert_eq!(found, keys);
    }
    assert_eq!(gateway["x-omnistrate-api-params"][1]["parameterDependencyMap"], json!({"worker": "clientKey"}));
    assert!(environment.contains(&json!("SECURITY_CONTEXT_USER_ID=65532")) && dockerfile.contains("USER 65532:65532"));
}

/// What the platform asks the container, and what it takes from it.
#[test]
fn the_service_is_checked_without_a_shell_and_has_no_privileges() {
    let gateway = &compose()["services"]["gateway"];
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).expect("the file");
    assert_eq!(gateway["cap_drop"], json!(["ALL"]));
    assert!(gateway["platform"].as_str().is_some_and(|platform| platform.starts_with("linux/")));
    assert!(gateway["deploy"]["resources"]["limits"]["memory"].is_string());
    // There is no shell that could look for a program or take a command apart.
    let [hook] = &gateway["x-omnistrate-actionhooks"].as_array().expect("a list")[..] else { panic!("one is enough") };
    assert_eq!((&hook["scope"], &hook["type"]), (&json!("NODE"), &json!("READINESS_CHECK")));
    assert_eq!(hook["command"], json!(["/usr/local/bin/scalegate"]));
    assert!(dockerfile.contains("/build/target/dist/scalegate /usr/local/bin/\n"));
    assert_eq!(hook["commandTemplate"], "healthcheck");
    assert!(dockerfile.contains("CMD [\"scalegate\", \"healthcheck\"]\n"));
}

/// An instruction of a Dockerfile, its continued lines joined.
struct Instruction {
    name: String,
    arguments: String,
}

fn instructions() -> Vec<Instruction> {
    let text = fs::read_to_string(root().join("Dockerfile")).expect("the file");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    lines
        .join("\n")
        .replace("\\\n", " ")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, arguments)| Instruction { name: name.to_owned(), arguments: arguments.to_owned() })
        .collect()
}

/// What the build stage copies from the sources, and where to.
fn copied(instruction: &Instruction) -> Option<(Vec<&str>, &str)> {
    let mut paths: Vec<&str> = instruction.arguments.split_whitespace().collect();
    let destination = paths.pop().filter(|_| instruction.name == "COPY" && !paths[0].starts_with("--from"))?;
    Some((paths, destination))
}

/// Does in a directory what the build stage does, except that cargo only looks whether it could build. `cargo fetch`
/// reads everything that the manifest names; `cargo metadata` and `cargo tree` do not notice when a file is missing.
#[test]
fn cargo_finds_everything_at_each_step_of_building_the_image() {
    let directory = TempDir::new().expect("a directory");
    let shell = |script: &str| run(Command::new("sh").args(["-euc", script]).current_dir(directory.path()));
    let mut steps = 0;
    for instruction in instructions().iter().take_while(|instruction| !instruction.arguments.contains("distroless")) {
        if let Some((sources, destination)) = copied(instruction) {
            for source in sources {
                let target = directory.path().join(destination).join(if destination == "./" { source } else { "" });
                run(Command::new("cp").args(["-r", "-T", "--"]).arg(root().join(source)).arg(target));
            }
        } else if instruction.name == "RUN" {
            for command in instruction.arguments.split("&&") {
                if command.trim().starts_with("cargo build") {
                    shell("cargo fetch --locked --offline --target host-tuple");
                    steps += 1;
                } else if !command.trim().starts_with("cargo clean") {
                    shell(command);
                }
            }
        }
    }
    assert_eq!(steps, 2, "the dependencies, and the gateway");
    for (file, name) in included(&directory.path().join("src")) {
        assert!(file.exists(), "{name} is part of the gateway and not of what the image is built from");
    }
}

/// The files that the sources in `directory` include.
fn included(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(included(&entry));
        } else if entry.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&entry).expect("a source");
            for macro_name in ["include_str!(\"", "include_bytes!(\""] {
                let names = text.split(macro_name).skip(1).filter_map(|rest| rest.split_once('"'));
                found.extend(names.map(|(name, _)| (directory.join(name), name.to_owned())));
            }
        }
    }
    found
}

#[test]
fn the_build_context_has_what_the_dockerfile_copies_and_nothing_else() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).expect("the file");
    let kept: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let instructions = instructions();
    let copied: BTreeSet<&str> = instructions.iter().filter_map(copied).flat_map(|(sources, _)| sources).collect();
    assert_eq!(kept, copied);
}

/// What it says in its labels, and which compiler builds it.
#[test]
fn the_image_agrees_with_the_manifest() {
    let instructions = instructions();
    let has = |name: &str, text: &str| {
        let found = instructions.iter().any(|found| found.name == name && found.arguments.contains(text));
        assert!(found, "there is no {name} with {text}");
    };
    has("FROM", concat!("rust:", env!("CARGO_PKG_RUST_VERSION"), "-slim-bookworm"));
    has("LABEL", concat!("image.title=\"", env!("CARGO_PKG_NAME"), "\""));
    has("LABEL", concat!("image.description=\"", env!("CARGO_PKG_DESCRIPTION"), "\""));
    has("LABEL", concat!("image.version=\"", env!("CARGO_PKG_VERSION"), "\""));
    has("LABEL", concat!("image.licenses=\"", env!("CARGO_PKG_LICENSE"), "\""));
}
