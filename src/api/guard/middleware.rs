//! The middleware in front of all handlers: it admits a request as its route declares, or answers it.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError as _, web};

use super::denial::{Denial, show_rate};
use super::{AccessCheck, Guard};
use crate::api::ApiState;
use crate::api::audit::AuditLevel;
use crate::api::caller::Caller;
use crate::api::connections::Connection;
use crate::api::problem::Code;
use crate::api::routes::{Count, Operation, Routes, no_route, path_of};

/// The middleware.
pub(in crate::api) async fn guard(
    state: web::Data<ApiState>,
    routes: web::Data<Routes>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let operation = routes.operation(request.method(), path_of(request.request())).copied();
    let Some(Operation { needs, action, .. }) = operation.filter(Operation::needs_key) else {
        return serve_without_key(&state.guard, routes, operation, request, next).await;
    };
    let AccessCheck { caller, is_stranger, rate, denial } = state.guard.check(request.request(), needs).await;
    note_caller(&request, &caller);
    let is_flood = denial.as_ref().is_some_and(|denial| denial.rate_exceeded.is_some());
    let too_early = state.check_recovered(Code::StorageUnavailable).err();
    // Nothing is written before the store was read, and a caller that is refused so early should not wait for that.
    let audit_level = AuditLevel::of(is_stranger, is_flood || too_early.is_some());
    let mut response = match (denial, too_early) {
        (Some(denial), _) => request.into_response(denial.answer()),
        (None, Some(too_early)) => request.into_response(too_early.error_response()),
        (None, None) => {
            request.extensions_mut().insert(caller.clone());
            next.call(request).await?.map_into_boxed_body()
        }
    };
    if let Some(rate) = rate {
        show_rate(response.headers_mut(), rate);
    }
    if let Some(action) = action {
        state.guard.recorder.record(&caller, action, &response, audit_level).await;
    }
    Ok(response)
}

/// Answers what needs no key, or does not exist, at the rate of one address. What is no operation reaches no handler: actix
/// would take `GET /v1/groups/plan` for the group called `plan`.
async fn serve_without_key(
    guard: &Guard,
    routes: web::Data<Routes>,
    operation: Option<Operation>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let stranger = Caller::of(request.request(), None);
    note_caller(&request, &stranger);
    let counted = match (stranger.limit_key(), operation.map_or(Count::Page, |operation| operation.count)) {
        (None, _) | (_, Count::Probe) => Ok(()),
        (Some(limit_key), Count::Page) => guard.limits.count_page(&limit_key),
        (Some(limit_key), Count::Request) => guard.limits.count(&limit_key).map(drop),
    };
    if let Err(rate_exceeded) = counted {
        return Ok(request.into_response(Denial::rate(rate_exceeded).answer()));
    }
    if operation.is_none() {
        let answer = no_route(routes, request.request().clone()).await;
        return Ok(request.into_response(answer));
    }
    request.extensions_mut().insert(stranger);
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// What waits for `caller` on the connection of `request` counts against its limits.
fn note_caller(request: &ServiceRequest, caller: &Caller) {
    if let Some(connection) = request.conn_data::<Connection>() {
        connection.note_caller(caller.limit_key().as_ref());
    }
}
