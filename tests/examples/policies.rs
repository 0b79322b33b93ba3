//! The policies of the examples, and the programs that push a metric: they do what `examples/README.md` says.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::gateway::{Gateway, PATIENCE, scalegate};
use super::support::sidecar::Sidecar;
use super::{Example, Language, behaviour, examples, run};

const POLICY: &str = "/v1/resources/worker/policy";
const METRIC: &str = "/v1/resources/worker/metrics/rps";
/// Short waits, and one step instead of nine.
const SETTINGS: [&str; 8] =
    ["--cooldown", "300ms", "--settle", "300ms", "--poll-interval", "100ms", "--step-size", "10"];

/// All of them, by name.
fn policies() -> Vec<(String, PathBuf)> {
    let files = fs::read_dir(examples().join("policies")).expect("the directory");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_name().expect("a name").to_string_lossy().into_owned();
    files.into_iter().map(|file| (name(&file), file)).collect()
}

fn policy(name: &str) -> Value {
    let text = fs::read_to_string(examples().join("policies").join(name)).expect("the file");
    serde_json::from_str(&text).expect("JSON")
}

/// Waits until the sidecar has so many units.
async fn reaches(sidecar: &Sidecar, units: u32) {
    let deadline = Instant::now() + PATIENCE;
    while sidecar.capacity() != units {
        assert!(Instant::now() < deadline, "{} instead of {units}", sidecar.capacity());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn every_policy_is_valid_without_a_warning_and_is_told_of() {
    let told = fs::read_to_string(examples().join("README.md")).expect("the text");
    let policies = policies();
    assert!(policies.len() >= 2, "{policies:?}");
    for (name, file) in policies {
        let checked = scalegate().args(["policy", "check", "--json"]).arg(&file).output().expect("the binary starts");
        let report: Value = serde_json::from_slice(&checked.stdout).expect("a report");
        assert_eq!((checked.status.code(), &report["valid"]), (Some(0), &json!(true)), "{name}: {report}");
        assert_eq!(report["warnings"], json!([]), "{name}");
        assert!(told.contains(&format!("`policies/{name}`")), "{name} has no sentence in README.md");
    }
}

#[actix_web::test]
async fn the_schedule_gives_ten_units_by_day_and_two_at_night() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    gateway.must_put(POLICY, &policy("office-hours.json")).await;
    let ahead = gateway.get("/v1/resources/worker/outlook?hours=48").await.json();
    let transitions = ahead["transitions"].as_array().expect("transitions");
    assert_eq!(transitions.len(), 4, "{ahead}");
    for transition in transitions {
        let hour = if transition["opens"] == json!(true) { "T09:00:00" } else { "T17:00:00" };
        assert!(transition["local"].as_str().is_some_and(|local| local.contains(hour)), "{transition}");
        assert_eq!((&transition["rule"], &transition["min"]), (&json!("busy"), &json!(10)));
    }
    // What is decided depends on the time of day: 2, 10, or what has to be there by now to be 10 in time.
    let deadline = Instant::now() + PATIENCE;
    let decided = loop {
        let resource = gateway.get("/v1/resources/worker").await.json();
        match resource["policy"]["decided"].as_u64() {
            Some(decided) => break u32::try_from(decided).expect("a capacity"),
            None => assert!(Instant::now() < deadline, "{resource}"),
        }
    };
    assert!((2..=10).contains(&decided), "{decided}");
    reaches(&sidecar, decided).await;
}

/// One unit for each 100 requests per second, and one for each 100 that are expected.
#[actix_web::test]
async fn a_prediction_from_elsewhere_is_met() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    gateway.must_put(POLICY, &policy("forecast-pushed.json")).await;
    gateway.post(METRIC, &json!({"value": 250})).await;
    reaches(&sidecar, 3).await;
    let file = dir.path().join("predicted.csv");
    let rows =
        [(0, 870), (60, 870), (120, 250)].map(|(minute, value)| format!("{},{value}\n", minutes_from_now(minute)));
    fs::write(&file, format!("time,rps\n{}", rows.concat())).expect("written");
    let server = format!("http://{}", gateway.address);
    run(scalegate().args(["metric", "worker", "rps", "--server", &server, "--forecast"]).arg(file));
    reaches(&sidecar, 9).await;
}

