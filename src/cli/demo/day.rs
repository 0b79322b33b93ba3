//! `scalegate demo --policy`: a day of load that a policy follows, in two minutes.
//!
//! The gateway is the one that serves, with its default settings; only its clock is fast, and so is that of the simulated
//! sidecar. The week before the day is in the store, so that the forecast has something to learn from.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;
use uuid::Uuid;

use super::load::{PER_UNIT, days_before, load};
use super::rules::{METRIC, policy, without_forecast, zone_name};
use super::story::Story;
use super::timetable::Timetable;
use super::{DemoArgs, DemoError, GRACE, client, config, data_directory, start_gateway, start_sidecar};
use crate::api::NewSamples;
use crate::app::{self, Gateway};
use crate::cli::client::{Client, Failure};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::until_told_to_stop;
use crate::clock::{Clock, wall_now};
use crate::config::Config;
use crate::domain::policy::Name;
use crate::domain::{Alias, Capacity, Timestamp};
use crate::sim::sidecar::Behaviour;
use crate::store::Observations;
use crate::store::sqlite::{Journal as _, SqliteError, SqliteJournal};
use crate::telemetry::Traces;

/// How many times as fast as real time the day passes: in two minutes.
pub(super) const SPEED: NonZeroU32 = NonZeroU32::new(480).expect("above 0");
/// Slower takes a quarter of an hour; faster, the gateway has too little real time for what it does.
const SPEEDS: std::ops::RangeInclusive<u32> = 60..=1000;
/// How often the metric is pushed.
const PUSH_INTERVAL: Duration = Duration::from_mins(1);
/// How long a change takes.
const PROVISIONING: Duration = Duration::from_mins(4);
/// Units at the beginning.
const START: u32 = 2;
/// Most decisions between two pushes.
const DECISIONS: usize = 50;
/// The last line.
const NEXT: &str =
    "Next, try a policy of your own on your own load: `scalegate backtest --help`; docs/policies.md has the rules.";

/// How many times as fast as real time the day passes.
pub(super) fn parse_speed(text: &str) -> Result<NonZeroU32, String> {
    let speed = text.parse().ok().filter(|speed: &NonZeroU32| SPEEDS.contains(&speed.get()));
    speed.ok_or_else(|| format!("expected a whole number from {} to {}", SPEEDS.start(), SPEEDS.end()))
}

/// Plays the day.
pub(super) async fn play(args: &DemoArgs) -> Result<Exit, DemoError> {
    // Before there is a directory: a signal that ends the process at once would leave it behind.
    let told_to_stop = until_told_to_stop();
    let mut output = Output::standard();
    let timetable = if args.short { Timetable::SHORT } else { Timetable::DAY };
    let zone = local_zone();
    let begin = midnight(&zone) + timetable.begin();
    let data = directory_in_memory().map_or_else(data_directory, Ok)?;
    write_days_before(&data, begin, &timetable).map_err(DemoError::History)?;
    let traces = Traces::from_environment()?;
    let clock = Clock::fast(begin, args.speed);
    let start_capacity = Capacity::new(START.into()).expect("a small number");
    let behaviour = Behaviour { provisioning: PROVISIONING, start_capacity, ..Behaviour::default() };
    let sidecar = start_sidecar(behaviour, clock).map_err(DemoError::Sidecar)?;
    let config = config(&sidecar, &data)?;
    let start = async |config: Config| Gateway::demonstrate(&config, &traces, clock).await;
    let gateway = start_gateway(config, args.listen, start).await?;
    let (policy, story) = (policy(&zone, &timetable), Story::new(zone.clone(), timetable));
    let mut day = Day { client: client(&gateway)?, clock, timetable, begin, policy, story, last_decision: None };
    let played = tokio::select! {
        // First, for a signal that came during the start.
        biased;
        () = told_to_stop => Ok(()),
        played = async {
            introduce(&mut output, &gateway, args, &zone, &timetable);
            day.pass(&mut output).await
        } => played,
    };
    // Nothing of it is kept.
    let _ = app::stop(gateway, &traces, GRACE).await;
    let _ = sidecar.stop().await;
    played.map_err(DemoError::Client)?;
    Ok(output.finish(Exit::Done))
}

/// A directory that needs no disk. A gateway gives up a change that could not be written for five seconds; at this speed, a
/// disk has ten milliseconds for it. Where there is none, some changes go out late.
fn directory_in_memory() -> Option<TempDir> {
    tempfile::Builder::new().prefix("scalegate-demo-").tempdir_in("/dev/shm").ok()
}

/// The zone of this machine, if it has a name that a policy can have.
fn local_zone() -> TimeZone {
    let named = |zone: &TimeZone| zone.iana_name().is_some_and(|name| name != "Etc/UTC");
    TimeZone::try_system().ok().filter(named).unwrap_or(TimeZone::UTC)
}

