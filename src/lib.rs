//! scalegate: an HTTP gateway that turns a capacity sidecar into a scaling API one can trust.
//!
//! The way in is [`app`], which puts the parts together. The rules of scaling are in [`domain`], free of I/O; [`engine`]
//! owns all running work; [`store`] makes it durable; [`table`] shows it to readers and [`feed`] tells them of changes;
//! [`api`] serves it over HTTP; [`sidecar`] talks to the platform, and [`sim`] plays the platform where there is none;
//! [`sources`] fetches the metrics of policies; [`metrics`] counts what happens in all of them, and [`telemetry`] tells of
//! it; nothing depends on whether they are read. [`access`] knows the API keys, [`config`] the options, [`policy`] the text of
//! policies, [`clock`] the time;
//! `audit_file` writes `--audit-log`, `files` says which files are trusted, `printable` escapes text from outside, for the
//! log and for terminals, and `suggest` finds what a misspelt name was meant to be.
//! `domain` imports nothing else of the crate; of `api`, only `app` starts it, and [`cli`] borrows what requests and answers
//! look like.

pub mod access;
pub mod api;
pub mod app;
mod audit_file;
pub mod backtest;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod feed;
mod files;
pub mod group_table;
pub mod metrics;
pub mod policy;
mod printable;
pub mod sidecar;
pub mod sim;
pub mod sources;
pub mod store;
mod suggest;
pub mod table;
pub mod telemetry;
