//! Where durable changes are shown: the table for readers, the feed for streams, the metrics.
//!
//! None of them can hold up the engine or fail it, and nothing is ever decided by what they are shown.

use std::sync::Arc;

use super::requests::ResourceView;
use crate::clock::Clock;
use crate::domain::policy::Decision;
use crate::domain::{Alias, EventId, HistoryEntry, JobEvent};
use crate::feed::Feed;
use crate::group_table::GroupTable;
use crate::metrics::Metrics;
use crate::table::{JobTable, Published};
use crate::telemetry::Traces;

/// See the module's documentation.
#[derive(Clone)]
pub struct Projections {
    /// Where readers see the jobs.
    pub table: Arc<JobTable>,
    /// Where readers see the groups.
    pub groups: Arc<GroupTable>,
    /// Where those who watch hear of changes.
    pub feed: Arc<Feed>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the spans of jobs go.
    pub traces: Traces,
}

impl Projections {
    /// One that has not been shown anything; the next version of a job will be `next_event`.
    ///
    /// # Errors
    /// If two metrics contradict each other.
    pub fn new(next_event: EventId, traces: Traces) -> Result<Self, prometheus::Error> {
        let (table, feed) = (Arc::new(JobTable::default()), Arc::new(Feed::new(next_event)));
        let (groups, metrics) = (Arc::new(GroupTable::default()), Arc::new(Metrics::new()?));
        Ok(Self { table, groups, feed, metrics, traces })
    }

    /// Shows a job in a new version. Only the engine shows jobs.
    pub(super) fn show(&self, event: JobEvent, clock: &Clock) {
        let shown = self.note(event, clock);
        self.feed.publish(shown);
    }

    /// Leaves of what is known about a resource what can be shown: a job that is on its way to the disk is not there yet.
    pub(super) fn trim(&self, view: &mut ResourceView) {
        view.active = view.active.take().and_then(|job| Some(Arc::clone(self.table.get(job.id)?.job())));
        view.queue.retain(|id| self.table.get(*id).is_some());
        view.standing.own_job.take_if(|id| self.table.get(*id).is_none());
    }

    /// Tells of something that happened to a resource.
    pub(super) fn tell(&self, resource: Alias, entry: HistoryEntry) {
        self.feed.tell(resource, entry);
    }

    /// Tells of a decision of a policy, and counts it.
    pub(super) fn tell_decision(&self, decision: Decision) {
        self.metrics.policies.decided(decision.action);
        self.feed.tell_decision(decision);
    }

    /// Shows what was in the store at the start, which is no news.
    pub(super) fn show_first<'a>(&self, jobs: impl Iterator<Item = &'a JobEvent>) {
        jobs.for_each(|event| drop(self.table.publish(event.clone())));
    }

    /// Shows what became durable without having been shown, and counts it like everything else; those who watch read it from
    /// the log.
    pub(super) fn show_missed<'a>(&self, jobs: impl Iterator<Item = &'a JobEvent>, clock: &Clock) {
        jobs.for_each(|event| drop(self.note(event.clone(), clock)));
    }

    fn note(&self, event: JobEvent, clock: &Clock) -> Published {
        let before = self.table.get(event.job.id);
        let shown = self.table.publish(event);
        let before = before.as_ref().map(|before| &**before.job());
        self.metrics.jobs.published(before, shown.job());
        if before.is_none_or(|before| before.ended().is_none()) {
            self.traces.job_published(shown.job(), clock);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Capacity, Goal, Job, JobId, JobRequest, ScalingConfig, Settings, StepDurations, Timestamp};
    use crate::engine::StandingView;

    #[test]
    fn jobs_on_their_way_to_the_disk_are_not_shown() {
        let request = JobRequest::for_worker(Goal::Target(Capacity::ZERO));
        let job = |id, version| {
            let job = Job::accept(JobId::from_u128(id), request.clone(), Settings::DEFAULT, Timestamp::from_millis(0));
            Arc::new(Job { version, ..job })
        };
        let projections = Projections::new(1, Traces::default()).expect("consistent");
        let view = ResourceView {
            resource: request.resource.clone(),
            listed: false,
            rules: ScalingConfig::default().in_force(&request.resource),
            observation: None,
            next_change_at: None,
            active: Some(job(1, 2)),
            queue: vec![JobId::from_u128(2), JobId::from_u128(3)],
            step_durations: StepDurations::default(),
            standing: StandingView { own_job: Some(JobId::from_u128(1)), ..StandingView::default() },
        };
        let mut nothing = view.clone();
        projections.trim(&mut nothing);
        assert_eq!((nothing.active, nothing.queue, nothing.standing.own_job), (None, vec![], None));
        for id in [1, 3] {
            projections.table.publish(JobEvent { id: 1, job: job(id, 1) });
        }
        let mut shown = view;
        projections.trim(&mut shown);
        assert_eq!((shown.active, shown.queue), (Some(job(1, 1)), vec![JobId::from_u128(3)]));
        assert_eq!(shown.standing.own_job, Some(JobId::from_u128(1)));
    }
}
