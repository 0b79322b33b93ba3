//! Whole lives of a gateway in virtual time, thousands per second, each of which follows from one number.
//!
//! The engine's real core, the real lanes and the real recovery run over a model disk, a model sidecar with every fault
//! a sidecar is known or suspected to have, a wall clock that is set, and clients that submit, cancel, repeat
//! themselves and kill the process at any moment. In a part of the lives policies decide, on metrics that come late, twice,
//! never or wrong, with claims, holds and people's jobs beside them. A referee that knows the truth checks one rule per promise after
//! every event.
//!
//! `LIVES=1000000 cargo test --release --test simulation lives -- --nocapture` lives that many. A failure prints its
//! seed, the shortest life found that fails the same way, and the command that repeats it.

#[path = "../support/mod.rs"]
mod support;

mod coverage;
mod draw;
mod groups;
mod life;
mod policies;
mod referee;
mod sabotage;
mod scenario;
mod shrink;
mod sidecar;

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use coverage::Coverage;
use life::live;
use sabotage::Sabotage;
use scenario::Scenario;
use shrink::shrink;

/// Lives in an ordinary test run without optimisation.
const FEW_LIVES: u64 = 2_000;
/// A broken gateway has to be caught within so many lives.
const LIVES_TO_CATCH: u64 = 3_000;
/// Lives in which a promise was broken once, and how.
const REMEMBERED: [(u64, &str); 4] = [
    (2_548, "a slow reading was taken to prove that a change had not been applied"),
    (10_892, "a lane was forgotten before a commit about it failed, and its job waited for the next restart"),
    (301_368, "the wall's clock was set back while a reading was on its way"),
    (1_156_185, "a change was given up although an earlier job had allowed it more time to settle"),
];

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// What a person needs to know about a life that failed.
fn report(seed: u64, sabotage: Option<Sabotage>) -> String {
    let scenario = shrink(Scenario::from_seed(seed), sabotage);
    let life = live(&scenario, sabotage, true);
    let story = life.story.join("\n");
    let violation = life.violation.unwrap_or_default();
    format!(
        "life {seed} breaks a promise. Cut down to what matters:\n\n{:#?}\n\n{story}\n\n{violation}\n\n\
         again, in full: LIFE={seed} cargo test --release --test simulation one_life -- --nocapture",
        scenario.nature
    )
}

/// Lives `count` lives from `first` on, on all cores; the sum of what befell them, or the first seed that fails.
fn live_many(first: u64, count: u64) -> Result<Coverage, u64> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (next, sum, failed) = (AtomicU64::new(0), Mutex::new(Coverage::default()), Mutex::new(None));
    let work = || {
        let mut coverage = Coverage::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let life = live(&Scenario::from_seed(first + number), None, false);
            if life.violation.is_some() {
                failed.lock().expect("no worker panics").get_or_insert(first + number);
                next.store(count, Ordering::Relaxed);
                break;
            }
            coverage += life.coverage;
        }
        *sum.lock().expect("no worker panics") += coverage;
    };
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    match failed.into_inner().expect("no worker panics") {
        Some(seed) => Err(seed),
        None => Ok(sum.into_inner().expect("no worker panics")),
    }
}

#[test]
fn lives() {
    let count = from_environment("LIVES").unwrap_or(FEW_LIVES);
    let first = from_environment("FIRST_LIFE").unwrap_or(0);
    let begin = Instant::now();
    let coverage = live_many(first, count).unwrap_or_else(|seed| panic!("{}", report(seed, None)));
    let seconds = begin.elapsed().as_secs_f64();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get) as f64;
    println!(
        "{count} lives from {first} on, {seconds:.1} s, {:.0} lives and {:.0} jobs per second and core",
        count as f64 / seconds / cores,
        coverage.lives as f64 / seconds / cores
    );
    print!("{coverage}");
    let missed: Vec<_> = coverage.faults().filter(|(_, times)| *times == 0).map(|(fault, _)| fault).collect();
    assert_eq!(missed, Vec::<String>::new(), "these never happened");
}

#[test]
fn lives_that_broke_a_promise_once() {
    for (seed, what) in REMEMBERED {
        if live(&Scenario::from_seed(seed), None, false).violation.is_some() {
            panic!("again: {what}\n{}", report(seed, None));
        }
    }
}

/// Repeats the life with the number in `LIFE` and tells its story.
#[test]
fn one_life() {
    let Some(seed) = from_environment("LIFE") else { return };
    let life = live(&Scenario::from_seed(seed), None, true);
    println!("{:#?}\n{}", Scenario::from_seed(seed).nature, life.story.join("\n"));
    if life.violation.is_some() {
        panic!("{}", report(seed, None));
    }
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in 0..50 {
        let story = || live(&Scenario::from_seed(seed), None, true).story;
        assert_eq!(story(), story());
    }
}

#[test]
fn every_broken_gateway_is_caught() {
    for sabotage in Sabotage::ALL {
        let caught = (0..LIVES_TO_CATCH).find_map(|seed| {
            let life = live(&Scenario::from_seed(seed), Some(sabotage), false);
            // By the rule that it breaks, not by what follows from that.
            let noticed = life.violation.filter(|violation| violation.starts_with(sabotage.breaks()));
            noticed.map(|violation| (seed, violation))
        });
        let (seed, violation) = caught.unwrap_or_else(|| panic!("{sabotage:?} is not caught"));
        println!("{sabotage:?} is caught in life {seed}: {}", violation.lines().next().unwrap_or_default());
    }
}
