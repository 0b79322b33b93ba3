//! Lanes under everything at once: random submissions, cancellations, crashes and faults in virtual time, and the
//! moments between which a lane must not be caught.

mod support;

use std::time::Duration;

use proptest::strategy::{Just, Strategy};
use proptest::test_runner::{Config, TestRunner};
use proptest::{collection, prop_oneof};
use scalegate::domain::{
    Bounds, Ending, ErrorCode, Goal, Job, JobRequest, OnConflict, Policy, ResourcePolicy, SettingsOverrides,
    StepOutcome,
};
use scalegate::simulator::{Behaviour, Fault, TimestampMode};
use support::sidecar::units;
use support::world::{SETTINGS, World, cooldown, error_code, request, secs, start_at, worker};

// ---- everything at once -----------------------------------------------------------------------------------------

/// Something that is done to the gateway.
#[derive(Clone, Debug)]
enum Act {
    Submit {
        goal: Goal,
        on_conflict: OnConflict,
        cooldown: u64,
        step_size: u32,
        deadline: u64,
    },
    /// Cancels one of the jobs so far.
    Cancel(usize),
    /// Lets some events happen.
    Steps(usize),
    /// Lets some time pass.
    Run(u64),
    /// The process dies with so many of its commits on the disk, and is back after so many seconds.
    Crash(usize, u64),
    /// Befalls the next change.
    Fault(Fault),
    /// Befalls the next reading.
    ReadFault(Fault),
    /// The sidecar refuses connections from now on, or no longer does.
    Sidecar(bool),
    /// A reading is this old from now on.
    ReadLag(u64),
}

const MAX: u32 = 6;
/// The settle time of all jobs; the sidecar's delays together stay below it.
const SETTLE: u64 = 90;

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let goal = prop_oneof![
        3 => (0..=MAX).prop_map(|target| Goal::Target(units(target))),
        1 => prop_oneof![-3..0_i32, 1..4_i32].prop_map(Goal::Delta),
    ];
    let on_conflict = prop_oneof![Just(OnConflict::Reject), Just(OnConflict::Queue), Just(OnConflict::Supersede)];
    let cooldown = prop_oneof![Just(0_u64), Just(5), Just(60), Just(300)];
    let deadline = prop_oneof![1 => 1..900_u64, 4 => Just(86_400)];
    let submit = (goal, on_conflict, cooldown, 1..4_u32, deadline).prop_map(
        |(goal, on_conflict, cooldown, step_size, deadline)| Act::Submit {
            goal,
            on_conflict,
            cooldown,
            step_size,
            deadline,
        },
    );
    let fault = || {
        prop_oneof![
            Just(Fault::AnswerLost),
            Just(Fault::RequestLost),
            Just(Fault::ErrorBefore),
            Just(Fault::ErrorAfter),
            Just(Fault::Slow),
            Just(Fault::Garbage),
        ]
    };
    let act = prop_oneof![
        4 => submit,
        2 => (0..8_usize).prop_map(Act::Cancel),
        5 => (0..12_usize).prop_map(Act::Steps),
        3 => (0..400_u64).prop_map(Act::Run),
        3 => (0..3_usize, prop_oneof![Just(0_u64), 0..30_u64, 0..2000_u64]).prop_map(|(n, pause)| Act::Crash(n, pause)),
        2 => fault().prop_map(Act::Fault),
        1 => fault().prop_map(Act::ReadFault),
        1 => proptest::bool::ANY.prop_map(Act::Sidecar),
        1 => (0..20_u64).prop_map(Act::ReadLag),
    ];
    collection::vec(act, 1..25)
}

fn behaviours() -> impl Strategy<Value = Behaviour> {
    let timestamps = prop_oneof![
        3 => Just(TimestampMode::Honest),
        1 => Just(TimestampMode::Fresh),
        1 => Just(TimestampMode::Missing),
        1 => Just(TimestampMode::Zero),
    ];
    let provisioning = prop_oneof![Just(0_u64), Just(20), Just(100)];
    let slow_for = prop_oneof![Just(5_u64), Just(75)];
    (0..=MAX, timestamps, provisioning, 0..20_u64, 0..45_u64, proptest::bool::ANY, slow_for).prop_map(
        |(start, timestamps, provisioning, read_lag, apply_delay, goal_while_modifying, slow_for)| {
            // Where a change does not show before it is provisioned, that is part of settling.
            let provisioning = if goal_while_modifying { provisioning } else { provisioning.min(20) };
            let mut behaviour = Behaviour {
                timestamps,
                provisioning: secs(provisioning),
                read_lag: secs(read_lag),
                apply_delay: secs(apply_delay),
                goal_while_modifying,
                bounds: Bounds { min: units(0), max: units(MAX) },
                ..start_at(start)
            };
            behaviour.faults.slow_for = secs(slow_for);
            behaviour
        },
    )
}

