//! `scalegate claim`: ask for units of a resource for a time.
//!
//! With `--wait` the claim is looked at again and again. Rejected: having the gateway hold back its answer to the claim, because
//! the id is needed at once, to end the claim if the wait is broken off.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::client::{Client, Failure, GatewayArgs};
use super::exit::Exit;
use super::idempotency::IdempotencyArgs;
use super::output::Output;
use super::{table, words};
use crate::api::NewClaim;
use crate::api::view::{ClaimView, WireTime};
use crate::config::parse_duration;
use crate::domain::Alias;
use crate::domain::policy::ClaimKind;

/// The exit codes, for the end of `--help`.
const HELP: &str = "\
Exit codes:
  0  the units are claimed, and with --wait they are there; or the claims are listed, or the claim is ended
  1  with --wait: the claim ended before the units were there
  2  the command line makes no sense
  4  the gateway refused the request
  5  the gateway could not be reached, or answered with an error of its own";

/// Time between two looks at a claim that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Claim units of a resource for a time, list its claims, or end one.
///
/// The policy of the resource keeps at least so many units until the claim ends, as it does by itself. Prints the id of the
/// claim. With --wait, waits until the resource is ready with them; Ctrl-C ends the waiting, not the claim.
///
/// Every claim has an idempotency key and is sent again under the same key if the answer is lost, so that it never becomes two.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct ClaimArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    /// How many units
    #[arg(value_name = "UNITS", required_unless_present_any = ["end", "list"],
          value_parser = clap::value_parser!(u32).range(1..))]
    units: Option<u32>,

    #[command(flatten)]
    gateway: GatewayArgs,

    /// How long, such as 2h; at most 30 days
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration,
          required_unless_present_any = ["end", "list"])]
    lasting: Option<Duration>,

    /// Claim the units beside what there would be without the claim
    #[arg(long)]
    extra: bool,

    /// Wait until the resource is ready with what is claimed
    #[arg(long)]
    wait: bool,

    /// When waiting: how long to keep trying while the gateway cannot be reached
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    patience: Duration,

    /// Whom the claim is for
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,

    /// A note for people
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    idempotency: IdempotencyArgs,

    /// End the claim with this id
    #[arg(long, value_name = "ID", value_parser = claim_id,
          conflicts_with_all = ["units", "lasting", "extra", "wait", "owner", "reason", "idempotency_key", "json"])]
    end: Option<Uuid>,

    /// List the claims on the resource, oldest first
    #[arg(long, conflicts_with_all = ["units", "lasting", "extra", "wait", "owner", "reason", "idempotency_key", "end"])]
    list: bool,

    /// Print the claim (with --wait, as it is in the end), or the list, as JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: ClaimArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl ClaimArgs {
    async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        if let Some(id) = self.end {
            client.end_claim(&self.resource, id).await?;
            output.line(format_args!("The claim {id} is ended."));
            return Ok(Exit::Done);
        }
        if self.list {
            let list = client.claims(&self.resource).await?;
            if self.json {
                output.json(&list);
            } else {
                output.lines(listed(&list.claims));
            }
            return Ok(Exit::Done);
        }
        let (wish, key) = (self.claim(), self.idempotency.key());
        let on_retry = |failure: &Failure| output.notice(format_args!("{failure}\n  Trying again."));
        let claim = client.claim(&self.resource, &wish, &key, on_retry).await?;
        if !self.json {
            output.line(claimed(&claim));
        }
        let (claim, exit) =
            if self.wait { self.until_satisfied(client, claim, output).await? } else { (claim, Exit::Done) };
        if self.json {
            output.json(&claim);
        }
        Ok(exit)
    }

    fn claim(&self) -> NewClaim {
        NewClaim {
            units: self.units.unwrap_or_default(),
            kind: self.extra.then_some(ClaimKind::Extra),
            for_seconds: self.lasting.map(|lasting| lasting.as_secs_f64()),
            owner: self.owner.clone(),
            reason: self.reason.clone(),
            ..NewClaim::default()
        }
    }

    /// The claim as it is when it is satisfied, or as it was last when it has ended.
    async fn until_satisfied(
        &self,
        client: &Client,
        mut claim: ClaimView,
        output: &mut Output,
    ) -> Result<(ClaimView, Exit), Failure> {
        let (mut tell, mut away_since) = (!self.json, None);
        while !claim.satisfied {
            sleep(LOOK_INTERVAL).await;
            match client.find_claim(&self.resource, claim.id).await {
                Ok(Some(newer)) => (claim, away_since) = (newer, None),
                Ok(None) => {
                    output.notice(format_args!("the claim {} ended before the units were there", claim.id));
                    return Ok((claim, Exit::Failed));
                }
                Err(failure) if failure.is_absence() => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.patience {
                        return Err(failure);
                    }
                    if std::mem::take(&mut tell) {
                        let patience = words::brief(self.patience);
                        output.notice(format_args!("{failure}\n  The claim stays. Trying again for up to {patience}."));
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        if !self.json {
            output.line(format_args!("{} is ready with what is claimed.", self.resource));
        }
        Ok((claim, Exit::Done))
    }
}

/// What is claimed, and until when.
fn claimed(claim: &ClaimView) -> String {
    let until = words::time_near(claim.until.0, words::now());
    format!("Claimed: {} of {} until {until}, claim {}", units(claim), claim.resource, claim.id)
}

fn units(claim: &ClaimView) -> String {
    match claim.kind {
        ClaimKind::AtLeast => format!("at least {}", claim.units),
        ClaimKind::Extra => format!("{} extra", claim.units),
    }
}

/// The claims as a table.
fn listed(claims: &[ClaimView]) -> Vec<String> {
    if claims.is_empty() {
        return vec!["No claims.".to_owned()];
    }
    let now = words::now();
    let time = |at: WireTime| words::time_near(at.0, now);
    let rows = claims.iter().map(|claim| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let satisfied = if claim.satisfied { "yes" } else { "no" };
        let (id, from, until) = (claim.id.to_string(), time(claim.from), time(claim.until));
        [id, units(claim), from, until, satisfied.to_owned(), text(&claim.owner), text(&claim.reason)]
    });
    table::lines(["CLAIM", "UNITS", "FROM", "UNTIL", "SATISFIED", "OWNER", "REASON"], rows)
}

/// The id of a claim as it is written.
fn claim_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "expected the full id of a claim such as 0198c3f2-7a00-7000-8000-000000000009")
}
