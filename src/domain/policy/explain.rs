//! Decisions as sentences.
//!
//! A sentence says first what happens to the resource, then why. It must never tell of a change that is not sent, nor name
//! a target as if it were reached.

use super::super::capacity::Capacity;
use super::act::Act;
use super::condition::Condition;
use super::decision::{Action, Decision, Says};
use super::document::Mode;

/// What happens and why: "From 3 to 10: office needs 10 until 17:00 Europe/Berlin; queue alone would need 9." The policy
/// does `act` about it, and `blocked_by` keeps it from doing more.
pub fn sentence(decision: &Decision, act: Act, blocked_by: Option<&Condition>) -> String {
    let (Some(wanted), Some(decided)) = (decision.wanted, decision.decided) else { return decision.detail.clone() };
    let Some(lead) = lead(decision, act.target().unwrap_or(decided), blocked_by.is_some()) else {
        return decision.detail.clone();
    };
    let top = decision.rules.iter().find(|rule| rule.says == Says::Wants(Some(wanted)));
    let recommends = decision.rules.iter().any(|rule| matches!(rule.says, Says::Wants(_)));
    let last = decision.stages.iter().skip(1).last().and_then(|stage| stage.detail.as_deref());
    let reason = match (last, top) {
        (Some(last), Some(top)) if wanted != decided => format!("{last}; {} alone would need {wanted}", top.name),
        (Some(last), None) if wanted != decided => format!("{last}; otherwise {wanted}"),
        (Some(last), _) => last.to_owned(),
        (None, Some(top)) => format!("{} (rule {})", top.detail, top.name),
        (None, None) if recommends => "no rule has an opinion".to_owned(),
        (None, None) => format!("no rule asks for more than the policy's min, {wanted}"),
    };
    let rest = if act == Act::Nothing { "Nothing is sent" } else { "No more is sent" };
    let block = blocked_by.map_or(String::new(), |condition| format!(" {rest}: {}", condition.detail));
    format!("{lead}: {reason}.{block}")
}

/// What happens: the target of the policy becomes or stays `next`.
fn lead(decision: &Decision, next: Capacity, is_blocked: bool) -> Option<String> {
    let (capacity, target, decided) = (decision.capacity?, decision.target?, decision.decided?);
    let instead = if is_blocked { format!(" instead of {decided}") } else { String::new() };
    Some(match decision.action {
        Action::Submitted => format!("From {capacity} to {next}{instead}"),
        Action::Retargeted => format!("To {next}{instead} and no longer to {target}, now {capacity}"),
        Action::Canceled if decision.mode != Mode::Active => {
            format!(
                "Ends the job to {target}, now {capacity}, since the mode is {}; would decide {decided}",
                decision.mode.as_str()
            )
        }
        Action::Canceled => format!("Stays at {capacity} and ends the job to {target}"),
        Action::Advised => format!("Would go from {capacity} to {decided}"),
        Action::None if target == capacity => format!("Stays at {capacity}{instead}"),
        Action::None => format!("On the way to {target}{instead}, now {capacity}"),
    })
}
