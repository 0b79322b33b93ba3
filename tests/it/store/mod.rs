//! What the store keeps: when the disk fails, and from one release to the next.

mod earlier_release;
mod storage_faults;
