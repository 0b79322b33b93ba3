//! `scalegate demo`: the whole thing in one terminal, through the real HTTP API.

mod day;
mod load;
mod rules;
mod story;
mod timetable;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;

use super::client::{Client, Failure};
use super::exit::{self, Exit};
use super::follow::{Screen, follow};
use super::output::Output;
use crate::api::Submission;
use crate::api::view::JobView;
use crate::app::{self, Gateway, StartError};
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::domain::Settings;
use crate::sim::sidecar::{Behaviour, RunningSimulator, Simulator};
use crate::store::sqlite::SqliteError;
use crate::telemetry::{self, Traces, TracesError};

/// How long a simulated change takes.
const PROVISIONING: Duration = Duration::from_secs(2);
/// Waits short enough to watch.
const SETTINGS: Settings = Settings {
    cooldown: Duration::from_secs(4),
    active_timeout: Duration::from_secs(30),
    poll_interval: Duration::from_millis(250),
    settle: Duration::from_secs(2),
    deadline: Duration::from_mins(5),
    ..Settings::DEFAULT
};
/// How long the gateway, which is in this process, may be away.
const PATIENCE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(2);

/// Show the main job: scale a simulated worker from 1 to 5.
///
/// Starts a simulated sidecar and a gateway, submits a job through the HTTP API, and shows its steps live. Stays up
/// afterwards, so that the control panel, Swagger UI and the API can be tried, until Ctrl-C. Needs nothing and leaves
/// nothing behind.
///
/// With --policy a policy scales the worker instead: a day of load passes in two minutes, and what is decided is told as
/// it happens. It ends with the day.
#[derive(Debug, Args)]
#[command(after_help = exit::HELP)]
pub struct DemoArgs {
    /// Where the gateway listens. By default on port 8080 of the loopback address, or on a free port if that is taken.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// End when the job has ended, with its exit code.
    #[arg(long, conflicts_with = "policy")]
    exit: bool,
    /// Play a day of load that a policy follows.
    #[arg(long)]
    policy: bool,
    /// Play only the hours around the peak, with the window soon after it: for tests, which have no minute to spare.
    #[arg(long, requires = "policy", hide = true)]
    short: bool,
    /// How many times as fast as real time the day passes, from 60 to 1000.
    #[arg(long, value_name = "TIMES", requires = "policy", default_value_t = day::SPEED, value_parser = day::parse_speed)]
    speed: NonZeroU32,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("cannot start the simulated sidecar")]
    Sidecar(#[source] std::io::Error),
    #[error("cannot make a directory for the gateway's data")]
    Directory(#[source] std::io::Error),
    #[error(transparent)]
    Traces(#[from] TracesError),
    #[error(transparent)]
    Gateway(#[from] StartError),
    #[error("cannot write the days before into the gateway's store")]
    History(#[source] SqliteError),
    #[error("the gateway's address makes no URL")]
    Address,
    #[error("{0}")]
    Client(Failure),
}

/// Runs the demo.
pub async fn run(args: DemoArgs) -> ExitCode {
    // What matters is on the screen; the log has only what goes wrong.
    if let Err(error) = telemetry::init(LogFormat::Text, Some("error,actix_http=off")) {
        telemetry::complain(error);
        return Exit::Usage.into();
    }
    let played = if args.policy { day::play(&args).await } else { play(&args).await };
    match played {
        Ok(exit) => exit.into(),
        Err(error) => {
            telemetry::complain(telemetry::chain(&error));
            Exit::Unreachable.into()
        }
    }
}

async fn play(args: &DemoArgs) -> Result<Exit, DemoError> {
    // Before there is a directory: a signal that ends the process at once would leave it behind.
    let told_to_stop = super::until_told_to_stop();
    tokio::pin!(told_to_stop);
    let mut output = Output::standard();
    let behaviour = Behaviour { provisioning: PROVISIONING, ..Behaviour::default() };
    let sidecar = start_sidecar(behaviour, Clock::start()).map_err(DemoError::Sidecar)?;
    let data = data_directory()?;
    let config = Config { settings: SETTINGS, ..config(&sidecar, &data)? };
    let traces = Traces::from_environment()?;
    let gateway = start_gateway(config, args.listen, async |config| Gateway::start(&config, &traces).await).await?;
    let played = tokio::select! {
        // First, for a signal that came during the start.
        biased;
        () = &mut told_to_stop => None,
        job = async {
            introduce(&mut output, &sidecar, &gateway);
            scale(&gateway, &mut output).await
        } => Some(job?),
    };
    if let Some(job) = &played {
        sum_up(&mut output, job, &gateway, args.exit);
        if !args.exit {
            told_to_stop.await;
        }
    }
    // Stopping is for the process that runs on; here everything ends with it, and nothing is kept.
    let _ = app::stop(gateway, &traces, GRACE).await;
    let _ = sidecar.stop().await;
    let exit = played.filter(|_| args.exit).map_or(Exit::Done, |job| Exit::of_job(&job));
    Ok(output.finish(exit))
}

fn start_sidecar(behaviour: Behaviour, clock: Clock) -> std::io::Result<RunningSimulator> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Simulator::start(listener, behaviour, 1, move || clock.now())
}

fn data_directory() -> Result<TempDir, DemoError> {
    tempfile::Builder::new().prefix("scalegate-demo-").tempdir().map_err(DemoError::Directory)
}

fn config(sidecar: &RunningSimulator, data: &TempDir) -> Result<Config, DemoError> {
    Ok(Config {
        sidecar_url: format!("http://{}", sidecar.address()).parse().map_err(|_| DemoError::Address)?,
        data_dir: data.path().to_owned(),
        shutdown_grace: GRACE,
        ..Config::default()
    })
}

/// Starts the gateway where it was asked for, or else on its usual port, or else on any.
async fn start_gateway(
    config: Config,
    listen: Option<SocketAddr>,
    start: impl AsyncFn(Config) -> Result<Gateway, StartError>,
) -> Result<Gateway, StartError> {
    if let Some(listen) = listen {
        return start(Config { listen, ..config }).await;
    }
    match start(config.clone()).await {
        Err(StartError::Listen { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            start(Config { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..config }).await
        }
        outcome => outcome,
    }
}

/// A client of the `gateway`.
fn client(gateway: &Gateway) -> Result<Client, DemoError> {
    Ok(Client::new(format!("http://{}", gateway.address()).parse().map_err(|_| DemoError::Address)?))
}

fn introduce(output: &mut Output, sidecar: &RunningSimulator, gateway: &Gateway) {
    let (sidecar, gateway) = (sidecar.address(), gateway.address());
    output.line(format_args!("Simulated sidecar  http://{sidecar}  (worker is at 1; a change takes {PROVISIONING:?})"));
    output.line(format_args!("Control panel      http://{gateway}/"));
    output.line(format_args!("Swagger UI         http://{gateway}/docs/"));
    output.line(format_args!("API                http://{gateway}/v1/jobs"));
    output.line("");
    output.line(format_args!("Scaling worker to 5, one unit at a time, with a cooldown of {:?}:", SETTINGS.cooldown));
    output.line("");
}

async fn scale(gateway: &Gateway, output: &mut Output) -> Result<JobView, DemoError> {
    let client = client(gateway)?;
    let wish = Submission {
        resource: "worker".to_owned(),
        target_capacity: Some(5),
        reason: Some("demo".to_owned()),
        ..Submission::default()
    };
    let key = uuid::Uuid::now_v7().to_string();
    let submitted = client.submit(&wish, &key, |_| {}).await.map_err(DemoError::Client)?;
    let mut screen = Screen::live(output);
    follow(&client, submitted.job, PATIENCE, &mut screen).await.map_err(DemoError::Client)
}

fn sum_up(output: &mut Output, job: &JobView, gateway: &Gateway, exit: bool) {
    if exit {
        // The gateway is about to stop.
        return;
    }
    let gateway = gateway.address();
    output.line("");
    output.line(format_args!("The job as the API shows it: curl -sS -w '\\n' http://{gateway}/v1/jobs/{}", job.id));
    output.line(format_args!("Try another one, in a second terminal:"));
    output.line(format_args!(
        "  curl -sS -w '\\n' http://{gateway}/v1/jobs -H 'Content-Type: application/json' -d '{{\"resource\":\"worker\",\"targetCapacity\":2}}'"
    ));
    output.line("Ctrl-C ends the demo.");
}
