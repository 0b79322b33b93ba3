//! Decides which of flag, environment, file and default the value of each option is taken from.
//!
//! An option is a field of a structure that derives [`clap::Args`]: its key, variable, default, parser and help stand
//! there and nowhere else. Everything here is the same for all options, so that a new one needs a field and its use.
//! Texts are chosen first and parsed afterwards, by clap; each is tried alone before, because clap stops at the first
//! mistake.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::Path;

use clap::{Arg, Args, Command};

use super::args::{Given, with_switches};
use super::error::Problem;
use super::file::{Entry, METRIC_SECRETS, POLICY, RESOURCES, Section};
use super::value::{self, Kind};
use super::{one_line, table_key};
use crate::domain::Alias;
use crate::suggest;

/// Where a value was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Flag,
    Environment,
    File {
        line: usize,
        /// The resource in whose table it is, if it is in one.
        resource: Option<Alias>,
    },
    Default,
}

impl Origin {
    /// Option `key` as the user spelled it; `file` is the configuration file.
    pub fn name(&self, key: &str, file: Option<&Path>) -> String {
        match self {
            Self::Flag => flag(key),
            Self::Environment => variable(key),
            Self::File { line, resource } => in_file(&in_table(resource.as_ref(), key), *line, file),
            Self::Default => format!("the default of {}", flag(key)),
        }
    }

    /// Whether it is the table of a resource.
    pub fn is_table(&self) -> bool {
        matches!(self, Self::File { resource: Some(_), .. })
    }
}

/// The flag of option `key`. A test compares it with the definition, as it does the variable.
pub(super) fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

pub(super) fn variable(key: &str) -> String {
    format!("SCALEGATE_{}", key.to_ascii_uppercase())
}

fn in_table(resource: Option<&Alias>, key: &str) -> String {
    resource.map_or_else(|| key.to_owned(), |alias| format!("{}.{key}", table_key(alias)))
}

pub(super) fn in_file(what: &str, line: usize, file: Option<&Path>) -> String {
    format!("{what} in line {line} of {}", file.map_or_else(|| "the configuration file".to_owned(), one_line))
}

/// The text that was chosen for an option.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// It can be parsed, or is empty for nothing at all.
    pub text: String,
    pub origin: Origin,
    /// Whether the text given there is wrong, and this is another one in its place.
    pub is_wrong: bool,
    kind: Kind,
}

impl Choice {
    /// Its value as it is written in the file.
    pub fn to_toml(&self) -> String {
        self.kind.to_toml(&self.text)
    }
}

/// What was chosen for each option of some structure, by its key, in the order of its fields.
pub(super) type Choices = Vec<(String, Choice)>;

pub(super) fn choice<'a>(choices: &'a Choices, key: &str) -> Option<&'a Choice> {
    choices.iter().find(|(name, _)| name == key).map(|(_, choice)| choice)
}

/// What a layer has for an option.
struct Offer {
    origin: Origin,
    /// As after a flag; or why it can be none, as a fragment that follows what was written.
    text: Result<String, String>,
    written: String,
}

impl Offer {
    fn of_entry(entry: &Entry, kind: Kind, resource: Option<&Alias>) -> Self {
        let origin = Origin::File { line: entry.line, resource: resource.cloned() };
        Self { origin, text: kind.text_of(&entry.value), written: value::shown(&entry.value) }
    }

    fn of_given(given: &Given, kind: Kind) -> Self {
        let origin = if given.by_environment { Origin::Environment } else { Origin::Flag };
        let written = given.text.to_string_lossy();
        let is_number = kind == Kind::Number && written.parse::<u64>().is_ok();
        let text = given.text.to_str().map(str::to_owned).ok_or_else(|| "is not valid UTF-8".to_owned());
        Self { origin, text, written: if is_number { written.into_owned() } else { format!("{written:?}") } }
    }
}

/// Chooses values, and notes what is wrong with those that were given.
pub(super) struct Layers<'a> {
    pub file: Option<&'a Path>,
    pub problems: Vec<Problem>,
}

