//! What a thread knows of each of its connections: what it is waiting for, since when, and how many bytes it holds.
//!
//! Plain data, without I/O: the connections change it, and look here for the one that has waited longest.

use std::task::Waker;

use slab::Slab;
use tokio::time::Instant;

use super::{ANSWER_TIMEOUT, HEAD_TIMEOUT, KEEP_ALIVE, USUAL_SIZE};
use crate::access::LimitKey;

#[derive(Default)]
pub(super) struct Slots {
    pub all: Slab<Slot>,
    /// Connections that were not told to end.
    pub open: usize,
    /// Those from other machines among them.
    pub remote: usize,
    /// The sum of what all hold.
    pub held: usize,
}

/// A connection, as its thread keeps it.
pub(super) struct Slot {
    pub is_local: bool,
    pub phase: Phase,
    /// Since when it is in this phase, or its body is read.
    pub since: Instant,
    /// Since when an answer waits to be read, if one does.
    pub unread_since: Option<Instant>,
    /// Bytes that wait in the connection's own buffer.
    pub unsent: usize,
    /// Bytes of an answer that are not in that buffer yet.
    pub unbuffered: usize,
    /// Bytes received of a head, or of a body.
    pub received: usize,
    /// Of these, what counts in [`Slots::held`].
    pub held: usize,
    /// The caller of the last request; before that, the network that the connection comes from.
    pub caller: Option<LimitKey>,
    pub waker: Option<Waker>,
    /// Whether something came that is not handed on yet: nothing else would wake the connection for it.
    pub has_pending_input: bool,
    /// Whether the caller sends nothing any more.
    pub has_hung_up: bool,
    /// What is woken when the caller hangs up.
    pub hang_up_waker: Option<Waker>,
    pub ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// Some of the head of a request came.
    Head,
    /// A request is worked on.
    Busy { body: BodyState },
}

/// What is still to come of a request that is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct BodyState {
    /// So many bytes. Where chunks end shows only to what reads them, and they are handed on as long as something does.
    pub left: Option<u64>,
    /// Whether something reads it.
    pub is_read: bool,
}

impl BodyState {
    /// A body of so many bytes.
    pub fn counted(bytes: u64) -> Self {
        Self { left: Some(bytes), is_read: false }
    }

    /// A body in chunks.
    pub fn chunked() -> Self {
        Self { left: None, is_read: false }
    }

    fn is_waited_for(self) -> bool {
        self.is_read && self.left != Some(0)
    }
}

/// What may be handed on to the HTTP library, which takes all the requests it is given into memory at once, some 7 KiB each,
/// and answers one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    Nothing,
    UpTo(u64),
    Everything,
}

/// What a caller has taken too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeout {
    /// To send another request.
    KeepAlive,
    /// To send the whole head of a request.
    Head,
    /// To read an answer.
    UnreadAnswer,
}

impl Slots {
    /// Of the connections that are `chosen`, the one that has waited longest for its caller.
    pub fn longest_waiting(&self, chosen: impl Fn(&Slot) -> bool) -> Option<usize> {
        let waiting = self.all.iter().filter(|(_, slot)| !slot.ended && chosen(slot));
        let waiting = waiting.filter_map(|(key, slot)| Some((slot.waits_since()?, key)));
        waiting.min().map(|(_, key)| key)
    }

    /// Tells a connection to end; what it held.
    pub fn end(&mut self, key: usize) -> usize {
        let Some(slot) = self.all.get_mut(key).filter(|slot| !slot.ended) else { return 0 };
        slot.ended = true;
        let held = std::mem::take(&mut slot.held);
        slot.wake();
        self.open -= 1;
        self.remote -= usize::from(!slot.is_local);
        self.held -= held;
        held
    }
}

impl Slot {
    /// A new connection, which has to say at once what it wants.
    pub fn new(caller: Option<LimitKey>, is_local: bool) -> Self {
        Self {
            is_local,
            phase: Phase::Head,
            since: Instant::now(),
            unread_since: None,
            unsent: 0,
            unbuffered: 0,
            received: 0,
            held: 0,
            caller,
            waker: None,
            has_pending_input: false,
            has_hung_up: false,
            hang_up_waker: None,
            ended: false,
        }
    }

    /// Bytes that it holds for a caller that makes it wait.
    pub fn weight(&self) -> usize {
        let is_incomplete = match self.phase {
            Phase::Idle => false,
            Phase::Head => true,
            Phase::Busy { body } => body.is_waited_for(),
        };
        let request = if is_incomplete && self.received > USUAL_SIZE { self.received } else { 0 };
        let answer = if self.unread_since.is_some() { self.unsent + self.unbuffered } else { 0 };
        request + answer
    }

    /// Since when it waits for its caller, if it does.
    fn waits_since(&self) -> Option<Instant> {
        let waits = match self.phase {
            Phase::Idle | Phase::Head => true,
            Phase::Busy { body } => body.is_waited_for(),
        };
        self.unread_since.or(waits.then_some(self.since))
    }

    /// When it has waited long enough, and for what.
    pub fn deadline(&self) -> Option<(Instant, Timeout)> {
        match (self.unread_since, self.phase) {
            // A stream ends slow callers by itself, and so does what reads a body.
            (_, Phase::Busy { .. }) => None,
            (Some(since), _) => Some((since + ANSWER_TIMEOUT, Timeout::UnreadAnswer)),
            (None, Phase::Idle) => Some((self.since + KEEP_ALIVE, Timeout::KeepAlive)),
            (None, Phase::Head) => Some((self.since + HEAD_TIMEOUT, Timeout::Head)),
        }
    }

    /// What may be handed on now.
    pub fn allowance(&self) -> Allowance {
        match self.phase {
            Phase::Busy { body: BodyState { left: Some(left), .. } } if left > 0 => Allowance::UpTo(left),
            Phase::Busy { body: BodyState { left: None, is_read: true } } => Allowance::Everything,
            Phase::Idle | Phase::Head if self.unread_since.is_none() => Allowance::Everything,
            Phase::Busy { .. } | Phase::Idle | Phase::Head => Allowance::Nothing,
        }
    }

    pub fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
