//! The name of a job, for what refers to jobs without holding one.

use uuid::Uuid;

/// A job's id: a UUIDv7.
pub type JobId = Uuid;
