//! What is asked of a source.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use crate::domain::policy::{Missing, NoValue, Source};
use crate::policy::header_name;

/// Longest time from the look-up of a name to the end of an answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What an answer is expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A JSON document.
    Document,
    /// The text format of Prometheus or OpenMetrics.
    Exposition,
    /// An answer of Prometheus's HTTP API.
    Query,
}

/// One GET. Equal ones are made once for all metrics that want them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    url: Url,
    /// Of each header, the name of the secret that is its value.
    headers: BTreeMap<String, String>,
    form: Form,
}

impl Request {
    /// The request for `source`; `None` if callers send its values.
    ///
    /// # Errors
    /// If its URL or one of its headers cannot be used: why.
    pub fn of(source: &Source) -> Result<Option<Self>, NoValue> {
        let (url, headers, form) = match source {
            Source::Push => return Ok(None),
            Source::Http { url, headers, .. } => (parse_url(url)?, headers, Form::Document),
            Source::Scrape { url, headers, .. } => (parse_url(url)?, headers, Form::Exposition),
            Source::Prometheus { url, headers, query, .. } => (query_url(parse_url(url)?, query), headers, Form::Query),
        };
        for name in headers.keys() {
            header_name(name).map_err(|why| failed(format!("the header {name:?} {why}")))?;
        }
        Ok(Some(Self { url, headers: headers.clone(), form }))
    }

    /// Where it is sent.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its headers: of each, the name of the secret that is its value.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// What its answer is expected to be.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The types of content that are asked for.
    pub fn accept(&self) -> &'static str {
        match self.form {
            Form::Document | Form::Query => "application/json, */*;q=0.1",
            Form::Exposition => "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5, */*;q=0.1",
        }
    }

    /// The host and port that it is sent to.
    pub fn authority(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }
}

fn failed(detail: String) -> NoValue {
    NoValue { reason: Missing::SourceFailed, detail }
}

fn parse_url(text: &str) -> Result<Url, NoValue> {
    let mut url = Url::parse(text).map_err(|error| failed(format!("the URL is wrong: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failed("the URL must begin with http:// or https://".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(failed("the URL contains a user name or password".to_owned()));
    }
    url.set_fragment(None);
    Ok(url)
}

/// The instant query below `base`, whose path and parameters stay: proxies and multi-tenant servers have some.
fn query_url(mut base: Url, query: &str) -> Url {
    let path = format!("{}/api/v1/query", base.path().trim_end_matches('/'));
    base.set_path(&path);
    let timeout = format!("{}s", REQUEST_TIMEOUT.as_secs());
    base.query_pairs_mut().append_pair("query", query).append_pair("timeout", &timeout);
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str, headers: &[&str]) -> Source {
        let headers = headers.iter().map(|name| ((*name).to_owned(), "token".to_owned())).collect();
        Source::Http { url: url.into(), pointer: "/a".into(), headers }
    }

    #[test]
    fn the_query_is_a_parameter_below_the_base() {
        for (url, expected) in [
            ("http://p:9090", "http://p:9090/api/v1/query?query=sum%28a%7Bb%3D%22c+d%22%7D%29&timeout=10s"),
            ("http://p:9090/", "http://p:9090/api/v1/query?query=sum%28a%7Bb%3D%22c+d%22%7D%29&timeout=10s"),
            (
                "https://p/tenant/?dedup=true#x",
                "https://p/tenant/api/v1/query?dedup=true&query=sum%28a%7Bb%3D%22c+d%22%7D%29&timeout=10s",
            ),
        ] {
            let query = "sum(a{b=\"c d\"})".to_owned();
            let source = Source::Prometheus { url: url.into(), headers: BTreeMap::new(), query, aggregate: None };
            let request = Request::of(&source).expect("a request").expect("one");
            assert_eq!(request.url().as_str(), expected);
        }
    }

    #[test]
    fn a_request_that_would_not_be_the_one_meant_is_refused() {
        for (source, why) in [
            (http("api:8000/stats", &[]), "the URL must begin with http:// or https://"),
            (http("/stats", &[]), "the URL is wrong: relative URL without a base"),
            (http("http://", &[]), "the URL is wrong: empty host"),
            (http("http://user:x@api/", &[]), "the URL contains a user name or password"),
            (
                http("http://api/", &["Transfer-Encoding"]),
                "the header \"Transfer-Encoding\" must not be set: it says how the request is made",
            ),
            (http("http://api/", &["HOST"]), "the header \"HOST\" must not be set: it says how the request is made"),
            (http("http://api/", &["a b"]), "the header \"a b\" is not the name of a header"),
            (http("http://api/", &[""]), "the header \"\" is not the name of a header"),
        ] {
            assert_eq!(Request::of(&source), Err(failed(why.to_owned())), "{source:?}");
        }
        assert!(Request::of(&http("http://api/", &["Authorization", "X-Scope-OrgID"])).is_ok());
        assert_eq!(Request::of(&Source::Push), Ok(None));
    }

    #[test]
    fn equal_requests_are_equal_whatever_is_read_from_them() {
        let of = |source: &Source| Request::of(source).expect("a request").expect("one");
        let other_pointer =
            Source::Http { url: "http://api/#b".into(), pointer: "/b".into(), headers: BTreeMap::new() };
        assert_eq!(of(&http("http://api", &[])), of(&other_pointer));
        assert_ne!(of(&http("http://api", &[])), of(&http("http://api", &["Authorization"])));
        assert_eq!(of(&http("http://api", &[])).authority(), "api:80");
    }
}
