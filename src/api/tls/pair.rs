//! A certificate chain and the private key that belongs to it, as two files in PEM hold them.
//!
//! A pair is read whole or not at all: what would only be noticed by the first client is refused here. Errors name the file
//! and what is wrong with it, in words of their own: those of the parser quote the line that they refuse, which may be a
//! part of the key.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::validity::Validity;
use crate::config::{TlsFiles, one_line};

/// Largest file that is read, in bytes: a chain has some kilobytes, and a file that was named by mistake may be endless.
const MAX_BYTES: u64 = 1 << 20;
/// Permissions that let others than its owner do something with a file.
const FOR_OTHERS: u32 = 0o077;
/// What PEM says of a key that needs a password, in one of two places.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// Why two files cannot be used. Says nothing of what is in them.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read.
    #[error("cannot read {file}")]
    Unreadable {
        /// Its path.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It is a directory, a pipe or the like.
    #[error("{file} is not a file")]
    NotAFile {
        /// Its path.
        file: String,
    },
    /// It is larger than anything that could be meant.
    #[error("{file} is too large: more than {MAX_BYTES} bytes")]
    TooLarge {
        /// Its path.
        file: String,
    },
    /// It is not PEM.
    #[error("{file} is not valid PEM: {what}")]
    Malformed {
        /// Its path.
        file: String,
        /// What is wrong.
        what: &'static str,
    },
    /// There is none.
    #[error("there is no certificate in {file}, which needs a line -----BEGIN CERTIFICATE-----")]
    NoCertificate {
        /// The path of the file.
        file: String,
    },
    /// It makes no sense.
    #[error("the first certificate in {file} cannot be used")]
    BadCertificate {
        /// The path of the file.
        file: String,
        /// Why.
        source: Error,
    },
    /// There is none.
    #[error("there is no private key in {file}, which needs a line -----BEGIN PRIVATE KEY-----")]
    NoKey {
        /// The path of the file.
        file: String,
    },
    /// The gateway has no way to ask for its password.
    #[error("the private key in {file} is encrypted: store it decrypted, readable by the gateway alone")]
    Encrypted {
        /// The path of the file.
        file: String,
    },
    /// It makes no sense, or is of another kind.
    #[error(
        "the private key in {file} cannot be used: it has to be RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519"
    )]
    BadKey {
        /// The path of the file.
        file: String,
    },
    /// Each of them may be good, but not together.
    #[error("the private key in {key} does not belong to the first certificate in {cert}")]
    Mismatch {
        /// The path of the certificate's file.
        cert: String,
        /// The path of the key's file.
        key: String,
    },
}

impl PairError {
    /// Whether the same files may be readable later: when others have closed some, for example.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }
}

/// A certificate and its key that can be used.
pub struct Pair {
    /// Both, as the TLS library takes them.
    pub certified: CertifiedKey,
    /// When the certificate is valid.
    pub validity: Validity,
    /// The permissions of the key's file, if others than its owner have any.
    pub exposed: Option<u32>,
}

impl Pair {
    /// Reads and checks `files`.
    ///
    /// # Errors
    /// If a client could not be served with them.
    pub fn load(files: &TlsFiles) -> Result<Self, PairError> {
        let chain = parse_chain(&files.cert, &read(&files.cert)?.bytes)?;
        let Content { bytes, mode } = read(&files.key)?;
        let key = parse_key(&files.key, &bytes)?;
        let validity = chain.first().map(|first| Validity::of(first)).unwrap_or_default();
        let certified = certify(chain, key, files)?;
        Ok(Self { certified, validity, exposed: (mode & FOR_OTHERS != 0).then_some(mode & 0o777) })
    }
}

struct Content {
    bytes: Vec<u8>,
    mode: u32,
}

fn read(path: &Path) -> Result<Content, PairError> {
    let unreadable = |source| PairError::Unreadable { file: one_line(path), source };
    // Looked at before it is opened: opening a pipe waits for a writer.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(PairError::NotAFile { file: one_line(path) });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let count = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if count as u64 > MAX_BYTES {
        return Err(PairError::TooLarge { file: one_line(path) });
    }
    Ok(Content { bytes, mode: metadata.mode() })
}

fn parse_chain(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let chain = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match chain.map_err(|error| malformed(path, &error))? {
        chain if chain.is_empty() => Err(PairError::NoCertificate { file: one_line(path) }),
        chain => Ok(chain),
    }
}

fn parse_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
    let is_encrypted = bytes.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED);
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => Ok(key),
        Err(_) if is_encrypted => Err(PairError::Encrypted { file: one_line(path) }),
        Err(pem::Error::NoItemsFound) => Err(PairError::NoKey { file: one_line(path) }),
        Err(error) => Err(malformed(path, &error)),
    }
}

/// The parser's own words are left out, see the module's documentation.
fn malformed(path: &Path, error: &pem::Error) -> PairError {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "it ends in the middle of a section",
        pem::Error::IllegalSectionStart { .. } => "a line with -----BEGIN does not end as it should",
        pem::Error::Base64Decode(_) => "a section is not Base64",
        _ => "it makes no sense",
    };
    PairError::Malformed { file: one_line(path), what }
}

fn certify(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: &TlsFiles,
) -> Result<CertifiedKey, PairError> {
    let key = ring::sign::any_supported_type(&key).map_err(|_| PairError::BadKey { file: one_line(&files.key) })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(PairError::Mismatch { cert: one_line(&files.cert), key: one_line(&files.key) })
        }
        Err(source) => Err(PairError::BadCertificate { file: one_line(&files.cert), source }),
    }
}

#[cfg(test)]
mod tests;
