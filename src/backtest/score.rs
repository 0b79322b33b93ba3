//! How good a run was.

use serde::Serialize;

use super::{Level, Need, Run, Span};
use crate::domain::{Op, Timestamp};

const HOUR_MILLIS: f64 = 3_600_000.0;

/// See the module's documentation. Time without a known need counts for nothing, cost included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// Units that were missing, in unit-hours.
    pub unmet_unit_hours: f64,
    /// The same as a share of all units that were needed.
    pub unmet_share: f64,
    /// The share of the time in which units were missing.
    pub under_provisioned_share: f64,
    /// Units that were paid for, in unit-hours.
    pub unit_hours: f64,
    /// Changes that were sent.
    pub changes: usize,
    /// Changes whose direction is not that of the one before.
    pub reversals: usize,
    /// Most units that were paid for at a time.
    pub peak: u32,
}

/// A time in which neither the need nor the level changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// The units that are needed; `None` where no value tells it.
    pub need: Option<u32>,
    /// The units that are there.
    pub level: Level,
}

/// All of `span`, in order; nothing if there are no levels or no needs.
pub fn stretches<'a>(run: &'a Run, needs: &'a [Need], span: Span) -> impl Iterator<Item = Stretch> + 'a {
    let (mut need_at, mut level_at, mut at) = (0, 0, span.from);
    std::iter::from_fn(move || {
        while needs.get(need_at + 1).is_some_and(|next| next.at <= at) {
            need_at += 1;
        }
        while run.levels.get(level_at + 1).is_some_and(|next| next.at <= at) {
            level_at += 1;
        }
        let (need, level) = (needs.get(need_at)?.units, *run.levels.get(level_at)?);
        let next = [needs.get(need_at + 1).map(|next| next.at), run.levels.get(level_at + 1).map(|next| next.at)];
        let to = next.into_iter().flatten().min().unwrap_or(span.to).min(span.to);
        let from = std::mem::replace(&mut at, to);
        (from < to).then_some(Stretch { from, to, need, level })
    })
}

/// Judges `run` by `needs`.
pub fn score(run: &Run, needs: &[Need], span: Span) -> Score {
    let (mut unmet, mut needed, mut paid, mut under, mut judged) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    for Stretch { from, to, need, level } in stretches(run, needs, span) {
        let millis = to.since(from).as_millis() as u64;
        if let Some(units) = need {
            let missing = units.saturating_sub(level.ready);
            unmet += u64::from(missing) * millis;
            needed += u64::from(units) * millis;
            paid += u64::from(level.paid) * millis;
            under += if missing > 0 { millis } else { 0 };
            judged += millis;
        }
    }
    let ops: Vec<Op> = run.changes.iter().map(|change| change.movement.op).collect();
    Score {
        unmet_unit_hours: unmet as f64 / HOUR_MILLIS,
        unmet_share: share(unmet, needed),
        under_provisioned_share: share(under, judged),
        unit_hours: paid as f64 / HOUR_MILLIS,
        changes: ops.len(),
        reversals: ops.windows(2).filter(|pair| pair[0] != pair[1]).count(),
        peak: run.levels.iter().map(|level| level.paid).max().unwrap_or_default(),
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
