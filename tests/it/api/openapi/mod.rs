//! The OpenAPI document: the code, the committed file, what is served, and what the gateway does are one and the same.

mod generators;
mod schema;

use std::collections::BTreeSet;
use std::iter::successors;
use std::time::Duration;

use crate::support::gateway::{Gateway, Raw, Response};
use crate::support::sidecar::Sidecar;
use scalegate::access::NewKey;
use scalegate::api::{Code, openapi};
use scalegate::domain::{ErrorCode, Op, Reach, Scope, StateName, StepOutcome, WaitReason};
use scalegate::sim::sidecar::Behaviour;
use schema::{following, misfits};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json");

pub fn document() -> Value {
    serde_json::from_str(&openapi::text()).expect("JSON")
}

/// Every operation: method, path, description.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &'_ Value)| -> Vec<(String, String)> {
        item.as_object().expect("an item").keys().map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    let all = paths.iter().flat_map(of_path);
    all.map(|(method, path)| {
        let operation = &document["paths"][&path][method.to_lowercase()];
        (method, path, operation)
    })
    .collect()
}

fn named<'a>(document: &'a Value, name: &str) -> &'a Value {
    let schema = &document["components"]["schemas"][name];
    assert!(schema.is_object(), "there is no schema {name}");
    schema
}

/// The committed file is what the code says.
#[test]
fn the_file_is_up_to_date() {
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        committed == openapi::text(),
        "openapi/openapi.json is not what the code says any more; mend it with\n\n    \
         cargo run -- openapi > openapi/openapi.json\n"
    );
}

#[test]
fn the_command_prints_it() {
    let output = crate::support::gateway::scalegate().arg("openapi").output().expect("the binary runs");
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).expect("text"), openapi::text());
}

#[test]
fn every_operation_is_described() {
    let document = document();
    let operations = operations(&document);
    let ids: BTreeSet<&str> =
        operations.iter().filter_map(|(.., operation)| operation["operationId"].as_str()).collect();
    assert_eq!(ids.len(), operations.len(), "ids are there, and each is used once");
    let tags: BTreeSet<&str> =
        document["tags"].as_array().expect("tags").iter().filter_map(|tag| tag["name"].as_str()).collect();
    for (method, path, operation) in &operations {
        let name = format!("{method} {path}");
        for field in ["summary", "description", "operationId"] {
            assert!(operation[field].as_str().is_some_and(|text| text.len() > 5), "{name} has no {field}");
        }
        let tag = operation["tags"][0].as_str().unwrap_or_else(|| panic!("{name} has no tag"));
        assert!(tags.contains(tag), "{name}: the tag {tag} is not described");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string() && parameter["schema"].is_object(), "{name}: {parameter}");
            assert!(parameter.get("example").is_some(), "{name}: {parameter} has no example");
        }
        if let Some(body) = operation.get("requestBody") {
            assert_eq!(body["required"], !path.ends_with("/evaluate"), "{name}");
            assert!(has_example(&body["content"]["application/json"]), "{name} has no example of its request");
        }
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let response = following(&document, response);
            let name = format!("{name} {status}");
            assert!(response["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                let is_error = status.starts_with(['4', '5']);
                let expected = match (is_error, tag) {
                    (true, _) => "application/problem+json",
                    (false, "events") => "text/event-stream",
                    (false, "operations") => "text/plain",
                    (false, _) => "application/json",
                };
                assert_eq!(kind, expected, "{name}");
                assert!(has_example(content), "{name} has no example");
                assert!(content["schema"].is_object(), "{name} has no schema");
            }
            let headers = response["headers"].as_object().unwrap_or_else(|| panic!("{name} has no headers"));
            assert!(headers.contains_key("X-Request-Id"), "{name}");
            for (header, described) in headers {
                let described = following(&document, described);
                assert!(described["schema"]["type"].is_string(), "{name}: {header} has no schema");
                assert!(described["description"].is_string(), "{name}: {header} has no description");
            }
            // Values of metrics that were taken in are not asked for again.
            if matches!(status.as_str(), "429" | "503") || (status == "202" && !path.contains("/metrics")) {
                assert!(headers.contains_key("Retry-After"), "{name}");
            }
        }
    }
}

