//! The rules of scaling: no I/O, no clock, no async.
//!
//! Start reading at [`Lane`], which carries the jobs of one resource; it asks `assess` whether a reading may be used,
//! `decide` what to do next, and keeps in the [`ChangeState`] what must outlive a job. Everything takes the time as an
//! argument. This module imports nothing else of the crate.

mod access;
mod alias;
mod assess;
mod audit;
mod capacity;
mod change_state;
mod decide;
mod estimate;
pub mod forecast;
mod group;
mod history;
mod job;
mod job_id;
mod lane;
mod lease;
mod membership;
pub mod policy;
mod reading;
mod scaling;
pub mod seconds;
mod settings;
mod step_durations;
mod time;
mod trace;
mod waiting;

pub use access::{
    Actor, ActorKind, InvalidKeyId, KEY_ID_CHARS, KeyId, KeyRecord, MAX_KEY_NAME_BYTES, MAX_KEY_RESOURCES, Reach, Scope,
};
pub use alias::{Alias, InvalidAlias, MAX_ALIAS_LEN};
pub use audit::{Action, Attempt, AuditEntry, AuditVerdict, RetentionClass, Subject};
pub use capacity::{Capacity, CapacityOutOfRange, MAX_CAPACITY, Move, Op};
pub use change_state::{Change, ChangeState, MAX_DISPATCH, MAX_INTENT_AGE, SentChange, Stage};
pub use decide::{MAX_EXTERNAL_CHANGES, MAX_FRUITLESS_STEPS};
pub use estimate::{CompletionEstimate, PlannedStep, estimate};
pub use group::{
    Group, GroupAction, GroupCancellation, GroupEnd, GroupJobs, GroupRequest, GroupState, GroupStatus, MAX_MEMBERS,
    Member, MemberStatus, OnFailure, RestoreStatus,
};
pub use history::{AbridgedJob, EventId, HistoryEntry, JobEvent, ResourceEvent};
pub use job::{
    Ending, ErrorCode, ExternalChange, Goal, Job, JobError, JobRequest, JobState, LastChangeError, MAX_RETARGETS,
    MAX_STEPS, OnConflict, Retarget, Retargets, StateName, Step, StepOutcome, WaitDeadlines,
};
pub use job_id::JobId;
pub use lane::{Admission, Call, CallId, ChangeAnswer, GroupedAnswer, Lane, LaneRecord, Notice, Outcome, Turn};
pub use lease::{Lease, LeaseHolder, LeaseTerms, LeaseWatch, Moment};
pub use membership::{GroupId, Membership};
pub use reading::{ReadFailure, Reading, SidecarAnswer, Status};
pub use scaling::{Limits, ResourceConfig, Retention, ScalingConfig};
pub use settings::{
    Bounds, InvalidSetting, MAX_DEADLINE, MAX_POLL_INTERVAL, MAX_WAIT, MIN_POLL_INTERVAL, Setting, SettingLimits,
    SettingRange, SettingValue, Settings, SettingsOverrides,
};
pub use step_durations::{DurationSummary, StepDurations};
pub use time::Timestamp;
pub use trace::{MAX_TRACE_STATE_CHARS, Origin, TraceContext};
pub use waiting::{WaitReason, Waiting};
