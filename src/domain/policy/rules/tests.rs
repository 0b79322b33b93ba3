use proptest::prelude::*;

use super::*;
use crate::domain::forecast::{Accuracy, Learned, Prediction, Trust};
use crate::domain::policy::{
    Band, Beyond, Expression, ExpressionRule, Forecast, ForecastSource, Source, Target, Threshold, ThresholdChange,
};

const MINUTES_5: Duration = Duration::from_mins(5);
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn units(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}

fn name() -> Name {
    "load".parse().expect("a name")
}

fn at(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn spec() -> MetricSpec {
    MetricSpec {
        source: Source::Push,
        interval: Duration::from_secs(30),
        max_age: Duration::from_mins(1),
        window: Duration::from_secs(10),
        allow_negative: false,
    }
}

/// A resource and one metric, for one rule.
struct Scene {
    capacity: u32,
    present: u32,
    settled_at: Option<u64>,
    samples: Vec<(u64, f64)>,
    now: u64,
    memory: RuleMemory,
    foreseen: Foreseen,
    wake_at: Option<Timestamp>,
}

impl Scene {
    fn new(capacity: u32, value: f64) -> Self {
        let (samples, memory) = (vec![(0, value)], RuleMemory::default());
        let foreseen = Foreseen::default();
        Self { capacity, present: capacity, settled_at: None, samples, now: 0, memory, foreseen, wake_at: None }
    }

    fn missing(capacity: u32) -> Self {
        Self { samples: Vec::new(), ..Self::new(capacity, 0.0) }
    }

    fn ask(&mut self, kind: RuleKind) -> Recommendation {
        let mut series = Series::default();
        for (second, value) in &self.samples {
            series.insert(Sample { at: at(*second), value: *value }, Series::MAX_SPAN);
        }
        let (spec, now) = (spec(), at(self.now));
        let observed = Observed { spec: &spec, series: &series, state: series.state(&spec, NOW, now) };
        let metrics = BTreeMap::from([(name(), observed)]);
        let followed = BTreeMap::from([("api".parse().expect("an alias"), units(9))]);
        let status = Status::new("ACTIVE");
        let view = View {
            metrics: &metrics,
            followed: &followed,
            capacity: units(self.capacity),
            reached: units(self.capacity),
            status: &status,
            at_rest: true,
            present: units(self.present),
            settled_at: self.settled_at.map(at),
            foreseen: &self.foreseen,
            pace: Pace { step_size: 1, cooldown: MINUTES_5, settle: Duration::ZERO, up: MINUTES_5, down: MINUTES_5 },
            first_change_at: now,
            min: units(1),
            max: units(20),
            now,
        };
        let mut timer = Timer::new(now);
        let rule = Rule { name: name(), kind };
        let said = recommend(&rule, &view, &mut self.memory, &mut timer).expect("no schedule");
        self.wake_at = timer.at();
        said
    }

    fn wants(&mut self, kind: RuleKind) -> Option<u32> {
        self.ask(kind).wants.map(Capacity::units)
    }
}

fn target(per_unit: f64) -> RuleKind {
    RuleKind::Target(Target { metric: name(), per_unit, on_missing: OnMissing::Hold })
}

fn band(low: f64, high: f64) -> RuleKind {
    RuleKind::Band(Band { metric: name(), high, low, on_missing: OnMissing::Hold })
}

fn utilization(target: f64, tolerance: f64) -> RuleKind {
    RuleKind::Utilization(Utilization { metric: name(), target, tolerance, on_missing: OnMissing::Hold })
}

fn expression(text: &str) -> RuleKind {
    let expression = Expression::compile(text).expect("an expression");
    RuleKind::Expression(ExpressionRule { expression, on_missing: OnMissing::Hold })
}

fn step(seconds: u64) -> RuleKind {
    let steps = vec![
        ThresholdChange { threshold: Threshold::Above(0.5), change: 1 },
        ThresholdChange { threshold: Threshold::Above(1.0), change: 3 },
        ThresholdChange { threshold: Threshold::Below(0.1), change: -1 },
    ];
    let breach_time = Duration::from_secs(seconds);
    RuleKind::Step(StepRule { metric: name(), breach_time, steps, on_missing: OnMissing::Hold })
}

#[test]
fn target_wants_the_load_of_the_whole_resource_divided_and_rounded_up() {
    for (value, per_unit, expected) in [
        (812.0, 100.0, 9),
        (900.0, 100.0, 9),
        (900.1, 100.0, 10),
        (0.0, 100.0, 0),
        (1.1, 0.1, 11),
        // A tolerance of 10 % would give 88: it has no place here.
        (89.0, 1.0, 89),
        (2_147_483_648.0, 0.1, 1_000_000),
    ] {
        assert_eq!(Scene::new(88, value).wants(target(per_unit)), Some(expected), "{value} at {per_unit}");
    }
    let said = Scene::new(3, 812.0).ask(target(100.0));
    assert_eq!(said.detail, "812 at 100 per unit needs 9");
    assert_eq!(said.turns, [(Beyond::Above(900.0), units(10)), (Beyond::AtMost(800.0), units(8))]);
    // Twice the load of a unit is no double, and a decision with it could not be kept.
    let said = Scene::new(3, 1.5e308).ask(target(1e308));
    assert_eq!((said.wants, said.turns), (Some(units(2)), vec![(Beyond::AtMost(1e308), units(1))]));
}

#[test]
fn band_moves_no_further_than_its_nearer_end() {
    for (present, value, expected, why) in [
        (3, 250.0, 3, "within"),
        (3, 300.0, 3, "at the upper end"),
        (3, 301.0, 4, "above"),
        (3, 150.0, 3, "at the lower end"),
        (3, 149.0, 2, "below: filled at 50 a unit"),
        (10, 120.0, 2, "far below"),
        (3, 1.0, 1, "one as long as there is load"),
        (3, 0.0, 0, "no load"),
        (0, 0.0, 0, "no load at 0"),
        (0, 1.0, 1, "no division by a capacity of 0"),
        (0, 950.0, 10, "far above"),
    ] {
        assert_eq!(Scene::new(present, value).wants(band(50.0, 100.0)), Some(expected), "{why}");
    }
    assert_eq!(Scene::new(4, 290.0).wants(band(80.0, 100.0)), Some(3), "not below what the upper end needs");
}

#[test]
fn utilization_multiplies_the_real_capacity_and_holds_within_its_tolerance() {
    for (capacity, present, value, expected, why) in [
        (4, 4, 90.0, Some(6), "above"),
        (4, 4, 66.0, Some(4), "at the edge of the tolerance"),
        (4, 8, 60.0, Some(8), "within: what there is"),
        (4, 4, 54.0, Some(4), "at the other edge"),
        (4, 4, 30.0, Some(2), "below"),
        (4, 8, 90.0, Some(6), "the target under way is not multiplied"),
        (0, 0, 90.0, None, "no average of nothing"),
        (0, 5, 90.0, None, "not even with a target"),
    ] {
        let mut scene = Scene { present, ..Scene::new(capacity, value) };
        assert_eq!(scene.wants(utilization(60.0, 0.1)), expected, "{why}");
    }
}

#[test]
fn utilization_does_not_act_twice_on_one_sample_nor_on_an_average_from_before_the_change() {
    let mut scene = Scene::new(4, 90.0);
    assert_eq!(scene.wants(utilization(60.0, 0.1)), Some(6));
    scene = Scene { capacity: 6, present: 6, settled_at: Some(20), now: 21, ..scene };
    assert_eq!(scene.wants(utilization(60.0, 0.1)), Some(6), "the same sample");
    scene.samples.push((29, 90.0));
    scene.now = 29;
    assert_eq!(scene.wants(utilization(60.0, 0.1)), Some(6), "it averages over the time before");
    scene.samples.push((30, 90.0));
    scene.now = 30;
    assert_eq!(scene.wants(utilization(60.0, 0.1)), Some(9), "the first that counts");
    let mut new = Scene { settled_at: Some(20), now: 21, ..Scene::new(4, 90.0) };
    assert_eq!(new.wants(utilization(60.0, 0.1)), None, "without an earlier wish");
}

#[test]
fn a_step_waits_for_its_time_and_asks_once_until_it_has_taken_effect() {
    let mut scene = Scene::new(3, 0.7);
    let ask = |scene: &mut Scene, second: u64, value: f64| {
        scene.samples.push((second, value));
        scene.now = second;
        scene.wants(step(120))
    };
    assert_eq!(ask(&mut scene, 60, 0.7), None);
    assert_eq!(scene.wake_at, Some(at(120)), "time alone completes the breach");
    assert_eq!(ask(&mut scene, 119, 0.7), None);
    assert_eq!(ask(&mut scene, 120, 0.7), Some(4));
    scene.present = 4;
    assert_eq!(ask(&mut scene, 150, 0.7), Some(4), "not once more for the next sample");
    assert_eq!(ask(&mut scene, 170, 1.2), Some(4), "the farther one is not breached for long enough");
    assert_eq!(ask(&mut scene, 230, 1.2), Some(4));
    assert_eq!(ask(&mut scene, 290, 1.2), Some(6), "the farthest one, from what there was at the beginning");
    scene = Scene { capacity: 6, present: 6, settled_at: Some(300), ..scene };
    assert_eq!(ask(&mut scene, 305, 1.2), None, "it took effect, and the average is not new");
    assert_eq!(ask(&mut scene, 310, 1.2), None);
    assert_eq!(ask(&mut scene, 370, 1.2), None);
    assert_eq!(ask(&mut scene, 429, 1.2), None);
    assert_eq!(ask(&mut scene, 430, 1.2), Some(9), "the time begins anew after the window");
    assert_eq!(ask(&mut scene, 431, 0.3), None, "the breach is over");
}

#[test]
fn a_step_removes_units_and_never_more_than_there_are() {
    for (capacity, value, expected) in [(3, 0.05, Some(2)), (1, 0.05, Some(0)), (0, 0.05, None), (3, 0.3, None)] {
        assert_eq!(Scene::new(capacity, value).wants(step(0)), expected, "{value} at {capacity}");
    }
}

#[test]
fn a_gap_in_the_samples_is_no_breach() {
    let mut scene = Scene::new(3, 0.7);
    scene.samples.push((130, 0.7));
    scene.now = 130;
    assert_eq!(scene.wants(step(120)), None);
}

#[test]
fn a_partial_change_neither_ends_a_breach_nor_asks_for_more() {
    let mut scene = Scene::new(3, 1.2);
    assert_eq!(scene.wants(step(0)), Some(6));
    scene = Scene { capacity: 4, present: 6, settled_at: Some(20), now: 21, ..scene };
    assert_eq!(scene.wants(step(0)), Some(6), "no value from after it yet");
    scene.samples.push((40, 1.2));
    scene.now = 40;
    assert_eq!(scene.wants(step(0)), Some(6));
}

#[test]
fn follow_takes_a_share_of_the_other_target() {
    let follow = |resource: &str, ratio, offset| {
        RuleKind::Follow(Follow { resource: resource.parse().expect("an alias"), ratio, offset })
    };
    for (rule, expected, why) in [
        (follow("api", 0.5, 1), 6, "⌈4.5⌉ + 1"),
        (follow("api", 1.0, -12), 0, "never negative"),
        (follow("api", 1e300, 1), 1_000_000, "never wrapped"),
        (follow("db", 1.0, 0), 3, "an unknown target lowers nothing"),
    ] {
        assert_eq!(Scene::new(3, 0.0).wants(rule), Some(expected), "{why}");
    }
}

#[test]
fn an_expression_is_rounded_up_within_what_a_capacity_can_be() {
    for (text, expected) in [
        ("metrics.load / 100.0", Some(9)),
        ("1.1 / 0.1", Some(11)),
        ("-3", Some(0)),
        ("1e300", Some(1_000_000)),
        ("-1e300", Some(0)),
        ("9223372036854775807", Some(1_000_000)),
        ("status == 'ACTIVE' ? target : 0", Some(5)),
        ("metrics.load > 1000.0 ? 9 : null", None),
    ] {
        let mut scene = Scene { present: 5, ..Scene::new(3, 812.0) };
        assert_eq!(scene.wants(expression(text)), expected, "{text}");
        assert!(scene.ask(expression(text)).turns.is_empty());
    }
    assert_eq!(
        Scene::new(3, 812.0).ask(expression("metrics.load / 100.0")).detail,
        "the formula gives 8.12, which makes 9"
    );
    assert_eq!(Scene::new(3, 812.0).ask(expression("null")).detail, "the formula gives null");
}

#[test]
fn an_expression_with_capacity_does_not_act_twice_on_one_sample_nor_on_an_average_from_before_the_change() {
    let rule = || expression("metrics.load > 80.0 ? capacity + 2 : capacity");
    let mut scene = Scene::new(4, 90.0);
    assert_eq!(scene.wants(rule()), Some(6));
    scene = Scene { capacity: 6, present: 6, settled_at: Some(20), now: 21, ..scene };
    assert_eq!(scene.wants(rule()), Some(6), "the same sample");
    scene.samples.push((29, 90.0));
    scene.now = 29;
    assert_eq!(scene.wants(rule()), Some(6), "it averages over the time before");
    scene.samples.push((30, 90.0));
    scene.now = 30;
    assert_eq!(scene.wants(rule()), Some(8), "the first that counts");
    assert_eq!(scene.wants(expression("metrics.load")), Some(90), "without capacity it does not wait");
    let mut new = Scene { settled_at: Some(20), now: 21, ..Scene::new(4, 90.0) };
    assert_eq!(new.wants(rule()), None, "without an earlier wish");
}

#[test]
fn an_expression_with_target_is_worked_out_once_for_each_value() {
    let rule = || expression("metrics.load > 80.0 ? target + 2 : target");
    let mut scene = Scene::new(4, 90.0);
    assert_eq!(scene.wants(rule()), Some(6));
    scene.present = 6;
    assert_eq!(scene.wants(rule()), Some(6), "its own wish moved the target");
    scene.samples.push((10, 90.0));
    scene.now = 10;
    assert_eq!(scene.wants(rule()), Some(8));
}

#[test]
fn an_expression_without_a_result_counts_as_missing_since_it_began() {
    let fallback = OnMissing::Capacity { capacity: units(7), after: Duration::from_mins(2) };
    let compiled = Expression::compile("10 / (capacity - 3)").expect("an expression");
    let rule = || RuleKind::Expression(ExpressionRule { expression: compiled.clone(), on_missing: fallback });
    let mut scene = Scene { present: 5, ..Scene::new(3, 1.0) };
    let said = scene.ask(rule());
    assert_eq!((said.wants, said.lacks_input), (Some(units(5)), true));
    assert_eq!(said.detail, "no result, as it divides by 0, so not below 5");
    assert_eq!(scene.wake_at, Some(at(120)));
    scene.now = 119;
    assert_eq!(scene.wants(rule()), Some(5), "not yet");
    scene.now = 120;
    assert_eq!(scene.wants(rule()), Some(7), "in time");
    scene.capacity = 5;
    assert_eq!(scene.wants(rule()), Some(5), "it has a result again");
    scene = Scene { capacity: 3, now: 130, ..scene };
    assert_eq!(scene.wants(rule()), Some(5), "the time begins anew");
    let said = Scene::missing(5).ask(expression("true ? 1 : metrics.load > 1.0 ? 2 : 3"));
    assert_eq!(said.detail, "load has no value yet, so not below 5", "all its metrics are needed");
    assert!(said.lacks_input);
}

#[test]
fn an_expression_with_the_time_is_worked_out_each_minute() {
    let mut scene = Scene { now: 61, ..Scene::new(3, 1.0) };
    assert_eq!(scene.wants(expression("now.getMinutes()")), Some(1));
    assert_eq!(scene.wake_at, Some(at(120)));
    scene.ask(expression("metrics.load"));
    assert_eq!(scene.wake_at, None, "without it, time changes nothing");
}

#[test]
fn a_missing_metric_counts_as_the_document_says_and_never_as_zero() {
    let fallback = OnMissing::Capacity { capacity: units(7), after: Duration::from_mins(2) };
    for (on_missing, now, expected, why) in [
        (OnMissing::Hold, 0, Some(5), "what there is"),
        (OnMissing::Ignore, 0, None, "no opinion"),
        (fallback, 119, Some(5), "not yet"),
        (fallback, 120, Some(7), "in time"),
        (fallback, 9999, Some(7), "it does not flip back"),
    ] {
        let rule = RuleKind::Target(Target { metric: name(), per_unit: 1.0, on_missing });
        let mut scene = Scene { now, ..Scene::missing(5) };
        let said = scene.ask(rule);
        assert_eq!(said.wants.map(Capacity::units), expected, "{why}");
        assert!(said.lacks_input && said.turns.is_empty() && said.detail.starts_with("load has no value yet"));
        assert_eq!(
            scene.wake_at,
            (now == 119).then(|| at(120)).or((on_missing == fallback && now == 0).then(|| at(120)))
        );
    }
    for kind in [target(1.0), band(1.0, 2.0), utilization(60.0, 0.1), step(0), expression("metrics.load")] {
        for (samples, now) in [(vec![], 0), (vec![(0, f64::NAN)], 0), (vec![(0, 0.0)], 61), (vec![(0, -1.0)], 0)] {
            let mut scene = Scene { samples, now, ..Scene::missing(5) };
            assert_eq!(scene.wants(kind.clone()), Some(5), "{kind:?}");
        }
    }
}

/// At and just beyond each alternative, the rule wants what it says, and up to there what it wants now.
fn alternatives_hold(kind: &RuleKind, capacity: u32, present: u32, value: f64) -> Result<(), TestCaseError> {
    let ask = |value: f64| Scene { present, ..Scene::new(capacity, value) }.ask(kind.clone());
    let said = ask(value);
    for (turn, wants) in &said.turns {
        let (edge, inside, outside) = match *turn {
            Beyond::Above(edge) => (edge, edge, edge * (1.0 + 1e-9) + 1e-9),
            Beyond::AtLeast(edge) => (edge, edge * (1.0 - 1e-9) - 1e-9, edge),
            Beyond::AtMost(edge) => (edge, edge * (1.0 + 1e-9) + 1e-9, edge),
            Beyond::Below(edge) => (edge, edge, edge * (1.0 - 1e-9) - 1e-9),
        };
        prop_assert_eq!(ask(outside).wants, Some(*wants), "{:?} from {}", turn, value);
        prop_assert_eq!(ask(inside).wants, said.wants, "inside {:?} from {}", turn, value);
        let middle = f64::midpoint(edge, value);
        prop_assert_eq!(ask(middle).wants, said.wants, "between {} and {:?}", value, turn);
    }
    Ok(())
}

proptest! {
    #[test]
    fn alternatives_are_where_wishes_change(
        value in (0_u32..4000).prop_map(|tenths| f64::from(tenths) / 10.0), present in 0_u32..12,
        low in 1_u32..40, gap in 0_u32..40, tolerance in 0_u32..50,
    ) {
        let (low, high) = (f64::from(low), f64::from(low + gap));
        alternatives_hold(&target(high), present, present, value)?;
        alternatives_hold(&band(low, high), present, present, value)?;
        let rule = utilization(60.0, f64::from(tolerance) / 100.0);
        alternatives_hold(&rule, present, present, value)?;
    }

    #[test]
    fn no_value_panics_or_wraps(value in prop::num::f64::ANY, per_unit in prop::num::f64::POSITIVE, capacity in 0_u32..=1_000_000) {
        for kind in [target(per_unit), band(per_unit, per_unit), utilization(per_unit, 0.1), step(0)] {
            let wants = Scene::new(capacity, value).wants(kind);
            prop_assert!(wants.is_none_or(|wants| wants <= 1_000_000));
        }
    }
}

fn forecast(source: ForecastSource) -> RuleKind {
    let zone = jiff::tz::TimeZone::UTC;
    let on_missing = OnMissing::Hold;
    RuleKind::Forecast(Forecast { metric: name(), per_unit: 100.0, quantile: 0.7, source, zone, on_missing })
}

/// A load of 250, and a prediction of `load` from `minutes` on, of as much as there is now until then.
fn predicted(present: u32, minutes: u64, load: f64) -> Scene {
    let mut scene = Scene { present, ..Scene::new(present, 250.0) };
    let points = vec![(at(0), 250.0), (at(minutes * 60), load), (at(minutes * 60 + 36_000), load)];
    scene.foreseen.predictions.insert(name(), Prediction::new(points));
    scene
}

#[test]
fn a_climb_to_what_is_predicted_begins_in_time() {
    let kind = || forecast(ForecastSource::Push);
    // From 3 to 10 it takes seven steps of five minutes, and what is due is ready one bin before.
    for (minutes, load, wants) in
        [(60, 950.0, 3), (45, 950.0, 3), (35, 950.0, 5), (20, 950.0, 8), (5, 950.0, 10), (300, 950.0, 3), (5, 9e9, 20)]
    {
        let said = predicted(3, minutes, load).ask(kind());
        assert_eq!(said.wants.map(Capacity::units), Some(wants), "{minutes} min: {}", said.detail);
        assert!(said.raises_only);
    }
    let said = predicted(3, 20, 950.0).ask(kind());
    assert_eq!(said.detail, "950 at 100 per unit needs 10 at 08:20 UTC, so 8 now");
}

#[test]
fn capacity_is_not_given_back_shortly_before_it_is_needed() {
    let kind = || forecast(ForecastSource::Push);
    assert_eq!(predicted(10, 60, 950.0).wants(kind()), Some(5), "as low as there is time to come back from");
    assert_eq!(predicted(10, 10, 950.0).wants(kind()), Some(10));
}

#[test]
fn without_anything_to_go_by_a_forecast_has_no_opinion() {
    let mut scene = Scene::new(3, 250.0);
    assert_eq!(scene.ask(forecast(ForecastSource::Push)).detail, "no prediction was pushed");
    assert_eq!(scene.ask(forecast(ForecastSource::Learned)).detail, "its history is being read");
    let share = 0.319;
    scene.foreseen.learned.insert(name(), Learned::Learning { share, through: NOW });
    let said = scene.ask(forecast(ForecastSource::Learned));
    assert_eq!((said.wants, said.detail.as_str()), (None, "learning: 31 % of two days"));
    scene.foreseen.predictions.insert(name(), Prediction::new(vec![(NOW - MINUTES_5, 1.0), (NOW, 1.0)]));
    scene.now = 301;
    scene.samples.push((301, 250.0));
    assert_eq!(scene.ask(forecast(ForecastSource::Push)).detail, "the prediction has ended");
}

#[test]
fn a_pattern_that_was_relied_on_is_waited_for_after_a_restart() {
    let mut scene = Scene::new(3, 250.0);
    scene.memory.forecast = Some(ForecastMemory { trust: Trust::given(NOW), through: Some(NOW) });
    let said = scene.ask(forecast(ForecastSource::Learned));
    assert_eq!((said.wants, said.lacks_input, said.raises_only), (Some(units(3)), true, false), "{}", said.detail);
    scene.memory.forecast = Some(ForecastMemory {
        trust: Trust::tried(Accuracy { error: 1.0, naive_error: 1.0, coverage: 0.7 }, NOW),
        through: Some(NOW),
    });
    assert_eq!(scene.wants(forecast(ForecastSource::Learned)), None);
}

#[test]
fn a_prediction_that_is_always_wrong_is_not_trusted_any_more() {
    let mut scene = predicted(3, 1, 5000.0);
    let points = (0..2000).map(|nth| (at(nth * 300), 5000.0)).collect();
    scene.foreseen.predictions.insert(name(), Prediction::new(points));
    let mut distrusted_after = None;
    for nth in 0..150 {
        scene.now = nth * 300;
        scene.samples = vec![(scene.now, 250.0 + nth as f64)];
        let said = scene.ask(forecast(ForecastSource::Push));
        if said.wants.is_none() {
            assert!(said.detail.starts_with("distrusted"), "{}", said.detail);
            distrusted_after.get_or_insert(nth / 12);
        }
    }
    assert!(distrusted_after.is_some_and(|hours| (3..6).contains(&hours)), "{distrusted_after:?}");
}
