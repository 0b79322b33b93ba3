//! The problem documents that operations answer with, written from what their routes declare.
//!
//! Each is written once, under a name made of its codes, and operations refer to it: many share the same ones.

use std::collections::BTreeMap;

use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Responses};
use uuid::Uuid;

use super::headers::{common_headers, seconds_header};
use super::schemas::pascal_case;
use crate::api::problem::{ApiError, Code, FieldError, PROBLEM_JSON};
use crate::api::routes::Operation;
use crate::api::view::NotReadyReason;

/// What can be wrong with any request.
const ALWAYS: [Code; 4] = [Code::MalformedRequest, Code::OriginRefused, Code::WrongHost, Code::InternalError];
/// What can be wrong with any request that needs a key, because of the caller.
const WITH_KEY: [Code; 7] = [
    Code::AuthenticationRequired,
    Code::InvalidKey,
    Code::KeyExpired,
    Code::KeyRevoked,
    Code::InsufficientScope,
    Code::RateLimited,
    Code::StorageUnavailable,
];
/// The id of the request in examples.
const EXAMPLE_REQUEST: Uuid = Uuid::from_u128(0x1b4e_28ba_2fa1_41d2_883f_0016_d3cc_a427);

/// Adds the problems that `operation` answers with to its `responses`, and those that are not there yet to the `shared` ones.
pub fn add(shared: &mut BTreeMap<String, RefOr<Response>>, responses: &mut Responses, operation: &Operation) {
    let needs_key = operation.needs_key();
    let with_key = WITH_KEY.iter().filter(|_| needs_key);
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in operation.problems.iter().chain(&ALWAYS).chain(with_key) {
        by_status.entry(code.status()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        let mut names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        let names: Vec<String> = names.into_iter().map(pascal_case).collect();
        // Where no key is needed there is no limit either, and so no header about it.
        let suffix = if needs_key { "" } else { "WithoutLimit" };
        let name = format!("{}{suffix}", names.join("Or"));
        let reference = Ref::new(format!("#/components/responses/{name}"));
        responses.responses.insert(status.to_string(), RefOr::Ref(reference));
        shared.entry(name).or_insert_with(|| response(status, &codes, needs_key).into());
    }
}

/// The answer with this `status`, with an example of each of its `codes`.
fn response(status: u16, codes: &[Code], needs_key: bool) -> Response {
    let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
    let mut response =
        ResponseBuilder::new().description(format!("{}.", titles.join("; "))).content(PROBLEM_JSON, content(codes));
    if matches!(status, 429 | 503) {
        response = response.header("Retry-After", seconds_header("When to try again, in seconds."));
    }
    let mut response = response.build();
    response.headers.extend(common_headers(needs_key, matches!(status, 401 | 403)));
    response
}

fn content(codes: &[Code]) -> Content {
    let examples = codes.iter().map(|code| {
        let mut document = ApiError::new(*code, code.example()).document(EXAMPLE_REQUEST);
        if *code == Code::ValidationFailed {
            let detail = "must be between 0 and 1000000".to_owned();
            document.errors = vec![FieldError { pointer: "/targetCapacity".into(), detail }];
        }
        if *code == Code::NotReady {
            document.reason = Some(NotReadyReason::StorageUnavailable);
        }
        let example = ExampleBuilder::new().summary(code.title()).value(serde_json::to_value(document).ok()).build();
        (code.as_str(), RefOr::T(example))
    });
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).examples_from_iter(examples).build()
}
