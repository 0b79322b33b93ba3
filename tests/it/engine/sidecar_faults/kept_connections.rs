//! Connections that are kept: readings use them again, changes never do, and no answer is taken for another one.

use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;

use scalegate::domain::ChangeAnswer;
use scalegate::sidecar::{HttpSidecar, Sidecar as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::server::{READING, Seen, increment, ok, read_request, with_headers};
use super::{add_one, client, no_caller};
use crate::support::sidecar::worker;

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
    sidecar
        .read(&worker(), &no_caller())
        .await
        .map(|reading| reading.capacity.units())
        .map_err(|failure| failure.detail)
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
        assert_eq!(sidecar.change(&worker(), add_one(), &no_caller()).await, ChangeAnswer::Acknowledged);
        assert_eq!(server.seen().0, connections, "one for each change");
    }
    assert_eq!(capacity(&sidecar).await, Ok(6));
    assert_eq!(server.seen(), (3, 6));
}

/// The kept connection is closed while it is not used, with or without a word.
#[actix_web::test]
async fn a_kept_connection_that_was_closed_is_in_no_calls_way() {
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
        assert_eq!(sidecar.change(&worker(), add_one(), &no_caller()).await, ChangeAnswer::Acknowledged);
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
    assert_eq!(sidecar.change(&worker(), add_one(), &no_caller()).await, ChangeAnswer::Acknowledged);
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
        let look = sidecar.observe(&worker(), &no_caller()).await.map(|reading| reading.capacity.units());
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
