//! Everything that can go wrong between the gateway and the sidecar, over real sockets: the real client against servers
//! that follow a script, byte by byte.
//!
//! The test runs every way of every row of [`table`], once as a change and once as a reading, and fails if one counts
//! as something else, if the server saw the request more than once, or if the call took too long. The table in
//! `src/sidecar/faults.md` is written from it.

mod kept_connections;
mod server;
mod table;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::sidecar::{units, worker};
use futures_util::future::join_all;
use scalegate::domain::{Alias, MAX_DISPATCH, Move, Origin};
use scalegate::sidecar::{HttpSidecar, REQUEST_TIMEOUT, Sidecar as _};
use server::{Act, READING, Running, Server, answer, ok, sends, sends_and};
use table::{Change, Reading, Row, longer, table};

/// The client waits so long for an answer: longer than for a connection, long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(6);
/// A call that takes this long did not keep to [`TIMEOUT`].
const TOO_LONG: Duration = Duration::from_secs(10);

fn client(address: SocketAddr) -> HttpSidecar {
    HttpSidecar::new(format!("http://{address}"), TIMEOUT)
}

/// Calls in this file are made on behalf of no caller.
fn no_caller() -> Origin {
    Origin::default()
}

fn add_one() -> Move {
    Move::toward(units(1), units(2), 1).expect("a distance")
}

/// What came of one call.
struct Observed<T> {
    answer: T,
    took: Duration,
    running: Running,
}

async fn observe<T>(server: Server, call: impl AsyncFnOnce(&HttpSidecar, &Alias) -> T) -> Observed<T> {
    let running = server.start().await;
    let sidecar = client(running.address);
    let begin = Instant::now();
    let answer = call(&sidecar, &worker()).await;
    Observed { answer, took: begin.elapsed(), running }
}

impl<T: std::fmt::Debug> Observed<T> {
    /// What is wrong about how it was asked.
    fn complaints(&self, server: &Server) -> Vec<String> {
        let Observed { answer, took, running } = self;
        let (connections, requests) = (running.seen.connections.get(), running.seen.requests.get());
        let (least, most) = match server {
            Server::Absent | Server::Deaf => (0, 0),
            Server::Follows(acts) => (usize::from(matches!(acts.first(), Some(Act::Read))), 1),
        };
        let mut complaints = Vec::new();
        if connections > most || !(least..=most).contains(&requests) {
            complaints.push(format!("seen over {connections} connections {requests} times, {answer:?}"));
        }
        if *took >= TOO_LONG {
            complaints.push(format!("took {took:?}, {answer:?}"));
        }
        complaints
    }
}

/// What is wrong with one way of a row.
async fn complaints(row: &Row, name: &str, server: &Server) -> Vec<String> {
    let (change, reading) = futures_util::join!(
        observe(server.clone(), async |sidecar, worker| sidecar.change(worker, add_one(), &no_caller()).await),
        observe(server.clone(), async |sidecar, worker| sidecar.read(worker, &no_caller()).await),
    );
    let mut complaints = [change.complaints(server), reading.complaints(server)].concat();
    if Change::of(&change.answer) != row.change {
        complaints.push(format!("the change counts as {:?}", change.answer));
    }
    if Reading::of(&reading.answer) != row.reading {
        complaints.push(format!("the reading counts as {:?}", reading.answer));
    }
    if let Ok(reading) = &reading.answer
        && (reading.status.as_str(), reading.capacity.units()) != ("ACTIVE", 5)
    {
        complaints.push(format!("read as {reading:?}"));
    }
    complaints.into_iter().map(|complaint| format!("{} ({name}): {complaint}", row.happens)).collect()
}

#[actix_web::test]
async fn everything_counts_as_the_table_says() {
    let elsewhere = sends(ok(READING)).start().await;
    let table = table(elsewhere.address);
    let ways = table.iter().flat_map(|row| row.ways.iter().map(move |(name, server)| (row, name, server)));
    let complaints: Vec<String> =
        join_all(ways.map(|(row, name, server)| complaints(row, name, server))).await.into_iter().flatten().collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert_eq!(elsewhere.seen.connections.get(), 0, "a redirect was followed");
    let limits = [REQUEST_TIMEOUT, MAX_DISPATCH].map(|limit| limit.as_secs());
    assert_eq!(limits, [60, 1], "the document has other numbers");
    assert_documented(&table);
}

/// The reason in a job says where to look.
#[actix_web::test]
async fn failures_are_called_by_their_names() {
    let pause = Act::Pause(Duration::from_millis(300));
    let names = [
        (Server::Absent, "cannot connect to the sidecar: Connection refused"),
        (Server::Deaf, "no connection to the sidecar in time"),
        (Server::Follows(vec![Act::Read, Act::Reset]), "connection failed: Connection reset by peer"),
        (Server::Follows(vec![Act::Read]), "connection closed without an answer"),
        (Server::Follows(vec![Act::Hang]), "no answer within 6 s"),
        (sends("SSH-2.0-OpenSSH_9.6\r\n"), "the answer is not HTTP"),
        (sends_and(longer(READING), [pause, Act::Reset]), "the answer broke off: "),
        (sends_and(longer(READING), [Act::Hang]), "the answer took longer than 6 s"),
        (sends(ok("x".repeat(70_000))), "the answer is larger than 65536 bytes"),
        (sends(answer("HTTP/1.1 500 No", "")), "the sidecar answered with status 500"),
        (sends(ok("<html>")), "the sidecar's answer makes no sense: expected value"),
        (sends(ok(READING.replace('5', "-5"))), "the sidecar claims a capacity of -5"),
    ];
    join_all(names.map(async |(server, name)| {
        let observed = observe(server, async |sidecar, worker| sidecar.read(worker, &no_caller()).await).await;
        let detail = observed.answer.expect_err("a failure").detail;
        assert!(detail.starts_with(name), "\"{detail}\" instead of \"{name}\"");
    }))
    .await;
}

/// Fails if the document says something else than `table`, or writes it there if told to.
fn assert_documented(table: &[Row]) {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sidecar/faults.md");
    let document = std::fs::read_to_string(PATH).expect("the document");
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| What happens");
    let (before, after) = document.split_once("|---|---|---|\n").expect("a table");
    let after: String = after.split_inclusive('\n').skip_while(is_row).collect();
    let rows: String = table.iter().map(Row::render).collect();
    let expected = format!("{before}|---|---|---|\n{rows}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, expected).expect("written");
    } else {
        assert!(document == expected, "{PATH} is out of date: UPDATE_DOCS=1 cargo test --test it sidecar_faults");
    }
}
