//! The command line of this process, to be told to the user as part of the command to run next.
//!
//! It is taken as it was typed, with all its options. Rejected: to put it together from the parsed arguments, because an option
//! that is forgotten there makes the next command another one.

use std::ffi::OsString;

use super::words::quoted;

/// See the module's documentation. By default, that of this process.
#[derive(Clone, Debug)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// The command with these arguments.
    pub fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        // The path of the binary says nothing to the user.
        let arguments = arguments.into_iter().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        Self(arguments.collect())
    }

    /// The same command with the option `name` set to `value`, as a shell takes it.
    pub fn with(&self, name: &str, value: &str) -> String {
        let mut words = vec!["scalegate".to_owned()];
        let mut arguments = self.0.iter();
        while let Some(argument) = arguments.next() {
            if argument == name {
                // Its value goes with it.
                arguments.next();
            } else if !argument.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')) {
                words.push(quoted(argument));
            }
        }
        // What follows "--" is no option.
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        words.splice(end..end, [name.to_owned(), quoted(value)]);
        words.join(" ")
    }
}

impl Default for CommandLine {
    fn default() -> Self {
        Self::new(std::env::args_os())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(typed: &[&str]) -> String {
        CommandLine::new(typed.iter().map(OsString::from)).with("--on-conflict", "queue")
    }

    #[test]
    fn an_option_is_added_or_replaced_and_all_else_stays() {
        let typed = ["target/debug/scalegate", "scale", "worker", "+2", "--reason", "it's full", "--wait"];
        let told = "scalegate scale worker +2 --reason 'it'\\''s full' --wait --on-conflict queue";
        assert_eq!(with(&typed), told);
        assert_eq!(with(&[&typed[..], &["--on-conflict", "reject"]].concat()), told);
        assert_eq!(with(&[&typed[..], &["--on-conflict=reject"]].concat()), told);
        let typed = ["scalegate", "scale", "worker", "--", "-1"];
        assert_eq!(with(&typed), "scalegate scale worker --on-conflict queue -- -1");
    }
}
