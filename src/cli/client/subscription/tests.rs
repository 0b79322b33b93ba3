use std::time::Duration;

use serde_json::{Value, json};

use super::{Heard, Subscription};
use crate::cli::client::Failure;
use crate::cli::client::stub::{Reply, Seen, Stub, Then, event, problem, ready, succeeded};
use crate::cli::exit::Exit;
use crate::domain::StateName;

const PATIENCE: Duration = Duration::from_secs(20);

/// What was heard, in short.
fn short(heard: &Heard) -> String {
    match heard {
        Heard::Ready { resumed, back } => format!("ready {resumed} {back}"),
        Heard::Job(job) => format!("job {}", job.version),
        Heard::Other => "other".to_owned(),
        Heard::Group(group) => format!("group v{}", group.version),
        Heard::Away(_) => "away".to_owned(),
    }
}

/// What is heard until a job is over, or it fails.
async fn heard(events: &mut Subscription<'_>) -> (Vec<String>, Option<Failure>) {
    let mut all = Vec::new();
    loop {
        match events.next().await {
            Ok(heard) => {
                all.push(short(&heard));
                if matches!(heard, Heard::Job(job) if job.state == StateName::Succeeded) {
                    return (all, None);
                }
            }
            Err(failure) => return (all, Some(failure)),
        }
    }
}

/// What is heard of a gateway with these replies, and what was asked of it.
async fn hear(replies: Vec<Reply>) -> (Vec<String>, Option<Failure>, Vec<Seen>) {
    let stub = Stub::start(replies).await;
    let client = stub.client().with_silence(Duration::from_millis(300));
    let (heard, failure) = heard(&mut client.job_events(uuid::Uuid::nil(), PATIENCE)).await;
    (heard, failure, stub.seen())
}

fn positions(seen: &[Seen]) -> Vec<Option<&str>> {
    seen.iter().map(|seen| seen.header("last-event-id")).collect()
}

fn version(version: u64) -> Value {
    json!({"version": version})
}

#[actix_web::test]
async fn a_broken_connection_is_replaced_where_it_broke_and_is_no_news() {
    let cut = format!("{}id: 6\ndata: lost wi", ready(true) + &event(5, version(9)));
    let (heard, failure, seen) = hear(vec![
        Reply::Stream(ready(false) + &event(3, version(7)) + &event(4, version(8)), Then::Break),
        Reply::Stream(cut, Then::End),
        // Silent for too long, after a heartbeat.
        Reply::Stream(ready(true) + ": heartbeat\n\n", Then::Hold),
        Reply::Stream(ready(true) + &event(6, version(10)), Then::Break),
        Reply::Stream(ready(true) + &event(7, succeeded()), Then::End),
    ])
    .await;
    assert!(failure.is_none(), "{failure:?}");
    let readies = ["ready false false", "job 7", "job 8", "ready true false", "job 9", "ready true false"];
    assert_eq!(heard[..6], readies);
    assert_eq!(heard[6..], ["ready true false", "job 10", "ready true false", "job 30"]);
    assert_eq!(positions(&seen), [None, Some("4"), Some("5"), Some("5"), Some("6")]);
    assert!(seen.iter().all(|seen| seen.header("accept") == Some("text/event-stream")));
}

#[actix_web::test]
async fn a_stream_that_begins_anew_has_a_position_of_its_own() {
    let listing = "event: ready\nid: 70\ndata: {\"resumed\": false}\n\n".to_owned();
    let timeline = "event: timeline\ndata: {\"resource\": \"worker\"}\n\n";
    let (heard, _, seen) = hear(vec![
        Reply::Stream(ready(false) + &event(3, version(7)), Then::Break),
        Reply::Stream(listing + timeline, Then::Break),
        // No id: nothing is known of this one that could be resumed.
        Reply::Stream(ready(false), Then::Break),
        Reply::Stream(ready(false) + &event(9, succeeded()), Then::End),
    ])
    .await;
    assert_eq!(positions(&seen), [None, Some("3"), Some("70"), None]);
    assert_eq!(heard.last().map(String::as_str), Some("job 30"));
}

#[actix_web::test]
async fn the_gateway_can_end_a_stream_and_be_asked_again() {
    let end = "event: end\ndata: {\"reason\": \"too_slow\", \"detail\": \"Too slow.\"}\n\n";
    let (heard, failure, seen) = hear(vec![
        // It need not close the connection itself.
        Reply::Stream(ready(false) + &event(1, version(7)) + end, Then::Hold),
        Reply::Stream(ready(true) + &event(2, succeeded()), Then::End),
    ])
    .await;
    assert!(failure.is_none(), "{failure:?}");
    assert_eq!(heard, ["ready false false", "job 7", "ready true false", "job 30"]);
    assert_eq!(positions(&seen), [None, Some("1")]);
}

