//! `scalegate keys create`.

use std::path::Path;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::{DirectoryArgs, HELP, KeysError, absolute, command, entry};
use crate::access::{KeyProblem, MAX_KEYS, MAX_LIFETIME, MIN_LIFETIME, NewKey, Token};
use crate::cli::output::Output;
use crate::cli::words;
use crate::clock::wall_now;
use crate::config::parse_duration;
use crate::domain::{Action, Alias, AuditVerdict, KeyRecord, Reach, Scope};
use crate::store::KeyChange;
use crate::store::sqlite::KeyStore;

/// Make an API key, and print it to standard output.
///
/// It is shown this once; what is kept of it is a hash. Everything else goes to standard error, so that KEY=$(scalegate
/// keys create ...) works. Creates the data directory if need be, so that the first key can be made before the gateway
/// starts for the first time.
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct CreateArgs {
    /// What the key is for, for people
    #[arg(value_name = "NAME")]
    name: String,

    /// What it allows: push, to push metrics and nothing else; read, to look at jobs and resources; scale, also to submit
    /// and cancel jobs and to push metrics; admin, also to make and revoke keys, and to read who tried to change what
    #[arg(long, value_name = "SCOPE", value_enum, hide_possible_values = false)]
    scope: Scope,

    /// A resource it may touch; may be repeated [default: all resources]
    #[arg(long = "resource", value_name = "ALIAS")]
    resources: Vec<Alias>,

    /// How long it is good, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires_in: Option<Duration>,

    /// Make the first key also if it is not for admins
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    directory: DirectoryArgs,
}

impl CreateArgs {
    pub(super) fn run(self, output: &mut Output) -> Result<(), KeysError> {
        let directory = self.directory.path()?;
        let wanted = self.wanted()?;
        let is_new = !directory.exists();
        let mut store = KeyStore::open(&directory)?;
        let (known, now) = (store.keys()?, wall_now());
        if known.is_empty() && self.scope != Scope::Admin && !self.yes {
            return Err(locks_others_out(&directory));
        }
        if known.iter().filter(|key| key.is_usable(now)).count() >= MAX_KEYS {
            let detail = format!("{MAX_KEYS} keys are good already, and no more can be: revoke some first");
            return Err(KeysError::Refused(detail));
        }
        let (token, key) = wanted.issue(now)?;
        store.apply(KeyChange::Added(key.clone()), entry(Action::CreateKey, &key.id, AuditVerdict::Accepted))?;
        show(&token, &key, &mut store, output)?;
        let created = if is_new { ", which was created" } else { "" };
        let first = if known.is_empty() {
            "\n  It is the first one: from now on also a gateway that listens on a loopback address wants a key."
        } else {
            ""
        };
        output.notice(format_args!(
            "made the key {}: {}\n  The data directory is {}{created}.{first}\n  The line on standard output is the key. It \
             is shown only now. scalegate's own commands take it from SCALEGATE_KEY\n  or the file given by --key-file, and \
             other programs send it as \"Authorization: Bearer KEY\".\n  To end it: {}",
            key.id,
            described(&key),
            absolute(&directory).display(),
            command(&format!("revoke {}", key.id), &directory)
        ));
        Ok(())
    }

    /// What is asked for, if it makes sense.
    fn wanted(&self) -> Result<NewKey, KeysError> {
        let resources = self.resources.iter().cloned();
        let wanted = NewKey {
            name: self.name.clone(),
            scope: self.scope,
            reach: if self.resources.is_empty() { Reach::EVERYTHING } else { Reach::only(resources) },
            lifetime: self.expires_in,
        };
        match wanted.problems()[..] {
            [] => Ok(wanted),
            ref problems => {
                let problems: Vec<String> = problems.iter().copied().map(in_terms_of_flags).collect();
                Err(KeysError::Usage(problems.join("; ")))
            }
        }
    }
}

/// Why the first key is not made. With a key of the configuration there are others, which the store does not know of.
fn locks_others_out(directory: &Path) -> KeysError {
    KeysError::Refused(format!(
        "no key was made: the first one locks out all programs that use the gateway without a key, and one that is not for admins \
         cannot make others. Make an admin key first: `{}`; or say --yes",
        command("create operator --scope admin", directory)
    ))
}

fn in_terms_of_flags(problem: KeyProblem) -> String {
    match problem {
        KeyProblem::Name => format!("NAME {problem}"),
        KeyProblem::Resources => format!("--resource: there {problem}"),
        KeyProblem::LimitedAdmin => format!("--resource: resources {problem}"),
        KeyProblem::Lifetime => {
            let [least, most] = [MIN_LIFETIME, MAX_LIFETIME].map(words::brief);
            format!("--expires-in must be between {least} and {most}; without it, the key is good until it is revoked")
        }
    }
}

/// Writes the key to standard output. A key that could not be written is of no use, and is revoked.
fn show(token: &Token, key: &KeyRecord, store: &mut KeyStore, output: &mut Output) -> Result<(), KeysError> {
    output.line(token.expose());
    if !output.is_closed() {
        return Ok(());
    }
    let revoked = KeyChange::Revoked { id: key.id.clone(), at: wall_now() };
    store.apply(revoked, entry(Action::RevokeKey, &key.id, AuditVerdict::Accepted))?;
    let detail =
        format!("the key {} could not be written to standard output and was revoked: make another one", key.id);
    Err(KeysError::NotWritten(detail))
}

fn described(key: &KeyRecord) -> String {
    let resources = key.reach.resources().map_or("all resources".to_owned(), |resources| {
        let names: Vec<&str> = resources.iter().map(Alias::as_str).collect();
        names.join(", ")
    });
    let until = key.expires_at.map_or("it is revoked".to_owned(), words::full_time);
    format!("{:?}, scope {}, for {resources}, good until {until}", key.name, key.scope.as_str())
}

impl ValueEnum for Scope {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}
