//! The life of the process: how it stops when it is told to, what it refuses to start with, what becomes of its log,
//! and the pages it serves.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, PATIENCE, Raw, read_answer, run_to_its_end, scalegate, serve};
use crate::support::sidecar::Sidecar;
use scalegate::api::view::JobView;
use scalegate::domain::StateName;
use scalegate::sim::sidecar::{Behaviour, Fault};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

const SETTINGS: [&str; 6] = ["--cooldown", "10m", "--settle", "500ms", "--poll-interval", "100ms"];
/// The default grace time, and a second for starting and ending the process on a busy machine.
const GRACE: Duration = Duration::from_secs(9);

fn behaviour() -> Behaviour {
    Behaviour { provisioning: Duration::from_millis(200), ..Behaviour::default() }
}

fn waits_for(reason: &'static str) -> impl Fn(&JobView) -> bool {
    move |job| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == reason)
}

fn messages(gateway: &Gateway) -> Vec<String> {
    gateway.log().iter().filter_map(|line| line["message"].as_str().map(str::to_owned)).collect()
}

// ---- stopping -------------------------------------------------------------------------------------------------

#[actix_web::test]
async fn signals_stop_an_idle_gateway_at_once() {
    for signal in ["-TERM", "-INT"] {
        let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
        let mut gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
        let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
        gateway.wait_for(id, waits_for("cooldown")).await;
        gateway.signal(signal);
        let (code, took) = gateway.wait();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(4), "{took:?}");
        assert_eq!(messages(&gateway).last().map(String::as_str), Some("stopped"));
        assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err());
        // Nothing is lost by it.
        let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
        let job = gateway.wait_for(id, waits_for("cooldown")).await;
        assert_eq!((job.steps.len(), sidecar.changes().len()), (1, 1));
    }
}

/// Answers held back are given at once, bodies on their way are received, idle connections do not matter.
#[actix_web::test]
async fn requests_under_way_are_answered() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let mut gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    gateway.wait_for(id, waits_for("cooldown")).await;
    let _idle = gateway.connect().await;
    let mut kept_alive = gateway.connect().await;
    kept_alive.write_all(&Raw::get("/livez").head()).await.expect("sent");
    assert_eq!(read_answer(&mut kept_alive, true).await.status, 200);

    let path = format!("/v1/jobs/{id}");
    let mut polling = gateway.connect().await;
    polling.write_all(&Raw::get(&path).header("Prefer", "wait=60").head()).await.expect("sent");
    let body = br#"{"resource": "late", "targetCapacity": 3}"#;
    let late = Raw::post("/v1/jobs", *body);
    let mut submitting = gateway.connect().await;
    submitting.write_all(&[&late.head()[..], &body[..20]].concat()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(200)).await;

    gateway.signal("-TERM");
    let begin = Instant::now();
    let polled = read_answer(&mut polling, true).await;
    assert_eq!((polled.status, polled.job().state), (200, StateName::Running));
    assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
    submitting.write_all(&body[20..]).await.expect("sent");
    let submitted = read_answer(&mut submitting, true).await;
    assert_eq!(submitted.status, 202);
    let (code, took) = gateway.wait();
    assert_eq!(code, Some(0));
    assert!(took < GRACE, "{took:?}");
    // Accepted means durable, even at the last moment.
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    gateway.wait_for(submitted.job().id, waits_for("cooldown")).await;
}

/// A change that is being answered is seen through: the next process finds it resolved or about to be, not unknown.
#[actix_web::test]
async fn a_change_in_flight_is_recorded() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    sidecar.with(|model, _| {
        model.behaviour_mut().faults.slow_for = Duration::from_secs(1);
        model.script_change(Fault::Slow);
    });
    let mut gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await.id;
    gateway.wait_for(id, |_| !sidecar.changes().is_empty()).await;
    gateway.signal("-TERM");
    let (code, took) = gateway.wait();
    assert_eq!(code, Some(0));
    assert!((0.5..GRACE.as_secs_f64()).contains(&took.as_secs_f64()), "{took:?}");
    let said = messages(&gateway);
    assert!(!said.iter().any(|message| message.contains("change on its way")), "{said:?}");

    // The next one knows that the sidecar said yes, and needs no time to settle for it.
    let settle = ["--cooldown", "10m", "--settle", "1h", "--poll-interval", "100ms"];
    let gateway = Gateway::start(dir.path(), sidecar.address(), &settle);
    let job = gateway.finish(id).await;
    assert_eq!((job.state, job.steps.len(), job.steps[0].outcome.as_str()), (StateName::Succeeded, 1, "confirmed"));
    assert_eq!((sidecar.capacity(), sidecar.changes().len()), (2, 1));
}

