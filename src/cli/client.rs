//! The gateway as the command line sees it: HTTP requests, and what their answers mean.
//!
//! Only submissions and claims are ever sent twice, and only under one idempotency key: the first may have been accepted although
//! its answer was lost, and a second job would scale twice. What was refused because of too many requests was not even
//! looked at, and is sent again whatever it is.

mod failure;
mod groups;
mod key;
mod policies;
mod server;
mod stream;
#[cfg(test)]
pub(super) mod stub;
mod subscription;
#[cfg(test)]
mod tests;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use awc::http::StatusCode;
use awc::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use awc::{ClientRequest, ClientResponse, Connector};
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use failure::{Failure, Followed};
pub use groups::SubmittedGroup;
pub use key::GatewayArgs;
pub use server::{ServerArgs, ServerUrl};
pub use subscription::{Heard, Subscription};
pub use trust::Trust;

use self::stream::EventStream;
use crate::access::Token;
use crate::api::Submission;
use crate::api::view::{JobList, JobView, Plan, job_path};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer that is not held back on purpose. A plan is the slowest: it asks the sidecar.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer read: a full page of jobs with as many steps as a job may have.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Pauses before a submission is sent again. Enough for a lost packet or a connection closed at the wrong moment; a
/// gateway that is not there at all should be reported while the user still looks.
const SUBMIT_PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// Longest pause a gateway can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often a request is sent again that was one too many in its second.
const MAX_RATE_WAITS: usize = 3;
/// Shortest pause before that.
const LEAST_RATE_WAIT: Duration = Duration::from_millis(100);
/// How long a stream of events may be silent. A gateway sends a heartbeat every 15 s: two may be late or lost.
const SILENCE: Duration = Duration::from_secs(45);
/// The media type of streams of events.
const EVENT_STREAM: &str = "text/event-stream";

/// A running gateway.
pub struct Client {
    http: awc::Client,
    server: ServerUrl,
    submit_pauses: Vec<Duration>,
    silence: Duration,
}

/// An accepted submission.
#[derive(Debug)]
pub struct Submitted {
    /// The job.
    pub job: JobView,
    /// Whether it is an earlier one that does the same.
    pub joined: bool,
}

/// Which jobs or groups to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only those for this resource.
    pub resource: Option<String>,
    /// Only those in one of these states, if there are any.
    pub states: Vec<&'static str>,
    /// How many, at most 200.
    pub page_size: usize,
    /// Where to go on.
    pub page_token: Option<String>,
}

