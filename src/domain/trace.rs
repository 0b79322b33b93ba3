//! Where in a distributed trace something belongs, as W3C Trace Context writes it down.
//!
//! Nothing is decided by it. It comes with a request, is kept with the job, and goes out with the calls made for that job,
//! by whichever process makes them. What a tracing library makes of it is that library's affair: its own type for this
//! would be in every record.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::job_id::JobId;

/// Longest `tracestate` that is passed on, in characters. Those who receive one must be able to pass on so many, and it is
/// kept with every job.
pub const MAX_TRACE_STATE_CHARS: usize = 512;
/// Length of a `traceparent` as far as it is understood: version, trace, span, flags, and the dashes between them.
const TRACEPARENT_LEN: usize = 55;

/// A span and its trace. Neither id is zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    state: Option<String>,
}

impl TraceContext {
    /// The span `span_id` in the trace `trace_id`; `None` if either is zero. A `state` that must not be passed on is left
    /// out.
    pub fn new(trace_id: u128, span_id: u64, flags: u8, state: Option<&str>) -> Option<Self> {
        let state = state.map(str::trim).filter(|state| is_passed_on(state)).map(str::to_owned);
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags, state })
    }

    /// Reads the headers `traceparent` and `tracestate`; `None` if the former is not exactly what it should be.
    ///
    /// A version that is not known yet is read as far as the standard allows, and becomes the known one.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (known, rest) = traceparent.split_at_checked(TRACEPARENT_LEN)?;
        let mut parts = known.split('-');
        let version = hex(parts.next()?, 2)?;
        let (trace_id, span_id) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?);
        let flags = hex(parts.next()?, 2)?;
        let flags = match version {
            0 if rest.is_empty() => flags,
            0 | 0xff => return None,
            // Of the flags of an unknown version, only the one for "sampled" has a meaning.
            _ if rest.is_empty() || rest.starts_with('-') => flags & 1,
            _ => return None,
        };
        let nothing_more = parts.next().is_none();
        Self::new(trace_id, u64::try_from(span_id).ok()?, u8::try_from(flags).ok()?, tracestate)
            .filter(|_| nothing_more)
    }

    /// The trace.
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The span.
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// The flags; the lowest bit says that the trace is recorded.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// The header `traceparent`.
    pub fn traceparent(&self) -> String {
        self.to_string()
    }

    /// The header `tracestate`, if there is one. Visible ASCII, spaces and tabs.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl fmt::Display for TraceContext {
    /// As `traceparent` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| fits)
}

/// Cutting a longer one would have to respect its entries, and none of them is worth that much.
fn is_passed_on(state: &str) -> bool {
    let harmless = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    !state.is_empty() && state.len() <= MAX_TRACE_STATE_CHARS && state.bytes().all(harmless)
}

/// As it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    traceparent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
}

impl From<TraceContext> for Written {
    fn from(trace: TraceContext) -> Self {
        Self { traceparent: trace.traceparent(), tracestate: trace.state }
    }
}

impl TryFrom<Written> for TraceContext {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        Self::parse(&written.traceparent, written.tracestate.as_deref()).ok_or("not a traceparent")
    }
}

/// On whose behalf the sidecar is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The job; `None` for a caller who only observes.
    pub job: Option<JobId>,
    /// Where the job, or the request of the caller, belongs.
    pub trace: Option<TraceContext>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_was_read_is_written_the_same() {
        for (flags, state) in [("00", None), ("01", Some("vendor=1,other=x y")), ("03", Some("a=b"))] {
            let header = format!("{}{flags}", &PARENT[..53]);
            let trace = TraceContext::parse(&header, state).expect("a context");
            assert_eq!((trace.traceparent().as_str(), trace.tracestate()), (header.as_str(), state));
            let written = serde_json::to_string(&trace).expect("it can be written");
            assert_eq!(serde_json::from_str::<TraceContext>(&written).expect("and read"), trace, "{written}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_the_known_one() {
        for later in [
            PARENT.replacen("00", "01", 1),
            format!("{}-more", PARENT.replacen("00", "fe", 1)),
            PARENT.replacen("00", "cc", 1).replace("-01", "-ff"),
        ] {
            let trace = TraceContext::parse(&later, None).map(|trace| trace.traceparent());
            assert_eq!(trace.as_deref(), Some(PARENT), "{later}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for wrong in [
            String::new(),
            "00".into(),
            format!(" {PARENT}"),
            format!("{PARENT} "),
            format!("{PARENT}-"),
            format!("{PARENT}-00"),
            PARENT.to_uppercase(),
            PARENT.replacen("00", "ff", 1),
            PARENT.replacen("00", "0x", 1),
            format!("{}more", PARENT.replacen("00", "01", 1)),
            PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
            PARENT.replace("-b7", "b-7"),
            PARENT.replace("-01", "--1"),
            PARENT.replace("-01", "-+1"),
            PARENT.replace("0af", "+af"),
            PARENT.replace("0af", "ä"),
            "-".repeat(55),
            "0".repeat(55),
        ] {
            assert_eq!(TraceContext::parse(&wrong, None), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_state_that_could_do_harm_is_left_out() {
        let longest = "x".repeat(MAX_TRACE_STATE_CHARS);
        for (state, kept) in [
            (longest.as_str(), true),
            (&format!("{longest}x"), false),
            ("", false),
            ("  ", false),
            ("a=b\r\nEvil: 1", false),
            ("a=ü", false),
        ] {
            let trace = TraceContext::parse(PARENT, Some(state)).expect("a context");
            assert_eq!(trace.tracestate(), kept.then_some(state), "{state:?}");
            assert_eq!(trace.traceparent(), PARENT);
        }
    }

    #[test]
    fn a_record_that_is_none_is_refused() {
        for wrong in [r#"{"traceparent":"00-1"}"#, r#"{"tracestate":"a=b"}"#] {
            assert!(serde_json::from_str::<TraceContext>(wrong).is_err(), "{wrong}");
        }
    }
}
