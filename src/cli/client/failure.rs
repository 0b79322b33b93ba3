//! Why a command did not work, told to people.

use std::time::Duration;

use actix_web::error::ParseError;
use awc::error::{ConnectError, SendRequestError};
use awc::http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::ServerUrl;
use super::trust::in_words;
use crate::api::{Code, Problem};
use crate::cli::command_line::CommandLine;
use crate::cli::exit::Exit;

/// How much of an answer that is not ours is shown, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// Why a command did not work. Shown as one line or several.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No job has such an id.
    #[error("{0}")]
    NoSuchJob(String),
    /// The user ended the following of a job or a group.
    #[error("{}", go_on(.what, .options))]
    Stopped {
        /// Which one.
        what: Followed,
        /// The options that say which gateway has it.
        options: String,
    },
    /// What is at this address is no gateway, and will not become one.
    #[error("cannot reach the gateway at {server}: {detail}")]
    WrongAddress {
        /// The address.
        server: ServerUrl,
        /// Why.
        detail: String,
    },
    /// The name in the address is not known. A gateway that was there may be without one while it starts again.
    #[error("cannot reach the gateway at {server}: its name cannot be resolved: {detail}")]
    UnknownName {
        /// The address.
        server: ServerUrl,
        /// Why.
        detail: String,
    },
    /// There was no connection, so that nothing was sent.
    #[error("cannot reach the gateway at {server}: {detail}")]
    NotConnected {
        /// The gateway.
        server: ServerUrl,
        /// Why.
        detail: String,
    },
    /// The server cannot show that it is the gateway. Nothing was sent.
    #[error("cannot trust the gateway at {server}: {detail}")]
    Untrusted {
        /// The gateway.
        server: ServerUrl,
        /// Why.
        detail: String,
    },
    /// A request was sent, or part of it, and no complete answer came.
    #[error("no answer from the gateway at {server}: {detail}")]
    NoAnswer {
        /// The gateway.
        server: ServerUrl,
        /// Why.
        detail: String,
    },
    /// The gateway says no, or that it cannot.
    #[error("{}", describe(.problem))]
    Problem {
        /// In its own words.
        problem: Box<Problem>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// An answer that this client does not understand: of another server, a proxy, or a newer gateway.
    #[error("unexpected answer, status {status}: {detail}")]
    Strange {
        /// Its HTTP status.
        status: u16,
        /// What is strange about it.
        detail: String,
    },
    /// The key that a stream was opened with is not good any more.
    #[error(
        "the API key is no longer good, and the gateway ended the stream (unauthorized)\n  {ANOTHER_KEY}\n  The jobs are not \
         affected."
    )]
    KeyEnded,
    /// What has an idempotency key failed, after it may have been accepted.
    #[error("{last}\n  It may have been accepted all the same.")]
    Undecided {
        /// The last failure.
        last: Box<Self>,
        /// The idempotency key it had.
        key: String,
    },
}

/// What a command follows to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The job with this id.
    Job(Uuid),
    /// The group with this id.
    Group(Uuid),
}

fn go_on(what: &Followed, options: &str) -> String {
    let (name, follow, cancel) = match what {
        Followed::Job(id) => ("job", format!("jobs {id} --wait"), format!("cancel {id}")),
        Followed::Group(id) => ("group", format!("groups {id} --wait"), format!("groups {id} --cancel")),
    };
    format!("The {name} goes on.\n  Follow it: scalegate {follow}{options}\n  Cancel it: scalegate {cancel}{options}")
}

