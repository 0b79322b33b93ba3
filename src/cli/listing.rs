//! Lists that the gateway gives page by page, as they come: of a newer gateway, entries may have more than this client knows.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Client, Failure};
use super::exit::Exit;
use super::output::Output;

/// Largest page of the gateway's.
const MAX_PAGE_SIZE: usize = 200;

/// Entries, newest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    /// The entries.
    entries: Vec<Value>,
    /// Where it goes on, if there are more.
    next_page_token: Option<String>,
}

/// How a list is shown.
#[derive(Clone, Debug, clap::Args)]
pub struct ListingArgs {
    /// Show at most this many entries
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,

    /// Print the entries as JSON and nothing else, as the gateway gives them
    #[arg(long)]
    json: bool,
}

impl ListingArgs {
    /// Shows the newest entries at `path`: as JSON, by `show`, or if there are none by the notice `none`.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached, or an entry is no `T`.
    pub async fn show<T: for<'de> Deserialize<'de>>(
        &self,
        (client, path): (&Client, &str),
        none: impl Display,
        output: &mut Output,
        show: impl FnOnce(&[T], &mut Output),
    ) -> Result<Exit, Failure> {
        let listing = self.fetch(client, path).await?;
        if self.json {
            output.json(&listing);
            return Ok(Exit::Done);
        }
        let entries: Vec<T> = listing.parsed()?;
        if entries.is_empty() {
            output.notice(none);
            return Ok(Exit::Done);
        }
        show(&entries, output);
        output.more(listing.next_page_token.is_some());
        Ok(Exit::Done)
    }

    /// The newest entries at `path`, in as many pages as it takes.
    async fn fetch(&self, client: &Client, path: &str) -> Result<Listing, Failure> {
        let (mut entries, limit) = (Vec::new(), self.limit as usize);
        let mut token: Option<String> = None;
        loop {
            let size = MAX_PAGE_SIZE.min(limit - entries.len());
            let after = token.map_or(String::new(), |token| format!("&pageToken={token}"));
            let page: Listing = client.look_at(&format!("{path}?pageSize={size}{after}")).await?;
            entries.extend(page.entries);
            token = page.next_page_token;
            if token.is_none() || entries.len() >= limit {
                return Ok(Listing { entries, next_page_token: token });
            }
        }
    }
}

impl Listing {
    /// The entries as `T`.
    fn parsed<T: for<'de> Deserialize<'de>>(&self) -> Result<Vec<T>, Failure> {
        let parsed = self.entries.iter().map(T::deserialize).collect::<Result<_, _>>();
        parsed.map_err(|error| Failure::Strange { status: 200, detail: error.to_string() })
    }
}
