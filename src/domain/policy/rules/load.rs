//! Rules that work out a capacity from one value: `target`, `band`, `utilization`.
//!
//! Each is a function of the value alone while capacity and target stay, so that the values at which it would want another
//! capacity can be told.

use super::super::super::capacity::Capacity;
use super::super::decision::Beyond;
use super::super::document::{Band, Target, Utilization};
use super::super::number_words::number;
use super::number::{exceeds, full_units, plus, rounded_up, units_for};

/// A capacity and the fragment that says why.
pub type Wish = (Capacity, String);

/// A side of a value, and the capacity wanted there.
pub type Turn = (Beyond, Capacity);

pub fn target(rule: &Target, value: f64) -> Wish {
    let wants = units_for(value, rule.per_unit);
    (wants, format!("{} at {} per unit needs {wants}", number(value), number(rule.per_unit)))
}

pub fn target_turns(rule: &Target, value: f64) -> Vec<Turn> {
    let wants = target(rule, value).0;
    let above = (wants < Capacity::MAX).then(|| (Beyond::Above(load_of(wants, rule.per_unit)), plus(wants, 1)));
    let below = (wants > Capacity::ZERO).then(|| {
        let less = plus(wants, -1);
        (Beyond::AtMost(load_of(less, rule.per_unit)), less)
    });
    above.into_iter().chain(below).collect()
}

/// `present` is what there is.
pub fn band(rule: &Band, value: f64, present: Capacity) -> Wish {
    let (wants, needed) = (band_units(rule, value, present), units_for(value, rule.high));
    let [shown, low, high] = [value, rule.low, rule.high].map(number);
    let detail = match wants.cmp(&present) {
        _ if needed > present => format!("{shown} at {high} per unit at most needs {wants}"),
        std::cmp::Ordering::Less => format!("{shown} at {low} per unit at least keeps {wants} busy"),
        _ => format!("{shown} keeps {present} between {low} and {high} per unit"),
    };
    (wants, detail)
}

fn band_units(rule: &Band, value: f64, present: Capacity) -> Capacity {
    let needed = units_for(value, rule.high);
    if needed > present {
        return needed;
    }
    let least = if value > 0.0 { plus(Capacity::ZERO, 1) } else { Capacity::ZERO };
    full_units(value, rule.low).max(needed).max(least).min(present)
}

/// Below what there is a wish grows at whichever of the two ends comes first; from there on only at the upper one.
pub fn band_turns(rule: &Band, value: f64, present: Capacity) -> Vec<Turn> {
    let wants = band_units(rule, value, present);
    let above = (wants < Capacity::MAX).then(|| {
        let more = plus(wants, 1);
        let (filled, needed) = (load_of(more, rule.low), load_of(wants, rule.high));
        let at = if wants < present && filled <= needed { Beyond::AtLeast(filled) } else { Beyond::Above(needed) };
        (at, more)
    });
    let below = (wants > Capacity::ZERO).then(|| {
        let less = plus(wants, -1);
        let (filled, needed) = (load_of(wants, rule.low), load_of(less, rule.high));
        let at = match wants.units() {
            1 => Beyond::AtMost(0.0),
            _ if wants > present || needed < filled => Beyond::AtMost(needed),
            _ => Beyond::Below(filled),
        };
        (at, less)
    });
    above.into_iter().chain(below).collect()
}

/// `capacity` is the real one, at least 1; `present` is what there is.
pub fn utilization(rule: &Utilization, value: f64, capacity: Capacity, present: Capacity) -> Wish {
    let (low, high) = tolerated(rule);
    let [shown, target] = [value, rule.target].map(number);
    if !exceeds(value, high) && !exceeds(low, value) {
        return (present, format!("{shown} is close enough to {target}"));
    }
    let wants = rounded_up(f64::from(capacity.units()) * value / rule.target);
    (wants, format!("{shown} on {capacity} units instead of {target} needs {wants}"))
}

pub fn utilization_turns(rule: &Utilization, value: f64, capacity: Capacity, present: Capacity) -> Vec<Turn> {
    let wants = utilization(rule, value, capacity, present).0;
    let (low, high) = tolerated(rule);
    // The value up to which so many units are wanted where the tolerance does not count.
    let up_to = |units: Capacity| f64::from(units.units()) * rule.target / f64::from(capacity.units().max(1));
    let (above, below) = if exceeds(value, high) {
        let less = plus(wants, -1);
        let down = if exceeds(up_to(less), high) {
            (Beyond::AtMost(up_to(less)), less)
        } else {
            (Beyond::AtMost(high), present)
        };
        ((Beyond::Above(up_to(wants)), plus(wants, 1)), down)
    } else if exceeds(low, value) {
        let up = if exceeds(low, up_to(wants)) {
            (Beyond::Above(up_to(wants)), plus(wants, 1))
        } else {
            (Beyond::AtLeast(low), present)
        };
        (up, (Beyond::AtMost(up_to(plus(wants, -1))), plus(wants, -1)))
    } else {
        let share = |bound: f64| f64::from(capacity.units()) * bound / rule.target;
        let more = plus(full_units(share(high), 1.0), 1);
        let up = if more == wants { (Beyond::Above(up_to(more)), plus(more, 1)) } else { (Beyond::Above(high), more) };
        let fewer = rounded_up(share(low));
        let down = if fewer == wants {
            (Beyond::AtMost(up_to(plus(fewer, -1))), plus(fewer, -1))
        } else {
            (Beyond::Below(low), fewer)
        };
        (up, down)
    };
    [above, below].into_iter().filter(|(_, other)| *other != wants).collect()
}

/// The values between which a value is close enough to the target.
fn tolerated(rule: &Utilization) -> (f64, f64) {
    (rule.target * (1.0 - rule.tolerance), rule.target * (1.0 + rule.tolerance))
}

/// The load of so many units, without the noise of a multiplication: 3 × 0.1 is 0.3.
fn load_of(units: Capacity, per_unit: f64) -> f64 {
    let load = f64::from(units.units()) * per_unit;
    format!("{load:.15e}")
        .parse()
        .map_or(load, |short: f64| if (short - load).abs() <= f64::EPSILON * load { short } else { load })
}
