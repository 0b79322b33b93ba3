//! Starts the gateway, kills it, starts it again.
//!
//! In a thread of its own, so that neither the clients nor the sidecar are held up by it.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::autopsy;
use super::referee::Referee;
use super::support::gateway::{PATIENCE, Process};
use super::support::sidecar::Sidecar;
use crate::support::dice::Dice;

/// Longest life of a process that is not waited for to do something in particular.
const LONGEST_LIFE: Duration = Duration::from_millis(900);
/// One process in so many lives long enough to write down what policies decide without acting, which happens once a second.
const LONG_LIFE_EVERY: usize = 15;
/// How long it lives.
const LONG_LIFE: Duration = Duration::from_millis(2500);
/// Longest wait for what is to be interrupted, if it does not happen.
const NO_LONGER: Duration = Duration::from_millis(600);
/// Number of autopsies in a run.
const AUTOPSIES: usize = 25;

/// When a process is killed.
#[derive(Clone, Copy)]
enum Moment {
    /// This long after it was started, in the time the last start took.
    Start(Duration),
    /// This long after it was ready.
    Ready(Duration),
    /// This long after a client has sent a submission: it is being committed or answered.
    Submission(Duration),
    /// This long after a change has reached the sidecar: its answer is on the way, or being committed.
    Change(Duration),
}

impl Moment {
    fn draw(dice: &mut Dice, start: Duration) -> Self {
        match dice.between(0, 99) {
            0..25 => Self::Start(dice.duration(start)),
            25..30 => Self::Ready(dice.duration(Duration::from_millis(20))),
            30..55 => Self::Ready(dice.duration(LONGEST_LIFE)),
            55..75 => Self::Submission(dice.duration(Duration::from_millis(15))),
            _ => Self::Change(dice.duration(Duration::from_millis(4))),
        }
    }
}

/// What the killer works with.
pub struct Scene {
    data_dir: PathBuf,
    sidecar: Arc<Sidecar>,
    referee: Arc<Referee>,
    arguments: Vec<String>,
}

impl Scene {
    pub fn new(data_dir: &Path, sidecar: Arc<Sidecar>, referee: Arc<Referee>, config: &str, settings: &[&str]) -> Self {
        let file = data_dir.join("config.toml");
        std::fs::write(&file, config).expect("it can be written");
        let mut arguments = vec!["--config".to_owned(), file.to_str().expect("it is UTF-8").to_owned()];
        arguments.extend(settings.iter().map(|&setting| setting.to_owned()));
        Self { data_dir: data_dir.to_owned(), sidecar, referee, arguments }
    }

    fn start_gateway(&self) -> Process {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Process::start(&self.data_dir, self.sidecar.address(), &arguments)
    }

