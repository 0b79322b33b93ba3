//! Health: is the process alive, and can it do its work?

use actix_web::{HttpResponse, get, web};

use super::ApiState;
use super::problem::{ApiError, Code, LiveProblems, ReadyProblems};
use super::view::{Alive, Ready};

/// Is the process alive?
///
/// 200 as long as it answers at all.
#[utoipa::path(
    operation_id = "getLiveness", tag = "health",
    security(()),
    responses(
        (status = 200, description = "The process is alive.", body = Alive, example = json!({"status": "alive"})),
        LiveProblems,
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
#[utoipa::path(
    operation_id = "getReadiness", tag = "health",
    security(()),
    responses(
        (status = 200, description = "The gateway can do its work.", body = Ready, example = json!({
            "status": "ready", "unfinishedJobs": 2,
            "sidecar": {"reachable": true, "lastAnswerAt": "2026-01-31T12:00:01.000Z", "lastFailure": null}})),
        ReadyProblems,
    )
)]
#[get("/readyz")]
pub async fn ready(state: web::Data<ApiState>) -> Result<HttpResponse, ApiError> {
    state.check_recovered(Code::NotReady)?;
    match state.engine.health().await {
        Ok(health) => Ok(HttpResponse::Ok().json(Ready::from(health))),
        Err(unavailable) => Err(ApiError::new(Code::NotReady, format!("The gateway is not ready: {unavailable}."))),
    }
}
