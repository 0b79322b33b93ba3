//! Server-sent events over one connection.
//!
//! What travels is decoded by a library without I/O of its own, which bounds what it keeps; when to connect again, and
//! from where, is for [`super::Subscription`].

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::Duration;

use actix_web::web::Bytes;
use awc::ClientResponse;
use awc::error::PayloadError;
use futures_util::{Stream, StreamExt as _};
use sse_core::{MessageEvent, PayloadTooLargeError, SseDecoder, SseEvent};

use super::{Failure, ServerUrl};

/// Largest event taken. A job with as many steps as it may have (1,000) is a quarter of this.
const MAX_EVENT_BYTES: NonZeroUsize = NonZeroUsize::new(1024 * 1024).expect("not zero");

/// The events of one answer, as they come.
pub struct EventStream {
    server: ServerUrl,
    body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>,
    frames: Frames,
    silence: Duration,
}

/// A part of a stream of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// How long to wait before the next connection after this one.
    Retry(Duration),
    /// An event, with the last id that this connection has told so far.
    Event(MessageEvent),
}

impl EventStream {
    /// The events in the body of `response`, which is taken to be broken when it is silent for longer than `silence`.
    pub(super) fn new(server: ServerUrl, response: ClientResponse, silence: Duration) -> Self {
        Self { server, body: Box::pin(response), frames: Frames::default(), silence }
    }

    /// The next part. There is always one, since streams do not end by themselves before those who read them know it.
    ///
    /// # Errors
    /// [`Failure::NoAnswer`] if the connection broke off, was ended, or is silent for too long: the wait for a machine
    /// without power has a limit. [`Failure::Strange`] if an event is too large.
    pub async fn next(&mut self) -> Result<Frame, Failure> {
        loop {
            if let Some(frame) = self.frames.next() {
                return frame.map_err(|PayloadTooLargeError| Failure::Strange {
                    status: 200,
                    detail: format!("An event of more than {MAX_EVENT_BYTES} bytes at {}.", self.server),
                });
            }
            match tokio::time::timeout(self.silence, self.body.next()).await {
                Ok(Some(Ok(bytes))) => self.frames.push(bytes),
                Ok(Some(Err(error))) => return Err(self.broken(format!("the stream broke off: {error}"))),
                Ok(None) => return Err(self.broken("the stream has ended".to_owned())),
                Err(_) => {
                    let silence = self.silence.as_secs();
                    return Err(self.broken(format!(
                        "nothing came for {silence} s, not even a heartbeat; does a proxy hold streams back?"
                    )));
                }
            }
        }
    }

    fn broken(&self, detail: String) -> Failure {
        Failure::NoAnswer { server: self.server.clone(), detail }
    }
}

/// Bytes on their way to become frames. Comments end here.
struct Frames {
    decoder: SseDecoder,
    /// Received and not decoded yet.
    received: Bytes,
}

impl Default for Frames {
    fn default() -> Self {
        Self { decoder: SseDecoder::with_limit(MAX_EVENT_BYTES), received: Bytes::new() }
    }
}

impl Frames {
    /// Takes what was received, once there is no next frame in what came before.
    fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.received.is_empty(), "it would be lost");
        self.received = bytes;
    }

    /// The next frame that is complete.
    fn next(&mut self) -> Option<Result<Frame, PayloadTooLargeError>> {
        let event = self.decoder.next(&mut self.received)?;
        Some(event.map(|event| match event {
            SseEvent::Retry(millis) => Frame::Retry(Duration::from_millis(millis.into())),
            SseEvent::Message(message) => Frame::Event(message),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `bytes`, received in parts of `size`.
    fn frames(bytes: &[u8], size: usize) -> Vec<Result<Frame, PayloadTooLargeError>> {
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for part in bytes.chunks(size) {
            frames.push(Bytes::copy_from_slice(part));
            seen.extend(std::iter::from_fn(|| frames.next()));
        }
        seen
    }

    fn event(name: &'static str, id: Option<&str>, data: &str) -> Result<Frame, PayloadTooLargeError> {
        let (event, last_event_id) = (name.into(), id.map(Into::into));
        Ok(Frame::Event(MessageEvent { event, data: data.to_owned(), last_event_id }))
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_arrive() {
        let stream = "\u{feff}retry: 2000\n\nevent: ready\ndata: {\"resumed\": false}\n\n: heartbeat\n\n\
                      event: job\r\nid: 7\r\ndata: {\"reason\": \"Wärme → 5 🦀\"}\r\n\r\n\
                      data:one\rdata: two\rdata\rdata\r\rid\nevent: timeline\ndata: x\n\n\
                      :c\nunknown: field\nevent: no data\n\nretry: soon\nid: 8\u{0}\ndata:  y\n\ndata: cut off";
        let expected = [
            Ok(Frame::Retry(Duration::from_secs(2))),
            event("ready", None, "{\"resumed\": false}"),
            event("job", Some("7"), "{\"reason\": \"Wärme → 5 🦀\"}"),
            event("message", Some("7"), "one\ntwo\n\n"),
            event("timeline", None, "x"),
            event("message", None, " y"),
        ];
        for size in [1, 2, 3, 5, 7, 64, stream.len()] {
            assert_eq!(frames(stream.as_bytes(), size), expected, "in parts of {size}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        assert_eq!(frames(b"data: a\xff\xf0\x9fb\n\n", 1), [event("message", None, "a\u{fffd}\u{fffd}b")]);
    }

    #[test]
    fn no_event_is_kept_that_is_too_large() {
        let most = MAX_EVENT_BYTES.get();
        let largest = format!("data: {}\n\n", "x".repeat(most));
        assert!(matches!(&frames(largest.as_bytes(), 4096)[..], [Ok(Frame::Event(event))] if event.data.len() == most));
        let line = format!("data: {}", "x".repeat(most + 1));
        let lines = "data: 0123456789\n".repeat(most / 10);
        let name = format!("event: {}", "x".repeat(most + 1));
        let id = format!("id: {}", "x".repeat(most + 1));
        for large in [line, lines, name, id] {
            assert_eq!(frames(large.as_bytes(), 4096), [Err(PayloadTooLargeError)], "{}", &large[..8]);
        }
        // A comment is not kept, however long.
        assert_eq!(frames(format!(":{}\ndata: x\n\n", "x".repeat(2 * most)).as_bytes(), 4096).len(), 1);
    }
}
