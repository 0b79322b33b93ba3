//! The API key that a client command shows, if any.
//!
//! It comes from the environment or from a file, and from no flag: the flags of a process can be seen by all others. It
//! must never be printed, and never be sent where it can be read on the way without a warning.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::{Client, Failure, ServerArgs, ServerUrl};
use crate::access::Token;
use crate::cli::command_line::CommandLine;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::words::quoted;
use crate::config::{Given, exposure, parse_key, read_key};

/// The environment variable that may hold the key.
const VARIABLE: &str = "SCALEGATE_KEY";

/// Which gateway, and who calls it.
#[derive(Clone, Debug, clap::Args)]
pub struct GatewayArgs {
    #[command(flatten)]
    pub server: ServerArgs,

    /// File with the API key to send [default: what SCALEGATE_KEY holds, or none]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// The command that they are given with.
    #[arg(skip)]
    pub command: CommandLine,
}

impl GatewayArgs {
    /// A client of that gateway. Must be called within an actix runtime, on the thread that uses it.
    ///
    /// # Errors
    /// If what was said of the gateway or the key makes no sense.
    pub fn client(&self, output: &mut Output) -> Result<Client, Failure> {
        let server = self.server.url()?;
        let key = self.key(std::env::var_os(VARIABLE))?;
        if let Some(exposed) = self.key_file.as_deref().and_then(exposure) {
            output.notice(format_args!("warning: {exposed}"));
        }
        if key.is_some() && is_readable_on_the_way(&server) {
            output.notice(format_args!("warning: the API key can be read on the way to {server}: use https://"));
        }
        Client::connect(server, key.as_ref(), &self.server.trust()?)
    }

    /// The options that were given on the command line, to be given again in a command that is told to the user. What the
    /// environment says needs no repetition, and a key has no option.
    pub fn given(&self) -> String {
        let flag =
            |given: &Option<Given>| given.as_ref().filter(|given| !given.by_environment).map(|it| it.text.clone());
        let key_file = self.key_file.as_ref().map(|path| path.clone().into_os_string());
        let options = [
            ("--server", flag(&self.server.server)),
            ("--ca-file", flag(&self.server.ca_file)),
            ("--key-file", key_file),
        ];
        let given = options.into_iter().filter_map(|(name, text)| text.map(|text| (name, text)));
        given.map(|(name, text)| format!(" {name} {}", quoted(&text.to_string_lossy()))).collect()
    }

    /// What `command` makes of that gateway. Why it does not work is told on standard error. Must be called within an actix
    /// runtime.
    pub async fn run(
        &self,
        output: &mut Output,
        command: impl AsyncFnOnce(&Client, &mut Output) -> Result<Exit, Failure>,
    ) -> Exit {
        let done = match self.client(output) {
            Ok(client) => command(&client, output).await,
            Err(usage) => Err(usage),
        };
        self.told(done, output)
    }

    /// How a command for that gateway ends. Why it does not work is told on standard error, with the commands to run next.
    pub fn told(&self, done: Result<Exit, Failure>, output: &mut Output) -> Exit {
        done.unwrap_or_else(|failure| {
            output.notice(failure.with_next(&self.command, &self.given()));
            failure.exit()
        })
    }

    /// The key in the file, or else in what the environment has.
    fn key(&self, variable: Option<OsString>) -> Result<Option<Token>, Failure> {
        if let Some(path) = &self.key_file {
            return read_key(path).map(Some).map_err(|why| Failure::Usage(format!("--key-file: {why}")));
        }
        let Some(text) = variable.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let key = parse_key(OsStr::to_str(text).unwrap_or_default());
        key.map(Some).map_err(|why| Failure::Usage(format!("{VARIABLE}: what it holds {why}")))
    }
}

