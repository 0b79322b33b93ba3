//! The bounds that schedules set at one moment, and the climbs ahead of them.

use jiff::tz::TimeZone;

use super::super::capacity::Capacity;
use super::super::time::Timestamp;
use super::climb::{Due, Pace};
use super::decision::Says;
use super::document::{Policy, RuleKind};
use super::name::Name;
use super::schedule::{Ready, When, Window};
use super::time_words::local;
use super::timer::Timer;

/// What all schedules of a policy say.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    /// What each one says.
    pub says: Vec<(Name, Says, String)>,
    /// The least capacity.
    pub min: Option<Bound>,
    /// The largest capacity.
    pub max: Option<Bound>,
    /// What contradicts what, as a sentence.
    pub contradiction: Option<String>,
    dues: Vec<(Name, Due)>,
}

/// A bound and the window that sets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The capacity.
    pub units: Capacity,
    /// The rule.
    pub rule: Name,
    /// Why it counts, as a sentence fragment.
    pub detail: String,
    is_once: bool,
}

/// Asks all windows of `policy`. `first_change_at` is when the next change can be sent at the earliest.
pub fn windows(policy: &Policy, pace: &Pace, first_change_at: Timestamp, now: Timestamp, timer: &mut Timer) -> Windows {
    let mut windows = Windows::default();
    let (mut mins, mut maxes, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for rule in &policy.rules {
        let RuleKind::Schedule(window) = &rule.kind else { continue };
        let zone = zone_of(&window.when);
        let is_once = matches!(window.when, When::Once(_));
        let name = &rule.name;
        let bound = |units, detail| Bound { units, rule: name.clone(), detail, is_once };
        let next = window.when.next_after(now);
        if let Some(next) = next {
            timer.note(next.opens);
        }
        if let Some(open) = window.when.open_at(now) {
            timer.note(open.closes);
            let when = format!("until {}", local(open.closes, &zone, now));
            mins.extend(window.min.map(|min| bound(min, format!("{name} needs {min} {when}"))));
            maxes.extend(window.max.map(|max| bound(max, format!("{name} allows {max} {when}"))));
            windows.says.push((rule.name.clone(), Says::Bounds { min: window.min, max: window.max }, when));
            continue;
        }
        let Some(next) = next else {
            let nothing = Says::Bounds { min: None, max: None };
            windows.says.push((rule.name.clone(), nothing, "does not open again".to_owned()));
            continue;
        };
        let opens = local(next.opens, &zone, now);
        let due = due_at(window, next.opens);
        let floor = due.map(|due| pace.floor_ahead(due, first_change_at)).filter(|floor| *floor > Capacity::ZERO);
        if let Some(due) = due {
            windows.dues.push((rule.name.clone(), due));
            if let Some(at) = pace.floor_rises_at(due, first_change_at) {
                timer.note(at);
            }
        }
        let when = match (floor, due) {
            (Some(_), Some(due)) => format!("to have {} at {opens}", due.min),
            _ => format!("opens at {opens}"),
        };
        floors.extend(floor.map(|floor| bound(floor, format!("{name} needs {floor} now {when}"))));
        windows.says.push((rule.name.clone(), Says::Bounds { min: floor, max: None }, when));
    }
    windows.settle(mins, maxes, floors);
    windows
}

fn due_at(window: &Window, opens: Timestamp) -> Option<Due> {
    let min = window.min.filter(|_| window.ready == Ready::Before)?;
    Some(Due { min, at: opens })
}

fn zone_of(when: &When) -> TimeZone {
    match when {
        When::Weekly(weekly) => weekly.zone.clone(),
        When::Cron(cron) => cron.zone.clone(),
        When::Once(_) => TimeZone::UTC,
    }
}

impl Windows {
    /// Of what is open, a window with a date of its own counts before one that recurs. What is ahead counts always: it must
    /// be ready when it opens.
    fn settle(&mut self, mins: Vec<Bound>, maxes: Vec<Bound>, floors: Vec<Bound>) {
        let min = before_recurring(mins).into_iter().chain(floors).max_by_key(|bound| bound.units);
        let max = before_recurring(maxes).into_iter().min_by_key(|bound| bound.units);
        if let (Some(min), Some(max)) = (&min, &max)
            && min.units > max.units
        {
            if min.is_once && !max.is_once {
                self.min = Some(min.clone());
                return;
            }
            self.contradiction = Some(format!(
                "{} asks for at least {} and {} for at most {}: {} counts.",
                min.rule, min.units, max.rule, max.units, max.units
            ));
        }
        self.min = min;
        self.max = max;
    }

    /// The capacity that the way from `from` toward `value` must not leave for now: changes whose cooldowns would make a
    /// window late. A fall ends sooner; a rise that is too small for its cooldown becomes the beginning of the climb. The
    /// first change can be sent at `sent_at`.
    pub fn least_in_time(
        &self,
        pace: &Pace,
        from: Capacity,
        value: Capacity,
        sent_at: Timestamp,
    ) -> Option<(Capacity, String)> {
        let least = self.dues.iter().map(|(rule, due)| {
            let least = if value < from {
                pace.lowest_in_time(from, value, sent_at, *due)
            } else if pace.leaves_time(from, value, sent_at, *due) {
                value
            } else {
                due.min
            };
            (least, rule)
        });
        let (least, rule) = least.max_by_key(|(least, _)| *least)?;
        (least > value).then(|| (least, format!("not below {least} now, or {rule} would be late")))
    }
}

fn before_recurring(bounds: Vec<Bound>) -> Vec<Bound> {
    let has_once = bounds.iter().any(|bound| bound.is_once);
    bounds.into_iter().filter(|bound| bound.is_once || !has_once).collect()
}
