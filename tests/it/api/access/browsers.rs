//! What browsers are told, and what pages of others cannot do.

use serde_json::json;

use super::scene::{Scene, UNLIMITED, verdict, with_key};
use crate::support::gateway::{Gateway, Raw, read_answer};
use tokio::io::AsyncWriteExt as _;

#[actix_web::test]
async fn every_answer_says_what_browsers_must_not_do_with_it() {
    let scene = Scene::start(&UNLIMITED);
    let paths = [
        "/",
        "/panel/main.js",
        "/docs/index.html",
        "/openapi.json",
        "/livez",
        "/v1/jobs",
        "/v1/keys",
        "/nothing",
        "/v1/x",
    ];
    for path in paths {
        for answer in [scene.gateway.raw(&Raw::get(path)).await, scene.get(path, &scene.admin).await] {
            let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("{path} has no {name}")).to_owned();
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("x-frame-options"), "DENY");
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert_eq!(header("cross-origin-resource-policy"), "same-origin");
            let policy = header("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
                "{policy}"
            );
            assert_eq!(policy.contains("unsafe"), path.starts_with("/docs"), "{path}: {policy}");
            assert_eq!(answer.header("cache-control") == Some("no-store"), path.starts_with("/v1/"), "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
}

/// Sends what a browser sends that was told another name for this machine.
async fn called(gateway: &Gateway, host: &str, path: &str) -> crate::support::gateway::Response {
    let mut stream = gateway.connect().await;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.expect("sent");
    read_answer(&mut stream, true).await
}

#[actix_web::test]
async fn other_names_for_this_machine_are_refused_on_loopback() {
    let scene = Scene::start(&["--allowed-hosts", "gate.test"]);
    for path in ["/", "/livez", "/v1/jobs", "/docs/index.html", "/panel/main.js"] {
        let refused = called(&scene.gateway, "rebound.test:8080", path).await;
        assert_eq!(verdict(&refused), (421, Some("wrong_host")), "{path}");
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]:2", "gate.test", "GATE.test:3"] {
        assert_eq!(called(&scene.gateway, host, "/livez").await.status, 200, "{host}");
    }
}

#[actix_web::test]
async fn pages_of_others_can_do_nothing() {
    let scene = Scene::start(&["--insecure-no-auth"]);
    let body = json!({"resource": "worker", "targetCapacity": 3}).to_string();
    for origin in ["https://evil.test", "null", "http://localhost:1"] {
        let forged = Raw::post("/v1/jobs", body.clone()).header("Origin", origin);
        assert_eq!(verdict(&scene.gateway.raw(&forged).await), (403, Some("origin_refused")), "{origin}");
        let preflight = Raw::new("OPTIONS", "/v1/jobs")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "content-type");
        assert_eq!(verdict(&scene.gateway.raw(&preflight).await), (403, Some("origin_refused")), "{origin}");
    }
    // They are recorded, and counted as what they are.
    let entries = scene.audit().await;
    assert_eq!(entries.len(), 3);
    assert!(
        entries.iter().all(|entry| entry["code"] == "origin_refused" && entry["action"] == "submit_job"),
        "{entries:?}"
    );
    let metrics = scene.get("/metrics", &scene.admin).await;
    let counted = r#"scalegate_http_requests_total{method="POST",route="/v1/jobs",status="403"} 3"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    // What a form can send without asking first.
    let form = Raw::new("POST", "/v1/jobs").header("Content-Type", "text/plain").body(body.clone());
    assert_eq!(verdict(&scene.gateway.raw(&form).await), (415, Some("unsupported_media_type")));
    let own = Raw::post("/v1/jobs", body).header("Origin", "http://localhost");
    assert_eq!(scene.gateway.raw(&own).await.status, 202, "the panel's own");
}

