//! Which adoption of a lane counts.

/// Numbers the adoptions of lanes: a unit that names an earlier adoption of a lane than the latest one is refused.
pub type Epoch = u64;
