//! Groups and their plans for people.

use crate::api::view::{GroupMemberView, GroupPlan, GroupView};
use crate::cli::words;
use crate::domain::{GroupState, Timestamp};

/// A line for each member: where it goes, and in which stage.
pub fn members(group: &GroupView) -> Vec<String> {
    group
        .members
        .iter()
        .map(|member| format!("  stage {}: {} {}", member.stage, member.resource, way(member)))
        .collect()
}

/// All there is to know about `group`, a line each.
pub fn details(group: &GroupView, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("Group {}", group.id)];
    let mut add = |name: &str, value: String| lines.push(format!("  {name:<10}  {value}"));
    add("state", ending(group));
    add("progress", format!("{}, {} %", words::steps(&group.progress), group.progress.percent));
    if let Some(at) = group.progress.estimated_completion_at.filter(|_| !group.state.is_over()) {
        add("done", format!("probably at {}", words::moment(at.0, now)));
    }
    add("on failure", on_failure(group).to_owned());
    if let Some(reason) = &group.reason {
        add("reason", reason.clone());
    }
    add("created", words::moment(group.created_at.0, now));
    if let Some(at) = group.finished_at {
        add("finished", words::moment(at.0, now));
    }
    lines.push("Members".to_owned());
    lines.extend(group.members.iter().map(|member| {
        format!("  stage {}: {}, job {}", member.stage, situation(member, now), words::short_id(member.job_id))
    }));
    lines
}

fn on_failure(group: &GroupView) -> &'static str {
    match group.on_failure {
        crate::domain::OnFailure::Stop => "stop",
        crate::domain::OnFailure::Continue => "continue",
        crate::domain::OnFailure::Restore => "restore",
    }
}

/// What goes on with a member: `db 1 → 3, running, cooldown, 3m 58s left`.
pub fn situation(member: &GroupMemberView, now: Timestamp) -> String {
    let mut text = format!("{} {}, {}", member.resource, way(member), member.state.as_str());
    if let Some(waiting) = &member.waiting_for {
        text.push_str(&format!(", {}", words::going_on(waiting, now)));
    }
    if let Some(error) = &member.error {
        text.push_str(&format!(" ({}): {}", error.code, error.message));
    }
    if let Some(restore) = &member.restore {
        text.push_str(&format!("; back to {}: {}", capacity(member.start_capacity), restore.state.as_str()));
        if let Some(error) = &restore.error {
            text.push_str(&format!(" ({}): {}", error.code, error.message));
        }
    }
    text
}

/// How the group ended, or its state.
pub fn ending(group: &GroupView) -> String {
    let took = group.finished_at.map(|at| words::brief(at.0.since(group.created_at.0)));
    match (group.state, &group.error, took) {
        (GroupState::Failed, Some(error), _) => format!("failed: {}", error.message),
        (GroupState::Succeeded, _, Some(took)) => format!("succeeded in {took}"),
        (state, ..) if group.canceled && !state.is_over() => format!("{} (to be canceled)", state.as_str()),
        (state, ..) => state.as_str().to_owned(),
    }
}

fn way(member: &GroupMemberView) -> String {
    format!("{} → {}", capacity(member.current_capacity), capacity(member.target_capacity))
}

fn capacity(capacity: Option<u32>) -> String {
    capacity.map_or("?".to_owned(), |capacity| capacity.to_string())
}

/// `plan` as a line per stage and the lines of its members; `options` say which gateway it is from.
pub fn plan(plan: &GroupPlan, options: &str, now: Timestamp) -> Vec<String> {
    if let Some(id) = plan.joins {
        return vec![format!(
            "An unfinished group does the same and would be joined. To look at it: scalegate groups {id}{options}"
        )];
    }
    let mut lines = vec![format!("Done at about {}", words::moment(plan.estimated_completion_at.0, now))];
    for stage in &plan.stages {
        lines.push(format!("Stage {}, {} from its beginning", stage.stage, words::setting(stage.estimated_seconds)));
        lines.extend(stage.members.iter().map(|member| {
            let (count, plural) = (member.steps.len(), if member.steps.len() == 1 { "" } else { "s" });
            format!(
                "  {}: {} → {} in {count} step{plural}",
                member.resource, member.start_capacity, member.target_capacity
            )
        }));
    }
    lines
}
