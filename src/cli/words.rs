//! Times, durations and jobs in few words, as the client commands show them.

use std::time::Duration;

use uuid::Uuid;

use crate::api::view::{ActorView, JobView, ProgressView, StepView, WaitingView};
use crate::clock::Clock;
use crate::domain::policy::Mode;
use crate::domain::{StateName, Timestamp};

/// The time by this machine's clock, for ages and countdowns only.
pub fn now() -> Timestamp {
    Clock::start().now()
}

/// The time of day: `12:00:31Z`.
pub fn clock_time(at: Timestamp) -> String {
    formatted(at, "%H:%M:%SZ")
}

/// The time of day, with the date if it is not that of `near`.
pub fn time_near(at: Timestamp, near: Timestamp) -> String {
    const DATE: &str = "%Y-%m-%d";
    if formatted(at, DATE) == formatted(near, DATE) { clock_time(at) } else { full_time(at) }
}

/// Date and time to the second: `2026-01-31 12:00:31Z`.
pub fn full_time(at: Timestamp) -> String {
    formatted(at, "%Y-%m-%d %H:%M:%SZ")
}

/// When something was or will be, and how far from `now`: `12:00:31Z (5m ago)`.
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    let distance =
        if at > now { format!("in {}", brief(at.since(now))) } else { format!("{} ago", brief(now.since(at))) };
    format!("{} ({distance})", time_near(at, now))
}

fn formatted(at: Timestamp, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(time) => time.strftime(format).to_string(),
        Err(_) => at.to_string(),
    }
}

/// `duration` in at most two units: `42s`, `5m 3s`, `2h 5m`, `3d 4h`.
pub fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (large, large_unit, small, small_unit) = match seconds {
        0..60 => return format!("{seconds}s"),
        60..3600 => (seconds / 60, 'm', seconds % 60, 's'),
        3600..86_400 => (seconds / 3600, 'h', seconds % 3600 / 60, 'm'),
        _ => (seconds / 86_400, 'd', seconds % 86_400 / 3600, 'h'),
    };
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit} {small}{small_unit}") }
}

/// A setting: in the units people use where they express it exactly, in seconds otherwise.
pub fn setting(seconds: f64) -> String {
    let exact = |duration: &Duration| {
        let seconds = duration.as_secs();
        let unit = if seconds < 3600 {
            1
        } else if seconds < 86_400 {
            60
        } else {
            3600
        };
        duration.subsec_nanos() == 0 && seconds.is_multiple_of(unit)
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if exact(&duration) => brief(duration),
        _ => format!("{seconds}s"),
    }
}

/// `text` as a shell takes it for one word.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,[]".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The mode of a policy, as its document has it.
pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Active => "active",
        Mode::Advise => "advise",
        Mode::Off => "off",
    }
}

/// Where the job goes: `5`, or `+2` as long as a delta has not met its first reading.
pub fn goal(job: &JobView) -> String {
    match (job.target_capacity, job.delta) {
        (Some(target), _) => target.to_string(),
        (None, Some(delta)) => format!("{delta:+}"),
        (None, None) => "?".to_owned(),
    }
}

/// `to 5`, or `by +2` as long as a delta has not met its first reading.
pub fn aim(job: &JobView) -> String {
    let preposition = if job.target_capacity.is_some() { "to" } else { "by" };
    format!("{preposition} {}", goal(job))
}

/// What the policy does not do because of what was asked, as a line beside the job.
pub fn note(job: &JobView) -> Option<String> {
    job.note.as_ref().map(|note| format!("  {note}"))
}

/// `2 → 5`: where the resource is, and where the job goes.
pub fn way(job: &JobView) -> String {
    let capacity = job.current_capacity.map_or("?".to_owned(), |capacity| capacity.to_string());
    format!("{capacity} → {}", goal(job))
}

/// What goes on with an unfinished job: `cooldown, 3m 58s left`. Empty if there is nothing to say.
pub fn situation(job: &JobView, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(waiting) = &job.waiting_for {
        parts.push(going_on(waiting, now));
    }
    if let Some(ending) = job.ending_as.filter(|_| !job.state.is_over()) {
        parts.push(format!("to be {}", ending.as_str()));
    }
    parts.join(" · ")
}

