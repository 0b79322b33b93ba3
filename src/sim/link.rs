//! The way from a [`super::Machine`] to the simulated sidecar: what the client of the sidecar would make of each answer, and when.

use std::time::Duration;

use super::Delayed;
use super::sidecar::{Model, Reply};
use crate::domain::{Alias, ChangeAnswer, GroupedAnswer, Move, ReadFailure, Timestamp};
use crate::sidecar::{REQUEST_TIMEOUT, RawReading, interpret_change, interpret_grouped_change, interpret_reading};

/// How long the sidecar takes to answer, unless its behaviour adds to it.
const CALL: Duration = Duration::from_millis(3);

/// A simulated sidecar and the connection to it.
pub struct SidecarLink {
    /// The sidecar.
    pub model: Model,
    /// Whether connections are refused.
    pub is_down: bool,
}

impl SidecarLink {
    /// To the sidecar `model`, which can be reached.
    pub fn new(model: Model) -> Self {
        Self { model, is_down: false }
    }

    /// Asks for the capacity of `resource`; the answer, and how long it takes.
    pub fn read(&mut self, now: Timestamp, resource: &Alias) -> Delayed<Result<RawReading, ReadFailure>> {
        let failure = |detail: &str| Err(ReadFailure { not_found: false, detail: detail.into(), answer: None });
        if self.is_down {
            return (CALL, failure("connection refused"));
        }
        let answer = self.model.read(now, resource);
        arrival(answer.delay, answer.reply, |reply| match reply {
            Reply::Response { status, body } => interpret_reading(status, body.as_bytes()),
            Reply::ConnectionClosed => failure("connection closed"),
        })
        .unwrap_or_else(|| (REQUEST_TIMEOUT, failure("no answer")))
    }

    /// Asks for `change` of `resource`; the answer, and how long it takes.
    pub fn change(&mut self, now: Timestamp, resource: &Alias, change: Move) -> Delayed<ChangeAnswer> {
        if self.is_down {
            return (CALL, ChangeAnswer::NotSent { detail: "connection refused".into() });
        }
        let answer = self.model.change(now, resource, change.op, change.units.into());
        arrival(answer.delay, answer.reply, |reply| match reply {
            Reply::Response { status, body } => interpret_change(status, body.as_bytes()),
            Reply::ConnectionClosed => unknown("connection closed"),
        })
        .unwrap_or_else(|| (REQUEST_TIMEOUT, unknown("no answer")))
    }

    /// Asks for `changes`, which all go the same way, in one request; the answer, and how long it takes.
    pub fn change_together(&mut self, now: Timestamp, changes: &[(Alias, Move)]) -> Delayed<GroupedAnswer> {
        let count = changes.len();
        let Some((_, Move { op, .. })) = changes.first().filter(|_| !self.is_down) else {
            return (CALL, same(ChangeAnswer::NotSent { detail: "connection refused".into() }, count));
        };
        let parts: Vec<(Alias, i64)> =
            changes.iter().map(|(resource, change)| (resource.clone(), change.units.into())).collect();
        let resources: Vec<&Alias> = changes.iter().map(|(resource, _)| resource).collect();
        let answer = self.model.change_group(now, *op, &parts);
        arrival(answer.delay, answer.reply, |reply| match reply {
            Reply::Response { status, body } => interpret_grouped_change(status, body.as_bytes(), &resources),
            Reply::ConnectionClosed => same(unknown("connection closed"), count),
        })
        .unwrap_or_else(|| (REQUEST_TIMEOUT, same(unknown("no answer"), count)))
    }
}

/// The same answer for so many changes.
fn same(answer: ChangeAnswer, count: usize) -> GroupedAnswer {
    GroupedAnswer { answers: vec![answer; count], has_path: true }
}

/// When an answer arrives and what it means, or `None` if the client gives up before.
fn arrival<T>(delay: Duration, reply: Reply, meaning: impl FnOnce(Reply) -> T) -> Option<Delayed<T>> {
    let after = delay + CALL;
    (after < REQUEST_TIMEOUT).then(|| (after, meaning(reply)))
}

fn unknown(detail: &str) -> ChangeAnswer {
    ChangeAnswer::Unknown { detail: detail.into(), answer: None }
}
