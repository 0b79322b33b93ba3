//! The routes there are: their patterns, methods, what a caller needs for each, and what each tries to change.
//!
//! All of it is taken from the OpenAPI document, so that what it says of security is what is enforced. An operation that
//! says nothing needs the scope `admin`: forgetting to say it locks people out, and not in.
//!
//! It must never take a path for another one than the router does, which decodes most of what is percent-encoded: look up
//! [`path_of`], not the path as it was sent. The router's own patterns lost: they are regular expressions, and matching them
//! once more for each request took a tenth of its time.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use serde::Deserialize;

use super::problem::{ApiError, Code, shortened_path};
use crate::domain::{Action, Scope};

/// What the requirements of operations call the API keys.
pub(super) const SECURITY_SCHEME: &str = "apiKey";
/// Pages for people, and what they load; none of them shows anything that the source code does not.
const PAGES: [&str; 5] = ["/", "/panel/{file:.*}", "/docs", "/docs/{page:.*}", "/openapi.json"];

/// All routes.
pub struct Routes(Vec<Route>);

struct Route {
    pattern: Pattern,
    operations: Vec<(Method, Operation)>,
}

/// The pattern of a path, in the syntax of the router.
struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

/// What can be between two slashes.
enum Segment {
    Literal(String),
    /// Anything but nothing.
    Any,
    /// Whatever is left, slashes and all.
    Rest,
}

impl Pattern {
    fn new(text: &str) -> Self {
        let segments = text.split('/').skip(1).map(|segment| match segment {
            rest if rest.starts_with('{') && rest.ends_with(":.*}") => Segment::Rest,
            any if any.starts_with('{') => Segment::Any,
            literal => Segment::Literal(literal.to_owned()),
        });
        Self { text: text.to_owned(), segments: segments.collect() }
    }

    fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut parts = path.split('/');
        for segment in &self.segments {
            let fits = match (segment, parts.next()) {
                (_, None) => false,
                (Segment::Rest, Some(_)) => return true,
                (Segment::Any, Some(part)) => !part.is_empty(),
                (Segment::Literal(literal), Some(part)) => literal == part,
            };
            if !fits {
                return false;
            }
        }
        parts.next().is_none()
    }
}

/// The path of `request` as the router sees it: the one by which everything is decided.
pub(super) fn path_of(request: &HttpRequest) -> &str {
    request.match_info().as_str()
}

/// What can be asked of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What a caller needs; nothing if it is for everybody.
    pub needs: Option<Scope>,
    /// What it tries to change.
    pub action: Option<Action>,
    /// How requests without a key are counted.
    pub count: Count,
}

/// How a request that needs no key is counted against the limit of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// As any other one.
    Request,
    /// As one of the many that a page consists of.
    Page,
    /// Not at all: a probe of an orchestrator. It costs less than to refuse it, and a gateway that is up must not be taken for
    /// dead because its neighbours, whom it may share an address with, ask too much.
    Probe,
}

/// Where orchestrators ask whether the gateway works.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

impl Routes {
    /// The routes of the OpenAPI document with this `text`, and the pages. What cannot be understood of it is no route.
    pub fn of(text: &str) -> Self {
        let Written { paths } = serde_json::from_str(text).unwrap_or_default();
        let paths = paths.into_iter().map(|(path, operations)| {
            let count = if PROBES.contains(&path.as_str()) { Count::Probe } else { Count::Request };
            let operations = operations.iter().filter_map(|(method, operation)| {
                Some((method.to_uppercase().parse().ok()?, Operation::of(operation, count)))
            });
            Route { pattern: Pattern::new(&path), operations: operations.collect() }
        });
        let page = || (Method::GET, Operation { needs: None, action: None, count: Count::Page });
        let pages = PAGES.map(|path| Route { pattern: Pattern::new(path), operations: vec![page()] });
        Self(paths.chain(pages).collect())
    }

