//! A sidecar whose calls are counted and timed.

use std::sync::Arc;

use super::{RawReading, Sidecar};
use crate::domain::{Alias, ChangeAnswer, GroupedAnswer, Move, Op, Origin, ReadFailure};
use crate::metrics::{CallOutcome, Metrics, Operation};

/// Passes every call on, unchanged, and counts what becomes of it. A call that is dropped halfway counts as given up.
pub struct MeteredSidecar<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S: Sidecar> MeteredSidecar<S> {
    /// Counts the calls to `inner`.
    pub fn new(inner: S, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

impl<S: Sidecar> Sidecar for MeteredSidecar<S> {
    async fn read(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        let timer = self.metrics.calls.begin(Operation::Read);
        let reading = self.inner.read(resource, origin).await;
        timer.end(outcome_of_reading(&reading));
        reading
    }

    async fn observe(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        let timer = self.metrics.calls.begin(Operation::Look);
        let reading = self.inner.observe(resource, origin).await;
        timer.end(outcome_of_reading(&reading));
        reading
    }

    async fn change(&self, resource: &Alias, change: Move, origin: &Origin) -> ChangeAnswer {
        let timer = self.metrics.calls.begin(match change.op {
            Op::Add => Operation::Add,
            Op::Remove => Operation::Remove,
        });
        let answer = self.inner.change(resource, change, origin).await;
        timer.end(outcome_of_change(&answer));
        answer
    }

    async fn change_together(&self, changes: &[(Alias, Move)], origin: &Origin) -> GroupedAnswer {
        let is_adding = changes.iter().any(|(_, change)| change.op == Op::Add);
        let operation = if is_adding { Operation::AddTogether } else { Operation::RemoveTogether };
        let timer = self.metrics.calls.begin(operation);
        let answer = self.inner.change_together(changes, origin).await;
        // It counts as what it is for the worst part of it.
        let worst = answer.answers.iter().find(|answer| **answer != ChangeAnswer::Acknowledged);
        timer.end(worst.map_or(CallOutcome::Ok, outcome_of_change));
        answer
    }
}

fn outcome_of_change(answer: &ChangeAnswer) -> CallOutcome {
    match answer {
        ChangeAnswer::Acknowledged => CallOutcome::Ok,
        ChangeAnswer::Rejected(_) => CallOutcome::Rejected,
        ChangeAnswer::NotSent { .. } => CallOutcome::NotSent,
        ChangeAnswer::Unknown { answer: Some(_), .. } => CallOutcome::ErrorAnswer,
        ChangeAnswer::Unknown { answer: None, .. } => CallOutcome::NoAnswer,
    }
}

fn outcome_of_reading(reading: &Result<RawReading, ReadFailure>) -> CallOutcome {
    match reading {
        Ok(_) => CallOutcome::Ok,
        Err(failure) if failure.not_found => CallOutcome::NotFound,
        Err(ReadFailure { answer: Some(_), .. }) => CallOutcome::ErrorAnswer,
        Err(ReadFailure { answer: None, .. }) => CallOutcome::NoAnswer,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::{Capacity, SidecarAnswer, Status};
    use crate::metrics::Scrape;

    /// Answers as it is told, or never.
    struct Scripted {
        reading: RefCell<Option<Result<RawReading, ReadFailure>>>,
        change: RefCell<Option<ChangeAnswer>>,
    }

    impl Sidecar for Scripted {
        async fn read(&self, _: &Alias, _: &Origin) -> Result<RawReading, ReadFailure> {
            let reading = self.reading.take();
            match reading {
                Some(reading) => reading,
                None => std::future::pending().await,
            }
        }

        async fn observe(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
            self.read(resource, origin).await
        }

        async fn change(&self, _: &Alias, _: Move, _: &Origin) -> ChangeAnswer {
            let answer = self.change.take();
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }

        async fn change_together(&self, changes: &[(Alias, Move)], origin: &Origin) -> GroupedAnswer {
            let (resource, change) = &changes[0];
            let last = self.change(resource, *change, origin).await;
            GroupedAnswer { answers: vec![ChangeAnswer::Acknowledged, last], has_path: true }
        }
    }

    fn scene() -> (MeteredSidecar<Scripted>, Arc<Metrics>, Alias) {
        let metrics = Arc::new(Metrics::new().expect("consistent"));
        let scripted = Scripted { reading: RefCell::default(), change: RefCell::default() };
        (MeteredSidecar::new(scripted, Arc::clone(&metrics)), metrics, "worker".parse().expect("an alias"))
    }

    #[track_caller]
    fn assert_counted(metrics: &Metrics, operation: &str, outcome: &str, count: u32) {
        let text = metrics.render(Scrape::default()).expect("writable");
        let labels = format!("{{operation=\"{operation}\",outcome=\"{outcome}\"}}");
        let line = format!("scalegate_sidecar_calls_total{labels} {count}\n");
        assert!(text.contains(&line), "no {line} in {text}");
    }

    fn answer() -> Option<SidecarAnswer> {
        Some(SidecarAnswer { status: 500, body: "no".into() })
    }

    #[test]
    fn readings_are_passed_on_and_counted() {
        let (sidecar, metrics, worker) = scene();
        let failure = |not_found, answer| Err(ReadFailure { not_found, detail: "why".into(), answer });
        let fine = RawReading { status: Status::new("ACTIVE"), capacity: Capacity::ZERO, stamp: None };
        for (reading, outcome) in [
            (Ok(fine), "ok"),
            (failure(true, answer()), "not_found"),
            (failure(false, answer()), "error_answer"),
            (failure(false, None), "no_answer"),
        ] {
            for (operation, count) in [("read", 1), ("look", 1)] {
                sidecar.inner.reading.replace(Some(reading.clone()));
                let given = match operation {
                    "read" => sidecar.read(&worker, &Origin::default()).now_or_never(),
                    _ => sidecar.observe(&worker, &Origin::default()).now_or_never(),
                };
                assert_eq!(given, Some(reading.clone()));
                assert_counted(&metrics, operation, outcome, count);
            }
        }
        assert_eq!(sidecar.read(&worker, &Origin::default()).now_or_never(), None);
        assert_counted(&metrics, "read", "given_up", 1);
    }

    #[test]
    fn changes_are_passed_on_and_counted() {
        let (sidecar, metrics, worker) = scene();
        let units = |units| Capacity::new(units).expect("a small number");
        let add = Move::toward(units(1), units(2), 1).expect("a distance");
        let remove = Move::toward(units(2), units(1), 1).expect("a distance");
        let detail = || "why".to_owned();
        for (answer, outcome) in [
            (ChangeAnswer::Acknowledged, "ok"),
            (ChangeAnswer::Rejected(answer().expect("one")), "rejected"),
            (ChangeAnswer::NotSent { detail: detail() }, "not_sent"),
            (ChangeAnswer::Unknown { detail: detail(), answer: answer() }, "error_answer"),
            (ChangeAnswer::Unknown { detail: detail(), answer: None }, "no_answer"),
        ] {
            for (change, operation) in [(add, "add"), (remove, "remove")] {
                sidecar.inner.change.replace(Some(answer.clone()));
                assert_eq!(sidecar.change(&worker, change, &Origin::default()).now_or_never(), Some(answer.clone()));
                assert_counted(&metrics, operation, outcome, 1);
            }
        }
    }
}
