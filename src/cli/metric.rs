//! `scalegate metric`: push a value of a metric, or what it is expected to be.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::backtest::rows;
use super::client::{Client, Failure, GatewayArgs};
use super::exit::{self, Exit};
use super::output::Output;
use crate::api::{NewSamples, PredictedValue, Pushed};
use crate::domain::Alias;
use crate::domain::forecast::MAX_POINTS;
use crate::domain::policy::{Name, number};

/// Push a value of a metric, as of now, or a prediction of it.
///
/// The policy of the resource has the metric among its metrics, and decides on what is pushed at once. Values are for metrics with
/// the source push; any metric can have a prediction.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct MetricArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    /// The name of the metric
    #[arg(value_name = "NAME")]
    name: Name,

    /// The value
    #[arg(value_name = "VALUE", allow_negative_numbers = true, value_parser = parse_value)]
    #[arg(required_unless_present = "forecast", conflicts_with = "forecast")]
    value: Option<f64>,

    /// Push the prediction in this file instead, in place of the one before: a header, then a time and a value in each row, such
    /// as 2026-01-31T12:00:00Z,812. A value holds until the next one; times in the past are left out
    #[arg(long, value_name = "FILE.csv")]
    forecast: Option<PathBuf>,

    #[command(flatten)]
    gateway: GatewayArgs,

    /// Print the answer as JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: MetricArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl MetricArgs {
    async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let Self { resource, name, value, forecast, .. } = self;
        let forecast = forecast.as_deref().map(prediction).transpose()?;
        let values = NewSamples { value: *value, forecast, samples: None };
        let pushed: Pushed = client.push(resource, name, &values).await?;
        if self.json {
            output.json(&pushed);
        } else if pushed.accepted == 0 {
            let why =
                if value.is_some() { "there is a newer value of" } else { "nothing is to come in the prediction for" };
            output.notice(format_args!("ignored: {why} {name}"));
        } else if let Some(value) = value {
            output.line(format_args!("Pushed: {name} of {resource} is {}.", number(*value)));
        } else {
            let Pushed { accepted, ignored } = pushed;
            output.line(format_args!(
                "Pushed: {accepted} predicted values for {name} of {resource}; {ignored} in the past were left out."
            ));
        }
        Ok(Exit::Done)
    }
}

/// The prediction in the file at `path`.
fn prediction(path: &Path) -> Result<Vec<PredictedValue>, Failure> {
    let recording = rows::recording(path).map_err(|error| Failure::Usage(error.to_string()))?;
    let rows = recording.rows();
    if rows.len() > MAX_POINTS {
        let detail = format!("{} has {} values; a prediction has at most {MAX_POINTS}", path.display(), rows.len());
        return Err(Failure::Usage(detail));
    }
    Ok(rows.iter().map(|row| PredictedValue { at: row.at.to_string(), value: row.value }).collect())
}

/// A value that a metric can have: JSON has no other numbers.
fn parse_value(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or("expected a finite number such as 812 or 0.5")
}
