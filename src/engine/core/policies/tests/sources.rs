//! Sources of metrics that may not be asked.

use super::*;
use crate::domain::policy::ConditionCode;

#[test]
fn a_source_that_the_operator_does_not_allow_any_more_is_a_condition() {
    let source = json!({"type": "http", "url": "http://api:8000/stats", "pointer": "/queue"});
    let mut document = by_queue();
    document["metrics"] = json!({"queue": {"source": source}});
    let refused = Scene::new()
        .ask(PolicyChangeRequest::Put { policy: policy(document.clone()), precondition: Precondition::None });
    assert!(matches!(refused, PolicyAnswer::Refused(PolicyRefusal::BeyondLimits { .. })), "not when it is put");
    let mut scene = Scene::with(by_queue());
    if let Some(revision) = &mut scene.kept.revision {
        revision.document = Some(document.to_string());
    }
    scene.restart();
    scene.wait(5);
    let conditions = scene.standing().policy.expect("a policy").conditions;
    let refused = conditions.iter().find(|condition| condition.code == ConditionCode::SourceRefused);
    let detail = &refused.expect("a condition").detail;
    assert!(
        detail.starts_with("A source is not asked, and its metric is missing: /metrics/queue/source/url "),
        "{detail}"
    );
}
