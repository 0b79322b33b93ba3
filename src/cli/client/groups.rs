//! Requests about groups.

use awc::http::StatusCode;
use uuid::Uuid;

use super::{Client, Failure, ListQuery, Subscription};
use crate::api::GroupSubmission;
use crate::api::view::{GroupList, GroupPlan, GroupView, group_path};

/// An accepted group.
#[derive(Debug)]
pub struct SubmittedGroup {
    /// The group.
    pub group: GroupView,
    /// Whether it is an earlier one that does the same.
    pub joined: bool,
}

impl Client {
    /// Submits a group, several times under the same `key` if need be. `on_retry` hears of each failure but the last.
    ///
    /// # Errors
    /// The last failure, with a word on whether the group may have been accepted in spite of it.
    pub async fn submit_group(
        &self,
        submission: &GroupSubmission,
        key: &str,
        on_retry: impl FnMut(&Failure),
    ) -> Result<SubmittedGroup, Failure> {
        self.send_under(key, on_retry, async || {
            let request = self.http.post(self.url("/v1/groups")).insert_header(("Idempotency-Key", key));
            let answer = self.exchange(request, Some(submission)).await?;
            let joined = answer.status == StatusCode::OK;
            Ok(SubmittedGroup { group: self.read(answer)?, joined })
        })
        .await
    }

    /// What the gateway would do.
    ///
    /// # Errors
    /// If it refuses, fails or cannot be reached.
    pub async fn plan_group(&self, submission: &GroupSubmission) -> Result<GroupPlan, Failure> {
        self.read(self.exchange(self.http.post(self.url("/v1/groups/plan")), Some(submission)).await?)
    }

    /// The group `id`.
    ///
    /// # Errors
    /// If there is none, or the gateway fails or cannot be reached.
    pub async fn group(&self, id: Uuid) -> Result<GroupView, Failure> {
        self.look_at(&group_path(id)).await
    }

    /// The changes of the group `id`, beginning with the group as it is, from a gateway that may be away for `patience`.
    pub fn group_events(&self, id: Uuid, patience: std::time::Duration) -> Subscription<'_> {
        Subscription::new(self, format!("{}/events", group_path(id)), patience)
    }

    /// A page of groups.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn groups(&self, query: &ListQuery) -> Result<GroupList, Failure> {
        self.look_at(&query.of("/v1/groups")).await
    }

    /// Cancels the group `id`.
    ///
    /// # Errors
    /// If there is none, it is over, or the gateway fails or cannot be reached.
    pub async fn cancel_group(&self, id: Uuid) -> Result<GroupView, Failure> {
        let request = self.http.post(self.url(&format!("{}/cancel", group_path(id))));
        self.read(self.exchange(request, None::<&()>).await?)
    }
}
