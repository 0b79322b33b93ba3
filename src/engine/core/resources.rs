//! Pages of resources: those that the configuration lists and those that were scaled lately, by name.
//!
//! A page must never cost more because there are more resources than it shows: callers ask for pages at any rate, and the
//! engine does nothing else meanwhile.
//!
//! Rejected: one ordered set of both, because the names would be kept twice and have to be kept equal.

use std::iter::from_fn;
use std::ops::Bound;

use super::super::requests::{Alternatives, ResourceView};
use super::Core;
use crate::domain::{Alias, ChangeState, Reach, Timestamp};

/// Most names that a misspelt one is compared with: as many are gone through in some tens of microseconds.
const MAX_COMPARED: usize = 1000;

impl Core {
    /// Whether `resource` is listed, or it is known from an answer of the sidecar, a change or a policy that it exists. Callers
    /// can submit jobs for any other name as well.
    pub(super) fn is_recognised(&self, resource: &Alias) -> bool {
        let was_changed = || self.lane(resource).is_some_and(|lane| *lane.change_state() != ChangeState::default());
        self.scaling.resources.contains_key(resource)
            || self.observations.contains_key(resource)
            || self.standings.in_force(resource).is_some()
            || was_changed()
    }

    /// The recognised resources within `reach` that a caller can have meant who wrote `alias`, at most 1000, and whether that is
    /// recognised itself.
    pub fn alternatives(&self, alias: &Alias, reach: &Reach) -> Alternatives {
        let others: Vec<Alias> = match reach.resources() {
            Some(own) => own.iter().filter(|resource| self.is_recognised(resource)).cloned().collect(),
            None => {
                let listed = self.scaling.resources.keys();
                let read = self.observations.keys().filter(|resource| !self.scaling.resources.contains_key(*resource));
                listed.chain(read).take(MAX_COMPARED).cloned().collect()
            }
        };
        let others = others.into_iter().filter(|other| other != alias).collect();
        Alternatives { is_recognised: self.is_recognised(alias), others }
    }

    /// Everything known about the resources within `reach` that are listed or were scaled lately, by name: the first
    /// `size` of those that come after `after`. What it costs depends on `size` and not on how many there are.
    pub fn resources(&self, reach: &Reach, after: Option<&Alias>, size: usize, now: Timestamp) -> Vec<ResourceView> {
        let from = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        if let Some(own) = reach.resources() {
            let known = own.range::<Alias, _>(from).filter(|resource| self.is_known(resource));
            return known.filter_map(|resource| self.resource(resource, now)).take(size).collect();
        }
        let mut scaled = self.lanes.names(from).peekable();
        let mut listed = self.scaling.resources.range::<Alias, _>(from).map(|(resource, _)| resource).peekable();
        let in_order = from_fn(|| match (scaled.peek(), listed.peek()) {
            (Some(one), Some(other)) if one == other => {
                scaled.next();
                listed.next()
            }
            (Some(one), Some(other)) if one > other => listed.next(),
            (Some(_), _) => scaled.next(),
            (None, _) => listed.next(),
        });
        in_order.filter_map(|resource| self.resource(resource, now)).take(size).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::domain::{LaneRecord, ScalingConfig};
    use crate::store::{AdoptedLane, Adoption};

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn named(name: &str) -> Alias {
        name.parse().expect("an alias")
    }

    fn core(listed: &[&str], scaled: impl IntoIterator<Item = Alias>) -> Core {
        let scaling = ScalingConfig::default();
        let resources = listed.iter().map(|name| (named(name), scaling.in_force(&named(name)))).collect();
        let records = scaled.into_iter().map(LaneRecord::new);
        let lanes = records.zip(1..);
        let lanes =
            lanes.map(|(record, epoch)| AdoptedLane { epoch, record, jobs: Vec::new(), policy: None }).collect();
        let adoption = Adoption { lanes, ..Adoption::default() };
        Core::recover(Arc::new(ScalingConfig { resources, ..scaling }), adoption, NOW)
    }

    fn page(core: &Core, reach: &Reach, after: Option<&str>, size: usize) -> Vec<String> {
        let views = core.resources(reach, after.map(named).as_ref(), size, NOW);
        views.into_iter().map(|view| view.resource.as_str().to_owned()).collect()
    }

    #[test]
    fn pages_are_in_the_order_of_names_and_leave_nothing_out() {
        let core = core(&["b", "d", "e"], ["c", "a", "d", "f"].map(named));
        let whole = ["a", "b", "c", "d", "e", "f"];
        for size in 1..=7 {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let next = page(&core, &Reach::EVERYTHING, after.as_deref(), size);
                assert!(next.len() <= size);
                let Some(last) = next.last() else { break };
                after = Some(last.clone());
                all.extend(next);
            }
            assert_eq!(all, whole, "{size}");
        }
        // A name that is gone is a place as well.
        assert_eq!(page(&core, &Reach::EVERYTHING, Some("bb"), 2), ["c", "d"]);
    }

    #[test]
    fn a_page_has_what_is_within_reach_and_known() {
        let core = core(&["b", "d"], ["a", "c"].map(named));
        let reach = Reach::only(["c", "b", "unknown", "d"].map(named));
        assert_eq!(page(&core, &reach, None, 9), ["b", "c", "d"]);
        assert_eq!(page(&core, &reach, Some("b"), 1), ["c"]);
        assert_eq!(page(&core, &reach, Some("d"), 1), [""; 0]);
    }

    #[test]
    fn a_misspelt_name_has_the_recognised_ones_within_reach_as_alternatives() {
        // That a lane exists says nothing: the job with the misspelt name has one.
        let core = core(&["worker", "api"], ["wroker"].map(named));
        let alternatives = |name: &str, reach: &Reach| {
            let Alternatives { is_recognised, others } = core.alternatives(&named(name), reach);
            (is_recognised, others)
        };
        assert_eq!(alternatives("wroker", &Reach::EVERYTHING), (false, ["api", "worker"].map(named).to_vec()));
        assert_eq!(alternatives("api", &Reach::EVERYTHING), (true, ["worker"].map(named).to_vec()));
        let reach = Reach::only(["api", "wroker", "other"].map(named));
        assert_eq!(alternatives("wroker", &reach), (false, ["api"].map(named).to_vec()));
        let many = (0..2000).map(|number| format!("r{number}")).collect::<Vec<_>>();
        let many = self::core(&many.iter().map(String::as_str).collect::<Vec<_>>(), []);
        assert_eq!(many.alternatives(&named("x"), &Reach::EVERYTHING).others.len(), MAX_COMPARED);
    }

    #[test]
    fn a_page_costs_the_same_with_13000_resources() {
        let with = |number: usize| core(&[], (0..number).map(|number| named(&format!("r{number:05}"))));
        let fastest = |core: &Core, reach: &Reach| {
            let once = |_| {
                let begun = Instant::now();
                assert_eq!(core.resources(reach, Some(&named("r00010")), 20, NOW).len(), 20);
                begun.elapsed()
            };
            (0..200).map(once).min().expect("some")
        };
        let (few, many) = (with(40), with(13_000));
        let reach = Reach::only((11..31).map(|number| named(&format!("r{number:05}"))));
        for reach in [&Reach::EVERYTHING, &reach] {
            let (few, many) = (fastest(&few, reach), fastest(&many, reach));
            // All of them take 300 times as long.
            assert!(many < 10 * few + Duration::from_micros(50), "{many:?} instead of {few:?}");
        }
    }
}
