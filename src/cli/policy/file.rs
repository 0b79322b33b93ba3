//! The document of a policy in a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::cli::exit::Exit;
use crate::policy::{Document, MAX_DOCUMENT_BYTES, Unreadable};

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum NoDocument {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What it holds is no document.
    #[error("{} {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Unreadable,
    },
}

impl NoDocument {
    /// How a command ends that needs the document.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::Usage,
            Self::Unreadable { .. } => Exit::Failed,
        }
    }
}

/// The document in the file at `path`, in TOML if its name says so, otherwise in JSON; `-` is standard input.
///
/// # Errors
/// If the file cannot be read or holds no document.
pub fn document(path: &Path) -> Result<Document, NoDocument> {
    let text = read(path).map_err(|error| NoDocument::Io { path: path.to_owned(), error })?;
    let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let document = if is_toml { Document::from_toml(&text) } else { Document::from_json(&text) };
    document.map_err(|error| NoDocument::Unreadable { path: path.to_owned(), error })
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
