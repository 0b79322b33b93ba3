//! Ids of spans: by chance, except for those that follow from something.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use crate::domain::{JobId, TraceContext};

/// The flag for a trace that is recorded.
const SAMPLED: u8 = 1;

thread_local! {
    /// For the next span begun on this thread. The library has no other way to say which id a span is to have.
    static NEXT_SPAN: Cell<Option<SpanId>> = const { Cell::new(None) };
    static NEXT_TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Random ids, unless [`with_ids_of`] says otherwise.
#[derive(Debug, Default)]
pub(super) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT_TRACE.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        NEXT_SPAN.take().unwrap_or_else(|| self.0.new_span_id())
    }
}

/// Begins a span that gets the ids of `job`: the one for the trace only matters if the span has no parent.
pub(super) fn with_ids_of<T>(job: JobId, begin: impl FnOnce() -> T) -> T {
    NEXT_SPAN.set(Some(SpanId::from(span_id(job))));
    NEXT_TRACE.set(Some(TraceId::from(trace_id(job))));
    let begun = begin();
    // No other span must get what was not used.
    NEXT_SPAN.set(None);
    NEXT_TRACE.set(None);
    begun
}

/// The span of `job`, as all who work for it can name it, in whichever process. A job without a trace has one of its
/// own, which is recorded: it was accepted by a process that did not export traces.
pub(super) fn job_span(job: JobId, trace: Option<&TraceContext>) -> Option<TraceContext> {
    match trace {
        Some(trace) => TraceContext::new(trace.trace_id(), span_id(job), trace.flags(), trace.tracestate()),
        None => TraceContext::new(trace_id(job), span_id(job), SAMPLED, None),
    }
}

/// The half of a UUIDv7 that is drawn by chance.
fn span_id(job: JobId) -> u64 {
    (job.as_u64_pair().1).max(1)
}

fn trace_id(job: JobId) -> u128 {
    job.as_u128().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_ids_are_the_same_every_time_and_never_zero() {
        let job: JobId = "01a20a88-e19c-7773-b40c-724463e3cf71".parse().expect("an id");
        let caller = TraceContext::new(7, 8, 0, Some("a=b")).expect("a context");
        let span = job_span(job, Some(&caller)).expect("a span");
        assert_eq!(span.traceparent(), "00-00000000000000000000000000000007-b40c724463e3cf71-00");
        assert_eq!(span.tracestate(), Some("a=b"));
        let own = job_span(job, None).expect("a span");
        assert_eq!(own.traceparent(), "00-01a20a88e19c7773b40c724463e3cf71-b40c724463e3cf71-01");
        assert!(job_span(JobId::nil(), None).is_some());
    }

    #[test]
    fn only_the_span_that_is_meant_gets_them() {
        let (ids, job) = (Ids::default(), JobId::from_u128(7 << 64 | 9));
        let (span, trace) = with_ids_of(job, || (ids.new_span_id(), ids.new_trace_id()));
        assert_eq!((span, trace), (SpanId::from(9), TraceId::from(7 << 64 | 9)));
        with_ids_of(job, || ());
        assert_ne!((ids.new_span_id(), ids.new_trace_id()), (span, trace));
    }
}
