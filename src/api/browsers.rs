//! From where browsers may call: the names of this gateway, and the pages of others.
//!
//! A page from elsewhere can make the browser that shows it send requests here. There are no cookies it could profit
//! from, but a gateway on a laptop may do without keys. So requests of other pages are refused unless their origin is
//! configured; and a name that a stranger's DNS points at this machine is not one of ours.
//!
//! Not every request of a page names its origin: an image that leads to a stream does not, and would keep the stream
//! open for as long as it likes. Browsers tell where such requests come from in `Sec-Fetch-Site`. Links from elsewhere to the pages for people are
//! followed all the same.

use std::net::IpAddr;

use actix_cors::Cors;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::ApiState;
use super::caller::Caller;
use super::problem::{ApiError, Code};
use super::routes::{Routes, path_of};
use crate::config::Access;

/// How long a browser may remember what a page of another origin may do, in seconds.
const PREFLIGHT_MAX_AGE: usize = 600;
/// What a page of another origin may send.
const REQUEST_HEADERS: [&str; 9] = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "traceparent",
    "X-Request-Id",
];
/// What it may read of the answer.
const RESPONSE_HEADERS: [&str; 9] = [
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
];
/// For answers that are not pages: they load nothing, and no page may show them in a frame.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";
/// For Swagger UI, whose styles are partly written into its elements.
const SWAGGER_UI: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct BrowserRules {
    /// Whether names are compared with those that are configured.
    check_hosts: bool,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl BrowserRules {
    /// What `access` lays down for a gateway whose address `is_loopback`.
    pub fn new(access: &Access, is_loopback: bool) -> Self {
        Self {
            // On other addresses the gateway cannot know all its names, and keys are needed.
            check_hosts: is_loopback || !access.allowed_hosts.0.is_empty(),
            hosts: access.allowed_hosts.0.clone(),
            origins: access.allowed_origins.0.clone(),
        }
    }

    /// Whether a request with this `head` may come in; `is_page` if it is for one of the pages for people.
    fn check(&self, head: &RequestHead, is_page: bool) -> Result<(), ApiError> {
        let host = named_host(head)?;
        if self.check_hosts
            && let Some(host) = &host
            && !self.is_ours(host.host())
        {
            return Err(ApiError::new(
                Code::WrongHost,
                "The gateway is not known by the name in the Host header. allowed_hosts can add it.",
            ));
        }
        let Some(origin) = head.headers.get(ORIGIN) else {
            let is_fine = is_of_own_page(&head.headers) || (is_page && is_followed_link(head));
            return if is_fine { Ok(()) } else { Err(foreign()) };
        };
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let is_own = host.is_some_and(|host| {
            origin.split_once("://").is_some_and(|(_, place)| place == host.as_str().to_ascii_lowercase())
        });
        if is_own || self.origins.contains(&origin) {
            return Ok(());
        }
        Err(foreign())
    }

    /// No DNS can point a numeric address, or `localhost`, at this machine.
    fn is_ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let is_numeric = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        is_numeric || host == "localhost" || host.ends_with(".localhost") || self.hosts.contains(&host)
    }

    /// Tells browsers what pages of the configured origins may do.
    pub fn cors(&self) -> Cors {
        let cors = Cors::default()
            .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
            .allowed_headers(REQUEST_HEADERS)
            .expose_headers(RESPONSE_HEADERS)
            .max_age(PREFLIGHT_MAX_AGE);
        self.origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
    }

    /// Whether there are any.
    pub fn has_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Adds to an answer at `path` what keeps browsers from doing with it what it is not for.
    pub(super) fn protect(&self, response: &mut HttpResponse, path: &str) {
        let is_docs = path.starts_with("/docs");
        let policy = if is_docs { SWAGGER_UI } else { NO_PAGE };
        let headers = response.headers_mut();
        let mut add = |name, value| add_header(headers, name, value);
        add("content-security-policy", policy);
        add("x-content-type-options", "nosniff");
        add("x-frame-options", "DENY");
        add("referrer-policy", "no-referrer");
        add("cross-origin-resource-policy", "same-origin");
        if path.starts_with("/v1/") {
            add("cache-control", "no-store");
        }
    }
}

fn foreign() -> ApiError {
    let detail = "Pages of other origins may not call this gateway. allowed_origins can let some of them.";
    ApiError::new(Code::OriginRefused, detail)
}

/// Whether a request without an origin is from a page of this gateway, from its user, or from a program that is no browser.
fn is_of_own_page(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").all(|site| site == "same-origin" || site == "none")
}

/// Whether a browser shows the answer to a person in a tab, and to no page.
fn is_followed_link(head: &RequestHead) -> bool {
    let says = |name, value| head.headers.get_all(name).all(|said| said == value) && head.headers.contains_key(name);
    says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document")
}

