//! A gateway with keys of all kinds, and callers who use them.

use std::path::Path;
use std::process::Command;

use scalegate::access::Token;
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::{Gateway, Raw, Response, serve};
use crate::support::sidecar::Sidecar;

/// Switches the limits off, for tests of anything else.
pub const UNLIMITED: [&str; 2] = ["--max-request-rate", "0"];

pub struct Scene {
    pub gateway: Gateway,
    pub sidecar: Sidecar,
    pub dir: TempDir,
    /// The key that the configuration gives.
    pub admin: Token,
}

impl Scene {
    pub fn start(more: &[&str]) -> Self {
        let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
        let admin = Token::generate().expect("randomness");
        let gateway = Gateway::start_with(command(dir.path(), &sidecar, &admin, more));
        Self { gateway, sidecar, dir, admin }
    }

    /// One that logs everything from `level` on.
    pub fn start_logging(level: &str) -> Self {
        let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
        let admin = Token::generate().expect("randomness");
        let mut command = command(dir.path(), &sidecar, &admin, &UNLIMITED);
        command.env("SCALEGATE_LOG", level);
        Self { gateway: Gateway::start_with(command), sidecar, dir, admin }
    }

    /// Ends it; where its data is, its key, and everything it logged.
    pub fn stop_and_read_log(self) -> (TempDir, Token, String) {
        let Self { mut gateway, dir, admin, .. } = self;
        gateway.signal("-TERM");
        assert_eq!(gateway.wait().0, Some(0));
        let lines: Vec<String> = gateway.starting.iter().chain(&gateway.log()).map(Value::to_string).collect();
        (dir, admin, lines.join("\n"))
    }

    /// `kill -9`, and another process that carries on.
    pub fn restart(self, more: &[&str]) -> Self {
        let Self { gateway, sidecar, dir, admin } = self;
        gateway.kill();
        let gateway = Gateway::start_with(command(dir.path(), &sidecar, &admin, more));
        Self { gateway, sidecar, dir, admin }
    }

    /// An orderly end, and another process that carries on.
    pub fn stop_and_start(self, more: &[&str]) -> Self {
        let Self { mut gateway, sidecar, dir, admin } = self;
        gateway.signal("-TERM");
        assert_eq!(gateway.wait().0, Some(0));
        let gateway = Gateway::start_with(command(dir.path(), &sidecar, &admin, more));
        Self { gateway, sidecar, dir, admin }
    }

    /// Makes a key; its secret form.
    pub async fn key(&self, wish: Value) -> Token {
        let answer = self.ask(&Raw::post("/v1/keys", wish.to_string()), &self.admin).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["secret"].as_str().expect("a secret").parse().expect("a key")
    }

    pub async fn key_with(&self, scope: &str) -> Token {
        self.key(json!({"name": scope, "scope": scope})).await
    }

    pub async fn revoke(&self, key: &Token) {
        let path = format!("/v1/keys/{}/revoke", key.id());
        assert_eq!(self.ask(&Raw::new("POST", &path), &self.admin).await.status, 200);
    }

    /// The answer to `request` with `key`.
    pub async fn ask(&self, request: &Raw, key: &Token) -> Response {
        self.gateway.raw(&with_key(request, key.expose())).await
    }

    pub async fn get(&self, path: &str, key: &Token) -> Response {
        self.ask(&Raw::get(path), key).await
    }

    /// Submits a job that must be accepted; its id.
    pub async fn submit(&self, body: Value, key: &Token) -> String {
        let answer = self.ask(&Raw::post("/v1/jobs", body.to_string()), key).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.job().id.to_string()
    }

    /// All that was tried, newest first.
    pub async fn audit(&self) -> Vec<Value> {
        let answer = self.get("/v1/audit?pageSize=200", &self.admin).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["entries"].as_array().expect("entries").clone()
    }
}

fn command(dir: &Path, sidecar: &Sidecar, admin: &Token, more: &[&str]) -> Command {
    let mut command = serve(dir, sidecar.address(), more);
    command.args(["--cooldown", "10m", "--settle", "500ms", "--poll-interval", "100ms"]);
    command.env("SCALEGATE_ADMIN_KEY", admin.expose());
    command
}

pub fn with_key(request: &Raw, key: &str) -> Raw {
    request.clone().header("Authorization", format!("Bearer {key}"))
}

/// The status and the problem's code, which must be documented.
pub fn verdict(answer: &Response) -> (u16, Option<&'static str>) {
    (answer.status, (answer.status >= 400).then(|| answer.problem().code.as_str()))
}
