//! A whole gateway in virtual time for one story at a time: a [`Machine`] whose surroundings are the simulated sidecar
//! that ships in the binary.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use scalegate::domain::{
    Alias, Capacity, ChangeAnswer, Ending, ErrorCode, Goal, GroupedAnswer, Job, JobEvent, JobId, JobRequest, Move,
    Notice, OnConflict, ReadFailure, ScalingConfig, Settings, SettingsOverrides, Timestamp,
};
use scalegate::engine::{Answer, ReplyTo};
use scalegate::sidecar::RawReading;
use scalegate::sim::sidecar::{Behaviour, Model, Record, RecordKind};
use scalegate::sim::{Delayed, Disk, Machine, SidecarLink, Surroundings};

/// The sidecar and the clients.
pub struct Stage {
    pub sidecar: SidecarLink,
    pub reads: usize,
    pub answers: Vec<Answer>,
}

impl Surroundings for Stage {
    fn read(&mut self, now: Timestamp, resource: &Alias) -> Delayed<Result<RawReading, ReadFailure>> {
        self.reads += 1;
        self.sidecar.read(now, resource)
    }

    fn change(&mut self, now: Timestamp, resource: &Alias, change: Move, _: &Disk) -> Delayed<ChangeAnswer> {
        self.sidecar.change(now, resource, change)
    }

    fn change_together(&mut self, now: Timestamp, changes: &[(Alias, Move)], _: &Disk) -> Delayed<GroupedAnswer> {
        self.sidecar.change_together(now, changes)
    }

    fn written(&mut self, _: Timestamp, event: &JobEvent, disk: &Disk) {
        let job = &event.job;
        if let Some(before) = disk.job(job.id) {
            assert!(before.version < job.version, "a version that does not grow: {before:#?} {job:#?}");
            assert!(before.ended().is_none(), "changed after its end: {before:#?} {job:#?}");
        }
    }

    fn published(&mut self, _: Timestamp, event: &JobEvent, disk: &Disk) {
        assert_eq!(disk.job(event.job.id), Some(&event.job), "published, not stored");
    }

    fn answered(&mut self, _: Timestamp, _: ReplyTo, answer: Answer, _: &Disk) {
        self.answers.push(answer);
    }

    fn noticed(&mut self, now: Timestamp, resource: &Alias, notice: &Notice) {
        if std::env::var_os("WORLD_LOG").is_some() {
            println!("{now} {resource} {}", notice.message);
        }
    }
}

pub struct World {
    machine: Machine<Stage>,
}

impl Deref for World {
    type Target = Machine<Stage>;

    fn deref(&self) -> &Self::Target {
        &self.machine
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.machine
    }
}

impl World {
    pub fn new(behaviour: Behaviour) -> Self {
        Self::with_scaling(behaviour, ScalingConfig::default())
    }

    pub fn with_scaling(behaviour: Behaviour, scaling: ScalingConfig) -> Self {
        let model = Model::new(Behaviour { max_records: None, ..behaviour }, 1);
        let stage = Stage { sidecar: SidecarLink::new(model), reads: 0, answers: Vec::new() };
        Self { machine: Machine::new(stage, scaling) }
    }

    /// Submits a job for `worker`, waits for the answer, and returns the id it was to have.
    pub fn submit(&mut self, target: u32, overrides: SettingsOverrides) -> JobId {
        self.submit_request(request(Goal::Target(Capacity::try_from(target).expect("small")), overrides))
    }

    pub fn submit_request(&mut self, request: JobRequest) -> JobId {
        let answered = self.surroundings.answers.len();
        let id = self.machine.submit(request, None);
        self.run_until(|world| world.surroundings.answers.len() > answered);
        id
    }

    /// The job as the store has it.
    pub fn job(&self, id: JobId) -> Arc<Job> {
        Arc::clone(self.disk.job(id).expect("accepted"))
    }

    pub fn capacity(&mut self) -> u32 {
        let now = self.now;
        self.surroundings.sidecar.model.true_capacity(now, &worker()).units()
    }

    pub fn largest_capacity(&mut self) -> u32 {
        let now = self.now;
        self.surroundings.sidecar.model.largest_capacity(now, &worker()).units()
    }

    /// The changes that reached the sidecar, oldest first.
    pub fn changes(&mut self) -> Vec<Record> {
        let is_change = |record: &&Record| matches!(record.kind, RecordKind::Add | RecordKind::Remove);
        let now = self.now;
        self.surroundings.sidecar.model.records(now).iter().filter(is_change).cloned().collect()
    }

    /// Runs until the job is over, and returns it.
    pub fn run(&mut self, id: JobId) -> Arc<Job> {
        self.run_until(|world| world.disk.job(id).is_some_and(|job| job.ended().is_some()));
        self.job(id)
    }

    pub fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..2_000_000 {
            if done(self) {
                return;
            }
            assert!(self.step(), "nothing is going to happen any more");
        }
        panic!("it takes too long");
    }

    /// The process dies, and another one starts after `pause`.
    pub fn crash(&mut self, pause: Duration) {
        self.machine.crash(0, pause);
    }

    /// The machine is turned off and on again after `pause`, its clock having been set by `skew_ms`.
    pub fn crash_with_the_machine(&mut self, pause: Duration, skew_ms: i64) {
        self.wall_error += skew_ms;
        self.boots += 1;
        self.crash(pause);
    }
}

pub use super::sidecar::worker;

pub fn request(goal: Goal, overrides: SettingsOverrides) -> JobRequest {
    JobRequest {
        resource: worker(),
        goal,
        overrides,
        on_conflict: OnConflict::Reject,
        reason: None,
        labels: BTreeMap::new(),
        trace: None,
        attempt: None,
    }
}

/// Settings as they are by default.
pub fn defaults() -> SettingsOverrides {
    SettingsOverrides::default()
}

/// The default settings with this cooldown.
pub fn cooldown(seconds: u64) -> SettingsOverrides {
    SettingsOverrides { cooldown: Some(Duration::from_secs(seconds)), ..defaults() }
}

pub const SETTINGS: Settings = Settings::DEFAULT;

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A sidecar whose resources begin at `capacity` and take a minute for a change.
pub fn start_at(capacity: u32) -> Behaviour {
    Behaviour { start_capacity: super::sidecar::units(capacity), provisioning: secs(60), ..Behaviour::default() }
}

pub fn error_code(job: &Job) -> Option<ErrorCode> {
    match job.ended() {
        Some(Ending::Failed(error)) => Some(error.code),
        _ => None,
    }
}
