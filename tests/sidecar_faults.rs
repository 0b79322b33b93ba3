//! Everything that can go wrong between the gateway and the sidecar, over real sockets: the real client against servers
//! that follow a script, byte by byte.
//!
//! [`table`] is the only place that says what counts as what. The test runs every way of every row, once as a change
//! and once as a reading, and fails if one counts as something else, if the server saw the request more than once, or if
//! the call took too long. The table in `src/sidecar/faults.md` is written from it.

mod support;

use std::cell::Cell;
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use scalegate::domain::{Alias, ChangeAnswer, MAX_DISPATCH, Move, Origin, ReadFailure};
use scalegate::sidecar::{HttpSidecar, REQUEST_TIMEOUT, RawReading, Sidecar as _};
use support::sidecar::{units, worker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// The client waits so long for an answer: longer than for a connection, long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(6);
/// A call that takes this long did not keep to [`TIMEOUT`].
const TOO_LONG: Duration = Duration::from_secs(10);
/// A reading in good order.
const READING: &str =
    r#"{"instanceId":"i","resourceId":"r","resourceAlias":"worker","status":"ACTIVE","currentCapacity":5}"#;

// ---- what a server does ---------------------------------------------------------------------------------------

/// One thing a server does with a connection. After the last one it closes it.
#[derive(Clone, Debug)]
enum Act {
    /// Reads the whole request.
    Read,
    Send(Vec<u8>),
    /// Sends a byte at a time, so long apart.
    Trickle(Vec<u8>, Duration),
    Pause(Duration),
    /// Does nothing more, and keeps the connection.
    Hang,
    /// Closes with a reset.
    Reset,
}

/// What there is at the sidecar's address.
#[derive(Clone, Debug)]
enum Server {
    /// Nobody.
    Absent,
    /// Somebody who takes no connection: the queue of those waiting to be taken is full.
    Deaf,
    /// Somebody who does this with every connection.
    Follows(Vec<Act>),
}

/// What a server has seen.
#[derive(Default)]
struct Seen {
    connections: Cell<usize>,
    requests: Cell<usize>,
}

fn increment(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

/// A running server. Gone when dropped.
struct Running {
    address: SocketAddr,
    seen: Rc<Seen>,
    serving: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    async fn start(self) -> Running {
        let seen = Rc::new(Seen::default());
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = socket.local_addr().expect("an address");
        let serving = match self {
            Self::Absent => tokio::task::spawn_local(async {}),
            Self::Deaf => {
                let listener = socket.listen(1).expect("listening");
                let queue = fill_queue(address).await;
                tokio::task::spawn_local(async move {
                    let _kept = (listener, queue);
                    pending().await
                })
            }
            Self::Follows(acts) => {
                let listener = socket.listen(16).expect("listening");
                tokio::task::spawn_local(serve(listener, acts, Rc::clone(&seen)))
            }
        };
        Running { address, seen, serving }
    }
}

/// Connects until nobody gets through any more.
async fn fill_queue(address: SocketAddr) -> Vec<TcpStream> {
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        queue.push(stream);
    }
    queue
}

async fn serve(listener: TcpListener, acts: Vec<Act>, seen: Rc<Seen>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        increment(&seen.connections);
        connections.spawn_local(follow(stream, acts.clone(), Rc::clone(&seen)));
    }
}

/// Does what the script says, as long as the other side is there.
async fn follow(mut stream: TcpStream, acts: Vec<Act>, seen: Rc<Seen>) -> Option<()> {
    for act in acts {
        match act {
            Act::Read => {
                read_request(&mut stream).await?;
                increment(&seen.requests);
            }
            Act::Send(bytes) => stream.write_all(&bytes).await.ok()?,
            Act::Trickle(bytes, apart) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await.ok()?;
                    tokio::time::sleep(apart).await;
                }
            }
            Act::Pause(time) => tokio::time::sleep(time).await,
            Act::Hang => pending().await,
            Act::Reset => {
                stream.set_zero_linger().expect("a socket option");
                return None;
            }
        }
    }
    stream.shutdown().await.ok()
}

/// Reads one request, body and all; `None` if the other side goes before. Its head, as text.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("the client sends text").to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await.ok()?;
    Some(head)
}

// ---- answers --------------------------------------------------------------------------------------------------

/// A whole answer, with its length.
fn answer(status_line: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    with_headers(status_line, "Content-Type: application/json\r\n", body)
}

