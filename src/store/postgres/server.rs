//! A PostgreSQL server for tests, with a directory and a socket of its own.
//!
//! One server for all tests of a process, each with a database of its own. It ends with the process: a shell stops it once the
//! other end of its standard input is closed, whichever way that comes about.
//!
//! Where PostgreSQL is not installed, there is none, and tests that need one say so and pass; with `REQUIRE_POSTGRES` set they
//! fail instead.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::{Client, NoTls};

use super::address::Address;

/// Makes tests fail where PostgreSQL is not installed.
const REQUIRED: &str = "REQUIRE_POSTGRES";

/// Makes a cluster in the directory that is the first argument, runs it as a user who may, and stops it and removes the
/// directory when there is nothing more to read. PostgreSQL does not run as root.
const SCRIPT: &str = r#"
set -eu
directory=$1 programs=$2
as=
if [ "$(id -u)" = 0 ]; then
    chown -R postgres "$directory"
    as="setpriv --reuid=postgres --regid=postgres --clear-groups"
fi
trap 'rm -rf "$directory"' EXIT
# An interrupt is for the tests; the end of their process is noticed below.
trap '' INT
cd "$directory"
$as "$programs/initdb" -D "$directory/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$directory/initdb.log" 2>&1
$as "$programs/postgres" -D "$directory/data" -k "$directory" -c listen_addresses= -c fsync=off -c full_page_writes=off \
    -c max_connections=400 -c shared_buffers=64MB >"$directory/server.log" 2>&1 &
server=$!
for _ in $(seq 600); do
    if "$programs/pg_isready" -q -h "$directory" -U postgres; then echo ready; break; fi
    sleep 0.05
done
read -r _ || true
kill -QUIT $server
wait $server || true
"#;

/// A server that is running.
pub(super) struct Server {
    directory: PathBuf,
    databases: AtomicU64,
    /// It is stopped when this process has none of its ends any more.
    _shell: Child,
}

impl Server {
    /// The one of this process; none where PostgreSQL is not installed.
    pub fn get() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        let server = SERVER.get_or_init(|| programs().map(|programs| Self::start(&programs))).as_ref();
        if server.is_none() {
            assert!(std::env::var_os(REQUIRED).is_none(), "PostgreSQL is not installed, and {REQUIRED} is set");
            eprintln!("not tried: PostgreSQL is not installed");
        }
        server
    }

    fn start(programs: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("scalegate-postgres-").tempdir().expect("a directory").keep();
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .args([&directory, programs])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let read = BufReader::new(shell.stdout.take().expect("its output")).read_line(&mut line);
        let log = || std::fs::read_to_string(directory.join("server.log")).unwrap_or_default();
        assert!(read.is_ok() && line.trim() == "ready", "PostgreSQL did not start: {}", log());
        Self { directory, databases: AtomicU64::new(0), _shell: shell }
    }

    /// A new, empty database.
    pub async fn database(&self) -> Address {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let all = self.address("postgres");
        connect(&all).await.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
        self.address(&name)
    }

    /// Where its socket is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn address(&self, name: &str) -> Address {
        let directory = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{directory}/{name}").parse().expect("an address")
    }
}

/// A connection like that of an operator's `psql`.
pub(super) async fn connect(address: &Address) -> Client {
    let (client, connection) = address.config().connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Where PostgreSQL's programs are.
fn programs() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|version| version.path().join("bin"));
    debian.filter(|programs| programs.join("postgres").exists()).max()
}
