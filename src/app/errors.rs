//! Why the gateway does not start, or ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::api::TlsError;
use crate::domain::KeyId;
use crate::engine::EngineDied;
use crate::store::StoreError;
use crate::store::sqlite::SqliteError;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// What HTTPS is to be served with cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory, or the store in it, cannot be used.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No caller could be told from another.
    #[error(
        "refusing to listen on {address} {}, because {}: make a key with `{}`, or give one in SCALEGATE_ADMIN_KEY or with --admin-key-file{}",
        if *had_one { "without an API key that is still good" } else { "without an API key" },
        if *is_required { "--require-key is set" } else { "every caller that reaches it could scale" },
        making_a_key(data_dir),
        if *is_required { "" } else {
            "; or listen on 127.0.0.1; or, if no other users can reach it, say --insecure-no-auth"
        }
    )]
    NoKey {
        /// The address.
        address: SocketAddr,
        /// Where keys are looked for.
        data_dir: PathBuf,
        /// Whether there was ever one.
        had_one: bool,
        /// Whether the operator wants one in any case.
        is_required: bool,
    },
    /// It is not clear what the admin key may do.
    #[error(
        "the admin key {id} is also one of the stored keys, which may do less or be revoked: make another one with \
         `scalegate keys generate`"
    )]
    KeyTwice {
        /// The key.
        id: KeyId,
    },
    /// There is no file for the audit log.
    #[error(
        "the audit log {path} cannot be opened: {error}; name a file that this process may create or append to, and that other \
         users cannot write to, or leave --audit-log out"
    )]
    AuditLog {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The audit log would be written into the store.
    #[error(
        "the audit log {path} is a file of the store, which its lines would damage: name another file with --audit-log, such as {}",
        path.with_file_name("audit.log").display()
    )]
    AuditLogInStore {
        /// The file.
        path: PathBuf,
    },
    /// Two metrics contradict each other.
    #[error("nothing can be counted")]
    Metrics(#[from] prometheus::Error),
    /// The system refuses a thread or the like.
    #[error("the system refuses what the gateway needs")]
    System(#[from] std::io::Error),
    /// The engine died before it could begin.
    #[error(transparent)]
    Died(#[from] EngineDied),
}

/// Why the gateway ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its engine died.
    #[error(transparent)]
    Died(#[from] EngineDied),
    /// Its store turned out to be damaged.
    #[error(transparent)]
    Damaged(SqliteError),
}

/// The command that makes a key for the gateway whose store is in `data_dir`.
pub(super) fn making_a_key(data_dir: &Path) -> String {
    format!("scalegate keys create NAME --scope admin --data-dir {}", data_dir.display())
}
