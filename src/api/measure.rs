//! Counts and times all requests.

use std::time::Instant;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::routes::{Routes, path_of};
use crate::metrics::RouteMetrics;

/// The middleware. The outermost one, so that nothing else comes between what is measured and what the caller sees.
///
/// It finds the route by itself: the library knows it only once it was taken, and writes it into new memory for each
/// request.
pub(super) async fn measure<B: MessageBody + 'static>(
    routes: Data<Routes>,
    metrics: Data<RouteMetrics>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let begun = Instant::now();
    let (route, method) = (routes.place(path_of(request.request())), request.method().clone());
    let answer = next.call(request).await;
    let (status, held_back) = match &answer {
        Ok(response) => (response.status(), response.headers().contains_key("preference-applied")),
        Err(error) => (error.as_response_error().status_code(), false),
    };
    // An answer that was held back on request says how long the caller wanted to wait, not how fast the gateway is.
    let took = (!held_back).then(|| begun.elapsed());
    metrics.answered(route, method.as_str(), status.as_u16(), took);
    answer
}
