//! The table that is printed in the end.

use std::fmt;

/// What was measured.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row: what was measured, the baseline, the figure, and what was to be reached.
    pub fn row(&mut self, measure: &str, baseline: impl fmt::Display, figure: impl fmt::Display, reach: &str) {
        self.rows.push([measure.to_owned(), baseline.to_string(), figure.to_string(), reach.to_owned()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = super::process::cores();
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        writeln!(f, "{cores} cores, {} GiB of memory\n", kib.unwrap_or(0) >> 20)?;
        writeln!(f, "| Measure | Baseline in the same run | Figure | To reach |\n|---|---|---|---|")?;
        self.rows.iter().try_for_each(|[measure, baseline, figure, reach]| {
            writeln!(f, "| {measure} | {baseline} | {figure} | {reach} |")
        })
    }
}

/// `number` with its thousands apart.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
