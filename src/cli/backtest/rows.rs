//! Recorded values in CSV: a header, then a time and a value in each row.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::backtest::{OutOfOrder, Recording};
use crate::domain::Timestamp;
use crate::domain::policy::Sample;

/// Most rows of a file: five years of minutes.
const MOST_ROWS: usize = 3_000_000;

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum NoRecording {
    #[error("cannot read {}: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
    #[error("cannot read {}: {error}", path.display())]
    Csv { path: PathBuf, error: csv::Error },
    #[error("{} line {line}: {detail}", path.display())]
    Row { path: PathBuf, line: u64, detail: String },
    #[error("{} has no row with a value after its header", path.display())]
    Empty { path: PathBuf },
    #[error("{}: {error}", path.display())]
    Order { path: PathBuf, error: OutOfOrder },
    #[error("{} has more than {MOST_ROWS} rows", path.display())]
    TooLong { path: PathBuf },
}

/// The recording in the file at `path`. Rows without a value are left out: the value before them holds as long as it counts.
pub fn recording(path: &Path) -> Result<Recording, NoRecording> {
    let file = File::open(path).map_err(|error| NoRecording::Io { path: path.to_owned(), error })?;
    let rows = rows(BufReader::new(file), path)?;
    if rows.is_empty() {
        return Err(NoRecording::Empty { path: path.to_owned() });
    }
    Recording::new(rows).map_err(|error| NoRecording::Order { path: path.to_owned(), error })
}

fn rows(text: impl Read, path: &Path) -> Result<Vec<Sample>, NoRecording> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| NoRecording::Csv { path: path.to_owned(), error })?;
        let line = record.position().map_or(0, csv::Position::line);
        let refused = |detail| NoRecording::Row { path: path.to_owned(), line, detail };
        rows.extend(sample(&record).map_err(refused)?);
        if rows.len() > MOST_ROWS {
            return Err(NoRecording::TooLong { path: path.to_owned() });
        }
    }
    Ok(rows)
}

fn sample(record: &csv::StringRecord) -> Result<Option<Sample>, String> {
    let at = time(record.get(0).unwrap_or_default())?;
    let text = record.get(1).ok_or("there is no value: a row has a time, a comma and a value")?;
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(Sample { at, value })),
        _ => Err(format!("{text:?} is not a finite number")),
    }
}

/// A time in RFC 3339, or `YYYY-MM-DD HH:MM:SS` in UTC.
pub fn time(text: &str) -> Result<Timestamp, String> {
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let civil = || jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok();
    let time = zoned.or_else(|| jiff::tz::TimeZone::UTC.to_timestamp(civil()?).ok());
    let time =
        time.ok_or_else(|| format!("{text:?} is not a time like 2026-01-31T12:00:00Z or 2026-01-31 12:00:00"))?;
    Ok(Timestamp::from_millis(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Sample>, String> {
        rows(text.as_bytes(), Path::new("load.csv")).map_err(|error| error.to_string())
    }

    #[test]
    fn times_are_read_in_both_forms_and_gaps_left_out() {
        let found = read("time,value\n2026-01-31T13:00:00+01:00,7\n2026-01-31 12:01:00, 8.5\n2026-01-31 12:02:00,\n");
        let at = |seconds: i64| Timestamp::from_millis(1_769_860_800_000 + seconds * 1000);
        assert_eq!(found, Ok(vec![Sample { at: at(0), value: 7.0 }, Sample { at: at(60), value: 8.5 }]));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, told) in [
            ("time,value\nyesterday,7", "load.csv line 2: \"yesterday\" is not a time like"),
            (
                "time,value\n2026-01-31 12:00:00,7\n2026-01-31 12:01:00,NaN",
                "load.csv line 3: \"NaN\" is not a finite number",
            ),
            ("time,value\n2026-01-31 12:00:00,1e999", "load.csv line 2: \"1e999\" is not a finite number"),
            ("time\n2026-01-31 12:00:00", "load.csv line 2: there is no value"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(told), "{error}");
        }
    }
}
