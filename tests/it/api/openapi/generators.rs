//! What generators of clients need of the document, beyond its being true. `.ci/clients` runs two of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::schema::{following, misfits};
use super::{document, named, operations};
use crate::support::gateway::{Gateway, Raw};
use crate::support::sidecar::Sidecar;

/// The gateway takes exactly the new jobs and keys that the document admits, where fields depend on each other.
#[actix_web::test]
async fn conditions_between_fields_are_those_of_the_gateway() {
    let document = document();
    let dir = TempDir::new().expect("a directory");
    let sidecar = Sidecar::start(scalegate::sim::sidecar::Behaviour::default());
    // The requests come without a key, also after there are some, and faster than any client should send them.
    let gateway = Gateway::start(dir.path(), sidecar.address(), &["--insecure-no-auth", "--max-request-rate", "0"]);
    let first = gateway.post("/v1/keys", &json!({"name": "first", "scope": "admin"})).await;
    assert_eq!(first.status, 201, "the first key: {first:?}");

    let numbers = [
        json!(null),
        json!(-1_000_001),
        json!(-1),
        json!(0),
        json!(1),
        json!(1_000_001),
        json!(3_000_000_000_u32),
        json!(1.5),
        json!("1"),
    ];
    let job = json!({"resource": "worker"});
    let mut admitted = check(
        &document,
        &gateway,
        "NewJob",
        "/v1/plans",
        combined(&job, "targetCapacity", &numbers, "delta", &numbers),
    )
    .await;
    let scopes = [json!(null), json!("read"), json!("scale"), json!("admin"), json!("all")];
    let resources = [json!(null), json!([]), json!(["worker"]), json!(["."]), json!("worker")];
    let key = json!({"name": "ci"});
    admitted +=
        check(&document, &gateway, "NewKey", "/v1/keys", combined(&key, "scope", &scopes, "resources", &resources))
            .await;
    assert!(admitted > 10, "only {admitted} were admitted");
}

/// `base` with each of the values or nothing in one field, and each of the others or nothing in the other.
fn combined(base: &Value, one: &str, values: &[Value], other: &str, others: &[Value]) -> Vec<Value> {
    let with = |body: &Value, name: &str, values: &[Value]| -> Vec<Value> {
        let changed = values.iter().map(|value| {
            let mut body = body.clone();
            body[name] = value.clone();
            body
        });
        changed.chain([body.clone()]).collect()
    };
    with(base, one, values).iter().flat_map(|body| with(body, other, others)).collect()
}

/// Sends each body where it belongs; how many were admitted.
async fn check(document: &Value, gateway: &Gateway, schema: &str, path: &str, bodies: Vec<Value>) -> usize {
    let mut admitted = 0;
    for body in bodies {
        let found = misfits(document, named(document, schema), &body, schema);
        let answer = gateway.post(path, &body).await;
        let is_admitted = answer.status < 300;
        assert!(is_admitted || answer.status == 422, "{body} is answered with {answer:?}");
        assert_eq!(found.is_empty(), is_admitted, "{body}: {found:?}, but {answer:?}");
        admitted += usize::from(is_admitted);
    }
    admitted
}