impl ListQuery {
    /// The address of that page of the `list`.
    fn of(&self, list: &str) -> String {
        let mut path = format!("{list}?pageSize={}", self.page_size);
        let mut add = |name: &str, value: &str| {
            path.push_str(&format!("&{name}={}", encoded(value)));
        };
        self.resource.iter().for_each(|resource| add("resource", resource));
        self.states.iter().for_each(|state| add("state", state));
        self.page_token.iter().for_each(|token| add("pageToken", token));
        path
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Client {
    /// The gateway at `server`, over plain HTTP and without a key. Must be made within an actix runtime, on the thread
    /// that uses it.
    pub fn new(server: ServerUrl) -> Self {
        Self::with(server, None, None)
    }

    /// The gateway at `server`, for the owner of the `key`. Must be made within an actix runtime, on the thread that
    /// uses it.
    ///
    /// # Errors
    /// If it is to be spoken to over HTTPS, and no authority can be trusted.
    pub fn connect(server: ServerUrl, key: Option<&Token>, trust: &Trust) -> Result<Self, Failure> {
        let tls = if server.is_https() { Some(trust.tls()?) } else { None };
        Ok(Self::with(server, key, tls))
    }

    fn with(server: ServerUrl, key: Option<&Token>, tls: Option<Arc<ClientConfig>>) -> Self {
        let connector = Connector::new().timeout(CONNECT_TIMEOUT).handshake_timeout(CONNECT_TIMEOUT);
        let connector = match tls {
            Some(tls) => connector.rustls_0_23(tls),
            None => connector,
        };
        let mut http = awc::Client::builder()
            .connector(connector)
            .timeout(ANSWER_TIMEOUT)
            .disable_redirects()
            .add_default_header(("User-Agent", concat!("scalegate/", env!("CARGO_PKG_VERSION"))));
        if let Some(key) = key {
            http = http.add_default_header((AUTHORIZATION, bearer(key)));
        }
        Self { http: http.finish(), server, submit_pauses: SUBMIT_PAUSES.to_vec(), silence: SILENCE }
    }

    /// The same with other pauses before a submission is sent again.
    #[cfg(test)]
    pub fn with_submit_pauses(mut self, pauses: &[Duration]) -> Self {
        self.submit_pauses = pauses.to_vec();
        self
    }

    /// The same, but streams may be silent for `silence`.
    #[cfg(test)]
    pub fn with_silence(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// Submits a job, several times under the same `key` if need be. `on_retry` hears of each failure but the last.
    ///
    /// # Errors
    /// The last failure, with a word on whether the job may have been accepted in spite of it.
    pub async fn submit(
        &self,
        submission: &Submission,
        key: &str,
        on_retry: impl FnMut(&Failure),
    ) -> Result<Submitted, Failure> {
        self.send_under(key, on_retry, async || self.submit_once(submission, key).await).await
    }

    /// What `send` obtains under an idempotency `key`, tried several times if need be.
    async fn send_under<T>(
        &self,
        key: &str,
        mut on_retry: impl FnMut(&Failure),
        send: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut maybe_accepted = false;
        let mut pauses = self.submit_pauses.iter();
        loop {
            let failure = match send().await {
                Ok(obtained) => return Ok(obtained),
                Err(failure) => failure,
            };
            maybe_accepted |= failure.may_have_been_obeyed();
            match pauses.next() {
                Some(pause) if failure.may_pass_when_repeated() => {
                    on_retry(&failure);
                    tokio::time::sleep(failure.retry_after().unwrap_or_default().clamp(*pause, MAX_PAUSE)).await;
                }
                _ if maybe_accepted => {
                    return Err(Failure::Undecided { last: Box::new(failure), key: key.to_owned() });
                }
                _ => return Err(failure),
            }
        }
    }

    async fn submit_once(&self, submission: &Submission, key: &str) -> Result<Submitted, Failure> {
        let request = self.http.post(self.url("/v1/jobs")).insert_header(("Idempotency-Key", key));
        let answer = self.exchange(request, Some(submission)).await?;
        let joined = answer.status == StatusCode::OK;
        Ok(Submitted { job: self.read(answer)?, joined })
    }

    /// What the gateway would do.
    ///
    /// # Errors
    /// If it refuses, fails or cannot be reached.
    pub async fn plan(&self, submission: &Submission) -> Result<Plan, Failure> {
        self.read(self.exchange(self.http.post(self.url("/v1/plans")), Some(submission)).await?)
    }

    /// The job `id`.
    ///
    /// # Errors
    /// If there is none, or the gateway fails or cannot be reached.
    pub async fn job(&self, id: Uuid) -> Result<JobView, Failure> {
        self.read(self.get(&job_path(id)).await?)
    }

    /// The changes of the job `id`, beginning with the job as it is, from a gateway that may be away for `patience`.
    pub fn job_events(&self, id: Uuid, patience: Duration) -> Subscription<'_> {
        Subscription::new(self, format!("{}/events", job_path(id)), patience)
    }

    /// The changes of all jobs, or of those for `resource`, from now on.
    pub fn events(&self, resource: Option<&str>, patience: Duration) -> Subscription<'_> {
        let mut path = "/v1/events".to_owned();
        if let Some(resource) = resource {
            path.push_str(&format!("?resource={}", encoded(resource)));
        }
        Subscription::new(self, path, patience)
    }

    /// A page of jobs.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn list(&self, query: &ListQuery) -> Result<JobList, Failure> {
        self.look_at(&query.of("/v1/jobs")).await
    }

