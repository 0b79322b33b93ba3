//! Where metrics come from, on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::policy::Aggregate;

/// Where the values of a metric come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = MetricSource)]
pub enum SourceDocument {
    /// Callers send the values.
    Push {},
    /// A number in a JSON document that is fetched.
    #[serde(rename_all = "camelCase")]
    Http {
        /// The address of the document, with `http://` or `https://`.
        #[schema(max_length = 2048, example = "http://api:8000/stats")]
        url: String,
        /// Where the number is in the document: a JSON pointer.
        #[schema(example = "/queue/ready")]
        pointer: String,
        /// Headers of the request: of each, the name of the secret that is its value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        headers: Option<BTreeMap<String, String>>,
    },
    /// A metric in the text format of Prometheus or OpenMetrics.
    #[serde(rename_all = "camelCase")]
    Scrape {
        /// The address of the metrics, with `http://` or `https://`.
        #[schema(max_length = 2048, example = "http://worker:9100/metrics")]
        url: String,
        /// The name of the metric in the text.
        #[schema(example = "jobs_waiting")]
        metric: String,
        /// Labels that a series must have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        labels: Option<BTreeMap<String, String>>,
        /// How several series become one number; without it several are an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregate: Option<Aggregate>,
        /// Whether the metric is a counter, of which the increase by the second is meant; not so if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<bool>,
        /// Headers of the request: of each, the name of the secret that is its value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        headers: Option<BTreeMap<String, String>>,
    },
    /// The answer of a Prometheus server to a query.
    #[serde(rename_all = "camelCase")]
    Prometheus {
        /// The base address of the server, with `http://` or `https://`.
        #[schema(max_length = 2048, example = "http://prometheus:9090")]
        url: String,
        /// The query in PromQL.
        #[schema(max_length = 4096, example = "sum(rate(http_requests_total[1m]))")]
        query: String,
        /// How several series become one number; without it several are an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregate: Option<Aggregate>,
        /// Headers of the request: of each, the name of the secret that is its value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        headers: Option<BTreeMap<String, String>>,
    },
}
