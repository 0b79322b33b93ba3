//! A collector of traces, and a sidecar that remembers the headers of its calls.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use actix_web::web::{self, Bytes, Data, Json, Path};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use scalegate::clock::wall_now;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::gateway::PATIENCE;

/// A span as it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty if there is none.
    pub parent: String,
    pub kind: i32,
    pub state: String,
    pub failed: bool,
    pub attributes: HashMap<String, String>,
    /// Names, in order.
    pub events: Vec<String>,
    pub start_nanos: u64,
    pub end_nanos: u64,
    /// Of the process that told it.
    pub resource: HashMap<String, String>,
}

impl Told {
    #[track_caller]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("no {name}: {self:#?}"))
    }
}

/// Receives spans over OTLP.
pub struct Collector {
    pub address: SocketAddr,
    inside: Data<Inside>,
}

struct Inside {
    spans: watch::Sender<Vec<Told>>,
    /// Header fields of the requests, by name; the last request's.
    headers: Mutex<HashMap<String, String>>,
    /// What it answers with.
    status: AtomicU16,
}

impl Collector {
    pub fn start() -> Self {
        let (spans, headers, status) = (watch::Sender::default(), Mutex::default(), AtomicU16::new(200));
        let inside = Data::new(Inside { spans, headers, status });
        let (address, served) = (TcpListener::bind("127.0.0.1:0").expect("a free port"), inside.clone());
        let listener = address;
        let address = listener.local_addr().expect("an address");
        let server =
            HttpServer::new(move || App::new().app_data(served.clone()).route("/v1/traces", web::post().to(collect)));
        actix_web::rt::spawn(server.workers(1).disable_signals().listen(listener).expect("it listens").run());
        Self { address, inside }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was told so far.
    pub fn spans(&self) -> Vec<Told> {
        self.inside.spans.borrow().clone()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.inside.headers.lock().expect("no panic").get(name).cloned()
    }

    pub fn answer_with(&self, status: u16) {
        self.inside.status.store(status, Ordering::SeqCst);
    }

    /// Waits until what was told is as wanted.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let mut spans = self.inside.spans.subscribe();
        match timeout(PATIENCE, spans.wait_for(|spans| wanted(spans))).await {
            Ok(Ok(spans)) => spans.clone(),
            Ok(Err(_)) => unreachable!("the sender is in here"),
            Err(_) => panic!("no {what}: {:#?}", self.spans()),
        }
    }

    /// Waits for a span with this name.
    pub async fn span(&self, name: &str) -> Told {
        let spans = self.wait_for(name, |spans| spans.iter().any(|span| span.name == name)).await;
        spans.into_iter().find(|span| span.name == name).expect("it was there")
    }
}

async fn collect(inside: Data<Inside>, request: HttpRequest, body: Bytes) -> HttpResponse {
    assert_eq!(
        request.headers().get("content-type").map(|value| value.as_bytes()),
        Some(&b"application/x-protobuf"[..])
    );
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    *inside.headers.lock().expect("no panic") = headers.collect();
    let status = inside.status.load(Ordering::SeqCst);
    if status == 200 {
        let told = ExportTraceServiceRequest::decode(body).expect("OTLP");
        inside.spans.send_modify(|spans| spans.extend(told_by(told)));
    }
    let status = actix_web::http::StatusCode::from_u16(status).expect("a status");
    HttpResponse::build(status).content_type("application/x-protobuf").finish()
}

fn told_by(request: ExportTraceServiceRequest) -> Vec<Told> {
    let mut told = Vec::new();
    for resource_spans in request.resource_spans {
        let resource = attributes(&resource_spans.resource.map_or_else(Vec::new, |resource| resource.attributes));
        for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            told.push(understood(span, &resource));
        }
    }
    told
}

fn understood(span: Span, resource: &HashMap<String, String>) -> Told {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
    Told {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: span.kind,
        state: span.trace_state,
        failed: span.status.is_some_and(|status| status.code == 2),
        attributes: attributes(&span.attributes),
        events: span.events.into_iter().map(|event| event.name).collect(),
        start_nanos: span.start_time_unix_nano,
        end_nanos: span.end_time_unix_nano,
        resource: resource.clone(),
        name: span.name,
    }
}

fn attributes(attributes: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        other => panic!("an attribute of no type that is used: {other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(&attribute.value))).collect()
}

/// A call that reached the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// `traceparent` and `tracestate`, each with all its values.
    pub trace: (Vec<String>, Vec<String>),
}

/// Changes capacity at once, and remembers how it was asked to.
pub struct RecordingSidecar {
    pub address: SocketAddr,
    state: Data<Mutex<(i64, Vec<Received>)>>,
}

impl RecordingSidecar {
    pub fn start() -> Self {
        let state = Data::new(Mutex::new((1, Vec::new())));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (address, served) = (listener.local_addr().expect("an address"), state.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(served.clone())
                .route("/resource/{alias}/capacity", web::get().to(read))
                .route("/resource/{alias}/capacity/{action}", web::post().to(change))
        });
        actix_web::rt::spawn(server.workers(1).disable_signals().listen(listener).expect("it listens").run());
        Self { address, state }
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().expect("no panic").1.clone()
    }

    pub fn forget(&self) {
        self.state.lock().expect("no panic").1.clear();
    }
}

type State = Data<Mutex<(i64, Vec<Received>)>>;

fn record(state: &State, request: &HttpRequest) {
    let all = |name: &str| {
        let values = request.headers().get_all(name);
        values.map(|value| value.to_str().expect("ASCII").to_owned()).collect()
    };
    let trace = (all("traceparent"), all("tracestate"));
    let (method, path) = (request.method().to_string(), request.path().to_owned());
    state.lock().expect("no panic").1.push(Received { method, path, trace });
}

async fn read(state: State, request: HttpRequest) -> HttpResponse {
    record(&state, &request);
    let capacity = state.lock().expect("no panic").0;
    let observed = wall_now().to_string();
    HttpResponse::Ok().json(json!({"status": "ACTIVE", "currentCapacity": capacity, "lastObservedTimestamp": observed}))
}

async fn change(state: State, request: HttpRequest, path: Path<(String, String)>, body: Json<Value>) -> HttpResponse {
    record(&state, &request);
    let units = |name: &str| body[name].as_i64().expect("a number");
    let by = if path.1 == "add" { units("capacityToBeAdded") } else { -units("capacityToBeRemoved") };
    state.lock().expect("no panic").0 += by;
    HttpResponse::Ok().finish()
}