    /// The same routes, but what is at `pattern` is for everybody.
    #[must_use]
    pub fn opened(mut self, pattern: &str) -> Self {
        let route = self.0.iter_mut().filter(|route| route.pattern.text == pattern);
        route.flat_map(|route| &mut route.operations).for_each(|(_, operation)| operation.needs = None);
        self
    }

    /// What is asked for with this `method` at this `path`, if there is such a thing.
    pub fn operation(&self, method: &Method, path: &str) -> Option<&Operation> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let (_, operation) = self.0[self.place(path)?].operations.iter().find(|(own, _)| own == method)?;
        Some(operation)
    }

    /// The methods at `path`, if there is anything.
    fn methods(&self, path: &str) -> Option<Vec<&str>> {
        let operations = self.0[self.place(path)?].operations.iter();
        Some(
            operations
                .flat_map(|(method, _)| match method.as_str() {
                    "GET" => &["GET", "HEAD"][..],
                    "POST" => &["POST"],
                    _ => &[],
                })
                .copied()
                .collect(),
        )
    }

    /// The place of the pattern that `path` has, among [`Routes::patterns`].
    pub fn place(&self, path: &str) -> Option<usize> {
        self.0.iter().position(|route| route.pattern.matches(path))
    }

    /// Whether at `path` there is a page for people, or what belongs to one.
    pub fn is_page(&self, path: &str) -> bool {
        self.place(path).is_some_and(|place| PAGES.contains(&self.0[place].pattern.text.as_str()))
    }

    /// The patterns of all paths.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|route| route.pattern.text.as_str())
    }

    /// All operations, with their methods and patterns.
    pub fn operations(&self) -> impl Iterator<Item = (&Method, &str, &Operation)> {
        self.0.iter().flat_map(|route| {
            let pattern = route.pattern.text.as_str();
            route.operations.iter().map(move |(method, operation)| (method, pattern, operation))
        })
    }
}

impl Operation {
    fn of(written: &WrittenOperation, count: Count) -> Self {
        let action = match written.operation_id.as_str() {
            "submitJob" => Some(Action::SubmitJob),
            "cancelJob" => Some(Action::CancelJob),
            "createKey" => Some(Action::CreateKey),
            "revokeKey" => Some(Action::RevokeKey),
            _ => None,
        };
        let requirements = &written.security;
        let named = requirements.iter().filter_map(|requirement| requirement.get(SECURITY_SCHEME)?.first());
        let scope = named.filter_map(|name| Scope::ALL.into_iter().find(|scope| scope.as_str() == name)).next();
        let is_for_all = requirements.iter().any(BTreeMap::is_empty);
        Self { needs: if is_for_all { None } else { Some(scope.unwrap_or(Scope::Admin)) }, action, count }
    }
}

/// The part of an OpenAPI document that matters here.
#[derive(Default, Deserialize)]
struct Written {
    paths: BTreeMap<String, BTreeMap<String, WrittenOperation>>,
}

#[derive(Deserialize)]
struct WrittenOperation {
    #[serde(rename = "operationId")]
    operation_id: String,
    #[serde(default)]
    security: Vec<BTreeMap<String, Vec<String>>>,
}