/// A policy with every source and every type of rule fits the document, as it is put and in each answer.
#[actix_web::test]
async fn policies_are_as_documented() {
    let document = document();
    let dir = TempDir::new().expect("a directory");
    let sidecar = Sidecar::start(scalegate::sim::sidecar::Behaviour::default());
    let gateway = Gateway::start(dir.path(), sidecar.address(), &["--metric-hosts", "a:1"]);
    let window = |name: &str, fields: Value| {
        let mut window = json!({"name": name, "type": "schedule", "min": 2});
        window.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
        window
    };
    let rules = json!([
        {"name": "a", "type": "target", "metric": "q", "perUnit": 100, "onMissing": "ignore"},
        {"name": "b", "type": "band", "metric": "q", "high": 9, "low": 1, "onMissing": {"capacity": 2, "afterSeconds": 60}},
        {"name": "c", "type": "utilization", "metric": "h", "target": 60},
        {"name": "d", "type": "step", "metric": "s", "forSeconds": 1, "steps": [{"above": 5, "change": 1}, {"below": 1, "change": -1}]},
        {"name": "e", "type": "follow", "resource": "api", "ratio": 0.5, "offset": -1},
        {"name": "f", "type": "expression", "expression": "metrics.p / 10.0"},
        window("g", json!({"timeZone": "UTC", "days": ["MON", "SUN"], "from": "09:00", "to": "17:00", "except": ["2026-12-25"]})),
        window("h", json!({"timeZone": "Asia/Tokyo", "cron": "0 0 * * *", "forSeconds": 60, "max": 4, "ready": "after"})),
        window("i", json!({"at": "2099-12-01T08:00:00Z", "until": "2099-12-02T08:00:00Z"})),
    ]);
    let policy = json!({"min": 1, "max": 9, "rules": rules, "metrics": {
        "q": {"source": {"type": "push"}},
        "h": {"source": {"type": "http", "url": "http://a:1/x", "pointer": "/x"}},
        "s": {"source": {"type": "scrape", "url": "http://a:1/x", "metric": "x", "labels": {"a": "b"}, "aggregate": "sum", "rate": true}},
        "p": {"source": {"type": "prometheus", "url": "http://a:1", "query": "up", "aggregate": "max"}},
    }});
    let schema = named(&document, "Policy");
    let fits = |at: &str, value: &Value| assert_eq!(misfits(&document, schema, value, at), Vec::<String>::new());
    fits("request", &policy);
    let put = gateway.raw(&Raw::put("/v1/resources/worker/policy", policy.to_string())).await;
    assert_eq!(put.status, 201, "{}", put.text());
    fits("answer", &put.json());
    let revisions = gateway.get("/v1/resources/worker/policy/revisions").await.json();
    let kept = &revisions["revisions"][0]["policy"];
    fits("revision", kept);
    assert_eq!(kept["rules"].as_array().map(Vec::len), Some(9), "{revisions}");
    let again = gateway.raw(&Raw::put("/v1/resources/worker/policy", kept.to_string())).await;
    assert_eq!((again.status, again.header("etag")), (200, Some("\"1\"")), "a revision is the same policy");
    for (pointer, wrong) in [
        ("/rules/0/type", json!("traget")),
        ("/rules/0/perUnit", json!("100")),
        ("/rules/1/metric", json!(null)),
        ("/rules/6/days", json!(["Monday"])),
        ("/metrics/q/source/type", json!("pull")),
    ] {
        let mut policy = policy.clone();
        *policy.pointer_mut(pointer).expect("a field") = wrong;
        assert!(!misfits(&document, schema, &policy, "Policy").is_empty(), "{pointer}");
    }
}

/// Each schema is one that a type can be made of: an object with fields, text, or a choice of types with names.
#[test]
fn every_schema_becomes_one_type() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        for keyword in ["anyOf", "allOf"] {
            assert!(schema.get(keyword).is_none(), "{name} has {keyword}");
        }
        if let Some(options) = schema["oneOf"].as_array() {
            assert!(schema.get("properties").is_none(), "{name} has fields beside variants");
            let tag =
                schema["discriminator"]["propertyName"].as_str().unwrap_or_else(|| panic!("{name}: which variant?"));
            let mapping = schema["discriminator"]["mapping"].as_object().expect("a mapping");
            for option in options {
                let variant = following(&document, option);
                let value = variant["properties"][tag]["enum"][0].as_str().expect("its kind");
                assert_eq!(mapping[value], option["$ref"], "{name}: {value}");
            }
            assert_eq!(mapping.len(), options.len(), "{name}");
        }
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            for option in schema["oneOf"].as_array().into_iter().flatten() {
                let is_plain =
                    *option == json!({"type": "null"}) || option.as_object().is_some_and(|it| it.keys().eq(["$ref"]));
                assert!(is_plain, "{name}.{field}: {option} is neither a name nor null");
            }
        }
    }
}

/// A description is a sentence that says more than the name, and stands where generators look for it.
#[test]
fn everything_is_described_in_words() {
    let document = document();
    let check = |at: &str, described: &Value| {
        let description = described["description"].as_str().unwrap_or_else(|| panic!("{at} is not described"));
        assert!(description.split_whitespace().count() > 2, "{at} is described as {description:?}");
    };
    let components = &document["components"];
    for kind in ["schemas", "responses", "headers", "securitySchemes"] {
        for (name, described) in components[kind].as_object().expect("components") {
            check(name, described);
            for (field, described) in described["properties"].as_object().into_iter().flatten() {
                check(&format!("{name}.{field}"), described);
            }
        }
    }
    for (method, path, operation) in operations(&document) {
        let at = |name: &str| format!("{method} {path}: {name}");
        check(&at("itself"), operation);
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            check(&at(&parameter["name"].to_string()), parameter);
        }
        if let Some(body) = operation.get("requestBody") {
            check(&at("the body"), body);
        }
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let response = following(&document, response);
            check(&at(status), response);
            for (header, described) in response["headers"].as_object().into_iter().flatten() {
                check(&at(header), following(&document, described));
            }
        }
    }
}

