//! `scalegate backtest`: what a policy would have done with a recorded metric. It needs no gateway.

mod page;
mod plot;
pub(super) mod rows;
#[cfg(test)]
mod tests;
mod tune;

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
these options, by the first target or band rule of the policy, or else its first forecast rule. Beside the policy stand:
  limit         the least that is unmet, and then the least cost, with knowledge of the future and the same resource
  fixed mean    a capacity that never changes: the mean of what was needed
  fixed peak    the most that was needed

With --tune, the policy is played with other numbers in it: the load per unit of its first target or band rule on what is
needed, down.stabilizationSeconds, and a forecast rule where the values reach back far enough. The cheapest that leaves
at most --unmet unmet is chosen on the first two thirds of the time, and judged on the rest, which the choice never saw:
  scalegate backtest --tune --min 1 --max 20 --metric rps=rps.csv --per-unit 100 --unmet 0.5% --out policy.json

Exit codes:
  0  the backtest is done
  1  a policy or a file of values is not valid; with --tune, nothing that was tried leaves little enough unmet
  2  the command line makes no sense, or a file cannot be read";

/// Try a policy on a recorded metric, without a gateway.
///
/// The policy decides in virtual time, by the function that decides in a gateway, about a modelled resource: one change at
/// a time, each with its time, and the cooldown and step size of the policy's jobs.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct BacktestArgs {
    /// The policy: TOML if its name ends with .toml, otherwise JSON. --tune can do without
    #[arg(long, value_name = "FILE", required_unless_present = "min")]
    policy: Option<PathBuf>,

    /// The resource that the policy is for
    #[arg(long, value_name = "ALIAS", default_value = "worker")]
    resource: Alias,

    /// A metric of the policy and the file with its values; may be repeated
    #[arg(long = "metric", value_name = "NAME=FILE", required = true, value_parser = metric)]
    metrics: Vec<(Name, PathBuf)>,

    /// The metric that says what is needed [default: with --per-unit, the metric if there is one]
    #[arg(long, value_name = "NAME", requires = "per_unit")]
    demand: Option<Name>,

    /// The load that one unit carries
    #[arg(long, value_name = "LOAD", value_parser = per_unit)]
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

    /// Find the cheapest policy that leaves little enough unmet
    #[arg(long, conflicts_with = "compared")]
    tune: bool,

    /// With --tune: the most that may be unmet, as a share of all that is needed [default: 1%]
    #[arg(long, value_name = "PERCENT", requires = "tune", value_parser = share)]
    unmet: Option<f64>,

    /// With --tune: least capacity, instead of a policy
    #[arg(long, value_name = "UNITS", requires_all = ["tune", "max", "per_unit"], conflicts_with = "policy",
        value_parser = parse_capacity)]
    min: Option<Capacity>,

    /// With --tune: largest capacity, instead of a policy
    #[arg(long, value_name = "UNITS", requires = "min", value_parser = parse_capacity)]
    max: Option<Capacity>,

    /// With --tune: write the proposed policy to this file, in TOML if its name ends with .toml, otherwise in JSON
    #[arg(long, value_name = "FILE", requires = "tune")]
    out: Option<PathBuf>,

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

fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    let share = percent.filter(|percent| (0.0..100.0).contains(percent)).map(|percent| percent / 100.0);
    share.ok_or_else(|| "expected a percentage from 0% to below 100%, such as 0.5%".to_owned())
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
    Unwritten { path: PathBuf, error: std::io::Error },
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
            Self::Policy { .. } | Self::Recording(_) | Self::Unwritten { .. } => Exit::Failed,
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
        let done = self.trial().and_then(|trial| {
            trial.remarks().iter().for_each(|remark| output.notice(remark));
            if self.tune { self.tuned(&trial, output) } else { self.compared(&trial, output) }
        });
        done.unwrap_or_else(|failure| {
            output.notice(&failure);
            failure.exit()
        })
    }

    fn compared(&self, trial: &Trial, output: &mut Output) -> Result<Exit, Failure> {
        let (comparison, setup) = (trial.compare(), trial.setup());
        self.write_page(|| page::page(&comparison, setup))?;
        if self.json {
            output.json(&BacktestReport::of(trial, &comparison, surely_not_meant(trial.policy())));
        } else {
            output.lines(told(&comparison, setup.span));
        }
        Ok(Exit::Done)
    }

    fn tuned(&self, trial: &Trial, output: &mut Output) -> Result<Exit, Failure> {
        let tuned = trial.tune(self.unmet.unwrap_or(MOST_UNMET))?;
        let meets = tuned.meets(&tuned.proposed.tried.chosen_on);
        self.write_page(|| tune::page(&tuned))?;
        if self.json {
            output.json(&tune::TuneReport::of(trial, &tuned, surely_not_meant(&tuned.policy)));
        } else {
            output.lines(tune::told(&tuned));
        }
        match &self.out {
            Some(path) if meets => {
                let document = tune::document(&tuned.policy, path).map_err(Failure::Arguments)?;
                write(path, &document)?;
            }
            Some(path) => output.notice(format_args!("{} is not written", path.display())),
            None => {}
        }
        Ok(if meets { Exit::Done } else { Exit::Failed })
    }

    fn write_page(&self, page: impl FnOnce() -> String) -> Result<(), Failure> {
        self.html.as_ref().map_or(Ok(()), |path| write(path, &page()))
    }

    /// What is tried.
    fn trial(&self) -> Result<Trial, Failure> {
        let mut recordings = Recordings::new();
        for (name, path) in &self.metrics {
            recordings.insert(name.clone(), rows::recording(path)?);
        }
        let demand = self.demand()?;
        let main = match (&self.policy, &demand) {
            (Some(path), _) => policy(path)?,
            (None, Some(demand)) => self.start(demand, &recordings)?,
            (None, None) => return Err(Failure::Arguments("give --policy FILE".to_owned())),
        };
        let mut compared = Vec::new();
        for path in &self.compared {
            let name =
                path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
            compared.push((name, policy(path)?));
        }
        let policies = || compared.iter().map(|(_, policy)| policy).chain([&main]);
        let is_of_no_use = |name: &&Name| {
            let is_demand = demand.as_ref().is_some_and(|demand| demand.metric == **name);
            !is_demand && !policies().any(|policy| policy.metrics.contains_key(*name))
        };
        if let Some(name) = recordings.keys().find(is_of_no_use) {
            return Err(Failure::Arguments(format!("no policy has a metric {name}")));
        }
        let demand = demand.or_else(|| DemandSpec::by_rules(&main)).ok_or_else(|| {
            let missing =
                "no rule of the policy tells how much load one unit carries: give --demand NAME and --per-unit LOAD";
            Failure::Arguments(missing.to_owned())
        })?;
        let settings = ScalingConfig::default().unlisted().settings.with(&main.job);
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
        Ok(Trial::new(main, compared, recordings, terms)?)
    }

    /// What is needed, as far as the arguments say.
    fn demand(&self) -> Result<Option<DemandSpec>, Failure> {
        let Some(per_unit) = self.per_unit else { return Ok(None) };
        let metric = match (&self.demand, &self.metrics[..]) {
            (Some(metric), _) => metric,
            (None, [(metric, _)]) => metric,
            _ => return Err(Failure::Arguments("say by --demand NAME which metric --per-unit is about".to_owned())),
        };
        Ok(Some(DemandSpec { metric: metric.clone(), per_unit }))
    }

    /// The policy to begin with where none is given.
    fn start(&self, demand: &DemandSpec, recordings: &Recordings) -> Result<Policy, Failure> {
        let (min, max) = (self.min.unwrap_or(Capacity::ZERO), self.max.unwrap_or(Capacity::MAX));
        let start = tune::Start { demand, min, max, provisioning: self.provisioning };
        start.policy(recordings).map_err(Failure::Arguments)
    }
}

/// What in `policy` is surely not meant.
fn surely_not_meant(policy: &Policy) -> Vec<Warning> {
    warnings(policy, &ScalingConfig::default().unlisted(), now())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::Unwritten { path: path.to_owned(), error })
}

/// The policy in the file at `path`.
fn policy(path: &Path) -> Result<Policy, Failure> {
    document(path)?.policy().map_err(|_| Failure::Policy { path: path.to_owned() })
}

/// Most that may be unmet, unless it is said.
const MOST_UNMET: f64 = 0.01;

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

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
