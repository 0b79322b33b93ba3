//! Finds misspelled environment variables.
//!
//! A misspelled flag or key is refused, so a misspelled variable must be as well: a gateway that runs with five minutes
//! of cooldown in spite of a `SCALEGATE_COOLDWON` fails silently and in production.

use std::ffi::{OsStr, OsString};

use clap::Args;

use super::args::ServeArgs;
use super::error::Problem;
use crate::suggest;

/// What all our environment variables begin with.
const PREFIX: &str = "SCALEGATE_";

/// Variables that are not options of `serve`: what the client commands need to reach a gateway, the log filter, and a
/// secret.
const OTHER_VARIABLES: [&str; 5] =
    ["SCALEGATE_SERVER", "SCALEGATE_KEY", "SCALEGATE_CA_FILE", "SCALEGATE_LOG", super::access::ADMIN_KEY];

/// What a variable with a secret for policies begins with. The name of the secret follows, in capital letters.
pub(super) const METRIC_SECRET: &str = "SCALEGATE_METRIC_SECRETS_";

/// Secrets in variables of their own, which no flag has. It has no `Debug`, so that none is shown.
#[derive(Default)]
pub(super) struct SecretVariables {
    pub admin_key: Option<OsString>,
    /// Name and value of each variable with a secret for policies.
    pub metric_secrets: Vec<(String, OsString)>,
}

impl SecretVariables {
    /// Those of `environment`. Empty ones count as unset.
    pub fn of(environment: Vec<(OsString, OsString)>) -> Self {
        let mut secrets = Self::default();
        for (name, value) in environment.into_iter().filter(|(_, value)| !value.is_empty()) {
            let name = name.to_string_lossy().into_owned();
            if name == super::access::ADMIN_KEY {
                secrets.admin_key = Some(value);
            } else if name.starts_with(METRIC_SECRET) {
                secrets.metric_secrets.push((name, value));
            }
        }
        secrets.metric_secrets.sort();
        secrets
    }
}

/// Every variable of `environment` that looks like one of ours and is not. Empty ones count as unset.
pub(super) fn unknown_variables(environment: &[(OsString, OsString)]) -> Vec<Problem> {
    let options = ServeArgs::augment_args(clap::Command::new("serve"));
    let options = options.get_arguments().filter_map(|option| option.get_env()?.to_str());
    let known: Vec<&str> = options.chain(OTHER_VARIABLES).collect();
    let set = environment.iter().filter(|(_, value)| !value.is_empty());
    let mut unknown: Vec<String> = set
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX) && !known.contains(&name.as_str()))
        .filter(|(name, _)| !name.starts_with(METRIC_SECRET))
        .filter(|(name, value)| !is_service_link(name, value))
        .map(|(name, _)| name)
        .collect();
    unknown.sort();
    let problem = |name: String| {
        let hint = suggest::hint(&name, &known, PREFIX);
        Problem::Unknown { name, what: "environment variable", hint }
    };
    unknown.into_iter().map(problem).collect()
}

/// Whether Kubernetes or Docker put the variable there: for a service called `scalegate` (or `scalegate-…`) they tell
/// every container of the namespace its address as `SCALEGATE_SERVICE_HOST`, `SCALEGATE_PORT_8080_TCP_ADDR` and so on.
/// These were not written by hand, so none of them is a misspelling.
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
        let options = ServeArgs::augment_args(clap::Command::new("serve"));
        let options = options.get_arguments().filter_map(|option| option.get_env()?.to_str());
        let known: Vec<(&str, &str)> = options.chain(OTHER_VARIABLES).map(|name| (name, "x")).collect();
        assert!(known.len() > OTHER_VARIABLES.len());
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
        assert_eq!(unknown(&[("SCALEGATE_PORT", "8080")]).len(), 1, "written by hand, and without effect");
    }
}
