//! What Alertmanager's webhook sends, and what each alert in it asks for.
//!
//! It must accept every notification of Alertmanager, those of later releases too: unknown members are ignored, and an invalid
//! alert is skipped alone. Rejected: to refuse the whole notification, because Alertmanager would not send it again,
//! and one wrong label would keep all alerts of the group from being heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::submission::number;
use crate::domain::policy::{Alert, Claim, ClaimKind};
use crate::domain::{Actor, Alias, Capacity, Timestamp};

/// The label that names the resource.
const RESOURCE_LABEL: &str = "scalegate_resource";
/// The label that says how many units are needed.
const UNITS_LABEL: &str = "scalegate_units";
/// How long a claim lasts that no further notification renews.
const CLAIM_LASTS: Duration = Duration::from_hours(1);
/// Longest fingerprint, in bytes. Alertmanager's have 16.
const MAX_FINGERPRINT_BYTES: usize = 64;
/// Longest name of an alert that is kept, and longest note.
const MAX_OWNER_BYTES: usize = 100;
const MAX_REASON_BYTES: usize = 500;

/// A notification of Alertmanager's webhook, version 4. Members that are not listed here are ignored.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertmanagerNotification {
    /// The alerts of the group.
    pub alerts: Vec<AlertmanagerAlert>,
    /// How many alerts Alertmanager left out because of its `max_alerts`.
    #[serde(deserialize_with = "number::whole")]
    pub truncated_alerts: Option<i64>,
}

/// An alert in a notification. Members that are not listed here are ignored.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertmanagerAlert {
    /// `firing` or `resolved`.
    #[schema(example = "firing")]
    pub status: String,
    /// The labels. `scalegate_resource` names the resource, `scalegate_units` says how many units it needs; `alertname` becomes the
    /// owner of the claim.
    pub labels: BTreeMap<String, String>,
    /// The annotations. `summary` becomes the reason of the claim.
    pub annotations: BTreeMap<String, String>,
    /// When the alert began to fire, a time as in RFC 3339. An alert with another text is skipped.
    pub starts_at: String,
    /// Identifies the alert by its labels.
    #[schema(example = "c5e1a0b3f7d29846")]
    pub fingerprint: String,
}

/// What an alert asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It fires: a claim of so many units.
    Claim {
        /// How many units.
        units: Capacity,
        /// The name of the alert.
        owner: Option<Arc<str>>,
        /// Its summary.
        reason: Option<Arc<str>>,
    },
    /// It is resolved.
    End,
}

/// An alert that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAlert {
    /// The resource that it is about.
    pub resource: Alias,
    /// Which alert it is.
    pub alert: Alert,
    /// What it asks for.
    pub wish: Wish,
}

impl AlertmanagerAlert {
    /// What the alert is about, and what it asks for.
    ///
    /// # Errors
    /// Why it makes no sense, in a sentence.
    pub fn parse(&self) -> Result<KnownAlert, String> {
        let resource = self.label(RESOURCE_LABEL)?;
        let resource = resource.parse().map_err(|why| format!("The label {RESOURCE_LABEL} {why}."))?;
        if self.fingerprint.is_empty() || self.fingerprint.len() > MAX_FINGERPRINT_BYTES {
            return Err(format!("The fingerprint must have 1 to {MAX_FINGERPRINT_BYTES} bytes."));
        }
        let started_at = self.starts_at.parse::<jiff::Timestamp>();
        let started_at = started_at.map_err(|_| "startsAt must be a time like 2026-01-31T12:00:00Z.".to_owned())?;
        let started_at = Timestamp::from_millis(started_at.as_millisecond());
        let wish = match self.status.as_str() {
            "firing" => self.claim()?,
            // Which units it asked for does not matter any more.
            "resolved" => Wish::End,
            _ => return Err("The status must be firing or resolved.".to_owned()),
        };
        Ok(KnownAlert { resource, alert: Alert { fingerprint: self.fingerprint.as_str().into(), started_at }, wish })
    }

    fn claim(&self) -> Result<Wish, String> {
        let units = self.label(UNITS_LABEL)?.parse::<u32>().ok().and_then(|units| Capacity::new(units.into()).ok());
        let units = units.filter(|units| *units > Capacity::ZERO);
        let units =
            units.ok_or_else(|| format!("The label {UNITS_LABEL} must be a whole number between 1 and 1000000."))?;
        let owner = self.labels.get("alertname").and_then(|name| kept(name, MAX_OWNER_BYTES));
        let reason = self.annotations.get("summary").and_then(|summary| kept(summary, MAX_REASON_BYTES));
        Ok(Wish::Claim { units, owner, reason })
    }