fn with_headers(status_line: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("{status_line}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("HTTP/1.1 200 OK", body)
}

/// Reads the request and sends this.
fn sends(bytes: impl Into<Vec<u8>>) -> Server {
    Server::Follows(vec![Act::Read, Act::Send(bytes.into())])
}

/// Reads the request, sends this, and then does that.
fn sends_and(bytes: impl Into<Vec<u8>>, then: impl IntoIterator<Item = Act>) -> Server {
    Server::Follows([Act::Read, Act::Send(bytes.into())].into_iter().chain(then).collect())
}

fn with_status(status: u16) -> (String, Server) {
    (format!("status {status}"), sends(answer(&format!("HTTP/1.1 {status} Words"), READING)))
}

fn with_body(name: &str, body: impl AsRef<[u8]>) -> (String, Server) {
    (name.into(), sends(ok(body)))
}

fn named(name: &str, server: Server) -> (String, Server) {
    (name.into(), server)
}

fn does(name: &str, acts: impl Into<Vec<Act>>) -> (String, Server) {
    (name.into(), Server::Follows(acts.into()))
}

// ---- the table ------------------------------------------------------------------------------------------------

/// What a change counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    NotApplied,
    Acknowledged,
    Rejected,
    Unknown,
}

impl Change {
    fn of(answer: &ChangeAnswer) -> Self {
        match answer {
            ChangeAnswer::NotSent { .. } => Self::NotApplied,
            ChangeAnswer::Acknowledged => Self::Acknowledged,
            ChangeAnswer::Rejected(_) => Self::Rejected,
            ChangeAnswer::Unknown { .. } => Self::Unknown,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotApplied => "not applied",
            Self::Acknowledged => "acknowledged",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }
}

/// What a reading counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Usable,
    Failure,
    NotFound,
}

impl Reading {
    fn of(reading: &Result<RawReading, ReadFailure>) -> Self {
        match reading {
            Ok(_) => Self::Usable,
            Err(failure) if failure.not_found => Self::NotFound,
            Err(_) => Self::Failure,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Failure => "failed",
            Self::NotFound => "not found",
        }
    }
}

/// Everything that counts as the same, in all the ways it can happen.
struct Row {
    happens: &'static str,
    change: Change,
    reading: Reading,
    ways: Vec<(String, Server)>,
}

impl Row {
    fn render(&self) -> String {
        format!("| {} | {} | {} |\n", self.happens, self.change.words(), self.reading.words())
    }
}

/// The redirects all lead to `elsewhere`.
fn table(elsewhere: SocketAddr) -> Vec<Row> {
    use Change::{Acknowledged, NotApplied, Rejected, Unknown};
    use Reading::{Failure, NotFound, Usable};
    let row = |happens, change, reading, ways| Row { happens, change, reading, ways };
    vec![
        row("The connection is refused", NotApplied, Failure, vec![named("nobody there", Server::Absent)]),
        row(
            "There is no connection in time: 1 s for a change, 5 s for a reading",
            NotApplied,
            Failure,
            vec![named("nobody takes it", Server::Deaf)],
        ),
        row("The connection is closed or reset before the head of an answer is complete", Unknown, Failure, cut_off()),
        row("The head of an answer is not complete in time", Unknown, Failure, too_late()),
        row(
            "The answer is not HTTP/1, or its head is larger than 128 KiB or has more than 96 fields",
            Unknown,
            Failure,
            not_http(),
        ),
        row("200, and the body has a status and a capacity", Acknowledged, Usable, good()),
        row(
            "200, and the body breaks off, is not complete in time, is larger than 64 KiB, or has no length (HTTP/1.1)",
            Acknowledged,
            Failure,
            broken_bodies(),
        ),
        row(
            "200, and the body is something else: empty, not JSON, a field missing, given twice or of a wrong type, a \
             capacity that is negative, fractional or too large",
            Acknowledged,
            Failure,
            other_bodies(),
        ),
        row("201 to 299", Acknowledged, Failure, [201, 202, 203, 204, 205, 206, 226, 299].map(with_status).into()),
        row("1xx, whatever comes after it", Unknown, Failure, interim()),
        row("300 to 399, wherever it leads", Unknown, Failure, redirects(elsewhere)),
        row("404", Rejected, NotFound, not_found()),
        row("408, 425, 429", Unknown, Failure, [408, 425, 429].map(with_status).into()),
        row("Any other 4xx", Rejected, Failure, refusals()),
        row("500 and above", Unknown, Failure, [500, 501, 502, 503, 504, 507, 599, 600, 999].map(with_status).into()),
    ]
}

