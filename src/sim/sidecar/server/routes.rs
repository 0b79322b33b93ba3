//! The routes of the simulated sidecar: from bytes to calls of the model, and back.

use std::fmt;

use actix_web::error::Error;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use crate::domain::{Alias, Capacity, Op};
use crate::sim::sidecar::answer::{Answer, Reply};
use crate::sim::sidecar::behaviour::Fault;
use crate::sim::sidecar::record::Record;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/resource/{alias}/capacity", web::get().to(read))
        .route("/resource/{alias}/capacity/{op}", web::post().to(change))
        .route("/resources/capacity/{op}", web::post().to(change_group))
        .route("/simulator/log", web::get().to(log))
        .route("/simulator/resource/{alias}/capacity", web::put().to(set_capacity))
        .route("/simulator/faults", web::put().to(script))
        .default_service(web::to(unknown));
}

/// A request that cannot be passed on to the model.
enum Unusable {
    /// There is nothing under its path: 404.
    Path(String),
    /// Its body cannot be understood: 400.
    Body(String),
}

impl Unusable {
    fn answer(&self, state: &State) -> Answer {
        match self {
            Self::Path(message) => state.model().refuse_as_unknown(message),
            Self::Body(message) => state.model().refuse_as_bad(message),
        }
    }
}

async fn read(state: Data<State>, alias: Path<String>) -> HttpResponse {
    let answer = match parse_alias(&alias) {
        Ok(alias) => state.model().read(state.now(), &alias),
        Err(unusable) => unusable.answer(&state),
    };
    send(answer).await
}

async fn change(state: Data<State>, path: Path<(String, String)>, body: Result<Bytes, Error>) -> HttpResponse {
    let parse = || {
        let op = parse_op(&path.1)?;
        Ok((parse_alias(&path.0)?, op, units(&json(body)?, op)?))
    };
    let answer = match parse() {
        Ok((alias, op, units)) => state.model().change(state.now(), &alias, op, units),
        Err::<_, Unusable>(unusable) => unusable.answer(&state),
    };
    send(answer).await
}

async fn change_group(state: Data<State>, op: Path<String>, body: Result<Bytes, Error>) -> HttpResponse {
    let parse = || {
        let op = parse_op(&op)?;
        Ok((op, parts(&json(body)?, op)?))
    };
    let answer = match parse() {
        Ok((op, parts)) => state.model().change_group(state.now(), op, &parts),
        Err::<_, Unusable>(unusable) => unusable.answer(&state),
    };
    send(answer).await
}

async fn unknown(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let message = format!("there is no {} {}", request.method(), request.path());
    send(Unusable::Path(message).answer(&state)).await
}

#[derive(Serialize)]
struct LogBody<'a> {
    records: Vec<&'a Record>,
}

async fn log(state: Data<State>) -> HttpResponse {
    let mut model = state.model();
    HttpResponse::Ok().json(LogBody { records: model.records(state.now()).iter().collect() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapacityBody {
    capacity: Capacity,
}

async fn set_capacity(state: Data<State>, alias: Path<String>, body: Result<Bytes, Error>) -> HttpResponse {
    let parse = || Ok((parse_alias(&alias)?, json::<CapacityBody>(body)?.capacity));
    let unusable = match parse() {
        Ok((alias, capacity)) if state.model().set_capacity(state.now(), &alias, capacity) => {
            return HttpResponse::NoContent().finish();
        }
        Ok((alias, _)) => Unusable::Path(format!("there is no resource {alias}")),
        Err(unusable) => unusable,
    };
    send(unusable.answer(&state)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptBody {
    #[serde(default)]
    reads: Vec<Option<Fault>>,
    #[serde(default)]
    changes: Vec<Option<Fault>>,
}

/// A script replaces the one before, so that its length is bounded by that of a body.
async fn script(state: Data<State>, body: Result<Bytes, Error>) -> HttpResponse {
    let script: ScriptBody = match json(body) {
        Ok(script) => script,
        Err(unusable) => return send(unusable.answer(&state)).await,
    };
    let mut model = state.model();
    model.clear_scripts();
    script.reads.into_iter().for_each(|fault| model.script_read(fault));
    script.changes.into_iter().for_each(|fault| model.script_change(fault));
    HttpResponse::NoContent().finish()
}

fn parse_alias(text: &str) -> Result<Alias, Unusable> {
    text.parse().map_err(|error| Unusable::Path(format!("there is no resource {text:?}: {error}")))
}

fn parse_op(text: &str) -> Result<Op, Unusable> {
    [Op::Add, Op::Remove]
        .into_iter()
        .find(|op| op.as_str() == text)
        .ok_or_else(|| Unusable::Path(format!("a capacity has no {text:?}")))
}

fn json<T: for<'de> Deserialize<'de>>(body: Result<Bytes, Error>) -> Result<T, Unusable> {
    let body = body.map_err(|error| Unusable::Body(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| Unusable::Body(error.to_string()))
}

/// The number of units `body` asks for, whether or not there can be so many.
fn units(body: &Value, op: Op) -> Result<i64, Unusable> {
    let field = match op {
        Op::Add => "capacityToBeAdded",
        Op::Remove => "capacityToBeRemoved",
    };
    body.get(field).and_then(Value::as_i64).ok_or_else(|| Unusable::Body(format!("{field} must be a whole number")))
}

fn parts(body: &Value, op: Op) -> Result<Vec<(Alias, i64)>, Unusable> {
    let resources = body.get("resources").and_then(Value::as_array);
    let resources = resources.ok_or_else(|| Unusable::Body("resources must be an array".to_owned()))?;
    let part = |resource| {
        let alias = Value::get(resource, "resourceAlias").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let alias = alias.ok_or_else(|| Unusable::Body("resourceAlias must be a resource's alias".to_owned()))?;
        Ok((alias, units(resource, op)?))
    };
    resources.iter().map(part).collect()
}

async fn send(answer: Answer) -> HttpResponse {
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    match answer.reply {
        Reply::Response { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            HttpResponse::build(status).content_type("application/json").body(body)
        }
        Reply::ConnectionClosed => hang_up(),
    }
}

/// A response of which the client never sees a byte.
///
/// The server hands a response's head to the socket only after it has asked the body for its first bytes, and a body
/// that fails then makes it drop the connection instead. Shutting the socket down by hand was the alternative; it takes
/// a second descriptor for every connection, and works on one family of operating systems.
fn hang_up() -> HttpResponse {
    HttpResponse::Ok().streaming(stream::iter([Err::<Bytes, _>(HungUp)]))
}

/// The error that the server logs when it drops the connection.
struct HungUp;

impl std::error::Error for HungUp {}

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated fault: the connection is closed on purpose")
    }
}

impl fmt::Debug for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
