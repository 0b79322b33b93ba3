//! The routes: the scopes a caller needs for each, the audit action it records, and the problems it answers with. Each is
//! declared beside its handler.
//!
//! Whatever is not declared is closed: a route is for admins and records nothing unless its declaration says otherwise, and a
//! path without one gets no caller, so that a handler behind it refuses. Errors are problem documents, with or without a
//! declaration. The OpenAPI document takes scopes and problems from here, and nothing is read back from it.
//!
//! It must never take a path for another one than the router does, which decodes most of what is percent-encoded: look up
//! [`path_of`], not the path as it was sent. Rejected: the pattern that actix finds for a request before it is routed, because
//! it is the one of the path as it was sent.

use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};

use super::problem::{ApiError, Code, shortened_path};
use crate::domain::{Action, Scope};

/// Pages for people, and what they load; none of them shows anything that the source code does not.
const PAGES: [&str; 5] = ["/", "/panel/{file:.*}", "/docs", "/docs/{page:.*}", "/openapi.json"];

/// The codes of problems, as a route declares them.
macro_rules! problems {
    ($($code:ident)*) => { &[$($crate::api::Code::$code),*] };
}
pub(super) use problems;

/// All routes.
pub struct Routes(Vec<Resource>);

/// What is at one pattern.
struct Resource {
    pattern: Pattern,
    operations: Vec<(Method, Operation)>,
}

/// The declaration of one operation.
pub struct Route {
    method: Method,
    pattern: &'static str,
    operation: Operation,
}

impl Route {
    /// What is read at `pattern`, which is that of the router.
    pub const fn get(pattern: &'static str) -> Self {
        Self::new(Method::GET, pattern)
    }

    /// What is asked for at `pattern`, which is that of the router.
    pub const fn post(pattern: &'static str) -> Self {
        Self::new(Method::POST, pattern)
    }

    /// What is put at `pattern`, which is that of the router.
    pub const fn put(pattern: &'static str) -> Self {
        Self::new(Method::PUT, pattern)
    }

    /// What is deleted at `pattern`, which is that of the router.
    pub const fn delete(pattern: &'static str) -> Self {
        Self::new(Method::DELETE, pattern)
    }

    /// For admins, unless the declaration goes on.
    const fn new(method: Method, pattern: &'static str) -> Self {
        let operation = Operation { needs: &[Scope::Admin], ..Operation::OPEN };
        Self { method, pattern, operation }
    }

    /// A caller needs one of these `scopes`.
    ///
    /// # Panics
    /// If there is none, which is while the constant is compiled: an empty list would open the route.
    #[must_use]
    pub const fn needs(mut self, scopes: &'static [Scope]) -> Self {
        assert!(!scopes.is_empty(), "a route without a key says so with open()");
        self.operation.needs = scopes;
        self
    }

    /// No key is needed.
    #[must_use]
    pub const fn open(mut self) -> Self {
        self.operation.needs = &[];
        self
    }

    /// A caller with one of these `scopes` is told more than others.
    #[must_use]
    pub const fn tells_more_to(mut self, scopes: &'static [Scope]) -> Self {
        self.operation.tells_more_to = scopes;
        self
    }

    /// Each attempt is recorded as this `action`.
    #[must_use]
    pub const fn records(mut self, action: Action) -> Self {
        self.operation.action = Some(action);
        self
    }

    /// Its errors are problem documents with these codes, and those that every operation answers with.
    #[must_use]
    pub const fn problems(mut self, codes: &'static [Code]) -> Self {
        self.operation.problems = codes;
        self
    }

    /// How requests without a key are counted.
    #[must_use]
    pub const fn counted(mut self, count: Count) -> Self {
        self.operation.count = count;
        self
    }
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
    /// A caller needs one of these scopes; empty if no key is needed.
    pub needs: &'static [Scope],
    /// A caller with one of these is told more than others.
    pub tells_more_to: &'static [Scope],
    /// What it tries to change.
    pub action: Option<Action>,
    /// The codes of the problems it answers with, besides those of every operation.
    pub problems: &'static [Code],
    /// How requests without a key are counted.
    pub count: Count,
}

impl Operation {
    /// No key is needed.
    const OPEN: Self = Self { needs: &[], tells_more_to: &[], action: None, problems: &[], count: Count::Request };

    /// Whether a caller needs a key.
    pub fn needs_key(&self) -> bool {
        !self.needs.is_empty()
    }
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

impl Routes {
    /// The routes of these `declarations`, and the pages.
    pub fn new(declarations: impl IntoIterator<Item = &'static Route>) -> Self {
        let mut routes = Self(Vec::new());
        for Route { method, pattern, operation } in declarations {
            routes.add(method.clone(), pattern, *operation);
        }
        for page in PAGES {
            routes.add(Method::GET, page, Operation { count: Count::Page, ..Operation::OPEN });
        }
        routes
    }