fn cut_off() -> Vec<(String, Server)> {
    let half = |bytes: &[u8]| Act::Send(bytes.to_vec());
    vec![
        does("closed, the request unread", []),
        does("reset, the request unread", [Act::Reset]),
        does("closed, the request read", [Act::Read]),
        does("reset, the request read", [Act::Read, Act::Reset]),
        does("closed within the status line", [Act::Read, half(b"HTTP/1.1 20")]),
        does("closed after the status line", [Act::Read, half(b"HTTP/1.1 200 OK\r\n")]),
        does("closed within the headers", [Act::Read, half(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")]),
        does(
            "reset within the headers",
            [Act::Read, half(b"HTTP/1.1 200 OK\r\nContent-Le"), Act::Pause(Duration::from_millis(100)), Act::Reset],
        ),
    ]
}

fn too_late() -> Vec<(String, Server)> {
    let slowly = Duration::from_millis(200);
    vec![
        does("silence, the request unread", [Act::Hang]),
        does("silence, the request read", [Act::Read, Act::Hang]),
        does("silence within the headers", [Act::Read, Act::Send(b"HTTP/1.1 200 OK\r\nContent-".into()), Act::Hang]),
        does("headers a byte at a time", [Act::Read, Act::Trickle(ok(READING), slowly)]),
    ]
}

fn not_http() -> Vec<(String, Server)> {
    let many_fields: String = (0..100).map(|field| format!("X-Field-{field}: 1\r\n")).collect();
    let long_field = format!("X-Field: {}\r\n", "x".repeat(200_000));
    let twice = format!("Content-Length: {}\r\n", READING.len());
    let mut ways = vec![
        named("too many fields", sends(with_headers("HTTP/1.1 200 OK", &many_fields, READING))),
        named("too large a field", sends_and(with_headers("HTTP/1.1 200 OK", &long_field, READING), [Act::Hang])),
        named("two lengths", sends(with_headers("HTTP/1.1 200 OK", &twice, READING))),
        named("a length that is no number", sends("HTTP/1.1 200 OK\r\nContent-Length: long\r\n\r\n{}")),
        named("HTTP/0.9", sends(READING)),
        named("a TLS alert", sends(b"\x15\x03\x01\x00\x02\x02\x46".to_vec())),
        named("an HTTP/2 preface", sends("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        named("another protocol", sends("SSH-2.0-OpenSSH_9.6\r\n")),
    ];
    for line in ["HTTP/1.1 OK", "HTTP/1.1 20 OK", "HTTP/1.1 99 Low", "HTTP/1.1 2000 OK", "HTTP/9 200 OK", "200 OK"] {
        ways.push(named(line, sends(answer(line, READING))));
    }
    ways
}

/// `body` in one chunk, and then whatever ends it.
fn chunked(body: &str, end: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n{end}", body.len())
}

/// `body` as the beginning of a longer one.
fn longer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len() + 1)
}

fn good() -> Vec<(String, Server)> {
    let extra = READING.replacen('{', r#"{"new":[1,{"a":null}],"capacity":7,"#, 1);
    let deep = READING.replacen('{', &format!(r#"{{"deep":{}{},"#, "[".repeat(20_000), "]".repeat(20_000)), 1);
    let slowly = Duration::from_millis(4);
    vec![
        with_body("plain", READING),
        with_body("more fields", extra),
        with_body("a deep field that nobody needs", deep),
        with_body("white space around it", format!("\r\n {READING}\n")),
        named("chunked", sends(chunked(READING, "0\r\n\r\n"))),
        named("as text/html", sends(with_headers("HTTP/1.1 200 OK", "Content-Type: text/html\r\n", READING))),
        named("without a content type", sends(with_headers("HTTP/1.1 200 OK", "", READING))),
        named("no reason phrase", sends(answer("HTTP/1.1 200", READING))),
        named("HTTP/1.0, ended by closing", sends(format!("HTTP/1.0 200 OK\r\n\r\n{READING}"))),
        does("slowly, but in time", [Act::Read, Act::Trickle(ok(READING), slowly)]),
        named("closed before the length is reached, the object whole", sends(longer(READING))),
        named("closed before the last chunk, the object whole", sends(chunked(READING, ""))),
        named("garbage behind it", sends([ok(READING), b"\x00garbage".to_vec()].concat())),
        named("a second answer behind it", sends([ok(READING), answer("HTTP/1.1 500 No", "")].concat())),
        named("a reset behind it", sends_and(ok(READING), [Act::Pause(Duration::from_millis(300)), Act::Reset])),
        named("silence behind it", sends_and(ok(READING), [Act::Hang])),
    ]
}

fn broken_bodies() -> Vec<(String, Server)> {
    let broken = &READING[..READING.len() - 1];
    let late = Act::Pause(TIMEOUT - Duration::from_secs(1));
    let reset = [Act::Pause(Duration::from_millis(300)), Act::Reset];
    let trickled = Act::Trickle(READING.into(), Duration::from_millis(200));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", READING.len());
    vec![
        named("closed before the length is reached", sends(longer(broken))),
        named("closed before the last chunk", sends(chunked(broken, ""))),
        named("reset before the length is reached", sends_and(longer(READING), reset.clone())),
        named("reset before the last chunk", sends_and(chunked(READING, ""), reset)),
        named("silence before the length is reached", sends_and(longer(READING), [Act::Hang])),
        named("silence before the last chunk", sends_and(chunked(READING, ""), [Act::Hang])),
        named("a chunk of no size", sends(chunked(READING, "xyz\r\n{}\r\n0\r\n\r\n"))),
        named("a byte at a time", sends_and(head, [trickled])),
        does("silence after a late head", [Act::Read, late, Act::Send(longer(READING).into()), Act::Hang]),
        with_body("too large", format!("{READING}{}", " ".repeat(64 * 1024))),
        named("no length", sends(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{READING}"))),
    ]
}

fn other_bodies() -> Vec<(String, Server)> {
    let capacity = |value: &str| READING.replace("5", value);
    let status = |value: &str| READING.replace("\"ACTIVE\"", value);
    let deep = format!(r#","lastObservedTimestamp":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let mut ways = vec![
        with_body("empty", ""),
        with_body("a page", "<!DOCTYPE html><title>Sign in</title>"),
        with_body("half an object", &READING[..READING.len() / 2]),
        with_body("an object and more", format!("{READING}{READING}")),
        with_body("a list", format!("[{READING}]")),
        with_body("null", "null"),
        with_body("text", "\"ACTIVE\""),
        with_body(
            "not UTF-8",
            READING.as_bytes().iter().map(|byte| if *byte == b'V' { 0xFF } else { *byte }).collect::<Vec<_>>(),
        ),
        with_body("UTF-16", READING.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
        with_body("compressed", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
        with_body("no status", r#"{"currentCapacity":5}"#),
        with_body("no capacity", r#"{"status":"ACTIVE"}"#),
        with_body("no fields", "{}"),
        with_body("a field of another case", READING.replace("currentCapacity", "CurrentCapacity")),
        with_body("two capacities", READING.replacen('{', r#"{"currentCapacity":4,"#, 1)),
        with_body("two statuses", READING.replacen('{', r#"{"status":"FAILED","#, 1)),
        with_body("a needed field too deep", READING.replace('}', &deep)),
    ];
    for value in ["\"5\"", "null", "true", "[5]", "-1", "-0.0", "5.0", "5.5", "5e0", "1e999", "1000001", "4294967296"] {
        ways.push(with_body(&format!("capacity {value}"), capacity(value)));
    }
    for value in ["99999999999999999999999999", "NaN", "Infinity", "05", "0x5", "5_0", ""] {
        ways.push(with_body(&format!("capacity {value}"), capacity(value)));
    }
    for value in ["null", "1", "[\"ACTIVE\"]", "{}"] {
        ways.push(with_body(&format!("status {value}"), status(value)));
    }
    ways
}

fn interim() -> Vec<(String, Server)> {
    let interim = |status: u16| format!("HTTP/1.1 {status} Wait\r\n\r\n").into_bytes();
    let mut ways: Vec<_> = [100, 102, 103]
        .map(|status| named(&format!("{status} and 200"), sends([interim(status), ok(READING)].concat())))
        .into();
    ways.push(named("100 and nothing", sends_and(interim(100), [Act::Hang])));
    ways.push(named("199", sends(interim(199))));
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    ways.push(named("101", sends(*switch)));
    ways.push(named("101 and silence", sends_and(*switch, [Act::Hang])));
    ways
}

fn redirects(elsewhere: SocketAddr) -> Vec<(String, Server)> {
    let to = |status: u16, location: &str| {
        let head = format!("HTTP/1.1 {status} Elsewhere");
        let name = format!("status {status} to {location}");
        (name, sends(with_headers(&head, &format!("Location: {location}\r\n"), READING)))
    };
    let there = format!("http://{elsewhere}/resource/worker/capacity");
    let mut ways: Vec<_> = [300, 301, 302, 303, 305, 307, 308].map(|status| to(status, &there)).into();
    ways.extend([302, 307, 308].map(|status| to(status, "/resource/worker/capacity")));
    ways.extend([304, 306, 399].map(with_status));
    ways
}

fn not_found() -> Vec<(String, Server)> {
    let longer = "HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n{\"name\":\"not";
    vec![
        with_status(404),
        named("a page", sends(answer("HTTP/1.1 404 Not Found", "<html>"))),
        named("a body that breaks off", sends(longer)),
    ]
}

fn refusals() -> Vec<(String, Server)> {
    let large = answer("HTTP/1.1 400 Bad Request", "x".repeat(100_000));
    let mut ways = vec![
        named("a body that breaks off", sends("HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{\"name\":")),
        named("too large a body", sends(large)),
    ];
    ways.extend([400, 401, 402, 403, 405, 406, 407, 409, 410, 411, 412, 413, 415, 417].map(with_status));
    ways.extend([418, 421, 422, 423, 426, 428, 431, 451, 499].map(with_status));
    ways
}

// ---- the table holds ------------------------------------------------------------------------------------------

fn client(address: SocketAddr) -> HttpSidecar {
    HttpSidecar::new(format!("http://{address}"), TIMEOUT)
}

/// Calls in this file are made on nobody's behalf.
fn nobody() -> Origin {
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
        observe(server.clone(), async |sidecar, worker| sidecar.change(worker, add_one(), &nobody()).await),
        observe(server.clone(), async |sidecar, worker| sidecar.read(worker, &nobody()).await),
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

/// Whoever reads the reason in a job knows where to look.
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
        let observed = observe(server, async |sidecar, worker| sidecar.read(worker, &nobody()).await).await;
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
        assert!(document == expected, "{PATH} is out of date: UPDATE_DOCS=1 cargo test --test sidecar_faults");
    }
}

// ---- connections that are kept --------------------------------------------------------------------------------

/// A sidecar of which each test says how it treats its connections, numbered from 1. Readings show as capacity how many
/// requests it has seen.
struct Keeping {
    address: SocketAddr,
    seen: Rc<Seen>,
    serving: JoinHandle<()>,
}

impl Keeping {
    async fn start<F: Future<Output = Option<()>> + 'static>(
        treat: impl Fn(usize, TcpStream, Rc<Seen>) -> F + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Rc::new(Seen::default());
        let counted = Rc::clone(&seen);
        let serving = tokio::task::spawn_local(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                increment(&counted.connections);
                connections.spawn_local(treat(counted.connections.get(), stream, Rc::clone(&counted)));
            }
        });
        Self { address, seen, serving }
    }

    fn seen(&self) -> (usize, usize) {
        (self.seen.connections.get(), self.seen.requests.get())
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Seen {
    /// Reads a request and counts it; its head.
    async fn request(&self, stream: &mut TcpStream) -> Option<String> {
        let head = read_request(stream).await?;
        increment(&self.requests);
        Some(head)
    }

    /// Answers a request in good order, and keeps the connection.
    async fn answer(&self, stream: &mut TcpStream) -> Option<()> {
        let body = READING.replace('5', &self.requests.get().to_string());
        stream.write_all(&with_headers("HTTP/1.1 200 OK", "Connection: keep-alive\r\n", body)).await.ok()
    }
}

async fn capacity(sidecar: &HttpSidecar) -> Result<u32, String> {
    sidecar.read(&worker(), &nobody()).await.map(|reading| reading.capacity.units()).map_err(|failure| failure.detail)
}

#[actix_web::test]
async fn readings_keep_their_connection_and_changes_never_use_it() {
    let server = Keeping::start(|_, mut stream, seen| async move {
        while let Some(head) = seen.request(&mut stream).await {
            assert_eq!(head.contains("connection: close"), head.starts_with("post"), "{head}");
            seen.answer(&mut stream).await?;
        }
        None
    })
    .await;
    let sidecar = client(server.address);
    for expected in [1, 2, 3] {
        assert_eq!(capacity(&sidecar).await, Ok(expected));
    }
    assert_eq!(server.seen(), (1, 3), "one connection for all of them");
    for connections in [2, 3] {
        assert_eq!(sidecar.change(&worker(), add_one(), &nobody()).await, ChangeAnswer::Acknowledged);
        assert_eq!(server.seen().0, connections, "one for each change");
    }
    assert_eq!(capacity(&sidecar).await, Ok(6));
    assert_eq!(server.seen(), (3, 6));
}

/// The kept connection is closed while nobody uses it, with or without a word.
#[actix_web::test]
async fn a_kept_connection_that_was_closed_is_in_nobodys_way() {
    let timed_out = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for words in [&b""[..], timed_out] {
        let closed = Rc::new(tokio::sync::Notify::new());
        let server = {
            let closed = Rc::clone(&closed);
            Keeping::start(move |_, mut stream, seen| {
                let closed = Rc::clone(&closed);
                async move {
                    seen.request(&mut stream).await?;
                    seen.answer(&mut stream).await?;
                    stream.write_all(words).await.ok()?;
                    drop(stream);
                    closed.notify_one();
                    None
                }
            })
            .await
        };
        let sidecar = client(server.address);
        for expected in [1, 2, 3] {
            assert_eq!(capacity(&sidecar).await, Ok(expected));
            closed.notified().await;
        }
        assert_eq!(sidecar.change(&worker(), add_one(), &nobody()).await, ChangeAnswer::Acknowledged);
        assert_eq!(server.seen(), (4, 4));
    }
}

/// It is closed at the very moment of the next request: a reading fails and is not asked for twice, a change has a
/// connection of its own.
#[actix_web::test]
async fn a_kept_connection_that_closes_under_a_request() {
    let server = Keeping::start(|number, mut stream, seen| async move {
        seen.request(&mut stream).await?;
        seen.answer(&mut stream).await?;
        if number > 1 {
            pending::<()>().await;
        }
        seen.request(&mut stream).await.map(drop)
    })
    .await;
    let sidecar = client(server.address);
    assert_eq!(capacity(&sidecar).await, Ok(1));
    assert_eq!(sidecar.change(&worker(), add_one(), &nobody()).await, ChangeAnswer::Acknowledged);
    assert_eq!(server.seen(), (2, 2));
    assert_eq!(capacity(&sidecar).await, Err("connection closed without an answer".into()));
    assert_eq!(server.seen(), (2, 3));
    assert_eq!(capacity(&sidecar).await, Ok(4));
}

/// An answer that comes late must not be taken for the answer to a later request: it would be an old reading that looks
/// new. Here the real answer comes after an interim one, when the next request is on its way.
#[actix_web::test]
async fn a_late_answer_is_not_taken_for_the_next_one() {
    for interim in [100, 102, 103] {
        let server = Keeping::start(move |number, mut stream, seen| async move {
            seen.request(&mut stream).await?;
            if number == 1 {
                let late = ok(READING.replace('5', "77"));
                stream.write_all(format!("HTTP/1.1 {interim} Wait\r\n\r\n").as_bytes()).await.ok()?;
                seen.request(&mut stream).await?;
                return stream.write_all(&late).await.ok();
            }
            seen.answer(&mut stream).await
        })
        .await;
        let sidecar = client(server.address);
        assert_eq!(capacity(&sidecar).await, Err(format!("the sidecar answered with status {interim}")));
        assert_eq!(capacity(&sidecar).await, Ok(2), "{interim}");
        let look = sidecar.look(&worker(), &nobody()).await.map(|reading| reading.capacity.units());
        assert_eq!(look, Ok(3));
    }
}

/// What comes unasked behind an answer is not taken for the next answer, either.
#[actix_web::test]
async fn what_is_left_on_a_connection_is_not_the_next_answer() {
    let server = Keeping::start(|_, mut stream, seen| async move {
        while seen.request(&mut stream).await.is_some() {
            let capacity = seen.requests.get().to_string();
            let answers = [ok(READING.replace('5', &capacity)), ok(READING.replace('5', "77"))].concat();
            stream.write_all(&answers).await.ok()?;
        }
        None
    })
    .await;
    let sidecar = client(server.address);
    for expected in 1..=5 {
        assert_eq!(capacity(&sidecar).await, Ok(expected));
    }
    assert_eq!(server.seen().1, 5);
}
