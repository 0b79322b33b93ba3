//! Lists that the gateway gives page by page, as they come: of a newer gateway, entries may have more than this client knows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Client, Failure};

/// Largest page of the gateway's.
const MAX_PAGE_SIZE: usize = 200;

/// Entries, newest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Value>,
    /// Where it goes on, if there are more.
    pub next_page_token: Option<String>,
}

/// How much of a list is shown.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitArgs {
    /// Show at most this many entries
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl LimitArgs {
    /// The newest entries at `path`, in as many pages as it takes.
    ///
    /// # Errors
    /// If the gateway refuses, fails or cannot be reached.
    pub async fn fetch(&self, client: &Client, path: &str) -> Result<Listing, Failure> {
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
    ///
    /// # Errors
    /// If one is something else.
    pub fn parsed<T: for<'de> Deserialize<'de>>(&self) -> Result<Vec<T>, Failure> {
        let parsed = self.entries.iter().map(T::deserialize).collect::<Result<_, _>>();
        parsed.map_err(|error| Failure::Strange { status: 200, detail: error.to_string() })
    }
}
