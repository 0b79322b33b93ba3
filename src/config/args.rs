//! The command line of `scalegate serve`: the options of [`Config`], each kept as text until the file is read too.
//!
//! Rejected: to let clap parse the values at once. It stops at the first mistake, reports a wrong variable as a wrong
//! flag, takes an empty variable for a value, and knows nothing of the configuration file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::{Config, SERVER, value};

const LONG_ABOUT: &str = "\
Run the gateway

A setting is taken from its flag, else from its environment variable, else from the configuration file, else from its \
default. An empty environment variable counts as unset. What the file says about one resource (`[resources.<alias>]`) holds \
for that resource, whatever the general setting is.";

const AFTER_HELP: &str = "\
SCALEGATE_LOG sets what is logged, in the syntax of RUST_LOG: info (the default), debug, scalegate=debug.

Traces are exported by OTLP (http/protobuf) if the standard variable OTEL_EXPORTER_OTLP_ENDPOINT, for instance
http://collector:4318, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set. OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TIMEOUT and OTEL_BSP_* are obeyed as well.

SCALEGATE_ADMIN_KEY may hold the admin key itself, and SCALEGATE_METRIC_SECRETS_<NAME> the value of a header for metrics of
policies. There are no flags for them: other processes can see flags.

An unknown variable SCALEGATE_* stops the start; those of others are left alone.

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 did not start, or died; 2 wrong configuration; 130 second signal.";

const FILE_HELP: &str = "\
TOML file with the same settings in snake_case, and settings and bounds for single resources [default: none]";

/// What flags and environment give.
#[derive(Clone, Debug, Default)]
pub struct ServeArgs {
    /// By the key of the option.
    pub(super) given: BTreeMap<String, Given>,
    /// Whether to show the configuration and exit.
    pub print_config: bool,
}

impl ServeArgs {
    /// Options of a command that works on the gateway's data directory: `--data-dir` and `--config`.
    pub fn of_directory(data_dir: Option<Given>, config: Option<Given>) -> Self {
        let given = [("data_dir", data_dir), ("config", config)];
        let given = given.into_iter().filter_map(|(key, given)| Some((key.to_owned(), given?)));
        Self { given: given.collect(), print_config: false }
    }
}

impl clap::Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config").long("config").env("SCALEGATE_CONFIG").value_name("FILE").help_heading(SERVER);
        let file = file.help(FILE_HELP);
        let print = Arg::new("print_config").long("print-config").action(ArgAction::SetTrue).help_heading(SERVER);
        let print = print.help("Show the outcome of flags, environment and file as a configuration file, and exit");
        with_switches(Config::augment_args(command).arg(file))
            .mut_args(|option| option.value_parser(GivenParser))
            .arg(print)
            .about("Run the gateway")
            .long_about(LONG_ABOUT)
            .after_help(AFTER_HELP)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |id: &clap::Id| {
            let given = matches.try_get_one::<Given>(id.as_str()).ok()??;
            let is_default = matches.value_source(id.as_str()) == Some(ValueSource::DefaultValue);
            (!is_default).then(|| (id.to_string(), given.clone()))
        };
        Ok(Self { given: matches.ids().filter_map(given).collect(), print_config: matches.get_flag("print_config") })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The text of one option, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What was written. Not necessarily UTF-8.
    pub text: OsString,
    /// Whether the environment gave it, rather than a flag.
    pub by_environment: bool,
}

impl Given {
    /// What a flag says.
    pub fn by_flag(text: impl Into<OsString>) -> Self {
        Self { text: text.into(), by_environment: false }
    }

    /// What an environment variable says.
    pub fn by_environment(text: impl Into<OsString>) -> Self {
        Self { text: text.into(), by_environment: true }
    }

    /// Whether this says anything: an empty environment variable is one that was not set.
    pub fn is_set(&self) -> bool {
        !(self.by_environment && self.text.is_empty())
    }
}

impl ValueParserFactory for Given {
    type Parser = GivenParser;

    fn value_parser() -> GivenParser {
        GivenParser
    }
}

/// Accepts any text and remembers where it came from.
#[derive(Clone, Copy, Debug)]
pub struct GivenParser;

impl TypedValueParser for GivenParser {
    type Value = Given;

    fn parse_ref(&self, _: &Command, _: Option<&Arg>, value: &OsStr) -> Result<Given, clap::Error> {
        Ok(Given::by_flag(value))
    }

    fn parse_ref_(
        &self,
        _: &Command,
        _: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<Given, clap::Error> {
        Ok(Given { text: value.to_owned(), by_environment: source == ValueSource::EnvVariable })
    }
}

/// `command`, whose options that are on or off may have a value after a `=`.
pub(super) fn with_switches(command: Command) -> Command {
    command.mut_args(|option| match option.get_action() {
        ArgAction::SetTrue => option
            .action(ArgAction::Set)
            .value_parser(value::switch)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_name("true|false"),
        _ => option,
    })
}
