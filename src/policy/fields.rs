//! The fields of an object while it is read.
//!
//! Asking for a field makes it known; whatever was not asked for when the object ends is an error. So no list of names
//! has to agree with the code that reads them, except that of where misplaced fields belong.

use serde_json::{Map, Value};

use super::problem::{Problems, child};
use super::scalars::kind_of;
use crate::suggest;

/// Where fields belong that may be found elsewhere.
pub(super) const HOMES: &[(&str, &[&str])] = &[
    ("the policy itself", &["mode", "metrics", "rules", "behavior", "idle", "job"]),
    ("a metric", &["source", "intervalSeconds", "maxAgeSeconds", "windowSeconds", "allowNegative"]),
    ("a source of type http, scrape or prometheus", &["url", "headers"]),
    ("a source of type http", &["pointer"]),
    ("a source of type scrape", &["labels", "rate"]),
    ("a source of type scrape or prometheus", &["aggregate"]),
    ("a source of type prometheus", &["query"]),
    ("a rule of type target or forecast", &["perUnit"]),
    ("a rule of type forecast", &["quantile"]),
    ("a rule of type band", &["high", "low"]),
    ("a rule of type utilization", &["target", "tolerance"]),
    ("a rule of type step", &["steps"]),
    ("an entry of steps", &["above", "below", "change"]),
    ("a rule of type follow", &["resource", "ratio", "offset"]),
    ("a rule of type schedule", &["timeZone", "days", "from", "to", "except", "cron", "at", "until", "ready"]),
    ("a rule of type expression", &["expression"]),
    ("a rule with a metric", &["onMissing"]),
    ("onMissing", &["capacity"]),
    ("behavior", &["up", "down"]),
    ("behavior.up or behavior.down", &["stabilizationSeconds", "maxUnits", "maxPercent", "periodSeconds"]),
    ("idle", &["afterSeconds"]),
    (
        "job",
        &[
            "stepSize",
            "cooldownSeconds",
            "activeTimeoutSeconds",
            "pollIntervalSeconds",
            "settleSeconds",
            "deadlineSeconds",
            "expectedChangeSeconds",
        ],
    ),
];

/// A value and where it is.
#[derive(Clone, Debug)]
pub(super) struct Place<'v> {
    pub value: &'v Value,
    pub at: String,
}

/// An object of which fields are being read.
pub(super) struct Fields<'v, 'p> {
    object: &'v Map<String, Value>,
    at: String,
    known: Vec<&'static str>,
    pub problems: &'p mut Problems,
}

impl<'v, 'p> Fields<'v, 'p> {
    /// Those of the object at `place`, if it is one.
    pub fn of(place: &Place<'v>, problems: &'p mut Problems) -> Option<Self> {
        let Value::Object(object) = place.value else {
            problems.add(&place.at, format!("must be an object, not {}", kind_of(place.value)));
            return None;
        };
        Some(Self { object, at: place.at.clone(), known: Vec::new(), problems })
    }

    /// The field `name`, if it is given.
    pub fn given(&mut self, name: &'static str) -> Option<Place<'v>> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.object.get(name).map(|value| Place { value, at: child(&self.at, name) })
    }

    /// The field `name`, which must be given.
    pub fn needed(&mut self, name: &'static str) -> Option<Place<'v>> {
        let given = self.given(name);
        if given.is_none() {
            self.refuse(name, "is required");
        }
        given
    }

    /// Whether the field `name` is given.
    pub fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// The value of the field `name`, which must be given; none if it is wrong.
    pub fn required<T>(&mut self, name: &'static str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        let place = self.needed(name)?;
        self.kept(&place, read)
    }

    /// The value of the field `name`, if it is given; none if it is wrong.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<Option<T>> {
        match self.given(name) {
            Some(place) => self.kept(&place, read).map(Some),
            None => Some(None),
        }
    }

    /// The value of the field `name`, or `default` if it is not given; none if it is wrong.
    pub fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.optional(name, read).map(|given| given.unwrap_or(default))
    }

    fn kept<T>(&mut self, place: &Place, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        read(place.value).map_err(|detail| self.problems.add(&place.at, detail)).ok()
    }

    /// Notes that the field `name` is wrong.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.problems.add(child(&self.at, name), detail);
    }

    /// Notes that the object as a whole is wrong.
    pub fn refuse_all(&mut self, detail: impl Into<String>) {
        self.problems.add(&self.at, detail);
    }

    /// Refuses the field `name` if it is given: a field that belongs to another form of the object.
    pub fn forbid(&mut self, name: &'static str, detail: &str) {
        if self.has(name) {
            self.refuse(name, detail);
        }
    }

    /// Ends the reading: notes every field that is not known.
    pub fn end(mut self) {
        let unknown: Vec<&String> = self.object.keys().filter(|name| !self.known.contains(&name.as_str())).collect();
        for name in unknown {
            let detail = self.unknown(name);
            self.refuse(name, detail);
        }
    }

    fn unknown(&self, name: &str) -> String {
        let home = HOMES.iter().find(|(_, fields)| fields.contains(&name));
        match home {
            Some((home, _)) => format!("belongs into {home}"),
            None => format!("is unknown; {}", suggest::hint(name, &self.known, "")),
        }
    }
}
