//! The connections of one thread that serves requests: how many there may be, how long a caller may take to say what it
//! wants, and how much may wait for callers that do not read.
//!
//! Each connection either works on a request, or waits for its caller: for the rest of a request, or for what was answered
//! to be read. Waiting is what costs an attacker nothing. Where there are too many connections, or too much waits to be
//! read, the connection that waits longest is ended: a caller that takes part in the conversation waits for milliseconds
//! and is never that one, while an attacker has to open connections faster than the callers it wants to push out are
//! answered.
//!
//! It must never end a connection whose request is being worked on, such as a stream that is read as it comes.
//!
//! Rejected: to refuse newcomers as long as all is taken, because connections that are held for as long as they are allowed
//! to then keep all others out; to count what waits with a permit for each answer, because most answers never wait, and
//! each would pay for it; one register for all threads, because each request would take its lock. The search for the one
//! that waits longest looks at all connections of a thread, some 200 µs for 25,000; it is made only while a limit is reached.

mod socket;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use super::ConnectionLimits;
use crate::access::{LimitKey, Permit, Permits};
use crate::metrics::{ConnectionMetrics, EndedFor};

pub(super) use socket::{Socket, Wire};

/// Longest time for the head of a request, from its first byte on; for the first one, from the connection on.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time between two requests.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Longest time for an answer to be read, once it has to wait: the largest one takes that long at 5 KB/s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes that all threads together may keep for callers that make them wait. The allocator takes up to twice as much for
/// them, and a gateway is to do with 100 MiB under any attack. A page of a list has half a MiB, so that 32 can wait at a time.
const HELD_IN_ALL: usize = 16 << 20;
/// What one caller may take of it: a quarter, which is eight pages.
const SHARE_OF_ONE: usize = 4;
/// What came of a request counts as held from so many bytes on. Nearly all are smaller.
const USUAL_SIZE: usize = 4 * 1024;

/// See the module's documentation.
pub(super) struct Connections {
    slots: RefCell<Slots>,
    most: Most,
    addresses: Arc<Permits>,
    metrics: Arc<ConnectionMetrics>,
}

/// The limits of one thread.
#[derive(Clone, Copy, Debug)]
struct Most {
    connections: usize,
    /// Those from elsewhere among them.
    strangers: usize,
    held: usize,
    held_of_one: usize,
}

#[derive(Default)]
struct Slots {
    all: Slab<Slot>,
    /// Connections that were not told to end.
    open: usize,
    /// Those from elsewhere among them.
    strangers: usize,
    /// The sum of what all hold.
    held: usize,
}

/// A connection, as its thread keeps it.
struct Slot {
    is_local: bool,
    phase: Phase,
    /// Since when it is in this phase, or its body is read.
    since: Instant,
    /// Since when an answer waits to be read, if one does.
    unread_since: Option<Instant>,
    /// Bytes that wait in the connection's own buffer.
    unsent: usize,
    /// Bytes of an answer that are not in that buffer yet.
    rest: usize,
    /// Bytes received of a head, or of a body.
    received: usize,
    /// Of these, what counts in [`Slots::held`].
    held: usize,
    /// Who asked last; before that, the network that it comes from.
    caller: Option<LimitKey>,
    waker: Option<Waker>,
    /// Whether something came that is not handed on yet: nothing else would wake the connection for it.
    is_behind: bool,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// Some of the head of a request came.
    Head,
    /// A request is worked on.
    Busy { body: Body },
}

/// What is still to come of a request that is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// So many bytes. Where chunks end shows only to what reads them, and they are handed on as long as something does.
    left: Option<u64>,
    /// Whether something reads it.
    is_wanted: bool,
}

impl Body {
    /// A body of so many bytes.
    pub fn counted(bytes: u64) -> Self {
        Self { left: Some(bytes), is_wanted: false }
    }

    /// A body in chunks.
    pub fn chunked() -> Self {
        Self { left: None, is_wanted: false }
    }

    fn is_waited_for(self) -> bool {
        self.is_wanted && self.left != Some(0)
    }
}

