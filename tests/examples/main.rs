//! The programs in `examples/`, run as a user would, against the real gateway and the simulated sidecar; and a look at
//! the files for deployment, which cannot be run here.

#[path = "../support/mod.rs"]
mod support;

mod deployment;
mod policies;

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use scalegate::api::view::JobList;
use scalegate::domain::{Bounds, StateName};
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};
use support::gateway::{Gateway, PATIENCE, scalegate};
use support::sidecar::{Sidecar, units};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Settings with a cooldown that an example sees even if it is slow: it looks every two seconds.
const SETTINGS: [&str; 6] = ["--cooldown", "4s", "--settle", "1s", "--poll-interval", "100ms"];

/// The languages of the examples. Go and Java are run only where they are installed, and not for all programs.
#[derive(Clone, Copy, Debug)]
enum Language {
    Python,
    Node,
    Go,
    Java,
}

impl Language {
    /// Makes commands that run `program`, up to its arguments.
    fn command(self, program: &str) -> impl Fn() -> Command {
        let (interpreter, file) = match self {
            Self::Python => (Some(python_with_packages()), examples().join(format!("python/{program}.py"))),
            Self::Node => (Some("node".into()), examples().join(format!("node/{program}.mjs"))),
            Self::Go => (None, built_go(program)),
            Self::Java => {
                let name = format!("{}{}", program[..1].to_uppercase(), &program[1..]);
                (Some("java".into()), examples().join(format!("java/{name}.java")))
            }
        };
        move || {
            let mut command = Command::new(interpreter.as_ref().unwrap_or(&file));
            command.args(interpreter.is_some().then_some(&file)).env("NO_PROXY", "127.0.0.1");
            command
        }
    }
}

/// A running example.
struct Example {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    printed: Vec<String>,
}

/// How an example ended.
#[derive(Debug)]
struct Outcome {
    exit_code: Option<i32>,
    printed: Vec<String>,
    errors: String,
}

impl Example {
    fn start(mut command: Command, server: SocketAddr, arguments: &[&str]) -> Self {
        command.args(arguments).env("SCALEGATE_SERVER", format!("http://{server}"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}", cannot_run(&command, &error)));
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, printed: Vec::new() }
    }

