//! How many connections, streams and held-back answers this process takes.
//!
//! Each connection takes an open file, and so do the store and the calls to the sidecar, without which no job moves on:
//! callers must never be able to use up all files. Rejected: limits that do not depend on how many files the system grants,
//! because where it grants 1,024, a thousand watchers would stop all scaling.

/// Files that are not for callers: the store's, and a connection to the sidecar for each of some hundred resources.
const FILES_KEPT_BACK: usize = 512;
/// Most of all files that may be kept back where there are few.
const SHARE_KEPT_BACK: usize = 2;
/// Most connections; tens of thousands of idle ones are fine, but not without end.
const MAX_CONNECTIONS: usize = 50_000;
/// Most streams. Each is a connection, a timer and some kilobytes; a later client can poll.
const MAX_STREAMS: usize = 20_000;
/// Most answers held back at a time. Each is a connection and a timer; a later client is answered at once.
const MAX_LONG_POLLS: usize = 10_000;

/// Connections that only this machine itself may take: a health check, a scrape and an operator at a time, several times over.
const KEPT_FOR_LOOPBACK: usize = 16;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections.
    pub connections: usize,
    /// Connections from one address of another machine, or one network where addresses cost nothing.
    pub connections_per_address: usize,
    /// Connections among them that only this machine itself may take: its health checks work when strangers hold the rest.
    pub kept_for_loopback: usize,
    /// Streams among them, few enough that others are still served.
    pub streams: usize,
    /// Answers held back among them.
    pub long_polls: usize,
}

impl ConnectionLimits {
    /// The limits of a process that may have `files` open.
    pub fn within(files: usize) -> Self {
        let kept_back = FILES_KEPT_BACK.min(files / SHARE_KEPT_BACK);
        let connections = (files - kept_back).min(MAX_CONNECTIONS);
        Self {
            connections,
            // As of everything else, half is the most that one may have, also a proxy in front of all others.
            connections_per_address: connections / 2,
            kept_for_loopback: KEPT_FOR_LOOPBACK.min(connections / 8),
            // An eighth is for requests that are answered at once, however many wait.
            streams: (connections / 4 * 3).min(MAX_STREAMS),
            long_polls: (connections / 8).min(MAX_LONG_POLLS),
        }
    }

    /// The limits of this process, which may open as many files as the system lets it from now on.
    pub fn in_this_process() -> Self {
        Self::within(allowed_files())
    }
}

/// Raises the limit of open files to what it can be raised to without special rights. The usual one is meant for programs
/// that cannot cope with more.
#[cfg(target_os = "linux")]
fn allowed_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limits = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }).is_ok();
    let granted = if raised { limits.maximum } else { limits.current };
    granted.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// What systems other than Linux usually grant.
#[cfg(not(target_os = "linux"))]
fn allowed_files() -> usize {
    1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_room_for_more_than_streams() {
        for (files, connections, kept_for_loopback, streams, long_polls) in [
            (64, 32, 4, 24, 4),
            (1024, 512, 16, 384, 64),
            (20_000, 19_488, 16, 14_616, 2436),
            (65_536, 50_000, 16, 20_000, 6250),
            (usize::MAX, 50_000, 16, 20_000, 6250),
        ] {
            let connections_per_address = connections / 2;
            let connection_limits =
                ConnectionLimits { connections, connections_per_address, kept_for_loopback, streams, long_polls };
            assert_eq!(ConnectionLimits::within(files), connection_limits, "{files}");
            assert!(connection_limits.streams + connection_limits.long_polls < connection_limits.connections);
        }
    }
}
