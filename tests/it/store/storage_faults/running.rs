//! The disk fails while the gateway runs.

use std::time::{Duration, Instant};

use super::{BROKEN, FAILURES, FULL, Stack, assert_refused_start, assert_says, assert_unavailable, no_step};
use crate::support::failing_disk::{EIO, ENOSPC};
use crate::support::gateway::{run_to_its_end, scalegate};
use scalegate::domain::StateName;
use serde_json::{Value, json};

#[actix_web::test]
async fn what_cannot_be_written_is_not_accepted() {
    for (operation, number, remedy) in FAILURES {
        let stack = Stack::start();
        let before = stack.gateway.submit(&no_step("before")).await.id;
        stack.gateway.finish(before).await;
        stack.disk.fails(operation, number);
        for resource in ["first", "second", "third"] {
            stack.assert_refused(resource, &["scalegate.db", remedy]).await;
            stack.assert_not_ready(&["scalegate.db", remedy]).await;
        }
        assert!(stack.disk.failures(operation) > 0);
        // What is known can still be read.
        assert_eq!(stack.gateway.job(before).await.state, StateName::Succeeded);
        assert_eq!(stack.jobs().await, [before]);
        stack.until_failed_again(operation, 1).await;

        stack.disk.works();
        stack.until_readiness(200).await;
        let after = stack.gateway.submit(&no_step("after")).await.id;
        assert_eq!(stack.gateway.finish(after).await.state, StateName::Succeeded);
        // What is shown now is what a new process finds.
        let shown = stack.jobs().await;
        assert!(shown.starts_with(&[after]) && shown.ends_with(&[before]), "{shown:?}");
        let stack = stack.restart();
        assert_eq!(stack.jobs().await, shown);
    }
}

/// The disk fails in a cooldown. The first thing to be written after it is the intent of the second change.
#[actix_web::test]
async fn without_a_durable_intent_nothing_is_sent() {
    for (operation, number, remedy) in FAILURES {
        let stack = Stack::start();
        let id = stack.between_two_steps().await;
        stack.disk.fails(operation, number);
        stack.until_readiness(503).await;
        stack.assert_not_ready(&["scalegate.db", remedy]).await;
        stack.until_failed_again(operation, 4).await;
        assert_eq!(stack.sidecar.changes().len(), 1);
        assert_eq!(stack.gateway.job(id).await.steps.len(), 1);
        stack.disk.works();
        stack.assert_carried_on(id).await;
    }
}

#[actix_web::test]
async fn a_gateway_that_dies_with_its_disk_goes_on_when_that_works_again() {
    for (operation, number, remedy) in FAILURES {
        let mut stack = Stack::start();
        let id = stack.between_two_steps().await;
        stack.disk.fails(operation, number);
        stack.assert_refused("late", &[remedy]).await;
        stack.kill();
        assert_refused_start(run_to_its_end(&mut stack.disk.command(&stack.sidecar)), &[remedy]);
        stack.disk.works();
        let stack = stack.restart();
        stack.assert_carried_on(id).await;
        // Whether the refused job is there is open; if it is, it is a job like any other.
        for id in stack.jobs().await {
            assert_eq!(stack.gateway.finish(id).await.state, StateName::Succeeded);
        }
    }
}

/// What is said is why it does not work *now*.
#[actix_web::test]
async fn a_failure_that_becomes_another_one_is_reported() {
    let stack = Stack::start();
    stack.disk.fails("write", ENOSPC);
    stack.assert_refused("late", &[FULL]).await;
    stack.disk.fails("write", EIO);
    stack.until_failed_again("write", 2).await;
    stack.until_not_ready(BROKEN).await;
    stack.gateway.log_with(|log| {
        let said =
            |text: &str| log.iter().any(|line| line["message"].as_str().is_some_and(|message| message.contains(text)));
        said("no job is accepted or moved on until it works again") && said("in another way")
    });
    stack.disk.works();
    stack.until_readiness(200).await;
}

