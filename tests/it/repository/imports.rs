//! Which part of the source may import which: only what stands below it.
//!
//! The floors are those of the architecture. A part that is not listed fails the test, so that a new one gets its
//! place.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up; parts on one floor do not import each other.
const FLOORS: [&[&str]; 14] = [
    &["domain", "files", "printable", "suggest"],
    &["clock", "policy"],
    &["backtest", "metrics"],
    &["audit_file"],
    &["sidecar", "sources", "store"],
    &["group_table", "table"],
    &["access", "feed"],
    &["config"],
    &["telemetry"],
    &["engine"],
    &["api", "sim"],
    &["app"],
    &["cli"],
    &["main", "lib"],
];

fn floor_of(part: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&part)).unwrap_or_else(|| panic!("{part} is on no floor"))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let nested = entries.map(|path| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => vec![path],
        _ => Vec::new(),
    });
    nested.flatten().collect()
}

/// The part that a file below `src` belongs to.
fn part_of(path: &Path, src: &Path) -> String {
    let inside = path.strip_prefix(src).expect("below src");
    let first = inside.iter().next().expect("a name").to_str().expect("text");
    first.trim_end_matches(".rs").to_owned()
}

/// The parts named in one line of code, as `crate::part`.
fn named_in(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    let rest = code.split("crate::").skip(1);
    rest.map(|rest| rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default())
}

#[test]
fn every_import_leads_to_a_lower_floor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources(&src) {
        let part = part_of(&path, &src);
        let text = fs::read_to_string(&path).expect("text");
        // Tests may use what stands above: they are below this line in every file that has them.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let is_test = path.file_stem().is_some_and(|stem| stem.to_str().is_some_and(|stem| stem.contains("test")))
            || path.strip_prefix(&src).expect("below src").iter().any(|folder| folder == "tests");
        for line in code.lines().filter(|_| !is_test) {
            for other in named_in(line).filter(|other| *other != part) {
                // Several parts in one line would not be seen.
                assert!(!other.is_empty(), "{}: name one part after `crate::`: {line}", path.display());
                seen += 1;
                if floor_of(other) >= floor_of(&part) {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(seen > 200, "only {seen} imports were found");
    assert!(wrong.is_empty(), "these imports lead upwards:\n{}", wrong.join("\n"));
}

/// A sidecar that shared the gateway's ideas of when a reading is usable could not catch its mistakes.
#[test]
fn the_simulated_sidecar_imports_the_vocabulary_alone() {
    let sidecar = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim/sidecar");
    let sources = sources(&sidecar);
    assert!(sources.len() > 5, "{sources:?}");
    for path in sources {
        let text = fs::read_to_string(&path).expect("text");
        let other = text.lines().flat_map(named_in).find(|other| !matches!(*other, "domain" | "printable" | "sim"));
        assert_eq!(other, None, "{} imports it", path.display());
    }
}

#[test]
fn parts_are_found_in_code_and_not_in_comments() {
    let named = |line| named_in(line).collect::<Vec<_>>();
    assert_eq!(named("use crate::store::{Batch, Page};"), ["store"]);
    assert_eq!(named("let x = crate::access::PREFIX; // crate::cli"), ["access"]);
    assert!(named("/// See [`crate::engine`].").is_empty());
}