impl Failure {
    /// Why a request brought no answer. awc also reports a connection closed *after* the request was sent as a failure
    /// to connect, with [`ConnectError::Disconnected`]; only the other kinds mean that nothing was sent.
    pub(super) fn of_sending(server: &ServerUrl, error: SendRequestError) -> Self {
        let server = server.clone();
        match error {
            SendRequestError::Connect(ConnectError::Disconnected) => {
                Self::NoAnswer { server, detail: "the connection was closed".into() }
            }
            SendRequestError::Connect(ConnectError::Io(error)) => Self::of_connecting(server, &error),
            SendRequestError::Connect(ConnectError::Resolver(error)) => {
                Self::UnknownName { server, detail: error.to_string() }
            }
            SendRequestError::Connect(error) => Self::NotConnected { server, detail: error.to_string() },
            SendRequestError::Url(error) => Self::NotConnected { server, detail: error.to_string() },
            // Not even the name of the protocol: what answers in plain HTTP has that.
            SendRequestError::Response(ParseError::Version) if !server.is_https() => {
                Self::WrongAddress { server, detail: "it does not speak HTTP; perhaps it is https://".to_owned() }
            }
            SendRequestError::Response(error) if !server.is_https() => {
                Self::NoAnswer { server, detail: format!("it does not speak HTTP ({error}); perhaps it is https://") }
            }
            SendRequestError::Timeout => Self::NoAnswer { server, detail: "it takes too long".into() },
            error => Self::NoAnswer { server, detail: error.to_string() },
        }
    }

    /// Why there is no connection, or not one with TLS where there should be.
    fn of_connecting(server: ServerUrl, error: &std::io::Error) -> Self {
        match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(why)) => Self::Untrusted { server, detail: in_words(why) },
            Some(rustls::Error::InvalidMessage(_)) => Self::WrongAddress {
                server,
                detail: "what answers does not speak TLS; perhaps it is http://".to_owned(),
            },
            _ => Self::NotConnected { server, detail: error.to_string() },
        }
    }

    /// What an answer that is not 2xx says.
    pub(super) fn of_answer(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        if let Ok(problem) = serde_json::from_slice(body) {
            return Self::Problem { problem: Box::new(problem), retry_after };
        }
        // A problem with a code that did not exist when this client was built still has words.
        let words = serde_json::from_slice::<Value>(body).ok().and_then(|document| {
            let text = |name: &str| document.get(name)?.as_str().map(str::to_owned);
            Some(format!("{}: {}", text("title")?, text("detail")?))
        });
        let shown = || String::from_utf8_lossy(body).trim().chars().take(MAX_SHOWN_CHARS).collect::<String>();
        let detail = words.unwrap_or_else(shown);
        let detail = if detail.is_empty() { "(no body)".to_owned() } else { detail };
        Self::Strange { status: status.as_u16(), detail }
    }

    /// The failure with the commands to run next: `command` is the one that failed, and `options` say which gateway it was for.
    pub fn with_next(&self, command: &CommandLine, options: &str) -> String {
        let mut told = self.to_string();
        let mut add = |purpose: &str, command: String| told.push_str(&format!("\n  {purpose}: {command}"));
        match self {
            Self::Undecided { key, .. } => {
                add("To send it again without the risk of having it twice", command.with("--idempotency-key", key));
            }
            Self::Problem { problem, .. } => {
                if problem.code == Code::ResourceBusy {
                    add("To let this job wait for its turn", command.with("--on-conflict", "queue"));
                    add("To end the other one", command.with("--on-conflict", "supersede"));
                }
                if let Some(job) = &problem.job {
                    add("To look at that job", format!("scalegate jobs {}{options}", job.id));
                }
            }
            _ => {}
        }
        told
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Problem { problem, .. } => Some(problem.status),
            Self::Strange { status, .. } => Some(*status),
            Self::Undecided { last, .. } => last.status(),
            Self::KeyEnded => Some(StatusCode::UNAUTHORIZED.as_u16()),
            Self::NoSuchJob(_) => Some(StatusCode::NOT_FOUND.as_u16()),
            Self::Usage(_)
            | Self::Stopped { .. }
            | Self::WrongAddress { .. }
            | Self::UnknownName { .. }
            | Self::NotConnected { .. }
            | Self::Untrusted { .. }
            | Self::NoAnswer { .. } => None,
        }
    }

    /// How a command ends that failed like this.
    pub fn exit(&self) -> Exit {
        match (self, self.status()) {
            (Self::Usage(_), _) => Exit::Usage,
            (Self::Stopped { .. }, _) => Exit::Interrupted,
            (_, Some(400..=499)) => Exit::Refused,
            _ => Exit::Unreachable,
        }
    }

    /// Whether the gateway may have done what it was asked for.
    pub(super) fn may_have_been_obeyed(&self) -> bool {
        match self {
            Self::Usage(_)
            | Self::NoSuchJob(_)
            | Self::Stopped { .. }
            | Self::WrongAddress { .. }
            | Self::UnknownName { .. }
            | Self::NotConnected { .. }
            | Self::Untrusted { .. }
            | Self::KeyEnded => false,
            Self::Problem { problem, .. } => !matches!(problem.status, 400..=499 | 503),
            Self::Strange { status, .. } => !(400..=499).contains(status),
            Self::NoAnswer { .. } | Self::Undecided { .. } => true,
        }
    }

    /// Whether the same request may fare better in a moment.
    pub(super) fn may_pass_when_repeated(&self) -> bool {
        match self {
            Self::NotConnected { .. } | Self::NoAnswer { .. } => true,
            _ => matches!(self.status(), Some(502..=504)),
        }
    }

    /// Whether the gateway says no with this `code`.
    pub fn has_code(&self, code: Code) -> bool {
        matches!(self, Self::Problem { problem, .. } if problem.code == code)
    }

    /// Whether it came too late for the job.
    pub fn is_about_a_finished_job(&self) -> bool {
        self.has_code(Code::JobFinished)
    }

    /// Whether the group is over, and cannot be canceled any more.
    pub fn is_about_a_finished_group(&self) -> bool {
        self.has_code(Code::GroupFinished)
    }

    /// Whether the request was one too many in its second, and was not looked at for that.
    pub(super) fn is_rate_limit(&self) -> bool {
        self.has_code(Code::RateLimited)
    }

    /// Whether this is what a gateway that restarts, or a proxy before it, looks like.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::UnknownName { .. } | Self::NotConnected { .. } | Self::NoAnswer { .. } => true,
            _ => matches!(self.status(), Some(408 | 425 | 429 | 500..=599)),
        }
    }

    /// When the gateway wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