    /// The next line it prints; `None` when it has ended.
    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await;
        let line = line.unwrap_or_else(|_| panic!("it prints nothing more: {:#?}", self.printed))?;
        self.printed.push(line.clone());
        Some(line)
    }

    /// Waits until it prints a line with `text`.
    async fn wait_for(&mut self, text: &str) {
        while let Some(line) = self.line().await {
            if line.contains(text) {
                return;
            }
        }
        panic!("it ended without a word of {text:?}: {:#?}", self.printed);
    }

    async fn end(mut self) -> Outcome {
        while self.line().await.is_some() {}
        let status = self.child.wait().expect("it can be waited for");
        let mut errors = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
        Outcome { exit_code: status.code(), printed: std::mem::take(&mut self.printed), errors }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn behaviour() -> Behaviour {
    Behaviour { provisioning: Duration::from_millis(300), ..Behaviour::default() }
}

async fn run_against(behaviour: Behaviour, language: Language, arguments: &[&str]) -> (Outcome, Sidecar) {
    let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    (Example::start(language.command("scale")(), gateway.address, arguments).end().await, sidecar)
}

async fn it_reaches_the_target(language: Language) {
    let (outcome, sidecar) = run_against(behaviour(), language, &["worker", "3"]).await;
    assert_eq!(outcome.exit_code, Some(0), "{outcome:#?}");
    assert_eq!(outcome.errors, "", "{outcome:#?}");
    assert_eq!(sidecar.capacity(), 3);
    let [first, .., last] = &outcome.printed[..] else { panic!("{outcome:#?}") };
    assert!(first.starts_with("job ") && first.ends_with(" accepted"), "{outcome:#?}");
    assert!(
        outcome.printed.iter().any(|line| line.starts_with("running: worker to 3, now 2; cooldown: ")),
        "{outcome:#?}"
    );
    assert_eq!(last, "succeeded: worker to 3, now 3");
}

async fn it_shows_why_a_job_failed(language: Language) {
    let bounds = Bounds { min: units(0), max: units(1) };
    let (outcome, _) = run_against(Behaviour { bounds, ..behaviour() }, language, &["worker", "2"]).await;
    assert_eq!(outcome.exit_code, Some(1), "{outcome:#?}");
    let last = outcome.printed.last().expect("a line");
    assert!(last.starts_with("failed: worker to 2, now 1; sidecar_rejected: The sidecar refused"), "{outcome:#?}");
}

async fn it_shows_why_a_request_was_refused(language: Language) {
    let (outcome, sidecar) = run_against(behaviour(), language, &["no alias", "2"]).await;
    assert_eq!(outcome.exit_code, Some(2), "{outcome:#?}");
    assert_eq!(outcome.printed, [""; 0]);
    assert!(outcome.errors.starts_with("The request does not make sense: resource "), "{outcome:#?}");
    assert!(outcome.errors.trim_end().ends_with(" (validation_failed)"), "{outcome:#?}");
    assert_eq!(sidecar.changes(), []);
}

async fn it_joins_a_job_with_the_same_target(language: Language) {
    // Before there is a job: the preparations can take longer than that.
    let command = language.command("scale")();
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    let outcome = Example::start(command, gateway.address, &["worker", "3"]).end().await;
    assert_eq!(outcome.exit_code, Some(0), "{outcome:#?}");
    assert_eq!(outcome.printed[0], format!("job {id} joined: it has the same target"));
}

async fn it_shows_the_key_that_it_is_given(language: Language) {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let create = ["keys", "create", "example", "--scope", "scale", "--resource", "worker", "--yes", "--data-dir"];
    let created = scalegate().args(create).arg(dir.path()).output().expect("the binary starts");
    let key = String::from_utf8(created.stdout).expect("text");
    let outcome = Example::start(language.command("scale")(), gateway.address, &["worker", "2"]).end().await;
    assert_eq!((outcome.exit_code, &outcome.printed[..]), (Some(2), &[][..]), "{outcome:#?}");
    assert!(outcome.errors.starts_with("An API key is needed: "), "{outcome:#?}");
    let with_key = || {
        let mut command = language.command("scale")();
        command.env("SCALEGATE_KEY", key.trim_end());
        command
    };
    let outcome = Example::start(with_key(), gateway.address, &["worker", "2"]).end().await;
    assert_eq!((outcome.exit_code, outcome.errors.as_str()), (Some(0), ""), "{outcome:#?}");
    assert_eq!(outcome.printed.last().map(String::as_str), Some("succeeded: worker to 2, now 2"), "{outcome:#?}");
    let outcome = Example::start(with_key(), gateway.address, &["web", "2"]).end().await;
    assert_eq!(outcome.exit_code, Some(2), "{outcome:#?}");
    assert!(outcome.errors.trim_end().ends_with(" (resource_forbidden)"), "{outcome:#?}");
}

async fn it_says_when_a_job_was_canceled(language: Language) {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let mut example = Example::start(language.command("scale")(), gateway.address, &["worker", "3"]);
    example.wait_for("; cooldown: ").await;
    let jobs = jobs(&gateway).await;
    gateway.post(&format!("/v1/jobs/{}/cancel", jobs.jobs[0].id), &Value::Null).await;
    let outcome = example.end().await;
    assert_eq!(outcome.exit_code, Some(1), "{outcome:#?}");
    assert_eq!(outcome.printed.last().map(String::as_str), Some("canceled: worker to 3, now 2"));
}

/// The answer to the POST is lost, and later the gateway is killed and stays away for a while.
async fn it_outlives_a_lost_answer_and_a_crash_of_the_gateway(language: Language) {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    // Long enough for all this to happen in one cooldown.
    let settings = ["--cooldown", "12s", "--settle", "1s", "--poll-interval", "100ms"];
    let gateway = Gateway::start(dir.path(), sidecar.address(), &settings);
    let street = Street::open(gateway.address).await;
    let mut example = Example::start(language.command("scale")(), street.address, &["worker", "3"]);
    example.wait_for("; cooldown: ").await;
    gateway.kill();
    // An example looks every two seconds.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let gateway = Gateway::start(dir.path(), sidecar.address(), &settings);
    street.leads_to.set(gateway.address);
    let outcome = example.end().await;

    assert_eq!(outcome.exit_code, Some(0), "{outcome:#?}");
    assert_eq!(outcome.printed.last().map(String::as_str), Some("succeeded: worker to 3, now 3"), "{outcome:#?}");
    assert!(
        outcome.errors.matches("trying again").count() >= 2,
        "once for the answer, once for the crash: {outcome:#?}"
    );
    let jobs = jobs(&gateway).await.jobs;
    assert_eq!(jobs.len(), 1, "the POST was sent twice and must count once: {jobs:#?}");
    assert_eq!(jobs[0].state, StateName::Succeeded);
    // Not joined, as a request with another key would have been.
    assert_eq!(outcome.printed[0], format!("job {} accepted", jobs[0].id));
    assert_eq!(sidecar.changes().len(), 2);
}

macro_rules! for_each_language {
    ($($test:ident)*) => {
        mod python {
            $(#[actix_web::test]
            async fn $test() {
                super::$test(super::Language::Python).await;
            })*
        }
        mod node {
            $(#[actix_web::test]
            async fn $test() {
                super::$test(super::Language::Node).await;
            })*
        }
    };
}

for_each_language! {
    it_reaches_the_target
    it_shows_why_a_job_failed
    it_shows_why_a_request_was_refused
    it_joins_a_job_with_the_same_target
    it_shows_the_key_that_it_is_given
    it_says_when_a_job_was_canceled
    it_outlives_a_lost_answer_and_a_crash_of_the_gateway
}

async fn jobs(gateway: &Gateway) -> JobList {
    serde_json::from_value(gateway.get("/v1/jobs").await.json()).expect("a page of jobs")
}

/// The way from an example to the gateway. The first answer gets lost on it.
struct Street {
    address: SocketAddr,
    leads_to: Rc<Cell<SocketAddr>>,
}

impl Street {
    async fn open(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let leads_to = Rc::new(Cell::new(gateway));
        let here = Rc::clone(&leads_to);
        tokio::task::spawn_local(async move {
            let mut answer_lost = false;
            while let Ok((mut inside, _)) = listener.accept().await {
                let Ok(mut outside) = TcpStream::connect(here.get()).await else { continue };
                if answer_lost {
                    tokio::task::spawn_local(async move {
                        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                    });
                } else {
                    answer_lost = true;
                    let (mut from_inside, _keep_open) = inside.split();
                    let (mut from_outside, mut to_outside) = outside.split();
                    let mut answer = [0; 1];
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_inside, &mut to_outside) => {}
                        _ = from_outside.read_exact(&mut answer) => {}
                    }
                }
            }
        });
        Self { address, leads_to }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> PathBuf {
    root().join("examples")
}

/// Python in an environment of its own with the packages that the example and the tests need. It is made once and used
/// until the versions change; a lock keeps other tests, which may be other processes, out meanwhile.
fn python_with_packages() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (environment, ready) = (home.join("examples-python"), home.join("examples-python.ready"));
    let python = environment.join("bin").join("python");
    let lock = File::create(home.join("examples-python.lock")).expect("a lock file");
    lock.lock().expect("the lock");

    let requirements = [examples().join("python/requirements.txt"), examples().join("requirements-test.txt")];
    let wanted: String = requirements.iter().map(|file| fs::read_to_string(file).expect("requirements")).collect();
    if python.exists() && fs::read_to_string(&ready).is_ok_and(|made| made == wanted) {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    run(pip.args(requirements.iter().flat_map(|file| [Path::new("-r"), file])));
    fs::write(&ready, wanted).expect("a note");
    python
}

/// A program in Go, built anew.
fn built_go(program: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("examples-go-{program}"));
    let package = if program == "scale" { ".".to_owned() } else { format!("./{program}") };
    run(Command::new("go").current_dir(examples().join("go")).args(["build", "-o"]).arg(&built).arg(package));
    built
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{}", cannot_run(command, &error)));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed; {NEEDED}\n{stdout}{stderr}");
}

const NEEDED: &str = "these tests need python3 (3.10 or newer) with the modules venv and pip, and node (18 or newer), for \
                      example from apt-get install python3 python3-venv nodejs";

fn cannot_run(command: &Command, error: &std::io::Error) -> String {
    let what = if error.kind() == ErrorKind::NotFound { "is not installed" } else { "cannot be run" };
    format!("{} {what}: {error}; {NEEDED}", command.get_program().display())
}
