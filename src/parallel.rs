//! Work for all cores, for the moments when everybody waits for it: a start with very many jobs, or their recovery after the
//! store has failed.
//!
//! Threads of their own for each piece of work rather than a pool: such moments are rare, and a pool would stay. If the system
//! refuses threads, there are fewer, or none but the one that asks.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What the threads are called.
const NAME: &str = "recovery";

/// More than a few threads only wait for memory, or for the disk.
const MOST_THREADS: usize = 8;

/// How many threads are worth while: one for each core that this process may use, but not too many.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS)
}

/// What `work` makes of each of `pieces`, in their order, done by as many `threads`, this one among them.
///
/// # Panics
/// If `work` does.
pub fn map<P: Send, R: Send>(threads: usize, pieces: Vec<P>, work: impl Fn(P) -> R + Sync) -> Vec<R> {
    let helpers = threads.min(pieces.len()).saturating_sub(1);
    let left = Mutex::new(pieces.into_iter().enumerate());
    // A panic elsewhere leaves nothing half taken.
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take_turns = || std::iter::from_fn(next).map(|(place, piece)| (place, work(piece))).collect::<Vec<_>>();
    let mut done = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().name(NAME.into()).spawn_scoped(scope, take_turns).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(spawn).collect();
        let mut done = take_turns();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What `one` and `other` return, done at the same time, or one after the other if the system refuses a thread.
///
/// # Panics
/// If one of them does.
pub fn both<A, B: Send>(one: impl FnOnce() -> A, other: impl Fn() -> B + Sync) -> (A, B) {
    thread::scope(|scope| {
        let helper = thread::Builder::new().name(NAME.into()).spawn_scoped(scope, &other);
        let first = one();
        let second = match helper {
            Ok(helper) => helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => other(),
        };
        (first, second)
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;

    /// So much stack that the system refuses every thread.
    const STACK: (&str, &str) = ("RUST_MIN_STACK", "140000000000000000");

    #[test]
    fn results_come_in_the_order_of_the_pieces() {
        for threads in [0, 1, 2, 5] {
            for count in [0_u32, 1, 2, 1000] {
                let doubled = map(threads, (0..count).collect(), |number| number * 2);
                assert_eq!(doubled, (0..count).map(|number| number * 2).collect::<Vec<_>>());
            }
        }
    }

    /// Two that each wait until the other has said that it is there.
    fn meeting() -> [(Sender<()>, Mutex<Receiver<()>>); 2] {
        let ((one, hears_one), (other, hears_other)) = (channel(), channel());
        [(one, Mutex::new(hears_other)), (other, Mutex::new(hears_one))]
    }

    fn meet((say, hear): &(Sender<()>, Mutex<Receiver<()>>)) {
        say.send(()).expect("somebody");
        let hear = hear.lock().expect("nobody panicked");
        hear.recv_timeout(Duration::from_secs(60)).expect("both are there at the same time");
    }

    #[test]
    fn pieces_are_worked_on_at_the_same_time() {
        let places = meeting();
        map(2, places.iter().collect(), meet);
    }

    #[test]
    fn both_are_done_at_the_same_time() {
        let [one, other] = &meeting();
        let done = both(
            || {
                meet(one);
                1
            },
            || {
                meet(other);
                2
            },
        );
        assert_eq!(done, (1, 2));
    }

    #[test]
    fn without_threads_this_one_does_everything() {
        let own = std::env::current_exe().expect("this program");
        let run = ["--exact", "parallel::tests::alone", "--ignored", "--test-threads=1"];
        let output = Command::new(own).args(run).env(STACK.0, STACK.1).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "run by the test before, in a process that gets no threads"]
    fn alone() {
        assert!(thread::Builder::new().spawn(|| ()).is_err(), "the system refuses threads");
        assert_eq!(map(4, vec![1, 2, 3], |number| number * 2), [2, 4, 6]);
        assert_eq!(both(|| 1, || 2), (1, 2));
    }

    #[test]
    #[should_panic(expected = "the fourth")]
    fn a_panic_is_passed_on() {
        map(2, (0..10).collect(), |number| assert_ne!(number, 4, "the fourth"));
    }
}
