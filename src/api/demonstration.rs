//! Tells the pages of a demonstration how its clock goes, which may be many times as fast as theirs.
//!
//! The panel draws up to the present, and the `Date` of an answer is real time. It must never be sent by a gateway that does
//! work. Rejected: a clock in an answer of the API, because it would be in the contract for callers, who have no use for it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use super::ApiState;

/// What the clock shows, in milliseconds since 1970, and how many times as fast as real time it goes.
const CLOCK: HeaderName = HeaderName::from_static("demonstration-clock");

/// The middleware.
pub(super) async fn tell_clock(
    state: web::Data<ApiState>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let clock = state.clock;
    let told = clock.speed().map(|speed| HeaderValue::from_str(&format!("{} {speed}", clock.now().as_millis())));
    if let Some(Ok(told)) = told {
        response.headers_mut().insert(CLOCK, told);
    }
    Ok(response)
}
