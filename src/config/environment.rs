//! Finds misspelled environment variables.
//!
//! A misspelled flag or key is refused, so a misspelled variable must be as well: a gateway that runs with five minutes
//! of cooldown because somebody wrote `SCALEGATE_COOLDWON` fails silently and in production.

use std::ffi::{OsStr, OsString};

use clap::Args;

use super::args::ServeArgs;
use super::error::Problem;

/// What all our environment variables begin with.
const PREFIX: &str = "SCALEGATE_";

/// Variables that are not options of `serve`: what the client commands need to reach a gateway, the log filter, and a secret.
const OTHER_VARIABLES: [&str; 5] =
    ["SCALEGATE_SERVER", "SCALEGATE_KEY", "SCALEGATE_CA_FILE", "SCALEGATE_LOG", super::access::ADMIN_KEY];

/// Every variable of `environment` that looks like one of ours and is not. Empty ones count as unset.
pub(super) fn unknown_variables<'a>(environment: impl IntoIterator<Item = &'a (OsString, OsString)>) -> Vec<Problem> {
    let known = known_variables();
    let mut unknown: Vec<String> = environment
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX) && !known.contains(name))
        .filter(|(name, value)| !is_service_link(name, value))
        .map(|(name, _)| name)
        .collect();
    unknown.sort();
    unknown.into_iter().map(|name| Problem::UnknownVariable { hint: hint(&name, &known), name }).collect()
}

/// The variables there are, taken from the definitions of the options themselves.
pub(super) fn known_variables() -> Vec<String> {
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    let options = command.get_arguments().filter_map(|option| option.get_env()?.to_str());
    options.chain(OTHER_VARIABLES).map(str::to_owned).collect()
}

/// Whether Kubernetes or Docker put the variable there: for a service called `scalegate` (or `scalegate-…`) they tell
/// every container of the namespace its address as `SCALEGATE_SERVICE_HOST`, `SCALEGATE_PORT_8080_TCP_ADDR` and so on.
/// Nobody wrote these by hand, so none of them is a misspelling.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let is_address = value
        .to_str()
        .and_then(|value| value.split_once("://"))
        .is_some_and(|(scheme, _)| matches!(scheme, "tcp" | "udp" | "sctp"));
    let describes_port = ["_TCP_PROTO", "_TCP_PORT", "_TCP_ADDR", "_UDP_PROTO", "_UDP_PORT", "_UDP_ADDR"]
        .iter()
        .any(|end| name.ends_with(end) && name.contains("_PORT_"));
    is_address || describes_port || name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}

fn hint(name: &str, known: &[String]) -> String {
    match nearest(name, known) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("there are: {}", known.join(", ")),
    }
}

/// The variable meant by `name`, if one is near: at most a third of its own part differs, or it was cut short.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let own = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_uppercase();
    let written = own(name);
    let most_edits = 1 + written.chars().count() / 3;
    let (edits, meant) = known.iter().map(|known| (edit_distance(&written, &own(known)), known)).min()?;
    if edits <= most_edits {
        return Some(meant);
    }
    let extends = |known: &&String| written.len() >= 3 && own(known).starts_with(&written);
    known.iter().find(extends).map(String::as_str)
}

/// Levenshtein's distance: how many characters must be inserted, removed or replaced to turn `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(variables: &[(&str, &str)]) -> Vec<String> {
        let environment = variables.iter().map(|(name, value)| (name.into(), value.into()));
        unknown_variables(&environment.collect::<Vec<_>>()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_the_variable_and_the_one_meant() {
        for (written, meant) in [
            ("SCALEGATE_COOLDWON", "SCALEGATE_COOLDOWN"),
            ("SCALEGATE_cooldown", "SCALEGATE_COOLDOWN"),
            ("SCALEGATE_STEPSIZE", "SCALEGATE_STEP_SIZE"),
            ("SCALEGATE_SIDECAR", "SCALEGATE_SIDECAR_URL"),
            ("SCALEGATE_SERVERS", "SCALEGATE_SERVER"),
            ("SCALEGATE_MAX_QUEUE_LEN", "SCALEGATE_MAX_QUEUE_LENGTH"),
        ] {
            let expected = format!("{written}: no such environment variable; did you mean {meant}?");
            assert_eq!(unknown(&[(written, "x")]), [expected]);
        }
    }

    #[test]
    fn lists_what_there_is_when_none_is_near() {
        let message = unknown(&[("SCALEGATE_FROBNICATE", "1")]).remove(0);
        for name in ["SCALEGATE_FROBNICATE", "SCALEGATE_LISTEN", "SCALEGATE_ONLY_LISTED", "SCALEGATE_LOG"] {
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn leaves_alone_what_is_known_unset_or_not_ours() {
        let known: Vec<(String, String)> = known_variables().into_iter().map(|name| (name, "x".to_owned())).collect();
        let known: Vec<(&str, &str)> = known.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(known.len(), 37);
        assert_eq!(unknown(&known), [""; 0]);
        assert_eq!(unknown(&[("SCALEGATE_COOLDWON", ""), ("PATH", "/bin"), ("MY_SCALEGATE_X", "1")]), [""; 0]);
    }

    #[test]
    fn leaves_alone_what_kubernetes_adds_for_a_service_of_that_name() {
        for (name, value) in [
            ("SCALEGATE_SERVICE_HOST", "10.0.0.7"),
            ("SCALEGATE_SERVICE_PORT", "8080"),
            ("SCALEGATE_SERVICE_PORT_HTTP", "8080"),
            ("SCALEGATE_PORT", "tcp://10.0.0.7:8080"),
            ("SCALEGATE_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
            ("SCALEGATE_PORT_8080_TCP_PROTO", "tcp"),
            ("SCALEGATE_PORT_8080_TCP_PORT", "8080"),
            ("SCALEGATE_BLUE_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ] {
            assert_eq!(unknown(&[(name, value)]), [""; 0], "{name}");
        }
        assert_eq!(unknown(&[("SCALEGATE_PORT", "8080")]).len(), 1, "somebody wrote this one and it does nothing");
    }
}
