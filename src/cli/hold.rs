//! `scalegate hold`: stop the scaling of a resource for a time.

#[cfg(test)]
mod tests;

use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::client::{Client, Failure, GatewayArgs};
use super::exit::{self, Exit};
use super::output::Output;
use super::words;
use crate::api::NewHold;
use crate::api::view::HoldView;
use crate::config::{parse_capacity, parse_duration};
use crate::domain::policy::Direction;
use crate::domain::{Alias, Capacity};

/// Stop the scaling of a resource for a time, or end that.
///
/// While a resource is held, new jobs are refused, also those of its policy; jobs that were accepted before go on. A hold ends
/// by itself, and takes the place of the one before.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct HoldArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    #[command(flatten)]
    gateway: GatewayArgs,

    /// How long, such as 4h; at most 30 days
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, required_unless_present = "end")]
    lasting: Option<Duration>,

    /// Have the policy keep this capacity meanwhile; it must be active
    #[arg(long, value_name = "N", value_parser = parse_capacity, conflicts_with = "direction")]
    at: Option<Capacity>,

    /// Which changes are stopped [default: both]
    #[arg(long, value_name = "DIRECTION", value_enum, hide_possible_values = false)]
    direction: Option<Direction>,

    /// A note for people
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// End the hold
    #[arg(long, conflicts_with_all = ["lasting", "at", "direction", "reason", "json"])]
    end: bool,

    /// Print the hold as JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: HoldArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl HoldArgs {
    async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        if self.end {
            client.end_hold(&self.resource).await?;
            output.line(format_args!("The hold on {} is ended.", self.resource));
            return Ok(Exit::Done);
        }
        let hold = client.hold(&self.resource, &self.hold()).await?;
        if self.json {
            output.json(&hold);
        } else {
            let until = words::time_near(hold.until.0, words::now());
            output.line(format_args!("Held: {}, {}, until {until}.", self.resource, described(&hold)));
            output.lines(hold.note.iter().map(|note| format!("  {note}")));
        }
        Ok(Exit::Done)
    }

    fn hold(&self) -> NewHold {
        NewHold {
            for_seconds: self.lasting.map(|lasting| lasting.as_secs_f64()),
            direction: self.direction,
            capacity: self.at.map(Capacity::units),
            reason: self.reason.clone(),
            ..NewHold::default()
        }
    }
}

/// What a hold stops.
pub fn described(hold: &HoldView) -> String {
    match (hold.capacity, hold.direction) {
        (Some(capacity), _) => format!("at {capacity}"),
        (None, Some(Direction::Up)) => "no change up".to_owned(),
        (None, Some(Direction::Down)) => "no change down".to_owned(),
        (None, Some(Direction::Both) | None) => "no change".to_owned(),
    }
}

impl ValueEnum for Direction {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Both, Self::Up, Self::Down]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Both => "both",
            Self::Up => "up",
            Self::Down => "down",
        }))
    }
}
