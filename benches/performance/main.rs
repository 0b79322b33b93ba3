//! How fast and how small: a table of figures, each a ratio to a baseline taken in the same run on the same machine.
//!
//! `cargo bench --bench performance` measures everything; `cargo bench --bench performance -- polls idle` only what is
//! named. Machines differ, so a figure means nothing without its baseline beside it, and nothing here is asserted: a
//! test that fails on a slow machine tells of the machine.

mod forecasts;
mod idle;
mod lists;
mod load;
mod many_jobs;
mod policies;
mod polls;
mod process;
mod python;
mod steps;
mod submissions;
mod table;
mod time_to_target;

#[path = "../../tests/support/mod.rs"]
mod support;

use table::Table;

/// A part of the benchmark, by the name it is asked for with.
type Part = (&'static str, fn(&mut Table));

const PARTS: [Part; 10] = [
    ("polls", polls::measure),
    ("submissions", submissions::measure),
    ("many-jobs", many_jobs::measure),
    ("lists", lists::measure),
    ("time-to-target", time_to_target::measure),
    ("steps", steps::measure),
    ("policies", policies::measure),
    ("forecasts", forecasts::measure),
    ("idle", idle::measure),
    ("python", python::measure),
];

fn main() {
    // Cargo adds an option of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("there is no part {unknown}; there are: {}", known.join(", "));
        std::process::exit(2);
    }
    process::keep_to_the_last_core();
    let mut table = Table::new();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            eprintln!("measuring {name}");
            measure(&mut table);
        }
    }
    println!("{table}");
}
