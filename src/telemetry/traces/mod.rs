//! Traces: spans of requests, jobs and calls to the sidecar, exported by OTLP.
//!
//! [`Traces`] is off unless the environment names an endpoint, and then there is nothing behind it: no thread, no
//! queue, no span. What belongs to a trace at all is a matter of [`TraceContext`], which is passed on in any case.
//!
//! A job outlives the request it came with, and perhaps the process. Its span is therefore not an object that is kept
//! open but is made when the job is over, from its record; until then any part can name it as the parent of what is
//! done for it, because its id follows from the job's. Rejected: spans of the log (crate `tracing`), because they live
//! and die with the process, and a log filter would take them away.

mod call;
mod environment;
mod export;
mod ids;
mod job;
mod request;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use crate::domain::TraceContext;

pub use call::Traced;
pub use environment::TracesError;
pub use request::RequestSpan;

/// Longest time for the last spans to be exported when the gateway stops. A collector that is there takes some
/// milliseconds; one that is not there is not worth waiting for.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where spans go. Cheap to clone. Off by default.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// What the standard variables `OTEL_*` ask for: nothing, unless they name an endpoint.
    ///
    /// # Errors
    /// If they ask for something that cannot be done.
    pub fn from_environment() -> Result<Self, TracesError> {
        let Some(settings) = environment::read()? else { return Ok(Self::default()) };
        let provider = SdkTracerProvider::builder()
            .with_resource(environment::resource())
            .with_id_generator(ids::Ids::default())
            .with_batch_exporter(export::exporter(&settings)?)
            .build();
        let scope = InstrumentationScope::builder("scalegate").with_version(env!("CARGO_PKG_VERSION")).build();
        tracing::info!(endpoint = settings.shown, "traces are exported");
        Ok(Self(Some(Arc::new(Tracing { tracer: provider.tracer_with_scope(scope), provider }))))
    }

    /// Whether spans are exported.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Exports what is left, within `patience` and two seconds. Blocks. Spans that end later are dropped.
    pub fn shut_down(&self, patience: Duration) {
        let Some(tracing) = &self.0 else { return };
        if let Err(error) = tracing.provider.shutdown_with_timeout(patience.min(FLUSH_TIMEOUT)) {
            tracing::debug!(error = &error as &dyn std::error::Error, "the last spans may not have been exported");
        }
    }
}

impl Tracing {
    /// Begins a span under `parent`, or a trace of its own.
    fn begin(&self, span: SpanBuilder, kind: SpanKind, parent: Option<&TraceContext>) -> Span {
        // Not the thread's current context: nothing of ours is ever put there.
        let parent =
            parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(foreign(parent)));
        self.tracer.build_with_context(span.with_kind(kind), &parent)
    }
}

/// In the terms of the library.
fn foreign(trace: &TraceContext) -> SpanContext {
    let state = trace.tracestate().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let (trace_id, span_id) = (TraceId::from(trace.trace_id()), SpanId::from(trace.span_id()));
    SpanContext::new(trace_id, span_id, TraceFlags::new(trace.flags()), true, state)
}

/// In our terms; `None` for a span that was begun too late to count.
fn own(span: &SpanContext) -> Option<TraceContext> {
    let trace_id = u128::from_be_bytes(span.trace_id().to_bytes());
    let span_id = u64::from_be_bytes(span.span_id().to_bytes());
    TraceContext::new(trace_id, span_id, span.trace_flags().to_u8(), Some(&span.trace_state().header()))
}
