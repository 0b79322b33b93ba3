//! `scalegate keys` as a process of its own, beside a gateway and without one: what it changes holds at once, and a key
//! is nowhere but where it was printed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::gateway::{Gateway, Process, Response, run_to_its_end, scalegate, serve};
use crate::support::sidecar::Sidecar;
use scalegate::domain::KeyRecord;
use scalegate::sim::sidecar::Behaviour;
use scalegate::store::sqlite::KeyStore;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where no sidecar is.
const NO_SIDECAR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

fn command(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = scalegate();
    command.arg("keys").args(arguments).arg("--data-dir").arg(data_dir);
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// A key, and what else was said.
fn create(data_dir: &Path, arguments: &[&str]) -> (String, String) {
    let output = run_to_its_end(&mut command(data_dir, &[&["create", "--yes"], arguments].concat()));
    created(&output)
}

#[track_caller]
fn created(output: &Output) -> (String, String) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{err}");
    let key = out.strip_suffix('\n').expect("a line");
    assert!(
        key.len() == 51
            && key.starts_with("sg_")
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
    (key.to_owned(), err.to_owned())
}

fn id(key: &str) -> &str {
    &key[3..13]
}

fn revoke(data_dir: &Path, key: &str) -> Output {
    let output = run_to_its_end(&mut command(data_dir, &["revoke", id(key)]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    output
}

fn stored(data_dir: &Path) -> Vec<KeyRecord> {
    KeyStore::look(data_dir).expect("readable").expect("a store")
}

async fn get(gateway: &Gateway, path: &str, key: &str) -> Response {
    gateway.get_with(path, ("Authorization", &format!("Bearer {key}"))).await
}

/// What is in the files of `directory` and below.
fn files(directory: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![std::fs::read(path).expect("a file")] })
        .collect()
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[actix_web::test]
async fn a_running_gateway_obeys_at_once() {
    let dir = TempDir::new().expect("a directory");
    let gateway = Gateway::start(dir.path(), NO_SIDECAR, &[]);
    assert_eq!(gateway.get("/v1/jobs").await.status, 200, "without any keys, on a loopback address");
    let (admin, _) = create(dir.path(), &["operator", "--scope", "admin"]);
    assert_eq!(gateway.get("/v1/jobs").await.status, 401, "now that there is one");
    let (key, told) = create(dir.path(), &["ci", "--scope", "scale", "--resource", "worker", "--expires-in", "1h"]);
    assert!(told.contains("\"ci\", scope scale, for worker, good until "), "{told}");
    let job = json!({"resource": "worker", "targetCapacity": 2});
    let bearer = format!("Bearer {key}");
    let submit = async |job: &Value| gateway.post_with("/v1/jobs", job, &[("Authorization", &bearer)]).await;
    assert_eq!(submit(&job).await.status, 202);
    let other = submit(&json!({"resource": "web", "targetCapacity": 2})).await;
    assert_eq!((other.status, other.problem().code.as_str()), (403, "resource_forbidden"));

    revoke(dir.path(), &key);
    let refused = submit(&job).await;
    assert_eq!((refused.status, refused.problem().code.as_str()), (401, "key_revoked"));
    assert_eq!(get(&gateway, "/v1/jobs", &admin).await.status, 200, "the other one is still good");

    let keys = get(&gateway, "/v1/keys", &admin).await.json();
    let listed = run_to_its_end(&mut command(dir.path(), &["list", "--json"]));
    let mut listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(2));
    for (index, key) in listed["keys"].as_array_mut().expect("keys").iter_mut().enumerate() {
        // That one may still be on its way to the disk.
        key["lastUsedAt"] = keys["keys"][index]["lastUsedAt"].clone();
    }
    assert_eq!(listed, keys, "the same in both ways");

    let audit = get(&gateway, "/v1/audit", &admin).await.json();
    let told: Vec<_> = audit["entries"].as_array().expect("entries").iter().collect();
    let by_command: Vec<_> = told.iter().filter(|entry| entry["requestId"].is_null()).collect();
    let actions: Vec<_> = by_command.iter().map(|entry| (entry["action"].as_str(), entry["key"].as_str())).collect();
    let (revoked, made) = (Some("revoke_key"), Some("create_key"));
    assert_eq!(actions, [(revoked, Some(id(&key))), (made, Some(id(&key))), (made, Some(id(&admin)))]);
    let operator = json!({"kind": "operator", "key": null, "name": null, "revision": null});
    assert!(by_command.iter().all(|entry| entry["actor"] == operator && entry["address"].is_null()), "{by_command:#?}");
}

#[actix_web::test]
async fn what_is_done_without_a_gateway_holds_for_the_next_one() {
    let dir = TempDir::new().expect("a directory");
    let data = dir.path().join("data");
    let (good, told) = create(&data, &["good", "--scope", "read"]);
    assert!(told.contains(&format!("The data directory is {}, which was created.", data.display())), "{told}");
    let (bad, _) = create(&data, &["bad", "--scope", "read"]);
    revoke(&data, &bad);
    let gateway = Gateway::start(&data, NO_SIDECAR, &[]);
    assert_eq!(get(&gateway, "/v1/jobs", &good).await.status, 200);
    assert_eq!(get(&gateway, "/v1/jobs", &bad).await.problem().code.as_str(), "key_revoked");
    gateway.kill();
    // After a crash the log of the store is left as it is.
    assert_eq!(text(&run_to_its_end(&mut command(&data, &["list"])).stdout).lines().count(), 3);
    let again = revoke(&data, &bad);
    assert!(text(&again.stdout).starts_with(&format!("The key {} was revoked already, at ", id(&bad))));
    revoke(&data, &good);
    let gateway = Gateway::start(&data, NO_SIDECAR, &[]);
    assert_eq!(get(&gateway, "/v1/jobs", &good).await.problem().code.as_str(), "key_revoked");
}

#[actix_web::test]
async fn a_public_address_needs_a_key_which_can_be_made_first() {
    let dir = TempDir::new().expect("a directory");
    let start = || {
        let mut command = scalegate();
        command.args(["serve", "--listen", "0.0.0.0:0", "--data-dir"]).arg(dir.path());
        command
    };
    let refused = run_to_its_end(&mut start());
    assert_eq!(refused.status.code(), Some(1));
    let advice = format!("`scalegate keys create NAME --scope admin --data-dir {}`", dir.path().display());
    assert!(text(&refused.stderr).contains(&advice), "{}", text(&refused.stderr));
    let (key, _) = create(dir.path(), &["first", "--scope", "read"]);
    let mut gateway = Gateway::start_with(start());
    gateway.address.set_ip([127, 0, 0, 1].into());
    assert_eq!(gateway.get("/v1/jobs").await.status, 401);
    assert_eq!(get(&gateway, "/v1/jobs", &key).await.status, 200);
}

#[actix_web::test]
async fn a_generated_key_is_good_as_the_admin_key() {
    let dir = TempDir::new().expect("a directory");
    let generated = run_to_its_end(scalegate().args(["keys", "generate"]).current_dir(dir.path()));
    let (key, _) = created(&generated);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0, "it is stored nowhere");
    let mut command = serve(dir.path(), NO_SIDECAR, &[]);
    command.env("SCALEGATE_ADMIN_KEY", &key);
    let gateway = Gateway::start_with(command);
    assert_eq!(get(&gateway, "/v1/keys", &key).await.status, 200);
    assert_eq!(gateway.get("/v1/jobs").await.status, 401);
}

