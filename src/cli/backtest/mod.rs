//! `scalegate backtest`: what a policy would have done with a recorded metric. It needs no gateway.

mod page;
mod plot;
mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::exit::Exit;
use super::output::Output;
use super::policy::{NoDocument, document};
use super::table;
use super::words::brief;
use crate::api::view::BacktestReport;
use crate::backtest::{Comparison, Demand, Judged, PlantSpec, Recording, Recordings, Setup, Span, compare};
use crate::config::{parse_capacity, parse_duration};
use crate::domain::policy::{MetricSpec, Name, Policy, RuleKind};
use crate::domain::{Alias, Capacity, Settings, Timestamp};

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

    /// How long units that are added take until they are ready
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = parse_duration)]
    provisioning: Duration,

    /// How long units that are removed are still paid for
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    removal: Duration,

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
    Arguments(String),
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Document(error) => error.exit(),
            Self::Recording(rows::NoRecording::Io { .. }) | Self::Arguments(_) => Exit::Usage,
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

/// What is tried, read and checked.
struct Trial {
    policies: Vec<(String, Policy)>,
    recordings: Recordings,
    demanded: Name,
    per_unit: f64,
    max_age: Duration,
    setup: Setup,
}

impl BacktestArgs {
    fn run(self, output: &mut Output) -> Exit {
        let trial = match self.trial() {
            Ok(trial) => trial,
            Err(failure) => {
                output.notice(&failure);
                return failure.exit();
            }
        };
        trial.remarks().iter().for_each(|remark| output.notice(remark));
        let comparison = compare(&trial.policies, &trial.recordings, &trial.demand(), &trial.setup);
        if let Some(path) = &self.html {
            let page = page::page(&comparison, &trial.setup);
            if let Err(error) = std::fs::write(path, page) {
                let failure = Failure::Page { path: path.clone(), error };
                output.notice(&failure);
                return failure.exit();
            }
        }
        if self.json {
            output.json(&BacktestReport::of(&comparison, trial.setup.plant, trial.setup.span));
        } else {
            output.lines(told(&comparison, trial.setup.span));
        }
        Exit::Done
    }

    fn trial(&self) -> Result<Trial, Failure> {
        let mut policies = vec![("policy".to_owned(), policy(&self.policy)?)];
        for path in &self.compared {
            let name =
                path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
            policies.push((name, policy(path)?));
        }
        let main = policies[0].1.clone();
        let mut recordings = Recordings::new();
        for (name, path) in &self.metrics {
            if !policies.iter().any(|(_, policy)| policy.metrics.contains_key(name))
                && self.demand.as_ref() != Some(name)
            {
                return Err(Failure::Arguments(format!("no policy has a metric {name}")));
            }
            recordings.insert(name.clone(), rows::recording(path)?);
        }
        let (demanded, per_unit) = self.demanded(&main)?;
        let recording = recordings.get(&demanded);
        let recording = recording.ok_or_else(|| {
            Failure::Arguments(format!("there is no file for {demanded}: give --metric {demanded}=FILE"))
        })?;
        let span = self.span(recording)?;
        let max_age = main.metrics.get(&demanded).map_or(MetricSpec::PUSHED_MAX_AGE, |spec| spec.max_age);
        let demand = Demand { recording, per_unit, max_age };
        let needed = demand.needs(span).iter().find_map(|need| need.units).unwrap_or(0);
        let needed = Capacity::try_from(needed).unwrap_or(Capacity::MAX).clamp(main.min, main.max);
        let Settings { step_size, cooldown, .. } = Settings::DEFAULT.with(&main.job);
        let plant = PlantSpec { provisioning: self.provisioning, removal: self.removal, step_size, cooldown };
        let learn_from = self.learn_from.unwrap_or(span.from).min(span.from);
        let (resource, capacity) = (self.resource.clone(), self.capacity.unwrap_or(needed));
        let setup = Setup { resource, plant, capacity, learn_from, span };
        Ok(Trial { policies, recordings, demanded, per_unit, max_age, setup })
    }

    /// The metric that says what is needed, and the load that one unit carries.
    fn demanded(&self, policy: &Policy) -> Result<(Name, f64), Failure> {
        if let (Some(name), Some(per_unit)) = (&self.demand, self.per_unit) {
            return Ok((name.clone(), per_unit));
        }
        let by_rule = policy.rules.iter().find_map(|rule| match &rule.kind {
            RuleKind::Target(target) => Some((target.metric.clone(), target.per_unit)),
            RuleKind::Band(band) => Some((band.metric.clone(), band.high)),
            _ => None,
        });
        let missing = "what is needed is not known: give --demand NAME and --per-unit LOAD";
        by_rule.ok_or_else(|| Failure::Arguments(missing.to_owned()))
    }

    fn span(&self, recording: &Recording) -> Result<Span, Failure> {
        let (first, last) = (recording.rows().first(), recording.rows().last());
        let [first, last] = [first, last].map(|row| row.map_or(Timestamp::from_millis(0), |row| row.at));
        let span = Span { from: self.from.unwrap_or(first), to: self.to.unwrap_or(last) };
        if span.from < span.to {
            return Ok(span);
        }
        Err(Failure::Arguments(format!("there is no time between {} and {}", span.from, span.to)))
    }
}

/// The policy in the file at `path`.
fn policy(path: &Path) -> Result<Policy, Failure> {
    document(path)?.policy().map_err(|_| Failure::Policy { path: path.to_owned() })
}

impl Trial {
    fn demand(&self) -> Demand<'_> {
        Demand { recording: &self.recordings[&self.demanded], per_unit: self.per_unit, max_age: self.max_age }
    }

    /// What is surely not meant.
    fn remarks(&self) -> Vec<String> {
        let specs = self.policies.iter().flat_map(|(_, policy)| &policy.metrics);
        let missing = specs.clone().map(|(name, _)| name).filter(|name| !self.recordings.contains_key(*name));
        let mut remarks: Vec<String> =
            missing.map(|name| format!("metric {name} has no file: it is missing all the time")).collect();
        for (name, spec) in specs {
            if let Some(apart) =
                self.recordings.get(name).and_then(Recording::spacing).filter(|apart| spec.max_age < *apart)
            {
                remarks.push(format!(
                    "rows of {name} are {} apart, and a value counts for {} (maxAgeSeconds): it is missing in between",
                    brief(apart),
                    brief(spec.max_age),
                ));
            }
        }
        remarks.sort_unstable();
        remarks.dedup();
        remarks
    }
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
