//! `scalegate keys generate`.

use clap::Args;

use super::{HELP, KeysError};
use crate::access::Token;
use crate::cli::output::Output;

/// Print a new admin key for the configuration of a gateway.
///
/// It is stored nowhere, and good for nothing before a gateway is started with it: in the environment variable
/// SCALEGATE_ADMIN_KEY, or in the file given by --admin-key-file. It goes to standard output, everything else to
/// standard error.
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct GenerateArgs {}

impl GenerateArgs {
    pub(super) fn run(self, output: &mut Output) -> Result<(), KeysError> {
        let token = Token::generate()?;
        output.line(token.expose());
        if output.is_closed() {
            return Err(KeysError::NotWritten("the key could not be written to standard output".to_owned()));
        }
        output.notice(format_args!(
            "generated the admin key {}, which is stored nowhere\n  To use it: start the gateway with it in \
             SCALEGATE_ADMIN_KEY, or in the file given by --admin-key-file.",
            token.id()
        ));
        Ok(())
    }
}
