//! A run as a picture of characters: what was needed, and what was ready.

use std::time::Duration;

use crate::backtest::{Need, Run, Span, Stretch, stretches};
use crate::domain::Timestamp;

const COLUMNS: u32 = 72;
const ROWS: u32 = 12;

/// The lines of the picture: `█` needed and ready, `░` ready and not needed, `×` needed and missing. Each column shows its
/// moment with the most units missing.
pub fn lines(run: &Run, needs: &[Need], span: Span) -> Vec<String> {
    let columns = columns(run, needs, span, COLUMNS);
    let highest = columns.iter().map(|(need, ready)| *need.max(ready)).max().unwrap_or(0).max(1);
    let rows = ROWS.min(highest);
    let row = |nth: u32| {
        let units = (highest * nth).div_ceil(rows);
        let cell = |(need, ready): &(u32, u32)| match (units <= *need, units <= *ready) {
            (true, true) => '█',
            (false, true) => '░',
            (true, false) => '×',
            (false, false) => ' ',
        };
        format!("{units:>7} │{}", columns.iter().map(cell).collect::<String>())
    };
    let mut lines: Vec<String> = (1..=rows).rev().map(row).collect();
    lines.push(format!("{:>7} └{}", 0, "─".repeat(COLUMNS as usize)));
    let (from, to) = (day(span.from), day(span.to));
    lines.push(format!("{:9}{from}{to:>width$}", "", width = COLUMNS as usize - from.len()));
    lines
}

pub(super) fn day(at: Timestamp) -> String {
    at.to_string().chars().take(16).collect::<String>().replace('T', " ") + "Z"
}

/// What was needed and what was ready in each of `count` columns, where most was missing.
pub(super) fn columns(run: &Run, needs: &[Need], span: Span, count: u32) -> Vec<(u32, u32)> {
    let width = span.to.since(span.from).max(Duration::from_millis(1)) / count.max(1);
    let mut columns = vec![None::<(u32, u32)>; count as usize];
    let mut note = |at: Timestamp, until: Timestamp, need: Option<u32>, ready: u32| {
        let place = |at: Timestamp| (at.since(span.from).as_millis() / width.as_millis().max(1)) as usize;
        let pair = (need.unwrap_or(0), ready);
        let missing = |(need, ready): (u32, u32)| i64::from(need) - i64::from(ready);
        for column in columns.iter_mut().take(place(until).max(place(at) + 1)).skip(place(at)) {
            if column.is_none_or(|before| missing(before) < missing(pair)) {
                *column = Some(pair);
            }
        }
    };
    for Stretch { from, to, need, level } in stretches(run, needs, span) {
        note(from, to, need, level.ready);
    }
    columns.into_iter().map(Option::unwrap_or_default).collect()
}
