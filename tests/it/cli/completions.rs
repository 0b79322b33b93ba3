//! What shells make of the completions.

use std::process::{Command, Output};

use crate::support::gateway::scalegate;

fn completions(shell: &str) -> String {
    let output = scalegate().args(["completions", shell]).output().expect("it ends");
    assert!(output.status.success(), "{shell}");
    String::from_utf8(output.stdout).expect("text")
}

/// What bash offers after these words, the last of which is being typed.
fn offered(words: &str) -> String {
    let script = format!(
        "{}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _scalegate scalegate \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        completions("bash")
    );
    let Output { status, stdout, stderr } =
        Command::new("bash").args(["--norc", "-c", &script]).output().expect("bash");
    assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

#[test]
fn bash_completes_commands_options_and_values() {
    assert_eq!(offered("scalegate resou"), "resources\n");
    assert_eq!(offered("scalegate jobs --wa"), "--watch\n--wait\n");
    assert_eq!(offered("scalegate completions z"), "zsh\n");
}

#[test]
fn the_other_shells_have_theirs() {
    assert!(completions("zsh").starts_with("#compdef scalegate\n"));
    assert!(completions("fish").contains("complete -c scalegate"));
    let refused = scalegate().args(["completions", "tcsh"]).output().expect("it ends");
    assert_eq!(refused.status.code(), Some(2));
}