/// The beginning of today in `zone`.
fn midnight(zone: &TimeZone) -> Timestamp {
    let now = jiff::Timestamp::from_millisecond(wall_now().as_millis()).unwrap_or_default();
    let midnight = zone.to_datetime(now).date().to_datetime(jiff::civil::Time::midnight());
    let midnight = zone.to_timestamp(midnight).unwrap_or(now);
    Timestamp::from_millis(midnight.as_millisecond())
}

fn worker() -> Alias {
    "worker".parse().expect("an alias")
}

fn requests() -> Name {
    METRIC.parse().expect("a name")
}

fn write_days_before(data: &TempDir, begin: Timestamp, timetable: &Timetable) -> Result<(), SqliteError> {
    let samples = days_before(begin, timetable.begin()).into_iter().map(|sample| (requests(), sample)).collect();
    let (predictions, decisions) = (Vec::new(), Vec::new());
    let observed = Observations { resource: worker(), epoch: 0, samples, predictions, state: None, decisions };
    SqliteJournal::open(data.path())?.record(&[observed])
}

fn introduce(output: &mut Output, gateway: &Gateway, args: &DemoArgs, zone: &TimeZone, timetable: &Timetable) {
    let (address, zone) = (gateway.address(), zone_name(zone));
    let (from, to) = timetable.span();
    let minutes = timetable.length().as_secs_f64() / 60.0 / f64::from(args.speed.get());
    let provisioning = PROVISIONING.as_secs() / 60;
    output.line(format_args!("Control panel  http://{address}/#/resources/worker"));
    output.line(format_args!("The policy     http://{address}/v1/resources/worker/policy"));
    output.line("");
    output.line(format_args!("A day of load, from {from} to {to} {zone}, passes in {minutes:.1} min."));
    output.line(format_args!(
        "A unit serves {PER_UNIT} requests per second. One is added at a time, every 5 min, and takes {provisioning} min."
    ));
    output.line("");
}

/// The day under way.
struct Day {
    client: Client,
    clock: Clock,
    timetable: Timetable,
    begin: Timestamp,
    policy: Value,
    story: Story,
    /// The last decision that was told, or needed no line.
    last_decision: Option<Uuid>,
}

impl Day {
    async fn pass(&mut self, output: &mut Output) -> Result<(), Failure> {
        self.client.put_policy(&worker(), &self.policy, None).await?;
        let (mut marks, mut seen_at) = (self.timetable.marks().into_iter().peekable(), self.begin);
        while seen_at < self.begin + self.timetable.length() {
            sleep(self.clock.real((seen_at + PUSH_INTERVAL).since(self.clock.now()))).await;
            let now = self.clock.now();
            let since_midnight = self.timetable.begin() + now.since(self.begin);
            let load = load(0, since_midnight);
            self.push_load(load).await?;
            self.tell_decisions(output).await?;
            self.see(load, now.since(seen_at)).await?;
            if let Some((_, what)) = marks.next_if(|(at, _)| *at <= since_midnight) {
                output.line(self.story.mark(now, what, load));
            }
            seen_at = now;
        }
        let short = self.backtest_without_forecast(seen_at).await?;
        output.line("");
        output.line(self.story.sum_up(seen_at.since(self.begin), short));
        output.line(NEXT);
        Ok(())
    }

    async fn push_load(&self, load: f64) -> Result<(), Failure> {
        let samples = NewSamples { value: Some(load), ..NewSamples::default() };
        self.client.push(&worker(), &requests(), &samples).await.map(drop)
    }

    async fn tell_decisions(&mut self, output: &mut Output) -> Result<(), Failure> {
        let newest_first = self.client.decisions(&worker(), DECISIONS).await?;
        let new = newest_first.iter().take_while(|decision| Some(decision.id) != self.last_decision);
        let new: Vec<_> = new.collect();
        output.lines(new.iter().rev().filter_map(|decision| self.story.tell(decision)));
        self.last_decision = newest_first.first().map(|decision| decision.id);
        Ok(())
    }

    async fn see(&mut self, load: f64, time: Duration) -> Result<(), Failure> {
        if let Some(resource) = self.client.find_resource(&worker()).await?
            && let Some(units) = resource.capacity
        {
            let is_active = resource.status.is_some_and(|status| status.eq_ignore_ascii_case("ACTIVE"));
            self.story.see(units, is_active, load, time);
        }
        Ok(())
    }

    /// How long units would have been short until `end` without the forecast rule, if a backtest can tell.
    async fn backtest_without_forecast(&self, end: Timestamp) -> Result<Option<Duration>, Failure> {
        let backtest = json!({
            "resource": worker(), "policy": without_forecast(self.policy.clone()),
            "from": self.begin.to_string(), "to": end.to_string(),
            "demand": {"metric": METRIC, "perUnit": PER_UNIT},
            "plant": {"provisioningSeconds": PROVISIONING.as_secs(), "capacity": START},
        });
        let played = self.client.backtest(&backtest).await?;
        let share = played["runs"][0]["underProvisionedShare"].as_f64();
        Ok(share.map(|share| end.since(self.begin).mul_f64(share)))
    }
}
