//! The id of a job as people give it: whole, or any part of it that no other job has at its beginning or its end.
//!
//! Tables show the last eight characters, as the panel does: the first ones are the time, which jobs of one day share.

use std::str::FromStr;

use uuid::Uuid;

use super::fetch;
use crate::api::view::JobView;
use crate::cli::client::{Client, Failure, ListQuery};
use crate::cli::words;

/// Fewest characters of a part.
const MIN_PART_CHARS: usize = 4;
/// How many jobs are looked through, newest first.
const MAX_SEARCHED: usize = 10_000;
/// How many of several that fit are named.
const MAX_NAMED: usize = 10;

/// The id of a job, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobRef {
    /// The id.
    Whole(Uuid),
    /// Its beginning or its end, in lower case.
    Part(String),
}

impl FromStr for JobRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Whole(id));
        }
        let is_part = text.len() >= MIN_PART_CHARS && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let part = is_part.then(|| Self::Part(text.to_ascii_lowercase()));
        part.ok_or("expected a job id such as 0198c3f2-7a00-7000-8000-000000000001, or at least 4 characters of its beginning or its end")
    }
}

impl JobRef {
    /// The id that is meant.
    ///
    /// # Errors
    /// If no job fits or several do, or the gateway does not tell.
    pub async fn resolve(&self, client: &Client) -> Result<Uuid, Failure> {
        let part = match self {
            Self::Whole(id) => return Ok(*id),
            Self::Part(part) => part,
        };
        let jobs = fetch(client, ListQuery::default(), MAX_SEARCHED).await?.jobs;
        let fitting: Vec<&JobView> = jobs.iter().filter(|job| fits(job.id, part)).collect();
        match &fitting[..] {
            [] => Err(Failure::NoSuchJob(format!("no job has an id that begins or ends with {part:?}"))),
            [job] => Ok(job.id),
            several => Err(Failure::Usage(ambiguous(part, several))),
        }
    }
}

fn fits(id: Uuid, part: &str) -> bool {
    let text = id.to_string();
    text.starts_with(part) || text.ends_with(part)
}

fn ambiguous(part: &str, several: &[&JobView]) -> String {
    let mut text = format!("{} jobs have an id that begins or ends with {part:?}:", several.len());
    for job in several.iter().take(MAX_NAMED) {
        text.push_str(&format!("\n  {}  {} {}, {}", job.id, job.resource, words::aim(job), job.state.as_str()));
    }
    if several.len() > MAX_NAMED {
        text.push_str("\n  and others");
    }
    text
}
