//! The command line of `scalegate serve`.
//!
//! Every option is kept as text, together with whether a flag or the environment gave it. Parsing it here, by the
//! command-line library, would report a wrong environment variable as a wrong flag, could not take an empty variable
//! as unset, and would speak of the same value in other words than the configuration file.

use std::ffi::{OsStr, OsString};

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::parser::ValueSource;

/// What is to be known besides the options.
const AFTER_HELP: &str = "\
SCALEGATE_LOG sets what is logged, in the syntax of RUST_LOG: info (the default), debug, scalegate=debug.

Traces are exported by OTLP (http/protobuf) if the standard variable OTEL_EXPORTER_OTLP_ENDPOINT, for instance
http://collector:4318, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set. OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TIMEOUT and OTEL_BSP_* are obeyed as well.

SCALEGATE_ADMIN_KEY may hold the admin key itself. There is no flag for it: other processes can see flags.

An unknown variable SCALEGATE_* stops the start; those of others are left alone.

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 did not start, or died; 2 wrong configuration; 130 second signal.";

/// Run the gateway
///
/// A setting is taken from its flag, else from its environment variable, else from the configuration file, else from
/// its default. An empty environment variable counts as unset. What the file says about one resource
/// (`[resources.<alias>]`) holds for that resource, whatever the general setting is.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "SCALEGATE_LISTEN", value_name = "ADDR:PORT", help_heading = SERVER)]
    pub listen: Option<Given>,

    /// Where the sidecar is, as http://host:port [default: http://127.0.0.1:49750]
    #[arg(long, env = "SCALEGATE_SIDECAR_URL", value_name = "URL", help_heading = SERVER)]
    pub sidecar_url: Option<Given>,

    /// Directory of the durable records; a relative one starts at the working directory [default: ./scalegate-data]
    #[arg(long, env = "SCALEGATE_DATA_DIR", value_name = "DIR", help_heading = SERVER)]
    pub data_dir: Option<Given>,

    /// TOML file with the same settings in snake_case, and settings and bounds for single resources [default: none]
    #[arg(long, env = "SCALEGATE_CONFIG", value_name = "FILE", help_heading = SERVER)]
    pub config: Option<Given>,

    /// How logs are written: text for people, json for machines [default: text]
    #[arg(long, env = "SCALEGATE_LOG_FORMAT", value_name = "text|json", help_heading = SERVER)]
    pub log_format: Option<Given>,

    /// File to which a line of JSON is appended for each attempt to change something, as GET /v1/audit shows it; it may be renamed at any time [default: none]
    #[arg(long, env = "SCALEGATE_AUDIT_LOG", value_name = "FILE", help_heading = SERVER)]
    pub audit_log: Option<Given>,

    /// Longest time to finish requests and record changes in flight after SIGTERM [default: 8s]
    #[arg(long, env = "SCALEGATE_SHUTDOWN_GRACE", value_name = "DURATION", help_heading = SERVER)]
    pub shutdown_grace: Option<Given>,

    /// Show the outcome of flags, environment and file as a configuration file, and exit
    #[arg(long, help_heading = SERVER)]
    pub print_config: bool,

    /// Let everybody who reaches the gateway do everything without a key, on any address [default: false]
    #[arg(long, env = "SCALEGATE_INSECURE_NO_AUTH", value_name = "true|false", help_heading = ACCESS,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub insecure_no_auth: Option<Given>,

    /// Want a key in any case, and do not start without one, also on a loopback address and with a new data directory [default: false]
    #[arg(long, env = "SCALEGATE_REQUIRE_KEY", value_name = "true|false", help_heading = ACCESS,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub require_key: Option<Given>,

    /// File with an admin key made by `scalegate keys generate`; or set SCALEGATE_ADMIN_KEY to the key [default: none]
    #[arg(long, env = "SCALEGATE_ADMIN_KEY_FILE", value_name = "FILE", help_heading = ACCESS)]
    pub admin_key_file: Option<Given>,

    /// Serve /metrics without a key [default: false]
    #[arg(long, env = "SCALEGATE_OPEN_METRICS", value_name = "true|false", help_heading = ACCESS,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub open_metrics: Option<Given>,

    /// Names by which the gateway may be called, besides those of its address [default: none]
    #[arg(long, env = "SCALEGATE_ALLOWED_HOSTS", value_name = "NAME,...", help_heading = ACCESS)]
    pub allowed_hosts: Option<Given>,

    /// Origins of other web pages that may call the API from a browser, each as a scheme, a host and maybe a port [default: none]
    #[arg(long, env = "SCALEGATE_ALLOWED_ORIGINS", value_name = "ORIGIN,...", help_heading = ACCESS)]
    pub allowed_origins: Option<Given>,

    /// Certificate chain in PEM to serve HTTPS with; read again when it changes [default: none]
    #[arg(long, env = "SCALEGATE_TLS_CERT", value_name = "FILE", help_heading = ACCESS)]
    pub tls_cert: Option<Given>,

    /// Private key in PEM that belongs to the certificate [default: none]
    #[arg(long, env = "SCALEGATE_TLS_KEY", value_name = "FILE", help_heading = ACCESS)]
    pub tls_key: Option<Given>,

    /// Most requests a second with one API key, or without one from one network, this machine apart; 0: no limit [default: 100]
    #[arg(long, env = "SCALEGATE_MAX_REQUEST_RATE", value_name = "REQUESTS", help_heading = ACCESS)]
    pub max_request_rate: Option<Given>,

    /// Most event streams open at a time with one API key, or without one from one network, this machine apart; 0: no limit [default: 500]
    #[arg(long, env = "SCALEGATE_MAX_STREAMS_PER_KEY", value_name = "STREAMS", help_heading = ACCESS)]
    pub max_streams_per_key: Option<Given>,

    /// Least time between two changes of one resource [default: 5m]
    #[arg(long, env = "SCALEGATE_COOLDOWN", value_name = "DURATION", help_heading = JOBS)]
    pub cooldown: Option<Given>,

    /// Most capacity units changed in one step [default: 1]
    #[arg(long, env = "SCALEGATE_STEP_SIZE", value_name = "UNITS", help_heading = JOBS)]
    pub step_size: Option<Given>,

    /// Longest wait for a resource to become ACTIVE, for a change to show, or for the sidecar to answer [default: 15m]
    #[arg(long, env = "SCALEGATE_ACTIVE_TIMEOUT", value_name = "DURATION", help_heading = JOBS)]
    pub active_timeout: Option<Given>,

    /// Longest time between two readings while a job waits [default: 30s]
    #[arg(long, env = "SCALEGATE_POLL_INTERVAL", value_name = "DURATION", help_heading = JOBS)]
    pub poll_interval: Option<Given>,

    /// How long a change may take to have its effect and to be seen in readings [default: 90s]
    #[arg(long, env = "SCALEGATE_SETTLE", value_name = "DURATION", help_heading = JOBS)]
    pub settle: Option<Given>,

    /// Longest life of a job, counted from its submission [default: 24h]
    #[arg(long, env = "SCALEGATE_DEADLINE", value_name = "DURATION", help_heading = JOBS)]
    pub deadline: Option<Given>,

    /// Least cooldown that a job may ask for [default: 0s]
    #[arg(long, env = "SCALEGATE_MIN_COOLDOWN", value_name = "DURATION", help_heading = BOUNDS)]
    pub min_cooldown: Option<Given>,

    /// Largest step size that a job may ask for [default: 1000000]
    #[arg(long, env = "SCALEGATE_MAX_STEP_SIZE", value_name = "UNITS", help_heading = BOUNDS)]
    pub max_step_size: Option<Given>,

    /// Least settle time that a job may ask for [default: 0s]
    #[arg(long, env = "SCALEGATE_MIN_SETTLE", value_name = "DURATION", help_heading = BOUNDS)]
    pub min_settle: Option<Given>,

    /// Scale only the resources listed in the configuration file [default: false]
    #[arg(long, env = "SCALEGATE_ONLY_LISTED", value_name = "true|false", help_heading = LIMITS,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub only_listed: Option<Given>,

    /// Most unfinished jobs on all resources together [default: 10000]
    #[arg(long, env = "SCALEGATE_MAX_ACTIVE_JOBS", value_name = "JOBS", help_heading = LIMITS)]
    pub max_active_jobs: Option<Given>,

    /// Most unfinished jobs submitted with one API key [default: 1000]
    #[arg(long, env = "SCALEGATE_MAX_JOBS_PER_KEY", value_name = "JOBS", help_heading = LIMITS)]
    pub max_jobs_per_key: Option<Given>,

    /// Most jobs waiting for their turn on one resource [default: 16]
    #[arg(long, env = "SCALEGATE_MAX_QUEUE_LENGTH", value_name = "JOBS", help_heading = LIMITS)]
    pub max_queue_length: Option<Given>,

    /// How long finished jobs are kept, unless there are too many of them [default: 7d]
    #[arg(long, env = "SCALEGATE_KEEP_FINISHED_FOR", value_name = "DURATION", help_heading = LIMITS)]
    pub keep_finished_for: Option<Given>,

    /// Most finished jobs kept; beyond it the oldest go first [default: 10000]
    #[arg(long, env = "SCALEGATE_KEEP_FINISHED_COUNT", value_name = "JOBS", help_heading = LIMITS)]
    pub keep_finished_count: Option<Given>,
}

