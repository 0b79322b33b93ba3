//! Spans of calls to the sidecar.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status};
use opentelemetry_sdk::trace::Span;

use super::{Traces, ids, own};
use crate::domain::{Alias, ChangeAnswer, GroupedAnswer, Move, Op, Origin, ReadFailure};
use crate::sidecar::{RawReading, Sidecar};

/// A sidecar whose calls are told, and which learns to which span each belongs. If traces are off, it learns what the
/// caller said.
pub struct Traced<S> {
    sidecar: S,
    traces: Traces,
}

impl<S> Traced<S> {
    /// Tells the calls to `sidecar`.
    pub fn new(sidecar: S, traces: Traces) -> Self {
        Self { sidecar, traces }
    }
}

impl<S: Sidecar> Sidecar for Traced<S> {
    async fn read(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        let Some(call) = Call::begin(&self.traces, READ, resource, origin) else {
            return self.sidecar.read(resource, origin).await;
        };
        let reading = self.sidecar.read(resource, &call.origin).await;
        call.end_reading(&reading);
        reading
    }

    async fn observe(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        let Some(call) = Call::begin(&self.traces, READ, resource, origin) else {
            return self.sidecar.observe(resource, origin).await;
        };
        let reading = self.sidecar.observe(resource, &call.origin).await;
        call.end_reading(&reading);
        reading
    }

    async fn change(&self, resource: &Alias, change: Move, origin: &Origin) -> ChangeAnswer {
        let (name, op) = match change.op {
            Op::Add => (("POST", "POST capacity/add"), "add"),
            Op::Remove => (("POST", "POST capacity/remove"), "remove"),
        };
        let Some(mut call) = Call::begin(&self.traces, name, resource, origin) else {
            return self.sidecar.change(resource, change, origin).await;
        };
        call.span.set_attribute(KeyValue::new("scalegate.op", op));
        call.span.set_attribute(KeyValue::new("scalegate.units", i64::from(change.units)));
        let answer = self.sidecar.change(resource, change, &call.origin).await;
        call.end_change(&answer);
        answer
    }

    /// One span, of the first of the resources, on behalf of its job.
    async fn change_together(&self, changes: &[(Alias, Move)], origin: &Origin) -> GroupedAnswer {
        let Some((resource, Move { op, .. })) = changes.first() else {
            return self.sidecar.change_together(changes, origin).await;
        };
        let (name, op) = match op {
            Op::Add => (("POST", "POST resources/capacity/add"), "add"),
            Op::Remove => (("POST", "POST resources/capacity/remove"), "remove"),
        };
        let Some(mut call) = Call::begin(&self.traces, name, resource, origin) else {
            return self.sidecar.change_together(changes, origin).await;
        };
        let resources: Vec<&str> = changes.iter().map(|(resource, _)| resource.as_str()).collect();
        call.span.set_attribute(KeyValue::new("scalegate.op", op));
        call.span.set_attribute(KeyValue::new("scalegate.resources", resources.join(" ")));
        let answer = self.sidecar.change_together(changes, &call.origin).await;
        let worst = answer.answers.iter().find(|answer| **answer != ChangeAnswer::Acknowledged);
        call.end_change(worst.unwrap_or(&ChangeAnswer::Acknowledged));
        answer
    }
}

/// Method and name.
const READ: (&str, &str) = ("GET", "GET capacity");

/// A call under way. Dropped before its end, it was given up.
struct Call {
    span: Span,
    /// On behalf of the span.
    origin: Origin,
    ended: bool,
}

impl Call {
    /// Begins one under the span of the job, or of the request that observes the resource; `None` if traces are off.
    fn begin(
        traces: &Traces,
        (method, name): (&'static str, &'static str),
        resource: &Alias,
        origin: &Origin,
    ) -> Option<Self> {
        let tracing = traces.0.as_ref()?;
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("peer.service", "capacity-sidecar"),
            KeyValue::new("scalegate.resource", resource.as_str().to_owned()),
        ];
        attributes.extend(origin.job.map(|job| KeyValue::new("scalegate.job.id", job.to_string())));
        let parent = match origin.job {
            Some(job) => ids::job_span(job, origin.trace.as_ref()),
            None => origin.trace.clone(),
        };
        let builder = SpanBuilder::from_name(name).with_attributes(attributes);
        let span = tracing.begin(builder, SpanKind::Client, parent.as_ref());
        let origin = Origin { job: origin.job, trace: own(span.span_context()).or(parent) };
        Some(Self { span, origin, ended: false })
    }

    fn end_reading(self, reading: &Result<RawReading, ReadFailure>) {
        match reading {
            // No other status makes a reading.
            Ok(_) => self.end("answered", Some(200), None),
            Err(failure) => {
                let outcome = if failure.not_found { "not_found" } else { "failed" };
                let status = failure.answer.as_ref().map(|answer| answer.status);
                self.end(outcome, status, Some(&failure.detail));
            }
        }
    }

    fn end_change(self, answer: &ChangeAnswer) {
        match answer {
            ChangeAnswer::Acknowledged => self.end("acknowledged", None, None),
            ChangeAnswer::Rejected(answer) => self.end("rejected", Some(answer.status), Some("refused")),
            ChangeAnswer::NotSent { detail } => self.end("not_sent", None, Some(detail)),
            ChangeAnswer::Unknown { detail, answer } => {
                self.end("unknown", answer.as_ref().map(|answer| answer.status), Some(detail));
            }
        }
    }

    /// `status` where the answer tells it: of an acknowledged change it is only known that it is one of 2xx.
    fn end(mut self, outcome: &'static str, status: Option<u16>, error: Option<&str>) {
        self.ended = true;
        self.span.set_attribute(KeyValue::new("scalegate.outcome", outcome));
        if let Some(status) = status {
            self.span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if let Some(error) = error {
            let kind =
                status.filter(|status| *status >= 400).map_or_else(|| outcome.to_owned(), |status| status.to_string());
            self.span.set_attribute(KeyValue::new("error.type", kind));
            self.span.set_status(Status::error(error.to_owned()));
        }
        self.span.end();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.span.set_attribute(KeyValue::new("scalegate.outcome", "given_up"));
            self.span.end();
        }
    }
}
