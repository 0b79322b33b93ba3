//! The `scalegate` command.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

/// Gives memory back to the system. The system's own allocator keeps what lies below anything that is still in use: after a
/// thousand connections it stays as large as it was with them. So does, for minutes, the third version of this one, which the
/// crate would choose by itself. Without `MIMALLOC_PURGE_DELAY=0`, which the image sets, some of it is given back only when the
/// thread that freed it allocates again nearby.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match scalegate::cli::Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(error) => scalegate::cli::explain(&error),
    }
}
