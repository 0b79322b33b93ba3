//! The bounds that schedules set at one moment, and the climbs ahead of them.

use jiff::tz::TimeZone;

use super::super::capacity::Capacity;
use super::super::time::Timestamp;
use super::climb::{Due, Pace};
use super::decision::Says;
use super::document::{Policy, RuleKind};
use super::name::Name;
use super::schedule::{Occurrence, Ready, When, Window};
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
    dues: Vec<Ahead>,
}

/// A capacity that a window needs when it opens.
#[derive(Clone, Debug)]
struct Ahead {
    rule: Name,
    due: Due,
    /// When the window opens, in words.
    opens: String,
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

/// Where a climb ahead of a window begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The capacity, with the change under way.
    pub from: Capacity,
    /// When the next change can be sent at the earliest.
    pub first_change_at: Timestamp,
}

/// Asks all windows of `policy`.
pub fn windows(policy: &Policy, pace: &Pace, start: Start, now: Timestamp, timer: &mut Timer) -> Windows {
    let Start { from, first_change_at } = start;
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
            windows.dues.push(Ahead { rule: rule.name.clone(), due, opens: opens.clone() });
            if let Some(at) = pace.floor_rises_at(due, first_change_at) {
                timer.note(at);
            }
        }
        let late_until = due.and_then(|due| pace.late_until(from, due, first_change_at));
        let (link, when) = match (floor, due, late_until) {
            (Some(_), Some(due), Some(met_at)) => (" but", late(due, met_at, next, &zone, now)),
            (Some(_), Some(due), None) => ("", format!("to have {} at {opens}", due.min)),
            _ => ("", format!("opens at {opens}")),
        };
        floors.extend(floor.map(|floor| bound(floor, format!("{name} needs {floor} now{link} {when}"))));
        windows.says.push((rule.name.clone(), Says::Bounds { min: floor, max: None }, when));
    }
    windows.settle(mins, maxes, floors);
    windows
}

/// That `due` is met only at `met_at`, if at all before the window closes.
fn late(due: Due, met_at: Timestamp, next: Occurrence, zone: &TimeZone, now: Timestamp) -> String {
    let [opens, met_at_words, closes] = [next.opens, met_at, next.closes].map(|at| local(at, zone, now));
    if met_at < next.closes {
        format!("is late: it will have {} at about {met_at_words}, not at {opens}", due.min)
    } else {
        format!("is late: it will have {} neither at {opens} nor before it closes at {closes}", due.min)
    }
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

    /// The capacity that the way from `start` toward `value` must not leave for now: changes whose cooldowns would make a
    /// window late. A fall ends sooner; a rise that is too small for its cooldown becomes the beginning of the
    /// climb.
    pub fn least_in_time(&self, pace: &Pace, start: Start, value: Capacity) -> Option<(Capacity, String)> {
        let Start { from, first_change_at: sent_at } = start;
        let least = self.dues.iter().map(|ahead| {
            let due = ahead.due;
            let least = if value < from {
                pace.lowest_in_time(from, value, sent_at, due)
            } else if pace.leaves_time(from, value, sent_at, due) {
                value
            } else {
                due.min
            };
            (least, ahead)
        });
        let (least, Ahead { rule, due, opens }) = least.max_by_key(|(least, _)| *least)?;
        let late = if pace.late_until(from, *due, sent_at).is_some() { "even later than" } else { "late for" };
        (least > value).then(|| (least, format!("not below {least} now, or {rule} would be {late} {opens}")))
    }
}

fn before_recurring(bounds: Vec<Bound>) -> Vec<Bound> {
    let has_once = bounds.iter().any(|bound| bound.is_once);
    bounds.into_iter().filter(|bound| bound.is_once || !has_once).collect()
}
