//! What a misspelt name was meant to be.

/// The one of `known` that is meant by `written`, if one is near: one letter or at most a third of them differ, two that
/// changed places being one; or it was cut short. Case and the choice between `-` and `_` do not count.
pub fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let written = plain(written);
    let distances = known.iter().map(|name| (strsim::osa_distance(&written, &plain(name)), *name));
    let (edits, meant) = distances.min()?;
    if edits <= (written.chars().count() / 3).max(1) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        let days = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
        let fields = ["stepSize", "cooldownSeconds", "high", "low", "to"];
        for (written, known, meant) in [
            ("FOO", &days[..], None),
            ("XXX", &days, None),
            ("fri", &days, Some("FRI")),
            ("FIR", &days, Some("FRI")),
            ("Sum", &days, Some("SUN")),
            ("hgih", &fields, Some("high")),
            ("step_size", &fields, Some("stepSize")),
            ("cooldown", &fields, Some("cooldownSeconds")),
            ("x", &fields, None),
            ("colour", &fields, None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }
}