fn has_example(content: &Value) -> bool {
    content.get("example").is_some() || content["examples"].as_object().is_some_and(|examples| !examples.is_empty())
}

/// The codes of the errors an operation documents, each under its status and in an example.
fn documented_codes(document: &Value, operation: &Value) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for (status, response) in operation["responses"].as_object().expect("responses") {
        let response = following(document, response);
        for (code, example) in
            response["content"]["application/problem+json"]["examples"].as_object().into_iter().flatten()
        {
            assert_eq!(
                (&example["value"]["code"], example["value"]["status"].to_string()),
                (&json!(code), status.clone())
            );
            codes.insert(code.clone());
        }
    }
    codes
}

/// Every operation documents the errors that its inputs make possible, every code is documented somewhere, and none
/// where it cannot happen. That no answer has an undocumented code is asserted wherever the other tests provoke one.
#[test]
fn every_error_is_documented_where_it_can_happen() {
    let document = document();
    let mut seen = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let codes = documented_codes(&document, operation);
        let name = format!("{method} {path}: {codes:?}");
        let all = |wanted: &[&str], is_expected: bool| {
            for code in wanted {
                assert_eq!(codes.contains(*code), is_expected, "{name}: {code}");
            }
        };
        all(&["internal_error", "malformed_request", "origin_refused", "wrong_host"], true);
        let is_open = operation["security"].as_array().is_some_and(|any| any.contains(&json!({})));
        assert_eq!(is_open, ["/livez", "/readyz"].contains(&path.as_str()), "{name}");
        let access = ["authentication_required", "invalid_key", "key_expired", "key_revoked", "insufficient_scope"];
        all(&access, !is_open);
        all(&["rate_limited", "storage_unavailable"], !is_open);
        let body = ["unsupported_media_type", "body_too_large", "body_timeout"];
        all(&body, operation.get("requestBody").is_some());
        let admission = [
            "resource_busy",
            "out_of_bounds",
            "queue_full",
            "too_many_jobs",
            "too_many_jobs_of_key",
            "too_much_text",
            "resource_held",
        ];
        let admits = ["/v1/jobs", "/v1/plans", "/v1/groups", "/v1/groups/plan"];
        all(&admission, admits.contains(&path.as_str()) && method == "POST");
        let may_begin = path.ends_with("/hold") || path.ends_with("/policy");
        let takes_a_place = admits.contains(&path.as_str()) && method == "POST";
        all(&["too_many_resources"], takes_a_place || (may_begin && method == "PUT"));
        all(&["policy_in_file", "precondition_failed"], path.ends_with("/policy") && method != "GET");
        all(&["hold_not_found"], path.ends_with("/hold") && method != "PUT");
        all(&["claim_not_found"], path.contains("/claims/{id}") || (path.ends_with("/claims") && method == "POST"));
        all(&["claim_forbidden"], path.contains("/claims/{id}") && method != "GET");
        all(&["too_many_claims"], path.ends_with("/claims") && method == "POST");
        all(&["key_configured", "revocation_not_written"], path.ends_with("/revoke"));
        all(&["too_many_keys"], path == "/v1/keys" && method == "POST");
        all(&["too_many_streams_of_caller", "too_many_streams"], path.ends_with("/events"));
        let parameters: Vec<&str> =
            operation["parameters"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
        all(&["idempotency_key_reused", "too_many_idempotency_keys"], parameters.contains(&"Idempotency-Key"));
        let names_a_job = path.starts_with("/v1/jobs/{id}") || (path == "/v1/jobs" && method == "POST");
        all(&["job_not_found"], names_a_job);
        let names_a_group = path.starts_with("/v1/groups/{id}") || (path == "/v1/groups" && method == "POST");
        all(&["group_not_found"], names_a_group);
        all(&["key_not_found"], path.starts_with("/v1/keys/{id}"));
        all(&["backtest_running"], path == "/v1/backtests");
        let is_about_a_resource =
            ["/v1/jobs", "/v1/groups", "/v1/plans", "/v1/backtests", "/v1/resources/", "/v1/events", "/metrics"];
        // To a key that is not for its resource, a job does not exist.
        let names_a_resource = !path.starts_with("/v1/jobs/{id}") && !path.starts_with("/v1/groups/{id}");
        let is_forbidden = names_a_resource && is_about_a_resource.iter().any(|start| path.starts_with(start));
        all(&["resource_forbidden"], is_forbidden);
        let is_checked = |name: &&str| ["resource", "alias", "Idempotency-Key", "pageSize"].contains(name);
        all(&["validation_failed"], parameters.iter().any(is_checked) || operation.get("requestBody").is_some());
        all(&["job_finished"], path == "/v1/jobs/{id}/cancel");
        all(&["group_finished"], path == "/v1/groups/{id}/cancel");
        all(
            &["sidecar_unreachable"],
            ["/v1/plans", "/v1/groups/plan", "/v1/resources/{alias}"].contains(&path.as_str()),
        );
        all(&["not_ready"], path == "/readyz");
        let is_about_keys = path.starts_with("/v1/keys") || path == "/v1/whoami";
        let needs_store_or_engine = path != "/v1/jobs/{id}" && path.starts_with("/v1/") && !is_about_keys;
        all(&["overloaded"], needs_store_or_engine);
        let is_trial =
            ["/v1/plans", "/v1/groups/plan", "/v1/backtests"].contains(&path.as_str()) || path.ends_with("/evaluate");
        let changes_nothing = is_trial || path.contains("/metrics");
        all(&["outcome_unknown"], method != "GET" && !changes_nothing);
        seen.extend(codes);
    }
    // These two belong to no operation: there is none at such a path, or with such a method.
    seen.extend(["not_found", "method_not_allowed"].map(str::to_owned));
    let all: BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(seen, all);
}

