//! The commands of the command line, run as processes.

mod completions;
mod demo;
mod follow;
mod https;
mod json;
mod keys;
