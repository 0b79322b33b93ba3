//! Requests as parts of distributed traces: where a caller says that its request belongs, and the request's own span.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};
use tracing_actix_web::RequestId;

use super::ApiState;
use super::routes::path_of;
use crate::domain::TraceContext;

/// Asked every few seconds for as long as the gateway lives, by machines that look for an answer and nothing else.
const UNTRACED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The span of the request being handled.
struct RequestTrace(TraceContext);

/// The middleware that gives each request a span. Only there if traces are on.
pub(super) async fn traced(
    state: web::Data<ApiState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let span = if UNTRACED.contains(&path_of(request.request())) { None } else { begin(&state, &request) };
    if let Some(context) = span.as_ref().and_then(|span| span.context()) {
        tracing::Span::current().record("trace", format_args!("{:032x}", context.trace_id()));
        request.extensions_mut().insert(RequestTrace(context));
    }
    let outcome = next.call(request).await;
    if let Some(span) = span {
        span.answered(match &outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        });
    }
    outcome
}

fn begin(state: &ApiState, request: &ServiceRequest) -> Option<crate::telemetry::RequestSpan> {
    let id = request.extensions().get::<RequestId>().map_or_else(String::new, ToString::to_string);
    let caller = of_caller(request.headers());
    let route = request.match_pattern();
    state.traces.begin_request(request.method(), path_of(request.request()), route.as_deref(), &id, caller.as_ref())
}

/// Where things belong that are done for `request`: to its own span, or, without one, where its caller says.
pub(super) fn trace_of(request: &HttpRequest) -> Option<TraceContext> {
    let own = request.extensions().get::<RequestTrace>().map(|RequestTrace(context)| context.clone());
    own.or_else(|| of_caller(request.headers()))
}

/// What is not exactly as it should be counts as not said, as the standard wants it.
fn of_caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent");
    let parent = parents.next().filter(|_| parents.next().is_none())?.to_str().ok()?;
    let states: Result<Vec<&str>, _> = headers.get_all("tracestate").map(|state| state.to_str()).collect();
    TraceContext::parse(parent, states.ok().map(|states| states.join(",")).as_deref())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn said(fields: &[(&'static str, &'static [u8])]) -> Option<(String, Option<String>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_bytes(value).expect("a header value");
            headers.append(HeaderName::from_static(name), value);
        }
        of_caller(&headers).map(|trace| (trace.traceparent(), trace.tracestate().map(str::to_owned)))
    }

    #[test]
    fn one_parent_is_understood_and_several_states_are_one_list() {
        let (parent, state) =
            (("traceparent", PARENT.as_bytes()), |text: &'static str| ("tracestate", text.as_bytes()));
        assert_eq!(said(&[parent]), Some((PARENT.into(), None)));
        assert_eq!(said(&[parent, state("a=1"), state("b=2")]), Some((PARENT.into(), Some("a=1,b=2".into()))));
        for nothing in [&[][..], &[state("a=1")], &[parent, parent], &[("traceparent", b"\xff")]] {
            assert_eq!(said(nothing), None);
        }
        assert_eq!(said(&[parent, ("tracestate", b"a=\xff")]), Some((PARENT.into(), None)));
    }
}
