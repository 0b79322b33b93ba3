//! Policies in a life: what is put and asked for, what it is drawn from, how it is done, and what it must keep to.

mod draw;
mod life;
mod plan;
mod watch;

pub use draw::draw;
pub use life::Ledger;
pub use plan::{Plan, PolicyAct, RulePlan};
pub use watch::Watch;
