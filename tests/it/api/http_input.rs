//! Bad input of every kind, sent to the real binary over sockets. Each gets its problem document, nothing that was
//! accepted is lost by it, and the gateway goes on.

use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, Raw, read_answer};
use crate::support::sidecar::Sidecar;
use scalegate::api::Problem;
use scalegate::domain::StateName;
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

/// A gateway that has a job to do while bad input comes in.
struct Scene {
    gateway: Gateway,
    sidecar: Sidecar,
    job: uuid::Uuid,
    _dir: TempDir,
}

impl Scene {
    async fn start() -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(300), ..Behaviour::default() };
        let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let settings = ["--cooldown", "1s", "--settle", "500ms", "--poll-interval", "100ms"];
        let gateway = Gateway::start(dir.path(), sidecar.address(), &settings);
        let job = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
        Self { gateway, sidecar, job, _dir: dir }
    }

    /// The job is still there and comes to its end, no other came to be, and a new one is accepted and done.
    async fn assert_unharmed(self) {
        let all = self.gateway.get("/v1/jobs").await.json();
        let ids: Vec<&str> =
            all["jobs"].as_array().expect("jobs").iter().filter_map(|job| job["id"].as_str()).collect();
        assert_eq!(ids, [self.job.to_string()]);
        assert_eq!(self.gateway.finish(self.job).await.state, StateName::Succeeded);
        assert_eq!((self.sidecar.capacity(), self.sidecar.changes().len()), (3, 2));
        let next = self.gateway.submit(&json!({"resource": "other", "targetCapacity": 2})).await;
        assert_eq!(self.gateway.finish(next.id).await.state, StateName::Succeeded);
        // What is not even HTTP is the library's to report.
        let is_ours = |line: &Value| !line["message"].as_str().is_some_and(|text| text.starts_with("stream error"));
        let broken = self.gateway.log().into_iter().filter(|line| line["level"] == "ERROR" && is_ours(line));
        assert_eq!(broken.collect::<Vec<Value>>(), [] as [Value; 0]);
    }
}

fn pointers(problem: &Problem) -> Vec<&str> {
    problem.errors.iter().map(|error| error.pointer.as_str()).collect()
}

/// What can be submitted can be planned, so whatever is wrong with one is wrong with the other.
const ROUTES: [&str; 2] = ["/v1/jobs", "/v1/plans"];

