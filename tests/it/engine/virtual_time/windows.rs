//! Windows of schedules are ready when they open.

use std::time::Duration;

use serde_json::json;

use super::assert_cooldowns;
use crate::support::world::{World, secs, start_at, worker};
use scalegate::domain::{Op, SettingsOverrides, Timestamp};
use scalegate::engine::{PolicyChangeRequest, Precondition};
use scalegate::policy::Document;
use scalegate::sim::sidecar::{Behaviour, RecordKind};

const BEFORE: u32 = 2;
const WINDOW: u32 = 10;

/// How the resource and its policy are.
#[derive(Clone, Copy, Debug)]
struct Case {
    step_size: u32,
    cooldown: Duration,
    provisioning: Duration,
}

impl Case {
    /// A resource that has gone from [`BEFORE`] to [`WINDOW`] and back, so that it is known how long its steps take.
    fn world(self) -> World {
        let mut world = World::new(Behaviour { provisioning: self.provisioning, ..start_at(BEFORE) });
        for target in [WINDOW, BEFORE] {
            let overrides = SettingsOverrides { cooldown: Some(self.cooldown), ..SettingsOverrides::default() };
            let id = world.submit(target, overrides);
            world.run(id);
        }
        world.run_for(self.cooldown);
        world
    }

    fn put_policy(self, world: &mut World, opens_at: Timestamp) {
        let document = json!({
            "min": BEFORE, "max": 20,
            "rules": [{"name": "window", "type": "schedule", "at": opens_at.to_string(),
                       "until": (opens_at + secs(3600)).to_string(), "min": WINDOW, "ready": "before"}],
            "job": {"stepSize": self.step_size, "cooldownSeconds": self.cooldown.as_secs()}});
        let policy = Document::from(document).policy().expect("a policy");
        let put = PolicyChangeRequest::Put { policy: Box::new(policy), precondition: Precondition::None };
        world.change_policy(&worker(), put);
    }

    /// How long before `opens_at` the resource was ready for the window.
    fn early(self, world: &mut World, opens_at: Timestamp) -> Duration {
        let now = world.now;
        self.put_policy(world, opens_at);
        while world.now < opens_at {
            assert!(world.step(), "{self:?}: nothing is going to happen any more");
        }
        let is_rise =
            |record: &&scalegate::sim::sidecar::Record| record.kind == RecordKind::AddApplied && record.at >= now;
        let model = &mut world.surroundings.sidecar.model;
        let last = model.records(opens_at).iter().rfind(is_rise).cloned();
        let last = last.unwrap_or_else(|| panic!("{self:?}: nothing was added"));
        assert_eq!(last.capacity_after.units(), WINDOW, "{self:?}: too late");
        let ready_at = last.at + self.provisioning;
        assert!(ready_at <= opens_at, "{self:?}: {:?} late", ready_at.since(opens_at));
        opens_at.since(ready_at)
    }
}

/// Never late, and early by no more than a cooldown and a step.
#[test]
fn windows_are_ready_when_they_open() {
    let mut earliest = (Duration::ZERO, None);
    for step_size in [1, 2, 3, 8] {
        for cooldown in [60, 300, 600].map(secs) {
            for provisioning in [10, 60, 299, 301, 400, 900].map(secs) {
                let case = Case { step_size, cooldown, provisioning };
                let mut world = case.world();
                let opens_at = world.now + Duration::from_hours(6);
                let early = case.early(&mut world, opens_at);
                let lane = world.core().lane(&worker()).expect("adopted");
                let step = lane.step_durations().summary(Op::Add).expect("it went up in eight steps").p90;
                assert!(early <= cooldown + step, "{case:?}: {early:?} early");
                assert_cooldowns(&mut world, cooldown);
                earliest = earliest.max((early, Some(step_size)));
            }
        }
    }
    println!("at most {:?} early, with steps of {:?}", earliest.0, earliest.1);
}
