//! Alerts as claims: repeated notifications, in any order, have the same result.

use super::*;
use crate::domain::KeyId;
use crate::domain::policy::Alert;

const HOUR: Duration = Duration::from_hours(1);

fn key(id: &str) -> Option<Actor> {
    let key: KeyId = id.parse().expect("an id");
    Some(Actor::Key { key, name: id.into() })
}

/// The occurrence of the alert `name` that began so many seconds after the beginning.
fn alert(name: &str, began: u64) -> Alert {
    Alert { fingerprint: name.into(), started_at: NOW + Duration::from_secs(began) }
}

/// What is asked for when an alert fires, by the key `by`.
fn fires(scene: &Scene, alert: Alert, by: Option<Actor>, wanted: i64) -> PolicyChangeRequest {
    let until = scene.now + HOUR;
    let id = u128::from(scene.next_reply) + 1000;
    let claim = Claim { by, until, from: scene.now, created_at: scene.now, ..claim(id, wanted, 3600) };
    PolicyChangeRequest::FireAlert { alert, claim }
}

impl Scene {
    fn fires(&mut self, alert: Alert) -> PolicyAnswer {
        let asked = fires(self, alert, None, 5);
        self.ask(asked)
    }

    fn resolves(&mut self, alert: Alert) -> PolicyAnswer {
        self.ask(PolicyChangeRequest::ResolveAlert(alert))
    }

    /// Until when each claim lasts, in seconds from now.
    fn lasting(&self) -> Vec<u64> {
        self.standing().claims.iter().map(|view| view.claim.until.since(self.now).as_secs()).collect()
    }
}

const NOTHING_TO_END: PolicyAnswer = PolicyAnswer::Refused(PolicyRefusal::NoClaim);

#[test]
fn an_alert_is_one_claim_that_each_notification_renews_and_its_end_ends() {
    let mut scene = Scene::with(by_queue());
    assert!(matches!(scene.fires(alert("a", 0)), PolicyAnswer::Claim(_)));
    scene.wait(600);
    assert_eq!(scene.lasting(), [3000]);
    assert!(matches!(scene.fires(alert("a", 0)), PolicyAnswer::SameClaim(_)));
    assert_eq!(scene.lasting(), [3600]);
    assert!(matches!(scene.fires(alert("b", 0)), PolicyAnswer::Claim(_)));
    assert_eq!(scene.lasting().len(), 2, "another alert is another claim");
    assert_eq!(scene.resolves(alert("a", 0)), PolicyAnswer::Gone);
    assert_eq!(scene.lasting().len(), 1);
    assert_eq!(scene.resolves(alert("a", 0)), NOTHING_TO_END);
}

#[test]
fn a_notification_that_says_nothing_new_writes_nothing() {
    let mut scene = Scene::with(by_queue());
    scene.fires(alert("a", 0));
    let written = scene.units.len();
    scene.wait(30);
    let written_meanwhile = scene.units.len() - written;
    assert!(matches!(scene.fires(alert("a", 0)), PolicyAnswer::SameClaim(_)));
    assert_eq!(scene.units.len() - written, written_meanwhile);
    assert_eq!(scene.lasting(), [3570]);
    scene.wait(40);
    let before = scene.units.len();
    scene.fires(alert("a", 0));
    let claims = |unit: &Unit| unit.policies.iter().any(|change| matches!(change.write, PolicyWrite::Claim(_)));
    assert!(scene.units[before..].iter().any(claims), "a minute later it is renewed");
}

#[test]
fn a_late_notification_does_not_bring_a_resolved_alert_back_and_the_next_occurrence_counts() {
    let mut scene = Scene::with(by_queue());
    // The resolution can also be the first that is heard of.
    assert_eq!(scene.resolves(alert("a", 10)), NOTHING_TO_END);
    for began in [0, 10] {
        assert_eq!(scene.fires(alert("a", began)), PolicyAnswer::Refused(PolicyRefusal::AlertResolved), "{began}");
    }
    assert!(matches!(scene.fires(alert("a", 11)), PolicyAnswer::Claim(_)));
    assert_eq!(scene.resolves(alert("a", 10)), NOTHING_TO_END, "it is of the occurrence before");
    assert_eq!(scene.lasting().len(), 1);
    assert_eq!(scene.resolves(alert("a", 11)), PolicyAnswer::Gone);
    assert_eq!(scene.resolves(alert("a", 5)), NOTHING_TO_END);
    assert_eq!(scene.fires(alert("a", 11)), PolicyAnswer::Refused(PolicyRefusal::AlertResolved), "still");
    scene.wait(3601);
    assert!(matches!(scene.fires(alert("a", 11)), PolicyAnswer::Claim(_)), "it goes on after all");
}

#[test]
fn an_occurrence_whose_resolution_was_lost_goes_over_into_the_next() {
    let mut scene = Scene::with(by_queue());
    scene.fires(alert("a", 0));
    assert!(matches!(scene.fires(alert("a", 20)), PolicyAnswer::SameClaim(_)));
    assert_eq!(scene.resolves(alert("a", 0)), NOTHING_TO_END);
    assert_eq!(scene.resolves(alert("a", 20)), PolicyAnswer::Gone);
}

#[test]
fn a_claim_that_ended_by_itself_is_made_again() {
    let mut scene = Scene::with(by_queue());
    scene.fires(alert("a", 0));
    scene.wait(3601);
    assert_eq!(scene.lasting(), [0; 0]);
    assert!(matches!(scene.fires(alert("a", 0)), PolicyAnswer::Claim(_)));
}

#[test]
fn the_claims_of_two_keys_have_nothing_to_do_with_each_other() {
    let mut scene = Scene::with(by_queue());
    for by in [key("aaaaaaaaaa"), key("bbbbbbbbbb")] {
        let asked = fires(&scene, alert("a", 0), by.clone(), 5);
        assert!(matches!(scene.ask_as(by, asked), PolicyAnswer::Claim(_)));
    }
    // Who asks here has no key.
    assert_eq!(scene.resolves(alert("a", 0)), NOTHING_TO_END);
    assert_eq!(scene.lasting().len(), 2);
}

#[test]
fn units_are_checked_and_can_change() {
    let mut scene = Scene::with(by_queue());
    let max = units(20);
    let asked = fires(&scene, alert("a", 0), None, 21);
    assert_eq!(scene.ask(asked), PolicyAnswer::Refused(PolicyRefusal::ClaimAboveMax { max }));
    scene.fires(alert("a", 0));
    let asked = fires(&scene, alert("a", 0), None, 21);
    assert_eq!(scene.ask(asked), PolicyAnswer::Refused(PolicyRefusal::ClaimAboveMax { max }));
    let asked = fires(&scene, alert("a", 0), None, 7);
    assert!(matches!(scene.ask(asked), PolicyAnswer::SameClaim(_)));
    let claimed: Vec<Capacity> = scene.standing().claims.iter().map(|view| view.claim.units).collect();
    assert_eq!(claimed, [units(7)]);
}

#[test]
fn without_a_policy_that_acts_nothing_is_claimed() {
    let mut scene = Scene::with(in_mode("advise"));
    assert_eq!(scene.fires(alert("a", 0)), PolicyAnswer::Refused(PolicyRefusal::NoActivePolicy));
    let mut scene = Scene::new();
    assert_eq!(scene.fires(alert("a", 0)), PolicyAnswer::Refused(PolicyRefusal::NoActivePolicy));
    assert_eq!(scene.resolves(alert("a", 0)), NOTHING_TO_END);
}
