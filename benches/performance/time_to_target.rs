//! How long scaling takes, in virtual time, against the least that is possible.

use std::time::Duration;

use scalegate::domain::SettingsOverrides;
use scalegate::sim::sidecar::Behaviour;

use super::support::world::World;
use super::table::Table;

const COOLDOWN: Duration = Duration::from_secs(300);

pub fn measure(table: &mut Table) {
    let (ratio, took, reads) = scale(Duration::from_secs(60), 3);
    table.row(
        "1 → 3, 60 s of provisioning, 300 s of cooldown, in virtual time",
        "360 s, the least possible",
        format!("{:.1} s = {ratio:.3} ×, {reads:.0} readings a step", took.as_secs_f64()),
        "≤ 1.02 ×",
    );
    let mut worst = (0.0, String::new());
    for seconds in [10, 30, 45, 60, 90, 120, 240, 299, 300, 301, 450, 600] {
        for to in [2, 3, 5] {
            let (ratio, _, reads) = scale(Duration::from_secs(seconds), to);
            if ratio > worst.0 {
                worst = (ratio, format!("1 → {to}, {seconds} s of provisioning, {reads:.0} readings a step"));
            }
        }
    }
    let (ratio, what) = worst;
    let grid = "a grid around it: 10 to 600 s of provisioning, 1 → 2, 3 and 5";
    table.row(grid, "the least possible", format!("at most {ratio:.3} × ({what})"), "≤ 1.02 ×");
}

/// How long a job takes compared with the least time, in all, and the readings for each of its steps.
fn scale(provisioning: Duration, to: u32) -> (f64, Duration, f64) {
    // Resources have one unit at the beginning.
    let behaviour = Behaviour { provisioning, ..Behaviour::default() };
    let mut world = World::new(behaviour);
    let overrides = SettingsOverrides { cooldown: Some(COOLDOWN), ..SettingsOverrides::default() };
    let id = world.submit(to, overrides);
    let job = world.run(id);
    let took = job.finished_at.expect("it is over").since(job.created_at);
    let steps = to - 1;
    let least = COOLDOWN.max(provisioning) * (steps - 1) + provisioning;
    (took.as_secs_f64() / least.as_secs_f64(), took, world.surroundings.reads as f64 / f64::from(steps))
}
