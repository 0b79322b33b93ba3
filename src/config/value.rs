//! How each kind of value is written: as text on the command line and in the environment, and in TOML.
//!
//! One trait for all surfaces, so that what one of them accepts or prints can be put into any other. The reasons given
//! for a refusal are sentence fragments that follow the value: `"5"` *has no unit; …*.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer};
use toml::Value as Toml;

use super::{Hosts, LogFormat, Origins, SidecarUrl};
use crate::domain::{Capacity, MAX_CAPACITY};

/// A kind of value that can be configured.
pub(super) trait Value: Sized {
    /// Reads what was written after a flag or into an environment variable.
    ///
    /// # Errors
    /// Why `text` is refused, as a fragment that follows it.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads a value of the configuration file.
    ///
    /// # Errors
    /// Why `value` is refused, as a fragment that follows it.
    fn from_toml(value: Toml) -> Result<Self, String> {
        match value {
            Toml::String(text) => Self::from_text(&text).map_err(|why| format!("{text:?} {why}")),
            other => Err(format!("{} must be a text in quotes", shown(&other))),
        }
    }

    /// The value as it is written in the configuration file.
    fn to_toml(&self) -> String;
}

/// A duration as people write it: `5m`, `1h 30m`, `250ms`, `7d`.
///
/// # Errors
/// Why `text` is refused, as a fragment that follows it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    Value::from_text(text)
}

/// A number of capacity units.
///
/// # Errors
/// Why `text` is refused, as a fragment that follows it.
pub fn parse_capacity(text: &str) -> Result<Capacity, String> {
    Value::from_text(text)
}

/// A value of the configuration file.
///
/// Deserialised through [`Value`], so that a wrong one is refused in the same words everywhere, with the line in the
/// file put next to it by the TOML library.
#[derive(Clone, Debug)]
pub(super) struct InFile<T>(pub T);

impl<'de, T: Value> Deserialize<'de> for InFile<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Toml::deserialize(deserializer)?;
        T::from_toml(value).map(Self).map_err(serde::de::Error::custom)
    }
}

/// `value` on one line, for a message.
fn shown(value: &Toml) -> String {
    match value {
        Toml::Array(_) => "a list".to_owned(),
        Toml::Table(_) => "a table".to_owned(),
        plain => plain.to_string(),
    }
}

fn quoted(text: impl AsRef<str>) -> String {
    crate::printable::toml(text.as_ref())
}

const EXAMPLES: &str = "write a number and a unit, such as \"90s\", \"5m\", \"1h 30m\", \"250ms\" or \"7d\"";

/// Durations as people write them: `5m`, `1h 30m`, `250ms`, `7d`. A day is 24 hours.
impl Value for Duration {
    fn from_text(text: &str) -> Result<Self, String> {
        static PARSER: SpanParser = SpanParser::new();
        if text.starts_with('-') {
            return Err("must not be negative".to_owned());
        }
        if is_plain_number(text) {
            return Err(format!("has no unit; write \"{text}s\" for seconds or \"{text}m\" for minutes"));
        }
        let span = PARSER.parse_span(text).map_err(|_| format!("is not a duration; {EXAMPLES}"))?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err("uses months or years, which differ in length; write days, such as \"30d\"".to_owned());
        }
        let duration = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| "is longer than any duration can be".to_owned())?;
        let duration = Duration::try_from(duration).map_err(|_| "must not be negative".to_owned())?;
        // Durable records hold whole milliseconds; a finer value would change on its way through them.
        if !duration.subsec_nanos().is_multiple_of(1_000_000) {
            return Err("is finer than a millisecond, the smallest unit there is".to_owned());
        }
        Ok(duration)
    }

    fn from_toml(value: Toml) -> Result<Self, String> {
        match value {
            Toml::String(text) => Self::from_text(&text).map_err(|why| format!("{text:?} {why}")),
            Toml::Integer(number) => {
                let text = number.to_string();
                Self::from_text(&text).map_err(|why| format!("{text} {why}"))
            }
            other => Err(format!("{} is not a duration; {EXAMPLES}", shown(&other))),
        }
    }

    fn to_toml(&self) -> String {
        quoted(friendly(*self))
    }
}