/// What a handler has said itself stays.
fn add_header(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
    let name = HeaderName::from_static(name);
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The name and port by which the gateway is called. Old clients may leave it out; browsers do not.
fn named_host(head: &RequestHead) -> Result<Option<Authority>, ApiError> {
    let malformed = || ApiError::new(Code::MalformedRequest, "The Host header makes no sense.");
    if let Some(authority) = head.uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let mut named = head.headers.get_all("host");
    let Some(name) = named.next() else { return Ok(None) };
    if named.next().is_some() {
        return Err(malformed());
    }
    let name = name.to_str().map_err(|_| malformed())?;
    name.parse().map(Some).map_err(|_| malformed())
}

/// The middleware.
pub(super) async fn enforce(
    browsers: web::Data<BrowserRules>,
    state: web::Data<ApiState>,
    routes: web::Data<Routes>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_page = routes.is_page(path_of(request.request()));
    let Err(refusal) = browsers.check(request.head(), is_page) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let operation = routes.operation(request.method(), path_of(request.request()));
    let action = operation.and_then(|operation| operation.action);
    let stranger = Caller::of(request.request(), None);
    let (answer, kept) = state.guard.refuse(&stranger, &refusal);
    let response = request.into_response(answer);
    if let Some(action) = action {
        state.guard.recorder().record(&stranger, action, &response, kept).await;
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Hosts, Origins};
    use actix_web::test::TestRequest;

    fn refusal(browsers: &BrowserRules, headers: &[(&str, &str)]) -> Option<Code> {
        refusal_at(browsers, headers, false)
    }

    fn refusal_at(browsers: &BrowserRules, headers: &[(&str, &str)], is_page: bool) -> Option<Code> {
        let request = headers.iter().fold(TestRequest::default(), |request, header| request.append_header(*header));
        browsers.check(request.to_srv_request().head(), is_page).err().map(|error| error.code())
    }

    fn browsers(is_loopback: bool, hosts: &[&str], origins: &[&str]) -> BrowserRules {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (allowed_hosts, allowed_origins) = (Hosts(own(hosts)), Origins(own(origins)));
        BrowserRules::new(&Access { allowed_hosts, allowed_origins, ..Access::default() }, is_loopback)
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_ours() {
        let laptop = browsers(true, &["gate.test"], &[]);
        for ours in
            ["localhost", "LOCALHOST:8080", "a.localhost", "127.0.0.1:8080", "[::1]:8080", "Gate.Test:1", "10.0.0.1"]
        {
            assert_eq!(refusal(&laptop, &[("Host", ours)]), None, "{ours}");
        }
        for other in ["evil.test", "evil.test:8080", "localhost.evil.test", "xlocalhost", "127.0.0.1.evil.test"] {
            assert_eq!(refusal(&laptop, &[("Host", other)]), Some(Code::WrongHost), "{other}");
        }
        assert_eq!(refusal(&laptop, &[]), None, "no browser leaves it out");
        for senseless in ["", "a b", "a/b", "a:b:c"] {
            assert_eq!(refusal(&laptop, &[("Host", senseless)]), Some(Code::MalformedRequest), "{senseless}");
        }
        assert_eq!(refusal(&laptop, &[("Host", "localhost"), ("Host", "localhost")]), Some(Code::MalformedRequest));
    }

    #[test]
    fn elsewhere_all_names_are_unless_some_are_configured() {
        assert_eq!(refusal(&browsers(false, &[], &[]), &[("Host", "any.test")]), None);
        let named = browsers(false, &["gate.test"], &[]);
        assert_eq!(refusal(&named, &[("Host", "gate.test")]), None);
        assert_eq!(refusal(&named, &[("Host", "any.test")]), Some(Code::WrongHost));
    }

    #[test]
    fn pages_of_others_are_refused_unless_configured() {
        let gate = browsers(true, &[], &["https://ops.test"]);
        let from = |origin| refusal(&gate, &[("Host", "localhost:8080"), ("Origin", origin)]);
        for fine in ["http://localhost:8080", "https://localhost:8080", "https://ops.test", "HTTPS://OPS.test"] {
            assert_eq!(from(fine), None, "{fine}");
        }
        for refused in
            ["null", "", "http://localhost", "http://localhost:8081", "https://ops.test.evil.test", "http://ops.test"]
        {
            assert_eq!(from(refused), Some(Code::OriginRefused), "{refused}");
        }
        assert_eq!(refusal(&gate, &[("Origin", "http://localhost:8080")]), Some(Code::OriginRefused));
    }
    #[test]
    fn requests_of_other_pages_without_an_origin_are_refused_unless_a_person_follows_a_link() {
        let gate = browsers(true, &[], &["https://ops.test"]);
        let link = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
        let frame = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")];
        let image = [("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")];
        let from = |site, more: &[(&str, &str)], is_page| {
            refusal_at(&gate, &[&[("Sec-Fetch-Site", site)], more].concat(), is_page)
        };
        for site in ["same-origin", "none"] {
            assert_eq!((from(site, &image, false), from(site, &link, true)), (None, None), "{site}");
        }
        for site in ["cross-site", "same-site", "", "x"] {
            assert_eq!(from(site, &link, true), None, "{site}");
            for refused in
                [from(site, &link, false), from(site, &frame, true), from(site, &image, true), from(site, &[], true)]
            {
                assert_eq!(refused, Some(Code::OriginRefused), "{site}");
            }
        }
        let twice = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")];
        assert_eq!(refusal(&gate, &twice), Some(Code::OriginRefused));
        let configured = [("Origin", "https://ops.test"), ("Sec-Fetch-Site", "cross-site")];
        assert_eq!(refusal(&gate, &configured), None);
    }
}
