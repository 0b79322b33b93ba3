//! The one backtest that runs: its place, and the thread that it runs on.

use std::sync::Arc;
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::api::problem::{ApiError, Code};
use crate::api::view::BacktestReport;
use crate::backtest::{Allowance, Stop, Trial};
use crate::policy::Warning;

/// Most choices of the best plan: with 28 bytes for each, some 40 MiB. It is enough for 35 days of minutes and 29 capacities;
/// what is larger has a lower bound instead.
const MOST_CHOICES: u64 = 1_500_000;
/// Most changes of a run that are shown: more than one every five minutes for 34 days, and some 1.3 MB.
const MOST_EVENTS: usize = 10_000;

/// The place of the backtest that runs. Dropped, the backtest ends, and the place is free as soon as it has.
pub struct Place {
    permit: OwnedSemaphorePermit,
    stop: Stop,
}

impl Place {
    /// The place, if it is free.
    ///
    /// # Errors
    /// If another backtest runs.
    pub fn take(backtests: &Arc<Semaphore>) -> Result<Self, ApiError> {
        let permit = Arc::clone(backtests).try_acquire_owned();
        let permit = permit.map_err(|_| ApiError::new(Code::BacktestRunning, Code::BacktestRunning.example()))?;
        Ok(Self { permit, stop: Stop::default() })
    }

    /// What the backtest may take.
    pub fn allowance(&self) -> Allowance {
        Allowance { most_choices: MOST_CHOICES, stop: self.stop.clone() }
    }

    /// Runs `trial`, which has the [`allowance`](Self::allowance) of this place. It ends early if the future is dropped.
    ///
    /// # Errors
    /// If there is no thread for it, or it fails.
    pub async fn run(self, trial: Trial, warnings: Vec<Warning>) -> Result<BacktestReport, ApiError> {
        let Self { permit, stop } = self;
        let _stop = StopOnDrop(stop);
        let (answer, answered) = oneshot::channel();
        let work = move || {
            let report = report(trial, warnings);
            // What it took is free again, and then the place, and then the caller may ask for the next one.
            drop(permit);
            // The caller may have hung up.
            let _ = answer.send(report);
        };
        thread::Builder::new().name("backtest".into()).spawn(work).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "there is no thread for a backtest");
            ApiError::new(Code::Overloaded, "There is no thread for a backtest at present.")
        })?;
        let failed = || ApiError::new(Code::InternalError, "The backtest failed. The log of the gateway says why.");
        answered.await.map_err(|_| failed())
    }
}

fn report(trial: Trial, warnings: Vec<Warning>) -> BacktestReport {
    let mut report = BacktestReport::of(&trial, &trial.compare(), warnings);
    report.runs.iter_mut().for_each(|run| run.events.truncate(MOST_EVENTS));
    report
}

/// Ends a backtest for which no caller waits any more.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}
