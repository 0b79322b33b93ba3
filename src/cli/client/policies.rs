//! Requests about policies: what they decided, and what is asked of them.
//!
//! Only a claim is sent twice, under one idempotency key: units that were claimed twice would cost money, and units that were not would
//! be missed. The others could be, but what they do is seen at once, and a person repeats a command with more sense than a loop.

use awc::ClientRequest;
use awc::http::header::IF_MATCH;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{Client, Failure};
use crate::api::view::{ClaimView, DecisionView, HoldView, Resource};
use crate::api::{ClaimList, Code, DecisionList, NewClaim, NewHold, NewSamples, Outlook, PolicyDocument, Pushed};
use crate::domain::Alias;
use crate::domain::policy::Name;

impl Client {
    /// The last decision about `resource`, if there is one.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn last_decision(&self, resource: &Alias) -> Result<Option<DecisionView>, Failure> {
        Ok(self.decisions(resource, 1).await?.into_iter().next())
    }

    /// The last decisions about `resource`, newest first.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn decisions(&self, resource: &Alias, most: usize) -> Result<Vec<DecisionView>, Failure> {
        let page: DecisionList = self.look_at(&path(resource, &format!("decisions?pageSize={most}"))).await?;
        Ok(page.decisions)
    }

    /// The policy of `resource`, if there is one.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn find_policy(&self, resource: &Alias) -> Result<Option<PolicyDocument>, Failure> {
        if_any(self.policy(resource).await, Code::PolicyNotFound)
    }

    /// The policy of `resource`.
    ///
    /// # Errors
    /// If there is none, or the gateway refuses, fails or cannot be reached.
    pub async fn policy(&self, resource: &Alias) -> Result<PolicyDocument, Failure> {
        self.look_at(&path(resource, "policy")).await
    }

    /// The document of the policy of `resource` as it comes: of a newer gateway, it may have more than this client knows.
    ///
    /// # Errors
    /// If there is none, or the gateway refuses, fails or cannot be reached.
    pub async fn policy_document(&self, resource: &Alias) -> Result<Value, Failure> {
        self.look_at(&path(resource, "policy")).await
    }

    /// Replaces the policy of `resource` by `document`, if it is at this `revision`.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn put_policy(
        &self,
        resource: &Alias,
        document: &Value,
        revision: Option<u64>,
    ) -> Result<PolicyDocument, Failure> {
        let mut request = self.http.put(self.url(&path(resource, "policy")));
        if let Some(revision) = revision {
            request = request.insert_header((IF_MATCH, format!("\"{revision}\"")));
        }
        self.obtain(request, Some(document)).await
    }

    /// Deletes the policy of `resource`.
    ///
    /// # Errors
    /// If there is none, or the gateway refuses, fails or cannot be reached.
    pub async fn delete_policy(&self, resource: &Alias) -> Result<(), Failure> {
        self.delete(&path(resource, "policy")).await
    }

    /// What is ahead of `resource` in the next `hours`, if it has a policy.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn find_outlook(&self, resource: &Alias, hours: u32) -> Result<Option<Outlook>, Failure> {
        if_any(self.look_at(&path(resource, &format!("outlook?hours={hours}"))).await, Code::PolicyNotFound)
    }

    /// Pushes `samples` of a metric.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn push(&self, resource: &Alias, metric: &Name, samples: &NewSamples) -> Result<Pushed, Failure> {
        self.obtain(self.http.post(self.url(&path(resource, &format!("metrics/{metric}")))), Some(samples)).await
    }

    /// What came of playing `backtest` over what the gateway recorded.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn backtest(&self, backtest: &Value) -> Result<Value, Failure> {
        self.obtain(self.http.post(self.url("/v1/backtests")), Some(backtest)).await
    }

    /// Puts a hold on `resource`.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn hold(&self, resource: &Alias, hold: &NewHold) -> Result<HoldView, Failure> {
        self.obtain(self.http.put(self.url(&path(resource, "hold"))), Some(hold)).await
    }

    /// What the gateway knows of `resource`; nothing of one that it is not configured for.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn find_resource(&self, resource: &Alias) -> Result<Option<Resource>, Failure> {
        if_any(self.look_at(&format!("/v1/resources/{resource}")).await, Code::ResourceNotFound)
    }

    /// The claims on `resource`, oldest first.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn claims(&self, resource: &Alias) -> Result<ClaimList, Failure> {
        self.look_at(&path(resource, "claims")).await
    }

    /// Ends the hold on `resource`.
    ///
    /// # Errors
    /// If there is none, or the gateway refuses, fails or cannot be reached.
    pub async fn end_hold(&self, resource: &Alias) -> Result<(), Failure> {
        self.delete(&path(resource, "hold")).await
    }

    /// Claims units of `resource`, several times under the same `key` if need be. `on_retry` hears of each failure but the last.
    ///
    /// # Errors
    /// The last failure, with a word on whether the claim may have been accepted in spite of it.
    pub async fn claim(
        &self,
        resource: &Alias,
        claim: &NewClaim,
        key: &str,
        on_retry: impl FnMut(&Failure),
    ) -> Result<ClaimView, Failure> {
        let url = self.url(&path(resource, "claims"));
        let send = async || {
            let request = self.http.post(&url).insert_header(("Idempotency-Key", key));
            self.obtain(request, Some(claim)).await
        };
        self.send_under(key, on_retry, send).await
    }

    /// The claim `id` as it is now; `None` if it has ended.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn find_claim(&self, resource: &Alias, id: Uuid) -> Result<Option<ClaimView>, Failure> {
        if_any(self.look_at(&path(resource, &format!("claims/{id}"))).await, Code::ClaimNotFound)
    }

    /// Ends the claim `id`.
    ///
    /// # Errors
    /// If there is none, or the gateway refuses, fails or cannot be reached.
    pub async fn end_claim(&self, resource: &Alias, id: Uuid) -> Result<(), Failure> {
        self.delete(&path(resource, &format!("claims/{id}"))).await
    }

    async fn obtain<T: DeserializeOwned>(
        &self,
        request: ClientRequest,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        self.read(self.exchange(request, body).await?)
    }

    /// Deletes what is at `path`, of which the answer has no content.
    async fn delete(&self, path: &str) -> Result<(), Failure> {
        let answer = self.exchange(self.http.delete(self.url(path)), None::<&()>).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.refusal(&answer)) }
    }
}

/// What was asked for, or `None` if the gateway says that it is not there, with the code `absent`.
fn if_any<T>(answered: Result<T, Failure>, absent: Code) -> Result<Option<T>, Failure> {
    match answered {
        Err(failure) if failure.has_code(absent) => Ok(None),
        answered => answered.map(Some),
    }
}

/// Where `what` of `resource` is. No alias has a character that would have to be escaped.
fn path(resource: &Alias, what: &str) -> String {
    format!("/v1/resources/{resource}/{what}")
}
