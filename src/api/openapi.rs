//! The OpenAPI document, generated from the handlers.

pub mod examples;
pub(super) mod headers;
mod schemas;

use std::collections::BTreeMap;

use actix_web::App;
use actix_web::http::Method;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, Schema, ServerBuilder,
    tag::TagBuilder,
};
use utoipa_actix_web::AppExt as _;

use super::problem::{Code, FieldError, JobLink, PROBLEM_JSON, Problem};
use super::routes::SECURITY_SCHEME;
use super::view;

const DESCRIPTION: &str = "\
A scaling API one can trust, on top of a capacity sidecar that can only read, add and remove.

Submit a job (*scale `worker` to 5*), get its id, and poll it. The gateway does the rest: cooldowns, waiting for the \
resource to become ready, steps, retries, restarts. A job shows at any moment what it waits for, until when, and why, and \
it always ends.

Times are RFC 3339 in UTC with milliseconds, durations are numbers of seconds. Errors are problem documents (RFC 9457) \
with a stable `code`. A field of an answer that has no value is `null`; only problem documents leave such fields out. Later \
releases may add fields, and values of enumerations: a client should expect ones that it does not know.

Every answer to a request has an `X-Request-Id`, by which the log of the gateway can be searched; an `X-Request-Id` of \
the caller's own, of at most 64 letters, digits, dots, dashes and underscores, is in the log as well. Bytes that are not HTTP \
are answered with a bare 400, 408 or 431, and the connection ends.";

const SECURITY: &str = "\
An API key, as `Authorization: Bearer sg_…`. Operations name the scope that a key needs: `read`, `scale` or `admin`, each \
including those before it. A key can be limited to some resources. A gateway on a loopback address admits requests without \
a key until it has its first one.";

/// The document as it is published: [`text`], put down where people can read it, and where a test compares it. A gateway
/// does not make it anew when it starts: it takes a few MiB, which would be kept.
pub const PUBLISHED: &str = include_str!("../../openapi/openapi.json");

const LICENSE: &str = env!("CARGO_PKG_LICENSE");
const CONTACT: &str = "The maintainers of scalegate";

/// The document.
pub fn document() -> OpenApi {
    let base = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("scalegate")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .contact(Some(ContactBuilder::new().name(Some(CONTACT)).build()))
                .license(Some(LicenseBuilder::new().name(LICENSE).identifier(Some(LICENSE)).build()))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url("/").description(Some("This gateway.")).build()]))
        .tags(Some([
            tag("jobs", "The wish to scale a resource, and what becomes of it."),
            tag("events", "Streams of changes."),
            tag("resources", "What is known about resources."),
            tag("access", "Who may do what, and who did."),
            tag("health", "For probes."),
            tag("operations", "For those who run the gateway."),
        ]))
        .build();
    let (_, mut document) =
        App::new().into_utoipa_app().openapi(base).configure(|config| super::documented(config)).split_for_parts();
    add_schemas(&mut document);
    add_security(&mut document);
    add_common_headers(&mut document);
    add_links(&mut document);
    take_null_from_parameters(&mut document);
    schemas::complete(&mut document.components.get_or_insert_default().schemas);
    share_problems(&mut document);
    document
}

/// The document as it is committed and served: pretty-printed, with a line feed at the end.
pub fn text() -> String {
    // A document made of strings, numbers and maps with text for keys always becomes JSON. As a value its keys are sorted: in
    // the document itself those of extensions come in another order each time.
    let text = serde_json::to_value(document()).and_then(|document| serde_json::to_string_pretty(&document));
    text.unwrap_or_default() + "\n"
}

fn tag(name: &str, description: &str) -> utoipa::openapi::Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|item| [&mut item.get, &mut item.post]).flatten()
}

/// The schemas that only problem documents refer to, which are not written into the handlers' annotations.
fn add_schemas(document: &mut OpenApi) {
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(Problem, Code, FieldError, JobLink, view::SidecarView)))]
    struct Problems;
    let more = <Problems as utoipa::OpenApi>::openapi().components.unwrap_or_default();
    document.components.get_or_insert_default().schemas.extend(more.schemas);
}

/// Adds what each operation needs, as its route declares it, and what these requirements refer to.
fn add_security(document: &mut OpenApi) {
    let routes = super::routes();
    for (pattern, item) in &mut document.paths.paths {
        for (method, operation) in [(Method::GET, &mut item.get), (Method::POST, &mut item.post)] {
            let (Some(operation), Some(route)) = (operation, routes.declared(&method, pattern)) else { continue };
            let nothing = route.needs.is_empty().then(SecurityRequirement::default);
            let scopes = route.needs.iter().chain(route.tells_more_to);
            let keys = scopes.map(|scope| SecurityRequirement::new(SECURITY_SCHEME, [scope.as_str()]));
            operation.security = Some(nothing.into_iter().chain(keys).collect());
        }
    }
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("sg_…").description(Some(SECURITY));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(SECURITY_SCHEME, SecurityScheme::Http(scheme.build()));
}

