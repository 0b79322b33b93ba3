//! Whom the files of a gateway are for, and which data directories it does not trust.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use scalegate::sim::sidecar::Behaviour;
use tempfile::TempDir;

use crate::support::gateway::{Gateway, run_to_its_end, scalegate, serve};
use crate::support::sidecar::Sidecar;

/// A user without any rights on a test's files, as in the image.
const NONROOT: u32 = 65532;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("changed");
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o7777
}

/// Fails unless the gateway, and all of `scalegate keys`, refuse `directory` with these `words`.
#[track_caller]
fn assert_refused(directory: &Path, words: &[&str]) {
    let keys = |arguments: &[&str]| -> Command {
        let mut command = scalegate();
        command.arg("keys").args(arguments).arg("--data-dir").arg(directory);
        command
    };
    for mut command in [
        serve(directory, ([127, 0, 0, 1], 1).into(), &[]),
        keys(&["create", "x", "--scope", "read", "--yes"]),
        keys(&["list"]),
        keys(&["revoke", "0123456789"]),
    ] {
        let refused = run_to_its_end(&mut command);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{command:?}: {said}");
        assert!(words.iter().all(|words| said.contains(words)), "{command:?}: {said}");
    }
}

/// Other users of the machine cannot read what is kept, also where the directory was made without care.
#[actix_web::test]
async fn files_are_for_their_owner_alone() {
    let sidecar = Sidecar::start(Behaviour::default());
    let parent = TempDir::new().expect("a directory");
    let (new, careless) = (parent.path().join("a/new"), parent.path().join("careless"));
    std::fs::create_dir(&careless).expect("a directory");
    std::fs::write(careless.join("scalegate.db"), "").expect("a file");
    for (path, mode) in [(&careless, 0o755), (&careless.join("scalegate.db"), 0o644)] {
        set_mode(path, mode);
    }
    for directory in [new, careless] {
        let gateway = Gateway::start(&directory, sidecar.address(), &[]);
        gateway.submit(&serde_json::json!({"resource": "worker", "targetCapacity": 3})).await;
        assert_eq!(mode(&directory), 0o700);
        let files: Vec<_> =
            std::fs::read_dir(&directory).expect("readable").map(|file| file.expect("one").path()).collect();
        assert!(files.len() >= 4, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

/// A link in place of one of the files leads nowhere: what it points to is neither read nor changed.
#[test]
fn no_link_in_the_data_directory_is_followed() {
    let parent = TempDir::new().expect("a directory");
    let victim = parent.path().join("victim");
    for name in [
        "scalegate.lock",
        "scalegate.db",
        "scalegate.db-wal",
        "scalegate.db-shm",
        "scalegate.db-journal",
        "scalegate.key-changes",
    ] {
        let directory = parent.path().join(format!("data for {name}"));
        std::fs::create_dir(&directory).expect("a directory");
        // `keys list` looks for a store first.
        std::fs::write(directory.join("scalegate.db"), "").expect("a file");
        for target in [victim.clone(), parent.path().join("nothing")] {
            std::fs::write(&victim, "of another program").expect("a file");
            set_mode(&victim, 0o644);
            let link = directory.join(name);
            let _ = std::fs::remove_file(&link);
            symlink(&target, &link).expect("a link");
            assert_refused(&directory, &[name, "it is no plain file; move away"]);
            assert_eq!(std::fs::read_to_string(&victim).expect("readable"), "of another program", "{name}");
            assert_eq!(mode(&victim), 0o644, "{name}");
        }
        assert!(!parent.path().join("nothing").exists(), "{name}");
    }
    let directory = parent.path().join("second names");
    std::fs::create_dir(&directory).expect("a directory");
    std::fs::hard_link(&victim, directory.join("scalegate.lock")).expect("a second name");
    assert_refused(&directory, &["scalegate.lock", "second name", "copy it"]);
    assert_eq!(std::fs::read_to_string(&victim).expect("readable"), "of another program");
}

/// The directory itself may be reached over a link: where it is, is for the operator to say.
#[actix_web::test]
async fn a_link_to_the_data_directory_is_the_operators() {
    let (parent, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let (real, link) = (parent.path().join("real"), parent.path().join("link"));
    std::fs::create_dir(&real).expect("a directory");
    symlink(&real, &link).expect("a link");
    Gateway::start(&link, sidecar.address(), &[]).kill();
    assert!(real.join("scalegate.db").exists());
    Gateway::start(&link, sidecar.address(), &[]).kill();
}

/// What other users can write to, they may have put keys into.
#[test]
fn a_directory_or_store_that_others_can_write_to_is_refused() {
    let parent = TempDir::new().expect("a directory");
    let directory = parent.path().join("shared");
    std::fs::create_dir(&directory).expect("a directory");
    for open in [0o777, 0o1777, 0o702] {
        set_mode(&directory, open);
        assert_refused(&directory, &["every user of this machine can write to it", "chmod o-w"]);
        assert_eq!((mode(&directory), directory.read_dir().expect("readable").count()), (open, 0), "it is left alone");
    }
    set_mode(&directory, 0o700);
    let database = directory.join("scalegate.db");
    std::fs::write(&database, "").expect("a file");
    set_mode(&database, 0o666);
    assert_refused(&directory, &["scalegate.db is not trusted", "chmod o-w"]);
}

/// Only root can give a directory to another user, and see what then comes of it.
#[test]
fn root_uses_nothing_of_other_users() {
    let parent = TempDir::new().expect("a directory");
    let [theirs, ours] = ["theirs", "ours"].map(|name| parent.path().join(name));
    for directory in [&theirs, &ours] {
        std::fs::create_dir(directory).expect("a directory");
        std::fs::write(directory.join("scalegate.db"), "").expect("a file");
    }
    if chown(&theirs, Some(NONROOT), None).is_err() {
        return eprintln!("not tested: this takes root");
    }
    let remedy = format!("run this as the user {NONROOT}");
    assert_refused(&theirs, &["theirs is not trusted: it belongs to the user 65532", &remedy, "chown -R 0"]);
    chown(ours.join("scalegate.db"), Some(NONROOT), None).expect("given away");
    assert_refused(&ours, &["scalegate.db is not trusted: it belongs to the user 65532", &remedy]);
}

/// A volume as Kubernetes hands it to a pod with `fsGroup`, also when another user wrote the store in it. The gateway
/// starts in it as often as it likes without a warning.
#[actix_web::test]
async fn a_volume_handed_over_to_a_group_is_used_without_a_word() {
    let (parent, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    set_mode(parent.path(), 0o755);
    let volume = parent.path().join("volume");
    std::fs::create_dir(&volume).expect("a directory");
    if chown(&volume, Some(0), Some(NONROOT)).is_err() {
        return eprintln!("not tested: this takes root");
    }
    set_mode(&volume, 0o2775);
    for owner in [0, 1000, NONROOT] {
        let mut command = serve(&volume, sidecar.address(), &[]);
        command.uid(NONROOT).gid(NONROOT);
        let gateway = Gateway::start_with(command);
        let warnings: Vec<_> = gateway.starting.iter().filter(|line| line["level"] == "WARN").collect();
        assert!(warnings.is_empty(), "{warnings:?}");
        gateway.kill();
        assert_eq!(mode(&volume), 0o2775);
        // As when it is mounted the next time: the platform gives all of it to the group, whatever its owner is.
        chown(&volume, Some(owner), Some(NONROOT)).expect("given away");
        set_mode(&volume, 0o2775);
        for file in volume.read_dir().expect("readable") {
            let path = file.expect("a file").path();
            chown(&path, Some(owner), Some(NONROOT)).expect("given away");
            set_mode(&path, 0o660);
        }
    }
}