/// What a page loads without saying where it is from, such as an image, would keep a stream open for as long as it
/// likes.
#[actix_web::test]
async fn pages_of_others_open_no_streams_and_links_to_pages_work() {
    let scene = Scene::start(&["--insecure-no-auth"]);
    let from = |site: &str, mode: &str, dest: &str, path: &str| {
        let request = Raw::get(path).header("Sec-Fetch-Site", site);
        request.header("Sec-Fetch-Mode", mode).header("Sec-Fetch-Dest", dest)
    };
    for site in ["cross-site", "same-site"] {
        for path in ["/v1/events", "/v1/jobs", "/metrics", "/panel/main.js", "/"] {
            let image = scene.gateway.raw(&from(site, "no-cors", "image", path)).await;
            assert_eq!(verdict(&image), (403, Some("origin_refused")), "{path}");
        }
        let opened = scene.gateway.raw(&from(site, "navigate", "document", "/v1/events")).await;
        assert_eq!(verdict(&opened), (403, Some("origin_refused")));
        for (path, status) in [("/", 200), ("/docs", 307), ("/docs/", 200), ("/docs/index.html", 200)] {
            let followed = scene.gateway.raw(&from(site, "navigate", "document", path)).await;
            assert_eq!(followed.status, status, "{path}");
        }
    }
    for site in ["same-origin", "none"] {
        assert_eq!(scene.gateway.raw(&from(site, "cors", "empty", "/v1/jobs")).await.status, 200, "{site}");
    }
}

/// A path is the same to everything that decides by it, however it is written.
#[actix_web::test]
async fn an_escaped_path_is_protected_like_any_other() {
    let scene = Scene::start(&UNLIMITED);
    let jobs = scene.get("/%761/jobs", &scene.admin).await;
    assert_eq!((jobs.status, jobs.header("cache-control")), (200, Some("no-store")));
    let refused = scene.gateway.raw(&Raw::get("/%761/jobs")).await;
    assert_eq!(
        (verdict(&refused).1, refused.header("cache-control")),
        (Some("authentication_required"), Some("no-store"))
    );
    let docs = scene.gateway.raw(&Raw::get("/%64ocs/index.html")).await;
    let policy = docs.header("content-security-policy").expect("a policy");
    assert!(docs.status == 200 && policy.contains("script-src 'self'"), "{policy}");
    let nothing = scene.gateway.raw(&Raw::get("/%761/nothing")).await.problem();
    assert_eq!(nothing.detail, "There is nothing at /v1/nothing.");
    let metrics = scene.get("/metrics", &scene.admin).await;
    assert!(metrics.text().contains(r#"route="/v1/jobs",status="401"} 1"#), "{}", metrics.text());
}

#[actix_web::test]
async fn pages_of_configured_origins_can_do_what_their_keys_allow() {
    let scene = Scene::start(&["--allowed-origins", "https://ops.test"]);
    let preflight = Raw::new("OPTIONS", "/v1/jobs")
        .header("Origin", "https://ops.test")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,content-type,idempotency-key");
    let answer = scene.gateway.raw(&preflight).await;
    assert!(answer.status < 300, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://ops.test"));
    assert_eq!(answer.header("access-control-allow-credentials"), None, "there are no cookies");
    let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    assert!(
        ["authorization", "content-type", "idempotency-key"].iter().all(|name| allowed.contains(name)),
        "{allowed}"
    );

    let without_key = Raw::get("/v1/jobs").header("Origin", "https://ops.test");
    let refused = scene.gateway.raw(&without_key).await;
    assert_eq!(verdict(&refused), (401, Some("authentication_required")));
    let admitted = scene.gateway.raw(&with_key(&without_key, scene.admin.expose())).await;
    assert_eq!(admitted.status, 200);
    for answer in [refused, admitted] {
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://ops.test"));
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
        assert!(exposed.contains("x-request-id") && exposed.contains("retry-after"), "{exposed}");
        assert!(
            answer
                .headers
                .get_all("vary")
                .any(|value| value.to_str().is_ok_and(|v| v.to_lowercase().contains("origin")))
        );
    }
    let other = Raw::get("/v1/jobs").header("Origin", "https://other.test");
    assert_eq!(
        verdict(&scene.gateway.raw(&with_key(&other, scene.admin.expose())).await),
        (403, Some("origin_refused"))
    );
}
