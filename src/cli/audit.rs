//! `scalegate audit`: who tried to change what.

use super::client::{Client, Failure, GatewayArgs};
use super::exit::{self, Exit};
use super::listing::ListingArgs;
use super::output::Output;
use super::words;
use crate::api::{AuditOutcome, AuditView};

const HEADER: [&str; 6] = ["AT", "WHO", "FROM", "ACTION", "OUTCOME", "ABOUT"];

/// Show who tried to change what, newest first. Takes a key with the scope `admin`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct AuditArgs {
    #[command(flatten)]
    listing: ListingArgs,

    #[command(flatten)]
    gateway: GatewayArgs,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: AuditArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl AuditArgs {
    pub(super) async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let none = "nobody has tried to change anything yet";
        let show = |entries: &[AuditView], output: &mut Output| output.table(HEADER, entries.iter().map(row));
        self.listing.show((client, "/v1/audit"), none, output, show).await
    }
}

fn row(entry: &AuditView) -> [String; HEADER.len()] {
    let outcome = match (entry.outcome, &entry.code) {
        (AuditOutcome::Accepted, _) => "accepted".to_owned(),
        (AuditOutcome::Unchanged, _) => "unchanged".to_owned(),
        (AuditOutcome::Refused, Some(code)) => format!("refused ({code})"),
        (AuditOutcome::Refused, None) => "refused".to_owned(),
        (AuditOutcome::Omitted, _) => format!("refused, {} times", entry.attempts),
    };
    let job = entry.job.map(|id| format!("job {}", words::short_id(id)));
    let about = [entry.resource.clone(), job, entry.key.as_ref().map(|key| format!("key {key}"))];
    [
        words::full_time(entry.at.0),
        entry.actor.as_ref().map_or("anonymous".to_owned(), words::actor),
        entry.address.clone().unwrap_or_else(|| "command line".to_owned()),
        entry.action.as_str().replace('_', " "),
        outcome,
        about.into_iter().flatten().collect::<Vec<_>>().join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api::openapi::examples::example_audit;
    use crate::cli::client::stub::{Reply, Stub};
    use crate::cli::testing;

    #[actix_web::test]
    async fn each_attempt_has_a_row() {
        let said = async |more: &[&str]| {
            let stub = Stub::start(vec![Reply::Json(200, example_audit())]).await;
            let url = stub.url();
            let run = async |args: AuditArgs, output: &mut Output| args.run(output).await;
            let arguments = [&["--server", &url, "--limit", "2"], more].concat();
            let (exit, captured) = testing::captured(&arguments, run).await;
            assert_eq!(
                (exit, stub.lines()),
                (Exit::Done, vec!["GET /v1/audit?pageSize=2".to_owned()]),
                "{}",
                captured.err()
            );
            captured
        };
        let captured = said(&[]).await;
        let expected = "\
AT                    WHO            FROM       ACTION      OUTCOME                            ABOUT
2026-01-31 12:00:05Z  anonymous      192.0.2.7  submit job  refused (authentication_required)
2026-01-31 12:00:00Z  queue watcher  192.0.2.6  submit job  accepted                           worker, job 00000001
";
        assert_eq!(captured.out(), expected);
        assert_eq!(captured.err(), "scalegate: there are more; --limit shows them\n");
        assert_eq!(serde_json::from_str::<Value>(&said(&["--json"]).await.out()).expect("JSON"), example_audit());
    }
}
