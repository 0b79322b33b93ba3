//! Policies that follow other resources.

use super::*;

/// Nothing else has it read: it has no policy and no job.
#[test]
fn a_followed_resource_is_read_also_after_a_restart() {
    let follow =
        json!({"min": 1, "max": 20, "rules": [{"name": "f", "type": "follow", "resource": "api", "offset": 2}]});
    let mut scene = Scene::with(follow);
    assert_eq!(scene.target(), Some(5), "2 more than the 3 of the other one");
    scene.restart();
    scene.capacity = units(4);
    scene.wait(60);
    // The job has its own resource read.
    scene.answer_calls();
    scene.wait(60);
    assert_eq!(scene.target(), Some(6));
}
