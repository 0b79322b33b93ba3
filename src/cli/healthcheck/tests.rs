use serde_json::json;

use super::*;
use crate::cli::client::stub::{Reply, Stub, problem};
use crate::cli::output::capture::Captured;
use crate::cli::testing;

async fn check(arguments: &[&str]) -> (Exit, Captured) {
    testing::captured(arguments, HealthcheckArgs::run).await
}

#[actix_web::test]
async fn ready_and_alive_are_healthy() {
    let ready = json!({"status": "ready", "unfinishedJobs": 2,
        "sidecar": {"reachable": false, "lastAnswerAt": null, "lastFailure": "refused"}});
    let stub = Stub::start(vec![Reply::Json(200, ready), Reply::Json(200, json!({"status": "alive"}))]).await;
    let (exit, captured) = check(&["--server", &stub.url()]).await;
    assert_eq!(exit, Exit::Done);
    assert_eq!(captured.out(), "ready: unfinished jobs: 2; the sidecar did not answer last time\n");
    let (exit, captured) = check(&["--live", "--server", &stub.url()]).await;
    assert_eq!((exit, captured.out().as_str()), (Exit::Done, "alive\n"));
    assert_eq!(stub.lines(), ["GET /readyz", "GET /livez"]);
}

/// A gateway that wants a key tells a health check, which has none, only whether it is ready.
#[actix_web::test]
async fn only_what_is_told_is_printed() {
    let null = json!({"status": "ready", "unfinishedJobs": null, "sidecar": null});
    let stub = Stub::start(vec![Reply::Json(200, null)]).await;
    let (exit, captured) = check(&["--server", &stub.url()]).await;
    assert_eq!((exit, captured.out().as_str()), (Exit::Done, "ready\n"));
}

#[actix_web::test]
async fn everything_else_is_unhealthy_and_told_in_one_line() {
    for (reply, words) in [
        (problem(503, "not_ready"), "unhealthy: A title (503 not_ready): A detail."),
        (Reply::Json(200, json!({"status": "UP"})), "does not look like a gateway"),
        (Reply::Lost, "the connection was closed"),
    ] {
        let stub = Stub::start(vec![reply]).await;
        let (exit, captured) = check(&["--server", &stub.url()]).await;
        assert_eq!((exit as u8, captured.out().as_str()), (1, ""));
        assert!(captured.err().contains(words), "{}", captured.err());
        assert_eq!(captured.err().lines().count(), 1, "{}", captured.err());
    }
}

#[actix_web::test]
async fn a_gateway_that_hangs_is_not_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (exit, captured) = check(&["--server", &url, "--timeout", "100ms"]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(captured.err().contains("within 0.1 s"), "{}", captured.err());
}

#[test]
fn the_address_follows_from_where_the_gateway_listens() {
    let env = |text: &str| Some(Given::by_environment(text));
    let address = |server, listen, tls_cert| {
        let server = ServerArgs { server, ca_file: None };
        let args = HealthcheckArgs { server, listen, tls_cert, live: false, timeout: Duration::from_secs(1) };
        args.address().map(|server| server.to_string()).map_err(|failure| failure.to_string())
    };
    for (server, listen, plain, encrypted) in [
        (None, None, "http://127.0.0.1:8080", "https://127.0.0.1:8080"),
        (env(""), env(""), "http://127.0.0.1:8080", "https://127.0.0.1:8080"),
        (None, env("0.0.0.0:81"), "http://127.0.0.1:81", "https://127.0.0.1:81"),
        (None, env("[::]:81"), "http://[::1]:81", "https://localhost:81"),
        (None, env("10.1.2.3:81"), "http://10.1.2.3:81", "https://10.1.2.3:81"),
        (env("http://gateway"), env("0.0.0.0:81"), "http://gateway", "http://gateway"),
    ] {
        assert_eq!(address(server.clone(), listen.clone(), None), Ok(plain.to_owned()));
        assert_eq!(address(server.clone(), listen.clone(), env("")), Ok(plain.to_owned()));
        assert_eq!(address(server, listen, env("/tls/cert.pem")), Ok(encrypted.to_owned()));
    }
    assert!(address(None, env("8080"), None).is_err_and(|why| why.starts_with("SCALEGATE_LISTEN: \"8080\" is not")));
    assert!(address(None, env("0.0.0.0:0"), None).is_err_and(|why| why.contains("which port")));
    assert!(address(env("gateway"), None, None).is_err());
    assert!(address(None, env("[2001:db8::1]:81"), env("x")).is_err_and(|why| why.contains("write a name")));
}

#[test]
fn only_a_gateway_on_this_machine_may_show_any_certificate() {
    let args = |ca_file: Option<&str>| -> HealthcheckArgs {
        let ca_file = ca_file.map(|file| format!("--ca-file={file}"));
        testing::parse(&ca_file.iter().map(String::as_str).collect::<Vec<_>>()).expect("valid arguments")
    };
    let trust = |args: &HealthcheckArgs, server: &str| args.trust(&server.parse().expect("a URL")).ok();
    assert_eq!(trust(&args(None), "https://127.0.0.1:8080"), Some(Trust::Any));
    assert_eq!(trust(&args(Some("ca.pem")), "https://localhost:8080"), Some(Trust::Any));
    assert_eq!(trust(&args(None), "https://gateway:8080"), Some(Trust::System));
    let file = Trust::File { path: "ca.pem".into(), source: "--ca-file" };
    assert_eq!(trust(&args(Some("ca.pem")), "https://gateway:8080"), Some(file));
}
