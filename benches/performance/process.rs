//! Processes that are measured, each on a core of its own as far as there are several.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use scalegate::access::Token;

use super::support::preload;

/// Longest wait for a process to be ready. One with a million jobs takes a while.
const PATIENCE: Duration = Duration::from_secs(300);

/// A process that listens. Killed when dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// From its start until it said that it is ready.
    pub ready_after: Duration,
    /// The key that it wants.
    pub key: Token,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Measuring takes the last core; what is measured has the others.
pub fn keep_to_the_last_core() {
    let cores = cores();
    if cores > 1 {
        let own = std::process::id().to_string();
        let moved =
            Command::new("taskset").args(["-cp", &(cores - 1).to_string(), &own]).stdout(Stdio::null()).status();
        assert!(moved.is_ok_and(|status| status.success()), "taskset is needed");
    }
}

/// How many cores there are, whichever of them this process may use.
pub fn cores() -> usize {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    online.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<usize>().ok()).map_or(1, |last| last + 1)
}

/// A command on all cores but the last, or, if `everywhere`, on all.
fn on_its_cores(program: impl AsRef<OsStr>, everywhere: bool) -> Command {
    let cores = cores();
    let last = if everywhere || cores == 1 { cores - 1 } else { cores - 2 };
    let mut command = Command::new("taskset");
    command.args(["-c", &format!("0-{last}")]).arg(program);
    command
}

impl Process {
    /// A gateway with its data in `directory`.
    pub fn gateway(directory: &Path, sidecar: &str, more: &[&str]) -> Self {
        Self::serve(on_its_cores(binary(), false), directory, sidecar, more)
    }

    /// The same on all cores.
    pub fn gateway_everywhere(directory: &Path, sidecar: &str, more: &[&str]) -> Self {
        Self::serve(on_its_cores(binary(), true), directory, sidecar, more)
    }

    /// A gateway on a disk that takes so much `longer` to sync than the one there is, if at all.
    pub fn gateway_syncing_slower_by(directory: &Path, sidecar: &str, more: &[&str], longer: Duration) -> Self {
        let mut command = on_its_cores(binary(), false);
        if !longer.is_zero() {
            command.env("LD_PRELOAD", preload::compile("slow_disk"));
            command.env("SLOW_DISK_MICROSECONDS", longer.as_micros().to_string());
        }
        Self::serve(command, directory, sidecar, more)
    }

    fn serve(mut command: Command, directory: &Path, sidecar: &str, more: &[&str]) -> Self {
        let key = Token::generate().expect("randomness");
        command.env("SCALEGATE_LISTEN", "127.0.0.1:0");
        command.args(["serve", "--log-format", "json", "--max-request-rate", "0"]);
        command.args(["--max-active-jobs", "1000000", "--max-jobs-per-key", "1000000", "--sidecar-url", sidecar]);
        command.arg("--data-dir").arg(directory).args(more).env("SCALEGATE_ADMIN_KEY", key.expose());
        Self::start(command, key, |line| line.contains("is ready"))
    }

    /// A simulated sidecar.
    pub fn simulator(more: &[&str]) -> Self {
        let mut command = on_its_cores(env!("CARGO_BIN_EXE_scalegate"), true);
        command.args(["simulate", "--listen", "127.0.0.1:0"]).args(more);
        Self::start(command, Token::generate().expect("randomness"), |_| true)
    }

    /// The `app` in `app.py` in `directory`, served by uvicorn in one process, on the cores that a gateway gets.
    pub fn python_app(python: &Path, directory: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = on_its_cores(python, false);
        command.args(["-m", "uvicorn", "app:app", "--workers", "1", "--host", "127.0.0.1", "--port", "0"]);
        command.args(["--log-level", "info", "--no-access-log", "--app-dir"]).arg(directory);
        // Nothing is left among the sources, and no proxy between it and the sidecar.
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "127.0.0.1").envs(variables.iter().copied());
        Self::start(command, Token::generate().expect("randomness"), |line| line.contains("running on"))
    }

    fn start(mut command: Command, key: Token, is_ready: impl Fn(&str) -> bool) -> Self {
        let begun = Instant::now();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        // Whatever happens from here on, it is not left behind.
        let mut process =
            Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), ready_after: Duration::ZERO, key };
        let child = &mut process.child;
        let (say, said) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        for pipe in [Box::new(stdout) as Box<dyn std::io::Read + Send>, Box::new(stderr)] {
            let say = say.clone();
            // Read to its end, or the process would wait for it.
            std::thread::spawn(move || {
                BufReader::new(pipe).lines().map_while(Result::ok).for_each(|line| drop(say.send(line)));
            });
        }
        loop {
            let line = said.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())).expect("it becomes ready");
            let port = line.split_once("127.0.0.1:").map(|(_, after)| after);
            let port = port.and_then(|after| after.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok());
            if let Some(port) = port.filter(|_| is_ready(&line)) {
                process.address.set_port(port);
                process.ready_after = begun.elapsed();
                return process;
            }
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a line");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Memory it has resident now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// A counter of what it has read and written.
    pub fn io(&self, field: &str) -> u64 {
        let counters = std::fs::read_to_string(format!("/proc/{}/io", self.child.id())).expect("it lives");
        let line = counters.lines().find_map(|line| line.strip_prefix(field)).expect("a line");
        line.trim().parse().expect("a number")
    }

    /// Processor time it used so far.
    pub fn cpu(&self) -> Duration {
        super::load::cpu(&self.child.id().to_string())
    }

    /// How often its threads were woken so far.
    pub fn wake_ups(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it lives");
        let of_thread = |task: std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        tasks.flatten().map(of_thread).sum()
    }
}

/// The gateway's binary.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_scalegate"))
}
