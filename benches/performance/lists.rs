//! A page of a list out of very many jobs, whatever the filter and wherever the page is.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::load::{Client, runtime};
use super::many_jobs::{RESOURCES, Shape, fill};
use super::process::Process;
use super::table::{Table, thousands};

const JOBS: usize = 1_000_000;
const PAGES: usize = 200;

pub fn measure(table: &mut Table) {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk");
    fill(directory.path(), JOBS, Shape::Mixed);
    let gateway = Process::gateway(directory.path(), "http://127.0.0.1:9", &["--keep-finished-count", "1000000"]);
    let mut slowest = (0.0, String::new());
    let first = runtime().block_on(async {
        let mut client = Client::connect(gateway.address).await;
        let first = page(&mut client, &gateway, "").await;
        let middle = RESOURCES / 2;
        for filter in [
            "state=succeeded".to_owned(),
            "state=queued".to_owned(),
            "state=failed&state=running&state=queued".to_owned(),
            "state=canceled".to_owned(),
            format!("resource=r{middle}"),
            format!("resource=r{middle}&state=failed"),
            "resource=nowhere".to_owned(),
        ] {
            for deep in ["", "&pageToken=7a120", "&pageToken=3e8"] {
                let query = format!("&{filter}{deep}");
                let ratio = page(&mut client, &gateway, &query).await.as_secs_f64() / first.as_secs_f64();
                if ratio > slowest.0 {
                    slowest = (ratio, query);
                }
            }
        }
        first
    });
    table.row(
        &format!("a page of 50 out of {} jobs, any filter, any page", thousands(JOBS as f64)),
        format!("the first page: {:.2} ms", first.as_secs_f64() * 1000.0),
        format!("at most {:.2} × (`{}`)", slowest.0, slowest.1.trim_start_matches('&')),
        "≤ 2 ×",
    );
}

/// How long such a page takes, in the middle of many.
async fn page(client: &mut Client, gateway: &Process, query: &str) -> Duration {
    let key = gateway.key.expose();
    let request =
        format!("GET /v1/jobs?pageSize=50{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n");
    let mut taken = Vec::new();
    for _ in 0..PAGES {
        let begun = Instant::now();
        assert_eq!(client.exchange(request.as_bytes()).await, 200, "{query}: {}", client.text());
        taken.push(begun.elapsed());
    }
    taken.sort_unstable();
    taken[PAGES / 2]
}