    /// Cancels the job `id`.
    ///
    /// # Errors
    /// If there is none, it is over, or the gateway fails or cannot be reached.
    pub async fn cancel(&self, id: Uuid) -> Result<JobView, Failure> {
        let request = self.http.post(self.url(&format!("{}/cancel", job_path(id))));
        self.read(self.exchange(request, None::<&()>).await?)
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// If it is something else, or the gateway refuses, fails or cannot be reached.
    pub async fn look_at<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.read(self.get(path).await?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.exchange(self.http.get(self.url(path)), None::<&()>).await
    }

    /// Opens the stream of events at `path` where it goes on after the event `last`. `None` if nothing will come after
    /// it.
    async fn open(&self, path: &str, last: Option<&str>) -> Result<Option<EventStream>, Failure> {
        let mut request = self.http.get(self.url(path)).insert_header((ACCEPT, EVENT_STREAM));
        if let Some(last) = last {
            request = request.insert_header(("Last-Event-ID", last));
        }
        let response = self.send(request, None::<&()>).await?;
        match response.status() {
            StatusCode::NO_CONTENT => return Ok(None),
            StatusCode::OK => {}
            _ => return Err(self.refusal(&self.receive(response).await?)),
        }
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !media_type.starts_with(EVENT_STREAM) {
            let detail = format!("What answers at {} gives no events, but {media_type:?}.", self.server);
            return Err(Failure::Strange { status: 200, detail });
        }
        Ok(Some(EventStream::new(self.server.clone(), response, self.silence)))
    }

    async fn exchange(&self, request: ClientRequest, body: Option<&impl Serialize>) -> Result<Answer, Failure> {
        let response = self.send(request, body).await?;
        self.receive(response).await
    }

    /// What the gateway answers, once it does not say any more that there are too many requests.
    async fn send(&self, request: ClientRequest, body: Option<&impl Serialize>) -> Result<ClientResponse, Failure> {
        let request = request.freeze().map_err(|error| Failure::of_sending(&self.server, error.into()))?;
        let mut waits = 0..MAX_RATE_WAITS;
        loop {
            let sending = match body {
                Some(body) => request.send_json(body),
                None => request.send(),
            };
            let response = sending.await.map_err(|error| Failure::of_sending(&self.server, error))?;
            if response.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok(response);
            }
            let refusal = self.refusal(&self.receive(response).await?);
            if !refusal.is_rate_limit() || waits.next().is_none() {
                return Err(refusal);
            }
            tokio::time::sleep(refusal.retry_after().unwrap_or_default().clamp(LEAST_RATE_WAIT, MAX_PAUSE)).await;
        }
    }

    async fn receive(&self, response: ClientResponse) -> Result<Answer, Failure> {
        let mut response = response.timeout(ANSWER_TIMEOUT);
        let body = response.body().limit(MAX_ANSWER_BYTES).await;
        let body = body.map_err(|error| self.no_answer(&format!("the answer broke off: {error}")))?;
        Ok(Answer { status: response.status(), headers: response.headers().clone(), body: body.to_vec() })
    }

    fn no_answer(&self, detail: &str) -> Failure {
        Failure::NoAnswer { server: self.server.clone(), detail: detail.to_owned() }
    }

    /// What an answer says that is not 2xx.
    fn refusal(&self, answer: &Answer) -> Failure {
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Failure::of_answer(answer.status, &answer.body, retry_after.map(Duration::from_secs))
    }

    /// What a 2xx answer says.
    fn read<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, Failure> {
        if !answer.status.is_success() {
            return Err(self.refusal(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| Failure::Strange {
            status: answer.status.as_u16(),
            detail: format!("What answers at {} does not look like a gateway: {error}.", self.server),
        })
    }
}

fn bearer(key: &Token) -> HeaderValue {
    // Letters, digits and an underscore are always fine in a header.
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose())).expect("a key is plain text");
    // So that it is not printed with the others.
    value.set_sensitive(true);
    value
}

fn encoded(value: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
}
