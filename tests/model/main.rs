//! Jobs and lists against a model that says what callers are promised.
//!
//! The first test does random operations to a real gateway — submissions of all kinds, with and without idempotency
//! keys, cancellations, lists, walks from page to page while other things happen, answers of the sidecar, restarts —
//! and after each of them its answers, all its jobs and what reached the sidecar must be what the model says. The other
//! tests let several clients loose at once, where no model can tell the order of things, but what they see must fit
//! together.
//!
//! `MODEL_CASES` sets the number of sequences; for a thorough search, `MODEL_CASES=5000 cargo test --test model`. A
//! failure prints the shortest sequence found that fails, and, as `MODEL_SEED`, what brings the same sequences again:
//! `MODEL_SEED=… cargo test --test model`. What several clients do is the same again too, but not how it is
//! interleaved.

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod plans;
mod play;
mod reference;
mod sidecar;
mod system;

use scalegate::domain::StateName;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use actix_web::rt::System;
use crowd::{Scene, act_all, race, scripts};
use plans::Plans;
use play::{Essence, Play};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use proptest_state_machine::{ReferenceStateMachine as _, StateMachineTest as _};
use reference::Sight;
use serde_json::json;
use support::gateway::Response;
use system::{get, post, text};
use uuid::Uuid;

/// Sequences of operations, unless `MODEL_CASES` says otherwise.
const CASES: u32 = 60;
/// One case for several clients per so many sequences for one.
const CASES_PER_CROWD: u32 = 2;
/// How often clients race each other for the same thing.
const RACES: usize = 10;
/// Operations in one of them.
const LENGTH: std::ops::Range<usize> = 10..60;
/// Most attempts to find a shorter sequence that fails, and most milliseconds for them.
const MAX_SHRINK_ITERS: u32 = 1000;
const MAX_SHRINK_MILLIS: u32 = 120_000;

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

fn cases() -> u32 {
    number("MODEL_CASES").unwrap_or(CASES)
}

fn config(cases: u32) -> Config {
    let seed = number("MODEL_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("MODEL_SEED={seed}");
    Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: MAX_SHRINK_ITERS,
        max_shrink_time: MAX_SHRINK_MILLIS,
        failure_persistence: None,
        ..Config::default()
    }
}

#[test]
fn whatever_is_asked_the_answer_is_the_models() {
    let config = config(cases());
    TestRunner::new(config.clone())
        .run(&Plans::sequential_strategy(LENGTH), |(model, operations, seen)| {
            Play::test_sequential(config.clone(), model, operations, seen);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// No reader ever sees a job go back or change after its end, two readers never see different things in one version,
/// lists and single jobs agree, whatever was accepted is there, and a key has one answer.
#[test]
fn clients_that_know_nothing_of_each_other_see_the_same() {
    // What is interleaved otherwise each time cannot be made shorter by trying again.
    let config = Config { max_shrink_iters: 0, ..config(cases().div_ceil(CASES_PER_CROWD)) };
    TestRunner::new(config)
        .run(&scripts(), |scripts| {
            act_all(&Scene::start(), &scripts);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

// ---- races ------------------------------------------------------------------------------------------------------

/// Submits for `gamma`, by as many clients as take part, and returns their answers.
fn race_to_submit(scene: &Scene, target: impl Fn(usize) -> usize + Sync, key: Option<&str>) -> Vec<Response> {
    race(async |client| {
        let body = json!({"resource": "gamma", "targetCapacity": target(client)});
        post(scene.address, "/v1/jobs", body.to_string(), key).await
    })
}

/// The answer that is not like the others, which have `status`.
fn the_one_without(status: u16, answers: &[Response]) -> &Response {
    let others: Vec<&Response> = answers.iter().filter(|answer| answer.status != status).collect();
    assert_eq!(others.len(), 1, "{:?}", answers.iter().map(text).collect::<Vec<_>>());
    others[0]
}

/// Cancels the one job of `gamma` from all sides at once: one client succeeds, the others come too late.
fn race_to_cancel(scene: &Scene, id: Uuid) {
    let path = format!("/v1/jobs/{id}/cancel");
    let answers = race(async |_| post(scene.address, &path, String::new(), None).await);
    assert_eq!(the_one_without(409, &answers).job().state, StateName::Canceled);
    for late in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!(late.problem().code.as_str(), "job_finished");
    }
}

/// Lets clients race for the same thing, again and again; `judge` returns the one job that comes of it.
fn races(compete: impl Fn(&Scene, usize) -> Vec<Response>, judge: impl Fn(&[Response]) -> Uuid) {
    let scene = Scene::start();
    // Jobs stay where they are, waiting for their first reading.
    scene.platform.show("gamma", Sight::Nothing);
    for number in 0..RACES {
        let id = judge(&compete(&scene, number));
        race_to_cancel(&scene, id);
        let listed = System::new().block_on(get(scene.address, "/v1/jobs")).json();
        assert_eq!(listed["jobs"].as_array().expect("jobs").len(), number + 1, "one job for each race");
    }
}

#[test]
fn a_key_raced_for_makes_one_job_and_one_answer() {
    let compete = |scene: &Scene, number: usize| race_to_submit(scene, |_| 9, Some(&format!("race {number}")));
    races(compete, |answers| {
        assert!(answers.iter().all(|answer| Essence::of(answer) == Essence::of(&answers[0])), "{answers:#?}");
        let first_hand = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
        assert_eq!((first_hand, answers[0].status), (1, 202));
        answers[0].job().id
    });
}

#[test]
fn a_resource_raced_for_goes_to_one() {
    let compete = |scene: &Scene, _| race_to_submit(scene, |client| 10 + client, None);
    races(compete, |answers| {
        let winner = the_one_without(409, answers);
        assert_eq!(winner.status, 202);
        for loser in answers.iter().filter(|answer| answer.status == 409) {
            let problem = loser.problem();
            assert_eq!(problem.code.as_str(), "resource_busy");
            assert_eq!(problem.job.expect("the winner's job").id, winner.job().id);
        }
        winner.job().id
    });
}

#[test]
fn a_target_raced_for_is_reached_by_one_job() {
    let compete = |scene: &Scene, _| race_to_submit(scene, |_| 9, None);
    races(compete, |answers| {
        let first = the_one_without(200, answers);
        assert_eq!(first.status, 202);
        assert!(answers.iter().all(|answer| answer.job().id == first.job().id), "{answers:#?}");
        first.job().id
    });
}
