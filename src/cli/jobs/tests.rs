use std::future::pending;

use serde_json::{Value, json};

use super::{JobsArgs, details, table};
use crate::cli::client::stub::{Reply, Stub, canceled, events, failed, job, job_view, problem, succeeded};
use crate::cli::exit::Exit;
use crate::cli::output::capture::Captured;
use crate::cli::table::lines;
use crate::cli::testing;
use crate::domain::Timestamp;

const ID: &str = "0198c3f2-7a00-7000-8000-000000000001";
/// 2026-01-31T12:04:00Z
const NOW: Timestamp = Timestamp::from_millis(1_769_861_040_000);

fn parse(arguments: &[&str]) -> Result<JobsArgs, clap::Error> {
    testing::parse(arguments)
}

async fn jobs(stub: &Stub, arguments: &[&str]) -> (Exit, Captured) {
    let url = stub.url();
    let run = async |args: JobsArgs, output: &mut _| args.run(pending(), output).await;
    testing::captured(&[arguments, &["--server", &url]].concat(), run).await
}

fn page(count: usize, next: Option<&str>) -> Reply {
    let jobs: Vec<Value> = (0..count).map(|_| job(json!({}))).collect();
    Reply::Json(200, json!({"jobs": jobs, "nextPageToken": next}))
}

