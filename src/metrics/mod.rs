//! What the gateway tells Prometheus about itself.
//!
//! Counters and histograms live here and are fed from a few places that see everything of their kind: the decorators around
//! the sidecar and the journal, a middleware around all requests, and the engine's driver where jobs are published. What
//! is a matter of now (capacities, queues, jobs by state) is not kept but computed for each scrape, as a [`Scrape`], so
//! that nothing stays behind when a resource goes.
//!
//! Measuring must never block work or make it fail: what happens is atomic additions, and what is scraped is a copy. The
//! domain knows nothing of it. The registry is a value, not the library's global one: tests run several gateways in one
//! process, and each must count for itself. Rejected: OpenMetrics, because every version of Prometheus reads the
//! older text format and its own linter checks that.
//!
//! Every label has a bound: states, codes, reasons, operations and outcomes are enumerations; routes are the patterns of
//! the API, never paths; methods and statuses beyond those in use count as `other`; of resources, whose names are chosen by
//! callers, at most a thousand are named in a scrape, and with them the metrics of their policies, at most sixteen each. Jobs,
//! callers, rules and messages are never labels.

mod audit;
mod calls;
mod commits;
mod connections;
mod jobs;
mod policies;
mod process;
mod requests;
mod scrape;
mod sources;

use std::sync::Arc;
use std::time::Instant;

use prometheus::{Registry, TextEncoder};

pub use audit::AuditMetrics;
pub use calls::{CallMetrics, CallOutcome, CallTimer, Operation};
pub use commits::{CommitMetrics, StoreOperation};
pub use connections::{ConnectionMetrics, EndReason};
pub use jobs::JobMetrics;
pub use policies::PolicyMetrics;
pub use requests::{RequestMetrics, RouteMetrics};
pub use scrape::{Family, Scrape};
pub use sources::{SourceMetrics, SourceOutcome, SourceTimer};

/// Everything that is counted in one gateway.
pub struct Metrics {
    /// What becomes of jobs.
    pub jobs: JobMetrics,
    /// Calls to the sidecar.
    pub calls: CallMetrics,
    /// What policies decide.
    pub policies: PolicyMetrics,
    /// Requests for the metrics of policies.
    pub sources: SourceMetrics,
    /// The work of the store.
    pub commits: CommitMetrics,
    /// The file of the record of attempts.
    pub audit: AuditMetrics,
    /// Requests over HTTP.
    pub requests: RequestMetrics,
    /// Connections of callers.
    pub connections: Arc<ConnectionMetrics>,
    registry: Registry,
    process: process::Process,
}

impl Metrics {
    /// Begins to count, from zero.
    ///
    /// # Errors
    /// If two metrics have one name, or one has a name that cannot be. Both are mistakes in this module, which its test
    /// finds.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Self {
            jobs: JobMetrics::register(&registry)?,
            calls: CallMetrics::register(&registry, Instant::now())?,
            policies: PolicyMetrics::register(&registry)?,
            sources: SourceMetrics::register(&registry)?,
            commits: CommitMetrics::register(&registry)?,
            audit: AuditMetrics::register(&registry)?,
            requests: RequestMetrics::register(&registry)?,
            connections: Arc::new(ConnectionMetrics::register(&registry)?),
            process: process::Process::starting(),
            registry,
        })
    }

    /// What was counted so far together with what `scrape` says of now, as text.
    ///
    /// # Errors
    /// If the library refuses to write it, which it does only for families without samples; there are none.
    pub fn render(&self, mut scrape: Scrape) -> Result<String, prometheus::Error> {
        scrape.gauge("scalegate_build_info", "Always 1; the label tells which release runs.", |family| {
            family.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        });
        self.calls.describe(&mut scrape);
        self.process.describe(&mut scrape);
        let mut families = self.registry.gather();
        families.extend(scrape.into_families());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}

/// The upper limits of the buckets of a histogram, as the library wants them.
fn buckets(limits: &[f64]) -> Vec<f64> {
    limits.to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names in a text of metrics, from the lines that tell their types.
    fn names(text: &str) -> Vec<&str> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split(' ').next()).collect()
    }

    #[test]
    fn everything_can_be_registered_and_written_down_before_anything_happened() {
        let text = Metrics::new().expect("consistent").render(Scrape::default()).expect("writable");
        let names = names(&text);
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each appears once: {names:?}");
        for name in ["scalegate_build_info", "scalegate_jobs_ended_total", "process_start_time_seconds"] {
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
        for name in names {
            assert!(text.contains(&format!("# HELP {name} ")), "{name} is not explained");
        }
    }

    #[test]
    fn two_of_them_count_for_themselves() {
        let (one, other) = (Metrics::new().expect("consistent"), Metrics::new().expect("consistent"));
        one.commits.failed(StoreOperation::Load);
        let counted = |metrics: &Metrics, count: u64| {
            let line = format!("scalegate_store_failures_total{{operation=\"load\"}} {count}\n");
            metrics.render(Scrape::default()).expect("writable").contains(&line)
        };
        assert!(counted(&one, 1) && counted(&other, 0));
    }
}
