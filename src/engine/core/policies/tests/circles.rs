//! Policies that follow each other in a circle, which only the configuration file can bring about.

use super::*;
use crate::domain::policy::ConditionCode;
use crate::store::Revision;

fn follows(other: &str) -> Value {
    json!({"min": 1, "max": 20, "rules": [{"name": "follow", "type": "follow", "resource": other, "offset": 1}]})
}

/// A stored policy of `resource`.
fn stored(resource: &str, document: &Value) -> AdoptedLane {
    let revision = Revision { number: 1, at: NOW, by: None, document: Some(document.to_string()) };
    let policy = Some(Box::new(PolicyRecord { revision: Some(revision), ..PolicyRecord::default() }));
    AdoptedLane { epoch: 1, record: LaneRecord::new(resource.parse().expect("an alias")), jobs: Vec::new(), policy }
}

impl Scene {
    fn start(&mut self, in_file: &[(&str, Value)], lanes: Vec<AdoptedLane>) {
        let alias = |name: &str| name.parse::<Alias>().expect("an alias");
        let policies = in_file.iter().map(|(name, document)| (alias(name), Arc::from(policy(document.clone()))));
        let scaling = ScalingConfig { policies: policies.collect(), ..ScalingConfig::default() };
        self.core = Core::recover(Arc::new(scaling), Adoption { lanes, ..Adoption::default() }, self.now);
        self.wait(60);
    }

    fn codes_of(&self, resource: &str) -> Vec<ConditionCode> {
        let standing = self.core.standing(&resource.parse().expect("an alias"), self.now);
        standing.policy.expect("a policy").conditions.iter().map(|condition| condition.code).collect()
    }

    fn has_job(&self, resource: &str) -> bool {
        let lane = self.core.lane(&resource.parse().expect("an alias"));
        lane.is_some_and(|lane| lane.jobs().next().is_some())
    }
}

#[test]
fn a_circle_through_the_file_is_told_and_none_of_its_policies_acts() {
    for (in_file, kept) in [
        (vec![("api", follows("worker"))], vec![stored("worker", &follows("api"))]),
        (vec![("api", follows("worker")), ("worker", follows("db")), ("db", follows("api"))], vec![]),
        (vec![("db", follows("worker"))], vec![stored("api", &follows("db")), stored("worker", &follows("api"))]),
    ] {
        let (mut scene, members) = (Scene::new(), in_file.len() + kept.len());
        scene.start(&in_file, kept);
        let [circle] = &scene.circles[..] else { panic!("told once: {:?}", scene.circles) };
        assert_eq!(circle.first(), circle.last());
        for resource in &circle[1..] {
            assert_eq!(scene.codes_of(resource.as_str()), [ConditionCode::FollowsItself], "{circle:?}");
            assert!(!scene.has_job(resource.as_str()), "{resource} of {circle:?}");
        }
        assert_eq!(circle.len(), members + 1);
    }
}

#[test]
fn policies_act_again_when_the_circle_is_broken() {
    let mut scene = Scene::new();
    scene.start(&[("api", follows("worker"))], vec![stored("worker", &follows("api"))]);
    let refused = scene.ask(PolicyChangeRequest::Put {
        policy: policy(json!({"min": 2, "max": 20, "rules": [{"name": "f", "type": "follow", "resource": "api"}]})),
        precondition: Precondition::None,
    });
    assert!(matches!(refused, PolicyAnswer::Refused(PolicyRefusal::FollowsItself { circle }) if circle.len() == 3));
    assert_eq!(scene.ask(PolicyChangeRequest::Delete { precondition: Precondition::None }), PolicyAnswer::Gone);
    scene.wait(2);
    assert_eq!(scene.codes_of("api"), []);
    assert!(scene.has_job("api"), "one more than the 3 of worker");
}

/// In 2⁴⁰ ways, and in none of them back.
#[test]
fn resources_that_follow_each_other_in_many_ways_are_looked_at_once() {
    let two = |layer: u32| {
        let rule = |side: &str| json!({"name": side, "type": "follow", "resource": format!("{side}{}", layer + 1)});
        json!({"min": 1, "max": 20, "rules": [rule("a"), rule("b")]})
    };
    let layers = (0..40).flat_map(|layer| ["a", "b"].map(|side| stored(&format!("{side}{layer}"), &two(layer))));
    let mut scene = Scene::new();
    scene.start(&[], layers.collect());
    assert_eq!(scene.circles, Vec::<Vec<Alias>>::new());
}
