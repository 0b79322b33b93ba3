//! `scalegate cancel`: cancel a job of a running gateway. `scalegate jobs ID --cancel` does the same.

use super::client::GatewayArgs;
use super::exit::{self, Exit};
use super::follow::FollowArgs;
use super::jobs::{self, JobRef, JobsArgs};

/// Cancel a job.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct CancelArgs {
    /// The job: its id, or the beginning or the end of it
    #[arg(value_name = "ID")]
    id: JobRef,

    #[command(flatten)]
    gateway: GatewayArgs,

    #[command(flatten)]
    follow: FollowArgs,

    /// Print the job as JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: CancelArgs) -> Exit {
    let CancelArgs { id, gateway, follow, json } = args;
    jobs::run(JobsArgs::canceling(id, gateway, follow, json)).await
}
