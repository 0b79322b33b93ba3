//! `kill -9` on the real binary in every phase of a group's life, with changes of two members in one request and
//! everything that can befall it. The simulated sidecar is the referee, as for single jobs.

use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, PATIENCE};
use crate::support::sidecar::{Sidecar, units};
use scalegate::api::view::GroupView;
use scalegate::domain::{Bounds, GroupState, StateName};
use scalegate::sim::sidecar::{Behaviour, Fault, Record, RecordKind};
use serde_json::json;
use tempfile::TempDir;

const COOLDOWN: Duration = Duration::from_millis(1200);
const SETTINGS: [&str; 7] =
    ["--cooldown", "1200ms", "--settle", "800ms", "--poll-interval", "100ms", "--grouped-calls"];
/// Time until the sidecar does what it took on late; less than `settle`.
const LATE: Duration = Duration::from_millis(400);

/// What befalls the request with two changes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Prompt,
    AnswerLost,
    AppliedLate,
    RequestLost,
    /// The first part is refused, the second one done.
    Refused,
}

impl Fate {
    fn sidecar(self) -> Sidecar {
        let mut behaviour = Behaviour { provisioning: Duration::from_millis(300), ..Behaviour::default() };
        match self {
            Self::AppliedLate => behaviour.apply_delay = LATE,
            Self::Refused => behaviour.bounds = Bounds { max: units(3), ..Bounds::NONE },
            Self::Prompt | Self::AnswerLost | Self::RequestLost => {}
        }
        let sidecar = Sidecar::start(behaviour);
        let fault = match self {
            Self::Prompt | Self::Refused => None,
            Self::AnswerLost | Self::AppliedLate => Some(Fault::AnswerLost),
            Self::RequestLost => Some(Fault::RequestLost),
        };
        sidecar.with(|model, _| [None, None, fault].into_iter().for_each(|fault| model.script_change(fault)));
        sidecar
    }
}

/// What a process is killed upon.
struct Phase {
    name: &'static str,
    has_come: fn(&GroupView, &[Record]) -> bool,
}

/// In order of time. Those of the members of the second stage may be one for a process that is killed in the one before.
const PHASES: [Phase; 7] = [
    Phase { name: "accepted", has_come: |_, _| true },
    Phase { name: "first change sent", has_come: |_, changes| !changes.is_empty() },
    Phase { name: "first change read back", has_come: |group, _| capacity(group, "db") > Some(1) },
    Phase { name: "second change sent", has_come: |_, changes| changes.len() > 1 },
    Phase { name: "second stage sent", has_come: |_, changes| changes.len() > 2 },
    Phase {
        name: "second stage read back",
        has_come: |group, _| group.members.iter().any(|member| member.stage == 2 && member.state.is_over()),
    },
    Phase { name: "over", has_come: |group, _| group.state.is_over() },
];

fn capacity(group: &GroupView, resource: &str) -> Option<u32> {
    group.members.iter().find(|member| member.resource == resource)?.current_capacity
}

#[actix_web::test]
async fn with_prompt_answers() {
    one_life_for_each_phase(Fate::Prompt).await;
}

#[actix_web::test]
async fn with_the_answer_lost() {
    one_life_for_each_phase(Fate::AnswerLost).await;
}

#[actix_web::test]
async fn with_changes_applied_late() {
    one_life_for_each_phase(Fate::AppliedLate).await;
}

#[actix_web::test]
async fn with_the_request_lost() {
    one_life_for_each_phase(Fate::RequestLost).await;
}

#[actix_web::test]
async fn with_a_refusal() {
    one_life_for_each_phase(Fate::Refused).await;
}

async fn one_life_for_each_phase(fate: Fate) {
    let (sidecar, dir) = (fate.sidecar(), TempDir::new().expect("a directory"));
    let start = || Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let mut gateway = start();
    let api = if fate == Fate::Refused { json!({"targetCapacity": 5, "stepSize": 4}) } else { json!(2) };
    let body = json!({
        "targets": {"db": 3, "api": api, "worker": 2}, "stages": [["db"], ["api", "worker"]], "onFailure": "continue",
    });
    let answer = gateway.post("/v1/groups", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let path = answer.header("location").expect("where it is").to_owned();
    for phase in &PHASES {
        await_phase(&gateway, &path, &sidecar, phase, fate).await;
        gateway.kill();
        gateway = start();
    }
    judge(fate, &group(&gateway, &path).await, &sidecar);
}

async fn group(gateway: &Gateway, path: &str) -> GroupView {
    let answer = gateway.get(path).await;
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("not a group: {}", answer.text()))
}

async fn await_phase(gateway: &Gateway, path: &str, sidecar: &Sidecar, phase: &Phase, fate: Fate) {
    let begin = Instant::now();
    loop {
        let group = group(gateway, path).await;
        if (phase.has_come)(&group, &sidecar.changes()) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{fate:?}, not \"{}\": {group:#?}", phase.name);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn judge(fate: Fate, group: &GroupView, sidecar: &Sidecar) {
    let changes = sidecar.changes();
    let of = |name: &str| changes.iter().filter(|change| change.alias.as_str() == name).collect::<Vec<_>>();
    let what = || format!("{fate:?}: {group:#?}, {changes:#?}");
    for name in ["db", "api", "worker"] {
        for pair in of(name).windows(2) {
            assert!(pair[1].at.since(pair[0].at) >= COOLDOWN, "{name} within the cooldown, {}", what());
        }
    }
    let counts = [of("db").len(), of("api").len(), of("worker").len()];
    let (state, capacities, expected) = match fate {
        Fate::Prompt | Fate::AnswerLost | Fate::AppliedLate => (GroupState::Succeeded, [3, 2, 2], [2, 1, 1]),
        Fate::RequestLost => (GroupState::Succeeded, [3, 2, 2], [2, 2, 2]),
        // Read back, `api` is changed alone, and that is refused for certain.
        Fate::Refused => (GroupState::Failed, [3, 1, 2], [2, 2, 1]),
    };
    assert_eq!((group.state, true_capacities(sidecar), counts), (state, capacities, expected), "{}", what());
    let at = |name: &str| of(name)[0].at;
    assert_eq!(at("api"), at("worker"), "not one request, {}", what());
    let refused = group.members.iter().filter(|member| member.state == StateName::Failed).count();
    assert_eq!(refused, usize::from(fate == Fate::Refused), "{}", what());
    assert!(changes.iter().all(|change| change.kind == RecordKind::Add), "{}", what());
}

fn true_capacities(sidecar: &Sidecar) -> [u32; 3] {
    let capacity = |name: &str| sidecar.with(|model, now| model.true_capacity(now, &name.parse().expect("an alias")));
    ["db", "api", "worker"].map(|name| capacity(name).units())
}
