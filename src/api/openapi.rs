//! The OpenAPI document, generated from the handlers.

use actix_web::App;
use serde_json::{Value, json};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{
    InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Schema, ServerBuilder, tag::TagBuilder,
};
use utoipa_actix_web::AppExt as _;

use super::problem::{Code, FieldError, JobLink, Problem};
use super::view;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

const DESCRIPTION: &str = "\
A scaling API one can trust, on top of a capacity sidecar that can only read, add and remove.

Submit a job (*scale `worker` to 5*), get its id, and poll it. The gateway does the rest: cooldowns, waiting for the \
resource to become ready, steps, retries, restarts. A job shows at any moment what it waits for, until when, and why, and \
it always ends.

Times are RFC 3339 in UTC with milliseconds, durations are numbers of seconds. Errors are problem documents (RFC 9457) \
with a stable `code`. A field of an answer that has no value is `null`; only problem documents leave such fields out.

Every answer to a request has an `X-Request-Id`, by which the log of the gateway can be searched; an `X-Request-Id` of \
the caller's own, of at most 64 letters, digits, dots, dashes and underscores, is in the log as well. Bytes that are not HTTP \
are answered with a bare 400, 408 or 431, and the connection ends.";

/// What the requirements of operations call the API keys.
pub const SECURITY_SCHEME: &str = "apiKey";
const SECURITY: &str = "\
An API key, as `Authorization: Bearer sg_…`. Operations name the scope that a key needs: `read`, `scale` or `admin`, each \
including those before it. A key can be limited to some resources. A gateway on a loopback address admits requests without \
a key until it has its first one.";

/// The document as it is published: [`text`], put down where people can read it, and where a test compares it. A gateway
/// does not make it anew when it starts: it takes a few MiB, which would be kept.
pub const PUBLISHED: &str = include_str!("../../openapi/openapi.json");

const LICENSE: &str = env!("CARGO_PKG_LICENSE");

/// The document.
pub fn document() -> OpenApi {
    let base = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("scalegate")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
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
    add_security_scheme(&mut document);
    add_common_headers(&mut document);
    require_all_fields_of_answers(&mut document);
    require_one_goal(&mut document);
    forbid_limited_admins(&mut document);
    add_links(&mut document);
    document
}

/// The document as it is committed and served: pretty-printed, with a line feed at the end.
pub fn text() -> String {
    // A document made of strings, numbers and maps with text for keys always becomes JSON.
    let text = document().to_pretty_json().unwrap_or_default();
    text + "\n"
}

fn tag(name: &str, description: &str) -> utoipa::openapi::Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

/// The schemas that only problem documents refer to, which are not written into the handlers' annotations.
fn add_schemas(document: &mut OpenApi) {
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(Problem, Code, FieldError, JobLink, view::SidecarView)))]
    struct Problems;
    let more = <Problems as utoipa::OpenApi>::openapi().components.unwrap_or_default();
    document.components.get_or_insert_default().schemas.extend(more.schemas);
}

/// Adds what the operations' requirements refer to.
fn add_security_scheme(document: &mut OpenApi) {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("sg_…").description(Some(SECURITY));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(SECURITY_SCHEME, SecurityScheme::Http(scheme.build()));
}

/// Adds the headers that answers have without their handlers knowing of it.
fn add_common_headers(document: &mut OpenApi) {
    const ID: &str = "X-Request-Id";
    const RATE: [&str; 2] = ["RateLimit", "RateLimit-Policy"];
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
    let operations = document.paths.paths.values_mut().flat_map(|item| [&mut item.get, &mut item.post]).flatten();
    for operation in operations {
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

/// Answers have all their fields, `null` or not. The derivation takes a field that can be `null` for one that can be
/// absent, which is true of requests and problem documents alone.
fn require_all_fields_of_answers(document: &mut OpenApi) {
    let schemas = &mut document.components.get_or_insert_default().schemas;
    for (name, schema) in schemas {
        if !["NewJob", "NewKey", "Problem"].contains(&name.as_str()) {
            require_all_fields(schema);
        }
    }
}

fn require_all_fields(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => object.required = object.properties.keys().cloned().collect(),
        RefOr::T(Schema::OneOf(variants)) => variants.items.iter_mut().for_each(require_all_fields),
        _ => {}
    }
}

/// A new job has either a target or a delta. The derivation knows fields, but not what holds between them.
fn require_one_goal(document: &mut OpenApi) {
    let goals = json!([
        {"title": "To a capacity", "required": ["targetCapacity"],
         "properties": {"targetCapacity": {"type": "integer"}, "delta": {"type": "null"}}},
        {"title": "Up by some units", "required": ["delta"],
         "properties": {"delta": {"type": "integer", "minimum": 1}, "targetCapacity": {"type": "null"}}},
        {"title": "Down by some units", "required": ["delta"],
         "properties": {"delta": {"type": "integer", "maximum": -1}, "targetCapacity": {"type": "null"}}}
    ]);
    require_any_of(document, "NewJob", goals);
}

/// A key with the scope `admin` cannot be limited to resources.
fn forbid_limited_admins(document: &mut OpenApi) {
    let keys = json!([
        {"title": "To look or to scale", "properties": {"scope": {"type": "string", "enum": ["read", "scale"]}}},
        {"title": "For an admin",
         "properties": {"scope": {"type": "string", "enum": ["admin"]}, "resources": {"type": "null"}}}
    ]);
    require_any_of(document, "NewKey", keys);
}

fn require_any_of(document: &mut OpenApi, schema: &str, options: Value) {
    let schemas = &mut document.components.get_or_insert_default().schemas;
    if let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(schema) {
        // There is no field for `anyOf` next to `properties`; extensions are written out as they are.
        object.extensions = Some([("anyOf", options)].into_iter().collect());
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
    for operation in document.paths.paths.values_mut().flat_map(|item| [&mut item.get, &mut item.post]).flatten() {
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

/// A header that gives a number of seconds.
pub(super) fn seconds_header(description: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))))
        .description(Some(description))
        .build()
}

