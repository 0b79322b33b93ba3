//! What counts as what: the only place that says so, and the source of the table in `src/sidecar/faults.md`.

use std::net::SocketAddr;
use std::time::Duration;

use scalegate::domain::{ChangeAnswer, ReadFailure};
use scalegate::sidecar::RawReading;

use super::TIMEOUT;
use super::server::{Act, READING, Server, answer, ok, sends, sends_and, with_headers};

/// What a change counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    NotApplied,
    Acknowledged,
    Rejected,
    Unknown,
}

impl Change {
    pub fn of(answer: &ChangeAnswer) -> Self {
        match answer {
            ChangeAnswer::NotSent { .. } => Self::NotApplied,
            ChangeAnswer::Acknowledged => Self::Acknowledged,
            ChangeAnswer::Rejected(_) => Self::Rejected,
            ChangeAnswer::Unknown { .. } => Self::Unknown,
        }
    }

    pub fn words(self) -> &'static str {
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
pub enum Reading {
    Usable,
    Failure,
    NotFound,
}

impl Reading {
    pub fn of(reading: &Result<RawReading, ReadFailure>) -> Self {
        match reading {
            Ok(_) => Self::Usable,
            Err(failure) if failure.not_found => Self::NotFound,
            Err(_) => Self::Failure,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Failure => "failed",
            Self::NotFound => "not found",
        }
    }
}

/// Everything that counts as the same, in all the ways it can happen.
pub struct Row {
    pub happens: &'static str,
    pub change: Change,
    pub reading: Reading,
    pub ways: Vec<(String, Server)>,
}

impl Row {
    pub fn render(&self) -> String {
        format!("| {} | {} | {} |\n", self.happens, self.change.words(), self.reading.words())
    }
}

/// The redirects all lead to `elsewhere`.
pub fn table(elsewhere: SocketAddr) -> Vec<Row> {
    use Change::{Acknowledged, NotApplied, Rejected, Unknown};
    use Reading::{Failure, NotFound, Usable};
    let row = |happens, change, reading, ways| Row { happens, change, reading, ways };
    vec![
        row("The connection is refused", NotApplied, Failure, vec![named("no process there", Server::Absent)]),
        row(
            "There is no connection in time: 1 s for a change, 5 s for a reading",
            NotApplied,
            Failure,
            vec![named("no process takes it", Server::Deaf)],
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
pub fn longer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len() + 1)
}

fn good() -> Vec<(String, Server)> {
    let extra = READING.replacen('{', r#"{"new":[1,{"a":null}],"capacity":7,"#, 1);
    let deep = READING.replacen('{', &format!(r#"{{"deep":{}{},"#, "[".repeat(20_000), "]".repeat(20_000)), 1);
    let slowly = Duration::from_millis(4);
    vec![
        with_body("plain", READING),
        with_body("more fields", extra),
        with_body("a deep field that is not needed", deep),
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
