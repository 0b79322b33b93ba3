//! The certificate in use, which follows its files while the gateway runs.
//!
//! The files are looked at when a client connects, which costs two calls of the system, and read when they have changed.
//! Between connections nothing happens. Rejected: a timer, because it wakes an idle gateway for nothing; a signal, because the
//! operator has to send it; notification by the system, because it does not follow links, by which volumes of secrets are
//! replaced.
//!
//! What is half written or wrong must never be used, nor told again at each connection: the pair in use stays, and each
//! state of the files is told of once. No connection waits for another one that reads the files.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::{Pair, PairError};
use crate::clock::wall_now;
use crate::config::{TlsFiles, one_line};
use crate::domain::Timestamp;
use crate::telemetry;

/// How long after a change the files are read a second time. Two changes within what a file system can tell apart look
/// like one, and the coarsest ones count in two seconds. Also the pause after a file that could not be read.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// See the module's documentation.
pub struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
    /// The thread that holds it looks at the files.
    watch: Mutex<Watch>,
}

/// The files as they were read last.
struct Watch {
    seen: Stamps,
    /// When to read them although they look the same.
    again_at: Option<Instant>,
    /// What was told to be wrong with them as they are.
    trouble: Option<String>,
    /// The last moment of the certificate in use, until it was told that it has passed.
    expires: Option<Timestamp>,
}

impl Certificates {
    /// Those in `files`.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn open(files: TlsFiles) -> Result<Self, PairError> {
        let seen = Stamps::of(&files);
        let pair = Pair::load(&files)?;
        tell(&pair, &files, "HTTPS is served with this certificate, until its files change");
        let mut watch =
            Watch { seen, again_at: Some(Instant::now() + SECOND_LOOK), trouble: None, expires: pair.validity.until };
        watch.tell_expiry(&files);
        Ok(Self { files, current: RwLock::new(Arc::new(pair.certified)), watch: Mutex::new(watch) })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files, unless another thread is doing so, and takes what is new in them.
    fn follow(&self, now: Instant) {
        let mut watch = match self.watch.try_lock() {
            Ok(watch) => watch,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        watch.tell_expiry(&self.files);
        // Seen before they are read: what changes in between is seen next time.
        let seen = Stamps::of(&self.files);
        let has_changed = watch.seen != seen;
        if !has_changed && watch.again_at.is_none_or(|at| now < at) {
            return;
        }
        watch.seen = seen;
        let loaded = Pair::load(&self.files);
        let read_again = has_changed || loaded.as_ref().is_err_and(PairError::may_pass);
        watch.again_at = read_again.then_some(now + SECOND_LOOK);
        match loaded {
            Ok(pair) => self.take(pair, &mut watch),
            Err(error) => watch.refuse(&error, has_changed, &self.files),
        }
    }

    fn take(&self, pair: Pair, watch: &mut Watch) {
        let is_new = self.current().cert != pair.certified.cert;
        let had_trouble = watch.trouble.take().is_some();
        if is_new {
            tell(&pair, &self.files, "HTTPS is served with a new certificate from now on");
            watch.expires = pair.validity.until;
            watch.tell_expiry(&self.files);
        } else if had_trouble {
            tell(&pair, &self.files, "the files of the certificate are in order again, and hold the one in use");
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair.certified);
    }
}

impl Watch {
    /// Tells of `error`, unless it was told of the files as they are.
    fn refuse(&mut self, error: &PairError, has_changed: bool, files: &TlsFiles) {
        let trouble = telemetry::chain(error);
        if has_changed || self.trouble.as_ref() != Some(&trouble) {
            let (cert, key) = (one_line(&files.cert), one_line(&files.key));
            tracing::warn!(cert, key, "HTTPS is still served with the certificate from before: {trouble}");
        }
        self.trouble = Some(trouble);
    }

    fn tell_expiry(&mut self, files: &TlsFiles) {
        if let Some(expired) = self.expires.filter(|until| *until < wall_now()) {
            self.expires = None;
            let cert = one_line(&files.cert);
            tracing::warn!(cert, valid_until = %expired, "the certificate in use has expired: clients refuse it");
        }
    }
}

/// Tells of a pair that is taken into use, and of what the operator should know about it.
fn tell(pair: &Pair, files: &TlsFiles, what: &str) {
    let (cert, key) = (one_line(&files.cert), one_line(&files.key));
    let (valid_from, valid_until) = (pair.validity.from, pair.validity.until);
    tracing::info!(cert, valid_until = valid_until.map(tracing::field::display), "{what}");
    if let Some(from) = valid_from.filter(|from| wall_now() < *from) {
        tracing::warn!(cert, valid_from = %from, "the certificate is not valid yet: clients refuse it");
    }
    if let Some(mode) = pair.exposed {
        tracing::warn!(key, mode = format_args!("{mode:04o}"), "the private key is not for its owner alone");
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.follow(Instant::now());
        Some(self.current())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What can be seen of both files without reading them.
#[derive(Debug, PartialEq, Eq)]
struct Stamps {
    cert: Stamp,
    key: Stamp,
}

impl Stamps {
    fn of(files: &TlsFiles) -> Self {
        Self { cert: Stamp::of(&files.cert), key: Stamp::of(&files.key) }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stamp {
    /// Links are followed: another file behind one is another file.
    Seen {
        file: (u64, u64),
        size: u64,
        modified: (i64, i64),
        /// Also changes with its permissions, and when its other time was set back.
        changed: (i64, i64),
    },
    Unseen(io::ErrorKind),
}

impl Stamp {
    fn of(path: &Path) -> Self {
        std::fs::metadata(path).map_or_else(|error| Self::Unseen(error.kind()), |found| Self::from(&found))
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self::Seen {
            file: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests;
