//! How much work is in progress, and how much of it is whose: what limits are about.

use std::collections::HashMap;

use crate::domain::{Job, KeyId};

/// Counts of unfinished jobs.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    all: usize,
    /// Of those that were submitted with an API key.
    of_key: HashMap<KeyId, usize>,
}

impl Unfinished {
    pub const fn all(&self) -> usize {
        self.all
    }

    /// Those submitted with `key`.
    pub fn of_key(&self, key: &KeyId) -> usize {
        self.of_key.get(key).copied().unwrap_or(0)
    }

    /// Counts in a job.
    pub fn add(&mut self, job: &Job) {
        self.all += 1;
        if let Some(actor) = &job.submitted_by {
            *self.of_key.entry(actor.key.clone()).or_default() += 1;
        }
    }

    /// Counts out a job that was counted in.
    pub fn remove(&mut self, job: &Job) {
        self.all = self.all.saturating_sub(1);
        let Some(actor) = &job.submitted_by else { return };
        if let Some(jobs) = self.of_key.get_mut(&actor.key) {
            *jobs -= 1;
            if *jobs == 0 {
                self.of_key.remove(&actor.key);
            }
        }
    }
}
