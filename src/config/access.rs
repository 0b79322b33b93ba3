//! Who may call the gateway, from where, and how much.

use std::path::{Path, PathBuf};

use super::layers;
use super::value::{number, path};
use crate::access::{InvalidToken, Token};

/// The variable that may hold the admin key itself.
pub(super) const ADMIN_KEY: &str = "SCALEGATE_ADMIN_KEY";
/// Largest file that is read for a key.
const MAX_KEY_FILE: u64 = 4096;

/// What is laid down about callers.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Who may call")]
pub struct Access {
    /// Let every caller who reaches the gateway do everything without a key, on any address
    #[arg(long, env = "SCALEGATE_INSECURE_NO_AUTH")]
    pub insecure_no_auth: bool,

    /// Want a key in any case, and do not start without one, also on a loopback address and with a new data directory
    #[arg(long, env = "SCALEGATE_REQUIRE_KEY")]
    pub require_key: bool,

    /// A key that may do everything. Its secret part is never printed.
    #[arg(skip)]
    pub admin_key: Option<Token>,

    /// File with an admin key made by `scalegate keys generate`; or set SCALEGATE_ADMIN_KEY to the key [default: none]
    #[arg(long, env = "SCALEGATE_ADMIN_KEY_FILE", value_name = "FILE", value_parser = path)]
    pub admin_key_file: Option<PathBuf>,

    /// Serve /metrics without a key
    #[arg(long, env = "SCALEGATE_OPEN_METRICS")]
    pub open_metrics: bool,

    /// Names by which the gateway may be called, besides those of its address [default: none]
    #[arg(
        long,
        env = "SCALEGATE_ALLOWED_HOSTS",
        default_value = "",
        hide_default_value = true,
        value_name = "NAME,..."
    )]
    pub allowed_hosts: Hosts,

    /// Origins of other web pages that may call the API from a browser, each as a scheme, a host and maybe a port
    /// [default: none]
    #[arg(
        long,
        env = "SCALEGATE_ALLOWED_ORIGINS",
        default_value = "",
        hide_default_value = true,
        value_name = "ORIGIN,..."
    )]
    pub allowed_origins: Origins,

    /// What HTTPS is served with, if it is.
    #[command(flatten)]
    pub tls: Option<TlsFiles>,

    /// Most requests a second with one API key, or without one from one network, this machine apart; 0: no limit
    // A hundred are what a hundred jobs polled every second need. A million are more than one process can serve.
    #[arg(id = "max_request_rate", long = "max-request-rate", env = "SCALEGATE_MAX_REQUEST_RATE", default_value = "100",
          value_name = "REQUESTS", value_parser = number::<u32>(0, 1_000_000))]
    pub request_rate: u32,

    /// Most event streams open at a time with one API key, or without one from one network, this machine apart; 0: no
    /// limit
    // 500 are a browser for each member of a large team, and leave most seats to others.
    #[arg(id = "max_streams_per_key", long = "max-streams-per-key", env = "SCALEGATE_MAX_STREAMS_PER_KEY",
          default_value = "500",
          value_name = "STREAMS", value_parser = number::<usize>(0, u64::MAX))]
    pub streams_per_key: usize,
}

impl Default for Access {
    fn default() -> Self {
        layers::defaults()
    }
}

/// Names of hosts, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(pub Vec<String>);

/// Origins of web pages, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

/// Files in PEM.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain in PEM to serve HTTPS with; read again when it changes [default: none]
    #[arg(id = "tls_cert", long = "tls-cert", env = "SCALEGATE_TLS_CERT", required = false,
          value_name = "FILE", value_parser = path)]
    pub cert: PathBuf,

    /// Private key in PEM that belongs to the certificate [default: none]
    #[arg(id = "tls_key", long = "tls-key", env = "SCALEGATE_TLS_KEY", required = false,
          value_name = "FILE", value_parser = path)]
    pub key: PathBuf,
}

/// The key in `text`, which may end in a line break.
///
/// # Errors
/// Why there is none, as a fragment that follows the name of what it is in. The text is not repeated.
pub fn parse_key(text: &str) -> Result<Token, InvalidToken> {
    text.trim_end_matches(['\r', '\n']).parse()
}

/// What is wrong with who may use the file at `path`, which holds a secret; `None` if only its owner and its group may,
/// or if that cannot be seen.
pub fn exposure(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    // In a container, the group is often the one that the secret was mounted for.
    let shown = super::one_line(path);
    (mode & 0o007 != 0).then(|| {
        format!("every user of this machine can use {shown} (mode {mode:04o}): close it to others with `chmod o-rwx {shown}`")
    })
}

/// The key in the file at `path`.
///
/// # Errors
/// Why there is none. What is in the file is not repeated, and neither is a key in place of its name.
pub fn read_key(path: &Path) -> Result<Token, String> {
    if path.to_str().is_some_and(|text| parse_key(text).is_ok()) {
        return Err("this is a key itself: write it into a file, and give the name of that".to_owned());
    }
    let shown = super::one_line(path);
    let read = || {
        if std::fs::metadata(path)?.len() > MAX_KEY_FILE {
            return Err(std::io::Error::other("it is too large for a key"));
        }
        std::fs::read_to_string(path)
    };
    let text = read().map_err(|error| format!("cannot read {shown}: {error}"))?;
    parse_key(&text).map_err(|why| format!("what is in {shown} {why}"))
}
