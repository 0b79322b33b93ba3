//! The commands of the command line, run as processes.

mod follow;
mod https;
mod keys;
