//! Health: is the process alive, and can it do its work?

use actix_web::{HttpRequest, HttpResponse, get, web};

use super::ApiState;
use super::caller::Caller;
use super::problem::{ApiError, Code};
use super::routes::{Count, Route, problems};
use super::view::{Alive, NotReadyReason, Ready};
use crate::domain::Scope;
use crate::engine::Unavailable;

/// Callers with one of these scopes are told the details of readiness.
const DETAILS: &[Scope] = &[Scope::Read];

/// Probes need no key.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/livez").open().counted(Count::Probe),
    Route::get("/readyz").open().tells_more_to(DETAILS).counted(Count::Probe).problems(problems![NotReady]),
];

/// Is the process alive?
///
/// 200 as long as it answers at all.
#[utoipa::path(
    operation_id = "getLiveness", tag = "health",
    responses(
        (status = 200, description = "The process is alive.", body = Alive, example = json!({"status": "alive"})),
    )
)]
#[get("/livez")]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "alive".into() })
}

/// Can the gateway do its work?
///
/// 200 if it has read its store, which takes some seconds after a start with very many jobs, the store is usable, and its
/// engine runs. Whether the sidecar can be reached is shown, but not required: jobs
/// are accepted without it and wait.
///
/// Every caller is told whether it is ready, and the `reason` why not. Unfinished jobs, the contact with the sidecar, and the
/// details of what is wrong take a key with the scope `read`; the number of jobs one for all resources. A key that is not
/// good counts as none here: it never makes a probe fail.
#[utoipa::path(
    operation_id = "getReadiness", tag = "health",
    responses(
        (status = 200, description = "The gateway can do its work.", body = Ready, example = json!({
            "status": "ready", "unfinishedJobs": 2,
            "sidecar": {"reachable": true, "lastAnswerAt": "2026-01-31T12:00:01.000Z", "lastFailure": null}})),
    )
)]
#[get("/readyz")]
pub async fn ready(state: web::Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    state.check_recovered(Code::NotReady).map_err(|early| early.because(NotReadyReason::Starting))?;
    // Asked before the engine, which may take long to answer: a key that is good now is good for this answer.
    let caller = state.guard.reader(&request, DETAILS).await;
    match state.engine.health().await {
        Ok(health) => Ok(HttpResponse::Ok().json(Ready::within(caller.as_ref().map(Caller::reach), health))),
        Err(unavailable) => {
            let detail = match unavailable {
                // What the store says names files.
                Unavailable::Storage(_) if caller.is_none() => {
                    "the store cannot be used at present. The log says why, and so does this answer with a key for read"
                        .to_owned()
                }
                ref unavailable => unavailable.to_string(),
            };
            let problem = ApiError::new(Code::NotReady, format!("The gateway is not ready: {detail}."));
            Err(problem.because(NotReadyReason::from(&unavailable)))
        }
    }
}