/// A name of a key is refused for the characters that the document excludes, and for no others of those that its
/// patterns can name.
#[test]
fn names_of_keys_are_as_documented() {
    let document = document();
    let pattern = &document["components"]["schemas"]["NewKey"]["properties"]["name"]["pattern"];
    let excluded = schema::excluded(pattern.as_str().expect("a pattern"));
    for c in '\0'..='\u{ffff}' {
        let name = c.to_string();
        let wanted = NewKey { name, scope: Scope::Read, reach: Reach::EVERYTHING, lifetime: None };
        let is_excluded = excluded.iter().any(|range| range.contains(&c));
        assert_eq!(wanted.problems().is_empty(), !is_excluded, "{c:?}");
    }
}

/// The enumerations that exist for the document alone list what there is. A value added to the domain does not compile
/// here until it has its place in the row.
#[test]
fn enumerations_list_exactly_what_there_is() {
    fn values<T: Copy>(
        next: impl Fn(Option<T>) -> Option<T>,
        name: impl Fn(T) -> &'static str,
    ) -> BTreeSet<&'static str> {
        successors(next(None), |value| next(Some(*value))).map(name).collect()
    }
    let wait_reasons = values(
        |reason| match reason {
            None => Some(WaitReason::Turn),
            Some(WaitReason::Turn) => Some(WaitReason::Stage),
            Some(WaitReason::Stage) => Some(WaitReason::Sidecar),
            Some(WaitReason::Sidecar) => Some(WaitReason::Active),
            Some(WaitReason::Active) => Some(WaitReason::Cooldown),
            Some(WaitReason::Cooldown) => Some(WaitReason::Change),
            Some(WaitReason::Change) => Some(WaitReason::Settle),
            Some(WaitReason::Settle) => None,
        },
        WaitReason::as_str,
    );
    let ops = values(
        |op| match op {
            None => Some(Op::Add),
            Some(Op::Add) => Some(Op::Remove),
            Some(Op::Remove) => None,
        },
        Op::as_str,
    );
    let outcomes = values(
        |outcome| match outcome {
            None => Some(StepOutcome::Pending),
            Some(StepOutcome::Pending) => Some(StepOutcome::Confirmed),
            Some(StepOutcome::Confirmed) => Some(StepOutcome::Unknown),
            Some(StepOutcome::Unknown) => Some(StepOutcome::NotApplied),
            Some(StepOutcome::NotApplied) => Some(StepOutcome::Rejected),
            Some(StepOutcome::Rejected) => None,
        },
        StepOutcome::as_str,
    );
    let error_codes = values(
        |code| match code {
            None => Some(ErrorCode::ResourceNotFound),
            Some(ErrorCode::ResourceNotFound) => Some(ErrorCode::ResourceFailed),
            Some(ErrorCode::ResourceFailed) => Some(ErrorCode::ActiveTimeout),
            Some(ErrorCode::ActiveTimeout) => Some(ErrorCode::NoProgress),
            Some(ErrorCode::NoProgress) => Some(ErrorCode::OutcomeUnknown),
            Some(ErrorCode::OutcomeUnknown) => Some(ErrorCode::SidecarRejected),
            Some(ErrorCode::SidecarRejected) => Some(ErrorCode::SidecarUnreachable),
            Some(ErrorCode::SidecarUnreachable) => Some(ErrorCode::OutOfBounds),
            Some(ErrorCode::OutOfBounds) => Some(ErrorCode::DeadlineExceeded),
            Some(ErrorCode::DeadlineExceeded) => None,
        },
        ErrorCode::as_str,
    );
    let document = document();
    for (name, expected) in [
        ("WaitReason", wait_reasons),
        ("StepOp", ops),
        ("StepOutcome", outcomes),
        ("JobErrorCode", error_codes),
        ("JobState", StateName::ALL.iter().map(|state| state.as_str()).collect()),
        ("ProblemCode", Code::ALL.iter().map(|code| code.as_str()).collect()),
        ("OnConflict", ["reject", "queue", "supersede"].into()),
        ("Scope", Scope::ALL.iter().map(|scope| scope.as_str()).collect()),
    ] {
        let listed = named(&document, name)["enum"].as_array().unwrap_or_else(|| panic!("{name} is no enumeration"));
        let listed: Vec<&str> = listed.iter().filter_map(Value::as_str).collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), expected, "{name}");
        assert_eq!(listed.len(), expected.len(), "{name} lists something twice");
    }
}

