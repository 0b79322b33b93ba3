use serde_json::{Value, json};

use super::HoldArgs;
use crate::api::openapi::examples::example_hold;
use crate::cli::client::stub::{Reply, Stub, problem};
use crate::cli::exit::Exit;
use crate::cli::output::capture::Captured;
use crate::cli::testing;

/// The example hold with `changes` to its top level.
fn held(changes: Value) -> Reply {
    let mut hold = example_hold();
    for (name, value) in changes.as_object().expect("an object") {
        hold[name] = value.clone();
    }
    hold["until"] = json!("2199-01-31T16:00:00.000Z");
    Reply::Json(200, hold)
}

async fn hold(reply: Reply, arguments: &[&str]) -> (Exit, Captured, Stub) {
    let stub = Stub::start(vec![reply]).await;
    let url = stub.url();
    let (exit, captured) = testing::captured(&[arguments, &["--server", &url]].concat(), HoldArgs::run).await;
    (exit, captured, stub)
}

#[actix_web::test]
async fn what_is_asked_for_is_sent_and_what_is_held_is_told() {
    for (arguments, sent, changes, words) in [
        (
            "worker --for 4h",
            json!({"forSeconds": 14400.0}),
            json!({}),
            "Held: worker, no change, until 2199-01-31 16:00:00Z.",
        ),
        (
            "worker --for 90s --direction up --reason why",
            json!({"forSeconds": 90.0, "direction": "up", "reason": "why"}),
            json!({"direction": "up"}),
            "Held: worker, no change up, until ",
        ),
        (
            "worker --for 1d --direction down",
            json!({"forSeconds": 86400.0, "direction": "down"}),
            json!({"direction": "down"}),
            "Held: worker, no change down, until ",
        ),
        (
            "worker --for 1h --at 0",
            json!({"forSeconds": 3600.0, "capacity": 0}),
            json!({"direction": null, "capacity": 0, "note": "It lies outside."}),
            "Held: worker, at 0, until 2199-01-31 16:00:00Z.\n  It lies outside.\n",
        ),
    ] {
        let (exit, captured, stub) = hold(held(changes), &arguments.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(exit, Exit::Done, "{}", captured.err());
        assert!(captured.out().starts_with(words), "{}", captured.out());
        assert_eq!(stub.lines(), ["PUT /v1/resources/worker/hold"]);
        assert_eq!(serde_json::from_str::<Value>(&stub.seen()[0].body).expect("JSON"), sent);
    }
}

#[actix_web::test]
async fn a_hold_is_ended_and_json_is_the_hold() {
    let (exit, captured, stub) = hold(Reply::Full(204, Vec::new(), String::new()), &["worker", "--end"]).await;
    assert_eq!((exit, captured.out().as_str()), (Exit::Done, "The hold on worker is ended.\n"), "{}", captured.err());
    assert_eq!(stub.lines(), ["DELETE /v1/resources/worker/hold"]);
    let (exit, captured, _) = hold(problem(404, "hold_not_found"), &["worker", "--end"]).await;
    assert_eq!((exit, captured.out().as_str()), (Exit::Refused, ""));
    let (exit, captured, _) = hold(held(json!({})), &["worker", "--for", "1h", "--json"]).await;
    let printed: Value = serde_json::from_str(&captured.out()).expect("JSON");
    assert_eq!((exit, &printed["direction"]), (Exit::Done, &json!("both")));
}

#[test]
fn a_hold_needs_an_end_and_one_thing_to_stop() {
    for (arguments, words) in [
        (&["worker"][..], "--for <DURATION>"),
        (&["worker", "--for", "4"], "write \"4s\" for seconds"),
        (&["worker", "--for", "1h", "--at", "five"], "--at <N>"),
        (&["worker", "--for", "1h", "--at", "2", "--direction", "up"], "cannot be used with"),
        (&["worker", "--for", "1h", "--end"], "cannot be used with"),
        (&["worker", "--for", "1h", "--direction", "sideways"], "both"),
    ] {
        let error = testing::parse::<HoldArgs>(arguments).expect_err("nonsense");
        assert_eq!(error.exit_code(), Exit::Usage as i32);
        assert!(error.to_string().contains(words), "{arguments:?}: {error}");
    }
}