/// A job on its way from 1 to 5.
pub fn example_job() -> Value {
    json!({
        "id": "0198c3f2-7a00-7000-8000-000000000001", "resource": "worker", "state": "running",
        "targetCapacity": 5, "delta": null, "startCapacity": 1, "currentCapacity": 2,
        "waitingFor": {
            "reason": "cooldown", "until": "2026-01-31T12:05:00.131Z",
            "detail": "Cooling down until 2026-01-31T12:05:00.131Z after the change at 2026-01-31T12:00:00.111Z."
        },
        "progress": {
            "completedSteps": 1, "totalSteps": 4, "percent": 25, "estimatedCompletionAt": "2026-01-31T12:16:00.131Z"
        },
        "steps": [{
            "index": 1, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2,
            "sentAt": "2026-01-31T12:00:00.111Z", "resolvedAt": "2026-01-31T12:00:31.420Z", "outcome": "confirmed"
        }],
        "externalChanges": [],
        "settings": example_settings(),
        "reason": "queue depth 812", "labels": {"team": "data"},
        "submittedBy": {"key": "4fJ2kQ9xZa", "name": "queue watcher"}, "canceledBy": null, "error": null, "endingAs": null, "supersededBy": null,
        "createdAt": "2026-01-31T12:00:00.007Z", "startedAt": "2026-01-31T12:00:00.007Z",
        "updatedAt": "2026-01-31T12:01:02.004Z", "deadlineAt": "2026-02-01T12:00:00.007Z", "finishedAt": null,
        "version": 7
    })
}

/// The same job when it was accepted.
pub fn example_new_job() -> Value {
    let changes = json!({
        "startCapacity": null, "currentCapacity": null,
        "waitingFor": {
            "reason": "sidecar", "until": "2026-01-31T12:15:00.007Z", "detail": "Asked for the current capacity."
        },
        "progress": {"completedSteps": 0, "totalSteps": null, "percent": 0, "estimatedCompletionAt": null},
        "steps": [], "updatedAt": "2026-01-31T12:00:00.007Z", "version": 1
    });
    changed(example_job(), changes)
}

/// The same job after it was canceled.
pub fn example_canceled_job() -> Value {
    let changes = json!({
        "state": "canceled", "waitingFor": null, "endingAs": null,
        "canceledBy": {"key": "4fJ2kQ9xZa", "name": "queue watcher"},
        "progress": {"completedSteps": 1, "totalSteps": 4, "percent": 25, "estimatedCompletionAt": null},
        "updatedAt": "2026-01-31T12:02:10.300Z", "finishedAt": "2026-01-31T12:02:10.300Z", "version": 8
    });
    changed(example_job(), changes)
}

/// `object` with the fields of `changes` put in.
fn changed(mut object: Value, changes: Value) -> Value {
    if let (Value::Object(object), Value::Object(changes)) = (&mut object, changes) {
        object.extend(changes);
    }
    object
}

fn example_settings() -> Value {
    json!({
        "stepSize": 1, "cooldownSeconds": 300.0, "activeTimeoutSeconds": 900.0, "pollIntervalSeconds": 30.0,
        "settleSeconds": 90.0, "deadlineSeconds": 86400.0
    })
}

/// A plan from 1 to 3.
pub fn example_plan() -> Value {
    json!({
        "resource": "worker", "startCapacity": 1, "targetCapacity": 3,
        "steps": [
            {"index": 1, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2,
             "earliestAt": "2026-01-31T12:00:00.000Z"},
            {"index": 2, "op": "add", "units": 1, "fromCapacity": 2, "toCapacity": 3,
             "earliestAt": "2026-01-31T12:05:00.000Z"}
        ],
        "estimatedCompletionAt": "2026-01-31T12:06:00.000Z",
        "settings": example_settings(),
        "joins": null
    })
}

