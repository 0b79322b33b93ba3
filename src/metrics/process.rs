//! What the system knows about this process, under the names that all exporters use for it.
//!
//! Rejected: the collector of the library, because it counts processor time in whole seconds, of which a
//! gateway uses one in an hour.

use super::Scrape;
use crate::clock::wall_now;
use crate::domain::Timestamp;

pub(super) struct Process {
    started_at: Timestamp,
}

impl Process {
    /// It is only just starting.
    pub(super) fn starting() -> Self {
        Self { started_at: wall_now() }
    }

    /// Whatever the system does not tell is left out.
    pub(super) fn describe(&self, scrape: &mut Scrape) {
        let started_at = self.started_at.as_millis() as f64 / 1000.0;
        let help = "When the process started, in seconds since 1970 by the machine's clock.";
        scrape.gauge("process_start_time_seconds", help, |family| family.set(started_at));
        #[cfg(target_os = "linux")]
        linux::describe(scrape);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::process::{Resource, getrlimit};
    use rustix::time::{ClockId, clock_gettime};

    use super::Scrape;

    pub(super) fn describe(scrape: &mut Scrape) {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu_seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        let help = "Processor time used, in user and system mode together.";
        scrape.counter("process_cpu_seconds_total", help, |family| family.set(cpu_seconds));
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Memory in use, as far as it is in RAM.", resident_bytes()),
            ("process_open_fds", "Open file descriptors; each connection is one.", open_files()),
            ("process_max_fds", "Most file descriptors that the system allows.", most_files()),
        ] {
            scrape.gauge(name, help, |family| value.into_iter().for_each(|value| family.set(value)));
        }
    }

    fn resident_bytes() -> Option<f64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        kilobytes.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
    }

    /// Without the one that it takes to count them.
    fn open_files() -> Option<f64> {
        let listed = fs::read_dir("/proc/self/fd").ok()?.count();
        Some(listed.saturating_sub(1) as f64)
    }

    /// Nothing, if there is no limit.
    fn most_files() -> Option<f64> {
        getrlimit(Resource::Nofile).current.map(|files| files as f64)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_system_tells_plausible_things() {
            let resident = resident_bytes().expect("told");
            assert!(resident > 1e6 && resident < 1e10, "{resident}");
            let before = open_files().expect("told");
            let files: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").expect("open")).collect();
            let after = open_files().expect("told");
            // Other tests open and close files of their own meanwhile.
            assert!(after > before + 25.0, "{before} {after}");
            drop(files);
            assert!(most_files().is_none_or(|most| most >= after));
        }
    }
}
