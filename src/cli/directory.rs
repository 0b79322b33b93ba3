//! Where the gateway keeps its data, for commands that work on it without asking the gateway.

use std::path::PathBuf;

use clap::Args;

use crate::config::{self, ConfigError, Given, ServeArgs};

/// Options that say where.
#[derive(Clone, Debug, Args)]
pub struct DirectoryArgs {
    /// The gateway's data directory, as its own option of that name [default: ./scalegate-data]
    #[arg(long, env = "SCALEGATE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<Given>,

    /// The gateway's configuration file, which may name the data directory [default: none]
    #[arg(long, env = "SCALEGATE_CONFIG", value_name = "FILE")]
    config: Option<Given>,
}

impl DirectoryArgs {
    /// The directory that is meant.
    ///
    /// # Errors
    /// If what is given makes no sense.
    pub fn path(&self) -> Result<PathBuf, ConfigError> {
        let args = ServeArgs::of_directory(self.data_dir.clone(), self.config.clone());
        config::data_dir(&args, std::env::vars_os())
    }
}