fn is_plain_number(text: &str) -> bool {
    text.parse::<f64>().is_ok() && !text.contains(|c: char| c.is_ascii_alphabetic())
}

/// `duration` in the units people use, days included.
fn friendly(duration: Duration) -> String {
    const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
    let days = duration.as_secs() / SECONDS_PER_DAY;
    let rest = duration - Duration::from_secs(days * SECONDS_PER_DAY);
    // The rest is below a day, so that the conversion cannot fail; zero would be shown if it did.
    let rest = SignedDuration::try_from(rest).unwrap_or_default();
    match i32::try_from(days).ok().and_then(|days| Span::new().try_days(days).ok()) {
        Some(days) if rest.is_zero() && !days.is_zero() => format!("{days:#}"),
        Some(days) if !days.is_zero() => format!("{days:#} {rest:#}"),
        _ if days == 0 => format!("{rest:#}"),
        _ => format!("{}s", duration.as_secs()),
    }
}

/// Whole numbers, none negative. Text beyond `u64` becomes the largest one, so that the range check names the range.
impl Value for u64 {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err("is not a whole number; write digits only, such as 3".to_owned());
        }
        Ok(text.parse().unwrap_or(Self::MAX))
    }

    fn from_toml(value: Toml) -> Result<Self, String> {
        match value {
            Toml::Integer(number) => Self::try_from(number).map_err(|_| format!("{number} must not be negative")),
            other => Err(format!("{} is not a whole number; write digits without quotes, such as 3", shown(&other))),
        }
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

/// Capacities occur in the file only, as bounds of a resource.
impl Value for Capacity {
    fn from_text(text: &str) -> Result<Self, String> {
        let units = u64::from_text(text)?;
        u32::try_from(units)
            .ok()
            .and_then(|units| Self::try_from(units).ok())
            .ok_or_else(|| format!("must be between 0 and {MAX_CAPACITY} units"))
    }

    fn from_toml(value: Toml) -> Result<Self, String> {
        let units = u64::from_toml(value)?.to_string();
        Self::from_text(&units).map_err(|why| format!("{units} {why}"))
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }

    fn from_toml(value: Toml) -> Result<Self, String> {
        match value {
            Toml::Boolean(value) => Ok(value),
            other => Err(format!("{} must be true or false, without quotes", shown(&other))),
        }
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Value for SocketAddr {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            "must be a numeric address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080".to_owned()
        })
    }

    fn to_toml(&self) -> String {
        quoted(self.to_string())
    }
}

impl Value for SidecarUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|why: super::InvalidSidecarUrl| why.to_string())
    }

    fn to_toml(&self) -> String {
        quoted(self.as_str())
    }
}

impl Value for PathBuf {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("must not be empty; write a path, or \".\" for the working directory".to_owned()),
            text if text.contains('\0') => Err("contains a NUL character, which no path can".to_owned()),
            text => Ok(Self::from(text)),
        }
    }

    fn to_toml(&self) -> String {
        quoted(self.to_string_lossy())
    }
}

/// A path that need not be given; an empty text stands for none.
impl Value for Option<PathBuf> {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { PathBuf::from_text(text).map(Some) }
    }

    fn to_toml(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), Value::to_toml)
    }
}