const ANOTHER_KEY: &str =
    "Put another key into SCALEGATE_KEY or the file given by --key-file; `scalegate keys create` makes one.";

/// What to do about a problem that has to do with keys.
fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::AuthenticationRequired => {
            "Set SCALEGATE_KEY to a key, or give a file with one by --key-file; `scalegate keys create` makes one."
        }
        Code::InvalidKey | Code::KeyExpired | Code::KeyRevoked => ANOTHER_KEY,
        Code::InsufficientScope => {
            "Put a key with that scope into SCALEGATE_KEY or the file given by --key-file; `scalegate keys create` makes one."
        }
        Code::ResourceForbidden => {
            "`scalegate keys list`, where the gateway runs, shows which key is for which resources."
        }
        Code::RateLimited => "The gateway's --max-request-rate says how many there can be.",
        _ => return None,
    })
}

/// A problem document as people want to read it: the kind, what is wrong, where, and in whose words.
fn describe(problem: &Problem) -> String {
    let mut text = format!("{} ({} {})", problem.title, problem.status, problem.code.as_str());
    let mut add = |line: String| text.push_str(&format!("\n  {line}"));
    // The detail of an invalid request is the list of its errors in one sentence.
    let invalid = problem.code == Code::ValidationFailed && !problem.errors.is_empty();
    if !invalid {
        add(problem.detail.clone());
    }
    for error in problem.errors.iter().filter(|error| invalid || error.detail != problem.detail) {
        match error.pointer.trim_start_matches('/') {
            "" => add(error.detail.clone()),
            field => add(format!("{field}: {}", error.detail)),
        }
    }
    if let Some(answer) = &problem.sidecar {
        add(format!("The sidecar said ({}): {}", answer.status, answer.body.trim()));
    }
    if let Some(advice) = advice(problem.code) {
        add(advice.to_owned());
    }
    text
}
