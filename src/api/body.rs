//! Bodies of answers that may be large.
//!
//! The HTTP library copies a whole piece of a body into the buffer of its connection at once. Pieces are therefore cut into
//! slices, which are shared and not copied until there is room for them: what one connection holds does not depend on how
//! large an answer is. A piece counts as held by the connection until its last slice is handed on, because slices share its memory.
//! Rejected: to count the slices that are left, because a caller that reads all but the last one keeps the whole piece.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::connections::{ActiveRequest, Connection};

/// Bytes handed on at a time. The library fills its buffer up to 32 KiB and takes a whole slice beyond that.
const SLICE: usize = 16 * 1024;

/// A body of known length, in pieces that may be shared with other answers.
pub struct Pieces {
    pieces: VecDeque<Bytes>,
    /// Bytes of the first piece that were handed on. Its memory is kept until all of them were.
    handed_on: usize,
    /// Bytes of all pieces that are kept.
    kept: usize,
    /// Who is told how many those are, unless they cost nothing while they wait.
    connection: Option<Connection>,
}

impl Pieces {
    /// The body of an answer to `request`.
    pub fn of(request: &HttpRequest, pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self::new(pieces, request.conn_data::<Connection>().cloned())
    }

    /// The body of an answer to `request`, if it is so large that it has to be cut.
    ///
    /// # Errors
    /// The same body, if it is small, or known in parts only.
    pub fn cut(request: &HttpRequest, body: BoxBody) -> Result<Self, BoxBody> {
        if !matches!(body.size(), BodySize::Sized(size) if size > SLICE as u64) {
            return Err(body);
        }
        body.try_into_bytes().map(|bytes| Self::of(request, [bytes]))
    }

    /// A body that is part of the binary.
    pub fn in_binary(bytes: Bytes) -> Self {
        Self::new([bytes], None)
    }

    /// A body whose `connection` counts what is kept of it, if there is one.
    pub(super) fn new(pieces: impl IntoIterator<Item = Bytes>, connection: Option<Connection>) -> Self {
        let pieces: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let body = Self { handed_on: 0, kept: pieces.iter().map(Bytes::len).sum(), pieces, connection };
        body.tell();
        body
    }

    fn tell(&self) {
        if let Some(connection) = &self.connection {
            connection.set_unbuffered(self.kept);
        }
    }
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized((self.kept - self.handed_on) as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let Some(piece) = self.pieces.front() else { return Poll::Ready(None) };
        let (begin, length) = (self.handed_on, piece.len());
        let end = length.min(begin + SLICE);
        let slice = piece.slice(begin..end);
        self.handed_on = end;
        if end == length {
            self.pieces.pop_front();
            self.handed_on = 0;
            self.kept -= length;
            self.tell();
        }
        Poll::Ready(Some(Ok(slice)))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.kept = 0;
        self.tell();
    }
}

/// A body without a known length: a stream of events. Its connection is not idle before it has ended.
pub struct Streamed {
    body: BoxBody,
    _active: Option<ActiveRequest>,
}

impl Streamed {
    /// This `body`, with which the `active` request ends.
    pub fn new(body: BoxBody, active: Option<ActiveRequest>) -> Self {
        Self { body, _active: active }
    }
}

impl MessageBody for Streamed {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[actix_web::test]
    async fn nothing_is_lost_or_copied_and_no_slice_is_large() {
        let large: Vec<u8> = (0..3 * SLICE + 5).map(|n| n as u8).collect();
        let large = Bytes::from(large);
        let parts = [Bytes::from_static(b"["), large.clone(), Bytes::new(), Bytes::from_static(b"]")];
        let whole = parts.concat();
        let mut body = Pieces::of(&TestRequest::default().to_http_request(), parts);
        assert_eq!(body.size(), BodySize::Sized(whole.len() as u64));
        let mut slices = Vec::new();
        while let Some(Ok(slice)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
            slices.push(slice);
        }
        assert!(slices.iter().all(|slice| slice.len() <= SLICE), "{slices:?}");
        assert_eq!(slices.concat(), whole);
        assert_eq!(slices[1].as_ptr(), large.as_ptr(), "the bytes are shared");
        assert_eq!(body.size(), BodySize::Sized(0));
    }
}