/// Whether requests to `server` leave this machine as they are.
fn is_readable_on_the_way(server: &ServerUrl) -> bool {
    !server.is_https() && !server.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::capture::Captured;

    fn args(server: &str, key_file: Option<PathBuf>) -> GatewayArgs {
        let server = ServerArgs { server: Some(Given::by_flag(server)), ca_file: None };
        GatewayArgs { server, key_file, command: CommandLine::default() }
    }

    fn key(key_file: Option<PathBuf>, variable: Option<&str>) -> Result<Option<Token>, String> {
        args("http://gateway", key_file).key(variable.map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_was_given_is_repeated_as_a_shell_takes_it() {
        let mut gateway = args("https://gateway:8080", Some("my keys/it's".into()));
        gateway.server.ca_file = Some(Given::by_environment("/etc/ca.pem"));
        assert_eq!(gateway.given(), " --server https://gateway:8080 --key-file 'my keys/it'\\''s'");
        gateway.server = ServerArgs { server: None, ca_file: Some(Given::by_flag("ca.pem")) };
        gateway.key_file = None;
        assert_eq!(gateway.given(), " --ca-file ca.pem");
    }

    #[test]
    fn the_file_is_stronger_than_the_variable_and_an_empty_variable_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("key");
        let [one, another] = [(), ()].map(|()| Token::generate().expect("randomness"));
        std::fs::write(&file, format!("{}\r\n", one.expose())).expect("written");
        assert_eq!(key(None, None), Ok(None));
        assert_eq!(key(None, Some("")), Ok(None));
        assert_eq!(key(None, Some(another.expose())), Ok(Some(another.clone())));
        assert_eq!(key(Some(file.clone()), Some(another.expose())), Ok(Some(one.clone())));
        assert_eq!(key(Some(file), None), Ok(Some(one)));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("key");
        let token = Token::generate().expect("randomness");
        let (whole, cut) = (token.expose(), &token.expose()[..50]);
        for (content, words) in [(cut, "is no API key"), ("", "is no API key"), (&"x".repeat(5000), "it is too large")]
        {
            std::fs::write(&file, content).expect("written");
            let refused = key(Some(file.clone()), Some(whole)).expect_err("no key");
            assert!(refused.starts_with("--key-file: ") && refused.contains(words), "{refused}");
            assert!(!refused.contains(&whole[14..45]), "{refused}");
        }
        let refused = key(None, Some(cut)).expect_err("no key");
        assert!(refused.starts_with("SCALEGATE_KEY: what it holds is no API key"), "{refused}");
        assert!(!refused.contains(&whole[14..45]), "{refused}");
        let refused = key(Some(whole.into()), None).expect_err("no file");
        assert!(refused.contains("this is a key itself") && !refused.contains(&whole[3..]), "{refused}");
        let refused = key(Some(directory.path().join("none")), None).expect_err("no file");
        assert!(refused.contains("cannot read ") && refused.contains("none: No such file"), "{refused}");
    }

    #[actix_web::test]
    async fn a_key_sent_in_the_clear_has_a_warning() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("key");
        let token = Token::generate().expect("randomness");
        std::fs::write(&file, token.expose()).expect("written");
        for (server, key_file, is_warned) in [
            ("http://gateway:8080", Some(file.clone()), true),
            ("http://10.1.2.3", Some(file.clone()), true),
            ("http://127.0.0.1.example.com", Some(file.clone()), true),
            ("http://127.0.0.1:8080", Some(file.clone()), false),
            ("http://[::1]:8080", Some(file.clone()), false),
            ("http://LOCALHOST", Some(file.clone()), false),
            ("http://gateway", None, false),
            ("https://gateway", Some(file), false),
        ] {
            let captured = Captured::default();
            assert!(args(server, key_file).client(&mut captured.output()).is_ok());
            let warned = captured.err().contains(&format!("warning: the API key can be read on the way to {server}"));
            assert_eq!(warned, is_warned, "{server}: {}", captured.err());
            assert!(!captured.err().contains(token.expose()));
        }
    }
}
