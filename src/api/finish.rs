//! What all answers have in common, from whichever handler or middleware they come.
//!
//! Every answer carries the request's id and what keeps browsers from misusing it; every error is a problem document, including a path that does not exist, a
//! method that is not allowed, and a panic; `HEAD` is answered like `GET` without a body.

use std::cell::Cell;
use std::fmt;
use std::panic::AssertUnwindSafe;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError as _};
use futures_util::FutureExt as _;
use tracing_actix_web::RequestId;
use uuid::Uuid;

use super::body::{Pieces, Streamed};
use super::browsers::BrowserRules;
use super::connections::{BodyState, Connection};
use super::problem::{ApiError, Code, PROBLEM_JSON};
use super::routes::path_of;

/// The middleware.
pub(super) async fn finish(
    browsers: Data<BrowserRules>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = request.extensions().get::<RequestId>().map_or_else(Uuid::nil, |id| **id);
    let finish = Finish { id, path: path_of(request.request()).to_owned(), browsers };
    let is_head = request.method() == Method::HEAD;
    if is_head {
        // The connection remembers that it was HEAD and leaves the body out.
        request.head_mut().method = Method::GET;
    }
    let active = request.conn_data::<Connection>().map(|connection| connection.begin(body_of(request.headers())));
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(response)) => {
            let (request, response) = response.map_into_boxed_body().into_parts();
            let response = finish.finished(response).map_body(|_, body| match body.size() {
                // Nor would it wait for the end of one that has none.
                BodySize::Stream if is_head => BoxBody::new(actix_web::body::None::new()),
                BodySize::Stream => BoxBody::new(Streamed::new(body, active)),
                _ => Pieces::cut(&request, body).map_or_else(|body| body, BoxBody::new),
            });
            Ok(ServiceResponse::new(request, response))
        }
        Ok(Err(error)) => Err(Unanswered::with(error.error_response(), finish).into()),
        Err(panic) => {
            tracing::error!(panic = panic_text(&*panic), "a request handler panicked");
            let detail = "The gateway failed on this request. Search its log for this instance id.";
            let response = ApiError::new(Code::InternalError, detail).error_response();
            Err(Unanswered::with(response, finish).into())
        }
    }
}

/// What is to come after a head with these `headers`, which the HTTP library found to make sense.
fn body_of(headers: &HeaderMap) -> BodyState {
    if headers.contains_key(TRANSFER_ENCODING) {
        return BodyState::chunked();
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    BodyState::counted(length.unwrap_or(0))
}

/// The answer to a request that got none from a handler. It travels as an error because the request is gone by then.
struct Unanswered {
    status: StatusCode,
    response: Cell<Option<HttpResponse>>,
    finish: Finish,
}

impl Unanswered {
    fn with(response: HttpResponse, finish: Finish) -> Self {
        Self { status: response.status(), response: Cell::new(Some(response)), finish }
    }
}

impl fmt::Debug for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} was not answered by a handler", self.finish.id)
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl actix_web::ResponseError for Unanswered {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.finish.finished(self.response.take().unwrap_or_else(|| HttpResponse::InternalServerError().finish()))
    }
}

/// What all answers to one request get.
struct Finish {
    id: Uuid,
    path: String,
    browsers: Data<BrowserRules>,
}

impl Finish {
    fn finished(&self, response: HttpResponse) -> HttpResponse {
        let mut response = as_problem(response, self.id);
        if let Ok(value) = HeaderValue::from_str(&self.id.to_string()) {
            response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
        }
        self.browsers.protect(&mut response, &self.path);
        response
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Gives an error its problem document. One that did not come from a handler of ours gets the one for its status.
fn as_problem(mut response: HttpResponse, id: Uuid) -> HttpResponse {
    let error = response.extensions_mut().remove::<ApiError>();
    let error = match error {
        Some(error) => error,
        None if response.status().is_client_error() || response.status().is_server_error() => {
            ApiError::of_status(response.status())
        }
        None => return response,
    };
    let body = serde_json::to_vec(&error.document(id)).unwrap_or_default();
    *response.status_mut() = error.status_code();
    let mut response = response.set_body(BoxBody::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Problem;
    use crate::config::Access;
    use actix_web::{App, HttpRequest, middleware::from_fn, test, web};
    use tracing_actix_web::TracingLogger;

    async fn panics() -> HttpResponse {
        panic!("this handler is broken")
    }

    /// Panics where the request is read, which is before the handler.
    struct Trap;

    impl actix_web::FromRequest for Trap {
        type Error = Error;
        type Future = std::future::Ready<Result<Self, Error>>;

        fn from_request(_: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
            panic!("this extractor is broken")
        }
    }

    /// A panic is answered with a problem document and the request's id, and the next request is served as usual.
    #[actix_web::test]
    async fn panics_are_problems() {
        let app = App::new()
            .app_data(Data::new(BrowserRules::new(&Access::default(), true)))
            .route("/handler", web::get().to(panics))
            .route("/extractor", web::get().to(async |_: Trap| HttpResponse::Ok()))
            .route("/fine", web::get().to(HttpResponse::Ok))
            .wrap(from_fn(finish))
            .wrap(TracingLogger::default());
        let app = test::init_service(app).await;
        for path in ["/handler", "/extractor"] {
            let answer = test::try_call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            let response = answer.expect_err("it travels as an error").error_response();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.headers().get(CONTENT_TYPE), Some(&HeaderValue::from_static(PROBLEM_JSON)));
            let id = response.headers().get("x-request-id").expect("an id").to_str().expect("text").to_owned();
            let body = actix_web::body::to_bytes(response.into_body()).await.expect("a body");
            let problem: Problem = serde_json::from_slice(&body).expect("a problem document");
            assert_eq!(problem.code, Code::InternalError);
            assert_eq!(problem.instance, format!("urn:uuid:{id}"));
            assert!(!problem.detail.contains("broken"), "what went wrong inside is for the log alone");
        }
        let fine = test::call_service(&app, test::TestRequest::get().uri("/fine").to_request()).await;
        assert_eq!(fine.status(), StatusCode::OK);
    }

    #[actix_web::test]
    async fn answers_of_others_become_problems() {
        let app = App::new()
            .app_data(Data::new(BrowserRules::new(&Access::default(), true)))
            .route("/", web::get().to(HttpResponse::ImATeapot))
            .wrap(from_fn(finish));
        let app = test::init_service(app).await;
        for (path, code) in [("/", Code::MalformedRequest), ("/elsewhere", Code::NotFound)] {
            let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
            let problem: Problem = test::read_body_json(response).await;
            assert_eq!(problem.code, code);
        }
    }
}
