//! The address of the gateway, and which certificates it may show.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use awc::http::Uri;

use super::{Failure, Trust};
use crate::config::Given;

/// The environment variable that says where the gateway is.
const VARIABLE: &str = "SCALEGATE_SERVER";
/// The environment variable that names the file with its authority.
const CA_FILE_VARIABLE: &str = "SCALEGATE_CA_FILE";

/// Where the gateway is.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArgs {
    /// Where the gateway is, as https://host:port or http://host:port [default: http://127.0.0.1:8080]
    #[arg(long, env = VARIABLE, value_name = "URL")]
    pub server: Option<Given>,

    /// Over https, trust the certificates of the authorities in this file, in PEM, and of no others [default: those
    /// that this machine trusts]
    #[arg(long, env = CA_FILE_VARIABLE, value_name = "FILE")]
    pub ca_file: Option<Given>,
}

impl ServerArgs {
    /// Where the gateway is, if that was said. An empty environment variable says nothing.
    ///
    /// # Errors
    /// If what was said is no address.
    pub fn given(&self) -> Result<Option<ServerUrl>, Failure> {
        let Some(given) = self.server.as_ref().filter(|given| given.is_set()) else { return Ok(None) };
        let text = given.text.to_string_lossy();
        let source = if given.by_environment { VARIABLE } else { "--server" };
        text.parse().map(Some).map_err(|why| Failure::Usage(format!("{source}: {text:?} {why}")))
    }

    /// Where the gateway is.
    ///
    /// # Errors
    /// If what was said is no address.
    pub fn url(&self) -> Result<ServerUrl, Failure> {
        Ok(self.given()?.unwrap_or_default())
    }

    /// Which certificates the gateway may show. An empty environment variable says nothing.
    ///
    /// # Errors
    /// If the name of the file is empty.
    pub fn trust(&self) -> Result<Trust, Failure> {
        let Some(given) = self.ca_file.as_ref().filter(|given| given.is_set()) else { return Ok(Trust::System) };
        let source = if given.by_environment { CA_FILE_VARIABLE } else { "--ca-file" };
        if given.text.is_empty() {
            return Err(Failure::Usage(format!("{source}: \"\" must not be empty; write the path of a file")));
        }
        Ok(Trust::File { path: (&given.text).into(), source })
    }
}

/// Where the gateway is: `http://host:port` or `https://host:port`, and a path if a proxy serves it below one. Without
/// a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(String);

/// Why a text is not a [`ServerUrl`], as a fragment that follows the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServerUrl {
    /// No `…://` at its beginning.
    #[error(
        "is not an https:// or http:// URL; write it as https://host:port or http://host:port, such as {}",
        ServerUrl::DEFAULT
    )]
    NoScheme,
    /// Some other scheme.
    #[error("must begin with https:// or http://")]
    OtherScheme,
    /// A numeric IPv6 address where a certificate has to fit it, which the HTTP client cannot do.
    #[error("has a numeric IPv6 address, which cannot be used with https://; write a name")]
    NumericIpv6,
    /// No host, or not a valid one; or anything else that no URL contains.
    #[error("is not a valid URL; write it as http://host:port, such as {}", ServerUrl::DEFAULT)]
    Malformed,
    /// A user name, a query or a fragment.
    #[error("must not contain a user name ('@'), a query ('?') or a fragment ('#')")]
    Surplus,
}

impl ServerUrl {
    /// Where a gateway listens unless it is told otherwise.
    pub const DEFAULT: &str = "http://127.0.0.1:8080";

    /// Whether what is sent there is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether what is sent there stays on this machine.
    pub fn is_loopback(&self) -> bool {
        let Ok(uri) = self.0.parse::<Uri>() else { return false };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_local_name = host == "localhost" || host.ends_with(".localhost");
        is_local_name || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

impl Default for ServerUrl {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for ServerUrl {
    type Err = InvalidServerUrl;

    fn from_str(text: &str) -> Result<Self, InvalidServerUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidServerUrl::NoScheme)?;
        let scheme = scheme.to_ascii_lowercase();
        if !["http", "https"].contains(&scheme.as_str()) {
            return Err(InvalidServerUrl::OtherScheme);
        }
        if rest.contains(['@', '?', '#']) {
            return Err(InvalidServerUrl::Surplus);
        }
        let url = format!("{scheme}://{}", rest.trim_end_matches('/'));
        let uri: Uri = url.parse().map_err(|_| InvalidServerUrl::Malformed)?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or(InvalidServerUrl::Malformed)?;
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(InvalidServerUrl::Malformed);
        }
        if scheme == "https" && authority.host().starts_with('[') {
            return Err(InvalidServerUrl::NumericIpv6);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_addresses_and_proxied_paths() {
        for (text, url) in [
            (ServerUrl::DEFAULT, ServerUrl::DEFAULT),
            ("HTTP://gateway/", "http://gateway"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://proxy:80/scalegate/", "http://proxy:80/scalegate"),
            ("HTTPS://gateway", "https://gateway"),
            ("https://10.1.2.3:8443/", "https://10.1.2.3:8443"),
        ] {
            assert_eq!(text.parse::<ServerUrl>().map(|url| url.to_string()), Ok(url.to_owned()));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        use InvalidServerUrl as Why;
        for (text, why) in [
            ("", Why::NoScheme),
            ("localhost:8080", Why::NoScheme),
            ("https://", Why::Malformed),
            ("https://[::1]:8443", Why::NumericIpv6),
            ("ftp://gateway", Why::OtherScheme),
            ("http://", Why::Malformed),
            ("http://:8080", Why::Malformed),
            ("http://two words", Why::Malformed),
            ("http://gateway:0", Why::Malformed),
            ("http://gateway:", Why::Malformed),
            ("http://gateway:99999", Why::Malformed),
            ("http://me@gateway", Why::Surplus),
            ("http://gateway?a=b", Why::Surplus),
            ("http://gateway#top", Why::Surplus),
        ] {
            assert_eq!(text.parse::<ServerUrl>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn knows_what_stays_on_this_machine_and_what_is_encrypted() {
        for (text, is_loopback, is_https) in [
            (ServerUrl::DEFAULT, true, false),
            ("http://[::1]", true, false),
            ("http://[::ffff:127.0.0.1]", true, false),
            ("https://gate.localhost:8443", true, true),
            ("https://127.9.9.9", true, true),
            ("https://localhost.example.com", false, true),
            ("http://127.0.0.1.example.com", false, false),
            ("http://0.0.0.0:8080", false, false),
        ] {
            let url: ServerUrl = text.parse().expect("a URL");
            assert_eq!((url.is_loopback(), url.is_https()), (is_loopback, is_https), "{text}");
        }
    }

    #[test]
    fn names_where_a_wrong_address_came_from() {
        let message =
            |given| ServerArgs { server: Some(given), ca_file: None }.url().map_err(|failure| failure.to_string());
        let refused = message(Given::by_environment("gateway")).expect_err("no URL");
        assert!(refused.starts_with("SCALEGATE_SERVER: \"gateway\" is not an https:// or http:// URL"), "{refused}");
        let refused = message(Given::by_flag("")).expect_err("no URL");
        assert!(refused.starts_with("--server: \"\" is not an https:// or http:// URL"), "{refused}");
        assert_eq!(message(Given::by_environment("")), Ok(ServerUrl::default()));
    }
}
