//! What is a matter of now, computed for one scrape and then forgotten.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Families of samples for one scrape.
///
/// Rejected: gauges kept in the registry, because the series of a resource that is gone would stay until it is removed, and
/// two scrapes at a time would mix their values.
#[derive(Default)]
pub struct Scrape {
    families: Vec<MetricFamily>,
}

/// The samples of one name.
pub struct Family {
    kind: MetricType,
    samples: Vec<Metric>,
}

impl Scrape {
    /// Adds the gauge `name`, with the samples that `fill` adds to it; nothing, if it adds none.
    pub fn gauge(&mut self, name: &str, help: &str, fill: impl FnOnce(&mut Family)) {
        self.family(name, help, MetricType::GAUGE, fill);
    }

    /// The same for something that only grows.
    pub fn counter(&mut self, name: &str, help: &str, fill: impl FnOnce(&mut Family)) {
        self.family(name, help, MetricType::COUNTER, fill);
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType, fill: impl FnOnce(&mut Family)) {
        let mut family = Family { kind, samples: Vec::new() };
        fill(&mut family);
        if family.samples.is_empty() {
            return;
        }
        let mut written = MetricFamily::default();
        written.set_name(name.to_owned());
        written.set_help(help.to_owned());
        written.set_field_type(kind);
        written.set_metric(family.samples);
        self.families.push(written);
    }

    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        self.families
    }
}

impl Family {
    /// Adds a sample. No two of a family may have the same labels.
    pub fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value((*value).to_owned());
            label
        });
        let mut sample = Metric::from_label(labels.collect());
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        self.samples.push(sample);
    }

    /// Adds a sample without labels.
    pub fn set(&mut self, value: f64) {
        self.add(&[], value);
    }
}
