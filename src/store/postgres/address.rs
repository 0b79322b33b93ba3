//! Where the database is, and how it is connected to: `postgres://user@host/database?sslmode=verify-full`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::error::PostgresError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the system waits for the other end to confirm what was sent: a database behind a broken network is given up
/// long before a lease is over.
const UNCONFIRMED_TIMEOUT: Duration = Duration::from_secs(5);
/// The mode in which the certificate is verified, which the library does not know.
const VERIFYING: &str = "sslmode=verify-full";

/// See the module's documentation. It may have a password in it, which it never shows.
#[derive(Clone)]
pub struct Address {
    config: Config,
    verifies: bool,
}

impl Address {
    /// With this password, unless it has one.
    #[must_use]
    pub fn with_password(mut self, password: &[u8]) -> Self {
        if self.config.get_password().is_none() {
            self.config.password(password);
        }
        self
    }

    /// Whether it has a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The name of the database.
    #[cfg(test)]
    pub(super) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    pub(super) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(super) fn verifies(&self) -> bool {
        self.verifies
    }
}

impl FromStr for Address {
    type Err = PostgresError;

    fn from_str(text: &str) -> Result<Self, PostgresError> {
        let wrong = |why: &str| Err(PostgresError::Address(why.to_owned()));
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return wrong("it must begin with postgres://");
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (mode, others): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|part| !part.is_empty()).partition(|part| part.starts_with("sslmode="));
        let (mode, verifies) = match mode[..] {
            [] => (None, false),
            ["sslmode=disable"] => (Some(SslMode::Disable), false),
            ["sslmode=require"] => (Some(SslMode::Require), false),
            [VERIFYING] => (Some(SslMode::Require), true),
            _ => return wrong("sslmode must be disable, require or verify-full, once"),
        };
        // Its own words may have the password in them.
        let parsed = Config::from_str(&format!("{address}?{}", others.join("&")));
        let Ok(mut config) = parsed else { return wrong("it must be postgres://user@host:port/database") };
        let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let Some(mode) = mode.or(is_local.then_some(SslMode::Disable)) else {
            return wrong("it must say ?sslmode=verify-full, ?sslmode=require or ?sslmode=disable");
        };
        config.ssl_mode(mode).connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(UNCONFIRMED_TIMEOUT);
        if config.get_application_name().is_none() {
            config.application_name("scalegate");
        }
        Ok(Self { config, verifies })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres");
        let ports = self.config.get_ports();
        write!(f, "{name} at ")?;
        for (place, host) in self.config.get_hosts().iter().enumerate() {
            let (comma, port) = (if place > 0 { ", " } else { "" }, ports.get(place).or(ports.first()));
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}")?,
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
            write!(f, ":{}", port.copied().unwrap_or(5432))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let address: Address =
            "postgres://gate:secret@db.example:5433/scaling?sslmode=verify-full".parse().expect("an address");
        assert!(address.verifies() && address.has_password());
        assert_eq!(format!("{address} {address:?}"), "scaling at db.example:5433 scaling at db.example:5433");
    }

    #[test]
    fn how_the_database_is_trusted_is_said_in_words() {
        for (text, expected) in [
            ("postgres://u@h/d?sslmode=disable", Some(false)),
            ("postgres://u@h/d?sslmode=require", Some(false)),
            ("postgresql://u@h/d?sslmode=verify-full&application_name=x", Some(true)),
            ("postgres://u@%2Frun%2Fpostgresql/d", Some(false)),
            ("postgres://u@h/d", None),
            ("postgres://u@h/d?sslmode=prefer", None),
            ("postgres://u@h/d?sslmode=disable&sslmode=require", None),
            ("host=h user=u", None),
        ] {
            let parsed = text.parse::<Address>().ok().map(|address| address.verifies());
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        let wrong = "postgres://u:secret@h:port/d?sslmode=disable".parse::<Address>().expect_err("no port");
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
    }
}
