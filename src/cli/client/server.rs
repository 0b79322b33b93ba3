//! The address of the gateway.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use awc::http::Uri;

use super::Failure;
use crate::config::Given;

/// The environment variable that says where the gateway is.
const VARIABLE: &str = "SCALEGATE_SERVER";

/// Where the gateway is.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArgs {
    /// Where the gateway is, as http://host:port [default: http://127.0.0.1:8080]
    #[arg(long, env = VARIABLE, value_name = "URL")]
    pub server: Option<Given>,
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
}

/// Where the gateway is: `http://host:port`, and a path if a proxy serves it below one. Without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(String);

/// Why a text is not a [`ServerUrl`], as a fragment that follows the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServerUrl {
    /// No `…://` at its beginning.
    #[error("is not an http:// URL; write it as http://host:port, such as {}", ServerUrl::DEFAULT)]
    NoScheme,
    /// The scheme is `https`.
    #[error("must begin with http://, not https://: the gateway speaks plain HTTP, and so does this client")]
    Https,
    /// Some other scheme.
    #[error("must begin with http://")]
    OtherScheme,
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
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(InvalidServerUrl::Https),
            _ => return Err(InvalidServerUrl::OtherScheme),
        }
        if rest.contains(['@', '?', '#']) {
            return Err(InvalidServerUrl::Surplus);
        }
        let url = format!("http://{}", rest.trim_end_matches('/'));
        let uri: Uri = url.parse().map_err(|_| InvalidServerUrl::Malformed)?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or(InvalidServerUrl::Malformed)?;
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(InvalidServerUrl::Malformed);
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
            ("https://gateway", Why::Https),
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
    fn names_where_a_wrong_address_came_from() {
        let message = |given| ServerArgs { server: Some(given) }.url().map_err(|failure| failure.to_string());
        let refused = message(Given::by_environment("gateway")).expect_err("no URL");
        assert!(refused.starts_with("SCALEGATE_SERVER: \"gateway\" is not an http:// URL"), "{refused}");
        let refused = message(Given::by_flag("")).expect_err("no URL");
        assert!(refused.starts_with("--server: \"\" is not an http:// URL"), "{refused}");
        assert_eq!(message(Given::by_environment("")), Ok(ServerUrl::default()));
    }
}
