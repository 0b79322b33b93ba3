//! How often to read: soon enough to be punctual, seldom enough not to hammer the sidecar.

use std::time::Duration;

use super::super::capacity::Capacity;
use super::super::change_state::ChangeState;
use super::super::job::Job;
use super::super::time::Timestamp;

/// While the end of a change decides how long the job takes, readings are this fraction of the time passed since the
/// change apart: what is noticed late is noticed at most 2 % late, and the number of readings grows only with the
/// logarithm of the wait.
const PUNCTUALITY: u32 = 50;
/// While a cooldown runs anyway, there is no hurry: readings are this fraction of the time left apart.
const LEISURE: u32 = 8;
/// In so many places jobs are scattered, so that very many of them do not come in bursts.
const JITTER: u32 = 1 << 16;
/// First pause after a failed call; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// When to read next, `expected` being the capacity the last change leads to.
pub(super) fn next_reading(job: &Job, change_state: &ChangeState, expected: Capacity, now: Timestamp) -> Timestamp {
    let next_change_at = change_state.next_change_at(job.settings.cooldown).filter(|at| *at > now);
    let interval = match next_change_at {
        Some(at) if job.target != Some(expected) => at.since(now) / LEISURE,
        _ => {
            let since = change_state.last_change.map(|last| last.at).max(job.started_at).unwrap_or(now);
            now.since(since) / PUNCTUALITY
        }
    };
    let next = now + interval.clamp(job.shortest_poll(), job.settings.poll_interval);
    match next_change_at {
        Some(at) => next.min(at),
        None => next,
    }
}

/// When to read for the first time after a restart in a cooldown that runs `until` then: those who look at the resource have no
/// reading of it, and many lanes should not read at once.
pub(super) fn first_reading_before(job: &Job, until: Timestamp, now: Timestamp) -> Timestamp {
    now + (until.since(now) / LEISURE).saturating_mul(jitter(job, 0)) / JITTER
}

/// How long to pause after the `attempt`-th failure in a row: 1 s, 2 s, 4 s … up to the poll interval, less up to a
/// quarter so that jobs which failed together do not try again together.
pub(super) fn backoff(job: &Job, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let pause = FIRST_BACKOFF.saturating_mul(1 << doublings).min(job.settings.poll_interval);
    pause - pause / 4 * jitter(job, attempt) / JITTER
}

/// A number below [`JITTER`] that differs from job to job and from attempt to attempt, but not from run to run.
fn jitter(job: &Job, attempt: u32) -> u32 {
    let low_bits = (job.id.as_u128() & u128::from(u32::MAX)) as u32;
    low_bits.wrapping_add(attempt).wrapping_mul(0x9E37_79B9) / (u32::MAX / JITTER + 1)
}

#[cfg(test)]
mod tests {
    use super::super::super::capacity::Op;
    use super::super::super::change_state::SentChange;
    use super::super::super::job::{Goal, JobRequest};
    use super::super::super::settings::Settings;
    use super::*;

    const SENT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn units(units: i64) -> Capacity {
        Capacity::new(units).expect("a small number")
    }

    fn job(target: i64) -> Job {
        let request = JobRequest::for_worker(Goal::Target(units(target)));
        Job::accept(uuid::Uuid::from_u128(7), request, Settings::DEFAULT, SENT)
    }

    #[test]
    fn reads_often_when_it_matters_and_seldom_when_not() {
        let seconds = Duration::from_secs;
        let last = SentChange { at: SENT, op: Some(Op::Add), cooldown: seconds(300), settle: seconds(90) };
        let change_state = ChangeState { last_change: Some(last), ..ChangeState::default() };
        let pause = |target, after: u64| {
            let now = SENT + seconds(after);
            next_reading(&job(target), &change_state, units(2), now).since(now)
        };
        // The change leads to the target: the job is over as soon as it shows.
        for (after, expected) in [(0, 1.0), (10, 1.0), (60, 1.2), (200, 4.0), (1000, 20.0), (9000, 30.0)] {
            assert_eq!(pause(2, after).as_secs_f64(), expected, "after {after} s");
        }
        // Another change has to follow, and the cooldown comes first.
        for (after, expected) in [(0, 30.0), (100, 25.0025), (292, 1.0025), (299, 1.0), (300, 6.0), (400, 8.0)] {
            let pause = pause(5, after).as_secs_f64();
            assert!((pause - expected).abs() < 0.01, "after {after} s: {pause}");
        }
    }

    #[test]
    fn jobs_in_a_cooldown_read_soon_after_a_restart_and_not_all_at_once() {
        let until = SENT + Duration::from_secs(300);
        let first = |id: u128| first_reading_before(&Job { id: uuid::Uuid::from_u128(id), ..job(5) }, until, SENT);
        let all: Vec<Timestamp> = (0..100).map(first).collect();
        let (earliest, latest) = (all.iter().min().expect("some"), all.iter().max().expect("some"));
        assert!(latest.since(SENT) < until.since(SENT) / LEISURE, "{latest}");
        assert!(latest.since(*earliest) > Duration::from_secs(30), "{earliest} to {latest}");
        assert_eq!(first_reading_before(&job(5), SENT, SENT), SENT);
    }

    #[test]
    fn backs_off_up_to_the_poll_interval_and_never_by_more_than_a_quarter_less() {
        let job = job(2);
        for (attempt, most) in [(1, 1.0), (2, 2.0), (3, 4.0), (5, 16.0), (6, 30.0), (99, 30.0), (u32::MAX, 30.0)] {
            let pause = backoff(&job, attempt).as_secs_f64();
            assert!(pause <= most && pause >= most * 0.75, "attempt {attempt}: {pause}");
        }
    }
}
