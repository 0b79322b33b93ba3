//! Requests over HTTP.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};
use prometheus::{histogram_opts, register_histogram_vec_with_registry, register_int_counter_vec_with_registry};

use super::buckets;

/// From a look into memory to a caller who has given up.
const LATENCY_SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];
/// The methods that anything is done about; the rest counts as one.
const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
/// The statuses the gateway answers with; the rest counts as one.
const STATUSES: [(u16, &str); 22] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (304, "304"),
    (307, "307"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (415, "415"),
    (421, "421"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
];
/// What is not among the known: routes, methods and statuses.
const OTHER: &str = "other";

/// Counts and times requests.
pub struct RequestMetrics {
    requests: IntCounterVec,
    durations: HistogramVec,
}

impl RequestMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = register_int_counter_vec_with_registry!(
            "scalegate_http_requests_total",
            "Requests answered, by route (as in the API's document; other: no such path), method and status. Those whose \
             caller hung up before the answer are not counted.",
            &["route", "method", "status"],
            registry
        )?;
        let durations = register_histogram_vec_with_registry!(
            histogram_opts!(
                "scalegate_http_request_duration_seconds",
                "Time from the head of a request to the head of its answer, by route and method. Answers that were held back \
                 because the caller asked for it (Prefer: wait) are left out.",
                buckets(&LATENCY_SECONDS)
            ),
            &["route", "method"],
            registry
        )?;
        Ok(Self { requests, durations })
    }

    /// The counters of these `routes`, to be looked up by their place in the list instead of by their labels.
    pub fn of_routes<'a>(&self, routes: impl Iterator<Item = &'a str>) -> RouteMetrics {
        let routes = routes.chain([OTHER]).map(|name| Route {
            name: name.to_owned(),
            requests: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            durations: std::array::from_fn(|_| OnceLock::new()),
        });
        RouteMetrics { routes: routes.collect(), requests: self.requests.clone(), durations: self.durations.clone() }
    }
}

/// The counters of all routes, each created when it is first needed, so that what never happens is not scraped. Looking one
/// up takes neither a lock nor memory.
pub struct RouteMetrics {
    /// The last one is for all paths that do not exist.
    routes: Vec<Route>,
    requests: IntCounterVec,
    durations: HistogramVec,
}

/// One place for each known value, and one for the rest.
const METHOD_PLACES: usize = METHODS.len() + 1;
const STATUS_PLACES: usize = STATUSES.len() + 1;

struct Route {
    name: String,
    requests: [[OnceLock<IntCounter>; STATUS_PLACES]; METHOD_PLACES],
    durations: [OnceLock<Histogram>; METHOD_PLACES],
}

impl RouteMetrics {
    /// A request was answered with `status`. Its route is given by its place in the list, or `None` if there is no such
    /// path; how long it `took` is `None` if that says nothing about the gateway.
    pub fn answered(&self, route: Option<usize>, method: &str, status: u16, took: Option<Duration>) {
        let found = route.and_then(|place| self.routes.get(place));
        let Some(route) = found.or(self.routes.last()) else { return };
        let at_method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len());
        let at_status = STATUSES.iter().position(|(known, _)| *known == status).unwrap_or(STATUSES.len());
        let method = METHODS.get(at_method).copied().unwrap_or(OTHER);
        let status = STATUSES.get(at_status).map_or(OTHER, |(_, name)| name);
        let counter = || self.requests.with_label_values(&[route.name.as_str(), method, status]);
        route.requests[at_method][at_status].get_or_init(counter).inc();
        if let Some(took) = took {
            let histogram = || self.durations.with_label_values(&[route.name.as_str(), method]);
            route.durations[at_method].get_or_init(histogram).observe(took.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> (RequestMetrics, RouteMetrics) {
        let metrics = RequestMetrics::register(&Registry::new()).expect("consistent");
        let routes = metrics.of_routes(["/one", "/two/{id}"].into_iter());
        (metrics, routes)
    }

    #[test]
    fn what_is_not_known_counts_as_other() {
        let (metrics, routes) = metrics();
        let took = Some(Duration::from_millis(3));
        for (route, method, status, labels) in [
            (Some(0), "GET", 200, ["/one", "GET", "200"]),
            (Some(1), "POST", 422, ["/two/{id}", "POST", "422"]),
            (Some(1), "BREW", 405, ["/two/{id}", "other", "405"]),
            (None, "HEAD", 418, ["other", "HEAD", "other"]),
            (Some(99), "GET", 404, ["other", "GET", "404"]),
        ] {
            for count in 1..=2 {
                routes.answered(route, method, status, took);
                assert_eq!(metrics.requests.with_label_values(&labels).get(), count, "{labels:?}");
                assert_eq!(metrics.durations.with_label_values(&labels[..2]).get_sample_count(), count, "{labels:?}");
            }
        }
        routes.answered(Some(0), "GET", 200, None);
        assert_eq!(metrics.requests.with_label_values(&["/one", "GET", "200"]).get(), 3);
        assert_eq!(metrics.durations.with_label_values(&["/one", "GET"]).get_sample_count(), 2);
    }
}
