//! What a caller wants to try.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{PolicyDocument, invalid};
use crate::api::problem::{ApiError, FieldErrors};
use crate::domain::policy::{Name, Policy};
use crate::policy::Document;

/// A policy and values to try. Both can be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyEvaluation)]
pub struct Evaluation {
    /// The policy to try; the one in force if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PolicyDocument>)]
    pub policy: Option<Value>,
    /// Values of metrics, by name, in place of those that are held.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

/// What is tried.
pub struct Trial {
    /// The policy, if it is not the one in force.
    pub policy: Option<Box<Policy>>,
    /// Values of metrics in place of those that are held.
    pub metrics: BTreeMap<Name, f64>,
}

impl Evaluation {
    /// The policy and the values.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(self) -> Result<Trial, ApiError> {
        let policy = self.policy.map(|policy| Document::from(policy).policy()).transpose();
        let policy = policy.map_err(|problems| invalid(problems, "/policy"))?;
        let mut errors = FieldErrors::default();
        let mut metrics = BTreeMap::new();
        for (name, value) in self.metrics {
            let pointer = format!("/metrics/{}", crate::api::input::escaped(&name));
            if let Some(name) = errors.keep(pointer, name.parse::<Name>()) {
                metrics.insert(name, value);
            }
        }
        errors.check()?;
        Ok(Trial { policy: policy.map(Box::new), metrics })
    }
}