/// On the last days more began to come ten minutes after this time of the day. A change is taken to need longer than that, so
/// that all of it has to be there now.
#[actix_web::test]
async fn what_the_last_days_teach_is_met() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let mut document = policy("forecast-learned.json");
    document["job"] = json!({"expectedChangeSeconds": 1200});
    let mut so_far = document.clone();
    so_far["rules"].as_array_mut().expect("rules").pop();
    gateway.must_put(POLICY, &so_far).await;
    // Patterns have bins of five minutes: at whole ones, the time of day at which this runs makes no difference.
    let begin = jiff::Timestamp::now().as_second().div_euclid(300) * 300;
    let at = |minute: i64| jiff::Timestamp::from_second(begin + minute * 60).expect("a time").to_string();
    let minutes: Vec<i64> = (-4 * 1440..=0).step_by(5).collect();
    for part in minutes.chunks(500) {
        let load = |minute: i64| if (10..300).contains(&minute.rem_euclid(1440)) { 870 } else { 80 };
        let samples = part.iter().map(|minute| json!({"at": at(*minute), "value": load(*minute)}));
        let pushed = gateway.post(METRIC, &json!({"samples": samples.collect::<Vec<_>>()})).await;
        assert_eq!(pushed.json()["accepted"], json!(part.len()));
    }
    gateway.post(METRIC, &json!({"value": 80})).await;
    let deadline = Instant::now() + PATIENCE;
    while gateway.get(METRIC).await.json()["points"] == json!([]) {
        assert!(Instant::now() < deadline, "the values of now are not on the disk");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sidecar.capacity(), 1, "the load of now needs no more");
    gateway.must_put(POLICY, &document).await;
    reaches(&sidecar, 9).await;
}

fn minutes_from_now(minutes: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)).to_string()
}

/// A program counts the jobs in a directory, and the policy beside it scales by that.
async fn it_pushes_the_length_of_its_queue(language: Language) {
    let command = language.command("push");
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let (data, spool) = (dir.path().join("data"), dir.path().join("spool"));
    let create = |scope| {
        let arguments = ["keys", "create", scope, "--scope", scope, "--data-dir"];
        let created = scalegate().args(arguments).arg(&data).output().expect("the binary starts");
        String::from_utf8(created.stdout).expect("text").trim_end().to_owned()
    };
    let (admin, pusher) = (create("admin"), create("push"));
    fs::create_dir(&spool).expect("a directory");
    (0..250).for_each(|job| fs::write(spool.join(job.to_string()), "").expect("a file"));

    let gateway = Gateway::start(&data, sidecar.address(), &SETTINGS);
    let file = examples().join("policies/queue-band.json");
    let server = format!("http://{}", gateway.address);
    let put = ["policy", "put", "--server", &server, "worker"];
    run(scalegate().args(put).arg(file).env("SCALEGATE_KEY", admin));
    let start = |key: &str| {
        let mut command = command();
        command.env("SCALEGATE_KEY", key);
        Example::start(command, gateway.address, &["worker", "queue", &spool.to_string_lossy()])
    };
    let mut refused = start("sg_no");
    assert!(refused.line().await.is_some_and(|line| line.contains("\"invalid_key\"")), "{:?}", refused.printed);
    drop(refused);
    let mut example = start(&pusher);
    assert_eq!(example.line().await.as_deref(), Some("250"));
    // 250 at 100 per unit at most.
    reaches(&sidecar, 3).await;
}

#[actix_web::test]
async fn a_worker_in_python_pushes_the_length_of_its_queue() {
    it_pushes_the_length_of_its_queue(Language::Python).await;
}

#[actix_web::test]
async fn a_worker_in_node_pushes_the_length_of_its_queue() {
    it_pushes_the_length_of_its_queue(Language::Node).await;
}

/// Runs only where Java is installed, which nothing else here needs.
#[actix_web::test]
async fn a_worker_in_java_pushes_the_length_of_its_queue() {
    if is_installed("java", "-version") {
        it_pushes_the_length_of_its_queue(Language::Java).await;
    }
}

/// Runs only where Go is installed, which nothing else here needs.
#[actix_web::test]
async fn a_worker_in_go_pushes_the_length_of_its_queue() {
    if is_installed("go", "version") {
        it_pushes_the_length_of_its_queue(Language::Go).await;
    }
}

fn is_installed(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
    if !found {
        println!("{program} is not installed: its example is not run");
    }
    found
}
