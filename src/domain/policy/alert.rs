//! Alerts, as a monitoring system tells of them: each that fires is a claim.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::time::Timestamp;

/// One occurrence of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Identifies the alert by all its labels, the same at each occurrence.
    pub fingerprint: Arc<str>,
    /// When this occurrence began.
    pub started_at: Timestamp,
}

impl Alert {
    /// Whether it is the same alert as `other`, in this or another occurrence.
    pub fn is_of(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}