#[test]
fn every_value_of_an_enumeration_is_explained() {
    let document = document();
    let mut checked = 0;
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        let description = schema["description"].as_str().unwrap_or_default();
        let values: Vec<&str> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for value in &values {
            let meaning = description.lines().find_map(|line| line.strip_prefix(&format!("- `{value}`: ")));
            let meaning = meaning.unwrap_or_else(|| panic!("{name}: {value} is not explained"));
            assert!(
                meaning.split_whitespace().count() > 2 && meaning.ends_with('.'),
                "{name}: {value} means {meaning:?}"
            );
            checked += 1;
        }
        let is_read = !values.is_empty() && !["OnConflict", "DayOfWeek"].contains(&name.as_str());
        assert_eq!(description.contains("Later releases may add values."), is_read, "{name}");
    }
    assert!(checked > 60, "only {checked} values were found");
}

/// Parameters are never `null`, and all numbers of requests fit in 32 bits, within limits.
#[test]
fn requests_are_made_of_plain_types() {
    let document = document();
    let mut schemas: Vec<(String, &Value)> = Vec::new();
    for (method, path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let schema = following(&document, &parameter["schema"]);
            assert!(schema["type"].is_string(), "{method} {path}: {parameter}");
            schemas.push((format!("{method} {path}: {}", parameter["name"]), schema));
        }
    }
    for name in ["NewJob", "NewKey"] {
        let fields = named(&document, name)["properties"].as_object().expect("fields");
        schemas.extend(fields.iter().map(|(field, schema)| (format!("{name}.{field}"), schema)));
    }
    let is_integer = |schema: &Value| schema["type"] == "integer" || schema["type"][0] == "integer";
    let integers: Vec<_> = schemas.into_iter().filter(|(_, schema)| is_integer(schema)).collect();
    assert!(integers.len() >= 6, "{integers:?}");
    for (name, schema) in integers {
        assert_eq!(schema["format"], "int32", "{name}");
        assert!(schema["minimum"].is_number() && schema["maximum"].is_number(), "{name} has no limits");
    }
}

/// What is left out is what the document says it is.
#[test]
fn defaults_are_stated() {
    let document = document();
    assert_eq!(named(&document, "OnConflict")["default"], "reject");
    // Beside a field, a generator would make a field of it that has to be given.
    let fields = named(&document, "NewJob")["properties"].as_object().expect("fields");
    assert!(fields.values().all(|field| field.get("default").is_none()), "{fields:#?}");
    let mut page_sizes = 0;
    for (_, path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["name"] == "pageSize" {
                // Clients that know no pages read the first page of the resources and take it for all.
                let usual = if ["/v1/resources", "/v1/policies"].contains(&path.as_str()) { 200 } else { 50 };
                assert_eq!(parameter["schema"]["default"], usual, "{path}");
                page_sizes += 1;
            }
        }
    }
    assert_eq!(page_sizes, 7);
}

/// A problem that can be the answer to several requests is written down once.
#[test]
fn problems_are_shared() {
    let document = document();
    let mut used = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            if status.starts_with(['4', '5']) {
                let name =
                    response["$ref"].as_str().unwrap_or_else(|| panic!("{method} {path} {status} is not shared"));
                used.insert(name.rsplit('/').next().expect("a name").to_owned());
            }
        }
    }
    let shared: &Map<String, Value> = document["components"]["responses"].as_object().expect("responses");
    assert_eq!(used, shared.keys().cloned().collect());
    let different: BTreeSet<String> = shared.values().map(Value::to_string).collect();
    assert_eq!(different.len(), shared.len(), "two are the same");
}

/// Names that appear in clients' code.
#[test]
fn operations_and_contact_have_names() {
    let document = document();
    let lists = |id: &&str| id.starts_with("list");
    let ids = operations(&document).into_iter().filter_map(|(.., operation)| operation["operationId"].as_str());
    let lists: BTreeSet<&str> = ids.filter(lists).collect();
    let expected = [
        "listAuditEntries",
        "listClaims",
        "listDecisions",
        "listGroups",
        "listJobs",
        "listKeys",
        "listPolicies",
        "listPolicyRevisions",
        "listResources",
        "listTimelineEntries",
    ];
    assert_eq!(lists, expected.into());
    assert!(document["info"]["contact"]["name"].is_string());
}