    /// Waits until the sidecar has read whatever a process sent that is dead now.
    ///
    /// `settle` and cooldowns allow for the time a request is on its way, but here that may be as long as a busy
    /// machine keeps the sidecar's thread waiting. Its connections are served in the order in which they came.
    fn let_the_dead_be_heard(&self) {
        let mut stream = TcpStream::connect(self.sidecar.address()).expect("the sidecar is there");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: sidecar\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}

/// A thread that kills processes. Told to stop, and waited for, when dropped.
pub struct Killer {
    thread: Option<JoinHandle<(Toll, Process)>>,
    done: oneshot::Receiver<()>,
    stop: Arc<AtomicBool>,
}

impl Killer {
    /// Kills so many processes, and leaves the one after them alive. Where the present one is, if it is ready, it
    /// announces.
    pub fn start(scene: Scene, seed: u64, kills: usize, announce: watch::Sender<Option<SocketAddr>>) -> Self {
        let (finished, done) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            // Dropped in the end, in a panic too: that is the news.
            let _finished: oneshot::Sender<()> = finished;
            let mut spree = Spree { scene, dice: Dice::for_part(seed, 0), announce, stopped, toll: Toll::default() };
            let last = spree.run(kills);
            (spree.toll, last)
        });
        Self { thread: Some(thread), done, stop }
    }

    /// Waits until it has killed enough, or failed.
    pub async fn done(&mut self) {
        let _ = (&mut self.done).await;
    }

    /// What it did, and the process it left alive.
    pub fn join(mut self) -> (Toll, Process) {
        let thread = self.thread.take().expect("it was not joined before");
        self.stop.store(true, Ordering::Relaxed);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Spree {
    scene: Scene,
    dice: Dice,
    announce: watch::Sender<Option<SocketAddr>>,
    stopped: Arc<AtomicBool>,
    toll: Toll,
}

impl Spree {
    fn run(&mut self, kills: usize) -> Process {
        let mut start = Duration::from_millis(100);
        for number in 1..=kills {
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            let moment = match number.is_multiple_of(LONG_LIFE_EVERY) {
                true => Moment::Ready(LONG_LIFE),
                false => Moment::draw(&mut self.dice, start),
            };
            if let Some(took) = self.one_life(moment) {
                start = took;
            }
            if number.is_multiple_of((kills / AUTOPSIES).max(1)) {
                self.toll.changes_on_disk += autopsy::examine(&self.scene.data_dir, &self.scene.referee);
                self.toll.autopsies += 1;
            }
        }
        let last = self.scene.start_gateway();
        self.await_ready(&last, &mut Vec::new());
        last
    }

    /// Starts a process and kills it; how long its start took, if it got so far.
    fn one_life(&mut self, moment: Moment) -> Option<Duration> {
        let (begin, process, mut log) = (Instant::now(), self.scene.start_gateway(), Vec::new());
        let took = match moment {
            Moment::Start(after) => process.address_within(after, &mut log).map(|_| begin.elapsed()),
            Moment::Ready(_) | Moment::Submission(_) | Moment::Change(_) => {
                self.await_ready(&process, &mut log);
                let took = begin.elapsed();
                self.await_moment(moment);
                Some(took)
            }
        };
        log.extend(process.kill());
        self.announce.send_replace(None);
        self.scene.let_the_dead_be_heard();
        self.toll.count(moment, took, &log);
        took
    }

    fn await_ready(&self, process: &Process, log: &mut Vec<Value>) {
        let address = process.address_within(PATIENCE, log);
        assert!(address.is_some(), "it does not become ready: {log:#?}");
        self.announce.send_replace(address);
    }

    fn await_moment(&self, moment: Moment) {
        let (referee, sidecar) = (&self.scene.referee, &self.scene.sidecar);
        let after = match moment {
            Moment::Start(after) | Moment::Ready(after) => after,
            Moment::Submission(after) => {
                let before = referee.submissions_sent();
                self.await_event(|| referee.submissions_sent() > before);
                after
            }
            Moment::Change(after) => {
                let before = sidecar.last_change_at();
                self.await_event(|| sidecar.last_change_at() > before);
                after
            }
        };
        std::thread::sleep(after);
    }

    fn await_event(&self, happened: impl Fn() -> bool) {
        let begin = Instant::now();
        while !happened() && begin.elapsed() < NO_LONGER {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// What the killer did.
#[derive(Default)]
pub struct Toll {
    kills: usize,
    during_start: usize,
    after_a_submission: usize,
    after_a_change: usize,
    starts: Vec<Duration>,
    /// Restarts that found changes whose request may or may not have been sent, and the number of these changes.
    reading_back: (usize, usize),
    /// Restarts that found unfinished jobs.
    with_unfinished_jobs: usize,
    autopsies: usize,
    changes_on_disk: usize,
}

impl Toll {
    fn count(&mut self, moment: Moment, start: Option<Duration>, log: &[Value]) {
        self.kills += 1;
        self.during_start += usize::from(start.is_none());
        self.after_a_submission += usize::from(matches!(moment, Moment::Submission(_)));
        self.after_a_change += usize::from(matches!(moment, Moment::Change(_)));
        self.starts.extend(start);
        let messages = log.iter().filter_map(|line| line["message"].as_str());
        let interrupted = messages.filter(|message| message.ends_with("was under way: reading back")).count();
        self.reading_back.0 += usize::from(interrupted > 0);
        self.reading_back.1 += interrupted;
        self.with_unfinished_jobs += usize::from(log.iter().any(|line| line["unfinished"].as_u64() > Some(0)));
        let broken: Vec<&Value> = log.iter().filter(|line| line["level"] == "ERROR" || line.is_string()).collect();
        assert!(broken.is_empty(), "internal errors: {broken:#?}");
    }

    /// Fails if the kills of an ordinary run did not hit what they were meant to hit.
    pub fn assert_varied(&self, kills: usize) {
        assert_eq!(self.kills, kills);
        if kills >= 100 {
            let hits = [self.during_start, self.after_a_submission, self.after_a_change, self.reading_back.0];
            assert!(hits.iter().all(|hits| *hits >= kills / 50), "kills that hit too little: {hits:?}");
        }
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut starts = self.starts.clone();
        starts.sort();
        writeln!(
            f,
            "kills: {}; {} during the start, {} just after a submission was sent, {} just after a change was",
            self.kills, self.during_start, self.after_a_submission, self.after_a_change
        )?;
        writeln!(
            f,
            "restarts: {} with unfinished jobs, {} with changes that may or may not have been sent ({} changes); \
             half of the starts took {} ms at the most, the slowest {} ms",
            self.with_unfinished_jobs,
            self.reading_back.0,
            self.reading_back.1,
            starts.get(starts.len() / 2).map_or(0, Duration::as_millis),
            starts.last().map_or(0, Duration::as_millis)
        )?;
        write!(f, "autopsies: {}, with {} unresolved changes on the disk", self.autopsies, self.changes_on_disk)
    }
}