/// A backup that finds no room says which file it is about, and leaves nothing behind.
#[actix_web::test]
async fn a_backup_without_room_is_none() {
    let stack = Stack::start();
    let file = stack.disk.data().join("copy");
    stack.disk.fails("write", ENOSPC);
    let mut command = scalegate();
    command.arg("backup").arg(&file).arg("--data-dir").arg(stack.disk.data());
    let refused = run_to_its_end(&mut stack.disk.under(command));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert_says(&said, &[&format!("the backup {} cannot be written", file.display())]);
    let names = std::fs::read_dir(stack.disk.data()).expect("readable").map(|file| file.expect("a file").file_name());
    let left: Vec<_> = names.filter(|name| !name.to_string_lossy().starts_with("scalegate.")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A stop does not wait for a disk that does not work.
#[actix_web::test]
async fn it_can_be_stopped_while_the_disk_fails() {
    let mut stack = Stack::start();
    let id = stack.between_two_steps().await;
    stack.disk.fails("sync", EIO);
    stack.until_readiness(503).await;
    stack.gateway.signal("-TERM");
    assert_eq!(stack.gateway.wait().0, Some(0));
    stack.disk.works();
    stack.restart().assert_carried_on(id).await;
}

/// A disk that hangs does not say so. What is asked for meanwhile is not done later on the sly.
#[actix_web::test]
async fn a_disk_that_hangs_is_noticed() {
    let stack = Stack::start();
    let id = stack.between_two_steps().await;
    stack.disk.hangs("sync");
    let wish = no_step("first");
    let (first, ()) = futures_util::join!(stack.gateway.post("/v1/jobs", &wish), async {
        stack.until_readiness(503).await;
        stack.assert_not_ready(&["it is stuck", "is not on the disk yet", "hangs"]).await;
        let begin = Instant::now();
        stack.assert_refused("second", &["it is stuck", "is not on the disk yet", "hangs"]).await;
        assert!(begin.elapsed() < Duration::from_secs(5), "no request waits for a disk that is known to hang");
        assert!(stack.gateway.get("/metrics").await.text().contains("scalegate_engine_available 0"));
    });
    assert_eq!((first.status, first.problem().code.as_str()), (504, "outcome_unknown"));
    assert_says(&first.problem().detail, &["may still be done", "Idempotency-Key"]);
    stack.disk.works();
    stack.until_readiness(200).await;
    stack.gateway.log_with(|log| {
        let said = |text| log.iter().any(|line| line["message"].as_str().is_some_and(|message| message.contains(text)));
        said("the store is stuck: what was to be written") && said("the store is written again")
    });
    let (wanted, unwanted) = (stack.gateway.get("/v1/jobs?resource=first").await, "/v1/jobs?resource=second");
    assert_eq!(wanted.json()["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(stack.gateway.get(unwanted).await.json()["jobs"], json!([]));
    // No caller is said to have been refused what was then done.
    let audit = stack.gateway.get("/v1/audit").await.json();
    let of_first = |entry: &&Value| entry["resource"] == "first";
    let outcomes = audit["entries"].as_array().expect("entries").iter().filter(of_first).map(|entry| &entry["outcome"]);
    assert_eq!(outcomes.collect::<Vec<_>>(), ["accepted"]);
    stack.assert_carried_on(id).await;
}

#[actix_web::test]
async fn it_can_be_stopped_while_the_disk_hangs() {
    let mut stack = Stack::start();
    let id = stack.between_two_steps().await;
    stack.disk.hangs("sync");
    // The intent of the second step is on its way by then.
    stack.until_readiness(503).await;
    stack.gateway.signal("-TERM");
    assert_eq!(stack.gateway.wait().0, Some(0));
    stack.disk.works();
    stack.restart().assert_carried_on(id).await;
}

/// Linux forgets what a failed sync did not get onto the disk. Neither the process that saw it fail nor the next one,
/// which only sees files that look whole, may let anything it promises rest on that.
#[actix_web::test]
async fn a_power_cut_after_a_failed_sync_takes_nothing_that_was_promised() {
    for restarted in [false, true] {
        let mut stack = Stack::start();
        let id = stack.between_two_steps().await;
        let before = stack.gateway.submit(&no_step("before")).await.id;
        stack.disk.fails("sync", EIO);
        // The commit meets it, or the log that is being truncated just then.
        stack.assert_refused("refused", &["disk"]).await;
        if restarted {
            stack.kill();
            stack.disk.works();
            stack = stack.restart();
        } else {
            stack.disk.works();
            stack.until_readiness(200).await;
        }
        let after = stack.gateway.submit(&no_step("after")).await.id;
        stack.kill();
        stack.disk.cut_power();
        let stack = stack.restart();
        let jobs = stack.jobs().await;
        for (promised, when) in [(id, "first"), (before, "before"), (after, "after")] {
            assert!(jobs.contains(&promised), "the job submitted {when} is lost, restarted: {restarted}");
        }
        stack.assert_carried_on(id).await;
    }
}

/// What is in memory is served; the rest is not made up.
#[actix_web::test]
async fn what_cannot_be_read_is_not_made_up() {
    let stack = Stack::start();
    let key = [("Idempotency-Key", "k")];
    let body = no_step("worker");
    let job = stack.gateway.post_with("/v1/jobs", &body, &key).await.job();
    stack.gateway.finish(job.id).await;
    let stack = stack.restart();
    stack.disk.fails("read", EIO);
    assert_unavailable(
        &stack.gateway.get("/v1/jobs?state=succeeded").await,
        "storage_unavailable",
        &["cannot be read"],
    );
    let path = format!("/v1/jobs/{}", job.id);
    assert_unavailable(&stack.gateway.get(&path).await, "storage_unavailable", &["job cannot be read"]);
    stack.disk.works();
    assert_eq!(stack.gateway.job(job.id).await.state, StateName::Succeeded);
    assert_eq!(stack.jobs().await, [job.id]);
    let replayed = stack.gateway.post_with("/v1/jobs", &body, &key).await;
    assert_eq!((replayed.header("idempotency-replayed"), replayed.job().id), (Some("true"), job.id));
}
