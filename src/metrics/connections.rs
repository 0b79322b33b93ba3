//! Connections of callers: how many there are, and which were not to stay.

use prometheus::{
    IntCounterVec, IntGauge, Registry, register_int_counter_vec_with_registry, register_int_gauge_with_registry,
};

/// Why a connection was ended by the gateway in the middle of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The head of a request took too long.
    SlowHead,
    /// What was answered was not read, and took too long or too much memory.
    Unread,
    /// It waited longest when another one needed its place.
    Room,
}

impl EndReason {
    const ALL: [Self; 3] = [Self::SlowHead, Self::Unread, Self::Room];

    const fn as_str(self) -> &'static str {
        match self {
            Self::SlowHead => "slow_head",
            Self::Unread => "unread",
            Self::Room => "room",
        }
    }
}

/// Counts connections.
pub struct ConnectionMetrics {
    open: IntGauge,
    refused: IntCounterVec,
    ended: IntCounterVec,
}

impl ConnectionMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let open = register_int_gauge_with_registry!(
            "scalegate_http_connections",
            "Connections of callers that are open.",
            registry
        )?;
        let refused = register_int_counter_vec_with_registry!(
            "scalegate_http_connections_refused_total",
            "Connections that were not taken, by reason: address: too many from one address; full: all places are taken by \
             requests that are worked on.",
            &["reason"],
            registry
        )?;
        let ended = register_int_counter_vec_with_registry!(
            "scalegate_http_connections_ended_total",
            "Connections ended by the gateway because their caller made it wait, by reason: slow_head: for the head of a \
             request; unread: for an answer to be read; room: longer than all others, when a new one needed its place.",
            &["reason"],
            registry
        )?;
        // What never happened is there with a zero.
        ["address", "full"].iter().for_each(|reason| drop(refused.with_label_values(&[reason])));
        EndReason::ALL.iter().for_each(|reason| drop(ended.with_label_values(&[reason.as_str()])));
        Ok(Self { open, refused, ended })
    }

    /// One was taken.
    pub fn opened(&self) {
        self.open.inc();
    }

    /// One is gone.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// One was not taken, for this reason.
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// One was ended.
    pub fn ended(&self, reason: EndReason) {
        self.ended.with_label_values(&[reason.as_str()]).inc();
    }
}