#[actix_web::test]
async fn bodies_that_are_not_json() {
    let scene = Scene::start().await;
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    let deep_in_unterminated_string = format!("\"{}", "[".repeat(60_000));
    for body in [
        &b""[..],
        b"   ",
        b"{",
        b"{\"resource\"",
        b"{\"resource\": \"worker\", \"targetCapacity\": 5",
        b"{\"resource\": \"worker\", \"targetCapacity\": 5,}",
        b"{\"resource\": \"worker\", \"targetCapacity\": 05}",
        b"{\"resource\": \"worker\", \"targetCapacity\": NaN}",
        b"{\"resource\": \"worker\", \"targetCapacity\": Infinity}",
        b"{\"resource\": \"worker\", \"targetCapacity\": 0x5}",
        b"{\"resource\": \"worker\", \"cooldownSeconds\": -Infinity}",
        b"{\"resource\": \"worker\", \"targetCapacity\": 5} {}",
        b"{\"resource\": \"worker\", \"targetCapacity\": 5}x",
        b"{'resource': 'worker', 'targetCapacity': 5}",
        b"resource=worker&targetCapacity=5",
        b"<job/>",
        b"\xef\xbb\xbf{\"resource\": \"worker\", \"targetCapacity\": 5}",
        b"{\"resource\": \"w\xff\", \"targetCapacity\": 5}",
        b"{\"resource\": \"w\x00\", \"targetCapacity\": 5}",
        b"\xff\xfe{\x00}\x00",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        deep_in_unterminated_string.as_bytes(),
    ] {
        for route in ROUTES {
            let problem = scene.gateway.refuses(&Raw::post(route, body), 400, "malformed_request").await;
            assert_eq!(pointers(&problem), [] as [&str; 0]);
        }
    }
    for route in ROUTES {
        scene.gateway.refuses(&Raw::post(route, deep.as_bytes()), 422, "validation_failed").await;
    }
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn bodies_that_make_no_sense() {
    let scene = Scene::start().await;
    let nested =
        format!(r#"{{"resource": "worker", "targetCapacity": 5, "x": {}{}}}"#, "[".repeat(200), "]".repeat(200));
    let nested_label =
        format!(r#"{{"resource": "worker", "targetCapacity": 5, "labels": {{"a": {}"#, r#"{"a":"#.repeat(10_000));
    let many_labels: Value = (0..17).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    let long = |chars| "ä".repeat(chars);
    let with = |name: &str, value: Value| json!({"resource": "worker", "targetCapacity": 5, name: value}).to_string();
    let mut bodies: Vec<(String, Vec<&str>)> = [
        // Not an object.
        ("null", vec![""]),
        ("5", vec![""]),
        ("\"worker\"", vec![""]),
        ("[]", vec![""]),
        (r#"["worker", 5]"#, vec![""]),
        (r#"[{"resource": "worker", "targetCapacity": 5}]"#, vec![""]),
        // Fields missing, unknown, or there twice.
        ("{}", vec!["/resource", "/targetCapacity"]),
        (r#"{"resource": "worker"}"#, vec!["/targetCapacity"]),
        (r#"{"resource": "worker", "targetCapacity": null}"#, vec!["/targetCapacity"]),
        (r#"{"targetCapacity": 5}"#, vec!["/resource"]),
        (r#"{"resource": "worker", "targetCapacity": 5, "delta": 1}"#, vec!["/delta"]),
        (r#"{"resource": "worker", "targetCapacity": 5, "colour": "red"}"#, vec!["/colour"]),
        (r#"{"resource": "worker", "target_capacity": 5}"#, vec!["/target_capacity"]),
        (r#"{"resource": "worker", "targetcapacity": 5}"#, vec!["/targetcapacity"]),
        (r#"{"resource": "worker", "targetCapacity": 5, "__proto__": {}}"#, vec!["/__proto__"]),
        (r#"{"resource": "worker", "resource": "worker", "targetCapacity": 5}"#, vec!["/resource"]),
        (r#"{"resource": "worker", "targetCapacity": 5, "targetCapacity": 4}"#, vec!["/targetCapacity"]),
        (r#"{"resource": "worker", "targetCapacity": 5, "labels": {"a": "1", "a": "2"}}"#, vec!["/labels/a"]),
        (&nested, vec!["/x"]),
        (&nested_label, vec!["/labels/a"]),
        // Numbers that are none, or too large for any.
        (r#"{"resource": "worker", "targetCapacity": 1e-3}"#, vec!["/targetCapacity"]),
        (r#"{"resource": "worker", "targetCapacity": 5.5}"#, vec!["/targetCapacity"]),
        (r#"{"resource": "worker", "targetCapacity": 1e999}"#, vec!["/targetCapacity"]),
        (r#"{"resource": "worker", "targetCapacity": 5, "cooldownSeconds": -1e999}"#, vec!["/cooldownSeconds"]),
        (r#"{"resource": "w\ud800", "targetCapacity": 5}"#, vec!["/resource"]),
        (r#"{"resource": "worker", "targetCapacity": 99999999999999999999999999}"#, vec!["/targetCapacity"]),
        (r#"{"resource": "worker", "targetCapacity": -9223372036854775808}"#, vec!["/targetCapacity"]),
        (r#"{"resource": "worker", "delta": 9223372036854775807}"#, vec!["/delta"]),
        (r#"{"resource": "worker", "delta": 0}"#, vec!["/delta"]),
        (r#"{"resource": "worker", "delta": -0.0}"#, vec!["/delta"]),
        (r#"{"resource": "worker", "delta": 1000001}"#, vec!["/delta"]),
        (r#"{"resource": "worker", "delta": -1000001}"#, vec!["/delta"]),
        (r#"{"resource": "worker", "targetCapacity": 1000001}"#, vec!["/targetCapacity"]),
        (r#"{"resource": "worker", "targetCapacity": -1}"#, vec!["/targetCapacity"]),
        (
            r#"{"resource": "..", "targetCapacity": -1, "stepSize": 0, "cooldownSeconds": -1, "labels": {"": "x"}}"#,
            vec!["/resource", "/targetCapacity", "/stepSize", "/cooldownSeconds", "/labels/"],
        ),
    ]
    .map(|(body, pointers)| (body.to_owned(), pointers))
    .into();
    // Values of the wrong type.
    for (name, pointer, values) in [
        ("resource", "/resource", vec![json!(5), json!(null), json!(["worker"]), json!({})]),
        ("targetCapacity", "/targetCapacity", vec![json!("5"), json!(true), json!([5]), json!({})]),
        ("stepSize", "/stepSize", vec![json!("1"), json!(1.5), json!(false)]),
        ("cooldownSeconds", "/cooldownSeconds", vec![json!("5m"), json!([]), json!(true)]),
        ("onConflict", "/onConflict", vec![json!("wait"), json!("Reject"), json!(""), json!(1)]),
        ("reason", "/reason", vec![json!(5), json!({}), json!(["a"])]),
        ("labels", "/labels", vec![json!([]), json!("team=data"), json!(5)]),
        ("labels", "/labels/a", vec![json!({"a": 5}), json!({"a": null}), json!({"a": {}})]),
        // Values out of range.
        ("reason", "/reason", vec![json!(long(501)), json!("a\u{0}b"), json!("line\nbreak"), json!("\u{85}")]),
        ("labels", "/labels", vec![many_labels, json!({long(64): "x"}), json!({"a\u{7f}": "x"})]),
        ("labels", "/labels/a", vec![json!({"a": long(256)}), json!({"a": "tab\t"})]),
        // Aliases.
        (
            "resource",
            "/resource",
            [
                "",
                ".",
                "..",
                "...",
                "-w",
                "_w",
                "w/x",
                "../w",
                "w\\x",
                "w x",
                " w",
                "w ",
                "w%2Fx",
                "%2e%2e",
                "w?x",
                "w#x",
                "w:x",
                "w\u{0}",
                "w\n",
                "wörker",
                "ｗｏｒｋｅｒ",
                "w\u{202e}",
                "工",
                &"w".repeat(129),
            ]
            .map(Value::from)
            .into(),
        ),
    ] {
        bodies.extend(values.into_iter().map(|value| (with(name, value), vec![pointer])));
    }
    for (body, expected) in bodies {
        for route in ROUTES {
            let problem = scene.gateway.refuses(&Raw::post(route, body.as_str()), 422, "validation_failed").await;
            assert_eq!(pointers(&problem), expected, "{body}: {problem:?}");
            assert!(problem.errors.iter().all(|error| !error.detail.is_empty() && error.detail.len() < 400), "{body}");
        }
    }
    scene.assert_unharmed().await;
}

/// The limits themselves are fine.
#[actix_web::test]
async fn the_largest_values_are_accepted() {
    let scene = Scene::start().await;
    let alias = format!("{}-._Z9", "w".repeat(123));
    let labels: Value =
        (0..16).map(|n| (format!("{n:_<63}"), json!("ä".repeat(127)))).collect::<serde_json::Map<_, _>>().into();
    let body = json!({
        "resource": alias, "targetCapacity": 1, "stepSize": 1_000_000, "cooldownSeconds": 86_400,
        "activeTimeoutSeconds": 86_400, "pollIntervalSeconds": 3600, "settleSeconds": 86_400,
        "deadlineSeconds": 2_592_000, "onConflict": "supersede", "reason": "ä".repeat(250), "labels": labels,
    });
    let plan = scene.gateway.raw(&Raw::post("/v1/plans", body.to_string())).await;
    assert_eq!(plan.status, 200, "{}", String::from_utf8_lossy(&plan.body));
    let least = json!({
        "resource": "w", "delta": -1, "stepSize": 1, "cooldownSeconds": 0, "activeTimeoutSeconds": 0.01,
        "pollIntervalSeconds": 0.01, "settleSeconds": 0, "deadlineSeconds": 0.01, "reason": "", "labels": {},
    });
    let padded = format!("{least}{}", " ".repeat(65_536 - least.to_string().len()));
    let plan = scene.gateway.raw(&Raw::post("/v1/plans", padded)).await;
    assert_eq!(plan.status, 200, "{}", String::from_utf8_lossy(&plan.body));
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn content_types() {
    let scene = Scene::start().await;
    let body = json!({"resource": "worker", "targetCapacity": 5}).to_string();
    for route in ROUTES {
        scene.gateway.refuses(&Raw::new("POST", route).body(body.as_str()), 415, "unsupported_media_type").await;
        scene.gateway.refuses(&Raw::new("POST", route), 415, "unsupported_media_type").await;
        for declared in [
            &b""[..],
            b"text/plain",
            b"application/x-www-form-urlencoded",
            b"multipart/form-data; boundary=x",
            b"application/jsonl",
            b"application/json-patch+json",
            b"application",
            b"json",
            b"*/*",
            b"text/plain; application/json",
            b"\xff",
        ] {
            let request = Raw::new("POST", route).header("Content-Type", declared).body(body.as_str());
            scene.gateway.refuses(&request, 415, "unsupported_media_type").await;
        }
    }
    for declared in ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x=y"]
    {
        let request = Raw::new("POST", "/v1/plans")
            .header("Content-Type", declared)
            .body(json!({"resource": "idle", "targetCapacity": 5}).to_string());
        assert_eq!(scene.gateway.raw(&request).await.status, 200, "{declared}");
    }
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn bodies_beyond_64_kib() {
    let scene = Scene::start().await;
    let json = json!({"resource": "worker", "targetCapacity": 5}).to_string();
    for size in [64 * 1024 + 1, 4 << 20] {
        let body = format!("{json}{}", " ".repeat(size - json.len()));
        for route in ROUTES {
            scene.gateway.refuses(&Raw::post(route, body.as_str()), 413, "body_too_large").await;
            for chunk in [1000, 70_000] {
                let request = Raw::new("POST", route).header("Content-Type", "application/json");
                scene.gateway.refuses(&request.chunked(body.as_bytes(), chunk), 413, "body_too_large").await;
            }
        }
    }
    // The length alone is enough.
    let announced = Raw::post("/v1/jobs", "").header("Content-Length", "99999999999");
    let mut stream = scene.gateway.connect().await;
    let head = String::from_utf8(announced.head()).expect("text").replace("Content-Length: 0\r\n", "");
    stream.write_all(head.as_bytes()).await.expect("sent");
    assert_eq!(read_answer(&mut stream, true).await.problem().code.as_str(), "body_too_large");
    // Elsewhere the gateway asked for no body, and does not wait for it.
    let request = Raw::new("POST", &format!("/v1/jobs/{}/cancel", uuid::Uuid::nil())).body(vec![b'x'; 1 << 20]);
    scene.gateway.refuses(&request, 404, "job_not_found").await;
    scene.gateway.refuses(&Raw::new("PUT", "/nowhere").body(vec![b'x'; 1 << 20]), 404, "not_found").await;
    scene.assert_unharmed().await;
}

/// Bodies that come too slowly, or stop coming: one that is silent, one of known length, one in chunks.
#[actix_web::test]
async fn trickled_bodies() {
    let scene = Scene::start().await;
    let trickle = async |headers: &str, drop_of_it: &[u8]| {
        let mut stream = scene.gateway.connect().await;
        let head =
            format!("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let begin = Instant::now();
        let (mut reading, mut writing) = (Box::pin(stream.readable()), 0);
        loop {
            tokio::select! {
                ready = &mut reading => break ready.expect("a connection"),
                () = tokio::time::sleep(Duration::from_millis(200)) => {
                    writing += stream.try_write(drop_of_it).unwrap_or(0);
                }
            }
        }
        drop(reading);
        let response = read_answer(&mut stream, true).await;
        assert_eq!((response.status, response.problem().code.as_str()), (408, "body_timeout"));
        assert!((9.5..15.0).contains(&begin.elapsed().as_secs_f64()), "{:?}", begin.elapsed());
        assert_eq!(writing > 0, !drop_of_it.is_empty());
        assert_eq!(response.header("connection"), Some("close"));
        if headers.starts_with("Content-Length") {
            let mut rest = Vec::new();
            let end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
            let ended = tokio::time::timeout(Duration::from_secs(15), end).await;
            assert!(ended.is_ok() && rest.is_empty(), "the connection does not end: {ended:?} {rest:?}");
        }
    };
    tokio::join!(
        trickle("Content-Length: 1000", b""),
        trickle("Content-Length: 1000", b" "),
        trickle("Transfer-Encoding: chunked", b"1\r\n \r\n"),
    );
    crate::support::gateway::assert_documented("POST", "/v1/jobs", 408, "body_timeout");
    crate::support::gateway::assert_documented("POST", "/v1/plans", 408, "body_timeout");
    scene.assert_unharmed().await;
}

/// Callers that hang up in the middle, and bytes that are not HTTP.
#[actix_web::test]
async fn broken_connections() {
    let scene = Scene::start().await;
    let whole = Raw::post("/v1/jobs", json!({"resource": "ghost", "targetCapacity": 5}).to_string());
    let whole = [whole.head(), br#"{"resource":"ghost","targetCapacity":5}"#.to_vec()].concat();
    for cut in [1, 10, whole.len() / 2, whole.len() - 1] {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(&whole[..cut]).await.expect("sent");
    }
    for garbage in [&b"garbage\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n"]
    {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(garbage).await.expect("sent");
    }
    // A body that ends before its length is the gateway's to notice: half-closed, the connection can still be answered.
    let mut stream = scene.gateway.connect().await;
    stream.write_all(&whole[..whole.len() - 1]).await.expect("sent");
    stream.shutdown().await.expect("half-closed");
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn idempotency_keys() {
    let scene = Scene::start().await;
    // The job is not over before the last request, however slow the machine is.
    let show = |status: Option<&str>| {
        scene.sidecar.with(|model, _| model.behaviour_mut().status_override = status.map(str::to_owned));
    };
    show(Some("MODIFYING"));
    let post = || Raw::post("/v1/jobs", json!({"resource": "worker", "targetCapacity": 5}).to_string());
    let (long, long_quoted) = ("k".repeat(256), format!("\"{}\"", "k".repeat(256)));
    for key in [&b""[..], b"  ", b"\"\"", long.as_bytes(), long_quoted.as_bytes(), b"k\xe4y", "schlüssel".as_bytes()] {
        let problem = scene.gateway.refuses(&post().header("Idempotency-Key", key), 422, "validation_failed").await;
        assert_eq!(pointers(&problem), ["/header/Idempotency-Key"]);
    }
    let twice = post().header("Idempotency-Key", "a").header("Idempotency-Key", "a");
    let problem = scene.gateway.refuses(&twice, 422, "validation_failed").await;
    assert_eq!(pointers(&problem), ["/header/Idempotency-Key"]);
    // A refused request does not use its key up.
    let busy = post().header("Idempotency-Key", "once");
    scene.gateway.refuses(&busy, 409, "resource_busy").await;
    let other = json!({"resource": "worker", "targetCapacity": 3}).to_string();
    let joined = scene.gateway.raw(&Raw::post("/v1/jobs", other).header("Idempotency-Key", "once")).await;
    assert_eq!((joined.status, joined.job().id), (200, scene.job));
    show(None);
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn queries_of_the_list() {
    let scene = Scene::start().await;
    for (query, expected) in [
        ("pageSize=0", vec!["/query/pageSize"]),
        ("pageSize=201", vec!["/query/pageSize"]),
        ("pageSize=-1", vec!["/query/pageSize"]),
        ("pageSize=1.5", vec!["/query/pageSize"]),
        ("pageSize=99999999999999999999", vec!["/query/pageSize"]),
        ("pageSize=", vec!["/query/pageSize"]),
        ("pageSize", vec!["/query/pageSize"]),
        ("pageSize=5&pageSize=6", vec!["/query/pageSize"]),
        ("pageToken=", vec!["/query/pageToken"]),
        ("pageToken=-1", vec!["/query/pageToken"]),
        ("pageToken=zz", vec!["/query/pageToken"]),
        ("pageToken=ffffffffffffffffffffffff", vec!["/query/pageToken"]),
        ("pageToken=%00", vec!["/query/pageToken"]),
        ("state=done", vec!["/query/state"]),
        ("state=Running", vec!["/query/state"]),
        ("state=running,queued", vec!["/query/state"]),
        ("state=", vec!["/query/state"]),
        ("resource=", vec!["/query/resource"]),
        ("resource=..", vec!["/query/resource"]),
        ("resource=a%2Fb", vec!["/query/resource"]),
        ("resource=%ff", vec!["/query/resource"]),
        ("resource='; DROP TABLE jobs; --", vec![]),
        ("resource=%27;DROP%20TABLE%20jobs;--", vec!["/query/resource"]),
        ("colour=red", vec!["/query/colour"]),
        ("page%5B%5D=1", vec!["/query/page[]"]),
        ("a/b~c=1", vec!["/query/a~1b~0c"]),
        ("=1", vec!["/query/"]),
        ("page_size=5&limit=5&pageSize=0", vec!["/query/page_size", "/query/limit", "/query/pageSize"]),
    ] {
        let request = Raw::get(&format!("/v1/jobs?{query}"));
        if expected.is_empty() {
            // A space ends the request line: this is not HTTP, and so not answered by the API.
            assert_eq!(scene.gateway.raw(&request).await.status, 400);
            continue;
        }
        let problem = scene.gateway.refuses(&request, 422, "validation_failed").await;
        assert_eq!(pointers(&problem), expected, "{query}");
    }
    for query in ["", "?", "?&", "?pageSize=200&state=running&state=queued&state=running&resource=worker"] {
        assert_eq!(scene.gateway.get(&format!("/v1/jobs{query}")).await.status, 200, "{query}");
    }
    scene.assert_unharmed().await;
}

/// Of streams and timelines. What is not an id of ours in `Last-Event-ID` is as good as none.
#[actix_web::test]
async fn queries_and_positions_of_what_is_watched() {
    let scene = Scene::start().await;
    for (target, expected) in [
        ("/v1/events?color=red", "/query/color"),
        ("/v1/events?resource=..", "/query/resource"),
        ("/v1/events?resource=", "/query/resource"),
        ("/v1/events?resource=a&resource=b", "/query/resource"),
        ("/v1/events?pageSize=1", "/query/pageSize"),
        ("/v1/resources/worker/timeline?pageSize=201", "/query/pageSize"),
        ("/v1/resources/worker/timeline?pageToken=+1", "/query/pageToken"),
        ("/v1/resources/worker/timeline?resource=worker", "/query/resource"),
        ("/v1/resources/-/timeline", "/path/alias"),
    ] {
        let problem = scene.gateway.refuses(&Raw::get(target), 422, "validation_failed").await;
        assert_eq!(pointers(&problem), [expected], "{target}");
    }
    scene.gateway.refuses(&Raw::get("/v1/jobs/%00/events"), 404, "job_not_found").await;
    for nonsense in [&b""[..], b"-1", b"1.5", b"one", b"18446744073709551616", b"\xff\xfe", &[b'9'; 5000]] {
        for target in ["/v1/events".to_owned(), format!("/v1/jobs/{}/events", scene.job)] {
            let request = Raw::get(&target).header("Last-Event-ID", nonsense);
            assert_eq!(scene.gateway.raw(&request).await.status, 200, "{request:?}");
        }
    }
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn unknown_jobs() {
    let scene = Scene::start().await;
    let unknown = uuid::Uuid::now_v7().to_string();
    for id in [
        unknown.as_str(),
        &uuid::Uuid::nil().to_string(),
        "x",
        "..",
        "%2e%2e",
        "%00",
        "%ff",
        "1;DROP",
        &"x".repeat(3000),
    ] {
        scene.gateway.refuses(&Raw::get(&format!("/v1/jobs/{id}")), 404, "job_not_found").await;
        scene.gateway.refuses(&Raw::new("POST", &format!("/v1/jobs/{id}/cancel")), 404, "job_not_found").await;
    }
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn bad_aliases_in_the_path() {
    let scene = Scene::start().await;
    let long = "w".repeat(129);
    for alias in [
        ".",
        "..",
        "...",
        "%2e",
        "%2e%2e",
        "%2E%2E",
        "..%2Fworker",
        "w%2Fx",
        "w%2fx",
        "%2F",
        "w%5Cx",
        "%00",
        "w%0a",
        "w%7f",
        "%ff",
        "%C3%A4",
        "w%C3%A4",
        "w%20x",
        "w+x",
        "w:x",
        "w;x=y",
        "w%3Fx",
        "w%25",
        "w%",
        "%",
        "-w",
        "_w",
        "w*",
        "~w",
        &long,
    ] {
        let request = Raw::get(&format!("/v1/resources/{alias}"));
        let problem = scene.gateway.refuses(&request, 422, "validation_failed").await;
        assert_eq!(pointers(&problem), ["/path/alias"], "{alias}");
    }
    for path in
        ["/v1/resources/", "/v1/resources/w/x", "/v1/resources/../jobs", "/v1/resources/w/..", "/v1//resources/w"]
    {
        scene.gateway.refuses(&Raw::get(path), 404, "not_found").await;
    }
    let seen: Vec<String> =
        scene.sidecar.with(|model, now| model.records(now).iter().map(|record| record.alias.to_string()).collect());
    assert!(seen.iter().all(|alias| alias == "worker"), "the sidecar was asked for {seen:?}");
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn unknown_paths() {
    let scene = Scene::start().await;
    let long = format!("/{}", "x".repeat(10_000));
    for path in [
        "/v1",
        "/v1/",
        "/v2/jobs",
        "/V1/jobs",
        "/v1/jobs/",
        "/v1/jobs/x/y",
        "/v1/plans/x",
        "/favicon.ico",
        "/docs/../livez",
        "/docs/nothing.js",
        "/panel/nothing.js",
        "/panel/../../etc/passwd",
        "/docs/../../../etc/passwd",
        "/docs/%2e%2e/%2e%2e/Cargo.toml",
        "/livez/",
        "/%00",
        "/.",
        "/..",
        "//",
        "/openapi.json/",
        &long,
    ] {
        for method in ["GET", "POST", "DELETE", "OPTIONS", "BREW"] {
            let is_page = (path.starts_with("/docs/") || path.starts_with("/panel/")) && method != "GET";
            let (status, code) = if is_page { (405, "method_not_allowed") } else { (404, "not_found") };
            let problem = scene.gateway.refuses(&Raw::new(method, path), status, code).await;
            assert!(problem.detail.len() < 300, "it does not repeat just anything");
        }
    }
    scene.assert_unharmed().await;
}

/// What a path supports is what it answers, and everything else is 405 with the list of it.
#[actix_web::test]
async fn methods() {
    let scene = Scene::start().await;
    let job = format!("/v1/jobs/{}", scene.job);
    let cancel = format!("{job}/cancel");
    let known: [(&str, &[&str]); 14] = [
        ("/v1/jobs", &["GET", "HEAD", "POST"]),
        (&job, &["GET", "HEAD"]),
        (&cancel, &["POST"]),
        ("/v1/plans", &["POST"]),
        ("/v1/resources", &["GET", "HEAD"]),
        ("/v1/resources/worker", &["GET", "HEAD"]),
        ("/livez", &["GET", "HEAD"]),
        ("/readyz", &["GET", "HEAD"]),
        ("/openapi.json", &["GET", "HEAD"]),
        ("/docs/", &["GET", "HEAD"]),
        ("/docs/swagger-ui.css", &["GET", "HEAD"]),
        ("/docs", &["GET", "HEAD"]),
        ("/", &["GET", "HEAD"]),
        ("/panel/main.js", &["GET", "HEAD"]),
    ];
    for (path, supported) in known {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"] {
            let request = Raw::new(method, path);
            if supported.contains(&method) {
                if method == "POST" {
                    continue;
                }
                let response = scene.gateway.raw(&request).await;
                assert!(matches!(response.status, 200 | 307), "{method} {path}: {response:?}");
                assert!(response.header("x-request-id").is_some());
                assert_eq!(
                    method == "HEAD",
                    response.body.is_empty() && response.header("content-length") != Some("0")
                        || method == "HEAD" && response.status == 307
                );
                continue;
            }
            let response = scene.gateway.raw(&request).await;
            assert_eq!(response.status, 405, "{method} {path}");
            assert_eq!(response.header("allow"), Some(supported.join(", ").as_str()), "{method} {path}");
            if method != "HEAD" {
                let problem = response.problem();
                assert_eq!(problem.code.as_str(), "method_not_allowed");
                assert!(problem.detail.contains(&supported.join(", ")), "{problem:?}");
            }
        }
    }
    scene.assert_unharmed().await;
}
