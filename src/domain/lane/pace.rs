//! How often to read: soon enough to be punctual, seldom enough not to hammer the sidecar.

use std::time::Duration;

use super::super::capacity::Capacity;
use super::super::job::Job;
use super::super::ledger::Ledger;
use super::super::time::Timestamp;

/// While the end of a change decides how long the job takes, readings are this fraction of the time passed since the
/// change apart: what is noticed late is noticed at most 2 % late, and the number of readings grows only with the
/// logarithm of the wait.
const PUNCTUALITY: u32 = 50;
/// While a cooldown runs anyway, there is no hurry: readings are this fraction of the time left apart.
const LEISURE: u32 = 8;
/// First pause after a failed call; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// When to read next, `expected` being the capacity the last change leads to.
pub(super) fn next_reading(job: &Job, ledger: &Ledger, expected: Capacity, now: Timestamp) -> Timestamp {
    let next_change_at = ledger.next_change_at(job.settings.cooldown).filter(|at| *at > now);
    let interval = match next_change_at {
        Some(at) if job.target != Some(expected) => at.since(now) / LEISURE,
        _ => {
            let since = ledger.last_change.map(|last| last.at).max(job.started_at).unwrap_or(now);
            now.since(since) / PUNCTUALITY
        }
    };
    let next = now + interval.clamp(job.shortest_poll(), job.settings.poll_interval);
    match next_change_at {
        Some(at) => next.min(at),
        None => next,
    }
}

/// How long to pause after the `attempt`-th failure in a row: 1 s, 2 s, 4 s … up to the poll interval, less up to a
/// quarter so that jobs which failed together do not try again together.
pub(super) fn backoff(job: &Job, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let pause = FIRST_BACKOFF.saturating_mul(1 << doublings).min(job.settings.poll_interval);
    pause - pause / 4 * jitter(job, attempt) / 256
}

/// A number below 256 that differs from job to job and from attempt to attempt, but not from run to run.
fn jitter(job: &Job, attempt: u32) -> u32 {
    let low_bits = (job.id.as_u128() & u128::from(u32::MAX)) as u32;
    low_bits.wrapping_add(attempt).wrapping_mul(0x9E37_79B9) >> 24
}