/// One that takes longer than the grace time is left to be read back.
#[actix_web::test]
async fn the_grace_time_is_kept() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    sidecar.with(|model, _| {
        model.behaviour_mut().faults.slow_for = PATIENCE;
        model.script_change(Fault::Slow);
    });
    let mut gateway =
        Gateway::start(dir.path(), sidecar.address(), &[&SETTINGS[..], &["--shutdown-grace", "1s"]].concat());
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await.id;
    gateway.wait_for(id, |_| !sidecar.changes().is_empty()).await;
    gateway.signal("-TERM");
    let (code, took) = gateway.wait();
    assert_eq!(code, Some(0));
    assert!((0.5..4.0).contains(&took.as_secs_f64()), "{took:?}");
    assert!(messages(&gateway).iter().any(|message| message.contains("change on its way")));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let job = gateway.finish(id).await;
    assert_eq!((job.state, sidecar.capacity(), sidecar.changes().len()), (StateName::Succeeded, 2, 1));
}

#[actix_web::test]
async fn a_second_signal_ends_it_at_once() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    sidecar.with(|model, _| {
        model.behaviour_mut().faults.slow_for = PATIENCE;
        model.script_change(Fault::Slow);
    });
    let mut gateway =
        Gateway::start(dir.path(), sidecar.address(), &[&SETTINGS[..], &["--shutdown-grace", "50s"]].concat());
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await.id;
    gateway.wait_for(id, |_| !sidecar.changes().is_empty()).await;
    gateway.signal("-TERM");
    std::thread::sleep(Duration::from_millis(300));
    gateway.signal("-INT");
    let (code, took) = gateway.wait();
    assert_eq!(code, Some(130));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(messages(&gateway).last().map(String::as_str), Some("second signal: exiting at once"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let job = gateway.finish(id).await;
    assert_eq!((job.state, sidecar.capacity(), sidecar.changes().len()), (StateName::Succeeded, 2, 1));
}

// ---- starting -------------------------------------------------------------------------------------------------

fn refused_start(args: &[&str], data_dir: &Path) -> Output {
    run_to_its_end(scalegate().args(["serve", "--data-dir"]).arg(data_dir).args(args))
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[actix_web::test]
async fn two_processes_do_not_share_their_data() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let refused = refused_start(&["--listen", "127.0.0.1:0"], dir.path());
    assert_eq!(refused.status.code(), Some(1));
    let said = words(&refused);
    assert!(said.contains(&gateway.pid().to_string()) && said.contains(&dir.path().display().to_string()), "{said}");
    assert_eq!(gateway.get("/readyz").await.status, 200, "the first one goes on");
    // What is left of a process that died is in the way of no other.
    gateway.kill();
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    assert_eq!(gateway.get("/readyz").await.status, 200);
}

#[actix_web::test]
async fn a_port_in_use() {
    let (taken, dir) =
        (std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"), TempDir::new().expect("a directory"));
    let address = taken.local_addr().expect("an address").to_string();
    let refused = refused_start(&["--listen", &address], dir.path());
    assert_eq!(refused.status.code(), Some(1));
    let said = words(&refused);
    assert!(said.contains(&address) && said.to_lowercase().contains("in use"), "{said}");
}

#[actix_web::test]
async fn wrong_configurations() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("scalegate.toml");
    let path = file.to_str().expect("text");
    for (text, named) in [
        ("colour = \"red\"\n", "colour"),
        ("cooldown = \"5 parsecs\"\n", "cooldown"),
        ("step_size = 0\n", "step_size"),
        ("[resources.worker]\nmaximum = 5\n", "maximum"),
        ("[resources.worker]\nmin = 6\nmax = 5\n", "min = 6"),
        ("[resources.\"../x\"]\n", "../x"),
        ("listen = \n", "line 1"),
    ] {
        std::fs::write(&file, text).expect("written");
        let refused = refused_start(&["--config", path, "--listen", "127.0.0.1:0"], dir.path());
        let said = words(&refused);
        assert_eq!(refused.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains(named) && said.contains(path), "{text}: {said}");
    }
    for args in
        [&["--cooldown", "soon"][..], &["--sidecar-url", "ftp://x"], &["--listen", "here"], &["--colour", "red"]]
    {
        let refused = refused_start(args, dir.path());
        let said = words(&refused);
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(args[0]), "{args:?}: {said}");
    }
    assert!(!dir.path().join("scalegate.db").exists(), "nothing was touched");
}

// ---- the log --------------------------------------------------------------------------------------------------

/// How many requests are logged without a reader, and how long the line for each is at least.
const UNHEARD: usize = 300;
const UNHEARD_BYTES: usize = 30_000;

