//! The table of all problem codes: name, HTTP status, title and an example of each.
//!
//! Problem documents and the OpenAPI document are both made from this table, so they cannot differ. Codes are stable: one that
//! was released must never be renamed or get another meaning.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    // `$name` is a token, not a literal: wrapped as the latter, it is invisible to the derivation of the schema.
    ($($variant:ident $name:tt $status:literal $title:literal $example:literal;)*) => {
        /// The stable codes of problems.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[schema(as = ProblemCode)]
        pub enum Code {
            $(#[doc = $title] #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as it appears in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status of answers with it.
            pub(in crate::api) const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What kind of problem it is, in words.
            pub(in crate::api) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The `detail` of an example.
            pub(in crate::api) const fn example(self) -> &'static str {
                match self { $(Self::$variant => $example,)* }
            }
        }
    };
}

codes! {
    MalformedRequest "malformed_request" 400 "The request is malformed" "The body is not JSON: EOF while parsing an object at line 1 column 21.";
    AuthenticationRequired "authentication_required" 401 "An API key is needed" "This gateway wants an API key: send it as \"Authorization: Bearer sg_…\".";
    InvalidKey "invalid_key" 401 "The API key is not good" "There is no such API key.";
    KeyExpired "key_expired" 401 "The API key has expired" "The API key 4fJ2kQ9xZa has expired.";
    KeyRevoked "key_revoked" 401 "The API key was revoked" "The API key 4fJ2kQ9xZa was revoked.";
    InsufficientScope "insufficient_scope" 403 "The API key does not allow it" "This takes a key with the scope scale; this one has read.";
    ResourceForbidden "resource_forbidden" 403 "The API key is not for the resource" "This key is not for the resource \"worker\".";
    OriginRefused "origin_refused" 403 "Pages of other origins may not call the gateway" "Pages of other origins may not call this gateway. allowed_origins can let some of them.";
    ClaimForbidden "claim_forbidden" 403 "The claim is another key's" "Only the key that made a claim, or an admin, can change it.";
    JobNotFound "job_not_found" 404 "No such job" "There is no job 0198c3f2-0000-7000-8000-000000000000. Finished jobs are removed after a while.";
    GroupNotFound "group_not_found" 404 "No such group" "There is no group 0198c3f2-0000-7000-8000-000000000000. Groups are removed with their last job.";
    ResourceNotFound "resource_not_found" 404 "No such resource" "The sidecar does not know a resource \"wroker\".";
    PolicyNotFound "policy_not_found" 404 "The resource has no policy" "There is no policy for \"worker\".";
    MetricNotFound "metric_not_found" 404 "No such metric" "The policy has no metric \"queu\".";
    HoldNotFound "hold_not_found" 404 "There is no hold on the resource" "There is no hold on the resource.";
    ClaimNotFound "claim_not_found" 404 "No such claim" "There is no such claim. A claim is gone when it has ended.";
    KeyNotFound "key_not_found" 404 "No such API key" "There is no key 4fJ2kQ9xZa.";
    NotFound "not_found" 404 "No such page" "There is nothing at /v2/jobs.";
    MethodNotAllowed "method_not_allowed" 405 "Method not allowed" "/v1/jobs supports GET, HEAD, POST.";
    BodyTimeout "body_timeout" 408 "The body did not arrive in time" "The body did not arrive within 10 s.";
    ResourceBusy "resource_busy" 409 "The resource has an unfinished job" "Job 0198c3f2-7a00-7000-8000-000000000001 is scaling \"worker\" to 8.";
    ResourceHeld "resource_held" 409 "A hold stops it" "The resource is held until 2026-01-31T16:00:00.000Z by the key 4fJ2kQ9xZa (ops): database migration.";
    PolicyInFile "policy_in_file" 409 "The policy is part of the configuration" "The policy of the resource is given by the gateway's configuration. Change it there.";
    NoPolicy "no_policy" 409 "It takes a policy that acts" "It takes a policy that acts: put one for the resource, with the mode active.";
    JobFinished "job_finished" 409 "The job is over" "Job 0198c3f2-7a00-7000-8000-000000000001 is over: its state is succeeded.";
    GroupFinished "group_finished" 409 "The group is over" "Group 0198c3f2-7a00-7000-8000-000000000007 is over.";
    KeyConfigured "key_configured" 409 "The API key is part of the configuration" "The key 4fJ2kQ9xZa is given by the gateway's configuration. Take it out there.";
    TooManyKeys "too_many_keys" 409 "There are too many API keys" "1000 keys are good already. Revoke some first.";
    PreconditionFailed "precondition_failed" 412 "The policy is not the one that the caller knows" "The policy of the resource is in revision 8.";
    BodyTooLarge "body_too_large" 413 "The body is too large" "The body has more than 65536 bytes.";
    UnsupportedMediaType "unsupported_media_type" 415 "The body is not declared as plain JSON" "Send the body with Content-Type: application/json.";
    WrongHost "wrong_host" 421 "The gateway is not known by this name" "The gateway is not known by the name in the Host header. allowed_hosts can add it.";
    ValidationFailed "validation_failed" 422 "The request does not make sense" "targetCapacity must be between 0 and 1000000.";
    OutOfBounds "out_of_bounds" 422 "The target is out of reach" "The target 9 is outside the bounds of the resource, 0 to 6.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The idempotency key was used for another request" "The Idempotency-Key came with a different body before.";
    RateLimited "rate_limited" 429 "Too many requests" "More than 100 requests came in a second. Send fewer, or let answers be held back.";
    TooManyStreamsOfCaller "too_many_streams_of_caller" 429 "Too many streams of one caller" "You have 500 streams open already. Close some, or follow several jobs with one.";
    TooManyJobsOfKey "too_many_jobs_of_key" 429 "Too many unfinished jobs with this API key" "1000 jobs submitted with this API key are unfinished already.";
    TooManyClaims "too_many_claims" 429 "There are too many claims" "There are 100 claims on the resource already.";
    TooManyResources "too_many_resources" 429 "Too many resources that are not listed" "1000 resources that the configuration does not list are scaled already. List the resource in the configuration, or wait until others are forgotten: a day after their last change, and a minute after their last job if there was none.";
    TooManyIdempotencyKeys "too_many_idempotency_keys" 429 "Too many idempotency keys of one API key" "10000 idempotency keys were used with this API key within 25 hours. Send the request again later, and use a new key for each submission only.";
    TooMuchText "too_much_text" 429 "Too much text in the jobs that are kept" "The reasons and labels of the jobs that are kept for this resource, or of this API key, would be longer than 67108864 bytes together. Send shorter ones, or send the request again in a minute.";
    BacktestRunning "backtest_running" 429 "A backtest is running" "A backtest is running already. The gateway does one at a time.";
    QueueFull "queue_full" 429 "Too many jobs wait for the resource" "16 jobs are waiting for this resource already.";
    InternalError "internal_error" 500 "Something is broken" "The gateway failed on this request. Search its log for this instance id.";
    SidecarUnreachable "sidecar_unreachable" 502 "The sidecar gives no reading" "Cannot connect to the sidecar: Connection refused.";
    TooManyStreams "too_many_streams" 503 "Too many streams are open" "No more streams can be opened now. Poll instead, or try again later.";
    TooManyJobs "too_many_jobs" 503 "Too many unfinished jobs" "10000 jobs are unfinished already.";
    StorageUnavailable "storage_unavailable" 503 "The store cannot be used" "The store failed: database or disk is full. Nothing is accepted until it works again.";
    RevocationNotWritten "revocation_not_written" 503 "The API key is refused, but its revocation is not durable yet" "The key 4fJ2kQ9xZa is refused from now on, but the store cannot be written at present: its revocation becomes durable as soon as the store works again. If the gateway is restarted before that, revoke the key again.";
    Overloaded "overloaded" 503 "The gateway cannot take the request now" "Too many requests are waiting.";
    OutcomeUnknown "outcome_unknown" 504 "It is not known whether the request was obeyed" "The engine did not answer in time. What was asked for may still be done: see what there is, or send a submission again with the same Idempotency-Key.";
    NotReady "not_ready" 503 "The gateway is not ready" "The gateway is not ready: the store cannot be used at present. The log says why, and so does this answer with a key for read.";
}
