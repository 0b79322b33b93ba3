//! What it takes to learn from the longest history there is, and to try a policy that does so every day on three months.

use std::time::{Duration, Instant};

use scalegate::backtest::{Allowance, PlantSpec, Recording, Setup, Span, play};
use scalegate::domain::forecast::{History, Lesson, learn};
use scalegate::domain::policy::{Policy, Sample, zone};
use scalegate::domain::{Capacity, Timestamp};
use scalegate::policy::Document;
use serde_json::json;

use super::table::Table;

const DAY: u64 = 24 * 60;
const MINUTE: Duration = Duration::from_mins(1);
/// 2027-01-04, a Monday.
const BEGIN: Timestamp = Timestamp::from_millis(1_799_020_800_000);
/// How often each is measured; the median counts.
const TIMES: usize = 5;

/// By the minute: a peak in the afternoon, half as much at weekends, and some noise that is the same in every run.
fn load(minute: u64) -> f64 {
    let hour = (minute as f64 / 1440.0 - 0.6) * std::f64::consts::TAU;
    let weekend = if minute / DAY % 7 >= 5 { 0.5 } else { 1.0 };
    let noise = (minute.wrapping_mul(2_654_435_761) % 97) as f64 / 97.0 - 0.5;
    weekend * (1000.0 + 900.0 * hour.cos()) * (1.0 + 0.1 * noise)
}

fn rows(days: u64) -> impl Iterator<Item = Sample> {
    (0..days * DAY).map(|minute| Sample { at: BEGIN + MINUTE * minute as u32, value: load(minute) })
}

pub fn measure(table: &mut Table) {
    let learning = median(|| {
        let mut history = History::new(MINUTE);
        rows(35).for_each(|row| history.note(row.at, row.value));
        let through = BEGIN + MINUTE * (35 * DAY) as u32;
        let lead = Duration::from_mins(100);
        let zone = zone("Europe/Berlin").expect("a zone");
        std::hint::black_box(learn(&history, &Lesson { through, zone, quantile: 0.9, lead }));
    });
    let row = |seconds: f64| format!("{:.0} ms", seconds * 1000.0);
    table.row("learning from 35 days by the minute, on one core", "", row(learning), "≤ 200 ms");
    let reactive = median(|| backtest(false));
    table.row("backtest of 90 days by the minute, without a forecast", "", row(reactive), "≤ 10 s");
    let ahead = median(|| backtest(true));
    let times = format!("{:.0} × without", ahead / reactive);
    table.row("the same with a forecast that learns every day", times, row(ahead), "≤ 60 s");
}

fn median(mut measured: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..TIMES)
        .map(|_| {
            let begin = Instant::now();
            measured();
            begin.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_unstable_by(f64::total_cmp);
    seconds[TIMES / 2]
}

fn backtest(looks_ahead: bool) {
    let metric = "rps".parse().expect("a name");
    let recordings = [(metric, Recording::new(rows(90).collect()).expect("in order"))].into();
    let span = Span { from: BEGIN, to: BEGIN + MINUTE * (90 * DAY) as u32 };
    let (provisioning, removal, cooldown) = (MINUTE * 5, Duration::ZERO, MINUTE * 5);
    let plant = PlantSpec { provisioning, removal, step_size: 1, cooldown };
    let capacity = Capacity::try_from(5).expect("a small number");
    let resource = "worker".parse().expect("an alias");
    let allowance = Allowance::default();
    let setup = Setup { resource, plant, capacity, learn_from: BEGIN, span, allowance };
    std::hint::black_box(play(&policy(looks_ahead), &recordings, &setup));
}

fn policy(looks_ahead: bool) -> Policy {
    let mut rules = vec![json!({"name": "now", "type": "target", "metric": "rps", "perUnit": 100})];
    if looks_ahead {
        rules.push(json!({"name": "ahead", "type": "forecast", "metric": "rps", "perUnit": 100}));
    }
    let document = json!({"min": 1, "max": 20, "metrics": {"rps": {"source": {"type": "push"}}}, "rules": rules});
    Document::from(document).policy().expect("a policy")
}
