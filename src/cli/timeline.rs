//! `scalegate timeline`: what has happened to a resource.

use serde::Deserialize;

use super::client::{Client, Failure, GatewayArgs};
use super::exit::{self, Exit};
use super::listing::ListingArgs;
use super::output::Output;
use super::words;
use crate::api::view::WireTime;
use crate::domain::Alias;

/// Show what has happened to a resource, newest first.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct TimelineArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    #[command(flatten)]
    listing: ListingArgs,

    #[command(flatten)]
    gateway: GatewayArgs,
}

/// The fields that entries of all kinds share.
#[derive(Deserialize)]
struct Entry {
    at: WireTime,
    detail: String,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: TimelineArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl TimelineArgs {
    pub(super) async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let path = format!("/v1/resources/{}/timeline", self.resource);
        let none = format_args!("nothing has happened to {} yet", self.resource);
        let line = |entry: &Entry| format!("{}  {}", words::full_time(entry.at.0), entry.detail);
        let show = |entries: &[Entry], output: &mut Output| output.lines(entries.iter().map(line));
        self.listing.show((client, &path), none, output, show).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::client::stub::{Reply, Stub};
    use crate::cli::testing;

    async fn said(entries: Value, more: &[&str]) -> crate::cli::output::capture::Captured {
        let stub = Stub::start(vec![Reply::Json(200, json!({"entries": entries, "nextPageToken": null}))]).await;
        let url = stub.url();
        let run = async |args: TimelineArgs, output: &mut Output| args.run(output).await;
        let (exit, captured) = testing::captured(&[&["worker", "--server", &url], more].concat(), run).await;
        let asked = vec!["GET /v1/resources/worker/timeline?pageSize=20".to_owned()];
        assert_eq!((exit, stub.lines()), (Exit::Done, asked), "{}", captured.err());
        captured
    }

    /// Also of a kind that this client does not know.
    #[actix_web::test]
    async fn each_entry_is_a_line() {
        let entries =
            json!([{"kind": "of a later release", "at": "2026-01-31T12:00:05.000Z", "detail": "Something happened."}]);
        assert_eq!(said(entries.clone(), &[]).await.out(), "2026-01-31 12:00:05Z  Something happened.\n");
        let whole: Value = serde_json::from_str(&said(entries.clone(), &["--json"]).await.out()).expect("JSON");
        assert_eq!(whole, json!({"entries": entries, "nextPageToken": null}));
        assert_eq!(said(json!([]), &[]).await.err(), "scalegate: nothing has happened to worker yet\n");
    }
}