#[actix_web::test]
async fn a_key_is_nowhere_but_where_it_was_printed() {
    let dir = TempDir::new().expect("a directory");
    let (before, told) = create(dir.path(), &["before", "--scope", "admin"]);
    let mut words = vec![told];
    let mut command = serve(dir.path(), NO_SIDECAR, &[]);
    command.env("SCALEGATE_LOG", "trace");
    let gateway = Gateway::start_with(command);
    let (beside, told) = create(dir.path(), &["beside", "--scope", "admin"]);
    words.push(told);
    for key in [&before, &beside] {
        assert_eq!(get(&gateway, "/v1/keys", key).await.status, 200);
    }
    let whole = run_to_its_end(&mut command_with_key(dir.path(), &beside));
    assert_eq!(whole.status.code(), Some(2));
    for output in
        [whole, revoke(dir.path(), &beside), run_to_its_end(&mut self::command(dir.path(), &["list", "--json"]))]
    {
        words.extend([&output.stdout, &output.stderr].map(|stream| text(stream).to_owned()));
    }
    assert_eq!(get(&gateway, "/v1/keys", &beside).await.status, 401);
    let log: Vec<Value> = gateway.starting.iter().cloned().chain(gateway.log()).collect();
    assert!(!log.is_empty());
    words.extend(log.iter().map(ToString::to_string));
    gateway.kill();
    for key in [&before, &beside] {
        // Neither as a whole nor its secret part.
        let secret = &key[13..45];
        assert!(files(dir.path()).iter().all(|file| !contains(file, secret)));
        assert!(files(dir.path()).iter().any(|file| contains(file, id(key))), "the search finds what is there");
        let told: Vec<_> = words.iter().filter(|line| line.contains(secret)).collect();
        assert_eq!(told.len(), 0, "{told:#?}");
    }
}

