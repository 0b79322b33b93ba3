//! Events followed across broken connections.
//!
//! A connection that breaks is replaced, and the gateway is told the id of the last event, so that it goes on behind
//! it: nothing is missed, and nothing comes twice. That is not reported. Only a gateway that cannot be reached again
//! is, and it is given up when it is away for too long.
//!
//! There is no second way, such as polling, for proxies that hold streams back until they end: two ways to learn the
//! same would be two ways to get it wrong, and the gateway's heartbeats show within a minute that there is such a
//! proxy.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Deserialize;
use sse_core::MessageEvent;
use tokio::time::Instant;

use super::stream::{EventStream, Frame};
use super::{Client, Failure, MAX_PAUSE};
use crate::api::view::{GroupView, JobView};

/// Pause before the first attempt to connect again, unless the gateway asks for another one, and the shortest it can
/// ask for: it should be back in seconds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// Events of a running gateway.
pub struct Subscription<'a> {
    client: &'a Client,
    path: String,
    patience: Duration,
    /// The id of the last event.
    position: Option<String>,
    connection: Option<Connection>,
    /// The pause the gateway asks for.
    retry: Duration,
    /// The next pause. Longer each time until the gateway is back.
    pause: Duration,
    next_try_at: Instant,
    absence: Option<Absence>,
}

struct Connection {
    stream: EventStream,
    /// Whether it told from where it goes on.
    is_ready: bool,
}

/// A time without a gateway.
struct Absence {
    give_up_at: Instant,
}

/// What there is to be heard.
#[derive(Debug)]
pub enum Heard {
    /// The connection stands.
    Ready {
        /// Whether all events follow that came after the last one. Otherwise the stream begins anew.
        resumed: bool,
        /// Whether the gateway was away, as told before.
        back: bool,
    },
    /// A job, as it is after a change.
    Job(Box<JobView>),
    /// Something else happened to a resource: an entry of its timeline, a decision of its policy, or a change of the policy.
    Other,
    /// A group, as it is after a change.
    Group(Box<GroupView>),
    /// The gateway is away. It is tried again. Told once.
    Away(Failure),
}

#[derive(Deserialize)]
struct Ready {
    resumed: bool,
}

#[derive(Deserialize)]
struct End {
    reason: String,
}

impl<'a> Subscription<'a> {
    /// The events at `path`, from a gateway that may be away for `patience`.
    pub(super) fn new(client: &'a Client, path: String, patience: Duration) -> Self {
        Self {
            client,
            path,
            patience,
            position: None,
            connection: None,
            retry: SHORTEST_PAUSE,
            pause: SHORTEST_PAUSE,
            next_try_at: Instant::now(),
            absence: None,
        }
    }

    /// What is heard next.
    ///
    /// # Errors
    /// If the gateway refuses, is away for too long, or does not answer like a gateway.
    pub async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            let asked_at = Instant::now().max(self.next_try_at);
            match self.advance().await {
                Ok(Some(heard)) => return Ok(heard),
                Ok(None) => {}
                Err(failure) if failure.is_absence() => {
                    let was_ready = self.connection.take().is_some_and(|connection| connection.is_ready);
                    let pause = self.next_pause(&failure);
                    if was_ready {
                        self.next_try_at = Instant::now() + pause;
                    } else if let Some(first) = self.absent(failure, asked_at, pause)? {
                        return Ok(Heard::Away(first));
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Begins anew, because `failure` keeps the caller from learning what he needs beside the events. Gives it back if
    /// it is the first sign of an absence.
    ///
    /// # Errors
    /// `failure`, if it does not look like an absence, or the gateway has been away for too long.
    pub fn begin_anew(&mut self, failure: Failure) -> Result<Option<Failure>, Failure> {
        if !failure.is_absence() {
            return Err(failure);
        }
        (self.connection, self.position) = (None, None);
        let pause = self.next_pause(&failure);
        self.absent(failure, Instant::now(), pause)
    }

    /// Opens a connection if there is none, and takes one frame from it.
    async fn advance(&mut self) -> Result<Option<Heard>, Failure> {
        let Some(connection) = &mut self.connection else {
            tokio::time::sleep_until(self.next_try_at).await;
            return self.connect().await.map(|()| None);
        };
        match connection.stream.next().await? {
            Frame::Retry(pause) => self.retry = pause.clamp(SHORTEST_PAUSE, MAX_PAUSE),
            Frame::Event(event) => return self.understand(event),
        }
        Ok(None)
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        match self.client.open(&self.path, self.position.as_deref()).await? {
            Some(stream) => self.connection = Some(Connection { stream, is_ready: false }),
            // Nothing will come after that event; but the caller waits for something. Told anew, he will have it.
            None if self.position.take().is_some() => {}
            None => {
                let detail = format!("no events at {}", self.path);
                return Err(Failure::Strange { status: 204, detail });
            }
        }
        Ok(())
    }

    fn understand(&mut self, event: MessageEvent) -> Result<Option<Heard>, Failure> {
        let strange = |error: serde_json::Error| Failure::Strange {
            status: 200,
            detail: format!("An event {:?} that this client does not understand: {error}.", event.event),
        };
        let id = event.last_event_id.as_deref().map(str::to_owned);
        let heard = match &*event.event {
            "ready" => {
                let Ready { resumed } = serde_json::from_str(&event.data).map_err(strange)?;
                if !resumed {
                    self.position = None;
                }
                self.connection.iter_mut().for_each(|connection| connection.is_ready = true);
                self.pause = self.retry;
                Some(Heard::Ready { resumed, back: self.absence.take().is_some() })
            }
            "job" => Some(Heard::Job(serde_json::from_str(&event.data).map_err(strange)?)),
            "group" => Some(Heard::Group(serde_json::from_str(&event.data).map_err(strange)?)),
            "end" => return Err(self.ended(&event.data)),
            "timeline" | "decision" | "policy" => Some(Heard::Other),
            // Others come from a later release.
            _ => None,
        };
        self.position = id.or(self.position.take());
        Ok(heard)
    }

    /// What it means that the gateway ended the stream with these words. Mostly that it goes on, as the next connection
    /// will show; but with a key that is not good any more there is no next one.
    fn ended(&self, data: &str) -> Failure {
        match serde_json::from_str(data) {
            Ok(End { reason }) if reason == "unauthorized" => Failure::KeyEnded,
            _ => self.client.no_answer("the stream was ended"),
        }
    }

    fn next_pause(&mut self, failure: &Failure) -> Duration {
        let pause = failure.retry_after().unwrap_or_default().clamp(self.pause, MAX_PAUSE);
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        pause
    }

    /// Notes that the gateway is away since `since`. Gives `failure` back if that is new.
    fn absent(&mut self, failure: Failure, since: Instant, pause: Duration) -> Result<Option<Failure>, Failure> {
        let is_new = self.absence.is_none();
        let absence = self.absence.get_or_insert(Absence { give_up_at: since + self.patience });
        let now = Instant::now();
        if now >= absence.give_up_at {
            return Err(failure);
        }
        self.next_try_at = absence.give_up_at.min(now + pause);
        Ok(is_new.then_some(failure))
    }
}
