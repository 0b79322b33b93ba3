//! Who may call the gateway, from where, and how much.

use std::path::{Path, PathBuf};

use crate::access::{InvalidToken, Token};

/// The variable that may hold the admin key itself.
pub(super) const ADMIN_KEY: &str = "SCALEGATE_ADMIN_KEY";
/// Largest file that is read for a key.
const MAX_KEY_FILE: u64 = 4096;

/// What is laid down about callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether everybody may do everything although the address is not a loopback one.
    pub insecure_no_auth: bool,
    /// Whether a key is needed in any case, also on a loopback address, and also if there was never one.
    pub require_key: bool,
    /// A key that may do everything. Its secret part is never printed.
    pub admin_key: Option<Token>,
    /// The file it was read from.
    pub admin_key_file: Option<PathBuf>,
    /// Whether metrics are for everybody.
    pub open_metrics: bool,
    /// Names by which the gateway may be called, besides those of its address.
    pub allowed_hosts: Hosts,
    /// Other origins whose pages may call the API.
    pub allowed_origins: Origins,
    /// What HTTPS is served with, if it is.
    pub tls: Option<TlsFiles>,
    /// Most requests a second with one key, or without one from one network, this machine apart; 0 if there is no limit.
    pub request_rate: u32,
    /// Most streams at a time with one key, or without one from one network, this machine apart; 0 if there is no limit.
    pub streams_per_key: usize,
}

impl Access {
    /// Highest rate that can be configured, more than one process can serve. Whoever wants more wants no limit.
    pub const MAX_REQUEST_RATE: u64 = 1_000_000;
}

impl Default for Access {
    /// A hundred requests a second are what a hundred jobs polled every second need. 500 streams are a browser for everybody
    /// in a large team, and leave most seats to others.
    fn default() -> Self {
        Self {
            insecure_no_auth: false,
            require_key: false,
            admin_key: None,
            admin_key_file: None,
            open_metrics: false,
            allowed_hosts: Hosts::default(),
            allowed_origins: Origins::default(),
            tls: None,
            request_rate: 100,
            streams_per_key: 500,
        }
    }
}

/// Names of hosts, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(pub Vec<String>);

/// Origins of web pages, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those up to the authority's.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The key in `text`, which may end in a line break.
///
/// # Errors
/// Why there is none, as a fragment that follows the name of what it is in. The text is not repeated.
pub fn parse_key(text: &str) -> Result<Token, InvalidToken> {
    text.trim_end_matches(['\r', '\n']).parse()
}

/// What is wrong with who may use the file at `path`, which holds a secret; `None` if only its owner and its group may, or if
/// that cannot be seen.
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
