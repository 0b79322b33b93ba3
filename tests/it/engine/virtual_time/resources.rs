//! Resources that fail or never come to rest, and a sidecar that does not know them or is absent.

use super::assert_reached;
use crate::support::world::{SETTINGS, World, cooldown, defaults, error_code, secs, start_at};
use scalegate::domain::{ErrorCode, WaitReason};
use scalegate::sim::sidecar::Behaviour;

#[test]
fn a_resource_that_never_comes_to_rest_ends_the_job_in_time() {
    let mut world = World::new(Behaviour { never_active: true, ..start_at(1) });
    let id = world.submit(3, cooldown(300));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ActiveTimeout));
    let took = job.finished_at.expect("over").since(job.created_at);
    assert!(took >= SETTINGS.active_timeout && took < SETTINGS.active_timeout + secs(5), "{took:?}");
    assert_eq!(world.changes().len(), 1);

    let mut world = World::new(Behaviour { status_at_zero: "DEPLOYING".into(), ..start_at(0) });
    let id = world.submit(1, cooldown(300));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ActiveTimeout));
}

#[test]
fn a_failed_resource_ends_the_job_at_once() {
    let mut world = World::new(Behaviour { status_override: Some("FAILED".into()), ..start_at(1) });
    let id = world.submit(3, cooldown(300));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ResourceFailed));
    assert_eq!(world.changes(), []);

    let mut world = World::new(Behaviour { goal_while_modifying: false, ..start_at(1) });
    let id = world.submit(3, cooldown(300));
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(10));
    world.surroundings.sidecar.model.behaviour_mut().status_override = Some("FAILED".into());
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ResourceFailed));
    assert!(job.finished_at.expect("over").since(job.created_at) < secs(120));
}

#[test]
fn an_unknown_resource_is_reported_soon_and_an_absent_sidecar_late() {
    let known = Some(["other".parse().expect("an alias")].into());
    let mut world = World::new(Behaviour { known, ..start_at(1) });
    let id = world.submit(3, defaults());
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ResourceNotFound));
    assert!(job.finished_at.expect("over").since(job.created_at) < secs(10));

    let mut world = World::new(start_at(1));
    world.surroundings.sidecar.is_down = true;
    let id = world.submit(3, defaults());
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::SidecarUnreachable));
    let took = job.finished_at.expect("over").since(job.created_at);
    assert!(took >= SETTINGS.active_timeout && took < SETTINGS.active_timeout + secs(31), "{took:?}");
    assert!(world.surroundings.reads < 60, "{} reads", world.surroundings.reads);
}

#[test]
fn an_absent_sidecar_that_comes_back_is_forgiven() {
    let mut world = World::new(start_at(1));
    let id = world.submit(3, cooldown(60));
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(3));
    world.surroundings.sidecar.is_down = true;
    world.run_for(secs(600));
    assert_eq!(world.job(id).waiting.as_ref().map(|waiting| waiting.reason), Some(WaitReason::Sidecar));
    world.surroundings.sidecar.is_down = false;
    let job = world.run(id);
    assert_reached(&mut world, &job, 3);
}
