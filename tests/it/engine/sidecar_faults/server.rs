//! A server that follows a script, byte by byte, and what it can answer.

use std::cell::Cell;
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// A reading in good order.
pub const READING: &str =
    r#"{"instanceId":"i","resourceId":"r","resourceAlias":"worker","status":"ACTIVE","currentCapacity":5}"#;

/// One thing a server does with a connection. After the last one it closes it.
#[derive(Clone, Debug)]
pub enum Act {
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
pub enum Server {
    /// No process.
    Absent,
    /// A process that takes no connection: the queue of those waiting to be taken is full.
    Deaf,
    /// A process that does this with every connection.
    Follows(Vec<Act>),
}

/// What a server has seen.
#[derive(Default)]
pub struct Seen {
    pub connections: Cell<usize>,
    pub requests: Cell<usize>,
}

pub fn increment(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

/// A running server. Gone when dropped.
pub struct Running {
    pub address: SocketAddr,
    pub seen: Rc<Seen>,
    serving: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub async fn start(self) -> Running {
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

/// Connects until no connection gets through any more.
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
pub async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("the client sends text").to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await.ok()?;
    Some(head)
}

/// A whole answer, with its length.
pub fn answer(status_line: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    with_headers(status_line, "Content-Type: application/json\r\n", body)
}

pub fn with_headers(status_line: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("{status_line}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("HTTP/1.1 200 OK", body)
}

/// Reads the request and sends this.
pub fn sends(bytes: impl Into<Vec<u8>>) -> Server {
    Server::Follows(vec![Act::Read, Act::Send(bytes.into())])
}

/// Reads the request, sends this, and then does that.
pub fn sends_and(bytes: impl Into<Vec<u8>>, then: impl IntoIterator<Item = Act>) -> Server {
    Server::Follows([Act::Read, Act::Send(bytes.into())].into_iter().chain(then).collect())
}
