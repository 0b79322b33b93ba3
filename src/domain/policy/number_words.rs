//! Values of metrics as the sentences of policies name them.

/// Most digits that a number is written with as it is: those of the largest whole numbers that are told apart, and those
/// of any fraction near 1. A reader cannot compare longer ones.
const MAX_CHARS: usize = 21;

/// `812`, `0.30000000000000004`, `1e308`.
pub fn number(value: f64) -> String {
    let plain = value.to_string();
    if plain.len() > MAX_CHARS { format!("{value:e}") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_number_is_short_and_exact() {
        for (value, expected) in [
            (812.0, "812"),
            (-0.5, "-0.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (1e20, "100000000000000000000"),
            (1e21, "1e21"),
            (1e308, "1e308"),
            (f64::MAX, "1.7976931348623157e308"),
            (-5e-324, "-5e-324"),
        ] {
            assert_eq!(number(value), expected);
            assert_eq!(number(value).parse(), Ok(value), "nothing is lost");
        }
    }
}
