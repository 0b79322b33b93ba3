//! From when until when a certificate is valid, for people who read the log.
//!
//! The TLS library knows it and does not tell. This reads no more of a certificate than the way to these two dates, and must
//! never decide anything: whether a certificate is good for something is up to the clients. Rejected: x509-parser, because it
//! brings twelve crates into the gateway, one of them in a second version, for sixty lines.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::Timestamp;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version of the format, which may be left out.
const VERSION: u8 = 0xa0;
/// The first year of two digits that is in the last century (RFC 5280, 4.1.2.5.1).
const CENTURY_TURNS: &str = "50";

/// See the module's documentation. What cannot be read or is beyond the end of time is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: Option<Timestamp>,
    /// The last one.
    pub until: Option<Timestamp>,
}

impl Validity {
    /// That of the certificate in `der`.
    pub fn of(der: &[u8]) -> Self {
        find(der).unwrap_or_default()
    }
}

fn find(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (signed, _) = take(certificate, SEQUENCE)?;
    let rest = take(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let (_serial, rest) = take(rest, INTEGER)?;
    let (_signature, rest) = take(rest, SEQUENCE)?;
    let (_issuer, rest) = take(rest, SEQUENCE)?;
    let (validity, _) = take(rest, SEQUENCE)?;
    let (_, _, until) = element(validity)?;
    Some(Validity { from: time(validity), until: time(until) })
}

/// The content of the element that `input` begins with, and what comes after it. Nothing if it is not of this kind.
fn take(input: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(input)?;
    (tag == expected).then_some((content, rest))
}

fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = input else { return None };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        // So many bytes of length; no certificate has more than three.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The time that `input` begins with.
fn time(input: &[u8]) -> Option<Timestamp> {
    let (tag, text, _) = element(input)?;
    let text = str::from_utf8(text).ok()?;
    let text = match tag {
        UTC_TIME if text.get(..2)? < CENTURY_TURNS => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(from: i32, until: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["gate.test".into()]).expect("a name");
        params.not_before = date_time_ymd(from, 1, 2);
        params.not_after = date_time_ymd(until, 3, 4);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    fn text(at: Option<Timestamp>) -> Option<String> {
        at.map(|at| at.to_string())
    }

    #[test]
    fn both_dates_are_found() {
        // Years until 2049 are written with two digits.
        for (from, until) in [(1975, 2049), (2026, 2027), (2049, 2050), (2999, 9998)] {
            let validity = Validity::of(&certificate(from, until));
            assert_eq!(text(validity.from), Some(format!("{from}-01-02T00:00:00.000Z")));
            assert_eq!(text(validity.until), Some(format!("{until}-03-04T00:00:00.000Z")));
        }
    }

    /// A year that means that there is no end.
    #[test]
    fn the_end_of_time_is_no_date() {
        let mut der = certificate(2026, 9998);
        let at = der.windows(4).position(|four| four == b"9998").expect("the year");
        der[at..at + 15].copy_from_slice(b"99991231235959Z");
        let validity = Validity::of(&der);
        assert!(validity.from.is_some() && validity.until.is_none(), "{validity:?}");
    }

    #[test]
    fn nonsense_has_no_dates() {
        let der = certificate(2026, 2027);
        for length in 0..der.len() {
            assert_eq!(Validity::of(&der[..length]), Validity::default(), "{length} bytes of it");
        }
        // Whatever becomes of a byte, nothing panics.
        for at in 0..der.len() {
            for byte in [0, 0x2d, 0x7f, 0x80, 0x81, 0x84, 0xff] {
                let mut der = der.clone();
                der[at] = byte;
                let _ = Validity::of(&der);
            }
        }
    }
}
