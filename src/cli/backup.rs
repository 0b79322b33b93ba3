//! `scalegate backup`: a copy of a gateway's store, whether the gateway is running or not.

use std::path::PathBuf;

use clap::Args;

use super::directory::DirectoryArgs;
use super::exit::Exit;
use super::output::Output;
use super::words;
use crate::config::ConfigError;
use crate::store::sqlite::{Backup, BackupError, back_up};

/// The exit codes and what to do with the file, for the end of `--help`.
const HELP: &str = "\
To restore: stop the gateway, put the file as scalegate.db into an empty data directory, and start the gateway there. It
notices that it carries on from a backup: no change is sent before the cooldown of the resource is over.

Exit codes:
  0  the file is whole and on the disk
  1  the store cannot be read, or the file cannot be written
  2  the command line makes no sense
  4  refused: the file exists already";

/// Copy the store of a gateway into a new file, while the gateway runs or not.
///
/// Works on the gateway's data directory, as the user the gateway runs as. The copy is that of one moment. It has jobs,
/// cooldowns, the record of attempts, and the keys as hashes; it is readable by its owner alone. Nothing that exists is
/// replaced.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct BackupArgs {
    /// The file to make
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    directory: DirectoryArgs,
}

/// Runs the command.
pub fn run(args: BackupArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output);
    output.finish(exit)
}

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Backup(#[from] BackupError),
}

impl BackupArgs {
    fn run(self, output: &mut Output) -> Exit {
        match self.make() {
            Ok(Backup { taken_at, bytes }) => {
                output.notice(format_args!(
                    "made the backup {}: the store as of {}, {bytes} bytes",
                    self.file.display(),
                    words::full_time(taken_at)
                ));
                Exit::Done
            }
            Err(failure) => {
                output.notice(&failure);
                match failure {
                    Failure::Config(_) => Exit::Usage,
                    Failure::Backup(BackupError::Exists(_)) => Exit::Refused,
                    Failure::Backup(_) => Exit::Failed,
                }
            }
        }
    }

    fn make(&self) -> Result<Backup, Failure> {
        Ok(back_up(&self.directory.path()?, &self.file)?)
    }
}
