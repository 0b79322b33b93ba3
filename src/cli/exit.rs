//! How the client commands end, as far as a script can see it.

use std::process::ExitCode;

use crate::api::view::{GroupView, JobView};
use crate::domain::{GroupState, StateName};

/// The exit codes, for the end of `--help`.
pub const HELP: &str = "\
Exit codes:
  0  the job or group succeeded, or the command did what it was told
  1  the job or group failed
  2  the command line makes no sense
  3  the job was canceled or superseded, or the group was canceled
  4  the gateway refused the request
  5  the gateway could not be reached, or answered with an error of its own
  130  Ctrl-C ended the following; the job or group goes on";

/// How a client command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The job or group succeeded, or the command did what it was told.
    Done = 0,
    /// The job or group failed, or the command could not do what it was told here, on this machine.
    Failed = 1,
    /// The command line makes no sense. The command-line library uses the same code.
    Usage = 2,
    /// The job was canceled or superseded, or the group was canceled.
    JobStopped = 3,
    /// The gateway refused the request.
    Refused = 4,
    /// The gateway could not be reached, or answered with an error of its own.
    Unreachable = 5,
    /// A signal ended the following of a job or group, which goes on. What shells say of SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// How a command that waited for `job` ends. A job that is not over says nothing against the command.
    pub fn of_job(job: &JobView) -> Self {
        match job.state {
            StateName::Succeeded | StateName::Queued | StateName::Running => Self::Done,
            StateName::Failed => Self::Failed,
            StateName::Canceled | StateName::Superseded => Self::JobStopped,
        }
    }
}

impl Exit {
    /// The same for a command that waited for `group`.
    pub fn of_group(group: &GroupView) -> Self {
        match group.state {
            GroupState::Succeeded | GroupState::Queued | GroupState::Running | GroupState::Restoring => Self::Done,
            GroupState::Failed => Self::Failed,
            GroupState::Canceled => Self::JobStopped,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_code() {
        use Exit::*;
        for exit in [Done, Failed, Usage, JobStopped, Refused, Unreachable, Interrupted] {
            let line = format!("\n  {}  ", exit as u8);
            assert!(HELP.contains(&line), "{exit:?}");
        }
    }
}
