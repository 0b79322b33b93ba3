//! Which hosts policies that come over HTTP may have asked.
//!
//! Without this, a caller who may change a policy could have the gateway call anything that it can reach. The text counts and
//! not what it resolves to: `localhost:9100` does not allow `127.0.0.1:9100` nor the other way round, and a name stays
//! allowed whatever address it has today. Rejected: to look names up and compare addresses, because the answer may be
//! another one when the request is made.

use std::str::FromStr;

use url::{Host, Url};

/// Hosts with their ports. Without any, none is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricHosts(Vec<(Host, u16)>);

impl MetricHosts {
    /// Whether `url` is one of a listed host, on exactly the listed port. A URL without a port has that of its scheme.
    pub fn allows(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return false };
        self.0.iter().any(|(allowed, of)| *of == port && host == *allowed)
    }
}

impl FromStr for MetricHosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entry = |entry: &str| {
            let (host, port) = entry.rsplit_once(':')?;
            let is_plain = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| is_plain && *port != 0)?;
            Some((Host::parse(host).ok().filter(|_| !host.contains('*'))?, port))
        };
        let entries = text.split(',').map(str::trim).filter(|_| !text.is_empty());
        let refusal = "must be hosts with their ports, such as prometheus:9090 or [::1]:9100";
        entries.map(entry).collect::<Option<_>>().map(Self).ok_or_else(|| refusal.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_allowed_by_its_exact_name_and_port() {
        let hosts: MetricHosts =
            "Api:8000, example.com:443,127.0.0.1:80,[::1]:9100,bücher.example:80".parse().expect("hosts");
        for (url, expected) in [
            ("http://api:8000/stats?x=1", true),
            ("HTTP://API:8000", true),
            ("https://api:8000", true),
            ("http://api:8001", false),
            ("http://api", false),
            ("http://api.:8000", false),
            ("http://sub.api:8000", false),
            ("https://example.com/metrics", true),
            ("http://example.com/metrics", false),
            ("http://example.com:443/metrics", true),
            ("http://127.0.0.1/", true),
            ("http://0x7f.1/", true),
            ("http://localhost/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("http://[0:0::1]:9100/", true),
            ("http://xn--bcher-kva.example/", true),
            ("http://user@api:8000/", true),
            ("http://api:8000@evil:1/", false),
            ("unix:/run/x", false),
        ] {
            assert_eq!(hosts.allows(&Url::parse(url).expect("a URL")), expected, "{url}");
        }
        assert!(!MetricHosts::default().allows(&Url::parse("http://api:8000").expect("a URL")));
        assert_eq!("".parse(), Ok(MetricHosts::default()));
    }

    #[test]
    fn a_host_without_a_port_is_refused() {
        for text in [
            "api",
            "api:",
            "api:0",
            "api:+80",
            "api:65536",
            "api:80,",
            ",",
            "http://api:80",
            "a b:80",
            "::1:80",
            "api:80/x",
            "*:80",
        ] {
            assert!(text.parse::<MetricHosts>().is_err(), "{text}");
        }
    }
}
