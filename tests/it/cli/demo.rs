//! `scalegate demo` as a process: a day that passes in less than half a minute, and signals.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::gateway::{PATIENCE, scalegate};

/// More than the day takes.
const DAY: Duration = Duration::from_mins(2);

/// A demonstration. Killed when dropped.
struct Demo {
    child: Child,
    lines: Receiver<String>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut command: Command = scalegate();
        command.args(["demo", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let out = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        Self { child, lines }
    }

    /// Where the panel is, which is the first that it tells.
    fn panel(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).expect("a line");
        let (_, rest) = line.split_once("Control panel  http://").expect("the panel comes first");
        rest.split('/').next().expect("an address").to_owned()
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Its directory, as soon as it has a file open there: before it tells anything.
    fn directory(&self) -> PathBuf {
        let begin = Instant::now();
        loop {
            let files = fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
            let mut places = files.filter_map(|file| fs::read_link(file.path()).ok());
            let is_its = |place: &&Path| {
                place.to_string_lossy().rsplit('/').next().is_some_and(|name| name.starts_with("scalegate-demo-"))
            };
            if let Some(found) = places.find_map(|place| place.ancestors().find(is_its).map(Path::to_owned)) {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "it opens no file");
            std::thread::yield_now();
        }
    }

    fn end(&mut self, within: Duration) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(begin.elapsed() < within, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the demonstration's clock shows, in milliseconds, and its speed, as the panel is told.
fn clock(address: &str) -> (u64, u64) {
    let mut connection = TcpStream::connect(address).expect("it listens");
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    let told = answer.lines().find_map(|line| line.strip_prefix("demonstration-clock: ")).expect("its clock");
    let (shown, speed) = told.split_once(' ').expect("two numbers");
    (shown.parse().expect("milliseconds"), speed.parse().expect("a speed"))
}

#[test]
fn a_day_passes_and_units_are_there_before_the_peak() {
    let mut demo = Demo::start(&["--policy", "--short", "--speed", "1000"]);
    let address = demo.panel();
    let (first, speed) = clock(&address);
    let begin = Instant::now();
    std::thread::sleep(Duration::from_millis(100));
    let passed = clock(&address).0 - first;
    assert_eq!(speed, 1000);
    assert!(passed >= 99_000 && passed <= (begin.elapsed().as_millis() as u64 + 1000) * speed, "{passed}");

    assert_eq!(demo.end(DAY).code(), Some(0));
    let told: Vec<String> = demo.lines.iter().collect();
    let story = told.join("\n");
    let place = |what: &str| story.find(what).unwrap_or_else(|| panic!("{what:?} is not in\n{story}"));
    let beats = [
        "A day of load, from 07:45 to 14:10",
        "forecast: ",
        "the peak begins: ",
        "less was needed for 15 min",
        "the window reports needs 8 by 13:30",
        "the window reports is open: ",
        "the window reports is over",
        "The day is over.",
        "Without the forecast, a backtest says, that would have been",
        "Next, try",
    ];
    let places = beats.map(place);
    assert!(places.is_sorted(), "{story}");
    let ready = |what: &str| -> u32 {
        let (_, rest) = story[place(what)..].split_once("second, and ").expect("units");
        rest.split(' ').next().and_then(|units| units.parse().ok()).expect("a number")
    };
    // A machine with much else to do loses some of the time that the climb needs.
    assert!(ready("the peak begins: ") >= 10 && ready("the window reports is open: ") >= 7, "{story}");
    assert!(told.last().is_some_and(|line| line.starts_with("Next, try")), "{story}");
}

#[test]
fn a_signal_ends_it_in_the_middle_of_the_day() {
    let mut demo = Demo::start(&["--policy", "--speed", "60"]);
    let address = demo.panel();
    demo.send(Signal::INT);
    assert_eq!(demo.end(PATIENCE).code(), Some(0));
    assert!(TcpStream::connect(address).is_err(), "nothing is left");
    assert!(!demo.lines.iter().any(|line| line.starts_with("The day is over")));
}

/// A signal is heard from before there is a directory.
#[test]
fn a_signal_during_the_start_leaves_no_directory() {
    for arguments in [&[][..], &["--policy"]] {
        let mut demo = Demo::start(arguments);
        let directory = demo.directory();
        demo.send(Signal::TERM);
        assert_eq!(demo.end(PATIENCE).code(), Some(0), "{arguments:?}");
        assert!(!directory.exists(), "{arguments:?} leaves {}", directory.display());
    }
}
