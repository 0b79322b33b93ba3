//! All that is kept of a metric, by the minute: what backtests play and forecasts learn from.

use std::time::Duration;

use super::error::StoreError;
use super::read::{MAX_POINTS, StoreReader};
use crate::domain::policy::{Name, Sample};
use crate::domain::{Alias, Timestamp};

const MINUTE: Duration = Duration::from_mins(1);
/// How much is read at a time, so that others have their turn in between: as many steps of a minute as a series can have.
const PART: Duration = Duration::from_mins(MAX_POINTS as u64 - 1);

/// The mean of each minute of a metric from the minute of `from` to before `to`, as of the minute's beginning.
///
/// # Errors
/// If the store cannot be read.
pub async fn minutes(
    reader: &dyn StoreReader,
    resource: &Alias,
    metric: &Name,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Sample>, StoreError> {
    let mut rows = Vec::new();
    let mut begin = minute_of(from);
    while begin < to {
        let end = (begin + PART).min(to);
        let part = reader.series(resource, metric, begin, end, MINUTE).await?;
        rows.extend(part.points.iter().map(|point| Sample { at: point.at, value: point.mean }));
        begin = end;
    }
    Ok(rows)
}

fn minute_of(at: Timestamp) -> Timestamp {
    let minute = MINUTE.as_millis() as i64;
    Timestamp::from_millis(at.as_millis().div_euclid(minute).saturating_mul(minute))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_begin_with_minutes() {
        assert_eq!(minute_of(Timestamp::from_millis(119_999)), Timestamp::from_millis(60_000));
    }
}
