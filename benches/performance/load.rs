//! A load generator: connections that each send one request after the other, as fast as they are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What came of some load.
#[derive(Debug)]
pub struct Loaded {
    /// Answers, all of them as expected.
    pub answers: usize,
    /// How long it took.
    pub took: Duration,
    /// How long each answer took, sorted.
    pub latencies: Vec<Duration>,
    /// The processor time that this took here, as a share of the time: near 1, it is the load generator that is
    /// measured.
    pub own_share: f64,
}

impl Loaded {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    pub fn percentile(&self, percent: f64) -> Duration {
        let place = (self.latencies.len() as f64 * percent / 100.0) as usize;
        self.latencies[place.min(self.latencies.len() - 1)]
    }
}

/// Sends requests over so many `connections` for as long as `time` says; `request` makes the bytes of the n-th of all.
/// Fails unless every answer has one of these `statuses`.
pub async fn load(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    statuses: &'static [u16],
    request: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static,
) -> Loaded {
    let request = Arc::new(request);
    let mut clients = JoinSet::new();
    let (begun, used) = (Instant::now(), own_cpu());
    for number in 0..connections {
        let request = Arc::clone(&request);
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let (mut latencies, mut bytes, mut nth) = (Vec::new(), Vec::new(), number);
            while begun.elapsed() < time {
                bytes.clear();
                request(nth, &mut bytes);
                nth += connections;
                let sent = Instant::now();
                let status = client.exchange(&bytes).await;
                latencies.push(sent.elapsed());
                assert!(statuses.contains(&status), "answered with {status}: {}", client.text());
            }
            latencies
        });
    }
    let mut latencies: Vec<Duration> = clients.join_all().await.into_iter().flatten().collect();
    let took = begun.elapsed();
    let own_share = (own_cpu() - used).as_secs_f64() / took.as_secs_f64();
    latencies.sort_unstable();
    Loaded { answers: latencies.len(), took, latencies, own_share }
}

/// Appends a request to submit a job.
pub fn post(path: &str, key: &str, body: &str, bytes: &mut Vec<u8>) {
    request("POST", path, key, body, bytes);
}

/// Appends a request with a body.
pub fn request(method: &str, path: &str, key: &str, body: &str, bytes: &mut Vec<u8>) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    bytes.extend_from_slice(request.as_bytes());
}

/// A connection that is kept.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    body_at: usize,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, received: Vec::with_capacity(16 * 1024), body_at: 0 }
    }

    /// Sends a request and takes the answer, which has to say its length; its status.
    pub async fn exchange(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("sent");
        self.received.clear();
        loop {
            assert_ne!(self.stream.read_buf(&mut self.received).await.expect("an answer"), 0, "it hung up");
            let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            self.body_at = end + 4;
            let length = self.body_at + content_length(&self.received[..end]);
            while self.received.len() < length {
                assert_ne!(self.stream.read_buf(&mut self.received).await.expect("an answer"), 0, "it hung up");
            }
            return std::str::from_utf8(&self.received[9..12])
                .ok()
                .and_then(|text| text.parse().ok())
                .expect("a status");
        }
    }

    pub fn body(&self) -> &[u8] {
        &self.received[self.body_at..]
    }

    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.body())
    }
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let at = head.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME));
    let digits = at.map_or(&[][..], |at| &head[at + NAME.len()..]);
    digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// Processor time used by this process so far.
fn own_cpu() -> Duration {
    cpu("self")
}

/// Processor time used by `process`, a number or `self`, so far.
pub fn cpu(process: &str) -> Duration {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks: u64 = [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum();
    Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
}

/// A runtime on this thread.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