    fn add(&mut self, method: Method, pattern: &str, operation: Operation) {
        match self.0.iter_mut().find(|resource| resource.pattern.text == pattern) {
            Some(resource) => resource.operations.push((method, operation)),
            None => self.0.push(Resource { pattern: Pattern::new(pattern), operations: vec![(method, operation)] }),
        }
    }

    /// The same routes, but what is at `pattern` needs no key.
    #[must_use]
    pub fn opened(mut self, pattern: &str) -> Self {
        let route = self.0.iter_mut().filter(|route| route.pattern.text == pattern);
        route.flat_map(|route| &mut route.operations).for_each(|(_, operation)| operation.needs = &[]);
        self
    }

    /// What is asked for with this `method` at this `path`, if there is such a thing.
    pub fn operation(&self, method: &Method, path: &str) -> Option<&Operation> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let (_, operation) = self.0[self.place(path)?].operations.iter().find(|(own, _)| own == method)?;
        Some(operation)
    }

    /// The operation declared with this `method` at this very `pattern`.
    pub(super) fn declared(&self, method: &Method, pattern: &str) -> Option<&Operation> {
        let mut all = self.operations();
        all.find(|(own, own_pattern, _)| *own == method && *own_pattern == pattern).map(|(_, _, operation)| operation)
    }

    /// The methods at `path`, if there is anything.
    fn methods(&self, path: &str) -> Option<Vec<&str>> {
        let operations = self.0[self.place(path)?].operations.iter();
        let head = |method: &Method| (method == Method::GET).then_some("HEAD");
        let mut methods: Vec<&str> =
            operations.flat_map(|(method, _)| head(method).into_iter().chain([method.as_str()])).collect();
        methods.sort_unstable();
        Some(methods)
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

/// Answers what no route takes: 405 if the path exists, 404 if it does not.
pub(in crate::api) async fn no_route(routes: actix_web::web::Data<Routes>, request: HttpRequest) -> HttpResponse {
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
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::api::{openapi, routes};

    #[test]
    fn every_operation_is_declared_and_each_change_is_recorded() {
        let written: Value = serde_json::from_str(openapi::PUBLISHED).expect("JSON");
        let mut documented = BTreeSet::new();
        for (path, item) in written["paths"].as_object().expect("paths") {
            documented.extend(
                item.as_object().expect("operations").keys().map(|method| (method.to_uppercase(), path.clone())),
            );
        }
        let routes = routes();
        let declared = routes.operations().filter(|(_, pattern, _)| !PAGES.contains(pattern));
        let declared = declared.map(|(method, pattern, _)| (method.to_string(), pattern.to_owned()));
        assert_eq!(declared.collect::<BTreeSet<_>>(), documented);
        for (method, pattern, operation) in routes.operations() {
            // Plans, backtests and evaluations change nothing, and values of metrics are no attempts to change something.
            let is_trial =
                ["/v1/plans", "/v1/groups/plan", "/v1/backtests"].contains(&pattern) || pattern.ends_with("/evaluate");
            let is_no_change = is_trial || pattern.contains("/metrics");
            let changes_something = method != Method::GET && !is_no_change;
            assert_eq!(operation.action.is_some(), changes_something, "{method} {pattern}");
            let needs_more_than_read = !operation.needs.is_empty() && !operation.needs.contains(&Scope::Read);
            assert!(operation.action.is_none() || needs_more_than_read, "{method} {pattern}");
        }
    }

    #[test]
    fn a_route_that_says_nothing_is_for_admins() {
        assert_eq!(Route::get("/v1/x").operation.needs, [Scope::Admin]);
    }

    /// Declarations are constants, so that this panic ends a compilation.
    #[test]
    #[should_panic(expected = "a route without a key says so with open()")]
    fn an_empty_list_of_scopes_does_not_open_a_route() {
        let _ = Route::get("/v1/x").needs(&[]);
    }

    /// The router decides where a request goes, and this table what it needs: they have to agree on every path.
    #[actix_web::test]
    async fn patterns_are_what_they_are_to_the_router() {
        let routes = routes();
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
        let routes = routes();
        for path in ["/v1/jobs", "/v1/audit", "/livez", "/", "/docs/index.html"] {
            let operation = routes.operation(&Method::GET, path);
            assert!(operation.is_some() && routes.operation(&Method::HEAD, path) == operation, "{path}");
        }
        assert_eq!(routes.operation(&Method::DELETE, "/v1/jobs"), None);
        assert_eq!(routes.operation(&Method::GET, "/v1/nothing"), None);
    }
}