/// The entries of a list: separated by commas in a text, or an array of texts in the file.
fn entries<T>(value: Toml, from_text: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
    let refuse = |other: &Toml| format!("{} must be a list of texts, such as [\"a\", \"b\"]", shown(other));
    let text = match value {
        Toml::String(text) => text,
        Toml::Array(entries) => {
            let texts: Option<Vec<&str>> = entries.iter().map(Toml::as_str).collect();
            match texts {
                Some(texts) if texts.iter().all(|text| !text.contains(',') && !text.is_empty()) => texts.join(","),
                _ => return Err(refuse(&Toml::Array(entries))),
            }
        }
        other => return Err(refuse(&other)),
    };
    from_text(&text).map_err(|why| format!("{text:?} {why}"))
}

/// The parts of a list in a text; none of an empty one.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(move |_| !text.is_empty())
}

fn list_to_toml(entries: impl IntoIterator<Item = String>) -> String {
    Toml::Array(entries.into_iter().map(Toml::String).collect()).to_string()
}

impl Value for Hosts {
    fn from_text(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !name.is_empty() && name.len() <= 255 && name.bytes().all(fits)
        };
        if !parts(text).all(is_name) {
            return Err("must be names of hosts without ports, such as gate.example.com".to_owned());
        }
        Ok(Self(parts(text).map(str::to_ascii_lowercase).collect()))
    }

    fn from_toml(value: Toml) -> Result<Self, String> {
        entries(value, Self::from_text)
    }

    fn to_toml(&self) -> String {
        list_to_toml(self.0.iter().cloned())
    }
}

impl Value for Origins {
    fn from_text(text: &str) -> Result<Self, String> {
        let is_origin = |origin: &str| {
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let fits =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
            rest.is_some_and(|rest| !rest.is_empty() && rest.len() <= 255 && rest.bytes().all(fits))
        };
        if !parts(text).all(is_origin) {
            return Err("must be origins as browsers send them, such as https://ops.example.com".to_owned());
        }
        Ok(Self(parts(text).map(str::to_ascii_lowercase).collect()))
    }

    fn from_toml(value: Toml) -> Result<Self, String> {
        entries(value, Self::from_text)
    }

    fn to_toml(&self) -> String {
        list_to_toml(self.0.iter().cloned())
    }
}

impl Value for LogFormat {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be \"text\" or \"json\"".to_owned()),
        }
    }

    fn to_toml(&self) -> String {
        quoted(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
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
            assert_eq!(Duration::from_text(text), Ok(Duration::from_millis(millis)), "{text}");
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
            let refused = Duration::from_text(text).expect_err(text);
            assert!(refused.starts_with(why), "{text}: {refused}");
        }
    }

    #[test]
    fn durations_print_so_that_they_can_be_read_again() {
        const DAY_MILLIS: u64 = 86_400_000;
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (90_250, "1m 30s 250ms"),
            (300_000, "5m"),
            (DAY_MILLIS - 1, "23h 59m 59s 999ms"),
            (DAY_MILLIS, "1d"),
            (7 * DAY_MILLIS, "7d"),
            (DAY_MILLIS + 60_001, "1d 1m 1ms"),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(friendly(duration), text);
            assert_eq!(Duration::from_text(text), Ok(duration), "{text}");
        }
        assert_eq!(friendly(Duration::MAX), format!("{}s", u64::MAX), "absurd, but no panic");
    }

    #[test]
    fn numbers_are_whole_and_saturate() {
        assert_eq!(u64::from_text("0"), Ok(0));
        assert_eq!(u64::from_text("12"), Ok(12));
        assert_eq!(u64::from_text("99999999999999999999999"), Ok(u64::MAX));
        for bad in ["", "-1", "+1", "1.0", "1e3", "one", " 1", "1_000"] {
            assert!(u64::from_text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn booleans_are_read_in_their_usual_spellings() {
        for (text, expected) in
            [("true", true), ("1", true), ("On", true), ("FALSE", false), ("0", false), ("no", false)]
        {
            assert_eq!(bool::from_text(text), Ok(expected), "{text}");
        }
        for bad in ["", "maybe", "2", "t"] {
            assert!(bool::from_text(bad).is_err(), "{bad:?}");
        }
    }
}
