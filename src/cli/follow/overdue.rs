//! Waits that go on after their time: what keeps the gateway from going on, which the job itself does not tell while nothing
//! can be written.

use std::time::Duration;

use crate::api::view::{JobView, Ready, SidecarContactView, WireTime};
use crate::cli::client::{Client, Failure};
use crate::domain::Timestamp;

/// How long after its time a wait is looked into. The clocks of two machines differ by seconds.
const LATE: Duration = Duration::from_secs(10);
/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest wait for the answer: events are not read meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks into waits that are overdue.
#[derive(Debug)]
pub struct Overdue {
    /// How long after its time a wait is looked into.
    late: Duration,
    /// The end of the wait that was seen last, and when that was seen first.
    wait: Option<(WireTime, Timestamp)>,
    asked_at: Option<Timestamp>,
    told: Option<String>,
}

impl Default for Overdue {
    fn default() -> Self {
        Self::after(LATE)
    }
}

impl Overdue {
    /// One that looks into waits that go on for so long after their time.
    pub fn after(late: Duration) -> Self {
        Self { late, wait: None, asked_at: None, told: None }
    }

    /// Whether the wait of `job` is overdue and the gateway was not asked lately. A wait counts from when it was seen first,
    /// because this machine's clock may be ahead.
    pub fn is_due(&mut self, job: &JobView, now: Timestamp) -> bool {
        let until = job.waiting_for.as_ref().map(|waiting| waiting.until);
        if self.wait.map(|(known, _)| known) != until {
            *self = Self { wait: until.map(|until| (until, now)), ..Self::after(self.late) };
        }
        let is_late = self.wait.is_some_and(|(until, seen)| now.since(until.0).min(now.since(seen)) >= self.late);
        is_late && self.asked_at.is_none_or(|at| now.since(at) >= PAUSE)
    }

    /// What keeps the gateway from going on, if it says so and that was not told before.
    pub async fn ask(&mut self, client: &Client, now: Timestamp) -> Option<String> {
        self.asked_at = Some(now);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.look_at("/readyz")).await.ok()?;
        let cause = cause(answer);
        let is_new = cause != self.told;
        self.told.clone_from(&cause);
        cause.filter(|_| is_new).map(|cause| {
            format!("The wait is overdue: {cause}\n  The job is not affected, and goes on when that has passed.")
        })
    }
}

fn cause(answer: Result<Ready, Failure>) -> Option<String> {
    match answer {
        Ok(Ready { sidecar: Some(SidecarContactView { reachable: Some(false), last_failure, .. }), .. }) => {
            Some(format!("the sidecar did not answer: {}", last_failure.unwrap_or_default()))
        }
        Err(failure @ Failure::Problem { .. }) => Some(failure.to_string()),
        // That the gateway is away is told by the events.
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::client::stub::{Reply, Stub, job_view, problem};

    fn waiting(until: &str) -> JobView {
        job_view(json!({"waitingFor": {"reason": "cooldown", "until": until, "detail": "."}}))
    }

    #[test]
    fn a_wait_is_looked_into_when_it_is_overdue_and_not_all_the_time() {
        let (job, later) = (waiting("2026-01-31T12:00:00.000Z"), waiting("2026-01-31T13:00:00.000Z"));
        let until = job.waiting_for.as_ref().expect("a wait").until.0;
        let mut overdue = Overdue::default();
        // Seen first after its time, by a clock that is ahead.
        let seen = until + Duration::from_secs(600);
        assert!(!overdue.is_due(&job, seen));
        assert!(!overdue.is_due(&job, seen + Duration::from_secs(9)));
        assert!(overdue.is_due(&job, seen + LATE));
        overdue.asked_at = Some(seen + LATE);
        assert!(!overdue.is_due(&job, seen + LATE + Duration::from_secs(29)));
        assert!(overdue.is_due(&job, seen + LATE + PAUSE));
        assert!(!overdue.is_due(&later, seen + LATE + PAUSE));
        assert!(!overdue.is_due(&later, seen + LATE + PAUSE + PAUSE), "its time has not come");
    }

    #[actix_web::test]
    async fn what_keeps_the_gateway_is_told_once() {
        let ready = |sidecar| Reply::Json(200, json!({"status": "ready", "unfinishedJobs": 1, "sidecar": sidecar}));
        let failing = json!({"reachable": false, "lastAnswerAt": null, "lastFailure": "Connection refused"});
        let not_ready = || problem(503, "not_ready");
        let stub = Stub::start(vec![not_ready(), not_ready(), ready(failing), ready(json!(null))]).await;
        let (client, mut overdue, mut told) = (stub.client(), Overdue::default(), Vec::new());
        for _ in 0..4 {
            told.push(overdue.ask(&client, Timestamp::from_millis(0)).await);
        }
        assert_eq!(stub.lines(), ["GET /readyz"; 4]);
        let words = |told: &Option<String>, words: &str| told.as_ref().is_some_and(|told| told.contains(words));
        assert!(words(&told[0], "The wait is overdue: A title (503 not_ready)"), "{told:?}");
        assert!(words(&told[2], "the sidecar did not answer: Connection refused"), "{told:?}");
        assert_eq!((&told[1], &told[3]), (&None, &None));
    }
}
