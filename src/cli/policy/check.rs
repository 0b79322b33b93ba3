//! `scalegate policy check`: what a document says, without a gateway.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::api::view::WireTime;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::{table, words};
use crate::domain::policy::{Policy, Transition, transitions};
use crate::domain::{Alias, Capacity, ScalingConfig, Timestamp};
use crate::policy::{
    Document, MAX_DOCUMENT_BYTES, Object, Problem, Unreadable, Warning, canonical, problems_for, summary, warnings,
};

/// The exit codes, for the end of `--help`.
const HELP: &str = "\
Exit codes:
  0  the policy is valid, with or without warnings
  1  the policy is not valid
  2  the command line makes no sense, or the file cannot be read";

/// Most beginnings and ends of windows that are shown.
const MAX_SHOWN: usize = 20;
/// How far ahead they are looked for.
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

/// A beginning or an end of a window, as the outlook of the API has it.
#[derive(Serialize)]
struct TransitionView {
    at: WireTime,
    local: String,
    rule: String,
    opens: bool,
    min: Option<Capacity>,
    max: Option<Capacity>,
}

/// Why there is nothing to check.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{} {error}", path.display())]
    Unreadable { path: PathBuf, error: Unreadable },
}

impl CheckArgs {
    pub(super) fn run(self, output: &mut Output) -> Exit {
        let document = match self.document() {
            Ok(document) => document,
            Err(failure) => {
                output.notice(&failure);
                return match failure {
                    Failure::Io { .. } => Exit::Usage,
                    Failure::Unreadable { .. } => Exit::Failed,
                };
            }
        };
        let report = Report::on(&document, self.resource.as_ref(), words::now());
        let exit = if report.valid { Exit::Done } else { Exit::Failed };
        if self.json {
            output.json(&report);
        } else {
            output.lines(report.lines());
        }
        exit
    }

    fn document(&self) -> Result<Document, Failure> {
        let text = read(&self.file).map_err(|error| Failure::Io { path: self.file.clone(), error })?;
        let is_toml = self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        let document = if is_toml { Document::from_toml(&text) } else { Document::from_json(&text) };
        document.map_err(|error| Failure::Unreadable { path: self.file.clone(), error })
    }
}

/// The text of the file at `path`, or as much of it as shows that it is too long.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = MAX_DOCUMENT_BYTES as u64 + 1;
    if path == Path::new("-") {
        io::stdin().take(most).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(most).read_to_string(&mut text)?;
    }
    Ok(text)
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
        let coming = transitions(&policy.rules, now, now + HORIZON, MAX_SHOWN);
        Self {
            valid: true,
            errors: Vec::new(),
            warnings: warnings(policy, &scaling.unlisted(), now),
            summary: summary(policy, resource.map_or("the resource", Alias::as_str)),
            transitions: coming.into_iter().map(TransitionView::from).collect(),
            policy: Some(canonical(policy)),
        }
    }

    fn refused(errors: Vec<Problem>) -> Self {
        Self { valid: false, errors, warnings: Vec::new(), summary: Vec::new(), transitions: Vec::new(), policy: None }
    }

    /// The report for people.
    fn lines(&self) -> Vec<String> {
        let place = |pointer: &str| if pointer.is_empty() { "the document".to_owned() } else { pointer.to_owned() };
        let errors = self.errors.iter().map(|error| format!("error: {} {}", place(&error.pointer), error.detail));
        let warnings = self.warnings.iter().map(|found| format!("warning: {}: {}", found.pointer, found.detail));
        let mut lines: Vec<String> = errors.chain(warnings).chain(self.summary.iter().cloned()).collect();
        if !self.transitions.is_empty() {
            let bound = |bound: Option<Capacity>| bound.map_or(String::new(), |bound| bound.to_string());
            let rows = self.transitions.iter().map(|transition| {
                let does = if transition.opens { "opens" } else { "closes" };
                let (min, max) = (bound(transition.min), bound(transition.max));
                [transition.local.clone(), transition.rule.clone(), does.to_owned(), min, max]
            });
            lines.extend(table::lines(["NEXT", "SCHEDULE", "", "MIN", "MAX"], rows));
        }
        lines
    }
}

impl From<Transition> for TransitionView {
    fn from(transition: Transition) -> Self {
        let Transition { at, local, rule, opens, min, max } = transition;
        Self { at: WireTime(at), local, rule: rule.to_string(), opens, min, max }
    }
}