#[actix_web::test]
async fn an_absent_gateway_is_told_once_and_its_return_too() {
    let (heard, failure, seen) = hear(vec![
        Reply::Stream(ready(false) + &event(1, version(7)), Then::Break),
        Reply::Lost,
        problem(503, "too_many_streams"),
        // An answer, but of a proxy that holds the stream back.
        Reply::Stream(String::new(), Then::Hold),
        Reply::Stream(ready(true) + &event(2, version(8)), Then::End),
        Reply::Stream(ready(true) + &event(3, succeeded()), Then::End),
    ])
    .await;
    assert!(failure.is_none(), "{failure:?}");
    let expected = ["ready false false", "job 7", "away", "ready true true", "job 8", "ready true false", "job 30"];
    assert_eq!(heard, expected);
    assert_eq!(positions(&seen)[1..], [Some("1"), Some("1"), Some("1"), Some("1"), Some("2")]);
}

#[actix_web::test]
async fn patience_ends_with_the_last_failure() {
    let stub = Stub::start(vec![Reply::Stream(": held back".to_owned(), Then::Hold)]).await;
    let client = stub.client().with_silence(Duration::from_millis(50));
    let begin = std::time::Instant::now();
    let (heard, failure) = heard(&mut client.events(Some("web-1.eu"), Duration::from_millis(700))).await;
    assert_eq!(heard, ["away"]);
    assert!(matches!(&failure, Some(Failure::NoAnswer { detail, .. }) if detail.contains("proxy")), "{failure:?}");
    assert!((700..5000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    assert!((3..6).contains(&stub.seen().len()), "the pauses grow: {:?}", stub.lines());
    assert_eq!(stub.lines()[0], "GET /v1/events?resource=web%2D1%2Eeu");
}

#[actix_web::test]
async fn refusals_and_strangers_are_final() {
    for (reply, words) in [
        (problem(404, "job_not_found"), "404 job_not_found"),
        (Reply::Json(200, json!({})), "gives no events"),
        (Reply::Full(204, vec![], String::new()), "status 204"),
        (Reply::Stream("event: ready\ndata: yes\n\n".to_owned(), Then::End), "does not understand"),
        (Reply::Stream(ready(false) + "event: job\ndata: {}\n\n", Then::End), "does not understand"),
    ] {
        let (_, failure, seen) = hear(vec![reply]).await;
        let failure = failure.expect("it is final").to_string();
        assert!(failure.contains(words), "{failure}");
        assert_eq!(seen.len(), 1);
    }
}

/// The last event was the end of the job. A client that asks all the same gets it again.
#[actix_web::test]
async fn a_stream_that_is_over_is_asked_for_from_the_beginning() {
    let (heard, failure, seen) = hear(vec![
        Reply::Stream(ready(false) + &event(8, version(7)), Then::Break),
        Reply::Full(204, vec![], String::new()),
        Reply::Stream(ready(false) + &event(8, succeeded()), Then::End),
    ])
    .await;
    assert!(failure.is_none(), "{failure:?}");
    assert_eq!(heard, ["ready false false", "job 7", "ready false false", "job 30"]);
    assert_eq!(positions(&seen), [None, Some("8"), None]);
}

#[actix_web::test]
async fn what_the_caller_misses_counts_like_a_broken_connection() {
    let replies = [false, true].map(|_| Reply::Stream(ready(false) + &event(5, version(7)), Then::Hold));
    let stub = Stub::start(replies.into()).await;
    let client = stub.client();
    let mut events = client.events(None, PATIENCE);
    for _ in ["ready", "job"] {
        events.next().await.expect("heard");
    }
    let lost = || client.no_answer("lost");
    assert!(matches!(events.begin_anew(lost()), Ok(Some(_))));
    assert!(matches!(events.next().await, Ok(Heard::Ready { resumed: false, back: true })));
    assert_eq!(positions(&stub.seen()), [None, None]);
    let refused = Failure::Strange { status: 404, detail: String::new() };
    assert!(events.begin_anew(refused).is_err());
}

#[actix_web::test]
async fn a_key_that_ends_ends_the_following() {
    let end = json!({"reason": "unauthorized", "detail": "The key that the stream was opened with is no longer good."});
    let end = format!("event: end\ndata: {end}\n\n");
    let (heard, failure, seen) = hear(vec![
        Reply::Stream(ready(false) + &event(1, version(7)) + &end, Then::Hold),
        Reply::Stream(ready(true) + &event(2, succeeded()), Then::End),
    ])
    .await;
    assert_eq!((heard, seen.len()), (vec!["ready false false".to_owned(), "job 7".to_owned()], 1));
    let failure = failure.expect("the end");
    assert_eq!(failure.exit(), Exit::Refused);
    let told = failure.to_string();
    assert!(told.starts_with("the API key is no longer good") && told.contains("\n  Put another key"), "{told}");
    assert!(told.ends_with("The jobs are not affected."), "{told}");
}
