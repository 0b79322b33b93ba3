//! The OpenAPI document, generated from the handlers.

pub mod examples;
mod headers;
mod problems;
mod schemas;

use actix_web::App;
use actix_web::http::Method;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, Required, Schema, ServerBuilder,
    tag::TagBuilder,
};
use utoipa_actix_web::AppExt as _;

use super::problem::{Code, FieldError, JobLink, Problem};
use super::submission::GroupMemberWish;
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
An API key, as `Authorization: Bearer sg_…`. Operations name the scopes of which a key needs one: `push`, `read`, `scale` or \
`admin`. `scale` includes `push` and `read`, and `admin` includes all. A key can be limited to some resources. A gateway on a loopback address admits requests without \
a key until it has its first one.";

/// The document as it is published: [`text`], put down where people can read it, and where a test compares it. A gateway
/// does not make it anew when it starts: it takes a few MiB, which would be kept.
pub const PUBLISHED: &str = include_str!("../../openapi/openapi.json");

/// What the requirements of operations call the API keys.
/// The operation that can do without a body.
const NO_BODY: &str = "evaluatePolicy";
const SECURITY_SCHEME: &str = "apiKey";
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
            tag("jobs", "Requests to scale a resource, and what becomes of them."),
            tag("groups", "Requests to scale several resources as one piece of work."),
            tag("events", "Streams of changes."),
            tag("resources", "Resources with their readings, bounds, settings and jobs."),
            tag("policies", "Policies that decide targets, with their metrics, decisions, holds and claims."),
            tag("access", "API keys, and the record of what was done with them."),
            tag("health", "For probes."),
            tag("operations", "For those who run the gateway."),
        ]))
        .build();
    let (_, mut document) =
        App::new().into_utoipa_app().openapi(base).configure(|config| super::documented(config)).split_for_parts();
    add_schemas(&mut document);
    add_declarations(&mut document);
    add_links(&mut document);
    take_null_from_parameters(&mut document);
    allow_no_body(&mut document);
    schemas::complete(&mut document.components.get_or_insert_default().schemas);
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
    document
        .paths
        .paths
        .values_mut()
        .flat_map(|item| [&mut item.get, &mut item.put, &mut item.post, &mut item.delete])
        .flatten()
}

/// The schemas that only problem documents refer to, which are not written into the handlers' annotations.
fn add_schemas(document: &mut OpenApi) {
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(Problem, Code, FieldError, JobLink, GroupMemberWish, view::SidecarView)))]
    struct More;
    let more = <More as utoipa::OpenApi>::openapi().components.unwrap_or_default();
    document.components.get_or_insert_default().schemas.extend(more.schemas);
}

/// Adds what the routes declare of each operation: the keys it takes, the problems it answers with, and the headers that go
/// with these.
fn add_declarations(document: &mut OpenApi) {
    let routes = super::routes();
    let components = document.components.get_or_insert_default();
    for (pattern, item) in &mut document.paths.paths {
        let described = [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, described) in described {
            let (Some(described), Some(declared)) = (described, routes.declared(&method, pattern)) else { continue };
            let keyless = (!declared.needs_key()).then(SecurityRequirement::default);
            let scopes = declared.needs.iter().chain(declared.tells_more_to);
            let keys = scopes.map(|scope| SecurityRequirement::new(SECURITY_SCHEME, [scope.as_str()]));
            described.security = Some(keyless.into_iter().chain(keys).collect());
            for response in described.responses.responses.values_mut() {
                let RefOr::T(response) = response else { continue };
                response.headers.extend(headers::common_headers(declared.needs_key(), false));
            }
            problems::add(&mut components.responses, &mut described.responses, declared);
        }
    }
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("sg_…").description(Some(SECURITY));
    components.add_security_scheme(SECURITY_SCHEME, SecurityScheme::Http(scheme.build()));
    headers::describe_common_headers(components);
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

/// Says that a body can be left out where that is so.
fn allow_no_body(document: &mut OpenApi) {
    for operation in operations(document).filter(|operation| operation.operation_id.as_deref() == Some(NO_BODY)) {
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            body.required = Some(Required::False);
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
