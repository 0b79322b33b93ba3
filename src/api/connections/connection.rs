//! The handle by which a connection is told what happens on it: by the socket, by the middleware, and by what reads a body or
//! hands on an answer.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::slot::{Allowance, BodyState, Phase, Slot, Timeout};
use super::{Connections, USUAL_SIZE};
use crate::access::{LimitKey, Permit};
use crate::metrics::EndReason;

/// One connection; cheap to clone. What handles a request finds it among the data of the request's connection.
#[derive(Clone)]
pub(in crate::api) struct Connection(Rc<Registration>);

struct Registration {
    connections: Rc<Connections>,
    key: usize,
    _permit: Option<Permit>,
}

impl Drop for Registration {
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
    /// The handle of the connection that is registered with this `key`.
    pub(super) fn new(connections: Rc<Connections>, key: usize, permit: Option<Permit>) -> Self {
        Self(Rc::new(Registration { connections, key, _permit: permit }))
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.0.connections.slots.borrow_mut().all.get_mut(self.0.key).map(change)
    }

    /// See [`Connections::recount`].
    fn recount(&self) {
        let connections = &self.0.connections;
        connections.recount(&mut connections.slots.borrow_mut(), self.0.key);
    }

    /// The head of a request was understood, and it is worked on from now on.
    pub fn begin(&self, body: BodyState) -> ActiveRequest {
        let holds = self.with(|slot| {
            slot.phase = Phase::Busy { body };
            slot.received = 0;
            slot.held > 0
        });
        if holds == Some(true) {
            self.recount();
        }
        ActiveRequest(self.clone())
    }

    fn answered(&self) {
        self.with(|slot| {
            // The rest of a body that was not read is thrown away, for which there is a deadline.
            let has_rest = matches!(slot.phase, Phase::Busy { body } if body.left != Some(0));
            slot.phase = Phase::Idle;
            slot.since = Instant::now();
            slot.received = 0;
            if slot.has_pending_input || has_rest {
                slot.wake();
            }
        });
    }

    /// The caller of the request is known.
    pub fn note_caller(&self, caller: Option<&LimitKey>) {
        self.with(|slot| {
            if slot.caller.as_ref() != caller {
                slot.caller = caller.cloned();
            }
        });
    }

    /// So many bytes of an answer are not in the connection's buffer yet.
    pub fn set_unbuffered(&self, unbuffered: usize) {
        let is_unread = self.with(|slot| {
            slot.unbuffered = unbuffered;
            slot.unread_since.is_some()
        });
        if is_unread == Some(true) {
            self.recount();
        }
    }

    /// So many bytes wait in the connection's buffer, because the caller does not read them; none any more if 0.
    pub(super) fn set_unsent(&self, unsent: usize) {
        self.with(|slot| {
            slot.unsent = unsent;
            if unsent > 0 {
                slot.unread_since.get_or_insert_with(Instant::now);
            } else {
                slot.unread_since = None;
                slot.since = Instant::now();
                if slot.has_pending_input {
                    slot.wake();
                }
            }
        });
        self.recount();
    }

    /// The body of the request is read as long as what is returned lives.
    pub fn read_body(&self) -> BodyRead {
        self.set_body_read(true);
        BodyRead(self.clone())
    }

    fn set_body_read(&self, read: bool) {
        self.with(|slot| {
            if let Phase::Busy { body } = &mut slot.phase {
                (body.is_read, slot.since) = (read, Instant::now());
                slot.wake();
            }
        });
        self.recount();
    }

    /// So many bytes were handed on.
    pub(super) fn passed(&self, bytes: usize) {
        let is_body = self.with(|slot| {
            let Phase::Busy { body } = &mut slot.phase else { return false };
            body.left = body.left.map(|left| left.saturating_sub(bytes as u64));
            slot.received = slot.received.saturating_add(bytes);
            true
        });
        if is_body == Some(true) {
            self.recount();
        }
    }

    /// So many bytes came.
    pub(super) fn received(&self, bytes: usize) {
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
            self.recount();
        }
    }

    /// What may be handed on, or nothing any more if it is to end. It is woken when that changes.
    pub(super) fn poll_allowance(&self, cx: &Context<'_>) -> Option<Allowance> {
        let allowance = self.with(|slot| {
            if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                slot.waker = Some(cx.waker().clone());
            }
            slot.has_pending_input = false;
            (!slot.ended).then(|| slot.allowance())
        });
        allowance.flatten()
    }

    /// Something came that cannot be handed on now.
    pub(super) fn note_pending_input(&self) {
        self.with(|slot| slot.has_pending_input = true);
    }

    /// The caller sends nothing any more.
    pub(super) fn note_hang_up(&self) {
        let waker = self.with(|slot| {
            slot.has_hung_up = true;
            slot.hang_up_waker.take()
        });
        waker.flatten().iter().for_each(Waker::wake_by_ref);
    }

    /// Ends when the caller sends nothing any more: it has gone away, or has at least closed its side, which looks the same
    /// as long as nothing is sent to it. The library lets handlers go on. A request that was sent behind the one that is worked
    /// on hides it.
    pub async fn hung_up(&self) {
        poll_fn(|cx| {
            let has_hung_up = self.with(|slot| {
                slot.hang_up_waker = Some(cx.waker().clone());
                slot.has_hung_up
            });
            if has_hung_up.unwrap_or(true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Timeout)> {
        self.with(|slot| slot.deadline()).flatten()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.with(|slot| slot.ended).unwrap_or(true)
    }

    pub(super) fn count_timeout(&self, timeout: Timeout) {
        self.0.connections.metrics.ended(match timeout {
            Timeout::KeepAlive => return,
            Timeout::Head => EndReason::SlowHead,
            Timeout::UnreadAnswer => EndReason::Unread,
        });
    }

    /// Ends when the connection is told to.
    pub async fn ended(&self) {
        poll_fn(|cx| if self.poll_allowance(cx).is_some() { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

/// Of a request: as long as this lives, it is worked on. It ends when the answer is there, and with a stream when that ends.
pub(in crate::api) struct ActiveRequest(Connection);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// As long as this lives, something reads the body of the request.
pub(in crate::api) struct BodyRead(Connection);

impl Drop for BodyRead {
    fn drop(&mut self) {
        self.0.set_body_read(false);
    }
}