#[actix_web::test]
async fn lists_page_by_page_up_to_the_limit() {
    let stub = Stub::start(vec![page(200, Some("2b")), page(50, Some("1f"))]).await;
    let (exit, captured) =
        jobs(&stub, &["--limit", "250", "--resource", "web-1.eu", "--state", "queued", "--state", "running"]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let filter = "resource=web%2D1%2Eeu&state=queued&state=running";
    assert_eq!(
        stub.lines(),
        [format!("GET /v1/jobs?pageSize=200&{filter}"), format!("GET /v1/jobs?pageSize=50&{filter}&pageToken=2b"),]
    );
    assert_eq!(captured.out().lines().count(), 1 + 250);
    assert_eq!(captured.err(), "scalegate: there are more; --limit shows them\n");
}

#[actix_web::test]
async fn a_list_that_ends_early_ends() {
    let stub = Stub::start(vec![page(3, None)]).await;
    let (exit, captured) = jobs(&stub, &["--json"]).await;
    assert_eq!(exit, Exit::Done);
    assert_eq!(stub.lines(), ["GET /v1/jobs?pageSize=20"]);
    let list: Value = serde_json::from_str(&captured.out()).expect("JSON");
    assert_eq!((list["jobs"][2].clone(), list["nextPageToken"].clone()), (job(json!({})), Value::Null));
    let stub = Stub::start(vec![page(0, None)]).await;
    let (exit, captured) = jobs(&stub, &[]).await;
    assert_eq!((exit, captured.out().as_str(), captured.err().as_str()), (Exit::Done, "", "scalegate: no jobs yet\n"));
    let stub = Stub::start(vec![page(0, None)]).await;
    let (_, captured) = jobs(&stub, &["--resource", "worker"]).await;
    assert_eq!(captured.err(), "scalegate: no such jobs\n");
}

#[test]
fn a_row_says_where_the_job_is() {
    let unread = json!({"targetCapacity": null, "delta": -2, "currentCapacity": null, "waitingFor": {"reason": "turn", "detail": "",
        "until": "2026-01-31T12:05:00Z"}, "state": "queued", "endingAs": "canceled",
        "progress": {"completedSteps": 0, "totalSteps": null, "percent": 0, "estimatedCompletionAt": null}});
    let listed: Vec<_> = [json!({}), unread, failed(), succeeded()].into_iter().map(job_view).collect();
    let expected = "\
ID        RESOURCE  STATE                      CAPACITY  STEPS        AGE     NOW
00000001  worker    running                    2 → 5     1/4          3m 59s  cooldown, 1m 1s left
00000001  worker    queued (to be canceled)    by -2     not planned  3m 59s  in the queue
00000001  worker    failed (sidecar_rejected)  2 → 5     1/4          3m 59s  -
00000001  worker    succeeded                  5 → 5     4/4          3m 59s  -";
    assert_eq!(lines(table::HEADER, table::rows(&listed, NOW)).join("\n"), expected);
}

#[test]
fn details_say_everything() {
    let text = details::lines(&job_view(json!({})), NOW).join("\n");
    let (before, settings) = text.split_once("\n  settings   ").expect("the settings");
    let (settings, after) = settings.split_once('\n').expect("more lines");
    assert!(settings.starts_with("step size 1, cooldown 5m, active timeout 15m, poll interval 30s, "), "{settings}");
    let expected = "\
Job 0198c3f2-7a00-7000-8000-000000000001
  resource   worker
  state      running
  capacity   2 (from 1 to 5)
  progress   1/4 steps, 25 %, probably done 12:16:00Z (in 12m)
  waiting    for the cooldown until 12:05:00Z (in 1m)
             Cooling down until 2026-01-31T12:05:00.131Z after the change at 2026-01-31T12:00:00.111Z.
  reason     queue depth 812
  labels     team=data
  created    12:00:00Z (3m 59s ago)
  started    12:00:00Z (3m 59s ago)
  deadline   2026-02-01 12:00:00Z (in 23h 56m)
Steps
     1  add 1: 1 → 2        confirmed     sent 12:00:00Z, resolved 12:00:31Z (31s later)";
    assert_eq!(format!("{before}\n{after}"), expected);
    let text = details::lines(&job_view(failed()), NOW).join("\n");
    assert!(text.contains("\n               the sidecar said (400): quota exceeded\n"), "{text}");
}

#[actix_web::test]
async fn shows_follows_and_cancels_one_job() {
    let ending = json!({"endingAs": "canceled"});
    let followed = [format!("GET /v1/jobs/{ID}"), format!("GET /v1/jobs/{ID}/events")];
    for (arguments, first, then, exit, lines) in [
        (&[ID][..], failed(), None, Exit::Done, vec![format!("GET /v1/jobs/{ID}")]),
        (&[ID, "--wait"], json!({}), Some(failed()), Exit::Failed, followed.to_vec()),
        (&[ID, "--wait"], json!({}), Some(canceled()), Exit::JobStopped, followed.to_vec()),
        (&[ID, "--cancel"], canceled(), None, Exit::Done, vec![format!("POST /v1/jobs/{ID}/cancel")]),
        (
            &[ID, "--cancel", "--wait"],
            ending,
            Some(canceled()),
            Exit::Done,
            vec![format!("POST /v1/jobs/{ID}/cancel"), format!("GET /v1/jobs/{ID}/events")],
        ),
    ] {
        let first = Reply::Json(200, job(first));
        let stub = Stub::start(std::iter::once(first).chain(then.map(|changes| events([changes]))).collect()).await;
        let (ended, captured) = jobs(&stub, arguments).await;
        assert_eq!(ended, exit, "{arguments:?}: {}", captured.err());
        assert_eq!(stub.lines(), lines, "{arguments:?}");
        assert!(captured.out().starts_with(&format!("Job {ID}")), "{}", captured.out());
    }
}

#[actix_web::test]
async fn json_of_one_job_is_the_job() {
    for (arguments, expected) in [
        (&[ID, "--json"][..], json!({})),
        (&[ID, "--cancel", "--json"], json!({})),
        (&[ID, "--wait", "--json"], failed()),
    ] {
        let stub = Stub::start(vec![Reply::Json(200, job(json!({}))), events([failed()])]).await;
        let (_, captured) = jobs(&stub, arguments).await;
        assert_eq!(serde_json::from_str::<Value>(&captured.out()).expect("JSON"), job(expected));
    }
}

#[actix_web::test]
async fn a_job_that_is_not_there_is_refused_at_once() {
    let stub = Stub::start(vec![problem(404, "job_not_found")]).await;
    let (exit, captured) = jobs(&stub, &[ID, "--wait"]).await;
    assert_eq!((exit, stub.seen().len()), (Exit::Refused, 1));
    assert_eq!(captured.err(), "scalegate: A title (404 job_not_found)\n  A detail.\n");
}

#[actix_web::test]
async fn nonsense_is_refused() {
    for arguments in [
        &["not-an-id"][..],
        &["--cancel"],
        &["--state", "sleeping"],
        &["--limit", "0"],
        &["--resource", ".."],
        &[ID, "--state", "queued"],
        &[ID, "--limit", "3"],
    ] {
        assert_eq!(parse(arguments).expect_err("nonsense").exit_code(), Exit::Usage as i32, "{arguments:?}");
    }
    let captured = Captured::default();
    let waiting = parse(&["--wait"]).expect("checked later");
    assert_eq!(waiting.run(pending(), &mut captured.output()).await, Exit::Usage);
    assert_eq!(captured.err(), "scalegate: --wait needs the ID of a job\n");
}

#[actix_web::test]
async fn from_what_a_cancel_keeps_the_policy_is_said() {
    let note = "The policy of worker submits nothing on the way up until 14:15 UTC.";
    for arguments in [&[ID, "--cancel"][..], &[ID, "--cancel", "--wait"]] {
        let noted = Reply::Json(200, job(json!({"endingAs": "canceled", "note": note})));
        let stub = Stub::start(vec![noted, events([canceled()])]).await;
        let (_, captured) = jobs(&stub, arguments).await;
        assert_eq!(captured.out().lines().nth(1), Some(format!("  {note}").as_str()), "{}", captured.out());
    }
}

/// The first answer may have been lost.
#[actix_web::test]
async fn a_job_that_was_canceled_can_be_canceled_again() {
    for (state, expected) in [("canceled", Exit::Done), ("succeeded", Exit::Refused)] {
        let stub =
            Stub::start(vec![problem(409, "job_finished"), Reply::Json(200, job(json!({"state": state})))]).await;
        let (exit, captured) = jobs(&stub, &[ID, "--cancel"]).await;
        assert_eq!(exit, expected, "{} {}", captured.out(), captured.err());
        assert_eq!(stub.lines(), [format!("POST /v1/jobs/{ID}/cancel"), format!("GET /v1/jobs/{ID}")]);
    }
}

#[test]
fn what_is_no_id_is_told_what_one_looks_like() {
    for wrong in ["nonsense", "019", "worker"] {
        let refused = parse(&[wrong]).expect_err("it is no id").to_string();
        assert!(refused.contains("such as 0198c3f2-7a00-7000-8000-000000000001"), "{refused}");
    }
}

#[actix_web::test]
async fn a_part_of_an_id_is_enough_if_one_job_has_it() {
    let [one, other] = ["0198c3f2-7a00-7000-8000-0000000000aa", "0198c3f2-7a00-7000-8000-0000000000ab"];
    let listed = || {
        Reply::Json(200, json!({"jobs": [job(json!({"id": one})), job(json!({"id": other}))], "nextPageToken": null}))
    };
    for (part, id) in [("00AA", one), ("000000ab", other)] {
        let stub = Stub::start(vec![listed(), Reply::Json(200, job(json!({"id": id})))]).await;
        let (exit, captured) = jobs(&stub, &[part]).await;
        assert_eq!((exit, captured.out().lines().next()), (Exit::Done, Some(format!("Job {id}").as_str())));
        assert_eq!(stub.lines(), ["GET /v1/jobs?pageSize=200".to_owned(), format!("GET /v1/jobs/{id}")]);
    }
    let (exit, captured) = jobs(&Stub::start(vec![listed()]).await, &["0198c3f2", "--cancel"]).await;
    let expected = format!(
        "scalegate: 2 jobs have an id that begins or ends with \"0198c3f2\":\n  {one}  worker to 5, running\n  {other}  worker to 5, running\n"
    );
    assert_eq!((exit, captured.err()), (Exit::Usage, expected));
    let (exit, captured) = jobs(&Stub::start(vec![listed()]).await, &["7a00"]).await;
    let expected = "scalegate: no job has an id that begins or ends with \"7a00\"\n";
    assert_eq!((exit, captured.err().as_str()), (Exit::Refused, expected));
}
