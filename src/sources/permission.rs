//! Which sources of a policy may not be asked.
//!
//! A pure function for the moment when a policy is put, and for each start: the operator's lists may have changed in
//! between. It never looks at what a source answers.

use crate::domain::policy::{Policy, Source};
use crate::policy::{Problem, child_pointer};

use super::request::Request;
use super::{MetricHosts, Secrets};

/// Which sources the operator lets policies name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceRules {
    /// The hosts that may be asked for metrics of policies that come over HTTP.
    pub hosts: MetricHosts,
    /// What the headers of requests can hold.
    pub secrets: Secrets,
}

/// What keeps the gateway from asking the sources of `policy`. `hosts` are those that may be asked; `None` for a policy in
/// the configuration file, whose hosts are the operator's own choice.
pub fn problems_of(policy: &Policy, hosts: Option<&MetricHosts>, secrets: &Secrets) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, spec) in &policy.metrics {
        let at = format!("{}/source", child_pointer("/metrics", name.as_str()));
        let mut add = |pointer: String, detail: String| problems.push(Problem { pointer, detail });
        let headers = match &spec.source {
            Source::Push => continue,
            Source::Http { headers, .. } | Source::Scrape { headers, .. } | Source::Prometheus { headers, .. } => {
                headers
            }
        };
        match Request::of(&spec.source) {
            Ok(None) => {}
            Ok(Some(request)) if hosts.is_none_or(|hosts| hosts.allows(request.url())) => {}
            Ok(Some(request)) => {
                let detail = format!("asks {}, which is not in the operator's --metric-hosts", request.authority());
                add(child_pointer(&at, "url"), detail);
            }
            Err(why) => add(at.clone(), format!("can never be asked: {}", why.detail)),
        }
        let headers_at = child_pointer(&at, "headers");
        for (header, secret) in headers.iter().filter(|(_, secret)| !secrets.has(secret)) {
            let detail = format!("names {secret}, which is no secret in the operator's [metric_secrets]");
            add(child_pointer(&headers_at, header), detail);
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::Document;

    fn policy(metrics: &Value) -> Policy {
        let rule = json!({"name": "peak", "type": "schedule", "timeZone": "UTC", "cron": "0 9 * * *", "forSeconds": 60, "min": 2});
        let text = json!({"min": 1, "max": 2, "metrics": metrics, "rules": [rule]}).to_string();
        Document::from_json(&text).expect("a document").policy().expect("a policy")
    }

    #[test]
    fn every_source_that_may_not_be_asked_is_named_with_its_place() {
        let policy = policy(&json!({
            "pushed": {"source": {"type": "push"}},
            "good": {"source": {"type": "http", "url": "http://api:8000/stats", "pointer": "/a",
                                "headers": {"Authorization": "token"}}},
            "other_port": {"source": {"type": "http", "url": "http://api/stats", "pointer": "/a"}},
            "scraped": {"source": {"type": "scrape", "url": "https://worker/metrics", "metric": "a",
                                   "headers": {"Authorization": "Token", "a~b": "nothing", "X-Id": "token"}}},
            "asked": {"source": {"type": "prometheus", "url": "http://[::1]:9090/tenant", "query": "a"}},
        }));
        let hosts: MetricHosts = "api:8000,[::1]:9091".parse().expect("hosts");
        let mut secrets = Secrets::default();
        secrets.insert("token", "hunter2").expect("a secret");
        let unknown_host = |metric: &str, host: &str| {
            (
                format!("/metrics/{metric}/source/url"),
                format!("asks {host}, which is not in the operator's --metric-hosts"),
            )
        };
        let unknown_secret = |header: &str, name: &str| {
            let detail = format!("names {name}, which is no secret in the operator's [metric_secrets]");
            (format!("/metrics/scraped/source/headers/{header}"), detail)
        };
        let hosts_expected = [
            unknown_host("asked", "[::1]:9090"),
            unknown_host("other_port", "api:80"),
            unknown_host("scraped", "worker:443"),
        ];
        let secrets_expected = [unknown_secret("Authorization", "Token"), unknown_secret("a~0b", "nothing")];
        let of = |hosts: Option<&MetricHosts>, secrets: &Secrets| -> Vec<(String, String)> {
            problems_of(&policy, hosts, secrets).into_iter().map(|problem| (problem.pointer, problem.detail)).collect()
        };
        assert_eq!(of(Some(&hosts), &secrets), [&hosts_expected[..], &secrets_expected].concat());
        assert_eq!(of(None, &secrets), secrets_expected, "the hosts of policies in the file are trusted");
        let without = of(Some(&MetricHosts::default()), &Secrets::default());
        assert_eq!(without.len(), 8, "four hosts and four names: {without:?}");
    }

    /// A policy of an earlier release may have one.
    #[test]
    fn a_source_that_can_never_be_asked_is_named() {
        let good = json!({"a": {"source": {"type": "http", "url": "http://api:8000", "pointer": "/a"}}});
        let mut policy = policy(&good);
        let spec = policy.metrics.values_mut().next().expect("a metric");
        spec.source = Source::Http { url: "gopher://api".into(), pointer: "/a".into(), headers: [].into() };
        let problem = problems_of(&policy, None, &Secrets::default()).remove(0);
        assert_eq!(problem.pointer, "/metrics/a/source");
        assert_eq!(problem.detail, "can never be asked: the URL must begin with http:// or https://");
    }
}
