//! Lanes and the engine: steps, waits, clocks, crashes and sidecars that misbehave.

mod clock;
mod crash;
mod crash_groups;
mod difficult_sidecar;
mod driver;
mod grouped_calls;
mod groups;
mod lanes;
mod sidecar_check;
mod sidecar_faults;
mod virtual_time;
