//! What an exporter really serves, by way of a socket.

use std::collections::BTreeMap;

use scalegate::domain::policy::{Aggregate, Missing, Source};

use super::server::{End, Server};
use super::{answer, observe};

fn scrape(url: String, metric: &str, aggregate: Option<Aggregate>) -> Source {
    let labels = BTreeMap::from([("mode".to_owned(), "idle".to_owned())]);
    Source::Scrape { url, headers: BTreeMap::new(), metric: metric.into(), labels, aggregate, rate: false }
}

/// The sum of the series that came is not the sum of all, and a text ends at the end of any line.
#[actix_web::test]
async fn a_text_whose_last_chunk_is_missing_has_no_sum() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nTransfer-Encoding: chunked\r\n\r\n";
    let [first, second] = ["a{mode=\"idle\",b=\"1\"} 3\n", "a{mode=\"idle\",b=\"2\"} 4\n"];
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    for (what, body, expected) in [
        ("whole", chunk(first) + &chunk(second) + "0\r\n\r\n", Ok(7.0)),
        (
            "cut off",
            chunk(first),
            Err((Missing::SourceFailed, "the answer broke off: unexpected EOF during chunk size line".into())),
        ),
    ] {
        let server = Server::start((head.to_owned() + &body).into_bytes(), End::Close).await;
        assert_eq!(observe(scrape(server.url("/"), "a", Some(Aggregate::Sum))).await, expected, "{what}");
    }
}

#[actix_web::test]
async fn series_are_aggregated_only_as_it_was_asked_for() {
    let text = include_str!("../../../src/sources/exposition/node-exporter.txt");
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
