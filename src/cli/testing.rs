//! Client commands as tests run them: parsed from text, their output kept.

use clap::{Args, Parser};

use super::exit::Exit;
use super::output::Output;
use super::output::capture::Captured;

#[derive(Debug, Parser)]
struct Command<A: Args> {
    #[command(flatten)]
    args: A,
}

/// The arguments of a command, as the command line would parse them.
pub fn parse<A: Args>(arguments: &[&str]) -> Result<A, clap::Error> {
    Command::try_parse_from(["scalegate"].iter().chain(arguments)).map(|command| command.args)
}

/// What `run` makes of `arguments`, which must be valid, and what it writes.
pub async fn captured<A: Args>(arguments: &[&str], run: impl AsyncFnOnce(A, &mut Output) -> Exit) -> (Exit, Captured) {
    let args = parse(arguments).expect("valid arguments");
    let captured = Captured::default();
    let mut output = captured.output();
    let exit = run(args, &mut output).await;
    (output.finish(exit), captured)
}