/// A gateway that says much, with no process that reads it: more than a pipe and the queue together take.
async fn gateway_with_unread_log(sidecar: &Sidecar, dir: &TempDir) -> Gateway {
    let mut command = serve(dir.path(), sidecar.address(), &SETTINGS);
    command.env("SCALEGATE_LOG", "scalegate=debug");
    let gateway = Gateway::start_with(command);
    gateway.read_log(false);
    for _ in 0..UNHEARD {
        assert_eq!(gateway.get(&format!("/{}", "x".repeat(UNHEARD_BYTES))).await.status, 404);
    }
    gateway
}

/// A process that does not read the log holds up neither answers nor jobs, and is told later what it missed.
#[actix_web::test]
async fn a_log_that_is_not_read() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let mut gateway = gateway_with_unread_log(&sidecar, &dir).await;
    let job = gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await;
    assert_eq!(gateway.finish(job.id).await.state, StateName::Succeeded);

    gateway.read_log(true);
    let lost = |line: &Value| line["lost"].as_u64().filter(|_| line["level"] == "WARN");
    let log = gateway.log_with(|log| log.iter().any(|line| lost(line).is_some()));
    let told: Vec<u64> = log.iter().filter_map(lost).collect();
    let heard = log.iter().filter(|line| line["span"]["path"].as_str().is_some_and(|path| path.len() > UNHEARD_BYTES));
    let heard = heard.count();
    assert!((100..UNHEARD).contains(&heard), "{heard} of {UNHEARD}");
    // Each of the other requests had a line, and so had the job, which may have found room.
    let unheard = (UNHEARD - heard) as u64;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!((unheard..unheard + 100).contains(&told[0]), "{told:?}, {heard} were heard");

    // From then on it is as ever.
    assert_eq!(gateway.get("/heard").await.status, 404);
    gateway.log_with(|log| log.iter().any(|line| line["span"]["path"] == "/heard"));
    gateway.signal("-TERM");
    assert_eq!(gateway.wait().0, Some(0));
    assert_eq!(messages(&gateway).last().map(String::as_str), Some("stopped"));
}

#[actix_web::test]
async fn it_stops_although_the_log_is_not_read() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let mut gateway = gateway_with_unread_log(&sidecar, &dir).await;
    gateway.signal("-TERM");
    let (code, took) = gateway.wait();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(4), "{took:?}");
}

// ---- pages ----------------------------------------------------------------------------------------------------

/// Swagger UI with everything it loads, from this gateway and no other host.
#[actix_web::test]
async fn the_pages_need_no_other_server() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let panel = gateway.get("/").await;
    assert_eq!((panel.status, panel.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let moved = gateway.raw(&Raw::get("/docs")).await;
    assert_eq!((moved.status, moved.header("location")), (307, Some("/docs/")));
    let page = gateway.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let html = String::from_utf8(page.body).expect("text");
    let addresses: Vec<&str> = ["href=\"", "src=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let (links, loaded): (Vec<&str>, Vec<&str>) = addresses.into_iter().partition(|address| *address == "/");
    assert_eq!(links.len(), 1, "one link leads back to the panel");
    assert!(loaded.len() >= 5, "{loaded:?}");
    for asset in &loaded {
        let name = asset.strip_prefix("./").unwrap_or(asset);
        assert!(!name.contains(':') && !name.starts_with('/'), "{asset} is somewhere else");
        let asset = gateway.get(&format!("/docs/{name}")).await;
        assert!(asset.status == 200 && asset.body.len() > 100, "{name}");
        let kind = asset.header("content-type").expect("a content type").to_owned();
        let kinds = [(".js", "javascript"), (".css", "css"), (".png", "png")];
        assert!(kinds.iter().any(|(end, word)| name.ends_with(end) && kind.contains(word)), "{name}: {kind}");
        if name.ends_with(".css") {
            let text = String::from_utf8_lossy(&asset.body).into_owned();
            assert!(!text.contains("url(http") && !text.contains("url(//") && !text.contains("@import"), "{name}");
        }
    }
    let setup = gateway.get("/docs/swagger-initializer.js").await;
    let setup = String::from_utf8(setup.body).expect("text");
    assert!(setup.contains("\"/openapi.json\"") && !setup.contains("://"), "{setup}");
    assert!(setup.contains("\"validatorUrl\": \"none\""), "the document would be sent to a validator: {setup}");

    let document = gateway.get("/openapi.json").await;
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    let document: Value = document.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["servers"],
        json!([{"url": "/", "description": "This gateway."}]),
        "tried out, it calls this gateway"
    );
}