/// The headers that tell of rate limits.
const RATE: [&str; 2] = ["RateLimit", "RateLimit-Policy"];

/// Adds the headers that answers have without their handlers knowing of it.
fn add_common_headers(document: &mut OpenApi) {
    const ID: &str = "X-Request-Id";
    const CHALLENGE: &str = "WWW-Authenticate";
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let id = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    let headers = &mut document.components.get_or_insert_default().headers;
    for (name, schema, description) in [
        (ID, id, "Identifies the request in the log."),
        (RATE[0], text(), "How many requests may still come in this second; absent where there is no limit."),
        (RATE[1], text(), "How many requests may come in a second; absent where there is no limit."),
        (CHALLENGE, text(), "What kind of key is needed."),
    ] {
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
        headers.insert(name.to_owned(), header.into());
    }
    for operation in operations(document) {
        let is_guarded = operation.responses.responses.contains_key("401");
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            let mut names = vec![ID];
            names.extend(RATE.iter().filter(|_| is_guarded));
            names.extend(matches!(status.as_str(), "401" | "403").then_some(CHALLENGE).filter(|_| is_guarded));
            for name in names {
                let header = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
                response.headers.insert(name.to_owned(), header);
            }
        }
    }
}

/// Where answers lead: each job to its resource and to what can be done with it, wherever it is answered. Lists have no
/// links, because a link says where to find one value, and a list can be empty.
fn add_links(document: &mut OpenApi) {
    let targets = |schema: &str| -> &[(&str, &str, &str)] {
        match schema {
            "Job" => &[
                ("getJob", "id", "$response.body#/id"),
                ("cancelJob", "id", "$response.body#/id"),
                ("getResource", "alias", "$response.body#/resource"),
                ("listJobs", "resource", "$response.body#/resource"),
            ],
            "Plan" => &[("getResource", "alias", "$response.body#/resource")],
            "Resource" => &[("listJobs", "resource", "$response.body#/resource")],
            _ => &[],
        }
    };
    for operation in operations(document) {
        for response in operation.responses.responses.values_mut() {
            let RefOr::T(response) = response else { continue };
            let Some(RefOr::T(content)) = response.content.get("application/json") else { continue };
            let Some(RefOr::Ref(body)) = &content.schema else { continue };
            let schema = body.ref_location.rsplit('/').next().unwrap_or_default();
            for (operation_id, parameter, value) in targets(schema) {
                let link = LinkBuilder::new().operation_id(*operation_id).parameter(*parameter, *value).build();
                response.links.insert((*operation_id).to_owned(), link.into());
            }
        }
    }
}

/// A parameter that is not given is absent and not `null`. The derivation knows that of queries alone.
fn take_null_from_parameters(document: &mut OpenApi) {
    for parameter in operations(document).flat_map(|operation| &mut operation.parameters).flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
            && let SchemaType::Array(types) = &mut object.schema_type
        {
            types.retain(|one| *one != Type::Null);
            if let [only] = &types[..] {
                object.schema_type = SchemaType::Type(only.clone());
            }
        }
    }
}

/// Writes each problem down once, under a name made of its codes, and refers to it wherever it can be the answer.
fn share_problems(document: &mut OpenApi) {
    let mut shared: BTreeMap<String, RefOr<Response>> = BTreeMap::new();
    for response in operations(document).flat_map(|operation| operation.responses.responses.values_mut()) {
        let RefOr::T(problem) = &*response else { continue };
        let Some(RefOr::T(content)) = problem.content.get(PROBLEM_JSON) else { continue };
        let codes: Vec<String> = content.examples.keys().map(|code| schemas::pascal_case(code)).collect();
        // Where no key is needed there is no limit either, and so no header about it.
        let suffix = if problem.headers.contains_key(RATE[0]) { "" } else { "WithoutLimit" };
        let name = format!("{}{suffix}", codes.join("Or"));
        let reference = Ref::new(format!("#/components/responses/{name}"));
        if shared.entry(name).or_insert_with(|| response.clone()) == response {
            *response = RefOr::Ref(reference);
        }
    }
    document.components.get_or_insert_default().responses = shared;
}
