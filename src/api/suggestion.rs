//! What a misspelt alias was meant to be, told beside a refusal or a new job.
//!
//! It must never name a resource that the caller may not see, and never change what is answered otherwise. The names come from
//! the engine, and are compared here: the engine does nothing else meanwhile.

use super::ApiState;
use super::caller::Caller;
use super::problem::{ApiError, Code};
use crate::domain::{Alias, Scope};
use crate::engine::Alternatives;
use crate::suggest;

/// Longest alias that a suggestion is worked out for, in bytes: what it costs grows with the square.
const MAX_COMPARED_BYTES: usize = 64;

impl ApiState {
    /// The resource that `caller` probably meant by `written`, which the gateway did not know when it was asked for.
    pub(super) async fn meant(&self, caller: &Caller, written: &Alias) -> Option<Alias> {
        nearest(written, self.alternatives(caller, written).await?.others.iter())
    }

    async fn alternatives(&self, caller: &Caller, written: &Alias) -> Option<Alternatives> {
        if !may_see_names(caller) {
            return None;
        }
        // Without an answer there is nothing to suggest: the engine has told, or will tell, why it does not work.
        self.engine.alternatives(written.clone(), caller.reach().clone()).await.ok()
    }

    /// `error`, about what was asked for `written`, with the resource that was probably meant if it is that there is no such thing.
    pub(super) async fn with_meant(&self, caller: &Caller, written: &Alias, error: ApiError) -> ApiError {
        match error.code() {
            Code::ResourceNotFound
            | Code::PolicyNotFound
            | Code::HoldNotFound
            | Code::ClaimNotFound
            | Code::NoPolicy => {
                let alternatives = self.alternatives(caller, written).await.filter(|known| !known.is_recognised);
                match alternatives.and_then(|known| nearest(written, known.others.iter())) {
                    Some(meant) => error.suggesting(&meant),
                    None => error,
                }
            }
            _ => error,
        }
    }
}

impl Caller {
    /// The one of its own resources that it probably meant by `written`, which is none of them.
    pub(super) fn meant(&self, written: &Alias) -> Option<Alias> {
        let own = self.reach().resources().filter(|_| may_see_names(self))?;
        nearest(written, own.iter())
    }
}

/// Whether the caller may look at resources at all.
fn may_see_names(caller: &Caller) -> bool {
    caller.key.as_ref().is_none_or(|key| key.scope.suffices_for(&[Scope::Read]))
}

fn nearest<'a>(written: &Alias, known: impl Iterator<Item = &'a Alias>) -> Option<Alias> {
    if written.as_str().len() > MAX_COMPARED_BYTES {
        return None;
    }
    let names: Vec<&str> = known.map(Alias::as_str).filter(|name| name.len() <= MAX_COMPARED_BYTES).collect();
    suggest::nearest(written.as_str(), &names)?.parse().ok()
}
