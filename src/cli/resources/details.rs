//! All there is to know about a resource, for people.

use super::{status, why};
use crate::api::view::{JobView, Resource};
use crate::cli::words;
use crate::domain::Timestamp;

/// `resource` in words, a line each; `options` say which gateway it is from.
pub fn lines(resource: &Resource, job: Option<&JobView>, options: &str, now: Timestamp) -> Vec<String> {
    let facts =
        facts(resource, job, options, now).into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    let facts = facts.map(|(name, value)| format!("  {name:<9}  {value}"));
    std::iter::once(format!("Resource {}", resource.resource)).chain(facts).collect()
}

fn facts(
    resource: &Resource,
    job: Option<&JobView>,
    options: &str,
    now: Timestamp,
) -> Vec<(&'static str, Option<String>)> {
    let read = resource.last_observation.as_ref().map(|last| words::moment(last.received_at.0, now));
    let policy = resource.policy.as_ref();
    let decided = |name: &str| format!("{name}; `scalegate why {}{options}` tells more", resource.resource);
    vec![
        ("status", Some(status(resource))),
        ("capacity", resource.capacity.map(|capacity| capacity.to_string())),
        ("target", job.map(words::goal)),
        ("cooldown", words::remaining(resource.cooldown_remaining_seconds).map(|left| format!("{left} left"))),
        ("why", why(resource, job, now)),
        ("bounds", Some(format!("{} to {}", resource.bounds.min, resource.bounds.max))),
        ("job", resource.active_job.map(|id| id.to_string())),
        ("queue", queue(resource)),
        ("policy", policy.map(|policy| decided(words::mode(policy.mode)))),
        ("read", read),
        ("failure", resource.read_failure.clone()),
    ]
}

fn queue(resource: &Resource) -> Option<String> {
    let ids: Vec<String> = resource.queue.iter().map(|id| words::short_id(*id)).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}
