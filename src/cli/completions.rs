//! `scalegate completions`: what a shell needs to complete the commands and their options.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;
use super::exit::Exit;
use super::output::Output;

/// Print the completions for a shell.
///
/// For bash: source <(scalegate completions bash). For zsh and fish, write them to a file where the shell looks for completions, such
/// as ~/.config/fish/completions/scalegate.fish.
#[derive(Clone, Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = clap::builder::PossibleValuesParser::new(["bash", "zsh", "fish"]), hide_possible_values = false)]
    shell: String,
}

/// Prints them.
pub fn run(args: &CompletionsArgs) -> ExitCode {
    let shell = match args.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "scalegate", &mut script);
    let mut output = Output::standard();
    output.lines(String::from_utf8_lossy(&script).lines());
    output.finish(Exit::Done).into()
}
