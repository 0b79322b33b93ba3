//! Learning a pattern.

use super::super::time::Timestamp;
use super::bins::{BIN, PER_DAY, day_of, local_bin};
use super::days::Days;
use super::errors::Errors;
use super::history::History;
use super::lesson::Lesson;
use super::pattern::Pattern;
use super::profile::Shape;
use std::sync::Arc;

/// Bins that must be known before there is a pattern: two days.
const LEAST_KNOWN: usize = 2 * PER_DAY;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Learned {
    /// Too little is known yet: this share, from 0 to 1, of the two days that it takes.
    Learning {
        /// What is known of two days.
        share: f64,
        /// Only values from before this time were used.
        through: Timestamp,
    },
    /// A pattern.
    Pattern(Arc<Pattern>),
}

impl Learned {
    /// What it was learned from ends here.
    pub fn through(&self) -> Timestamp {
        match self {
            Self::Learning { through, .. } => *through,
            Self::Pattern(pattern) => pattern.through(),
        }
    }
}

/// Finds the pattern of `history`: that of the shape that would have been nearest to what came, over the last two weeks.
/// 35 days take some 20 ms and a few hundred kilobytes.
pub fn learn(history: &History, lesson: &Lesson) -> Learned {
    let days = Days::new(history, lesson.through, &lesson.zone);
    let share = (days.known() as f64 / LEAST_KNOWN as f64).min(1.0);
    if share < 1.0 {
        return Learned::Learning { share, through: lesson.through };
    }
    let lead = u16::try_from(lesson.lead.as_secs() / BIN.as_secs()).unwrap_or(u16::MAX);
    let tried = Shape::ALL.into_iter().filter_map(|shape| {
        let is_old_enough = days.end_day() - days.first_day() > shape.least_days();
        let errors = is_old_enough.then(|| Errors::learn(&days, shape, lesson.quantile, lead))??;
        Some((shape, errors))
    });
    let best = tried.min_by(|(_, one), (_, other)| one.error.total_cmp(&other.error));
    let today = day_of(local_bin(&lesson.zone, lesson.through));
    match best {
        Some((shape, errors)) => Learned::Pattern(Arc::new(Pattern::new(&days, today, shape, errors, lesson))),
        None => Learned::Learning { share: 0.99, through: lesson.through },
    }
}