fn perform(world: &mut World, submitted: &mut Vec<scalegate::domain::JobId>, act: &Act) {
    match *act {
        Act::Submit { goal, on_conflict, cooldown: seconds, step_size, deadline } => {
            let overrides =
                SettingsOverrides { step_size: Some(step_size), deadline: Some(secs(deadline)), ..cooldown(seconds) };
            let id = world.submit_request(JobRequest { on_conflict, ..request(goal, overrides) });
            submitted.push(id);
        }
        Act::Cancel(which) => {
            if let Some(id) = submitted.get(which) {
                world.cancel(*id);
            }
        }
        Act::Steps(count) => {
            for _ in 0..count {
                world.step();
                check_now(world);
            }
        }
        Act::Run(seconds) => {
            world.run_for(secs(1 + seconds));
            // A change on its way is waited for, which takes a minute at most.
            let late = world.jobs().find(|job| job.ended().is_none() && job.deadline_at + secs(61) < world.now);
            assert!(late.is_none(), "past its deadline: {late:#?}");
        }
        Act::Crash(durable, pause) => world.crash_after_commits(durable, secs(pause), 0),
        Act::Fault(fault) => world.model.script_change(fault),
        Act::ReadFault(fault) => world.model.script_read(fault),
        Act::Sidecar(up) => world.sidecar_down = !up,
        Act::ReadLag(seconds) => world.model.behaviour_mut().read_lag = secs(seconds),
    }
    check_now(world);
}

/// What must hold at any moment.
fn check_now(world: &mut World) {
    let unfinished: Vec<_> = world.jobs().filter(|job| job.ended().is_none()).cloned().collect();
    for job in &unfinished {
        assert!(job.waiting.is_some(), "waits for nothing: {job:#?}");
    }
    let pending = |job: &Job| job.steps.iter().filter(|step| step.outcome == StepOutcome::Pending).count();
    assert!(unfinished.iter().map(|job| pending(job)).sum::<usize>() <= 1, "two unresolved changes: {unfinished:#?}");
    if let Some(lane) = world.core().lane(&worker()) {
        assert!(lane.active().is_some() || lane.queue().len() == 0, "jobs wait behind nobody");
    }
}

/// What must hold at the end.
fn check_all(world: &mut World) {
    let jobs: Vec<_> = world.jobs().cloned().collect();
    for job in &jobs {
        assert!(job.ended().is_some() && job.waiting.is_none(), "never ends: {job:#?}");
        for step in &job.steps {
            assert!(step.outcome != StepOutcome::Pending && step.resolved_at.is_some(), "{job:#?}");
            assert_eq!(step.from.distance(step.to), step.units, "{job:#?}");
            assert!(step.units >= 1 && step.units <= job.settings.step_size, "{job:#?}");
            let target = job.target.expect("a job with steps has a target");
            assert!(step.from.distance(target) == step.units + step.to.distance(target), "past the target: {job:#?}");
        }
        let blameless =
            [ErrorCode::DeadlineExceeded, ErrorCode::SidecarUnreachable, ErrorCode::OutOfBounds, ErrorCode::NoProgress];
        assert!(error_code(job).is_none_or(|code| blameless.contains(&code)), "fails for no reason: {job:#?}");
        // Nobody else interferes, and everything settles in time.
        assert_eq!(job.external_changes, [], "{job:#?}");
    }
    let changes = world.changes();
    let sent: Vec<_> = jobs.iter().flat_map(|job| job.steps.iter().map(move |step| (job, step))).collect();
    assert!(changes.len() <= sent.len(), "more changes than were intended: {changes:#?} {sent:#?}");
    for pair in changes.windows(2) {
        let cooldown = jobs
            .iter()
            .flat_map(|job| job.steps.iter().filter_map(move |step| Some((job.settings.cooldown, step.sent_at?))))
            .filter(|(_, sent_at)| pair[0].at.since(*sent_at) < secs(6) && sent_at.since(pair[0].at) < secs(6))
            .map(|(cooldown, _)| cooldown)
            .min()
            .expect("every change is some job's step");
        let apart = pair[1].at.since(pair[0].at);
        assert!(apart >= cooldown, "two changes only {apart:?} apart: {pair:#?}");
    }
    // What was applied is exactly what the capacity went through: each change from where its step says it was.
    for change in &changes {
        let step = sent.iter().find(|(_, step)| {
            i64::from(step.units) == change.units && step.from == change.capacity_before
                || step.outcome != StepOutcome::Confirmed
        });
        assert!(step.is_some(), "sent at a capacity it was not meant for: {change:#?} {sent:#?}");
    }
    let highest = world.largest_capacity();
    assert!(highest <= MAX, "past the bounds: {highest}");
}

fn play(behaviour: Behaviour, acts: &[Act]) {
    let bounds = Bounds { min: units(0), max: units(MAX) };
    let settings = scalegate::domain::Settings { settle: secs(SETTLE), ..SETTINGS };
    let rules = ResourcePolicy { bounds, settings };
    let policy = Policy { resources: [(worker(), rules)].into(), ..Policy::default() };
    let mut world = World::with_policy(behaviour, policy);
    let mut submitted = Vec::new();
    for act in acts {
        perform(&mut world, &mut submitted, act);
    }
    world.model.clear_scripts();
    world.sidecar_down = false;
    world.run_until(|world| world.core().unfinished_jobs() == 0);
    world.run_for(secs(10));
    check_all(&mut world);
}

