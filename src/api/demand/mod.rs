//! What callers ask of a resource for a time: holds and claims. Each has an end, and ends by itself.

mod claims;
mod holds;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;

use super::ApiState;
use super::caller::{Caller, note_subject};
use super::problem::{ApiError, Code, FieldErrors};
use super::submission::check_text;
use crate::domain::{Alias, Subject, Timestamp, seconds};
use crate::engine::{PolicyAnswer, PolicyChangeRequest, PolicyRequest};

pub use claims::{ClaimList, NewClaim};
pub use holds::NewHold;

pub(super) use claims::{create_claim, delete_claim, get_claim, list_claims, renew_claim};
pub(super) use holds::{delete_hold, get_hold, put_hold};

pub(super) use claims::ROUTES as CLAIM_ROUTES;
pub(super) use holds::ROUTES as HOLD_ROUTES;

/// Longest time that a hold or a claim may last: who needs it longer wants another policy.
const MAX_LASTING: Duration = Duration::from_hours(30 * 24);
/// Longest note, in bytes.
const MAX_REASON_BYTES: usize = 500;

/// When what is asked for ends: at `until` or after `for_seconds`, one of which must be given. It begins at `from`.
fn end(
    errors: &mut FieldErrors,
    until: Option<&str>,
    for_seconds: Option<f64>,
    from: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let latest = now + MAX_LASTING;
    match (until, for_seconds) {
        (Some(_), Some(_)) => errors.refuse("/forSeconds", "must not be given together with until"),
        (None, None) => errors.refuse("/until", "is required, or forSeconds"),
        (Some(until), None) => match time(errors, "/until", until)? {
            until if until <= from => errors.refuse("/until", "must be in the future, and after from"),
            until if until > latest => errors.refuse("/until", "must be within 30 days"),
            until => Some(until),
        },
        (None, Some(seconds)) => match seconds::unrounded(seconds) {
            lasting if lasting < Duration::from_secs(1) || lasting > MAX_LASTING => {
                errors.refuse("/forSeconds", "must be between 1 and 2592000 seconds")
            }
            lasting if from + lasting > latest => errors.refuse("/forSeconds", "must end within 30 days"),
            lasting => Some(from + lasting),
        },
    }
}

/// The point in time at `pointer`.
pub(super) fn time(errors: &mut FieldErrors, pointer: &str, text: &str) -> Option<Timestamp> {
    let parsed = text.parse::<jiff::Timestamp>();
    match parsed {
        Ok(time) => Some(Timestamp::from_millis(time.as_millisecond())),
        Err(_) => errors.refuse(pointer, "must be a time like 2026-01-31T12:00:00Z"),
    }
}

/// The text at `pointer`, if there is any.
fn text(errors: &mut FieldErrors, pointer: &str, text: Option<String>, most_bytes: usize) -> Option<Arc<str>> {
    let text = text.filter(|text| !text.is_empty())?;
    check_text(errors, pointer, &text, most_bytes);
    Some(text.into())
}

/// The resource in the path, which `caller` must be allowed to touch; it is noted for the record of attempts.
pub(super) fn resource(request: &HttpRequest, caller: &Caller, alias: &str) -> Result<Alias, ApiError> {
    let parsed = alias.parse::<Alias>();
    let alias = parsed.map_err(|error| ApiError::invalid_field("/path/alias", error.to_string()))?;
    note_subject(request, Subject { resource: Some(alias.clone()), ..Subject::default() });
    caller.may_touch(&alias)?;
    Ok(alias)
}

/// Has the engine make a `change`.
pub(super) async fn change(
    state: &ApiState,
    caller: &Caller,
    resource: Alias,
    change: PolicyChangeRequest,
) -> Result<PolicyAnswer, ApiError> {
    make(state, caller, PolicyRequest { resource, change, attempt: Some(caller.attempt()), key: None }).await
}

/// Has the engine do what `request` of `caller` asks for.
async fn make(state: &ApiState, caller: &Caller, request: PolicyRequest) -> Result<PolicyAnswer, ApiError> {
    let resource = request.resource.clone();
    match state.engine.change_policy(request).await.map_err(ApiError::of_change)? {
        PolicyAnswer::Refused(refusal) => Err(state.with_meant(caller, &resource, refusal.into()).await),
        answer => Ok(answer),
    }
}

pub(super) fn wrong_answer() -> ApiError {
    ApiError::new(Code::InternalError, "The engine gave a wrong answer.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn an_end_is_given_in_one_of_two_ways_and_near_enough() {
        let asked = |until: Option<&str>, seconds| {
            let mut errors = FieldErrors::default();
            end(&mut errors, until, seconds, NOW, NOW).filter(|_| errors.is_empty())
        };
        assert_eq!(asked(None, Some(60.0)), Some(NOW + Duration::from_mins(1)));
        assert_eq!(asked(None, Some(2_592_000.0)), Some(NOW + MAX_LASTING));
        assert_eq!(asked(Some("2027-01-15T10:00:00+01:00"), None), Some(NOW + Duration::from_hours(1)));
        assert_eq!(asked(Some("2027-01-15T08:00:01Z"), None), Some(NOW + Duration::from_secs(1)));
        for (until, seconds) in [
            (None, None),
            (Some("2027-01-16T08:00:00Z"), Some(1.0)),
            (Some("2027-01-15T08:00:00Z"), None),
            (Some("2028-01-15T08:00:00Z"), None),
            (Some("tomorrow"), None),
            (None, Some(0.5)),
            (None, Some(-1.0)),
            (None, Some(2_592_000.001)),
            (None, Some(1e300)),
        ] {
            assert_eq!(asked(until, seconds), None, "{until:?} {seconds:?}");
        }
    }
}