    fn label(&self, name: &str) -> Result<&str, String> {
        self.labels.get(name).map(String::as_str).ok_or_else(|| format!("The label {name} is missing."))
    }
}

impl Wish {
    /// The claim that a firing alert asks for, by `by`.
    pub fn claim(self, by: Option<Actor>, now: Timestamp) -> Option<Claim> {
        let Self::Claim { units, owner, reason } = self else { return None };
        let (id, kind, until) = (Uuid::now_v7(), ClaimKind::AtLeast, now + CLAIM_LASTS);
        Some(Claim { id, units, kind, from: now, until, owner, reason, by, created_at: now, alert: None })
    }
}

/// As much of `text` as may be kept, without what could command a terminal.
fn kept(text: &str, most_bytes: usize) -> Option<Arc<str>> {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.trim().chars().map(plain).collect();
    let end = text.floor_char_boundary(most_bytes);
    (end > 0).then(|| text[..end].into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn alert(changes: Value) -> AlertmanagerAlert {
        let mut alert = json!({
            "status": "firing",
            "labels": {"alertname": "QueueLong", "scalegate_resource": "worker", "scalegate_units": "5"},
            "annotations": {"summary": "812 jobs wait"}, "startsAt": "2026-01-31T12:00:00.5Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus/graph", "fingerprint": "c5e1a0b3f7d29846",
        });
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Object(members) => {
                    members.iter().for_each(|(member, value)| alert[name][member] = value.clone())
                }
                value => alert[name] = value.clone(),
            }
        }
        // A label that is null is one that is not there.
        alert["labels"].as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        serde_json::from_value(alert).expect("an alert")
    }

    #[test]
    fn an_alert_is_a_claim_or_its_end() {
        let known = alert(json!({})).parse().expect("it makes sense");
        assert_eq!(known.resource.as_str(), "worker");
        assert_eq!(known.alert.started_at, Timestamp::from_millis(1_769_860_800_500));
        let units = Capacity::new(5).expect("small");
        let expected = Wish::Claim { units, owner: Some("QueueLong".into()), reason: Some("812 jobs wait".into()) };
        assert_eq!(known.wish, expected);
        let now = Timestamp::from_millis(0);
        let claim = known.wish.claim(None, now).expect("a claim");
        assert_eq!((claim.kind, claim.until.since(now)), (ClaimKind::AtLeast, Duration::from_hours(1)));
        let resolved = alert(json!({"status": "resolved", "labels": {"scalegate_units": "many"}}));
        assert_eq!(resolved.parse().map(|known| known.wish), Ok(Wish::End));
    }

    #[test]
    fn an_alert_that_makes_no_sense_says_why() {
        for (changes, why) in [
            (json!({"labels": {"scalegate_resource": null}}), "The label scalegate_resource is missing."),
            (json!({"labels": {"scalegate_resource": "../x"}}), "The label scalegate_resource must begin with"),
            (json!({"labels": {"scalegate_units": null}}), "The label scalegate_units is missing."),
            (json!({"labels": {"scalegate_units": "0"}}), "must be a whole number between 1 and 1000000."),
            (json!({"labels": {"scalegate_units": "-1"}}), "must be a whole number between 1 and 1000000."),
            (json!({"labels": {"scalegate_units": "2.5"}}), "must be a whole number between 1 and 1000000."),
            (json!({"labels": {"scalegate_units": "4294967297"}}), "must be a whole number between 1 and 1000000."),
            (json!({"status": "pending"}), "The status must be firing or resolved."),
            (json!({"startsAt": "yesterday"}), "startsAt must be a time"),
            (json!({"fingerprint": ""}), "The fingerprint must have"),
            (json!({"fingerprint": "x".repeat(65)}), "The fingerprint must have"),
        ] {
            let told = alert(changes).parse().expect_err("no sense");
            assert!(told.contains(why), "{told}");
        }
        assert!(AlertmanagerAlert::default().parse().is_err());
    }

    #[test]
    fn texts_are_cut_and_made_plain() {
        let long = alert(json!({"annotations": {"summary": format!("a\u{1b}[2J\n{}", "é".repeat(400))}}));
        let Ok(KnownAlert { wish: Wish::Claim { reason: Some(reason), .. }, .. }) = long.parse() else {
            panic!("it makes sense")
        };
        assert!(reason.starts_with("a [2J é") && reason.len() <= MAX_REASON_BYTES, "{reason}");
        let empty = alert(json!({"annotations": {"summary": " \n"}}));
        assert!(matches!(empty.parse().map(|known| known.wish), Ok(Wish::Claim { reason: None, .. })));
    }
}
