//! `scalegate keys revoke`.

use clap::Args;

use super::{DirectoryArgs, HELP, KeysError, absolute, command, entry};
use crate::access::{PREFIX, Token};
use crate::cli::output::Output;
use crate::cli::words;
use crate::clock::wall_now;
use crate::domain::{Action, AuditVerdict, KeyId};
use crate::store::KeyChange;
use crate::store::sqlite::KeyStore;

/// Revoke an API key.
///
/// A running gateway refuses requests with it at once, and ends streams that were opened with it. What was done with it
/// before stays. Revoking it twice is no error. A key that the gateway's configuration gives ends when it is taken out
/// there.
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct RevokeArgs {
    /// The id of the key: the ten letters and digits that follow sg_ in it, as `scalegate keys list` shows it
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    id: String,

    #[command(flatten)]
    directory: DirectoryArgs,
}

impl RevokeArgs {
    pub(super) fn run(self, output: &mut Output) -> Result<(), KeysError> {
        let id = read_id(&self.id)?;
        let directory = self.directory.path()?;
        // Nothing is created for the sake of a key that cannot be there.
        let known = KeyStore::look(&directory)?.ok_or_else(|| KeysError::NothingThere(absolute(&directory)))?;
        if !known.iter().any(|key| key.id == id) {
            return Err(unknown(&id, &directory));
        }
        let mut store = KeyStore::open(&directory)?;
        let now = wall_now();
        let found = store.keys()?.into_iter().find(|key| key.id == id).ok_or_else(|| unknown(&id, &directory))?;
        let verdict = if found.revoked_at.is_some() { AuditVerdict::Unchanged } else { AuditVerdict::Accepted };
        // Also if it was revoked before: that process may have died before the gateway knew.
        store.apply(KeyChange::Revoked { id: id.clone(), at: now }, entry(Action::RevokeKey, &id, verdict))?;
        match found.revoked_at {
            Some(at) => output.line(format_args!("The key {id} was revoked already, at {}.", words::full_time(at))),
            None => output.line(format_args!("The key {id} is revoked.")),
        }
        Ok(())
    }
}

/// The id in `text`, which is not repeated if it is none: it may be a key.
fn read_id(text: &str) -> Result<KeyId, KeysError> {
    if let Ok(token) = text.parse::<Token>() {
        let detail = format!(
            "ID: this is a whole key, which other processes can see on a command line: give its id only, {}",
            token.id()
        );
        return Err(KeysError::Usage(detail));
    }
    let hint = if text.starts_with(PREFIX) { ", without the sg_ before it and the secret behind it" } else { "" };
    text.parse().map_err(|why| KeysError::Usage(format!("ID {why}{hint}; `scalegate keys list` shows those there are")))
}

fn unknown(id: &KeyId, directory: &std::path::Path) -> KeysError {
    KeysError::Refused(format!(
        "there is no key {id} in {}: `{}` shows those there are; one that the gateway's configuration gives ends when it is \
         taken out there",
        absolute(directory).display(),
        command("list", directory)
    ))
}
