//! `scalegate policy check`: what a document says, without a gateway.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::file::{self, NoDocument};
use super::words::{MAX_TRANSITIONS, errors, transitions, warnings};
use crate::api::TransitionView;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::words::now;
use crate::domain::policy::{self, Policy};
use crate::domain::{Alias, ScalingConfig, Timestamp};
use crate::policy::{Document, Object, Problem, Warning, canonical, problems_for, summary};

/// The exit codes, for the end of `--help`.
const HELP: &str = "\
Exit codes:
  0  the policy is valid, with or without warnings
  1  the policy is not valid
  2  the command line makes no sense, or the file cannot be read";

/// How far ahead beginnings and ends of windows are looked for.
const HORIZON: Duration = Duration::from_hours(366 * 24);

/// Check a policy and say what it does, without a gateway.
///
/// Tells all mistakes with their places, what is surely not meant, the policy in English sentences, and what its
/// schedules do next. Where a resource's own settings matter, those of a resource that is not configured are assumed.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct CheckArgs {
    /// The document: TOML if its name ends with .toml, otherwise JSON; - reads JSON from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The resource that the policy is for
    #[arg(long, value_name = "ALIAS")]
    resource: Option<Alias>,

    /// Write one line of JSON instead
    #[arg(long)]
    json: bool,
}

/// What a check found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    valid: bool,
    errors: Vec<Problem>,
    warnings: Vec<Warning>,
    summary: Vec<String>,
    transitions: Vec<TransitionView>,
    policy: Option<Object>,
}

impl CheckArgs {
    pub(super) fn run(self, output: &mut Output) -> Exit {
        let report = match file::document(&self.file) {
            Ok(document) => Report::on(&document, self.resource.as_ref(), now()),
            Err(NoDocument::Unreadable { error, .. }) if self.json => {
                Report::refused(vec![Problem { pointer: String::new(), detail: error.to_string() }])
            }
            Err(failure) => {
                output.notice(&failure);
                return failure.exit();
            }
        };
        let exit = if report.valid { Exit::Done } else { Exit::Failed };
        if self.json {
            output.json(&report);
        } else {
            output.lines(report.lines());
        }
        exit
    }
}

impl Report {
    fn on(document: &Document, resource: Option<&Alias>, now: Timestamp) -> Self {
        match document.policy() {
            Ok(policy) => Self::on_policy(&policy, resource, now),
            Err(errors) => Self::refused(errors),
        }
    }

    fn on_policy(policy: &Policy, resource: Option<&Alias>, now: Timestamp) -> Self {
        let scaling = ScalingConfig::default();
        if let Some(alias) = resource {
            let errors = problems_for(policy, alias, &scaling.in_force(alias));
            if !errors.is_empty() {
                return Self::refused(errors);
            }
        }
        let coming = policy::transitions(&policy.rules, now, now + HORIZON, MAX_TRANSITIONS);
        Self {
            valid: true,
            errors: Vec::new(),
            warnings: crate::policy::warnings(policy, &scaling.unlisted(), now),
            summary: summary(policy, resource.map_or("the resource", Alias::as_str)),
            transitions: coming.iter().map(TransitionView::from).collect(),
            policy: Some(canonical(policy)),
        }
    }

    fn refused(errors: Vec<Problem>) -> Self {
        Self { valid: false, errors, warnings: Vec::new(), summary: Vec::new(), transitions: Vec::new(), policy: None }
    }

    /// The report for people.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = errors(&self.errors).chain(warnings(&self.warnings)).collect();
        lines.extend(self.summary.iter().cloned());
        lines.extend(transitions(&self.transitions));
        lines
    }
}
