//! Predictions that callers push.

use super::*;
use crate::domain::policy::Name;
use crate::sources::SourceRules;

/// One unit for each 100 that are there or expected.
fn by_prediction() -> Value {
    let mut document = by_queue();
    let ahead = json!({"name": "ahead", "type": "forecast", "metric": "queue", "perUnit": 100, "source": "push"});
    document["rules"].as_array_mut().expect("rules").push(ahead);
    document
}

fn queue() -> Name {
    "queue".parse().expect("a name")
}

impl Scene {
    /// Pushes what is expected so many minutes from now on.
    fn predict(&mut self, minutes: impl IntoIterator<Item = (i64, f64)>) -> PolicyAnswer {
        let at = |minute: i64| Timestamp::from_millis(self.now.as_millis() + minute * 60_000);
        let points = minutes.into_iter().map(|(minute, value)| (at(minute), value)).collect();
        let answer = self.ask(PolicyChangeRequest::Predict { name: queue(), points });
        self.wait(1);
        answer
    }

    /// What the rule that looks ahead says.
    fn says(&self) -> String {
        let decision = self.standing().policy.and_then(|policy| policy.decision).expect("a decision");
        decision.rules.iter().find(|rule| rule.name.as_str() == "ahead").expect("the rule").detail.clone()
    }
}

fn pushed(accepted: u64, ignored: u64) -> PolicyAnswer {
    PolicyAnswer::Pushed { accepted, ignored }
}

#[test]
fn a_prediction_is_decided_on_at_once_and_replaced_as_a_whole() {
    let mut scene = Scene::with(by_prediction());
    scene.push(250.0);
    scene.wait(2);
    assert_eq!((scene.says().as_str(), scene.target()), ("no prediction was pushed", None));
    assert_eq!(scene.predict([(10, 900.0), (30, 900.0), (-5, 250.0), (-60, 100.0)]), pushed(3, 1));
    assert!(scene.says().starts_with("900 at 100 per unit needs 9 at "), "{}", scene.says());
    assert!(scene.target().is_some_and(|target| target > 3), "{:?}", scene.target());
    assert_eq!(scene.predict([(0, 400.0), (60, 400.0)]), pushed(2, 0));
    assert!(scene.says().starts_with("400 at 100 per unit needs 4 at "), "{}", scene.says());
    assert_eq!(scene.predict([(-90, 800.0), (-80, 800.0)]), pushed(0, 2));
    assert!(scene.says().starts_with("400 "), "one that is over changes nothing: {}", scene.says());
    assert_eq!(scene.predict([]), pushed(0, 0));
    assert_eq!(scene.says(), "no prediction was pushed");
}

#[test]
fn a_restart_and_another_document_keep_a_prediction() {
    let mut scene = Scene::with(by_prediction());
    scene.push(250.0);
    scene.predict([(0, 700.0), (300, 700.0)]);
    scene.wait(1);
    scene.restart();
    scene.run(60);
    assert!(scene.says().starts_with("700 "), "{}", scene.says());
    let mut wider = by_prediction();
    wider["max"] = json!(30);
    wider["rules"][1]["perUnit"] = json!(50);
    scene.put(wider);
    scene.wait(2);
    assert!(scene.says().starts_with("700 at 50 per unit needs 14"), "{}", scene.says());
    assert_eq!(scene.kept.predictions.len(), 1);
    scene.predict([]);
    scene.wait(1);
    assert_eq!(scene.kept.predictions.len(), 0);
    scene.restart();
    scene.run(60);
    assert_eq!(scene.says(), "no prediction was pushed");
}

fn without_queue() -> Value {
    json!({"min": 1, "max": 20, "metrics": {"rps": {"source": {"type": "push"}}},
           "rules": [{"name": "rps", "type": "target", "metric": "rps", "perUnit": 100}]})
}

#[test]
fn a_prediction_goes_with_its_metric_and_with_the_policy() {
    let mut scene = Scene::with(by_prediction());
    scene.predict([(0, 700.0), (300, 700.0)]);
    scene.wait(1);
    let kept = scene.kept.predictions.clone();
    assert_eq!(kept.len(), 1);
    scene.put(without_queue());
    scene.wait(2);
    assert_eq!(scene.kept.predictions.len(), 0);
    scene.put(by_prediction());
    scene.wait(2);
    assert_eq!(scene.says(), "no prediction was pushed");
    // A process that died before it took the prediction away.
    scene.put(without_queue());
    scene.wait(2);
    scene.kept.predictions = kept;
    scene.restart();
    scene.wait(60);
    assert_eq!(scene.kept.predictions.len(), 0);
    scene.put(by_prediction());
    scene.predict([(0, 700.0), (300, 700.0)]);
    scene.ask(PolicyChangeRequest::Delete { precondition: Precondition::None });
    scene.put(by_prediction());
    scene.wait(60);
    assert_eq!(scene.says(), "no prediction was pushed");
}

#[test]
fn what_cannot_be_predicted_is_refused() {
    let mut scene = Scene::new();
    let predict = |name: &str, value: f64| {
        let points = vec![(NOW, 1.0), (NOW + Duration::from_secs(60), value)];
        PolicyChangeRequest::Predict { name: name.parse().expect("a name"), points }
    };
    assert_eq!(scene.ask(predict("queue", 1.0)), PolicyAnswer::Refused(PolicyRefusal::NoPolicy));
    let mut document = by_prediction();
    document["metrics"]["heat"] = json!({"source": {"type": "push"}, "allowNegative": true});
    let source = json!({"type": "scrape", "url": "http://worker:9100/metrics", "metric": "rps"});
    document["metrics"]["rps"] = json!({"source": source});
    let hosts = "worker:9100".parse().expect("a host");
    let sources = SourceRules { hosts, ..SourceRules::default() };
    scene.core = Core::new(Arc::new(ScalingConfig::default()), None).with_sources(sources);
    scene.put(document);
    let name = "queu".parse().expect("a name");
    assert_eq!(scene.ask(predict("queu", 1.0)), PolicyAnswer::Refused(PolicyRefusal::NoMetric { name }));
    let refusal = PolicyRefusal::NegativePrediction { name: queue() };
    assert_eq!(scene.ask(predict("queue", -0.5)), PolicyAnswer::Refused(refusal));
    assert_eq!(scene.ask(predict("heat", -0.5)), pushed(2, 0));
    assert_eq!(scene.ask(predict("rps", 0.0)), pushed(2, 0), "a metric that is pulled");
}
