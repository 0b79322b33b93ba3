//! A real Prometheus, asked for a query's answer and for its own metrics. `.ci/prometheus` starts it.

use std::collections::BTreeMap;

use scalegate::domain::policy::{Aggregate, Missing, Source};

use super::observe;

/// Where it is, as `http://host:port`. It scrapes one gateway, which runs.
const VARIABLE: &str = "PROMETHEUS_URL";

#[actix_web::test]
#[ignore = "needs a Prometheus that scrapes a gateway: .ci/prometheus"]
async fn a_real_prometheus_answers_queries_and_is_scraped() {
    use Aggregate::{Max, Sum};
    let base = std::env::var(VARIABLE).expect("PROMETHEUS_URL");
    let ask = |query: &str, aggregate| Source::Prometheus {
        url: base.clone(),
        headers: BTreeMap::new(),
        query: query.to_owned(),
        aggregate,
    };
    for (query, aggregate, expected) in [
        ("up{job=\"scalegate\"}", None, Ok(1.0)),
        ("scalar(up{job=\"scalegate\"}) + 0.5", None, Ok(1.5)),
        ("label_replace(vector(1), \"a\", \"b\", \"\", \"\") or vector(2)", Some(Sum), Ok(3.0)),
        ("vector(-2)", None, Err((Missing::Invalid, "the value is -2, and none below 0 is allowed"))),
        ("vector(1) / 0", Some(Max), Err((Missing::Invalid, "the value is +Inf"))),
        ("no_metric_of_that_name", Some(Sum), Err((Missing::Invalid, "there is no series of the query"))),
        ("scalegate_jobs", None, Err((Missing::SeveralSeries, "series of the query; say how to aggregate them"))),
        ("up[1m]", None, Err((Missing::Invalid, "the query gives values over a range of time instead of one"))),
        ("\"1\"", None, Err((Missing::Invalid, "the query gives a string instead of a number"))),
        ("sum(", None, Err((Missing::SourceFailed, "status 400: bad_data: "))),
    ] {
        match (observe(ask(query, aggregate)).await, expected) {
            (Err((reason, detail)), Err((missing, why))) => {
                assert!(reason == missing && detail.contains(why), "{query}: {reason:?} {detail}");
            }
            (seen, expected) => assert_eq!(seen.ok(), expected.ok(), "{query}"),
        }
    }
    let scrape = |metric: &str, aggregate| Source::Scrape {
        url: format!("{base}/metrics"),
        headers: BTreeMap::new(),
        metric: metric.to_owned(),
        labels: BTreeMap::new(),
        aggregate,
        rate: false,
    };
    assert_eq!(observe(scrape("prometheus_build_info", None)).await, Ok(1.0));
    let requests = observe(scrape("prometheus_http_requests_total", Some(Sum))).await.expect("a sum");
    assert!(requests >= 1.0, "{requests}");
    let several = observe(scrape("prometheus_http_requests_total", None)).await.expect_err("several handlers");
    assert_eq!(several.0, Missing::SeveralSeries, "{}", several.1);
}
