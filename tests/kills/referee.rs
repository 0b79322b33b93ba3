//! What the clients were told, and whether the gateway stands by it.
//!
//! Every answer is compared with those before it: a version of a job is always the same, byte for byte; what is over,
//! or resolved, stays as it is; no client that asks later is shown something earlier; a submission sent again gets the
//! same answer. What was promised is kept for the verdict in the end.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use scalegate::api::view::{JobView, StepView};
use serde_json::Value;
use uuid::Uuid;

use super::support::gateway::Response;

/// The label that says which submission a job was made of.
pub const LABEL: &str = "submission";

/// How many of the latest jobs are the ones that most is done with.
const LATEST: usize = 40;

/// A job as it was shown to a client.
pub struct Sight {
    pub job: JobView,
    body: Vec<u8>,
}

/// A request to scale.
#[derive(Clone)]
pub struct Submission {
    pub number: usize,
    pub body: Value,
    /// Its idempotency key, if it has one.
    pub key: Option<String>,
}

/// What a submission was answered with, if that was a job.
#[derive(Clone)]
pub struct Accepted {
    pub status: u16,
    pub id: Uuid,
}

#[derive(Default)]
pub struct Referee {
    state: Mutex<State>,
    submissions_sent: AtomicUsize,
}

#[derive(Default)]
struct State {
    submissions: Vec<(Submission, Option<Accepted>)>,
    /// Jobs in the order in which they became known.
    known: Vec<Uuid>,
    latest: HashMap<Uuid, Arc<Sight>>,
    canceled: HashSet<Uuid>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    accepted: usize,
    joined: usize,
    refused: usize,
    canceled: usize,
    repeated: usize,
    sights: usize,
    answers_lost: usize,
    submissions_lost: usize,
    lost_but_done: usize,
}

impl Referee {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the referee has found no fault so far")
    }

    // ---- submissions ------------------------------------------------------------------------------------------

    /// A new submission with this body; the label is added to it.
    pub fn register(&self, mut body: Value, keyed: bool) -> Submission {
        let mut state = self.state();
        let number = state.submissions.len();
        body["labels"] = serde_json::json!({ LABEL: number.to_string() });
        let submission = Submission { number, body, key: keyed.then(|| format!("kills-{number}")) };
        state.submissions.push((submission.clone(), None));
        submission
    }

    /// A submission is about to be sent.
    pub fn sends_submission(&self) {
        self.submissions_sent.fetch_add(1, Ordering::Relaxed);
    }

    pub fn submissions_sent(&self) -> usize {
        self.submissions_sent.load(Ordering::Relaxed)
    }

    /// No answer came to a submission.
    pub fn lost_submission(&self) {
        self.state().counts.submissions_lost += 1;
        self.lost_answer();
    }

    /// No answer came.
    pub fn lost_answer(&self) {
        self.state().counts.answers_lost += 1;
    }

    /// The first answer to a submission, which may have been sent before, without being answered.
    pub fn answered(&self, submission: &Submission, response: &Response, sent_before: bool) {
        match response.status {
            202 | 200 => self.answered_with_job(submission, response, sent_before),
            409 | 422 | 429 => {
                let code = response.problem().code;
                assert!(
                    matches!(code.as_str(), "resource_busy" | "out_of_bounds" | "queue_full"),
                    "{}",
                    response.text()
                );
                self.state().counts.refused += 1;
            }
            _ => panic!("a wrong answer to {}: {} {}", submission.body, response.status, response.text()),
        }
    }

    fn answered_with_job(&self, submission: &Submission, response: &Response, sent_before: bool) {
        let sight = self.saw(None, response);
        let (job, made_of_it) = (&sight.job, sight.job.labels[LABEL] == submission.number.to_string());
        assert_eq!(made_of_it, response.status == 202, "{} is answered with another's job: {job:#?}", submission.body);
        assert_eq!(submission.body["resource"], job.resource.as_str());
        if made_of_it {
            assert_eq!(submission.body["delta"].as_i64(), job.delta.map(i64::from), "{job:#?}");
        }
        if let Some(target) = submission.body["targetCapacity"].as_u64() {
            assert_eq!(job.target_capacity.map(u64::from), Some(target), "{}: {job:#?}", submission.body);
        }
        let replayed = response.header("idempotency-replayed").is_some();
        assert!(sent_before || !replayed, "{} was never sent before", submission.body);
        let mut state = self.state();
        state.counts.lost_but_done += usize::from(replayed);
        state.counts.accepted += usize::from(made_of_it);
        state.counts.joined += usize::from(!made_of_it);
        let accepted = Accepted { status: response.status, id: job.id };
        state.submissions[submission.number].1 = Some(accepted);
    }

    /// A submission with a key that was answered with a job.
    pub fn some_answered_submission(&self, choose: impl FnOnce(usize) -> usize) -> Option<(Submission, Accepted)> {
        let state = self.state();
        let answered: Vec<&(Submission, Option<Accepted>)> = state
            .submissions
            .iter()
            .filter(|(submission, answer)| submission.key.is_some() && answer.is_some())
            .collect();
        let (submission, answer) = answered.get(choose(answered.len().max(1)))?;
        Some((submission.clone(), answer.clone()?))
    }

    /// The answer to a submission sent once more, after `first` was the answer: the same job, `before` or later.
    pub fn answered_again(&self, submission: &Submission, first: &Accepted, before: &Sight, response: &Response) {
        let text = response.text();
        assert_eq!(response.status, first.status, "{} again: {text}", submission.body);
        assert_eq!(self.saw(Some(before), response).job.id, first.id, "{} again: {text}", submission.body);
        assert_eq!(response.header("idempotency-replayed"), Some("true"), "{} again: {text}", submission.body);
        self.state().counts.repeated += 1;
    }

    /// The jobs that submissions were answered with.
    pub fn accepted(&self) -> Vec<Uuid> {
        self.state().submissions.iter().filter_map(|(_, answer)| Some(answer.as_ref()?.id)).collect()
    }

    /// All submissions, and what they were answered with.
    pub fn submissions(&self) -> Vec<(Submission, Option<Accepted>)> {
        self.state().submissions.clone()
    }

    // ---- jobs -------------------------------------------------------------------------------------------------

    /// A job to ask about, as it was last seen; most often one of the latest.
    pub fn some_job(&self, choose: impl FnOnce(usize) -> usize, any: bool) -> Option<Arc<Sight>> {
        let state = self.state();
        let from = if any { 0 } else { state.known.len().saturating_sub(LATEST) };
        let id = state.known[from..].get(choose((state.known.len() - from).max(1)))?;
        state.latest.get(id).cloned()
    }

    /// The cancellation of a job was acknowledged.
    pub fn canceled(&self, id: Uuid) {
        let mut state = self.state();
        state.counts.canceled += 1;
        state.canceled.insert(id);
    }

    /// The jobs whose cancellation was acknowledged.
    pub fn all_canceled(&self) -> HashSet<Uuid> {
        self.state().canceled.clone()
    }

    /// The last that any client saw of a job.
    pub fn last_sight(&self, id: Uuid) -> Option<Arc<Sight>> {
        self.state().latest.get(&id).cloned()
    }

    /// Takes in an answer with a job in it, `before` being what was known of it when the question was asked.
    pub fn saw(&self, before: Option<&Sight>, response: &Response) -> Arc<Sight> {
        let sight = Arc::new(Sight { job: response.job(), body: response.body.clone() });
        if let Some(before) = before {
            let (known, shown) = (before.job.version, sight.job.version);
            assert!(known <= shown, "version {shown} is shown after {known} was: {:#?}", sight.job);
        }
        let mut state = self.state();
        state.counts.sights += 1;
        match state.latest.get(&sight.job.id) {
            None => state.known.push(sight.job.id),
            Some(latest) if latest.job.version > sight.job.version => {
                sight.assert_precedes(latest);
                return sight;
            }
            Some(latest) => latest.assert_precedes(&sight),
        }
        state.latest.insert(sight.job.id, Arc::clone(&sight));
        sight
    }
}

