//! Groups in a life: what is submitted and canceled, how it is done, and what it must keep to.

mod life;
mod plan;
mod watch;

pub use plan::{GroupAct, GroupPlan, draw};
pub use watch::{GroupWatch, check_end, check_new, check_sent};
