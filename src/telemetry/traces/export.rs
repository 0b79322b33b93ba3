//! How spans leave: by the gateway's own HTTP client, on a thread of its own.
//!
//! Rejected: the HTTP client that opentelemetry-otlp brings along, because it is a second one, with a TLS stack of its
//! own. Ours is bound to one thread, so that thread is here, and the one on which the library collects spans waits for
//! it; no other thread does. The library is bounded: 2048 spans wait, 512 go at a time, at least every five seconds
//! (`OTEL_BSP_*` change that); what is beyond is dropped. Its own log is compiled out, because it has a line for each
//! failure, and [`Reported`] says the same less often.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::environment::{Settings, TracesError};

/// Requests that may wait for the thread. The library sends one after the other.
const QUEUE: usize = 1;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer read. It says how many spans were refused, if any.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Least time between two complaints about a collector that cannot be reached.
const SILENCE: Duration = Duration::from_mins(5);

/// An exporter that does as the environment says.
pub(super) fn exporter(settings: &Settings) -> Result<Reported<OtlpExporter>, TracesError> {
    let last_error = LastError::default();
    let client = Client::start(settings.timeout, Arc::clone(&last_error))?;
    let exporter =
        OtlpExporter::builder().with_http().with_timeout(settings.timeout).with_http_client(client).build()?;
    Ok(Reported { exporter, last_error, failing: Mutex::default() })
}

/// What went wrong with the last request, if anything. The library keeps it to itself.
type LastError = Arc<Mutex<Option<String>>>;

struct Exchange {
    request: Request<Bytes>,
    reply: oneshot::Sender<Result<Response<Bytes>, HttpError>>,
}

/// The gateway's HTTP client, for those on other threads.
#[derive(Debug)]
struct Client {
    exchanges: mpsc::Sender<Exchange>,
    last_error: LastError,
}

impl Client {
    /// Starts the thread. It ends when the client is dropped.
    fn start(patience: Duration, last_error: LastError) -> std::io::Result<Self> {
        let (exchanges, waiting) = mpsc::channel(QUEUE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("traces".into())
            .spawn(move || LocalSet::new().block_on(&runtime, serve(waiting, patience)))?;
        Ok(Self { exchanges, last_error })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (reply, answer) = oneshot::channel();
        self.exchanges.send(Exchange { request, reply }).await.map_err(|_| "the thread for exports is gone")?;
        let answer = answer.await.map_err(|_| "the thread for exports is gone")?;
        if let Ok(mut last_error) = self.last_error.lock() {
            *last_error = answer.as_ref().err().map(ToString::to_string);
        }
        answer
    }
}

async fn serve(mut waiting: mpsc::Receiver<Exchange>, patience: Duration) {
    let connector = awc::Connector::new().timeout(CONNECT_TIMEOUT.min(patience));
    let client = awc::Client::builder().connector(connector).timeout(patience).disable_redirects().finish();
    while let Some(Exchange { request, reply }) = waiting.recv().await {
        let answer = timeout(patience, exchange(&client, request)).await;
        let late = |_| Err(format!("no answer within {} s", patience.as_secs_f64()).into());
        // The thread that asked is gone only if the process ends.
        let _ = reply.send(answer.unwrap_or_else(late));
    }
}

/// The types of the two libraries' requests are of different versions of the same crate.
async fn exchange(client: &awc::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    let mut sending = client.post(head.uri.to_string());
    for (name, value) in &head.headers {
        sending = sending.insert_header((name.as_str(), value.as_bytes()));
    }
    let mut answer = sending.send_body(body).await.map_err(|error| error.to_string())?;
    let body = answer.body().limit(MAX_ANSWER_BYTES).await.map_err(|error| error.to_string())?;
    let mut response = Response::builder().status(answer.status().as_u16());
    if let Some(wait) = answer.headers().get("retry-after") {
        response = response.header("retry-after", wait.as_bytes());
    }
    Ok(response.body(body)?)
}

/// An exporter whose failures are reported, but not each of them.
pub(super) struct Reported<E> {
    exporter: E,
    last_error: LastError,
    failing: Mutex<Option<Failing>>,
}

/// Since the last success.
struct Failing {
    /// Spans lost.
    lost: usize,
    reported_at: Instant,
}

impl<E: SpanExporter> SpanExporter for Reported<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.note(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> Reported<E> {
    fn note(&self, spans: usize, result: &OTelSdkResult) {
        // Only this function locks it, on one thread.
        let Ok(mut failing) = self.failing.lock() else { return };
        let Err(error) = result else {
            if let Some(Failing { lost, .. }) = failing.take() {
                tracing::info!(lost, "traces are exported again");
            }
            return;
        };
        let lost = spans + failing.as_ref().map_or(0, |failing| failing.lost);
        let last = failing.as_ref().map(|failing| failing.reported_at);
        let due = last.is_none_or(|last| last.elapsed() >= SILENCE);
        if due {
            let last_error = self.last_error.lock().ok().and_then(|mut last_error| last_error.take());
            let cause = last_error.unwrap_or_else(|| error.to_string());
            tracing::warn!(cause, lost, "traces cannot be exported; the gateway works without");
        }
        *failing = Some(Failing { lost, reported_at: last.filter(|_| !due).unwrap_or_else(Instant::now) });
    }
}

impl<E: fmt::Debug> fmt::Debug for Reported<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exporter.fmt(f)
    }
}
