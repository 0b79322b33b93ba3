//! What the simulator remembers for those who judge by it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::behaviour::Fault;
use crate::domain::{Alias, Capacity, Op, Timestamp};

/// One request that reached the simulator, or one change of a resource's true capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When it happened.
    #[serde(rename = "atMillis")]
    pub at: Timestamp,
    /// The resource.
    pub alias: Alias,
    /// What happened.
    pub kind: RecordKind,
    /// Units asked for by a request (0 for a reading), or units by which the capacity moved.
    pub units: i64,
    /// True capacity before; zero if there is no such resource.
    pub capacity_before: Capacity,
    /// True capacity after. A request by itself moves nothing: its application has a record of its own.
    pub capacity_after: Capacity,
    /// The fault that befell the request.
    pub fault: Option<Fault>,
    /// The status code a request was answered with; `None` where it got no answer, and for applications.
    pub status: Option<u16>,
}

/// What a [`Record`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A reading was asked for.
    Read,
    /// An add was asked for.
    Add,
    /// A remove was asked for.
    Remove,
    /// An add took effect.
    AddApplied,
    /// A remove took effect.
    RemoveApplied,
    /// Another program set the capacity.
    SetByOther,
}

impl RecordKind {
    /// The kind of a request for `op`.
    pub const fn request(op: Op) -> Self {
        match op {
            Op::Add => Self::Add,
            Op::Remove => Self::Remove,
        }
    }

    /// The kind of an application of `op`.
    pub const fn applied(op: Op) -> Self {
        match op {
            Op::Add => Self::AddApplied,
            Op::Remove => Self::RemoveApplied,
        }
    }

    /// Whether this is about a request rather than about its effect.
    pub const fn is_request(self) -> bool {
        matches!(self, Self::Read | Self::Add | Self::Remove)
    }
}

/// Records, oldest first, at most so many.
#[derive(Clone, Debug)]
pub(super) struct Log {
    records: VecDeque<Record>,
    most: Option<usize>,
}

impl Log {
    pub(super) const fn new(most: Option<usize>) -> Self {
        Self { records: VecDeque::new(), most }
    }

    pub(super) fn push(&mut self, record: Record) {
        self.records.push_back(record);
        if self.most.is_some_and(|most| self.records.len() > most) {
            self.records.pop_front();
        }
    }

    pub(super) const fn records(&self) -> &VecDeque<Record> {
        &self.records
    }
}
