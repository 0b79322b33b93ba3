//! `scalegate backtest`: what a policy would have done with a recorded metric. It needs no gateway.

mod page;
mod plot;
pub(super) mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::exit::Exit;
use super::output::Output;
use super::policy::{NoDocument, document};
use super::table;
use super::words::now;
use crate::api::view::BacktestReport;
use crate::backtest::{
    Allowance, Comparison, DemandSpec, Judged, NoTrial, PlantOverrides, PlantSpec, Recordings, Span, Terms, Trial,
};
use crate::config::{parse_capacity, parse_duration};
use crate::domain::policy::{Name, Policy};
use crate::domain::{Alias, Capacity, ScalingConfig, StepDurations, Timestamp};
use crate::policy::{Warning, warnings};

/// The exit codes, for the end of `--help`.
const HELP: &str = "\
A file of values has a header, then a time and a value in each row: 2026-01-31T12:00:00Z,812. Times are RFC 3339, or
YYYY-MM-DD HH:MM:SS in UTC. A value is known from its time on and holds until the next one, for at most the metric's
maxAgeSeconds; after that it is missing, and nothing is counted.

The unmet units are counted against what was needed: the metric by --demand, divided by --per-unit, rounded up. Without
these options, by the first rule of the policy of the type target or band. Beside the policy stand:
  limit         the least that is unmet, and then the least cost, with knowledge of the future and the same resource
  fixed mean    a capacity that never changes: the mean of what was needed
  fixed peak    the most that was needed

Exit codes:
  0  the backtest is done
  1  a policy or a file of values is not valid
  2  the command line makes no sense, or a file cannot be read";

/// Try a policy on a recorded metric, without a gateway.
///
/// The policy decides in virtual time, by the function that decides in a gateway, about a modelled resource: one change at
/// a time, each with its time, and the cooldown and step size of the policy's jobs.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct BacktestArgs {
    /// The policy: TOML if its name ends with .toml, otherwise JSON
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,

    /// The resource that the policy is for
    #[arg(long, value_name = "ALIAS", default_value = "worker")]
    resource: Alias,

    /// A metric of the policy and the file with its values; may be repeated
    #[arg(long = "metric", value_name = "NAME=FILE", required = true, value_parser = metric)]
    metrics: Vec<(Name, PathBuf)>,

    /// The metric that says what is needed
    #[arg(long, value_name = "NAME", requires = "per_unit")]
    demand: Option<Name>,

    /// The load that one unit carries
    #[arg(long, value_name = "LOAD", requires = "demand", value_parser = per_unit)]
    per_unit: Option<f64>,

    /// How long units that are added take until they are ready [default: expectedChangeSeconds of the policy's jobs, 300s
    /// unless it says so]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    provisioning: Option<Duration>,

    /// How long units that are removed are still paid for [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    removal: Option<Duration>,

    /// Capacity at the beginning [default: what is needed then, within the policy's min and max]
    #[arg(long, value_name = "UNITS", value_parser = parse_capacity)]
    capacity: Option<Capacity>,

    /// Values from this time on are known at the beginning [default: the first row]
    #[arg(long, value_name = "TIME", value_parser = rows::time)]
    learn_from: Option<Timestamp>,

    /// When the policy begins to act [default: the first row]
    #[arg(long, value_name = "TIME", value_parser = rows::time)]
    from: Option<Timestamp>,

    /// The end [default: the last row]
    #[arg(long, value_name = "TIME", value_parser = rows::time)]
    to: Option<Timestamp>,

    /// Another policy to try beside it; may be repeated
    #[arg(long = "compare", value_name = "FILE")]
    compared: Vec<PathBuf>,

    /// Write one line of JSON instead
    #[arg(long)]
    json: bool,

    /// Write a page with a plot of each run to this file, too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn metric(text: &str) -> Result<(Name, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=FILE, such as queue=queue.csv")?;
    let name = name.parse::<Name>().map_err(|error| error.to_string())?;
    Ok((name, PathBuf::from(path)))
}

fn per_unit(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_owned())
}

/// Why there is no backtest.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Document(#[from] NoDocument),
    #[error("{} is not valid; scalegate policy check {0} tells its mistakes", path.display())]
    Policy { path: PathBuf },
    #[error("{0}")]
    Recording(#[from] rows::NoRecording),
    #[error("cannot write {}: {error}", path.display())]
    Page { path: PathBuf, error: std::io::Error },
    #[error("{0}")]
    Trial(#[from] NoTrial),
    #[error("{0}")]
    Arguments(String),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Document(error) => error.exit(),
            Self::Recording(rows::NoRecording::Io { .. }) | Self::Trial(_) | Self::Arguments(_) => Exit::Usage,
            Self::Policy { .. } | Self::Recording(_) | Self::Page { .. } => Exit::Failed,
        }
    }
}