impl Sight {
    /// Fails if `later`, whose version is not lower, cannot have come of this.
    pub fn assert_precedes(&self, later: &Self) {
        let (old, new) = (&self.job, &later.job);
        if old.version == new.version {
            let [old, new] = [self, later].map(|sight| String::from_utf8_lossy(&sight.body));
            assert_eq!(old, new, "two jobs with the same version");
            return;
        }
        let changed = || format!("from {old:#?} to {new:#?}");
        assert!(!old.state.is_over(), "changed after its end: {}", changed());
        assert_eq!(
            (&old.resource, old.delta, old.created_at, &old.settings, &old.labels),
            (&new.resource, new.delta, new.created_at, &new.settings, &new.labels),
            "{}",
            changed()
        );
        assert!(old.target_capacity.is_none() || old.target_capacity == new.target_capacity, "{}", changed());
        assert!(old.steps.len() <= new.steps.len(), "a step is gone: {}", changed());
        assert!(old.steps.iter().zip(&new.steps).all(|(old, new)| may_become(old, new)), "{}", changed());
    }
}

fn may_become(old: &StepView, new: &StepView) -> bool {
    if old.outcome != "pending" {
        return old == new;
    }
    let what = |step: &StepView| (step.index, step.op.clone(), step.units, step.from_capacity, step.to_capacity);
    what(old) == what(new) && (old.sent_at.is_none() || old.sent_at == new.sent_at)
}

impl fmt::Display for Referee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            accepted,
            joined,
            refused,
            canceled,
            repeated,
            sights,
            answers_lost,
            submissions_lost,
            lost_but_done,
        } = self.state().counts;
        writeln!(f, "submissions: {accepted} accepted, {joined} joined another, {refused} refused")?;
        writeln!(f, "answers: {sights} with a job, {repeated} given twice, {canceled} to cancellations")?;
        write!(
            f,
            "answers lost to a kill: {answers_lost}, {submissions_lost} of them to submissions, of which {lost_but_done} \
             were on the disk"
        )
    }
}