#[test]
fn examples_fit_their_schemas() {
    let document = document();
    let mut checked = 0;
    let mut check = |name: &str, schema: &Value, content: &Value| {
        let examples = content["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
        for example in content.get("example").into_iter().chain(examples) {
            let found = misfits(&document, schema, example, name);
            assert!(found.is_empty(), "{found:#?}");
            checked += 1;
        }
    };
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            check(&name, &parameter["schema"], parameter);
        }
        let request = &operation["requestBody"]["content"]["application/json"];
        check(&name, &request["schema"], request);
        for response in operation["responses"].as_object().expect("responses").values() {
            let response = following(&document, response);
            for content in response["content"].as_object().into_iter().flatten().map(|(_, content)| content) {
                check(&name, &content["schema"], content);
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        check(name, schema, schema);
    }
    assert!(checked > 70, "only {checked} examples were found");
}

/// New jobs that the document forbids are refused and those that it allows are not, where fields depend on each other
/// or hold text.
#[actix_web::test]
async fn new_jobs_are_as_documented() {
    let document = document();
    let scene = Scene::start();
    let labels = |count: usize| (0..count).map(|n| (n.to_string(), json!(""))).collect::<Map<_, _>>();
    for (fields, is_fine) in [
        (json!({"targetCapacity": 2}), true),
        (json!({"targetCapacity": 0, "delta": null}), true),
        (json!({"targetCapacity": null, "delta": 1}), true),
        (json!({"delta": -1}), true),
        (json!({}), false),
        (json!({"targetCapacity": null}), false),
        (json!({"targetCapacity": null, "delta": null}), false),
        (json!({"targetCapacity": 2, "delta": 1}), false),
        (json!({"delta": 0}), false),
        (json!({"delta": 1_000_001}), false),
        (json!({"targetCapacity": 2, "reason": null, "labels": null, "onConflict": null}), true),
        (json!({"targetCapacity": 2, "reason": "\u{a0}\u{2028}"}), true),
        (json!({"targetCapacity": 2, "reason": "\u{9f}"}), false),
        (json!({"targetCapacity": 2, "labels": {"a\u{a0}": ""}}), true),
        (json!({"targetCapacity": 2, "labels": {"": "x"}}), false),
        (json!({"targetCapacity": 2, "labels": {"a\n": "x"}}), false),
        (json!({"targetCapacity": 2, "labels": {"a": "\r"}}), false),
        (json!({"targetCapacity": 2, "labels": {"ä".repeat(31): "ä".repeat(127)}}), true),
        (json!({"targetCapacity": 2, "labels": {"ä".repeat(64): ""}}), false),
        (json!({"targetCapacity": 2, "labels": {"a": "ä".repeat(256)}}), false),
        (json!({"targetCapacity": 2, "labels": labels(16)}), true),
        (json!({"targetCapacity": 2, "labels": labels(17)}), false),
    ] {
        let mut body = fields.clone();
        body["resource"] = json!("worker");
        let found = misfits(&document, named(&document, "NewJob"), &body, "NewJob");
        assert_eq!(found.is_empty(), is_fine, "{fields}: {found:?}");
        let status = scene.gateway.post("/v1/plans", &body).await.status;
        assert!(if is_fine { status == 200 } else { status == 422 }, "{fields} is answered with {status}");
    }
}

/// The gateway takes exactly the keys that the document's pattern describes.
#[actix_web::test]
async fn idempotency_keys_are_as_documented() {
    let document = document();
    let pattern = &document["paths"]["/v1/jobs"]["post"]["parameters"][0]["schema"]["pattern"];
    // One character; more, of which not both the first and the last are quotes; or more within quotes.
    assert_eq!(pattern, r#"^([!-~]|[!#-~][ -~]{0,253}[!-~]|"[ -~]{0,253}[!#-~]|"[ -~]{1,255}")$"#);
    let scene = Scene::start();
    let of_length = |length: usize| "k".repeat(length);
    for (key, is_fine) in [
        ("\"".to_owned(), true),
        ("a\"b c".to_owned(), true),
        ("\"a".to_owned(), true),
        ("\"\"".to_owned(), false),
        ("\" \"".to_owned(), true),
        ("a\tb".to_owned(), false),
        (of_length(255), true),
        (of_length(256), false),
        (format!("\"{}\"", of_length(255)), true),
        (format!("\"{}\"", of_length(256)), false),
        (format!("\"{}", of_length(254)), true),
        (format!("\"{}", of_length(255)), false),
    ] {
        let body = json!({"resource": "worker", "targetCapacity": 1}).to_string();
        let answer = scene.gateway.raw(&Raw::post("/v1/jobs", body).header("Idempotency-Key", &key)).await;
        assert_eq!(answer.status < 300, is_fine, "{key}: {answer:?}");
    }
}

/// Each link leads to an operation, and what it takes from the answer is there and fits.
#[test]
fn links_lead_somewhere() {
    let document = document();
    let operations = operations(&document);
    let mut checked = 0;
    for (method, path, operation) in &operations {
        for response in operation["responses"].as_object().expect("responses").values() {
            for (name, link) in response["links"].as_object().into_iter().flatten() {
                let name = format!("{method} {path}: {name}");
                let leads_to =
                    |(_, _, operation): &&(String, String, &Value)| operation["operationId"] == link["operationId"];
                let (.., target) = operations.iter().find(leads_to).unwrap_or_else(|| panic!("{name} leads nowhere"));
                for (parameter, source) in link["parameters"].as_object().expect("parameters") {
                    let known = target["parameters"].as_array().expect("parameters");
                    let known = known.iter().find(|known| known["name"] == *parameter);
                    let pointer = source.as_str().and_then(|source| source.strip_prefix("$response.body#"));
                    let value = response["content"]["application/json"]["example"].pointer(pointer.expect("a pointer"));
                    let value = value.unwrap_or_else(|| panic!("{name}: there is no {source}"));
                    let found = misfits(&document, &known.expect("its parameter")["schema"], value, &name);
                    assert!(found.is_empty(), "{found:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked >= 18, "only {checked} links were found");
}

/// The gateway's own answers fit the schemas they are documented with.
#[actix_web::test]
async fn answers_fit_their_schemas() {
    let document = document();
    let scene = Scene::start();
    let gateway = &scene.gateway;
    let fits = |method: &str, path: &str, response: &Response| {
        let operation = &document["paths"][path][method.to_lowercase()];
        let documented = following(&document, &operation["responses"][response.status.to_string()]);
        assert!(documented.is_object(), "{method} {path}: {} is not documented: {response:?}", response.status);
        let kind = response.header("content-type").expect("a content type");
        let found = misfits(&document, &documented["content"][kind]["schema"], &response.json(), path);
        assert!(found.is_empty(), "{method} {path}: {found:#?}\n{:#}", response.json());
        for name in response.headers.keys().map(|name| name.as_str().to_lowercase()) {
            let is_documented =
                documented["headers"].as_object().expect("headers").keys().any(|known| known.to_lowercase() == name);
            let is_common = ["content-type", "content-length", "date", "connection"].contains(&name.as_str());
            // They are for browsers, which know what they mean.
            let is_protection = [
                "cache-control",
                "content-security-policy",
                "cross-origin-resource-policy",
                "referrer-policy",
                "x-content-type-options",
                "x-frame-options",
            ];
            let is_common = is_common || is_protection.contains(&name.as_str());
            assert!(
                is_documented || is_common,
                "{method} {path} {}: the header {name} is not documented",
                response.status
            );
        }
    };
    let body = json!({"resource": "worker", "targetCapacity": 3, "cooldownSeconds": 0.3, "reason": "why", "labels": {"a": "b"}});
    let submitted = gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", "k")]).await;
    fits("POST", "/v1/jobs", &submitted);
    fits("POST", "/v1/jobs", &gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", "k")]).await);
    fits("POST", "/v1/jobs", &gateway.post("/v1/jobs", &body).await);
    fits("POST", "/v1/jobs", &gateway.post("/v1/jobs", &json!({"resource": "worker", "targetCapacity": 4})).await);
    fits("POST", "/v1/jobs", &gateway.post("/v1/jobs", &json!({"resource": "..", "targetCapacity": -1})).await);
    let path = format!("/v1/jobs/{}", submitted.job().id);
    for _ in 0..30 {
        fits("GET", "/v1/jobs/{id}", &gateway.get_with(&path, ("Prefer", "wait=0")).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.finish(submitted.job().id).await;
    fits("GET", "/v1/jobs/{id}", &gateway.get(&path).await);
    fits("GET", "/v1/jobs/{id}", &gateway.get("/v1/jobs/x").await);
    fits("POST", "/v1/jobs/{id}/cancel", &gateway.post(&format!("{path}/cancel"), &Value::Null).await);
    // A job that fails, with what the sidecar said; one that waits; one that is canceled.
    scene.sidecar.with(|model, _| model.behaviour_mut().bounds.max = crate::support::sidecar::units(3));
    let failed = gateway.submit(&json!({"resource": "worker", "targetCapacity": 9, "cooldownSeconds": 0})).await.id;
    let failed = gateway.finish(failed).await;
    assert!(failed.error.as_ref().is_some_and(|error| error.sidecar.is_some()), "{failed:?}");
    let last = gateway.submit(&json!({"resource": "other", "delta": 2, "cooldownSeconds": 600})).await;
    fits("GET", "/v1/jobs", &gateway.get("/v1/jobs?pageSize=2").await);
    fits("GET", "/v1/jobs", &gateway.get("/v1/jobs?pageSize=x").await);
    fits("POST", "/v1/jobs/{id}/cancel", &gateway.post(&format!("/v1/jobs/{}/cancel", last.id), &Value::Null).await);
    fits("GET", "/v1/jobs", &gateway.get("/v1/jobs").await);
    fits("POST", "/v1/plans", &gateway.post("/v1/plans", &json!({"resource": "worker", "delta": -2})).await);
    fits("GET", "/v1/resources", &gateway.get("/v1/resources").await);
    fits("GET", "/v1/resources/{alias}", &gateway.get("/v1/resources/worker").await);
    fits("GET", "/v1/resources/{alias}", &gateway.get("/v1/resources/new").await);
    fits("GET", "/livez", &gateway.get("/livez").await);
    fits("GET", "/readyz", &gateway.get("/readyz").await);
}

/// What is documented is there, what is there is documented, and what is served is the file.
#[actix_web::test]
async fn routes_and_document_agree() {
    let scene = Scene::start();
    let served = scene.gateway.get("/openapi.json").await;
    assert_eq!(served.status, 200);
    assert_eq!(String::from_utf8(served.body).expect("text"), std::fs::read_to_string(FILE).expect("the file"));

    let document = document();
    let job = scene.gateway.submit(&json!({"resource": "worker", "targetCapacity": 1})).await.id.to_string();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let concrete = path.replace("{id}", &job).replace("{alias}", "worker");
        for method in ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"] {
            let is_documented =
                item.get(method.to_lowercase()).is_some() || (method == "HEAD" && item.get("get").is_some());
            let answer = scene.gateway.raw(&Raw::new(method, &concrete)).await;
            let status = answer.status;
            assert!(
                status != 404 || method == "HEAD" || answer.problem().code != Code::NotFound,
                "{method} {concrete}"
            );
            assert_eq!(status != 405, is_documented, "{method} {concrete}");
        }
    }
    // Routes are registered in these two files, each either documented or a page.
    let registered: BTreeSet<&str> =
        [include_str!("../../../../src/api/mod.rs"), include_str!("../../../../src/api/server.rs")]
            .iter()
            .flat_map(|source| source.lines())
            .map(str::trim)
            .filter(|line| line.starts_with(".service(") || line.starts_with(".route("))
            .collect();
    let pages = [
        r#".route(docs::DOCUMENT, web::get().to(docs::document))"#,
        r#".route("/", web::get().to(panel::page))"#,
        r#".route("/panel/{file:.*}", web::get().to(panel::file))"#,
        r#".route("/docs", web::get().to(docs::to_page))"#,
        r#".route("/docs/{page:.*}", web::get().to(docs::file));"#,
    ];
    for page in pages {
        assert!(registered.contains(page), "{page} is gone: {registered:#?}");
    }
    assert_eq!(registered.len() - pages.len(), operations(&document).len(), "{registered:#?}");
}

struct Scene {
    gateway: Gateway,
    sidecar: Sidecar,
    _dir: TempDir,
}

impl Scene {
    fn start() -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(200), ..Behaviour::default() };
        let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let settings = ["--settle", "300ms", "--poll-interval", "50ms"];
        Self { gateway: Gateway::start(dir.path(), sidecar.address(), &settings), sidecar, _dir: dir }
    }
}
