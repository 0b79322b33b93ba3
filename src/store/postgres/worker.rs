//! A thread of its own for what waits for the database: neither a busy engine nor a server that stops holds it up.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::store::StoreError;

/// A thread that carries tasks and connections until this is dropped.
pub(super) struct Worker {
    handle: Handle,
    /// Dropping it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses one more thread.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name(name.into()).spawn(move || drop(runtime.block_on(stopped)))?;
        Ok(Self { handle, _stop: stop })
    }

    /// Begins `task`, which goes on without a caller that waits for it.
    pub fn begin(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    /// What `task` comes to. It goes on if this future is dropped.
    ///
    /// # Errors
    /// If the thread ends before that.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.handle.spawn(task).await {
            Ok(found) => Ok(found),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::Closed),
            },
        }
    }
}
