use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// What becomes of an attempt to write.
enum Fate {
    Takes(usize),
    Fails(ErrorKind),
}

/// A place to write to that tells of each attempt, and then waits to hear what becomes of it.
struct Reader {
    attempts: Sender<String>,
    fates: Receiver<Fate>,
}

impl Write for Reader {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let _ = self.attempts.send(String::from_utf8_lossy(lines).into_owned());
        match self.fates.recv() {
            Ok(Fate::Takes(most)) => Ok(lines.len().min(most)),
            Ok(Fate::Fails(kind)) => Err(kind.into()),
            // The test is over.
            Err(_) => Ok(lines.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Scene {
    queue: Arc<Queue>,
    attempts: Receiver<String>,
    fates: Sender<Fate>,
}

impl Scene {
    fn new() -> Self {
        let (attempts_in, attempts) = channel();
        let (fates, fates_out) = channel();
        let own: Arc<Mutex<Option<Arc<Queue>>>> = Arc::default();
        let its_own = Arc::clone(&own);
        let tell = move |lost| {
            let queue = its_own.lock().expect("no panic").clone().expect("it was said what it is");
            queue.insist(format!("lost {lost}\n").as_bytes());
        };
        let queue = Queue::start(Reader { attempts: attempts_in, fates: fates_out }, tell).expect("a thread");
        *own.lock().expect("no panic") = Some(Arc::clone(&queue));
        Self { queue, attempts, fates }
    }

    /// One whose output has the first half of a line and then failed.
    fn with_torn_line() -> Self {
        let scene = Self::new();
        scene.say("a line\n");
        assert_eq!(scene.attempt(), "a line\n");
        scene.decide(Fate::Takes(2));
        assert_eq!(scene.attempt(), "line\n");
        scene.decide(Fate::Fails(ErrorKind::StorageFull));
        scene.assert_quiet();
        scene
    }

    fn say(&self, line: &str) {
        self.queue.say(line.as_bytes());
    }

    fn attempt(&self) -> String {
        self.attempts.recv_timeout(LONG).expect("an attempt to write")
    }

    fn decide(&self, fate: Fate) {
        self.fates.send(fate).expect("the thread lives");
    }

    /// The next attempt, which succeeds.
    fn read(&self) -> String {
        let lines = self.attempt();
        self.decide(Fate::Takes(usize::MAX));
        lines
    }

    #[track_caller]
    fn assert_quiet(&self) {
        self.queue.flush(LONG);
        assert_eq!(self.attempts.try_recv().ok(), None);
    }
}

#[test]
fn what_is_said_during_a_write_leaves_in_one_piece() {
    let scene = Scene::new();
    scene.say("one\n");
    assert_eq!(scene.attempt(), "one\n");
    for line in ["two\n", "three\n", "four\n"] {
        scene.say(line);
    }
    scene.decide(Fate::Takes(usize::MAX));
    assert_eq!(scene.read(), "two\nthree\nfour\n");
    scene.assert_quiet();
}

#[test]
fn what_does_not_fit_is_lost_and_counted() {
    let scene = Scene::new();
    scene.say("first\n");
    assert_eq!(scene.attempt(), "first\n");
    let line = "x".repeat(MAX_BYTES / 8 - 1) + "\n";
    let begin = Instant::now();
    for _ in 0..11 {
        scene.say(&line);
    }
    assert!(begin.elapsed() < LONG, "no caller waits");
    scene.decide(Fate::Takes(usize::MAX));
    assert_eq!(scene.read(), line.repeat(8));
    assert_eq!(scene.read(), "lost 3\n");
    scene.assert_quiet();
    // A count begins anew, and a line that never fits is told of without another one.
    scene.say(&"x".repeat(MAX_BYTES + 1));
    assert_eq!(scene.read(), "lost 1\n");
    scene.assert_quiet();
    assert!(scene.queue.state().waiting.capacity() <= MAX_KEPT_BYTES, "the memory is given back");
}

#[test]
fn the_word_about_lost_lines_finds_room() {
    let scene = Scene::new();
    scene.say("first\n");
    assert_eq!(scene.attempt(), "first\n");
    scene.say(&("x".repeat(MAX_BYTES - 1) + "\n"));
    scene.say("too much\n");
    scene.queue.insist(b"lost\n");
    scene.decide(Fate::Takes(usize::MAX));
    assert!(scene.read().ends_with("x\nlost\n"));
}

#[test]
fn a_reader_who_is_gone_costs_nothing_and_is_told_when_he_is_back() {
    let scene = Scene::new();
    for line in ["one\n", "two\n"] {
        scene.say(line);
        assert_eq!(scene.attempt(), line);
        scene.decide(Fate::Fails(ErrorKind::BrokenPipe));
        // It does not try to tell him about it over and over.
        scene.assert_quiet();
    }
    scene.say("three\n");
    assert_eq!(scene.read(), "three\n");
    assert_eq!(scene.read(), "lost 2\n");
    scene.assert_quiet();
}

/// The word is only a line, too: what it was about is not forgotten with it.
#[test]
fn a_word_about_lost_lines_that_is_lost_comes_again() {
    let scene = Scene::new();
    for line in ["one\n", "two\n", "three\n"] {
        scene.say(line);
        assert_eq!(scene.attempt(), line);
        scene.decide(Fate::Fails(ErrorKind::StorageFull));
        scene.assert_quiet();
    }
    scene.say("four\n");
    assert_eq!(scene.read(), "four\n");
    assert_eq!(scene.attempt(), "lost 3\n");
    scene.decide(Fate::Fails(ErrorKind::StorageFull));
    scene.assert_quiet();
    scene.say("five\n");
    assert_eq!(scene.read(), "five\n");
    assert_eq!(scene.read(), "lost 3\n");
    scene.assert_quiet();
}

#[test]
fn a_line_does_not_follow_on_half_of_another_one() {
    let scene = Scene::with_torn_line();
    scene.say("another\n");
    assert_eq!(scene.read(), "\nanother\n");
    assert_eq!(scene.read(), "lost 1\n");
    scene.assert_quiet();
}

#[test]
fn a_torn_line_is_ended_however_long_that_takes() {
    let scene = Scene::with_torn_line();
    scene.say("another\n");
    assert_eq!(scene.attempt(), "\nanother\n");
    scene.decide(Fate::Fails(ErrorKind::StorageFull));
    scene.assert_quiet();
    scene.say("third\n");
    assert_eq!(scene.read(), "\nthird\n");
    assert_eq!(scene.read(), "lost 2\n");
}

#[test]
fn a_piece_is_written_to_its_end() {
    let scene = Scene::new();
    scene.say("a line\n");
    for (rest, fate) in [
        ("a line\n", Fate::Fails(ErrorKind::Interrupted)),
        ("a line\n", Fate::Takes(2)),
        ("line\n", Fate::Fails(ErrorKind::WouldBlock)),
        ("line\n", Fate::Takes(5)),
    ] {
        assert_eq!(scene.attempt(), rest);
        scene.decide(fate);
    }
    scene.assert_quiet();
}

#[test]
fn a_flush_waits_for_the_last_line_but_not_for_ever() {
    let scene = Scene::new();
    scene.queue.flush(LONG);
    scene.say("last\n");
    let begin = Instant::now();
    scene.queue.flush(Duration::from_millis(50));
    assert!((Duration::from_millis(50)..LONG).contains(&begin.elapsed()));
    assert_eq!(scene.attempt(), "last\n");
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| scene.queue.flush(LONG));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!flush.is_finished());
        scene.decide(Fate::Takes(usize::MAX));
    });
    assert!(begin.elapsed() < LONG);
}