/// What may be handed on to the HTTP library, which takes all the requests it is given into memory at once, some 7 KiB each,
/// and answers one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    Nothing,
    UpTo(u64),
    Everything,
}

/// Why there is no room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its address has as many as one may have.
    Address,
    /// All places are taken by requests that are worked on.
    Full,
}

/// What is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overdue {
    NextRequest,
    Head,
    Reading,
}

impl Connections {
    /// The connections of one of `threads`, all of which share these limits.
    pub fn new(
        connection_limits: &ConnectionLimits,
        threads: usize,
        addresses: Arc<Permits>,
        metrics: Arc<ConnectionMetrics>,
    ) -> Rc<Self> {
        let share = |all: usize| (all / threads).max(1);
        let connections = share(connection_limits.connections).max(2);
        let most = Most {
            connections,
            strangers: connections - share(connection_limits.kept_for_loopback).min(connections - 1),
            held: share(HELD_IN_ALL),
            held_of_one: share(HELD_IN_ALL / SHARE_OF_ONE),
        };
        Rc::new(Self { slots: RefCell::default(), most, addresses, metrics })
    }

    /// A place for a connection from `address`, if need be that of another one, which ends.
    ///
    /// # Errors
    /// If there is none.
    pub fn admit(self: &Rc<Self>, address: Option<IpAddr>) -> Result<Connection, Refused> {
        let admitted = self.place(address);
        if let Err(refused) = admitted {
            self.metrics.refused(match refused {
                Refused::Address => "address",
                Refused::Full => "full",
            });
        }
        admitted
    }

    fn place(self: &Rc<Self>, address: Option<IpAddr>) -> Result<Connection, Refused> {
        let limit_key = address.and_then(LimitKey::at);
        let is_local = address.is_some() && limit_key.is_none();
        let permit = limit_key
            .clone()
            .map(|limit_key| self.addresses.take(limit_key))
            .transpose()
            .map_err(|_| Refused::Address)?;
        let slots = &mut *self.slots.borrow_mut();
        // One from elsewhere takes none of the places that are kept for this machine.
        let is_full = slots.open >= self.most.connections || !is_local && slots.strangers >= self.most.strangers;
        if is_full {
            let movable = |slot: &Slot| is_local || !slot.is_local;
            let victim = slots.longest_waiting(movable).ok_or(Refused::Full)?;
            slots.end(victim);
            self.metrics.ended(EndedFor::Room);
        }
        let key = slots.all.insert(Slot {
            is_local,
            // It has to say what it wants at once.
            phase: Phase::Head,
            since: Instant::now(),
            unread_since: None,
            unsent: 0,
            rest: 0,
            received: 0,
            held: 0,
            caller: limit_key,
            waker: None,
            is_behind: false,
            ended: false,
        });
        slots.open += 1;
        slots.strangers += usize::from(!is_local);
        self.metrics.opened();
        Ok(Connection(Rc::new(Place { connections: Rc::clone(self), key, _permit: permit })))
    }

    /// Counts anew what connection `key` holds, and ends connections that wait if that is too much.
    fn weigh(&self, slots: &mut Slots, key: usize) {
        let Some(slot) = slots.all.get_mut(key).filter(|slot| !slot.ended) else { return };
        let before = slot.held;
        slot.held = slot.weight();
        let (held, caller) = (slot.held, slot.caller.clone());
        slots.held = slots.held - before + held;
        if held <= before || slots.held <= self.most.held_of_one {
            return;
        }
        if let Some(caller) = caller {
            let is_theirs = |slot: &Slot| slot.caller.as_ref() == Some(&caller);
            let mut held: usize = slots.all.iter().filter(|(_, slot)| is_theirs(slot)).map(|(_, slot)| slot.held).sum();
            while held > self.most.held_of_one
                && let Some(released) = self.end_holder(slots, is_theirs)
            {
                held -= released;
            }
        }
        while slots.held > self.most.held && self.end_holder(slots, |_| true).is_some() {}
    }