/// The stream of a job that was resumed and is over soon after.
pub fn example_job_events() -> String {
    let job = changed(example_job(), json!({"version": 9}));
    format!("retry: 2000\n\nevent: ready\ndata: {{\"resumed\":true}}\n\nid: 1769860800018\nevent: job\ndata: {job}\n\n")
}

/// The stream of all changes, from now on.
pub fn example_events() -> String {
    let told = json!({"resource": "worker", "entry": example_timeline()["entries"][0]});
    format!(
        "retry: 2000\n\nid: 1769860800017\nevent: ready\ndata: {{\"resumed\":false}}\n\nevent: timeline\ndata: {told}\n\n\
         id: 1769860800018\nevent: job\ndata: {}\n\n: heartbeat\n\n",
        example_job()
    )
}

/// What happened to a resource lately.
pub fn example_timeline() -> Value {
    let job = "0198c3f2-7a00-7000-8000-000000000001";
    json!({
        "entries": [
            {"at": "2026-01-31T12:01:02.000Z", "detail": "add 1 (1 -> 2) took effect.", "kind": "change_resolved",
             "job": job, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2, "outcome": "confirmed"},
            {"at": "2026-01-31T12:01:02.000Z", "detail": "ACTIVE at capacity 2.", "kind": "reading",
             "status": "ACTIVE", "capacity": 2},
            {"at": "2026-01-31T12:00:00.150Z", "detail": "Sent add 1 (1 -> 2).", "kind": "change_sent",
             "job": job, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2},
            {"at": "2026-01-31T12:00:00.000Z", "detail": "Asked to scale to 5: queue depth 812", "kind": "job_accepted",
             "job": job, "targetCapacity": 5, "delta": null, "reason": "queue depth 812"}
        ],
        "nextPageToken": "1f"
    })
}

/// A key to scale one resource.
pub fn example_key() -> Value {
    json!({
        "id": "4fJ2kQ9xZa", "name": "queue watcher", "scope": "scale", "resources": ["worker"], "state": "active",
        "configured": false, "createdAt": "2026-01-31T11:00:00.000Z", "expiresAt": null, "revokedAt": null,
        "lastUsedAt": "2026-01-31T12:00:00.007Z"
    })
}

/// The same key when it was made.
pub fn example_created_key() -> Value {
    json!({
        "secret": "sg_4fJ2kQ9xZa…", "key": changed(example_key(), json!({"lastUsedAt": null}))
    })
}

/// The same key after it was revoked.
pub fn example_revoked_key() -> Value {
    changed(example_key(), json!({"state": "revoked", "revokedAt": "2026-02-28T09:00:00.000Z"}))
}

/// Who tried to change what lately.
pub fn example_audit() -> Value {
    let refused = json!({
        "at": "2026-01-31T12:00:05.000Z", "action": "submit_job", "outcome": "refused", "code": "authentication_required",
        "actor": null, "address": "192.0.2.7", "requestId": "1b4e28ba-2fa1-41d2-883f-0016d3cca427", "resource": null,
        "job": null, "key": null
    });
    let accepted = json!({
        "at": "2026-01-31T12:00:00.007Z", "outcome": "accepted", "code": null,
        "actor": {"key": "4fJ2kQ9xZa", "name": "queue watcher"}, "address": "192.0.2.6",
        "requestId": "0b0b8c0e-7a9c-4a58-a1f5-4bd7e6b3a001", "resource": "worker",
        "job": "0198c3f2-7a00-7000-8000-000000000001"
    });
    json!({"entries": [refused, changed(refused.clone(), accepted)], "nextPageToken": "1f"})
}

/// A resource that is being scaled.
pub fn example_resource() -> Value {
    json!({
        "resource": "worker", "status": "ACTIVE", "capacity": 2,
        "lastObservation": {"observedAt": "2026-01-31T12:01:01.500Z", "receivedAt": "2026-01-31T12:01:02.000Z"},
        "readFailure": null,
        "bounds": {"min": 0, "max": 6},
        "settings": example_settings(),
        "cooldownRemainingSeconds": 238.1,
        "activeJob": "0198c3f2-7a00-7000-8000-000000000001", "queue": [], "listed": true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::audit::AuditList;
    use crate::api::keys::{CreatedKey, KeyView};
    use crate::api::timeline::Timeline;
    use crate::api::view::{JobView, Plan, Resource};

    #[test]
    fn the_examples_are_what_the_types_say() {
        fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(example: &Value) {
            let parsed: T = serde_json::from_value(example.clone()).expect("the example fits its type");
            assert_eq!(&serde_json::to_value(parsed).expect("serialisable"), example);
        }
        round_trip::<JobView>(&example_job());
        round_trip::<JobView>(&example_new_job());
        round_trip::<JobView>(&example_canceled_job());
        round_trip::<Plan>(&example_plan());
        round_trip::<Resource>(&example_resource());
        round_trip::<Timeline>(&example_timeline());
        round_trip::<KeyView>(&example_key());
        round_trip::<KeyView>(&example_revoked_key());
        round_trip::<CreatedKey>(&example_created_key());
        round_trip::<AuditList>(&example_audit());
    }
}
