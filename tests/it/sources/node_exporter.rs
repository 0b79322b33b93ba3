//! What an exporter really serves, by way of a socket.

use std::collections::BTreeMap;

use scalegate::domain::policy::{Aggregate, Missing, Source};

use super::server::{End, Server};
use super::{answer, observe};

fn scrape(url: String, metric: &str, aggregate: Option<Aggregate>) -> Source {
    let labels = BTreeMap::from([("mode".to_owned(), "idle".to_owned())]);
    Source::Scrape { url, headers: BTreeMap::new(), metric: metric.into(), labels, aggregate, rate: false }
}

#[actix_web::test]
async fn series_are_aggregated_only_as_it_was_asked_for() {
    let text = include_str!("../../fixtures/node-exporter.txt");
    let server = Server::start(answer("200 OK", "Content-Type: text/plain; version=0.0.4\r\n", text), End::Close).await;
    let metric = "node_cpu_seconds_total";
    let several = format!("there are 2 series of {metric}; say how to aggregate them, or select one");
    assert_eq!(observe(scrape(server.url("/metrics"), metric, None)).await, Err((Missing::SeveralSeries, several)));
    let sum = observe(scrape(server.url("/metrics"), metric, Some(Aggregate::Sum))).await.expect("a sum");
    let least = observe(scrape(server.url("/metrics"), metric, Some(Aggregate::Min))).await.expect("the least");
    assert!(least > 0.0 && sum >= least * 2.0, "{sum} {least}");
    let none = observe(scrape(server.url("/metrics"), "node_load1", Some(Aggregate::Sum))).await;
    assert_eq!(none, Err((Missing::Invalid, "there is no series of node_load1".into())));
}