#[test]
fn whatever_happens_the_promises_are_kept() {
    let cases = std::env::var("LANE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4000);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(behaviours(), acts()), |(behaviour, acts)| {
            play(behaviour, &acts);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

// ---- moments ----------------------------------------------------------------------------------------------------

fn outcomes(job: &Job) -> Vec<StepOutcome> {
    job.steps.iter().map(|step| step.outcome).collect()
}

/// However long the process was away: what it sent before is still read back, and the job goes on.
#[test]
fn a_long_absence_is_no_reason_to_give_up_a_change() {
    for timestamps in [TimestampMode::Honest, TimestampMode::Missing] {
        for pause in [100, 880, 1000, 100_000] {
            let mut world = World::new(Behaviour { read_lag: secs(3), timestamps, ..start_at(1) });
            let id = world.submit(3, SettingsOverrides { deadline: Some(secs(200_000)), ..cooldown(300) });
            world.run_until(|world| world.changes().len() == 1);
            world.crash(secs(pause), 0);
            let job = world.run(id);
            assert_eq!(job.ended(), Some(&Ending::Succeeded), "{timestamps:?}, away for {pause} s: {job:#?}");
            assert_eq!(outcomes(&job), [StepOutcome::Confirmed; 2]);
            assert_eq!((world.capacity(), world.changes().len()), (3, 2));
        }
    }
}

/// Whether a change took effect can take twice the settle time to tell; a short patience with statuses must not cut that
/// short.
#[test]
fn an_impatient_job_still_learns_what_became_of_its_change() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Slow] {
        for (timestamps, read_lag) in [(TimestampMode::Honest, 3), (TimestampMode::Missing, 0)] {
            let mut world =
                World::new(Behaviour { read_lag: secs(read_lag), timestamps, provisioning: secs(20), ..start_at(1) });
            world.model.behaviour_mut().faults.slow_for = secs(75);
            world.model.script_change(fault);
            let id = world.submit(2, SettingsOverrides { active_timeout: Some(secs(60)), ..cooldown(60) });
            let job = world.run(id);
            assert_eq!(job.ended(), Some(&Ending::Succeeded), "{fault:?}, {timestamps:?}: {job:#?}");
            assert_eq!(world.capacity(), 2);
        }
    }
}

#[test]
fn a_clock_set_back_does_not_make_an_unknown_outcome_unknowable() {
    let mut world = World::new(start_at(1));
    world.model.script_change(Fault::RequestLost);
    let id = world.submit(2, cooldown(300));
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(5));
    world.crash(secs(1), -3_600_000);
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded), "{job:#?}");
    assert_eq!(outcomes(&job), [StepOutcome::NotApplied, StepOutcome::Confirmed]);
}

/// A job that has sent nothing itself has nothing in flight to wait for.
#[test]
fn canceling_does_not_wait_for_the_change_of_an_earlier_job() {
    let mut world = World::new(Behaviour { goal_while_modifying: false, provisioning: secs(500), ..start_at(1) });
    let first = world.submit(2, SettingsOverrides { deadline: Some(secs(30)), ..cooldown(60) });
    world.run(first);
    let second = world.submit(3, cooldown(60));
    world.run_for(secs(10));
    assert!(world.core().lane(&worker()).is_some_and(|lane| lane.change().is_some()), "still unresolved");
    world.cancel(second);
    world.run_for(secs(1));
    assert_eq!(world.job(second).ended(), Some(&Ending::Canceled));
    let third = world.submit(3, cooldown(60));
    let third = world.run(third);
    assert_eq!(third.ended(), Some(&Ending::Succeeded));
    assert_eq!((world.capacity(), world.changes().len()), (3, 2), "the first change was not forgotten");
}

/// Some resources show the old capacity for as long as they are in progress, which can be much longer than `settle`.
#[test]
fn a_change_is_not_called_off_while_the_resource_is_in_progress() {
    let mut world = World::new(Behaviour { goal_while_modifying: false, provisioning: secs(400), ..start_at(1) });
    world.model.script_change(Fault::AnswerLost);
    let id = world.submit(3, cooldown(300));
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded), "{job:#?}");
    assert_eq!(job.external_changes, [], "nobody else did anything");
    assert_eq!(outcomes(&job), [StepOutcome::Confirmed; 2]);
}

/// What could not be waited for while no process ran does not count against the sidecar.
#[test]
fn one_refused_reading_after_a_long_absence_is_forgiven() {
    let mut world = World::new(Behaviour::default());
    world.sidecar_down = true;
    let id = world.submit(2, cooldown(60));
    world.crash(Duration::from_hours(2), 0);
    world.run_for(Duration::from_secs(20));
    world.sidecar_down = false;
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded));
}
