//! `scalegate whoami`: whose key this is, and what it allows.

use super::client::{Client, Failure, GatewayArgs};
use super::exit::{self, Exit};
use super::output::Output;
use super::words;
use crate::api::keys::WhoAmI;
use crate::domain::Timestamp;

/// Tell whose key is sent, what it allows, and until when.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct WhoamiArgs {
    #[command(flatten)]
    gateway: GatewayArgs,

    /// Print what the gateway says as JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: WhoamiArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl WhoamiArgs {
    async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let caller: WhoAmI = client.look_at("/v1/whoami").await?;
        if self.json {
            output.json(&caller);
        } else {
            output.lines(lines(&caller, words::now()));
        }
        Ok(Exit::Done)
    }
}

/// `caller` in words, a line each.
fn lines(caller: &WhoAmI, now: Timestamp) -> Vec<String> {
    let who = match (&caller.name, &caller.id) {
        (Some(name), Some(id)) => format!("{name} (key {id})"),
        _ => "anonymous: no key was sent, and this gateway needs none".to_owned(),
    };
    let scopes: Vec<&str> = caller.scopes.iter().map(|scope| scope.as_str()).collect();
    let until = match (&caller.expires_at, caller.anonymous) {
        (Some(at), _) => Some(words::moment(at.0, now)),
        (None, false) => Some("it is revoked".to_owned()),
        (None, true) => None,
    };
    let resources = caller.resources.as_ref().map_or("all".to_owned(), |resources| resources.join(", "));
    let facts = [("resources", Some(resources)), ("scopes", Some(scopes.join(", "))), ("good until", until)];
    let facts = facts.into_iter().filter_map(|(name, value)| value.map(|value| format!("  {name:<10}  {value}")));
    std::iter::once(who).chain(facts).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::openapi::examples::example_whoami;
    use crate::cli::client::stub::{Reply, Stub};
    use crate::cli::testing;

    async fn said(answer: &serde_json::Value, more: &[&str]) -> String {
        let stub = Stub::start(vec![Reply::Json(200, answer.clone())]).await;
        let url = stub.url();
        let run = async |args: WhoamiArgs, output: &mut Output| args.run(output).await;
        let (exit, captured) = testing::captured(&[&["--server", &url], more].concat(), run).await;
        assert_eq!((exit, stub.lines()), (Exit::Done, vec!["GET /v1/whoami".to_owned()]), "{}", captured.err());
        captured.out()
    }

    #[actix_web::test]
    async fn a_key_says_whose_it_is_and_no_key_that_none_is_needed() {
        let known = example_whoami();
        let expected = "queue watcher (key 4fJ2kQ9xZa)\n  resources   worker\n  scopes      push, read, scale\n  good until  it is revoked\n";
        assert_eq!(said(&known, &[]).await, expected);
        assert_eq!(
            said(&known, &["--json"]).await,
            format!(
                "{}\n",
                serde_json::to_string(&serde_json::from_value::<WhoAmI>(known).expect("it fits")).expect("JSON")
            )
        );
        let nobody = json!({"anonymous": true, "id": null, "name": null, "scopes": ["push", "read", "scale", "admin"],
            "resources": null, "admin": true, "expiresAt": null});
        let expected = "anonymous: no key was sent, and this gateway needs none\n  resources   all\n  scopes      push, read, scale, admin\n";
        assert_eq!(said(&nobody, &[]).await, expected);
    }
}
