//! The idempotency key of a command: what is sent under it counts once, however often it is sent.

use uuid::Uuid;

/// Longest idempotency key a gateway takes, in characters.
const MAX_KEY_CHARS: usize = 255;

/// See the module's documentation.
#[derive(Clone, Debug, clap::Args)]
pub struct IdempotencyArgs {
    /// What is sent with the same key counts once [default: a new key]
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    idempotency_key: Option<String>,
}

impl IdempotencyArgs {
    /// The key that was given, or a new one.
    pub fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(|| Uuid::now_v7().to_string())
    }
}

fn parse_key(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.trim().is_empty() || text.len() > MAX_KEY_CHARS || !printable {
        return Err(format!("a key has 1 to {MAX_KEY_CHARS} printable ASCII characters"));
    }
    Ok(text.to_owned())
}
