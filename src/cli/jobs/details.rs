//! All there is to know about a job, for people.

use strum::VariantArray as _;

use crate::api::view::{JobView, StepView, WireTime};
use crate::cli::words;
use crate::domain::{Setting, Timestamp};

/// `job` in words, a line each.
pub fn lines(job: &JobView, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("Job {}", job.id)];
    let facts = facts(job, now).into_iter();
    lines.extend(facts.map(|(name, value)| format!("  {name:<9}  {}", value.replace('\n', "\n             "))));
    if !job.steps.is_empty() {
        lines.push("Steps".to_owned());
        lines.extend(job.steps.iter().map(|step| step_line(step, now)));
    }
    if !job.external_changes.is_empty() {
        lines.push("Changes by others".to_owned());
        lines.extend(job.external_changes.iter().map(|change| {
            let at = words::time_near(change.noticed_at.0, now);
            format!("        {} → {}, noticed {at}", change.from_capacity, change.to_capacity)
        }));
    }
    lines
}

fn facts(job: &JobView, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("resource", job.resource.clone()),
        ("state", if job.state.is_over() { words::ending(job) } else { job.state.as_str().to_owned() }),
        ("capacity", capacity(job)),
        ("progress", progress(job, now)),
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("waiting", waiting(job, now));
    add("ending", job.ending_as.map(|state| format!("as {}, when its change in flight is resolved", state.as_str())));
    add("reason", job.reason.clone());
    let labels: Vec<String> = job.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    add("labels", (!labels.is_empty()).then(|| labels.join(", ")));
    add("settings", Some(settings(job)));
    add("created", Some(moment(job.created_at, now)));
    add("started", job.started_at.map(|at| moment(at, now)));
    match job.finished_at {
        Some(at) => add("finished", Some(moment(at, now))),
        None => add("deadline", Some(moment(job.deadline_at, now))),
    }
    facts
}

fn capacity(job: &JobView) -> String {
    let shown = |capacity: Option<u32>| capacity.map_or("?".to_owned(), |capacity| capacity.to_string());
    format!("{} (from {} to {})", shown(job.current_capacity), shown(job.start_capacity), words::goal(job))
}

fn progress(job: &JobView, now: Timestamp) -> String {
    let done = format!("{}, {} %", words::steps(&job.progress), job.progress.percent);
    match job.progress.estimated_completion_at {
        Some(at) if !job.state.is_over() => format!("{done}, probably done {}", moment(at, now)),
        _ => done,
    }
}

fn waiting(job: &JobView, now: Timestamp) -> Option<String> {
    let waiting = job.waiting_for.as_ref()?;
    let until = moment(waiting.until, now);
    let limit = if words::ends_by_itself(waiting) { "" } else { " at the latest" };
    Some(format!("for {} until {until}{limit}\n{}", words::awaited(waiting), waiting.detail))
}

fn settings(job: &JobView) -> String {
    let values = serde_json::to_value(&job.settings).unwrap_or_default();
    let shown = Setting::VARIANTS.iter().map(|setting| {
        let (name, value) = (setting.key().replace('_', " "), &values[setting.field()]);
        match value.as_u64() {
            Some(units) => format!("{name} {units}"),
            None => format!("{name} {}", words::setting(value.as_f64().unwrap_or_default())),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn moment(at: WireTime, now: Timestamp) -> String {
    words::moment(at.0, now)
}

fn step_line(step: &StepView, now: Timestamp) -> String {
    let sent = step.sent_at.map_or("not sent".to_owned(), |at| format!("sent {}", words::time_near(at.0, now)));
    let resolved = match (step.sent_at, step.resolved_at) {
        (Some(sent_at), Some(at)) => {
            format!(", resolved {} ({} later)", words::time_near(at.0, now), words::brief(at.0.since(sent_at.0)))
        }
        _ => String::new(),
    };
    let outcome = words::outcome_name(step);
    format!("  {:>4}  {:<18}  {outcome:<12}  {sent}{resolved}", step.index, words::step(step))
}
