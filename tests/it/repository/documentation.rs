//! The documentation says what the code says: links and names of files lead somewhere, options and codes of errors are
//! all there.
//!
//! Sentences cannot be checked here. Rejected: generating the pages from the code, because a table that is written for
//! the reader says more than the help of an option.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as _;
use scalegate::api::Code;
use scalegate::config::ServeArgs;

/// Most lines of the introduction: what is longer is not read.
const README_LINES: usize = 150;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages written for people, from the root of the repository.
fn pages() -> Vec<PathBuf> {
    let fixed =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md", "tests/README.md"];
    let entries =
        fs::read_dir(root().join("docs")).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let docs =
        entries.map(|name| Path::new("docs").join(name)).filter(|path| path.extension().is_some_and(|end| end == "md"));
    fixed.into_iter().map(PathBuf::from).chain(docs).collect()
}

/// The page without blocks of code and commands, in which brackets and names mean something else.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// The targets of the links of a page.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = prose(&read(&page));
        for link in links(&text).filter(|link| !link.starts_with("https://")) {
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.with_file_name(path) };
            let found = root().join(&target).exists()
                && (anchor.is_empty() || anchors(&prose(&read(&target))).iter().any(|known| known == anchor));
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} links were found");
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let folders = ["src/", "tests/", "examples/", "benches/", "openapi/", "docs/", ".ci/"];
    let mut gone = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = prose(&read(&page));
        // What follows a name are the arguments of a command.
        let quoted = text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_whitespace().next());
        let names = quoted.filter(|name| folders.iter().any(|folder| name.starts_with(folder)));
        gone.extend(
            names
                .inspect(|_| seen += 1)
                .filter(|name| !root().join(name).exists())
                .map(|name| format!("{}: {name}", page.display())),
        );
    }
    assert!(seen > 50, "only {seen} names were found");
    assert!(gone.is_empty(), "these files are not there:\n{}", gone.join("\n"));
}

#[test]
fn the_table_of_options_is_that_of_the_command_line() {
    let page = read("docs/configuration.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `--")).collect();
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    let options: Vec<String> = command
        .get_arguments()
        .filter(|option| option.get_id() != "print_config")
        .map(|option| {
            let default = match option.get_default_values() {
                [value] if !value.is_empty() => format!("`{}`", value.to_string_lossy()),
                _ => "none".to_owned(),
            };
            let variable = option.get_env().expect("every option has a variable").to_str().expect("ASCII");
            format!("| `--{}` | `{variable}` | {default} | ", option.get_long().expect("a long name"))
        })
        .collect();
    let missing: Vec<&String> =
        options.iter().filter(|option| !rows.iter().any(|row| row.starts_with(option.as_str()))).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks these rows:\n{missing:#?}");
    assert_eq!(rows.len(), options.len(), "docs/configuration.md has options that do not exist");
}

#[test]
fn every_code_of_an_error_is_explained() {
    let page = read("docs/api.md");
    let missing: Vec<&str> =
        Code::ALL.iter().map(|code| code.as_str()).filter(|code| !page.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/api.md does not explain {missing:?}");
}

#[test]
fn the_introduction_is_short_and_names_the_command_that_runs_the_tests() {
    let page = read("README.md");
    assert!(page.lines().count() <= README_LINES, "README.md has {} lines", page.lines().count());
    assert!(page.contains("`cargo test`") && read(".ci/run").contains(" cargo test\n"));
}

#[test]
fn links_and_anchors_are_recognised() {
    assert_eq!(links("see [a](b.md#c) and ![d](e.png)").collect::<Vec<_>>(), ["b.md#c", "e.png"]);
    assert_eq!(anchors("# A `b`-c, d?\ntext\n## E"), ["a-b-c-d", "e"]);
}