impl Layers<'_> {
    /// The choices for the options of `T`: what was `given` on the command line or in the environment, else what is in
    /// `section` of the file, which may be that of a `resource`, else what is in `below`, else the default. For a wrong
    /// value the next layer stands in, so that the others can be checked too.
    pub fn choose<T: Args>(
        &mut self,
        given: &BTreeMap<String, Given>,
        section: &Section,
        resource: Option<&Alias>,
        below: &Choices,
    ) -> Choices {
        let mut command = options::<T>();
        let options: Vec<Arg> = command.get_arguments().cloned().collect();
        self.check_keys(&options, section, resource);
        let mut choices = Choices::new();
        for option in &options {
            let (key, kind) = (option.get_id().as_str(), Kind::of(option));
            let in_file = section.iter().find(|entry| entry.key == key);
            let given = given.get(key).filter(|given| given.is_set());
            let offers = in_file.map(|entry| Offer::of_entry(entry, kind, resource)).into_iter();
            let mut chosen = choice(below, key).cloned().unwrap_or_else(|| {
                let text = option.get_default_values().first().map(|text| text.to_string_lossy().into_owned());
                Choice { text: text.unwrap_or_default(), origin: Origin::Default, is_wrong: false, kind }
            });
            for Offer { origin, text, written } in offers.chain(given.map(|given| Offer::of_given(given, kind))) {
                match text.and_then(|text| try_out(&mut command, option, text)) {
                    Ok(text) => chosen = Choice { text, origin, is_wrong: false, kind },
                    Err(detail) => {
                        self.problems.push(Problem::Value {
                            name: origin.name(key, self.file),
                            value: written,
                            detail,
                        });
                        chosen = Choice { origin, is_wrong: true, ..chosen };
                    }
                }
            }
            choices.push((key.to_owned(), chosen));
        }
        choices
    }

    fn check_keys(&mut self, options: &[Arg], section: &Section, resource: Option<&Alias>) {
        let mut keys: Vec<&str> = options.iter().map(|option| option.get_id().as_str()).collect();
        if resource.is_none() {
            keys.extend([RESOURCES, METRIC_SECRETS]);
        } else {
            keys.push(POLICY);
        }
        for Entry { key, line, .. } in section.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let name = in_file(&in_table(resource, key), *line, self.file);
            self.problems.push(Problem::Unknown { name, what: "key", hint: suggest::hint(key, &keys, "") });
        }
    }

    /// Option `key` as the user spelled it.
    pub fn name(&self, choices: &Choices, key: &str) -> String {
        choice(choices, key).map_or(&Origin::Default, |choice| &choice.origin).name(key, self.file)
    }

    /// Notes that the value that was chosen for option `key` is refused, unless that was noted before.
    pub fn refuse(&mut self, choices: &mut Choices, key: &str, detail: String) {
        if let Some((_, choice)) = choices.iter_mut().find(|(name, choice)| name == key && !choice.is_wrong) {
            choice.is_wrong = true;
            let (name, value) = (choice.origin.name(key, self.file), choice.to_toml());
            self.problems.push(Problem::Value { name, value, detail });
        }
    }
}

/// The options of `T`, as a command that takes them all and reads no environment.
pub(super) fn options<T: Args>() -> Command {
    let command = Command::new("options").no_binary_name(true).disable_help_flag(true);
    with_switches(T::augment_args(command)).mut_args(|option| option.env(None::<&str>))
}

/// `text`, if it can be a value of `option`. Where there is no default, an empty one stands for nothing at all.
///
/// # Errors
/// Why not, as a fragment that follows it.
fn try_out(command: &mut Command, option: &Arg, text: String) -> Result<String, String> {
    if text.is_empty() && option.get_default_values().is_empty() {
        return Ok(text);
    }
    match command.try_get_matches_from_mut([argument(option.get_id().as_str(), &text)]) {
        Ok(_) => Ok(text),
        Err(error) => Err(error.source().map_or_else(|| error.to_string(), ToString::to_string)),
    }
}

fn argument(key: &str, text: &str) -> String {
    format!("{}={text}", flag(key))
}

/// The values of the options of `T`, as chosen.
///
/// # Panics
/// If a text of `choices` was not tried out.
pub(super) fn parse<T: Args>(choices: &Choices) -> T {
    let set = choices.iter().filter(|(_, choice)| !choice.text.is_empty());
    let arguments = set.map(|(key, choice)| argument(key, &choice.text));
    let parsed = options::<T>().try_get_matches_from(arguments).and_then(|matches| T::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| panic!("each value was tried out: {error}"))
}

/// The values that the options of `T` have if nothing is given for any.
pub(super) fn defaults<T: Args>() -> T {
    parse(&Choices::new())
}
