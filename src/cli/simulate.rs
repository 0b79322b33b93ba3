//! `scalegate simulate`: the simulated sidecar as a process of its own.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::exit::Exit;
use super::output::Output;
use crate::clock::Clock;
use crate::config::{LogFormat, parse_capacity, parse_duration};
use crate::domain::{Alias, Bounds, Capacity};
use crate::sim::sidecar::{Behaviour, FaultRates, Faults, OutsideBounds, Simulator, TimestampMode};
use crate::telemetry;

/// What else it can do.
const AFTER_HELP: &str = "\
Beyond the platform's API:
  GET /simulator/log                          the last 10,000 requests and changes, as JSON
  PUT /simulator/resource/ALIAS/capacity      {\"capacity\": 3}: a change by others
  PUT /simulator/faults                       what befalls the next requests, in order:
                                              {\"changes\": [\"answer_lost\", null], \"reads\": [\"garbage\"]}";

/// Run a simulated sidecar.
///
/// Speaks the platform's sidecar API, so that a gateway, or any other client of the sidecar, can be tried out where
/// there is no platform. Well-behaved by default; the options make it as difficult as the real one can be.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct SimulateArgs {
    /// Where to listen. The default is where the platform's sidecar listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:49750")]
    listen: SocketAddr,
    /// A resource there is; may be repeated. Any other gets 404. Without this option every resource exists.
    #[arg(long = "resource", value_name = "ALIAS")]
    resources: Vec<Alias>,
    /// Capacity of every resource at the beginning.
    #[arg(long, value_name = "UNITS", default_value = "1", value_parser = parse_capacity)]
    start: Capacity,
    /// Least capacity.
    #[arg(long, value_name = "UNITS", default_value = "0", value_parser = parse_capacity)]
    min: Capacity,
    /// Largest capacity.
    #[arg(long, value_name = "UNITS", default_value = "1000000", value_parser = parse_capacity)]
    max: Capacity,
    /// What becomes of a change that would leave the bounds: refused with 400, done as far as the bound, or accepted
    /// and never done.
    #[arg(long, value_enum, default_value_t = OutsideBoundsArg::Reject)]
    outside_bounds: OutsideBoundsArg,
    /// Time a change takes until the resource is ACTIVE again.
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = parse_duration)]
    provisioning: std::time::Duration,
    /// Time from accepting a change until it is applied at all.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    apply_delay: std::time::Duration,
    /// Readings show the resource as it was this long ago.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    read_lag: std::time::Duration,
    /// What readings say about when they were made: the truth, that they are fresh, nothing, or the year 1.
    #[arg(long, value_enum, default_value_t = TimestampsArg::Honest)]
    timestamps: TimestampsArg,
    /// Status of a resource at capacity 0.
    #[arg(long, value_name = "STATUS", default_value = "PAUSED")]
    status_at_zero: String,
    /// While a change is under way, show the new capacity with status MODIFYING (true), or the old one with status
    /// SCALING (false).
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    goal_while_modifying: bool,
    /// Never become ACTIVE again after a change.
    #[arg(long)]
    never_active: bool,
    /// Refuse a change with 409 while an earlier one is under way.
    #[arg(long)]
    busy_conflict: bool,
    /// Share of changes (0 to 1) that are applied without an answer.
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = parse_rate, help_heading = "Faults")]
    answer_lost: f64,
    /// Share of changes that are lost on the way.
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = parse_rate, help_heading = "Faults")]
    request_lost: f64,
    /// Share of changes answered with 500 and not applied.
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = parse_rate, help_heading = "Faults")]
    error_before: f64,
    /// Share of changes answered with 500 although they are applied.
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = parse_rate, help_heading = "Faults")]
    error_after: f64,
    /// Share of changes that are answered late.
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = parse_rate, help_heading = "Faults")]
    slow: f64,
    /// How late those are answered.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration, help_heading = "Faults")]
    slow_for: std::time::Duration,
    /// Share of changes that are applied and answered with something that is not JSON.
    #[arg(long, value_name = "RATE", default_value = "0", value_parser = parse_rate, help_heading = "Faults")]
    garbage: f64,
    /// Let the same faults befall readings.
    #[arg(long, help_heading = "Faults")]
    faulty_reads: bool,
    /// Which faults happen when: the same seed and the same requests give the same faults.
    #[arg(long, default_value_t = 1, help_heading = "Faults")]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OutsideBoundsArg {
    Reject,
    Clamp,
    Ignore,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TimestampsArg {
    Honest,
    Fresh,
    Missing,
    Zero,
}

impl SimulateArgs {
    fn behaviour(&self) -> Behaviour {
        let changes = FaultRates {
            answer_lost: self.answer_lost,
            request_lost: self.request_lost,
            error_before: self.error_before,
            error_after: self.error_after,
            slow: self.slow,
            garbage: self.garbage,
        };
        let reads = if self.faulty_reads { changes } else { FaultRates::default() };
        Behaviour {
            known: (!self.resources.is_empty()).then(|| self.resources.iter().cloned().collect()),
            start_capacity: self.start,
            bounds: Bounds { min: self.min, max: self.max },
            outside_bounds: match self.outside_bounds {
                OutsideBoundsArg::Reject => OutsideBounds::Reject,
                OutsideBoundsArg::Clamp => OutsideBounds::Clamp,
                OutsideBoundsArg::Ignore => OutsideBounds::Ignore,
            },
            provisioning: self.provisioning,
            apply_delay: self.apply_delay,
            read_lag: self.read_lag,
            timestamps: match self.timestamps {
                TimestampsArg::Honest => TimestampMode::Honest,
                TimestampsArg::Fresh => TimestampMode::Fresh,
                TimestampsArg::Missing => TimestampMode::Missing,
                TimestampsArg::Zero => TimestampMode::Zero,
            },
            status_at_zero: self.status_at_zero.clone(),
            goal_while_modifying: self.goal_while_modifying,
            never_active: self.never_active,
            busy_conflict: self.busy_conflict,
            faults: Faults { reads, changes, slow_for: self.slow_for },
            ..Behaviour::default()
        }
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0 to 1".into()),
    }
}

/// Runs the simulated sidecar until it is told to stop.
pub async fn run(args: SimulateArgs) -> ExitCode {
    // Connections that are closed on purpose are no errors here.
    if let Err(error) = telemetry::init(LogFormat::Text, Some("info,actix_server=warn,actix_http=off")) {
        telemetry::complain(error);
        return ExitCode::from(2);
    }
    if args.min > args.max || !(args.min..=args.max).contains(&args.start) {
        telemetry::complain("--min, --start and --max must be in this order");
        return ExitCode::from(2);
    }
    let clock = Clock::start();
    let started = TcpListener::bind(args.listen)
        .and_then(|listener| Simulator::start(listener, args.behaviour(), args.seed, move || clock.now()));
    let simulator = match started {
        Ok(simulator) => simulator,
        Err(error) => {
            telemetry::complain(format_args!("cannot listen on {}: {error}", args.listen));
            return ExitCode::FAILURE;
        }
    };
    let mut output = Output::standard();
    output.line(format_args!("simulated sidecar on http://{} (Ctrl-C stops it)", simulator.address()));
    output.line(format_args!("try: curl http://{}/resource/worker/capacity", simulator.address()));
    super::until_told_to_stop().await;
    match simulator.stop().await {
        Ok(()) => output.finish(Exit::Done).into(),
        Err(error) => {
            telemetry::complain(error);
            ExitCode::FAILURE
        }
    }
}