/// Answers what no route takes: 405 if the path exists, 404 if it does not.
pub(super) async fn no_route(routes: actix_web::web::Data<Routes>, request: HttpRequest) -> HttpResponse {
    let path = shortened_path(path_of(&request));
    match routes.methods(path_of(&request)) {
        Some(allowed) if !allowed.contains(&request.method().as_str()) => {
            let allowed = allowed.join(", ");
            let mut response =
                ApiError::new(Code::MethodNotAllowed, format!("{path} supports {allowed}.")).error_response();
            if let Ok(value) = HeaderValue::from_str(&allowed) {
                response.headers_mut().insert(ALLOW, value);
            }
            response
        }
        _ => ApiError::no_such_page("", &path).error_response(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api::openapi;

    #[test]
    fn every_operation_says_what_it_needs_and_whoever_changes_something_is_recorded() {
        let written: Value = serde_json::from_str(openapi::PUBLISHED).expect("JSON");
        for item in written["paths"].as_object().expect("paths").values() {
            for operation in item.as_object().expect("operations").values() {
                let requirements = operation["security"].as_array().expect("requirements");
                // Readiness tells more to callers with a key.
                let is_for_all = requirements.contains(&serde_json::json!({}));
                let fits = if is_for_all { 1..=2 } else { 1..=1 };
                assert!(fits.contains(&requirements.len()), "{}", operation["operationId"]);
            }
        }
        let routes = Routes::of(openapi::PUBLISHED);
        for (method, pattern, operation) in routes.operations() {
            let changes_something = method != Method::GET && pattern != "/v1/plans";
            assert_eq!(operation.action.is_some(), changes_something, "{method} {pattern}");
            assert!(operation.action.is_none() || operation.needs >= Some(Scope::Scale), "{method} {pattern}");
        }
    }

    #[test]
    fn what_says_nothing_is_for_admins() {
        let needs =
            |operation| Operation::of(&serde_json::from_value(operation).expect("an operation"), Count::Request).needs;
        let of = |security: Value| needs(serde_json::json!({"operationId": "x", "security": security}));
        assert_eq!(needs(serde_json::json!({"operationId": "x"})), Some(Scope::Admin));
        assert_eq!(of(serde_json::json!([])), Some(Scope::Admin));
        assert_eq!(of(serde_json::json!([{SECURITY_SCHEME: ["everything"]}])), Some(Scope::Admin));
        assert_eq!(of(serde_json::json!([{SECURITY_SCHEME: ["read"]}])), Some(Scope::Read));
        assert_eq!(of(serde_json::json!([{}])), None);
    }

    /// The router decides where a request goes, and this table what it needs: they have to agree on every path.
    #[actix_web::test]
    async fn patterns_are_what_they_are_to_the_router() {
        let routes = Routes::of(openapi::PUBLISHED);
        let paths = [
            "/",
            "//",
            "",
            "*",
            "x",
            "/v1",
            "/v1/",
            "/v1/jobs",
            "/v1/jobs/",
            "/v1/jobs/x",
            "/v1/jobs/x/",
            "/v1/jobs//events",
            "/v1/jobs/x/events",
            "/v1/jobs/x/events/",
            "/v1//jobs",
            "//v1/jobs",
            "/V1/jobs",
            "/v1/jobs/x/cancel",
            "/docs",
            "/docs/",
            "/docs/a/b",
            "/docs//",
            "/panel",
            "/panel/",
            "/panel/a/b.js",
            "/metrics",
            "/metrics/",
            "/v1/keys/a/revoke",
            "/v1/keys/é",
            "/v1/jobs/a\nb",
            "/v1/./jobs",
        ];
        for path in paths {
            for (place, pattern) in routes.patterns().enumerate() {
                let router = actix_web::dev::ResourceDef::new(pattern);
                // A line break is nothing that `.` stands for there; nor does it come with a request.
                let agrees = routes.0[place].pattern.matches(path) == router.is_match(path);
                assert!(agrees || path.contains('\n'), "{path:?} and {pattern}");
            }
        }
    }

    #[test]
    fn a_head_needs_what_a_get_needs() {
        let routes = Routes::of(openapi::PUBLISHED);
        for path in ["/v1/jobs", "/v1/audit", "/livez", "/", "/docs/index.html"] {
            let operation = routes.operation(&Method::GET, path);
            assert!(operation.is_some() && routes.operation(&Method::HEAD, path) == operation, "{path}");
        }
        assert_eq!(routes.operation(&Method::DELETE, "/v1/jobs"), None);
        assert_eq!(routes.operation(&Method::GET, "/v1/nothing"), None);
    }
}
