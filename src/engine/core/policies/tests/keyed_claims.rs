//! Claims with an idempotency key.

use super::*;
use crate::store::{NoRoom, Reserved, SubmitKey};

fn keyed(units: i64) -> PolicyRequest {
    let attempt = crate::domain::Attempt { request: None, actor: None, address: None };
    let key = SubmitKey { key: "one".to_owned(), fingerprint: [1; 32] };
    let change = PolicyChangeRequest::Claim(claim(1, units, 3600));
    PolicyRequest { resource: worker(), change, attempt: Some(attempt), key: Some(key) }
}

/// The answer to a claim of which the store says this about its key.
fn answer(scene: &mut Scene, decided: Option<Result<Reserved, NoRoom>>) -> Option<Answer> {
    scene.core.change_policy(keyed(8), 77, scene.now);
    let effects = scene.core.take_effects();
    assert!(matches!(effects[..], [Effect::Reserve(77, _)]), "{effects:?}");
    scene.core.on_reserved(77, decided, scene.now);
    scene.perform();
    scene.answers.pop()
}

#[test]
fn the_key_and_the_claim_are_durable_together() {
    let mut scene = Scene::with(by_queue());
    let Some(Answer::Policy(PolicyAnswer::Claim(view))) = answer(&mut scene, Some(Ok(Reserved::Granted(5)))) else {
        panic!("no claim")
    };
    let unit = scene.units.last().expect("a unit");
    assert_eq!(unit.entries.iter().map(|entry| entry.made).collect::<Vec<_>>(), [view.claim.id]);
    assert_eq!((unit.reservation, unit.policies.len(), unit.audit.len()), (Some(5), 1, 1));

    let (units, made) = (scene.units.len(), view.claim.id);
    let again = answer(&mut scene, Some(Ok(Reserved::Replay { made, joined: false })));
    assert!(matches!(again, Some(Answer::Policy(PolicyAnswer::SameClaim(again))) if again.claim == view.claim));
    assert_eq!((scene.units.len(), scene.standing().claims.len()), (units, 1), "nothing more is made");
    scene.ask(PolicyChangeRequest::EndClaim { id: made, is_admin: true });
    let ended = answer(&mut scene, Some(Ok(Reserved::Replay { made, joined: false })));
    assert_eq!(ended, Some(Answer::Policy(PolicyAnswer::Refused(PolicyRefusal::SameClaimEnded))));
}

#[test]
fn a_refused_claim_gives_its_reservation_back() {
    let mut scene = Scene::with(by_queue());
    let reused = answer(&mut scene, Some(Err(NoRoom::KeyReused)));
    assert_eq!(reused, Some(Answer::Policy(PolicyAnswer::Refused(PolicyRefusal::NoRoom(NoRoom::KeyReused)))));
    scene.core.change_policy(keyed(999_999), 78, scene.now);
    scene.core.take_effects();
    scene.core.on_reserved(78, Some(Ok(Reserved::Granted(6))), scene.now);
    let effects = scene.core.take_effects();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::GiveBack(6))), "{effects:?}");
    let refused = |effect: &Effect| {
        matches!(effect, Effect::Reply(78, Answer::Policy(PolicyAnswer::Refused(PolicyRefusal::ClaimAboveMax { .. }))))
    };
    assert!(effects.iter().any(refused), "{effects:?}");
}
