//! Windows are ready when they open, also while other rules cause changes.

use super::*;
use crate::domain::policy::{StepRule, Threshold, ThresholdChange};

/// A lane that sends the next step of the policy's job as soon as it can, before the policy is asked again.
struct Busy {
    world: World,
    second: u64,
    /// The change under way, and when it is at rest.
    change: Option<(Capacity, u64)>,
    cooled_at: u64,
    /// When a rise can follow a fall.
    settled_at: u64,
    /// The capacities that changes led to, in order.
    reached: Vec<u32>,
}

impl Busy {
    fn new(world: World) -> Self {
        Self { world, second: 0, change: None, cooled_at: 0, settled_at: 0, reached: Vec::new() }
    }

    fn capacity(&self) -> u32 {
        self.world.capacity.expect("a capacity")
    }

    /// What follows for the job from the time.
    fn work(&mut self) {
        if let Some((to, _)) = self.change.filter(|(_, rest_at)| *rest_at <= self.second) {
            (self.change, self.world.capacity, self.world.status) = (None, Some(to.units()), "ACTIVE");
            self.world.last_effect_at = Some(at(self.second));
            self.reached.push(to.units());
        }
        let (from, pace) = (units(self.capacity()), self.world.pace);
        let Some(job) = self.world.own_job.filter(|_| self.change.is_none()) else { return };
        let Some(step) = crate::domain::Move::toward(from, job.target, pace.step_size) else {
            self.world.own_job = None;
            return;
        };
        if self.second >= self.cooled_at && (step.op == Op::Remove || self.second >= self.settled_at) {
            if step.op == Op::Remove {
                self.settled_at = self.second + pace.settle.as_secs();
            }
            self.cooled_at = self.second + pace.cooldown.as_secs();
            self.change = Some((step.to, self.second + pace.time_of_change(step.op).as_secs()));
            self.world.status = "MODIFYING";
        }
    }

    /// Runs until `end`, with `load` every half minute.
    fn run(&mut self, load: f64, end: u64) {
        while self.second < end {
            if self.second.is_multiple_of(30) {
                self.world.push(self.second, "queue", load);
            }
            self.work();
            self.world.in_flight = self.change.map(|(to, _)| to);
            let rest_at = self.change.map_or(0, |(_, rest_at)| rest_at);
            self.world.next_change_at = Some(at(self.cooled_at.max(self.settled_at).max(rest_at)));
            let outcome = self.world.go(self.second);
            self.work();
            let woken = outcome.wake_at.map(|wake_at| wake_at.since(NOW).as_millis().div_ceil(1000) as u64);
            let rest_at = self.change.map(|(_, rest_at)| rest_at);
            let next = [woken, rest_at, Some(self.cooled_at), Some(self.settled_at), Some((self.second / 30 + 1) * 30)];
            self.second = next.into_iter().flatten().filter(|next| *next > self.second).min().expect("the next load");
        }
        self.second = end;
        self.work();
    }
}

fn by_step() -> Rule {
    let step = |threshold, change| ThresholdChange { threshold, change };
    let kind = RuleKind::Step(StepRule {
        metric: name("queue"),
        breach_time: Duration::from_secs(120),
        steps: vec![step(Threshold::Above(500.0), 1), step(Threshold::Below(100.0), -1)],
        on_missing: OnMissing::Hold,
    });
    Rule { name: name("step"), kind }
}

fn pace(step_size: u32, cooldown: u64, up: u64, down: u64) -> Pace {
    let [cooldown, up, down] = [cooldown, up, down].map(Duration::from_secs);
    Pace { step_size, cooldown, settle: Duration::from_secs(90), up, down }
}

/// The breach of a `step` rule is complete at 120 s, the very moment at which the climb for a window may have to begin. From
/// 3 to 10 by 5 takes 600 s.
#[test]
fn a_step_that_is_due_together_with_a_climb_does_not_delay_it() {
    for (opens, load, capacity, expected, why) in [
        (720, 600.0, 3, 5, "both are due now: a change to 5 begins the climb, one to 4 would not"),
        (721, 600.0, 3, 10, "the climb a second later, when the cooldown of the step would run"),
        (1019, 600.0, 3, 10, "the climb just before that cooldown is over"),
        (1020, 600.0, 3, 4, "after the cooldown there is time for the climb"),
        (9000, 600.0, 3, 4, "the window is far"),
        (719, 50.0, 10, 10, "there is no time to come back"),
        (720, 50.0, 10, 9, "there is just time to come back"),
    ] {
        let rules = vec![by_step(), window("nine", opens, opens + 3600, Some(10), None, Ready::Before)];
        let mut world = World::new(policy(1, 20, rules), capacity);
        world.pace = pace(5, 300, 300, 300);
        for second in (0..=90).step_by(30) {
            world.push(second, "queue", load);
            assert_eq!(world.decided(second), capacity, "{why}: nothing is due after {second} s");
        }
        assert!(world.look(90).wake_at.is_some_and(|wake_at| wake_at <= at(120)), "{why}");
        assert_eq!(world.decided(120), expected, "{why}");
    }
}

/// The same over whole climbs, with rules that want more and less, and platforms of several kinds.
#[test]
fn no_change_makes_a_window_late() {
    let (mut in_time, mut busy_before) = (0, 0);
    for pace in [pace(1, 300, 60, 60), pace(1, 0, 60, 90), pace(4, 120, 300, 200), pace(3, 0, 240, 20)] {
        for (rule, load) in [
            (by_step(), 600.0),
            (by_step(), 50.0),
            (target_rule("queue", OnMissing::Hold), 100.0),
            (target_rule("queue", OnMissing::Hold), 900.0),
        ] {
            for (capacity, opens) in (300..6000).step_by(331).flat_map(|opens| [(4, opens), (10, opens), (15, opens)]) {
                let rules = vec![rule.clone(), window("nine", opens, opens + 3600, Some(10), None, Ready::Before)];
                let mut busy = Busy::new(World { pace, ..World::new(policy(1, 20, rules), capacity) });
                busy.run(load, opens);
                let climb = pace.time_to_climb(units(capacity), units(10));
                if climb > Duration::from_secs(opens) {
                    continue;
                }
                in_time += 1;
                busy_before += usize::from(busy.reached.iter().any(|reached| *reached < capacity.min(10)));
                assert!(
                    busy.capacity() >= 10,
                    "{} at {opens} s after {:?}, with {} and a load of {load}, {pace:?}",
                    busy.capacity(),
                    busy.reached,
                    rule.name
                );
            }
        }
    }
    assert!(in_time > 400 && busy_before > 60, "{in_time} windows, before {busy_before} of them it fell");
}