/// A mistake that is easily made.
fn command_with_key(data_dir: &Path, key: &str) -> Command {
    command(data_dir, &["revoke", key])
}

/// Makes `count` keys with as many processes at once.
fn create_at_once(data_dir: &Path, count: usize) {
    let start = |n: usize| {
        let mut command = command(data_dir, &["create", &format!("k{n}"), "--scope", "read", "--yes"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    };
    let children: Vec<_> = (0..count).map(start).collect();
    for child in children {
        created(&child.wait_with_output().expect("it ends"));
    }
}

#[actix_web::test]
async fn processes_that_make_keys_at_once_do_not_get_in_each_others_way() {
    let dir = TempDir::new().expect("a directory");
    for round in 0..5 {
        // The store is not there yet: one of them makes it.
        let data = dir.path().join(round.to_string());
        create_at_once(&data, 6);
        let mut names: Vec<_> = stored(&data).into_iter().map(|key| key.name).collect();
        names.sort();
        assert_eq!(names, ["k0", "k1", "k2", "k3", "k4", "k5"]);
    }
    let data = dir.path().join("beside");
    let gateway = Gateway::start(&data, NO_SIDECAR, &[]);
    create_at_once(&data, 6);
    let (admin, _) = create(&data, &["admin", "--scope", "admin"]);
    let keys = get(&gateway, "/v1/keys", &admin).await.json();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(7));
}

/// The command that makes a key uses the directory for a moment; a gateway that starts just then waits for it.
#[actix_web::test]
async fn a_gateway_starts_while_keys_are_made() {
    let dir = TempDir::new().expect("a directory");
    for _ in 0..5 {
        let children: Vec<_> = (0..4)
            .map(|n| {
                let mut command = command(dir.path(), &["create", &format!("k{n}"), "--scope", "read", "--yes"]);
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
            })
            .collect();
        let process = Process::start(dir.path(), NO_SIDECAR, &[]);
        let mut seen = Vec::new();
        let address = process.address_within(Duration::from_secs(20), &mut seen);
        assert!(address.is_some(), "{seen:#?}");
        process.kill();
        for mut child in children {
            assert!(child.wait().expect("it ends").success());
        }
    }
    assert_eq!(stored(dir.path()).len(), 20);
}

/// A client command with this in SCALEGATE_KEY.
fn client(gateway: &Gateway, key: &str, arguments: &[&str]) -> Command {
    let mut command = scalegate();
    command.args(arguments).env("SCALEGATE_SERVER", gateway.url("")).env("SCALEGATE_KEY", key);
    command
}

#[actix_web::test]
async fn client_commands_take_the_key_from_the_environment_or_a_file() {
    let dir = TempDir::new().expect("a directory");
    let (data, file) = (dir.path().join("data"), dir.path().join("key"));
    let gateway = Gateway::start(&data, NO_SIDECAR, &[]);
    let (read, _) = create(&data, &["reader", "--scope", "read"]);
    let (scale, _) = create(&data, &["scaler", "--scope", "scale"]);
    std::fs::write(&file, format!("{scale}\n")).expect("written");
    let key_file = format!("--key-file={}", file.display());
    let as_flag = format!("--key={scale}");
    let mut told = Vec::new();
    for (key, arguments, code, words) in [
        ("", &["jobs"][..], 4, "Set SCALEGATE_KEY to a key, or give a file with one by --key-file"),
        (&read[..], &["jobs"], 0, "no jobs yet"),
        (&read, &["scale", "worker", "2"], 4, "This takes a key with the scope scale; this one has read."),
        ("", &["scale", "worker", "2", &key_file], 0, ""),
        (&read, &["scale", "worker", "3", &key_file, "--on-conflict=queue"], 0, ""),
        (&read, &["jobs", "--json"], 0, ""),
        (&read[..50], &["jobs"], 2, "SCALEGATE_KEY: what it holds is no API key"),
        ("", &["jobs", "--key-file", &scale], 2, "--key-file: this is a key itself"),
        ("", &["jobs", &as_flag], 2, "--key-file"),
        (&scale, &["jobs", "--help"], 0, ""),
        (&scale, &["scale", "--help"], 0, ""),
        // What is for every caller needs none, so that none is sent.
        (&scale, &["healthcheck"], 0, ""),
    ] {
        let output = run_to_its_end(&mut client(&gateway, key, arguments));
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {said}");
        told.push(said);
    }
    for key in [&read, &scale] {
        assert!(!told.iter().any(|said| said.contains(&key[13..45])), "{told:#?}");
    }
    assert!(told[5].contains(&format!("\"submittedBy\":{{\"kind\":\"key\",\"key\":\"{}\"", id(&scale))), "{}", told[5]);
    revoke(&data, &read);
    let output = run_to_its_end(&mut client(&gateway, &read, &["jobs"]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4));
    assert!(said.contains(&format!("The API key {} was revoked.\n  Put another key into", id(&read))), "{said}");
}

#[actix_web::test]
async fn following_ends_with_the_key() {
    let dir = TempDir::new().expect("a directory");
    let sidecar = Sidecar::start(Behaviour { provisioning: Duration::from_millis(300), ..Behaviour::default() });
    let settings = ["--cooldown", "500ms", "--settle", "300ms", "--poll-interval", "100ms"];
    let gateway = Gateway::start(dir.path(), sidecar.address(), &settings);
    let mut waiting = Vec::new();
    for arguments in [&["scale", "worker", "60", "--wait"][..], &["jobs", "--watch"]] {
        let (key, _) = create(dir.path(), &["follower", "--scope", "scale"]);
        let mut command = client(&gateway, &key, arguments);
        waiting.push((key, command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts")));
    }
    // The simulated sidecar is in this process: it needs a thread that is not blocked.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for (key, mut child) in waiting {
        assert!(child.try_wait().expect("it can be waited for").is_none(), "it follows");
        revoke(dir.path(), &key);
        let ended = actix_web::web::block(move || child.wait_with_output()).await.expect("a thread").expect("it ends");
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(4), "{said}");
        assert!(
            said.contains("the API key is no longer good") && said.contains("\n  Put another key into SCALEGATE_KEY"),
            "{said}"
        );
    }
    assert!(sidecar.capacity() < 60, "the job goes on without them");
}

/// A key that was given where none belongs is not in what the command says, which may end up in a log.
#[test]
fn a_key_in_the_wrong_place_is_not_repeated() {
    let key = scalegate::access::Token::generate().expect("randomness");
    let (whole, secret) = (key.expose(), &key.expose()[14..45]);
    for arguments in [
        &["scale", "worker", "3", whole][..],
        &["scale", "worker", whole],
        &["scale", whole, "3", "--server", "http://127.0.0.1:1"],
        &["jobs", whole],
        &["jobs", "--state", whole],
        &["jobs", "--server", whole],
        &["jobs", &format!("--key={whole}")],
        &["keys", "revoke", whole],
        &["keys", "create", "x", "--scope", whole],
        &["serve", whole],
        &["serve", "--cooldown", whole],
        &["serve", "--config", whole],
        &["serve", "--sidecar-url", whole],
        &["healthcheck", "--listen", whole],
        &["simulate", "--listen", whole],
        &[whole],
    ] {
        let output = run_to_its_end(scalegate().args(arguments));
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(!output.status.success() && !err.is_empty(), "{arguments:?}");
        assert!(!out.contains(secret) && !err.contains(secret), "{arguments:?}: {out}{err}");
    }
    for (arguments, code) in [(&["--help"][..], 0), (&["--version"], 0), (&["serve", "--x"], 2)] {
        assert_eq!(run_to_its_end(scalegate().args(arguments)).status.code(), Some(code), "{arguments:?}");
    }
}
