//! The address of the sidecar.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Where the sidecar is: `http://host` or `http://host:port`, nothing more.
///
/// The gateway appends the sidecar's own paths to it, so that a path or query here would be lost or end up in the wrong
/// place; refusing them shows the mistake at the start. Parsed by hand rather than by a URL library, because those
/// repair and ignore much of what is to be refused here, and name none of it.
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
        let (scheme, rest) = text.split_once("://").ok_or(InvalidSidecarUrl::NoScheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(InvalidSidecarUrl::Https),
            _ => return Err(InvalidSidecarUrl::OtherScheme),
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(InvalidSidecarUrl::UserInfo);
        }
        check_tail(tail)?;
        check_authority(authority)?;
        Ok(Self(format!("http://{authority}")))
    }
}

/// What follows host and port: at most one slash, which says nothing and is dropped.
fn check_tail(tail: &str) -> Result<(), InvalidSidecarUrl> {
    match tail.strip_prefix('/').unwrap_or(tail) {
        "" => Ok(()),
        query if query.starts_with('?') => Err(InvalidSidecarUrl::Query),
        fragment if fragment.starts_with('#') => Err(InvalidSidecarUrl::Fragment),
        _ => Err(InvalidSidecarUrl::Path),
    }
}

fn check_authority(authority: &str) -> Result<(), InvalidSidecarUrl> {
    let (valid_host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(InvalidSidecarUrl::Host)?;
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        if host.is_empty() {
            return Err(InvalidSidecarUrl::NoHost);
        }
        (host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')), port)
    };
    if !valid_host {
        return Err(InvalidSidecarUrl::Host);
    }
    let Some(port) = port.strip_prefix(':') else {
        return if port.is_empty() { Ok(()) } else { Err(InvalidSidecarUrl::Host) };
    };
    match port.parse::<u16>() {
        Ok(1..) if port.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err(InvalidSidecarUrl::Port),
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
            ("HTTP://sidecar_1.local:80/", "http://sidecar_1.local:80"),
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
