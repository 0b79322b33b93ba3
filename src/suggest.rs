//! What a misspelt name was meant to be.

/// The one of `known` that is meant by `written`, if one is near: at most a third of it differs, or it was cut short.
/// Case and the choice between `-` and `_` do not count.
pub fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let written = plain(written);
    let distances = known.iter().map(|name| (strsim::levenshtein(&written, &plain(name)), *name));
    let (edits, meant) = distances.min()?;
    if edits <= 1 + written.chars().count() / 3 {
        return Some(meant);
    }
    known.iter().copied().find(|name| written.len() >= 3 && plain(name).starts_with(&written))
}

/// A hint for `written`, which is none of `known`; all names begin with `prefix`, which is not compared.
pub fn hint(written: &str, known: &[&str], prefix: &str) -> String {
    let own: Vec<&str> = known.iter().map(|name| name.trim_start_matches(prefix)).collect();
    match nearest(written.trim_start_matches(prefix), &own) {
        Some(meant) => format!("did you mean {prefix}{meant}?"),
        None => format!("there are: {}", known.join(", ")),
    }
}