const SERVER: &str = "Server";
const ACCESS: &str = "Who may call";
const JOBS: &str = "Default job settings (durations such as 90s, 5m, 1h 30m)";
const BOUNDS: &str = "Bounds of what jobs may ask for themselves";
const LIMITS: &str = "Limits and retention";

/// The text of one option, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What was written. Not necessarily UTF-8.
    pub text: OsString,
    /// Whether the environment gave it, rather than a flag.
    pub by_environment: bool,
}

impl Given {
    /// What a flag says.
    pub fn by_flag(text: impl Into<OsString>) -> Self {
        Self { text: text.into(), by_environment: false }
    }

    /// What an environment variable says.
    pub fn by_environment(text: impl Into<OsString>) -> Self {
        Self { text: text.into(), by_environment: true }
    }

    /// Whether this says anything: an empty environment variable is one that was not set.
    pub fn is_set(&self) -> bool {
        !(self.by_environment && self.text.is_empty())
    }
}

impl ValueParserFactory for Given {
    type Parser = GivenParser;

    fn value_parser() -> GivenParser {
        GivenParser
    }
}

/// Accepts any text and remembers where it came from.
#[derive(Clone, Copy, Debug)]
pub struct GivenParser;

impl TypedValueParser for GivenParser {
    type Value = Given;

    fn parse_ref(&self, _: &clap::Command, _: Option<&clap::Arg>, value: &OsStr) -> Result<Given, clap::Error> {
        Ok(Given::by_flag(value))
    }

    fn parse_ref_(
        &self,
        _: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<Given, clap::Error> {
        Ok(Given { text: value.to_owned(), by_environment: source == ValueSource::EnvVariable })
    }
}
