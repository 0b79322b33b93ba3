//! The address of the sidecar.

use std::fmt;
use std::str::FromStr;

use url::{ParseError, Url};

/// Where the sidecar is: `http://host` or `http://host:port`, nothing more.
///
/// The gateway appends the sidecar's own paths to it, so that a path or query here would be dropped or end up in the
/// wrong place; refusing them shows the mistake at the start. So does refusing what a URL parser would repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarUrl(String);

/// Why a text is not a [`SidecarUrl`], as a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSidecarUrl {
    /// No `…://` at its beginning.
    #[error("has no scheme; write it as http://host:port, such as {}", SidecarUrl::DEFAULT)]
    NoScheme,
    /// The scheme is `https`.
    #[error(
        "must begin with http://, not https://: the sidecar is a local endpoint that speaks plain HTTP, without TLS"
    )]
    Https,
    /// Some other scheme.
    #[error("must begin with http://")]
    OtherScheme,
    /// A user name or password before the host.
    #[error("contains a user name or password (the part before '@'); the sidecar knows none")]
    UserInfo,
    /// A path.
    #[error("contains a path; write http://host:port only, the gateway adds the sidecar's paths itself")]
    Path,
    /// A query string.
    #[error("contains a query (the part after '?'); write http://host:port only")]
    Query,
    /// A fragment.
    #[error("contains a fragment (the part after '#'); write http://host:port only")]
    Fragment,
    /// Nothing between the scheme and the port.
    #[error("has no host; write it as http://host:port, such as {}", SidecarUrl::DEFAULT)]
    NoHost,
    /// A host that is neither a name nor an address.
    #[error(
        "has a host that is neither a name (letters, digits, '.', '-', '_'), an IPv4 address nor an [IPv6] address"
    )]
    Host,
    /// A port that is not one.
    #[error("has a port that is not a number between 1 and 65535")]
    Port,
}

impl SidecarUrl {
    /// Where the platform's guide says that its sidecar listens.
    pub const DEFAULT: &str = "http://127.0.0.1:49750";

    /// The URL without a slash at its end, ready to have a path appended.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SidecarUrl {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for SidecarUrl {
    type Err = InvalidSidecarUrl;

    fn from_str(text: &str) -> Result<Self, InvalidSidecarUrl> {
        if !text.contains("://") {
            return Err(InvalidSidecarUrl::NoScheme);
        }
        // The parser would repair these.
        if text.contains(":///") && text.to_ascii_lowercase().starts_with("http") {
            return Err(InvalidSidecarUrl::NoHost);
        }
        if text.contains(|c: char| c.is_control() || matches!(c, '\\' | '%')) {
            return Err(InvalidSidecarUrl::Host);
        }
        let url = Url::parse(text).map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => InvalidSidecarUrl::NoScheme,
            ParseError::EmptyHost => InvalidSidecarUrl::NoHost,
            ParseError::InvalidPort => InvalidSidecarUrl::Port,
            _ => InvalidSidecarUrl::Host,
        })?;
        match (url.scheme(), url.path()) {
            ("https", _) => Err(InvalidSidecarUrl::Https),
            ("http", _) if !url.username().is_empty() || url.password().is_some() => Err(InvalidSidecarUrl::UserInfo),
            ("http", "/") if url.query().is_some() => Err(InvalidSidecarUrl::Query),
            ("http", "/") if url.fragment().is_some() => Err(InvalidSidecarUrl::Fragment),
            ("http", "/") if url.port() == Some(0) || text.trim_end_matches('/').ends_with(':') => {
                Err(InvalidSidecarUrl::Port)
            }
            ("http", "/") => Ok(Self(url.origin().ascii_serialization())),
            ("http", _) => Err(InvalidSidecarUrl::Path),
            _ => Err(InvalidSidecarUrl::OtherScheme),
        }
    }
}

impl fmt::Display for SidecarUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_host_and_port_and_nothing_more() {
        for (text, expected) in [
            (SidecarUrl::DEFAULT, SidecarUrl::DEFAULT),
            ("http://localhost", "http://localhost"),
            ("HTTP://sidecar_1.local:81/", "http://sidecar_1.local:81"),
            ("http://[::1]:49750", "http://[::1]:49750"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(text.parse::<SidecarUrl>().map(|url| url.to_string()), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        use InvalidSidecarUrl as Why;
        for (text, why) in [
            ("", Why::NoScheme),
            ("127.0.0.1:49750", Why::NoScheme),
            ("https://127.0.0.1:49750", Why::Https),
            ("unix:///run/sidecar", Why::OtherScheme),
            ("http://me:secret@127.0.0.1", Why::UserInfo),
            ("http://127.0.0.1:49750/resource", Why::Path),
            ("http://127.0.0.1//", Why::Path),
            ("http://127.0.0.1?a=b", Why::Query),
            ("http://127.0.0.1/?a=b", Why::Query),
            ("http://127.0.0.1#top", Why::Fragment),
            ("http://", Why::NoHost),
            ("http:///host", Why::NoHost),
            ("http://ho%73t", Why::Host),
            ("http://host\\x", Why::Host),
            ("http://:49750", Why::NoHost),
            ("http://two words", Why::Host),
            ("http://host\n", Why::Host),
            ("http://::1:80", Why::NoHost),
            ("http://[::1", Why::Host),
            ("http://[nine]:80", Why::Host),
            ("http://[::1]80", Why::Host),
            ("http://host:", Why::Port),
            ("http://host:0", Why::Port),
            ("http://host:+80", Why::Port),
            ("http://host:65536", Why::Port),
            ("http://host:80:80", Why::Port),
        ] {
            assert_eq!(text.parse::<SidecarUrl>(), Err(why), "{text:?}");
        }
    }
}
