//! The span of a job: from its acceptance to its end, with its changes as events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, Span as _, SpanBuilder, SpanKind, Status};

use super::{Traces, ids};
use crate::clock::Clock;
use crate::domain::{Ending, Job, Step, Timestamp};

impl Traces {
    /// Takes note of a job that is shown to readers in a new version. Its span is told when it is over.
    ///
    /// A process that is killed between writing down that a job is over and telling its span never tells it. The record
    /// of the job is complete in any case.
    pub fn job_published(&self, job: &Job, clock: &Clock) {
        let Some(tracing) = &self.0 else { return };
        let (Some(ending), Some(finished_at)) = (job.ended(), job.finished_at) else { return };
        let wall = |at: Timestamp| {
            let millis = clock.to_wall(at).as_millis();
            UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        };
        let builder = SpanBuilder::from_name("job")
            .with_start_time(wall(job.created_at))
            .with_attributes(attributes(job, ending))
            .with_events(events(job, wall));
        let mut span = ids::with_ids_of(job.id, || tracing.begin(builder, SpanKind::Internal, job.trace.as_ref()));
        if let Ending::Failed(error) = ending {
            span.set_status(Status::error(error.message.clone()));
        }
        span.end_with_timestamp(wall(finished_at));
    }
}

fn attributes(job: &Job, ending: &Ending) -> Vec<KeyValue> {
    let (state, error) = match ending {
        Ending::Succeeded => ("succeeded", None),
        Ending::Failed(error) => ("failed", Some(error.code.as_str())),
        Ending::Canceled => ("canceled", None),
        Ending::Superseded { .. } => ("superseded", None),
    };
    let steps = i64::try_from(job.steps.len()).unwrap_or(i64::MAX);
    let mut attributes = vec![
        KeyValue::new("scalegate.job.id", job.id.to_string()),
        KeyValue::new("scalegate.resource", job.resource.as_str().to_owned()),
        KeyValue::new("scalegate.job.state", state),
        KeyValue::new("scalegate.job.steps", steps),
    ];
    attributes.extend(job.target.map(|target| KeyValue::new("scalegate.target", i64::from(target.units()))));
    attributes.extend(job.start.map(|start| KeyValue::new("scalegate.start", i64::from(start.units()))));
    attributes.extend(error.map(|code| KeyValue::new("error.type", code)));
    attributes.extend(job.superseded_by().map(|by| KeyValue::new("scalegate.superseded_by", by.to_string())));
    attributes
}

/// In order of time. The library keeps the first 128, which is 64 steps.
fn events(job: &Job, wall: impl Fn(Timestamp) -> SystemTime) -> Vec<Event> {
    let event = |name: &'static str, at, attributes| Event::new(name, wall(at), attributes, 0);
    let mut events: Vec<Event> = job.started_at.map(|at| event("started", at, Vec::new())).into_iter().collect();
    for step in &job.steps {
        events.extend(step.sent_at.map(|at| event("change sent", at, movement(step))));
        events.extend(step.resolved_at.map(|at| {
            let outcome = KeyValue::new("scalegate.outcome", step.outcome.as_str());
            event("change resolved", at, movement(step).into_iter().chain([outcome]).collect())
        }));
    }
    events
}

fn movement(step: &Step) -> Vec<KeyValue> {
    vec![
        KeyValue::new("scalegate.op", step.op.as_str()),
        KeyValue::new("scalegate.units", i64::from(step.units)),
        KeyValue::new("scalegate.from", i64::from(step.from.units())),
        KeyValue::new("scalegate.to", i64::from(step.to.units())),
    ]
}
