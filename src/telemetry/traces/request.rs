//! Spans of requests to the gateway.

use actix_web::http::{Method, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status};
use opentelemetry_sdk::trace::Span;

use super::{Traces, own};
use crate::domain::TraceContext;

/// Longest path told, in characters. Ours are shorter; a longer one may have a hundred thousand, and thousands of spans
/// may wait to be exported.
const MAX_PATH_CHARS: usize = 256;

/// A request under way. Dropped before it is answered, the client is gone.
pub struct RequestSpan(Span);

impl Traces {
    /// Begins the span of a request under `caller`, if it said where it belongs; `None` if traces are off. `route` is
    /// the pattern that the path matches, `id` the request's id.
    pub fn begin_request(
        &self,
        method: &Method,
        path: &str,
        route: Option<&str>,
        id: &str,
        caller: Option<&TraceContext>,
    ) -> Option<RequestSpan> {
        let tracing = self.0.as_ref()?;
        // Clients can make up any number of methods.
        let known =
            [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS]
                .contains(method);
        let method = if known { method.as_str() } else { "_OTHER" };
        let shown = if known { method } else { "HTTP" };
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("url.path", path.chars().take(MAX_PATH_CHARS).collect::<String>()),
            KeyValue::new("scalegate.request.id", id.to_owned()),
        ];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
        let name = route.map_or_else(|| shown.to_owned(), |route| format!("{shown} {route}"));
        let span = SpanBuilder::from_name(name).with_attributes(attributes);
        Some(RequestSpan(tracing.begin(span, SpanKind::Server, caller)))
    }
}

impl RequestSpan {
    /// Where things belong that are done for the request.
    pub fn context(&self) -> Option<TraceContext> {
        own(self.0.span_context())
    }

    /// The request is answered; the body may follow.
    pub fn answered(mut self, status: StatusCode) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            self.0.set_attribute(KeyValue::new("error.type", status.as_u16().to_string()));
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}
