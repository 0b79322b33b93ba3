//! What handlers read: jobs from the table or, if it does not have them any more, from the store; and all else from the
//! store, one read of a caller at a time.
//!
//! A job that was shown in a version must not be shown in an earlier one later: what the store has before the table has it
//! is not shown yet.

use std::sync::Arc;

use actix_web::rt;

use super::ApiState;
use super::caller::Caller;
use super::problem::{ApiError, Code};
use crate::domain::{JobEvent, JobId};
use crate::store::{StoreError, StoreReader};
use crate::table::Published;

impl ApiState {
    /// The job with this `id`, as far as `caller` may know of it. One for a resource out of reach is answered like one that does
    /// not exist: an id that was found or guessed must not tell that there is a job, nor what it is for.
    ///
    /// # Errors
    /// That there is no such job, or that the store cannot be read.
    pub(super) async fn job_for(&self, caller: &Caller, id: JobId) -> Result<Published, ApiError> {
        let found = self.find_job(caller, id).await?;
        self.within_reach(caller, id, found)
    }

    /// The job that was `found` with this `id`, as for [`ApiState::job_for`].
    ///
    /// # Errors
    /// That there is no such job.
    pub(super) fn within_reach(
        &self,
        caller: &Caller,
        id: JobId,
        found: Option<Published>,
    ) -> Result<Published, ApiError> {
        let found = found.filter(|found| caller.reach().includes(&found.job().resource));
        found.ok_or_else(|| ApiError::no_such_job(&id.to_string()))
    }

    /// The job with this `id`, whichever resource it is for. `caller` is who has it looked up.
    ///
    /// # Errors
    /// If it has to be read from the store, and cannot be.
    pub(super) async fn find_job(&self, caller: &Caller, id: JobId) -> Result<Option<Published>, ApiError> {
        if let Some(published) = self.table.get(id) {
            return Ok(Some(published));
        }
        let stored = self.read(caller, "job", async move |reader| reader.job(id).await).await?;
        Ok(stored.and_then(|stored| self.shown(stored)))
    }

    /// The job that the store has as `stored`, as it is shown.
    pub(super) fn shown(&self, stored: JobEvent) -> Option<Published> {
        let shown = self.table.get(stored.job.id);
        // Committed this very moment, and about to be shown: its versions come one by one.
        let is_early = stored.id > self.feed.latest();
        shown.or_else(|| (!is_early).then(|| Published::new(stored)))
    }

    /// What `read` finds in the store for `caller`. It goes on, and keeps the caller's turn, if the caller hangs up.
    ///
    /// # Errors
    /// If the store cannot be read, or the gateway stops. The caller is told that `what` cannot be read, and the log why.
    pub(super) async fn read<T: 'static>(
        &self,
        caller: &Caller,
        what: &'static str,
        read: impl AsyncFnOnce(Arc<dyn StoreReader>) -> Result<T, StoreError> + 'static,
    ) -> Result<T, ApiError> {
        let reader = Arc::clone(&self.reader);
        let permit = match caller.limit_key() {
            Some(limit_key) => Some(self.read_queue.acquire(limit_key).await),
            // All programs of this machine: as far as is known, each is another caller.
            None => None,
        };
        let found = rt::spawn(async move {
            let found = read(reader).await;
            drop(permit);
            found
        });
        found.await.unwrap_or(Err(StoreError::Closed)).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot read the {what}");
            match error {
                StoreError::Closed => ApiError::new(Code::Overloaded, "The gateway is stopping."),
                _ => ApiError::new(
                    Code::StorageUnavailable,
                    format!("The {what} cannot be read from the store at present."),
                ),
            }
        })
    }
}