/// Runs the command.
pub fn run(args: BacktestArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output);
    output.finish(exit)
}

impl BacktestArgs {
    fn run(self, output: &mut Output) -> Exit {
        let (trial, warnings) = match self.trial() {
            Ok(found) => found,
            Err(failure) => {
                output.notice(&failure);
                return failure.exit();
            }
        };
        trial.remarks().iter().for_each(|remark| output.notice(remark));
        let (comparison, setup) = (trial.compare(), trial.setup());
        if let Some(path) = &self.html {
            let page = page::page(&comparison, setup);
            if let Err(error) = std::fs::write(path, page) {
                let failure = Failure::Page { path: path.clone(), error };
                output.notice(&failure);
                return failure.exit();
            }
        }
        if self.json {
            output.json(&BacktestReport::of(&trial, &comparison, warnings));
        } else {
            output.lines(told(&comparison, setup.span));
        }
        Exit::Done
    }

    /// What is tried, and what in the policy is surely not meant.
    fn trial(&self) -> Result<(Trial, Vec<Warning>), Failure> {
        let main = policy(&self.policy)?;
        let mut compared = Vec::new();
        for path in &self.compared {
            let name =
                path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
            compared.push((name, policy(path)?));
        }
        let policies = || compared.iter().map(|(_, policy)| policy).chain([&main]);
        let mut recordings = Recordings::new();
        for (name, path) in &self.metrics {
            if !policies().any(|policy| policy.metrics.contains_key(name)) && self.demand.as_ref() != Some(name) {
                return Err(Failure::Arguments(format!("no policy has a metric {name}")));
            }
            recordings.insert(name.clone(), rows::recording(path)?);
        }
        let given = self.demand.clone().zip(self.per_unit);
        let given = given.map(|(metric, per_unit)| DemandSpec { metric, per_unit });
        let demand = given.or_else(|| DemandSpec::by_rules(&main)).ok_or_else(|| {
            let missing = "what is needed is not known: give --demand NAME and --per-unit LOAD";
            Failure::Arguments(missing.to_owned())
        })?;
        let config = ScalingConfig::default().unlisted();
        let settings = config.settings.with(&main.job);
        let plant = PlantSpec::expected(&settings, &StepDurations::default(), main.expected_change);
        let terms = Terms {
            resource: self.resource.clone(),
            demand,
            plant: plant.with(&PlantOverrides {
                provisioning: self.provisioning,
                removal: self.removal,
                ..PlantOverrides::default()
            }),
            capacity: self.capacity,
            learn_from: self.learn_from,
            from: self.from,
            to: self.to,
            allowance: Allowance::default(),
        };
        let warnings = warnings(&main, &config, now());
        Ok((Trial::new(main, compared, recordings, terms)?, warnings))
    }
}

/// The policy in the file at `path`.
fn policy(path: &Path) -> Result<Policy, Failure> {
    document(path)?.policy().map_err(|_| Failure::Policy { path: path.to_owned() })
}

const HEADER: [&str; 9] =
    ["RUN", "UNMET", "OF NEED", "TIME SHORT", "UNIT-HOURS", "× LIMIT", "CHANGES", "REVERSALS", "PEAK"];

/// The comparison for people.
fn told(comparison: &Comparison, span: Span) -> Vec<String> {
    let mut lines = table::lines(HEADER, comparison.runs.iter().map(row));
    if let Some(bound) = comparison.bound {
        lines.push(format!(
            "The limit is too large to work out; no plan can be below {bound:.1} unit-hours, which × LIMIT is of."
        ));
    }
    if let Some(first) = comparison.runs.first() {
        lines.push(String::new());
        lines.push(format!("{}: █ needed and ready  ░ ready, not needed  × needed, missing", first.name));
        lines.extend(plot::lines(&first.run, &comparison.needs, span));
    }
    lines
}

fn row(judged: &Judged) -> [String; 9] {
    let score = judged.score;
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    [
        judged.name.clone(),
        format!("{:.2}", score.unmet_unit_hours),
        percent(score.unmet_share),
        percent(score.under_provisioned_share),
        format!("{:.1}", score.unit_hours),
        judged.cost_ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}")),
        score.changes.to_string(),
        score.reversals.to_string(),
        score.peak.to_string(),
    ]
}
