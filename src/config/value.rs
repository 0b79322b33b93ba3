//! How values are written on the command line, in the environment and in the file.
//!
//! The reasons given for a refusal are sentence fragments that follow the value: `"5"` *has no unit; …*.

use std::any::TypeId;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Arg;
use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;
use toml::Value as Toml;
use url::Url;

use super::{Hosts, LogFormat, Origins};
use crate::domain::{Capacity, MAX_CAPACITY};
use crate::printable;
use crate::sources::MetricHosts;

/// A duration as people write it: `5m`, `1h 30m`, `250ms`, `7d`. A day is 24 hours.
///
/// # Errors
/// Why `text` is refused, as a fragment that follows it.
pub fn duration(text: &str) -> Result<Duration, String> {
    static PARSER: SpanParser = SpanParser::new();
    if text.starts_with('-') {
        return Err("must not be negative".to_owned());
    }
    if text.parse::<f64>().is_ok() && !text.contains(|c: char| c.is_ascii_alphabetic()) {
        return Err(format!("has no unit; write \"{text}s\" for seconds or \"{text}m\" for minutes"));
    }
    let refusal =
        "is not a duration; write a number and a unit, such as \"90s\", \"5m\", \"1h 30m\", \"250ms\" or \"7d\"";
    let span = PARSER.parse_span(text).map_err(|_| refusal)?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("uses months or years, which differ in length; write days, such as \"30d\"".to_owned());
    }
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let duration = duration.map_err(|_| "is longer than any duration can be".to_owned())?;
    let duration = Duration::try_from(duration).map_err(|_| "must not be negative".to_owned())?;
    // Durable records hold whole milliseconds; a finer value would change on its way through them.
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err("is finer than a millisecond, the smallest unit there is".to_owned());
    }
    Ok(duration)
}

/// A duration from `least` to `most`, both as [`duration`] reads them.
pub(super) fn duration_between(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let value = duration(text)?;
        let is_within = duration(least)? <= value && value <= duration(most)?;
        if is_within { Ok(value) } else { Err(format!("must be between \"{least}\" and \"{most}\"")) }
    }
}

/// A whole number. Beyond `u64` it becomes the largest one, so that the check of a range names the range.
fn whole(text: &str) -> Result<u64, String> {
    if text.starts_with('-') {
        return Err("must not be negative".to_owned());
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("is not a whole number; write digits only, such as 3".to_owned());
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// A whole number from `least` to `most`.
pub(super) fn number<T: TryFrom<u64>>(least: u64, most: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = Some(whole(text)?).filter(|number| (least..=most).contains(number));
        number.and_then(|number| number.try_into().ok()).ok_or_else(|| format!("must be between {least} and {most}"))
    }
}

/// A step size, for the domain's range check to refuse if it is too large for one.
pub(super) fn units(text: &str) -> Result<u32, String> {
    Ok(u32::try_from(whole(text)?).unwrap_or(u32::MAX))
}

/// A number of capacity units.
///
/// # Errors
/// Why `text` is refused, as a fragment that follows it.
pub fn capacity(text: &str) -> Result<Capacity, String> {
    let units = i64::try_from(whole(text)?).unwrap_or(i64::MAX);
    Capacity::new(units).map_err(|_| format!("must be between 0 and {MAX_CAPACITY} units"))
}

/// A value of an option that is on or off.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let refusal = "must be a numeric address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080";
    text.parse().map_err(|_| refusal.to_owned())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("must not be empty; write a path, or \".\" for the working directory".to_owned()),
        text if text.contains('\0') => Err("contains a NUL character, which no path can".to_owned()),
        text => Ok(PathBuf::from(text)),
    }
}

/// The entries of a list, which are separated by commas.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(move |_| !text.is_empty())
}

impl FromStr for Hosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !name.is_empty() && name.len() <= 255 && name.bytes().all(fits)
        };
        if !entries(text).all(is_name) {
            return Err("must be names of hosts without ports, such as gate.example.com".to_owned());
        }
        Ok(Self(entries(text).map(str::to_ascii_lowercase).collect()))
    }
}

impl FromStr for Origins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let origin = |text: &str| {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
            let origin = url.origin().ascii_serialization();
            let is_bare =
                url.as_str() == format!("{origin}/") && !text.ends_with(['/', ':']) && !text.contains(char::is_control);
            is_bare.then_some(origin)
        };
        let refusal = "must be origins as browsers send them, such as https://ops.example.com";
        entries(text).map(origin).collect::<Option<_>>().map(Self).ok_or_else(|| refusal.to_owned())
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be \"text\" or \"json\"".to_owned()),
        }
    }
}

