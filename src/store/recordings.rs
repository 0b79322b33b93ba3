//! What was observed and waits to be written, batch by batch, in the order of the calls.
//!
//! A batch is written in pieces, so that a commit never waits for more than one. A piece that fails ends its batch and no
//! other one.

use std::collections::VecDeque;
use std::mem::{Discriminant, discriminant};

use tokio::sync::oneshot;

use super::{Observations, StoreError};
use crate::domain::Alias;

/// Most rows in a piece, unless a single resource has more: a state and a sample each of 256 resources, some milliseconds.
const PIECE_ROWS: usize = 512;
/// A prediction is as long as so many other rows.
const ROWS_OF_PREDICTION: usize = 16;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Recordings {
    batches: VecDeque<Batch>,
    /// Why the last batch was lost, if it was.
    losing: Option<Discriminant<StoreError>>,
}

/// What is left of a batch.
struct Batch {
    parts: VecDeque<Observations>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Recordings {
    /// One more batch is to be written.
    pub fn add(&mut self, batch: Vec<Observations>, reply: oneshot::Sender<Result<(), StoreError>>) {
        self.batches.push_back(Batch { parts: batch.into(), reply });
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether anything waits about such a resource.
    pub fn has_any(&self, is_about: impl Fn(&Alias) -> bool) -> bool {
        self.batches.iter().flat_map(|batch| &batch.parts).any(|part| is_about(&part.resource))
    }

    /// What is to be written next, if anything is. [`Recordings::settle`] has to be told what became of it.
    pub fn take_some(&mut self) -> Option<Vec<Observations>> {
        let parts = &mut self.batches.front_mut()?.parts;
        let mut rows = 0;
        let fitting = parts.iter().take_while(|part| {
            let is_first = rows == 0;
            rows += 1 + part.samples.len() + part.decisions.len() + ROWS_OF_PREDICTION * part.predictions.len();
            is_first || rows <= PIECE_ROWS
        });
        let count = fitting.count();
        Some(parts.drain(..count).collect())
    }

    /// What was taken is written, or the rest of its batch never will be.
    pub fn settle(&mut self, written: Result<(), StoreError>) {
        self.tell(&written);
        let is_over = |batch: &mut Batch| written.is_err() || batch.parts.is_empty();
        if let Some(batch) = self.batches.pop_front_if(is_over) {
            // A caller may be gone by the time of its answer.
            let _ = batch.reply.send(written);
        }
    }

    /// Tells the operator what is new: that something is lost, or for another reason, or not any more.
    fn tell(&mut self, written: &Result<(), StoreError>) {
        let losing = written.as_ref().err().map(discriminant);
        if losing == std::mem::replace(&mut self.losing, losing) {
            return;
        }
        match written {
            Ok(()) => tracing::info!("what policies observe is kept again"),
            Err(error) => tracing::warn!(
                error = error as &dyn std::error::Error,
                "what policies observe is not kept at present: a restart would forget it; jobs go on"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{NOW, name, observed, prediction};
    use super::*;
    use crate::domain::policy::Sample;

    fn about(resource: String, samples: usize) -> Observations {
        let samples = vec![(name("queue"), Sample { at: NOW, value: 1.0 }); samples];
        Observations { samples, ..observed(&resource, 1, []) }
    }

    #[test]
    fn a_piece_is_small_or_about_one_resource() {
        let mut recordings = Recordings::default();
        let mut batch: Vec<_> = (0..600).map(|number| about(format!("r{number}"), 1)).collect();
        batch.insert(1, about("many".into(), 10_000));
        let (reply, mut answer) = oneshot::channel();
        recordings.add(batch, reply);
        let mut sizes = Vec::new();
        while let Some(piece) = recordings.take_some() {
            assert!(answer.try_recv().is_err());
            sizes.push(piece.len());
            recordings.settle(Ok(()));
        }
        assert_eq!(sizes, [1, 1, 256, 256, 87]);
        assert!(matches!(answer.try_recv(), Ok(Ok(()))));
    }

    #[test]
    fn a_prediction_counts_as_several_rows() {
        let mut recordings = Recordings::default();
        let of = |number| Observations {
            predictions: vec![(name("queue"), prediction([1.0, 2.0]))],
            ..about(format!("r{number}"), 0)
        };
        recordings.add((0..40).map(of).collect(), oneshot::channel().0);
        assert_eq!(recordings.take_some().map(|piece| piece.len()), Some(30));
    }

    #[test]
    fn a_batch_of_nothing_is_written_at_once() {
        let mut recordings = Recordings::default();
        let (reply, mut answer) = oneshot::channel();
        recordings.add(Vec::new(), reply);
        assert_eq!(recordings.take_some(), Some(Vec::new()));
        recordings.settle(Ok(()));
        assert!(recordings.is_empty() && matches!(answer.try_recv(), Ok(Ok(()))));
    }

    #[test]
    fn a_piece_that_fails_ends_its_batch_and_no_other_one() {
        let mut recordings = Recordings::default();
        let (replies, answers): (Vec<_>, Vec<_>) = (0..2).map(|_| oneshot::channel()).unzip();
        for (first, reply) in [0, 1000].into_iter().zip(replies) {
            recordings.add((first..first + 600).map(|number| about(format!("r{number}"), 1)).collect(), reply);
        }
        assert!(recordings.has_any(|resource| resource.as_str() == "r599"));
        recordings.take_some();
        recordings.settle(Err(StoreError::Scarce));
        assert!(!recordings.has_any(|resource| resource.as_str() == "r599"));
        let next = recordings.take_some().expect("the next batch");
        assert_eq!((next.len(), next[0].resource.as_str()), (256, "r1000"));
        while recordings.take_some().is_some() {
            recordings.settle(Ok(()));
        }
        let answers: Vec<_> = answers.into_iter().map(|mut answer| answer.try_recv().expect("one").is_ok()).collect();
        assert_eq!(answers, [false, true]);
    }
}