/// What goes on during a wait, and how long, if it ends by itself: `cooldown, 3m 58s left`.
pub fn going_on(waiting: &WaitingView, now: Timestamp) -> String {
    let left = waiting.until.0.since(now);
    if ends_by_itself(waiting) && !left.is_zero() {
        // Rounded up, so that the last second is shown as one.
        format!("{}, {} left", doing(waiting), brief(left + Duration::from_millis(999)))
    } else {
        doing(waiting).to_owned()
    }
}

/// A time of so many seconds that is left; `None` if none is.
pub fn remaining(seconds: f64) -> Option<String> {
    let left = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    (!left.is_zero()).then(|| brief(left))
}

/// The end of a job's id, which tells it from all others in practice, and which commands take.
pub fn short_id(id: Uuid) -> String {
    let mut text = id.to_string();
    text.split_off(text.len().saturating_sub(8))
}

/// Who did something: the name of the key, the policy, or the operator.
pub fn actor(actor: &ActorView) -> String {
    match (&actor.name, actor.revision) {
        (Some(name), _) => name.clone(),
        (None, Some(revision)) => format!("policy, revision {revision}"),
        (None, None) => "operator".to_owned(),
    }
}

/// `3/4`: steps done and steps in all, where there is little room; `not planned` until the first reading.
pub fn steps_in_brief(progress: &ProgressView) -> String {
    progress
        .total_steps
        .map_or_else(|| "not planned".to_owned(), |total| format!("{}/{total}", progress.completed_steps))
}

/// `3/4 steps`: steps done and steps in all; `no steps planned yet` until the first reading.
pub fn steps(progress: &ProgressView) -> String {
    match progress.total_steps {
        Some(total) => format!("{}/{total} steps", progress.completed_steps),
        None => "no steps planned yet".to_owned(),
    }
}

/// `add 1: 1 → 2`.
pub fn step(step: &StepView) -> String {
    format!("{} {}: {} → {}", step.op, step.units, step.from_capacity, step.to_capacity)
}

/// What became of a step, in a word, as a table has it.
pub fn outcome_name(step: &StepView) -> String {
    step.outcome.as_str().replace('_', " ")
}

/// What became of a step, as the end of a sentence.
pub fn outcome(step: &StepView) -> &str {
    match step.outcome.as_str() {
        "pending" => "sent",
        "unknown" => "has an unknown outcome",
        "not_applied" => "had no effect",
        "rejected" => "rejected by the sidecar",
        other => other,
    }
}

/// What is waited for.
pub fn awaited(waiting: &WaitingView) -> &str {
    match waiting.reason.as_str() {
        "turn" => "its turn",
        "stage" => "the earlier stages of its group",
        "sidecar" => "a reading from the sidecar",
        "active" => "the resource to become ready",
        "cooldown" => "the cooldown",
        "change" => "the change to show",
        "settle" => "a reading that can be trusted",
        other => other,
    }
}

/// What goes on during a wait, in fewer words than [`awaited`]: beside a progress bar there is little room.
pub fn doing(waiting: &WaitingView) -> &str {
    match waiting.reason.as_str() {
        "turn" => "in the queue",
        "stage" => "waiting for its stage",
        "sidecar" => "reading the capacity",
        "active" => "becoming ready",
        "change" => "change under way",
        "settle" => "settling",
        other => other,
    }
}

/// Whether the wait ends at its time, rather than being given up then.
pub fn ends_by_itself(waiting: &WaitingView) -> bool {
    waiting.reason == "cooldown"
}

/// How the job ended, in a line or two, where the resource is not named beside it.
pub fn ending(job: &JobView) -> String {
    match job.state {
        StateName::Succeeded => format!("succeeded: {}{}", job.resource, result(job)),
        _ => ending_there(job),
    }
}

