//! What schedules will do: the list for an outlook and for checks of a document.

use jiff::tz::TimeZone;

use super::super::super::capacity::Capacity;
use super::super::super::time::Timestamp;
use super::super::document::{Rule, RuleKind};
use super::super::name::Name;
use super::{Occurrence, When, Window};

/// The beginning or the end of a window. Occurrences that overlap or adjoin have neither between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// The same in the time zone of the window, with the offset: RFC 3339. Of a window between two instants, in UTC.
    pub local: String,
    /// The rule.
    pub rule: Name,
    /// Whether the window opens or closes.
    pub opens: bool,
    /// Its least capacity.
    pub min: Option<Capacity>,
    /// Its largest capacity.
    pub max: Option<Capacity>,
}

/// What the schedules among `rules` do from `from` until just before `to`: the first `at_most` of it, in the order of
/// time; at the same time first what closes, then in the order of the rules.
pub fn transitions(rules: &[Rule], from: Timestamp, to: Timestamp, at_most: usize) -> Vec<Transition> {
    let mut all = Vec::new();
    for rule in rules {
        if let RuleKind::Schedule(window) = &rule.kind {
            let own = Changes::new(&window.when, from, to).take(at_most);
            all.extend(own.map(|(at, opens)| transition(&rule.name, window, at, opens)));
        }
    }
    all.sort_by_key(|transition| (transition.at, transition.opens));
    all.truncate(at_most);
    all
}

fn transition(rule: &Name, window: &Window, at: Timestamp, opens: bool) -> Transition {
    let local = local_text(&window.when, at);
    Transition { at, local, rule: rule.clone(), opens, min: window.min, max: window.max }
}

fn local_text(when: &When, at: Timestamp) -> String {
    let zone = match when {
        When::Weekly(weekly) => &weekly.zone,
        When::Cron(cron) => &cron.zone,
        When::Once(_) => &TimeZone::UTC,
    };
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(instant) => instant.display_with_offset(zone.to_offset(instant)).to_string(),
        Err(_) => at.to_string(),
    }
}

/// When a window opens and closes.
struct Changes<'a> {
    coming: std::iter::Peekable<Box<dyn Iterator<Item = Occurrence> + 'a>>,
    /// Until when the window is open, as far as has been seen.
    open_until: Option<Timestamp>,
    to: Timestamp,
}

impl<'a> Changes<'a> {
    fn new(when: &'a When, from: Timestamp, to: Timestamp) -> Self {
        let before = Timestamp::from_millis(from.as_millis().saturating_sub(1));
        let open_until = when.open_at(before).map(|occurrence| occurrence.closes);
        Self { coming: when.opening_after(before).peekable(), open_until, to }
    }
}

impl Iterator for Changes<'_> {
    type Item = (Timestamp, bool);

    fn next(&mut self) -> Option<(Timestamp, bool)> {
        let Some(mut open_until) = self.open_until.take() else {
            let occurrence = self.coming.next().filter(|occurrence| occurrence.opens < self.to)?;
            self.open_until = Some(occurrence.closes);
            return Some((occurrence.opens, true));
        };
        while open_until < self.to
            && let Some(next) = self.coming.next_if(|next| next.opens <= open_until)
        {
            open_until = open_until.max(next.closes);
        }
        (open_until < self.to).then_some((open_until, false))
    }
}
