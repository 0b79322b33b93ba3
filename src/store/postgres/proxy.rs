//! A proxy between a store and its database, for tests, that can cut a connection around a commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{UnixListener, UnixStream};

use super::address::Address;

/// What PostgreSQL calls its socket.
pub(super) const SOCKET: &str = ".s.PGSQL.5432";

/// When a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The database never hears of the commit.
    BeforeCommit = 1,
    /// The database commits, and the replica gets no answer.
    AfterCommit = 2,
}

const NEVER: u8 = 0;

pub(super) struct Proxy {
    directory: tempfile::TempDir,
    next: Arc<AtomicU8>,
}

impl Proxy {
    /// Stands before the server whose socket is in `server`.
    pub fn start(server: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("a socket");
        let next = Arc::new(AtomicU8::new(NEVER));
        let (socket, cut) = (server.join(SOCKET), Arc::clone(&next));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, socket.clone(), Arc::clone(&cut)));
            }
        });
        Self { directory, next }
    }

    /// The next connection over which a commit goes is cut.
    pub fn cut_next(&self, cut: Cut) {
        self.next.store(cut as u8, Ordering::SeqCst);
    }

    /// Whether what was to be cut was cut.
    pub fn has_cut(&self) -> bool {
        self.next.load(Ordering::SeqCst) == NEVER
    }

    pub fn address(&self, database: &str) -> Address {
        let directory = self.directory.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{directory}/{database}").parse().expect("an address")
    }
}

/// Whether the statement is in there, or the answer to it.
fn holds_commit(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|word| word == b"COMMIT")
}

async fn pass_on(mut client: UnixStream, socket: PathBuf, next: Arc<AtomicU8>) {
    let Ok(mut server) = UnixStream::connect(socket).await else { return };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let requests = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = match from_client.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                Ok(length) => length,
            };
            let cut = if holds_commit(&buffer[..length]) { next.swap(NEVER, Ordering::SeqCst) } else { NEVER };
            if cut == Cut::BeforeCommit as u8 {
                return false;
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return false;
            }
            if cut == Cut::AfterCommit as u8 {
                return true;
            }
        }
    };
    let is_answer_lost = tokio::select! {
        is_answer_lost = requests => is_answer_lost,
        _ = copy(&mut from_server, &mut to_client) => false,
    };
    if is_answer_lost {
        // The database has committed once it says so.
        let mut answer = Vec::new();
        while !holds_commit(&answer) && from_server.read_buf(&mut answer).await.is_ok_and(|length| length > 0) {}
    }
}
