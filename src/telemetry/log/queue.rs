//! Lines that wait to be written, and the thread that writes them.
//!
//! Queueing a line is copying it; lines of the same few milliseconds are written in one piece. Rejected:
//! tracing-appender, because it bounds the number of lines and not their bytes, does not count the lines whose writing
//! failed, and cannot keep room for a notice of dropped lines.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many bytes may wait. Ten thousand lines of the usual length are what a hundred requests a second say in half a
/// minute, and as much as a gateway can spare that has 15 MiB when it is idle: while nothing is read, the thread holds
/// up to as many again.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most memory that is kept for the next lines rather than given back: as much as a pipe takes at once.
const MAX_KEPT_BYTES: usize = 64 * 1024;
/// How long the first line waits for others, so that a busy gateway does not wake the thread and write for each.
const GATHER: Duration = Duration::from_millis(10);
/// Time between two attempts to write to what cannot be waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// Lines that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something to do for the thread.
    due: Condvar,
    /// There is nothing left to do for it.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Dropped lines that no line of the log has told of yet.
    lost: u64,
    is_writing: bool,
    /// Whether a thread waits for everything to be written.
    is_awaited: bool,
    /// Whether the last attempt to write failed. A notice of dropped lines would be dropped too then.
    is_broken: bool,
}

impl State {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || (self.lost > 0 && !self.is_broken)
    }

    fn is_busy(&self) -> bool {
        self.is_writing || self.has_work()
    }
}

impl Queue {
    /// Starts the thread, which writes to `outlet`. As soon as there is room again after lines were dropped, it calls
    /// `tell` with their number.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn start(
        outlet: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::default());
        let its_queue = Arc::clone(&queue);
        std::thread::Builder::new().name("log".into()).spawn(move || its_queue.write_all(outlet, tell))?;
        Ok(queue)
    }

    /// Queues a line, or counts it as dropped if too many bytes wait.
    pub(super) fn say(&self, line: &[u8]) {
        self.say_within(MAX_BYTES, line);
    }

    fn say_within(&self, most: usize, line: &[u8]) {
        self.change(|state| {
            if state.waiting.len() + line.len() > most {
                state.lost += 1;
            } else {
                state.waiting.extend_from_slice(line);
            }
        });
    }

    /// Queues a line for which room is kept. There must be few of them.
    pub(super) fn insist(&self, line: &[u8]) {
        self.say_within(2 * MAX_BYTES, line);
    }

    /// Waits until all queued lines are written, for `patience` at most.
    pub(super) fn flush(&self, patience: Duration) {
        let mut state = self.state();
        state.is_awaited = true;
        self.due.notify_one();
        drop(self.idle.wait_timeout_while(state, patience, |state| state.is_busy()));
    }

    fn change(&self, act: impl FnOnce(&mut State)) {
        let mut state = self.state();
        // A thread that is busy will find this as well.
        let was_busy = state.is_busy();
        act(&mut state);
        if !was_busy && state.is_busy() {
            self.due.notify_one();
        }
    }

    fn write_all(&self, mut outlet: impl Write, tell: impl Fn(u64)) {
        let (mut lines, mut unwritten) = (Vec::new(), Unwritten::default());
        // Of so many dropped lines there is a notice among those that are written next.
        let mut being_told = 0;
        loop {
            let lost = self.next(&mut lines, unwritten.lines);
            if lost > 0 {
                // Waits like any other line, and comes after those for which there was still room.
                tell(lost);
            }
            if unwritten.is_torn {
                lines.insert(0, b'\n');
            }
            unwritten = write(&mut outlet, &lines, unwritten.is_torn);
            if unwritten.lines > 0 {
                // The word itself is among the lines that are counted.
                unwritten.lines += u64::saturating_sub(being_told, 1);
            }
            being_told = lost;
            lines.clear();
            if lines.capacity() > MAX_KEPT_BYTES {
                lines = Vec::new();
            }
        }
    }

    /// Waits for something to do, and exchanges the lines that wait for `lines`, which is empty. Returns how many were
    /// dropped since the last time, if a notice can be written. `unwritten` lines could not be written the last time.
    fn next(&self, lines: &mut Vec<u8>, unwritten: u64) -> u64 {
        let mut state = self.state();
        state.is_writing = false;
        state.is_broken = unwritten > 0;
        state.lost += unwritten;
        if !state.has_work() {
            state.is_awaited = false;
            self.idle.notify_all();
        }
        let state = self.due.wait_while(state, |state| !state.has_work()).unwrap_or_else(PoisonError::into_inner);
        let gathered = self.due.wait_timeout_while(state, GATHER, |state| !state.is_awaited);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        std::mem::swap(&mut state.waiting, lines);
        if state.is_broken { 0 } else { std::mem::take(&mut state.lost) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What could not be written.
#[derive(Default)]
struct Unwritten {
    lines: u64,
    /// Whether one was begun and not ended.
    is_torn: bool,
}

/// Writes `lines` in as few pieces as `outlet` takes them. If one `was_torn` before, they begin with its end.
fn write(outlet: &mut impl Write, lines: &[u8], was_torn: bool) -> Unwritten {
    let mut rest = lines;
    while !rest.is_empty() {
        match outlet.write(rest) {
            Ok(0) => break,
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process with the same pipe does not want to wait for it. This thread does.
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(_) => break,
        }
    }
    let written = &lines[..lines.len() - rest.len()];
    let left = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
    if written.is_empty() {
        // The end of the one before is none of its own.
        return Unwritten { lines: left - u64::from(was_torn), is_torn: was_torn };
    }
    Unwritten { lines: left, is_torn: written.last().is_some_and(|last| *last != b'\n') }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