/// The same where it was said.
pub fn ending_there(job: &JobView) -> String {
    match (job.state, &job.error) {
        (StateName::Succeeded, _) => format!("succeeded{}", result(job)),
        (StateName::Failed, Some(error)) => {
            let said = error.sidecar.as_ref().map_or(String::new(), |answer| {
                format!("\n  the sidecar said ({}): {}", answer.status, answer.body.trim())
            });
            format!("failed{} ({}): {}{said}", at_capacity(job), error.code, error.message)
        }
        (StateName::Superseded, _) => {
            let by = job.superseded_by.map_or(String::new(), |by| format!(" by job {by}"));
            format!("superseded{by}{}", at_capacity(job))
        }
        (other, _) => format!("{}{}", other.as_str(), at_capacity(job)),
    }
}

/// ` at capacity 5 after 4 steps in 15m 59s`
fn result(job: &JobView) -> String {
    let count = job.progress.completed_steps;
    let plural = if count == 1 { "" } else { "s" };
    let took = job.finished_at.map_or(String::new(), |at| format!(" in {}", brief(at.0.since(job.created_at.0))));
    format!("{} after {count} step{plural}{took}", at_capacity(job))
}

fn at_capacity(job: &JobView) -> String {
    job.current_capacity.map_or(String::new(), |capacity| format!(" at capacity {capacity}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use strum::VariantArray as _;

    use super::*;
    use crate::api::view::WireTime;
    use crate::domain::{StepOutcome, WaitReason};

    /// The first text of each entry of the list `name` in `module`, by the entry's key.
    fn listed<'a>(module: &'a str, name: &str) -> BTreeMap<&'a str, &'a str> {
        let (_, after) = module.split_once(&format!("const {name} = {{\n")).expect("the list");
        let (list, _) = after.split_once("\n};").expect("its end");
        let entries = list.lines().map(|line| line.trim().split_once(": ").expect("an entry"));
        entries.map(|(key, texts)| (key, texts.split('"').nth(1).expect("a text"))).collect()
    }

    fn capitalized(word: &str) -> String {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + &rest.replace('_', " ")
    }

    #[test]
    fn the_panel_tells_of_a_job_in_the_same_words() {
        let panel = include_str!("../panel/words.js");
        let states = StateName::ALL.map(|state| (state.as_str(), capitalized(state.as_str())));
        let outcomes =
            StepOutcome::VARIANTS.iter().map(|outcome| outcome.as_str()).map(|name| (name, capitalized(name)));
        let until = WireTime(Timestamp::from_millis(0));
        let waits = WaitReason::ALL.map(|reason| {
            let waiting = WaitingView { reason: reason.as_str().to_owned(), until, detail: String::new() };
            (reason.as_str(), format!("Waits for {}", awaited(&waiting)))
        });
        for (list, expected) in [
            ("STATES", BTreeMap::from(states)),
            ("OUTCOMES", outcomes.collect()),
            ("WAITS", BTreeMap::from(waits)),
            ("ENDINGS_AS", ["canceled", "superseded"].map(|state| (state, format!("To be {state}"))).into()),
        ] {
            let shown: BTreeMap<_, _> =
                listed(panel, list).into_iter().map(|(key, text)| (key, text.to_owned())).collect();
            assert_eq!(shown, expected, "{list}");
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (303, "5m 3s"),
            (7200, "2h"),
            (7500, "2h 5m"),
            (86_399, "23h 59m"),
            (86_400, "1d"),
            (273_600, "3d 4h"),
        ] {
            assert_eq!(brief(Duration::from_secs(seconds)), text);
        }
        for (seconds, text) in
            [(300.0, "5m"), (0.25, "0.25s"), (7500.0, "2h 5m"), (3661.0, "3661s"), (0.0, "0s"), (-1.0, "-1s")]
        {
            assert_eq!(setting(seconds), text);
        }
    }

    #[test]
    fn times_carry_a_date_only_where_they_need_one() {
        let at = Timestamp::from_millis(1_769_860_831_007);
        assert_eq!(clock_time(at), "12:00:31Z");
        assert_eq!(time_near(at, at - Duration::from_hours(12)), "12:00:31Z");
        assert_eq!(time_near(at, at + Duration::from_hours(12)), "2026-01-31 12:00:31Z");
    }
}