/// How the values of an option are written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text in quotes.
    Text,
    /// The same.
    Duration,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// A list of texts, or one text with commas between them.
    List,
}

impl Kind {
    /// That of the values of `option`.
    pub fn of(option: &Arg) -> Self {
        let is = |kinds: &[TypeId]| kinds.iter().any(|kind| option.get_value_parser().type_id() == *kind);
        if is(&[TypeId::of::<u32>(), TypeId::of::<usize>(), TypeId::of::<Capacity>()]) {
            Self::Number
        } else if is(&[TypeId::of::<Hosts>(), TypeId::of::<Origins>(), TypeId::of::<MetricHosts>()]) {
            Self::List
        } else if is(&[TypeId::of::<Duration>()]) {
            Self::Duration
        } else if is(&[TypeId::of::<bool>()]) {
            Self::Switch
        } else {
            Self::Text
        }
    }

    /// `value` of the file as it would be written after a flag.
    ///
    /// # Errors
    /// Why it cannot be a value of this kind, as a fragment that follows it.
    pub fn text_of(self, value: &Toml) -> Result<String, String> {
        match (self, value) {
            (Self::Text | Self::Duration | Self::List, Toml::String(text)) => Ok(text.clone()),
            (Self::Duration, Toml::Integer(_) | Toml::Float(_)) => {
                duration(&value.to_string()).and(Err(self.wanted().to_owned()))
            }
            (Self::Number, Toml::Integer(number)) => Ok(number.to_string()),
            (Self::Switch, Toml::Boolean(is_on)) => Ok(is_on.to_string()),
            (Self::List, Toml::Array(entries)) => {
                let texts: Option<Vec<&str>> = entries.iter().map(Toml::as_str).collect();
                let texts = texts.filter(|texts| texts.iter().all(|text| !text.is_empty() && !text.contains(',')));
                texts.map(|texts| texts.join(",")).ok_or_else(|| self.wanted().to_owned())
            }
            _ => Err(self.wanted().to_owned()),
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Text | Self::Duration => "must be a text in quotes",
            Self::Number => "is not a whole number; write digits without quotes, such as 3",
            Self::Switch => "must be true or false, without quotes",
            Self::List => "must be a list of texts, such as [\"a\", \"b\"]",
        }
    }

    /// `text`, which was read as a value of this kind, as it is written in the file.
    pub fn to_toml(self, text: &str) -> String {
        match self {
            Self::Text | Self::Duration => printable::toml(text),
            Self::Number => whole(text).unwrap_or_default().to_string(),
            Self::Switch => switch(text).unwrap_or_default().to_string(),
            Self::List => {
                let entries: Vec<String> =
                    entries(text).map(|entry| printable::toml(&entry.to_ascii_lowercase())).collect();
                format!("[{}]", entries.join(", "))
            }
        }
    }
}

/// `value` on one line, for a message.
pub(super) fn shown(value: &Toml) -> String {
    match value {
        Toml::Array(_) => "a list".to_owned(),
        Toml::Table(_) => "a table".to_owned(),
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("5 minutes", 300_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("7d", 604_800_000),
            ("1w", 604_800_000),
            ("1d 1s", 86_401_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn durations_that_say_nothing_clear_are_refused() {
        for (text, why) in [
            ("", "is not a duration"),
            ("5", "has no unit; write \"5s\" for seconds or \"5m\" for minutes"),
            ("1.5", "has no unit"),
            ("-5", "must not be negative"),
            ("0", "has no unit"),
            ("soon", "is not a duration"),
            ("inf", "is not a duration"),
            ("5 parsecs", "is not a duration"),
            ("PT5M", "is not a duration"),
            ("-5m", "must not be negative"),
            ("5m ago", "must not be negative"),
            ("1mo", "uses months or years"),
            ("1y", "uses months or years"),
            ("10us", "is finer than a millisecond"),
        ] {
            let refused = duration(text).expect_err(text);
            assert!(refused.starts_with(why), "{text}: {refused}");
        }
    }

    #[test]
    fn numbers_are_whole_and_saturate() {
        assert_eq!(whole("0"), Ok(0));
        assert_eq!(whole("12"), Ok(12));
        assert_eq!(whole("99999999999999999999999"), Ok(u64::MAX));
        for bad in ["", "-1", "+1", "1.0", "1e3", "one", " 1", "1_000"] {
            assert!(whole(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn booleans_are_read_in_their_usual_spellings() {
        for (text, expected) in
            [("true", true), ("1", true), ("On", true), ("FALSE", false), ("0", false), ("no", false)]
        {
            assert_eq!(switch(text), Ok(expected), "{text}");
        }
        for bad in ["", "maybe", "2", "t"] {
            assert!(switch(bad).is_err(), "{bad:?}");
        }
    }
}
