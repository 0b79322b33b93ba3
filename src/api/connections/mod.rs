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

mod connection;
mod slot;
mod socket;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::ConnectionLimits;
use crate::access::{LimitKey, Permits};
use crate::metrics::{ConnectionMetrics, EndReason};

pub(super) use connection::{ActiveRequest, Connection};
pub(super) use slot::BodyState;
use slot::{Slot, Slots};
pub(super) use socket::{Socket, Transport};

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
    limits: ThreadLimits,
    addresses: Arc<Permits>,
    metrics: Arc<ConnectionMetrics>,
}

/// The limits of one thread.
#[derive(Clone, Copy, Debug)]
struct ThreadLimits {
    connections: usize,
    /// Those from other machines among them.
    remote: usize,
    held: usize,
    held_of_one: usize,
}

/// Why there is no room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdmitError {
    /// Its address has as many as one may have.
    TooManyFromAddress,
    /// All places are taken by requests that are worked on.
    Full,
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
        let limits = ThreadLimits {
            connections,
            remote: connections - share(connection_limits.kept_for_loopback).min(connections - 1),
            held: share(HELD_IN_ALL),
            held_of_one: share(HELD_IN_ALL / SHARE_OF_ONE),
        };
        Rc::new(Self { slots: RefCell::default(), limits, addresses, metrics })
    }

    /// A place for a connection from `address`, if need be that of another one, which ends.
    ///
    /// # Errors
    /// If there is none.
    pub fn admit(self: &Rc<Self>, address: Option<IpAddr>) -> Result<Connection, AdmitError> {
        let admitted = self.register(address);
        if let Err(refused) = admitted {
            self.metrics.refused(match refused {
                AdmitError::TooManyFromAddress => "address",
                AdmitError::Full => "full",
            });
        }
        admitted
    }

    fn register(self: &Rc<Self>, address: Option<IpAddr>) -> Result<Connection, AdmitError> {
        let limit_key = address.and_then(LimitKey::at);
        let is_local = address.is_some() && limit_key.is_none();
        let permit = limit_key
            .clone()
            .map(|limit_key| self.addresses.take(limit_key))
            .transpose()
            .map_err(|_| AdmitError::TooManyFromAddress)?;
        let slots = &mut *self.slots.borrow_mut();
        // One from another machine takes none of the places that are kept for this machine.
        let is_full = slots.open >= self.limits.connections || !is_local && slots.remote >= self.limits.remote;
        if is_full {
            let movable = |slot: &Slot| is_local || !slot.is_local;
            let victim = slots.longest_waiting(movable).ok_or(AdmitError::Full)?;
            slots.end(victim);
            self.metrics.ended(EndReason::Room);
        }
        let key = slots.all.insert(Slot::new(limit_key, is_local));
        slots.open += 1;
        slots.remote += usize::from(!is_local);
        self.metrics.opened();
        Ok(Connection::new(Rc::clone(self), key, permit))
    }

    /// Counts anew what connection `key` holds, and ends connections that wait if that is too much.
    fn recount(&self, slots: &mut Slots, key: usize) {
        let Some(slot) = slots.all.get_mut(key).filter(|slot| !slot.ended) else { return };
        let before = slot.held;
        slot.held = slot.weight();
        let (held, caller) = (slot.held, slot.caller.clone());
        slots.held = slots.held - before + held;
        if held <= before || slots.held <= self.limits.held_of_one {
            return;
        }
        if let Some(caller) = caller {
            let is_theirs = |slot: &Slot| slot.caller.as_ref() == Some(&caller);
            let mut held: usize = slots.all.iter().filter(|(_, slot)| is_theirs(slot)).map(|(_, slot)| slot.held).sum();
            while held > self.limits.held_of_one
                && let Some(released) = self.end_holder(slots, is_theirs)
            {
                held -= released;
            }
        }
        while slots.held > self.limits.held && self.end_holder(slots, |_| true).is_some() {}
    }

    /// Ends, of those that hold something and are `chosen`, the one that waits longest; what it held.
    fn end_holder(&self, slots: &mut Slots, chosen: impl Fn(&Slot) -> bool) -> Option<usize> {
        let victim = slots.longest_waiting(|slot| slot.held > 0 && chosen(slot))?;
        self.metrics.ended(EndReason::Unread);
        Some(slots.end(victim))
    }
}

#[cfg(test)]
mod tests;
