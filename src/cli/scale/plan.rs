//! A plan for people.

use crate::api::view::Plan;
use crate::cli::words;
use crate::domain::Timestamp;

/// `plan` as a headline and a line per step; `options` say which gateway it is from.
pub fn lines(plan: &Plan, options: &str, now: Timestamp) -> Vec<String> {
    let Plan { resource, start_capacity, target_capacity, .. } = plan;
    if let Some(id) = plan.joins {
        return vec![format!(
            "{resource}: an unfinished job does the same and would be joined. To look at it: scalegate jobs {id}{options}"
        )];
    }
    if plan.steps.is_empty() {
        return vec![format!("{resource}: {start_capacity} → {target_capacity}, nothing to do")];
    }
    let count = plan.steps.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut lines = vec![format!(
        "{resource}: {start_capacity} → {target_capacity} in {count} step{plural}, done at about {}",
        at(plan.estimated_completion_at.0, now)
    )];
    for step in &plan.steps {
        let change = format!("{} {}", step.op, step.units);
        let movement = format!("{} → {}", step.from_capacity, step.to_capacity);
        let earliest = at(step.earliest_at.0, now);
        lines.push(format!("{:>4}  {change:<10}  {movement:<12}  {earliest}", step.index));
    }
    lines
}

fn at(time: Timestamp, now: Timestamp) -> String {
    let left = time.since(now);
    if left.as_secs() == 0 {
        return "now".to_owned();
    }
    format!("{} (in {})", words::time_near(time, now), words::brief(left))
}
