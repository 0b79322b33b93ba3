//! The single owner of all running work.
//!
//! [`Core`] decides in which order things become durable and visible, and is free of I/O; the driver around it runs on a
//! thread of its own (the HTTP client is bound to one) and is reached through an [`EngineHandle`]. A panic on that thread
//! ends the process: whatever state it left behind, the store knows a better one.

mod commits;
mod core;
mod driver;
mod handle;
mod policy_requests;
mod projections;
mod requests;
mod shared_reads;

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::sidecar::Sidecar;
use crate::store::StoreError;

pub use self::core::{Core, Effect, GroupedChange};
pub use driver::{OBSERVE_TIMEOUT, Parts};
pub use handle::{
    EngineHandle, EngineInbox, Health, PlanError, ResourceStatus, SidecarContact, Submitted, Unavailable,
};
pub use policy_requests::{
    ClaimView, EvaluationRequest, PolicyAnswer, PolicyChangeRequest, PolicyRefusal, PolicyRequest, PolicyView,
    Precondition, StandingView, TrialBasis,
};
pub use projections::Projections;
pub use requests::{Alternatives, Answer, JobChange, JobPlan, NotedJob, Refusal, ReplyTo, ResourceView};

/// A running engine.
pub struct RunningEngine {
    /// To talk to it.
    pub handle: EngineHandle,
    stop: watch::Sender<Option<Instant>>,
    begun: Option<oneshot::Receiver<Result<(), StoreError>>>,
    stopped: oneshot::Receiver<()>,
}

impl RunningEngine {
    /// Starts the engine that there is a handle to already; it adopts all lanes of its store. `parts` is called on the engine's
    /// thread.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start<S: Sidecar>(
        (handle, EngineInbox(commands)): (EngineHandle, EngineInbox),
        parts: impl FnOnce() -> Parts<S> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopping) = watch::channel(None);
        let (report, stopped) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        std::thread::Builder::new().name("engine".into()).spawn(move || {
            // Made here: if the system refuses the thread, there is none to be dropped where others wait.
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!(%error, "the system refuses what the engine needs"),
            };
            // If this thread panics, `report` is dropped without a word, which is how the other side finds out.
            LocalSet::new().block_on(&runtime, driver::run(parts(), commands, begin, stopping));
            // Without a receiver the gateway has ended already.
            let _ = report.send(());
        })?;
        Ok(Self { handle, stop, begun: Some(begun), stopped })
    }

    /// Ends when the jobs in the store are shown and work on them goes on. What is asked of the engine earlier waits.
    ///
    /// # Errors
    /// If the store cannot be read, or the engine died before that.
    pub async fn begun(&mut self) -> Result<Result<(), StoreError>, EngineDied> {
        match self.begun.take() {
            Some(begun) => begun.await.map_err(|_| EngineDied),
            None => Ok(Ok(())),
        }
    }

    /// Ends when the engine does; never before [`RunningEngine::stop`], unless it has died.
    ///
    /// # Errors
    /// If it panicked.
    pub async fn ended(&mut self) -> Result<(), EngineDied> {
        (&mut self.stopped).await.map_err(|_| EngineDied)
    }

    /// Stops the engine: no further change is sent, and one on its way has `grace` to be answered and recorded.
    ///
    /// # Errors
    /// If it panicked.
    pub async fn stop(mut self, grace: Duration) -> Result<(), EngineDied> {
        self.stop.send_replace(Some(Instant::now() + grace));
        self.ended().await
    }
}

/// The engine's thread panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine died; its last words are in the log")]
pub struct EngineDied;
