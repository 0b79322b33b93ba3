//! What other programs do to the files while the gateway runs: they read them for long, move them away, or delete them.

use std::time::{Duration, Instant};

use super::{COOLDOWN, Stack, behaviour, database, no_step};
use crate::support::failing_disk::SETTINGS;
use crate::support::gateway::{Gateway, PATIENCE};
use crate::support::sidecar::Sidecar;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

/// Its log grows meanwhile, commits go on, and the operator is told; when it has ended, the log is short again.
#[actix_web::test]
async fn a_reader_that_pins_the_log_is_told_of_and_holds_up_nothing() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let connect = || Connection::open(database(dir.path())).expect("the store");
    let (reader, other) = (connect(), connect());
    reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").expect("readable");
    other.execute_batch("CREATE TABLE ballast (blob)").expect("writable");
    for _ in 0..4 {
        other.execute("INSERT INTO ballast VALUES (randomblob(10000000))", []).expect("written");
    }
    let log_bytes = async || {
        let metrics = gateway.get("/metrics").await;
        let line =
            metrics.text().lines().find_map(|line| line.strip_prefix("scalegate_store_log_bytes ").map(str::to_owned));
        line.and_then(|bytes| bytes.parse::<f64>().ok()).expect("a length")
    };
    let long = log_bytes().await;
    assert!(long > 40e6, "{long}");
    let (begin, mut log) = (Instant::now(), Vec::new());
    let says = |log: &[Value], words: &str| {
        log.iter().filter(|line| line["message"].as_str().is_some_and(|message| message.contains(words))).count()
    };
    while says(&log, "kept a transaction open") == 0 {
        let asked = Instant::now();
        let id = gateway.submit(&no_step("worker")).await.id;
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        gateway.finish(id).await;
        assert!(begin.elapsed() < PATIENCE, "the operator is not told: {log:#?}");
        log.extend(gateway.log());
    }
    assert!(log_bytes().await >= long);
    reader.execute_batch("ROLLBACK").expect("over");
    drop(other);
    while log_bytes().await > 32e6 {
        let id = gateway.submit(&no_step("worker")).await.id;
        gateway.finish(id).await;
        assert!(begin.elapsed() < PATIENCE, "the log stays long");
    }
    log.extend(gateway.log_with(|log| says(log, "short again") > 0));
    assert_eq!((says(&log, "kept a transaction open"), says(&log, "short again")), (1, 1), "each once");
}

/// Writing to a file that was removed succeeds, but no process will ever find it again.
#[actix_web::test]
async fn a_data_directory_that_is_moved_away_and_back() {
    let stack = Stack::start();
    let id = stack.between_two_steps().await;
    let data = stack.disk.data();
    let aside = data.with_extension("aside");
    std::fs::rename(&data, &aside).expect("moved");
    let words = ["scalegate.db was removed or replaced", "put back the very files", "restart the gateway"];
    stack.assert_refused("late", &words).await;
    stack.assert_not_ready(&words).await;
    // Another directory in its place does not help, and nothing is begun in it.
    std::fs::create_dir(&data).expect("made");
    tokio::time::sleep(COOLDOWN).await;
    stack.assert_not_ready(&words).await;
    assert_eq!(std::fs::read_dir(&data).expect("a directory").count(), 0);
    assert_eq!(stack.sidecar.changes().len(), 1);
    std::fs::remove_dir(&data).expect("removed");
    std::fs::rename(&aside, &data).expect("moved");
    stack.until_readiness(200).await;
    stack.assert_carried_on(id).await;
}

#[actix_web::test]
async fn files_that_are_deleted() {
    for deleted in
        [&["scalegate.db"][..], &["scalegate.db-wal"], &["scalegate.db", "scalegate.db-wal", "scalegate.db-shm"]]
    {
        let mut stack = Stack::start();
        stack.between_two_steps().await;
        for file in deleted {
            std::fs::remove_file(stack.disk.data().join(file)).expect("removed");
        }
        stack.assert_refused("late", &[&format!("{} was removed", deleted[0]), "restart the gateway"]).await;
        stack.until_readiness(503).await;
        stack.gateway.signal("-TERM");
        assert_eq!(stack.gateway.wait().0, Some(0));
        assert_eq!(stack.sidecar.changes().len(), 1);
    }
}
