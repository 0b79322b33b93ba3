//! `scalegate metric`: push a value of a metric.

#[cfg(test)]
mod tests;

use super::client::{Client, Failure, GatewayArgs};
use super::exit::{self, Exit};
use super::output::Output;
use crate::api::{NewSamples, Pushed};
use crate::domain::Alias;
use crate::domain::policy::{Name, number};

/// Push a value of a metric, as of now.
///
/// The policy of the resource has the metric among its metrics, with the source push, and decides on the value at once.
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
    value: f64,

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
        let Self { resource, name, value, .. } = self;
        let samples = NewSamples { value: Some(*value), ..NewSamples::default() };
        let pushed: Pushed = client.push(resource, name, &samples).await?;
        if self.json {
            output.json(&pushed);
        } else if pushed.accepted > 0 {
            output.line(format_args!("Pushed: {name} of {resource} is {}.", number(*value)));
        } else {
            output.notice(format_args!("ignored: there is a newer value of {name}"));
        }
        Ok(Exit::Done)
    }
}

/// A value that a metric can have: JSON has no other numbers.
fn parse_value(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or("expected a finite number such as 812 or 0.5")
}
