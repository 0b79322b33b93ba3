//! What a caller wants to try.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{PolicyDocument, invalid};
use crate::api::input::escaped;
use crate::api::named::Named;
use crate::api::problem::{ApiError, FieldErrors};
use crate::domain::policy::Name;
use crate::domain::{Capacity, Status};
use crate::engine::EvaluationRequest;
use crate::policy::Document;

/// A policy to try, and what to try it on. All of it can be left out, and the body too.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyEvaluation)]
pub struct Evaluation {
    /// The policy to try; the one in force if left out.
    #[serde(default)]
    #[schema(value_type = Option<PolicyDocument>)]
    pub policy: Option<Document>,
    /// Values of metrics, by name, in place of those that are held.
    #[serde(default, deserialize_with = "values")]
    pub metrics: BTreeMap<String, f64>,
    /// The capacity to try it at, in place of the last reading of the resource.
    #[serde(default)]
    #[schema(maximum = 1_000_000)]
    pub capacity: Option<u32>,
    /// The status to try it at, in the sidecar's words; `ACTIVE` if only `capacity` is given.
    #[serde(default)]
    #[schema(min_length = 1, example = "ACTIVE")]
    pub status: Option<String>,
}

fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    Ok(Named::deserialize(deserializer)?.0)
}

impl Evaluation {
    /// What is tried.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(self) -> Result<EvaluationRequest, ApiError> {
        let policy = self.policy.map(|policy| policy.policy()).transpose();
        let policy = policy.map_err(|problems| invalid(problems, "/policy"))?;
        let mut errors = FieldErrors::default();
        let mut values = BTreeMap::new();
        for (name, value) in self.metrics {
            let pointer = format!("/metrics/{}", escaped(&name));
            if let Some(name) = errors.keep(pointer, name.parse::<Name>()) {
                values.insert(name, value);
            }
        }
        let capacity = self.capacity.and_then(|units| {
            errors.keep("/capacity", Capacity::new(units.into()).map_err(|_| "must be between 0 and 1000000"))
        });
        let status = self.status.as_deref().map(Status::new);
        if status.as_ref().is_some_and(|status| status.as_str().is_empty()) {
            errors.add("/status", "must not be empty");
        }
        errors.check()?;
        Ok(EvaluationRequest { policy: policy.map(Box::new), values, capacity, status })
    }
}