    /// Ends, of those that hold something and are `chosen`, the one that waits longest; what it held.
    fn end_holder(&self, slots: &mut Slots, chosen: impl Fn(&Slot) -> bool) -> Option<usize> {
        let victim = slots.longest_waiting(|slot| slot.held > 0 && chosen(slot))?;
        self.metrics.ended(EndedFor::Unread);
        Some(slots.end(victim))
    }
}

impl Slots {
    fn longest_waiting(&self, chosen: impl Fn(&Slot) -> bool) -> Option<usize> {
        let waiting = self.all.iter().filter(|(_, slot)| !slot.ended && chosen(slot));
        let waiting = waiting.filter_map(|(key, slot)| Some((slot.waits_since()?, key)));
        waiting.min().map(|(_, key)| key)
    }

    /// Tells a connection to end; what it held.
    fn end(&mut self, key: usize) -> usize {
        let Some(slot) = self.all.get_mut(key).filter(|slot| !slot.ended) else { return 0 };
        slot.ended = true;
        let held = std::mem::take(&mut slot.held);
        slot.wake();
        self.open -= 1;
        self.strangers -= usize::from(!slot.is_local);
        self.held -= held;
        held
    }
}

impl Slot {
    fn weight(&self) -> usize {
        let is_incomplete = match self.phase {
            Phase::Idle => false,
            Phase::Head => true,
            Phase::Busy { body } => body.is_waited_for(),
        };
        let request = if is_incomplete && self.received > USUAL_SIZE { self.received } else { 0 };
        let answer = if self.unread_since.is_some() { self.unsent + self.rest } else { 0 };
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
    fn deadline(&self) -> Option<(Instant, Overdue)> {
        match (self.unread_since, self.phase) {
            // A stream says by itself who is too slow for it, and so does what reads a body.
            (_, Phase::Busy { .. }) => None,
            (Some(since), _) => Some((since + ANSWER_TIMEOUT, Overdue::Reading)),
            (None, Phase::Idle) => Some((self.since + KEEP_ALIVE, Overdue::NextRequest)),
            (None, Phase::Head) => Some((self.since + HEAD_TIMEOUT, Overdue::Head)),
        }
    }

    fn passes(&self) -> Passes {
        match self.phase {
            Phase::Busy { body: Body { left: Some(left), .. } } if left > 0 => Passes::UpTo(left),
            Phase::Busy { body: Body { left: None, is_wanted: true } } => Passes::Everything,
            Phase::Idle | Phase::Head if self.unread_since.is_none() => Passes::Everything,
            Phase::Busy { .. } | Phase::Idle | Phase::Head => Passes::Nothing,
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// One connection; cheap to clone. Whatever handles a request of it can have it as the connection's data.
#[derive(Clone)]
pub(super) struct Connection(Rc<Place>);

struct Place {
    connections: Rc<Connections>,
    key: usize,
    _permit: Option<Permit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut slots = self.connections.slots.borrow_mut();
        slots.end(self.key);
        let gone = slots.all.try_remove(self.key);
        // What it kept is dropped when others can be looked at again.
        drop(slots);
        drop(gone);
        self.connections.metrics.closed();
    }
}

impl Connection {
    fn with<T>(&self, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.0.connections.slots.borrow_mut().all.get_mut(self.0.key).map(change)
    }

    /// See [`Connections::weigh`].
    fn weigh(&self) {
        let connections = &self.0.connections;
        connections.weigh(&mut connections.slots.borrow_mut(), self.0.key);
    }

    /// The head of a request was understood, and it is worked on from now on.
    pub fn begin(&self, body: Body) -> Turn {
        let holds = self.with(|slot| {
            slot.phase = Phase::Busy { body };
            slot.received = 0;
            slot.held > 0
        });
        if holds == Some(true) {
            self.weigh();
        }
        Turn(self.clone())
    }

    fn answered(&self) {
        self.with(|slot| {
            // The rest of a body that was not read is thrown away, for which there is a deadline.
            let has_rest = matches!(slot.phase, Phase::Busy { body } if body.left != Some(0));
            slot.phase = Phase::Idle;
            slot.since = Instant::now();
            slot.received = 0;
            if slot.is_behind || has_rest {
                slot.wake();
            }
        });
    }

    /// Who asks.
    pub fn note_caller(&self, caller: Option<&LimitKey>) {
        self.with(|slot| {
            if slot.caller.as_ref() != caller {
                slot.caller = caller.cloned();
            }
        });
    }

    /// So many bytes of an answer are not in the connection's buffer yet.
    pub fn set_rest(&self, rest: usize) {
        let is_unread = self.with(|slot| {
            slot.rest = rest;
            slot.unread_since.is_some()
        });
        if is_unread == Some(true) {
            self.weigh();
        }
    }

    /// So many bytes wait in the connection's buffer, because the caller does not read them; none any more if 0.
    fn set_unsent(&self, unsent: usize) {
        self.with(|slot| {
            slot.unsent = unsent;
            if unsent > 0 {
                slot.unread_since.get_or_insert_with(Instant::now);
            } else {
                slot.unread_since = None;
                slot.since = Instant::now();
                if slot.is_behind {
                    slot.wake();
                }
            }
        });
        self.weigh();
    }

    /// The body of the request is read as long as what is returned lives.
    pub fn read_body(&self) -> Reading {
        self.want_body(true);
        Reading(self.clone())
    }

    fn want_body(&self, wanted: bool) {
        self.with(|slot| {
            if let Phase::Busy { body } = &mut slot.phase {
                (body.is_wanted, slot.since) = (wanted, Instant::now());
                slot.wake();
            }
        });
        self.weigh();
    }

    /// So many bytes were handed on.
    fn passed(&self, bytes: usize) {
        let is_body = self.with(|slot| {
            let Phase::Busy { body } = &mut slot.phase else { return false };
            body.left = body.left.map(|left| left.saturating_sub(bytes as u64));
            slot.received = slot.received.saturating_add(bytes);
            true
        });
        if is_body == Some(true) {
            self.weigh();
        }
    }

    /// So many bytes came.
    fn received(&self, bytes: usize) {
        let is_large = self.with(|slot| {
            if slot.phase == Phase::Idle && slot.unread_since.is_none() {
                (slot.phase, slot.since) = (Phase::Head, Instant::now());
            }
            if slot.phase == Phase::Head {
                slot.received = slot.received.saturating_add(bytes);
            }
            slot.phase == Phase::Head && slot.received > USUAL_SIZE
        });
        if is_large == Some(true) {
            self.weigh();
        }
    }

    /// What may be handed on, or nothing any more if it is to end. It is woken when that changes.
    fn look(&self, cx: &Context<'_>) -> Option<Passes> {
        let look = self.with(|slot| {
            if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                slot.waker = Some(cx.waker().clone());
            }
            slot.is_behind = false;
            (!slot.ended).then(|| slot.passes())
        });
        look.flatten()
    }

    /// Something came that cannot be handed on now.
    fn note_behind(&self) {
        self.with(|slot| slot.is_behind = true);
    }

    fn deadline(&self) -> Option<(Instant, Overdue)> {
        self.with(|slot| slot.deadline()).flatten()
    }

    fn is_ended(&self) -> bool {
        self.with(|slot| slot.ended).unwrap_or(true)
    }

    fn count_overdue(&self, what: Overdue) {
        self.0.connections.metrics.ended(match what {
            Overdue::NextRequest => return,
            Overdue::Head => EndedFor::SlowHead,
            Overdue::Reading => EndedFor::Unread,
        });
    }

    /// Ends when the connection is told to.
    pub async fn ended(&self) {
        std::future::poll_fn(|cx| if self.look(cx).is_some() { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

/// Of a request: as long as this lives, it is worked on. It ends when the answer is there, and with a stream when that ends.
pub(super) struct Turn(Connection);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// As long as this lives, something reads the body of the request.
pub(super) struct Reading(Connection);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.want_body(false);
    }
}

#[cfg(test)]
mod tests;
