//! What the HTTP library reads from and writes to: a connection that keeps to the limits of [`Connections`](super::Connections).
//!
//! It hands on one request at a time. Given several, the library would keep all of them in memory, however many a caller
//! sends at once, and would answer a request as if it was the last one that it had seen: a GET without a body, because a
//! HEAD follows it.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::Connection;
use super::slot::{Allowance, Timeout};

/// Bytes that are read at a time, and as many wait here at the most while a request is worked on: most requests are smaller,
/// and the largest body comes in sixteen steps.
const STEP: usize = 4 * 1024;
/// What a caller is told whose head takes too long; bare, as for all that is not HTTP.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// See the module's documentation.
pub struct Socket {
    transport: Transport,
    connection: Connection,
    /// Goes off when the connection may be overdue; whether it is, is looked at then. It is seldom set anew.
    timer: Option<Pin<Box<Sleep>>>,
    /// What was read and is not handed on yet: mostly nothing.
    ahead: Vec<u8>,
    heads: HeadFinder,
    /// Whether the last thing that was handed on ended a head.
    has_passed_head: bool,
    /// Bytes that the caller did not read the last time something was written.
    unsent: usize,
    /// Nothing is read any more.
    is_over: bool,
}

/// The connection itself.
pub enum Transport {
    /// As it is.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Socket {
    /// A `connection` over this `transport`.
    pub fn new(transport: Transport, connection: Connection) -> Self {
        Self {
            transport,
            connection,
            timer: None,
            ahead: Vec::new(),
            heads: HeadFinder::default(),
            has_passed_head: false,
            unsent: 0,
            is_over: false,
        }
    }

    /// Which connection it is.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn poll_transport(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// What is overdue now, if anything is. Otherwise the task is woken when something may be.
    fn poll_timeout(&mut self, cx: &mut Context<'_>, deadline: Option<(Instant, Timeout)>) -> Poll<Timeout> {
        let Some((at, timeout)) = deadline else { return Poll::Pending };
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() > at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(timeout);
            }
            // It was set for an earlier request.
            timer.as_mut().reset(at);
        }
    }

    /// The end of what is read, for a caller that took too long.
    fn give_up(&mut self, cx: &mut Context<'_>, timeout: Timeout) -> Poll<io::Result<()>> {
        self.is_over = true;
        self.connection.count_timeout(timeout);
        match timeout {
            Timeout::KeepAlive => Poll::Ready(Ok(())),
            Timeout::Head => {
                // Nothing else is on its way. Whether it is heard does not matter.
                let _ = self.poll_transport(cx, TOO_SLOW);
                Poll::Ready(Ok(()))
            }
            Timeout::UnreadAnswer => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl Socket {
    /// Reads the next few bytes, unless some are there. 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ahead.is_empty() {
            let mut bytes = [0; STEP];
            let mut step = ReadBuf::new(&mut bytes);
            ready!(match &mut self.transport {
                Transport::Plain(stream) => Pin::new(stream).poll_read(cx, &mut step),
                Transport::Tls(stream) => Pin::new(stream).poll_read(cx, &mut step),
            })?;
            if step.filled().is_empty() {
                return Poll::Ready(Ok(0));
            }
            self.connection.received(step.filled().len());
            self.ahead.extend_from_slice(step.filled());
        }
        Poll::Ready(Ok(self.ahead.len()))
    }

    /// Hands on at most `most` of the bytes that are there, up to the end of a head.
    fn pass(&mut self, most: usize, buffer: &mut ReadBuf<'_>) {
        let most = most.min(self.ahead.len()).min(buffer.remaining());
        let end = self.heads.end_in(&self.ahead[..most]);
        let count = end.unwrap_or(most);
        buffer.put_slice(&self.ahead[..count]);
        if count == self.ahead.len() {
            self.ahead = Vec::new();
        } else {
            self.ahead.drain(..count);
        }
        self.has_passed_head = end.is_some();
        self.connection.passed(count);
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(Ok(()));
        }
        let Some(allowance) = this.connection.poll_allowance(cx) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        };
        // The library has not yet looked at what it was given before.
        let is_too_early = std::mem::take(&mut this.has_passed_head);
        let most = match allowance {
            Allowance::Nothing => 0,
            Allowance::UpTo(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
            Allowance::Everything => usize::MAX,
        };
        match this.poll_fill(cx) {
            Poll::Ready(Ok(1..)) if is_too_early => cx.waker().wake_by_ref(),
            Poll::Ready(Ok(1..)) if most > 0 => {
                this.pass(most, buffer);
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Ok(0)) => {
                this.connection.note_hang_up();
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Ok(_)) => this.connection.note_pending_input(),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {}
        }
        let deadline = this.connection.deadline();
        let timeout = ready!(this.poll_timeout(cx, deadline));
        this.give_up(cx, timeout)
    }
}

/// Finds where heads end: at an empty line, as the library sees it, which takes a line feed alone for the end of a line. What
/// is in a body and looks the same does no harm.
#[derive(Default)]
struct HeadFinder {
    /// Whether a line has begun in which nothing came yet.
    is_blank: bool,
}

impl HeadFinder {
    /// The end of the first head in `bytes`, which follow those of the last time as far as that end.
    fn end_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let is_nothing = |line: &[u8]| line.is_empty() || line == b"\r";
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let is_end = self.is_blank && is_nothing(&bytes[begin..end]);
            (self.is_blank, begin) = (true, end + 1);
            if is_end {
                return Some(begin);
            }
        }
        self.is_blank &= is_nothing(&bytes[begin..]);
        None
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Looked at only by those that wait: others are not told to end while they write.
        if this.unsent > 0 && this.connection.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = this.poll_transport(cx, bytes);
        let unsent = match &written {
            Poll::Pending => bytes.len(),
            // The library comes back with what is left, or has written all there is.
            Poll::Ready(Ok(count)) if *count < bytes.len() => return written,
            Poll::Ready(_) => 0,
        };
        if this.unsent != unsent {
            this.unsent = unsent;
            this.connection.set_unsent(unsent);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.is_ended() || self.unsent > 0 {
            // The system would go on to offer what is left in its own buffers, and keep them for that.
            let _ = socket2::SockRef::from(self.transport.tcp()).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ends in `bytes`, when they come in pieces of this size.
    fn ends(bytes: &[u8], size: usize) -> Vec<usize> {
        let (mut heads, mut found) = (HeadFinder::default(), Vec::new());
        let mut begin = 0;
        while begin < bytes.len() {
            let piece = &bytes[begin..bytes.len().min(begin + size)];
            let end = heads.end_in(piece);
            begin += end.unwrap_or(piece.len());
            found.extend(end.map(|_| begin));
        }
        found
    }

    #[test]
    fn every_end_of_a_head_is_found_in_pieces_of_any_size() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n", &[24, 42][..]),
            ("GET / HTTP/1.1\nA: b\n\nGET / HTTP/1.1\r\n\n", &[21, 38]),
            ("GET / HTTP/1.1\n\r\nx", &[17]),
            ("GET / HTTP/1.1\r\nA: b\r\n", &[]),
            ("5\r\nhello\r\n0\r\n\r\nGET", &[15]),
            ("a\rb\r\r\nc", &[]),
        ] {
            for size in 1..=text.len() {
                assert_eq!(ends(text.as_bytes(), size), expected, "{text:?} in pieces of {size}");
            }
        }
    }
}
