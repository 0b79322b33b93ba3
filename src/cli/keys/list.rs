//! `scalegate keys list`.

use clap::Args;

use super::{DirectoryArgs, HELP, KeysError, absolute, command};
use crate::api::keys::{KeyList, KeyState, KeyView};
use crate::api::view::WireTime;
use crate::cli::output::Output;
use crate::cli::words;
use crate::clock::wall_now;
use crate::store::sqlite::KeyStore;

const HEADER: [&str; 8] = ["ID", "NAME", "SCOPE", "RESOURCES", "STATE", "CREATED", "EXPIRES", "LAST USED"];

/// List the API keys, oldest first, without their secrets.
///
/// Keys that were revoked or have expired stay on the list for a while: the newest 1000. A key that the gateway's
/// configuration gives is not on it: it is stored nowhere. The last use may be ten minutes old.
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct ListArgs {
    /// Print the list as JSON and nothing else, as GET /v1/keys gives it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    directory: DirectoryArgs,
}

impl ListArgs {
    pub(super) fn run(self, output: &mut Output) -> Result<(), KeysError> {
        let directory = self.directory.path()?;
        let Some(keys) = KeyStore::look(&directory)? else {
            return Err(KeysError::NothingThere(absolute(&directory)));
        };
        let now = wall_now();
        let keys: Vec<KeyView> = keys.iter().map(|key| KeyView::new(key, false, now)).collect();
        if self.json {
            output.json(&KeyList { keys });
        } else if keys.is_empty() {
            output.notice(format_args!(
                "there are no keys; `{}` makes the first one",
                command("create NAME --scope admin", &directory)
            ));
        } else {
            output.table(HEADER, keys.iter().map(row));
        }
        Ok(())
    }
}

fn row(key: &KeyView) -> [String; HEADER.len()] {
    let time = |at: &Option<WireTime>| at.as_ref().map_or("never".to_owned(), |at| words::full_time(at.0));
    [
        key.id.clone(),
        key.name.clone(),
        key.scope.as_str().to_owned(),
        key.resources.as_ref().map_or("all".to_owned(), |resources| resources.join(",")),
        state(key.state).to_owned(),
        words::full_time(key.created_at.0),
        time(&key.expires_at),
        time(&key.last_used_at),
    ]
}

fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Expired => "expired",
        KeyState::Revoked => "revoked",
    }
}
