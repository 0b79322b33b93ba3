//! What earlier changes of a resource still mean for later ones.
//!
//! Cooldown, settling and the age a reading must not exceed belong to the resource: they outlive the job that sent the
//! change, and the process. This is the part of a lane that a store must never lose.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::capacity::{Capacity, Move, Op};
use super::job::Job;
use super::job_id::JobId;
use super::settings::{MAX_WAIT, SettingLimits, Settings, duration_millis};
use super::time::Timestamp;

/// Longest time between the decision to send a change and the moment its request is on the way: the sender gives up
/// connecting by then and reports that nothing was sent.
///
/// Cooldowns count from the moment of sending, which only bounds are known of: it is not after the answer, and not after
/// this. On the same machine a connection stands within a millisecond or not at all.
pub const MAX_DISPATCH: Duration = Duration::from_secs(1);

/// How old an intent may be when its commit is reported and still be sent.
///
/// A cooldown is counted from the moment of sending, but only the intent's time is on disk if the process dies right
/// then. Refusing to send on an old intent bounds the difference, and recovery adds it on.
pub const MAX_INTENT_AGE: Duration = Duration::from_secs(5);

/// The last change sent to a resource, and what is known since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeState {
    /// The last change that may have reached the sidecar.
    pub last_change: Option<SentChange>,
    /// Readings observed before this are older than something already known.
    pub fresh_from: Option<Timestamp>,
    /// What a reading should show as long as no other program changes the capacity.
    pub expected: Option<Capacity>,
    /// How long the last change took from being sent to the resource being at rest.
    pub provisioning: Option<Duration>,
}

/// When a change was sent and the waits its job attached to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentChange {
    /// When it was sent.
    pub at: Timestamp,
    /// Its direction; `None` if that is not known: after a restore, or in a record older than this field.
    #[serde(default)]
    pub op: Option<Op>,
    /// No other change until this long after.
    #[serde(with = "duration_millis")]
    pub cooldown: Duration,
    /// Its effect shows in readings made this long after, at the latest.
    #[serde(with = "duration_millis")]
    pub settle: Duration,
}

impl SentChange {
    /// From when on a reading shows its effect.
    pub fn settled_at(self) -> Timestamp {
        self.at + self.settle
    }

    /// Gives its waits at least the length that `limits` ask for.
    pub fn hold_to(&mut self, limits: &SettingLimits) {
        self.cooldown = self.cooldown.max(limits.min_cooldown);
        self.settle = self.settle.max(limits.min_settle);
    }
}

impl ChangeState {
    /// Notes that a change was sent, or may have been. It settles no sooner than the one before, which may have more time;
    /// the change as it was noted.
    pub fn record_sent(&mut self, mut sent: SentChange) -> SentChange {
        if let Some(settled_at) = self.settled_at() {
            sent.settle = sent.settle.max(settled_at.since(sent.at));
        }
        self.last_change = Some(sent);
        self.fresh_from = self.fresh_from.max(Some(sent.at));
        self.expected = None;
        sent
    }

    /// Notes what a usable reading, observed at `observed_at`, showed.
    pub fn record_seen(&mut self, capacity: Capacity, observed_at: Timestamp) {
        self.fresh_from = self.fresh_from.max(Some(observed_at));
        self.expected = Some(capacity);
    }

    /// When a job with this `cooldown` may send the next change. Neither its own cooldown nor that of the job before is
    /// cut short.
    pub fn next_change_at(&self, cooldown: Duration) -> Option<Timestamp> {
        self.last_change.map(|last| {
            let cooldown = cooldown.max(last.cooldown);
            last.at + cooldown
        })
    }

    /// From when on a change by `op` can be told from the last one undone: one in the other direction leads back to what
    /// readings showed before the last one, and may go on showing until it has settled.
    pub fn reversal_allowed_at(&self, op: Op) -> Option<Timestamp> {
        self.last_change.filter(|last| last.op != Some(op)).map(SentChange::settled_at)
    }

    /// From when on a reading shows the effect of the last change whatever happened to it on the way.
    pub fn settled_at(&self) -> Option<Timestamp> {
        self.last_change.map(SentChange::settled_at)
    }

    /// How long things may take to settle: the longest that this or an earlier job allows for.
    pub fn longest_settle(&self, settle: Duration) -> Duration {
        self.last_change.map_or(settle, |last| last.settle.max(settle))
    }

    /// Cuts back what lies in the future because the clock was set backwards: the cooldown then starts over, which is
    /// long, but bounded and never too short. Readings may have to wait until the last change has settled.
    pub fn rebase(&mut self, now: Timestamp) {
        if let Some(last) = &mut self.last_change {
            last.at = last.at.min(now);
        }
        let latest = self.settled_at().map_or(now, |settled_at| settled_at.max(now));
        self.fresh_from = self.fresh_from.map(|at| at.min(latest));
    }

    /// Notes that changes may have been sent that are not recorded, the last one at `at`. Neither their direction nor their outcome
    /// is known, so that no reading from before they have settled counts. The waits are those of the resource's `settings`, or of
    /// the last recorded change where these are longer. If that was sent after `at`, nothing is noted.
    pub fn suppose_unknown_change(&mut self, at: Timestamp, settings: &Settings) {
        let known = self.last_change;
        if known.is_some_and(|last| last.at > at) {
            return;
        }
        let cooldown = known.map_or(settings.cooldown, |last| last.cooldown.max(settings.cooldown));
        let settle = known.map_or(settings.settle, |last| last.settle.max(settings.settle));
        self.record_sent(SentChange { at, op: None, cooldown, settle });
        self.fresh_from = self.fresh_from.max(self.settled_at());
    }

    /// Carries it over to a clock that shows `there` when the one so far shows `here`: how long ago everything was stays
    /// the same.
    pub fn carry_over(&mut self, here: Timestamp, there: Timestamp) {
        if let Some(last) = &mut self.last_change {
            last.at = last.at.on_another_clock(here, there);
        }
        self.fresh_from = self.fresh_from.map(|at| at.on_another_clock(here, there));
    }

    /// Whether nothing in here can matter to a later job any more.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.last_change.is_none_or(|last| last.at + MAX_WAIT + MAX_INTENT_AGE < now)
    }
}

/// The one change of a resource whose outcome is not established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The job that made it.
    pub job: JobId,
    /// Direction, units, and the capacities before and after.
    #[serde(flatten)]
    pub movement: Move,
    /// When it was sent, at the latest as far as is known; with its job's waits.
    pub sent: SentChange,
    /// How long its effect is waited for.
    #[serde(rename = "patience", with = "duration_millis")]
    pub effect_timeout: Duration,
    /// How far it has got.
    pub stage: Stage,
}

impl Change {
    /// A change that `job` has decided on.
    pub fn intended(job: &Job, movement: Move, now: Timestamp) -> Self {
        let Settings { cooldown, settle, active_timeout, .. } = job.settings;
        Self {
            job: job.id,
            movement,
            sent: SentChange { at: now, op: Some(movement.op), cooldown, settle },
            effect_timeout: active_timeout.max(settle),
            stage: Stage::Intended,
        }
    }

    /// Notes that the store was restored at `at`: what became of the change since the backup is not known.
    pub fn suppose_unknown(&mut self, at: Timestamp, settings: &Settings) {
        if self.sent.at > at {
            return;
        }
        self.sent.at = at;
        self.sent.cooldown = self.sent.cooldown.max(settings.cooldown);
        self.sent.settle = self.sent.settle.max(settings.settle);
        // One that was not sent as far as is known is dealt with like after any restart.
        self.stage = match self.stage {
            Stage::Intended => Stage::Intended,
            Stage::Acknowledged => Stage::Unknown { since: at },
            Stage::Unknown { since } => Stage::Unknown { since: since.max(at) },
        };
    }

    /// Notes that its request ended at `ended_at`, so that it was sent before that.
    pub fn ended(&mut self, ended_at: Timestamp) {
        self.sent.at = ended_at.min(self.sent.at + MAX_DISPATCH);
    }

    /// Until when its effect is waited for.
    ///
    /// While the outcome is unknown nothing can be told before the change has settled and its request has ended, however
    /// late that is: its timeout begins only then. It covers one more `settle`, which readings without a timestamp need.
    pub fn give_up_at(&self) -> Timestamp {
        // What happened before may take longer to settle than this job knows of.
        let timeout = self.effect_timeout.max(self.sent.settle);
        match self.stage {
            Stage::Intended | Stage::Acknowledged => self.sent.at + timeout,
            Stage::Unknown { since } => self.sent.settled_at().max(since) + timeout,
        }
    }
}

/// How far a change has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Decided and possibly sent; no answer so far.
    Intended,
    /// The sidecar said yes.
    Acknowledged,
    /// No answer, or one that does not tell. Whatever happened, happened before `since`, when the request ended.
    Unknown {
        /// When the request ended.
        since: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn sent(at: Timestamp, settle: u64) -> SentChange {
        SentChange { at, op: Some(Op::Add), cooldown: Duration::ZERO, settle: Duration::from_secs(settle) }
    }

    #[test]
    fn a_change_does_not_settle_before_the_one_before() {
        let ten = Duration::from_secs(10);
        let mut change_state = ChangeState::default();
        for (change, settled_at) in [
            (sent(NOW, 90), NOW + ten * 9),
            (sent(NOW + ten, 0), NOW + ten * 9),
            (sent(NOW + ten * 2, 80), NOW + ten * 10),
        ] {
            change_state.record_sent(change);
            assert_eq!(change_state.settled_at(), Some(settled_at));
        }
    }

    /// A cooldown counts from the sending, which the end of the request only bounds.
    #[test]
    fn a_request_is_on_its_way_soon_or_not_at_all() {
        let movement = Move::toward(Capacity::ZERO, Capacity::MAX, 1).expect("a distance");
        let stage = Stage::Intended;
        let intended =
            Change { job: JobId::nil(), movement, sent: sent(NOW, 0), effect_timeout: Duration::ZERO, stage };
        for (took, sent_after) in
            [(Duration::from_millis(200), Duration::from_millis(200)), (MAX_DISPATCH * 60, MAX_DISPATCH)]
        {
            let mut change = intended;
            change.ended(NOW + took);
            assert_eq!(change.sent.at, NOW + sent_after);
        }
    }

    #[test]
    fn what_a_restored_store_does_not_know_counts_as_a_change_that_may_still_settle() {
        let settings = Settings::DEFAULT;
        let later = sent(NOW + Duration::from_secs(1), 5);
        for known in [None, Some(sent(NOW - settings.cooldown * 9, 5)), Some(sent(NOW, 500))] {
            let mut change_state =
                ChangeState { last_change: known, expected: Some(Capacity::ZERO), ..ChangeState::default() };
            change_state.suppose_unknown_change(NOW, &settings);
            let settle = known.map_or(settings.settle, |known| known.settle.max(settings.settle));
            assert_eq!(change_state.next_change_at(Duration::ZERO), Some(NOW + settings.cooldown));
            assert_eq!((change_state.settled_at(), change_state.fresh_from), (Some(NOW + settle), Some(NOW + settle)));
            assert_eq!(change_state.expected, None);
            assert_eq!(change_state.reversal_allowed_at(Op::Add), change_state.settled_at());
            // Every start does it, and the lane is recovered then.
            let once = change_state;
            change_state.suppose_unknown_change(NOW, &settings);
            change_state.rebase(NOW + Duration::from_secs(1));
            assert_eq!(change_state, once);
        }
        let mut change_state = ChangeState { last_change: Some(later), ..ChangeState::default() };
        change_state.suppose_unknown_change(NOW, &settings);
        assert_eq!(change_state.last_change, Some(later), "what was sent since is known");
    }

    /// The longest cooldown there is may be asked for by a job that comes much later than the last change.
    #[test]
    fn what_a_later_job_may_ask_about_is_not_forgotten() {
        let mut change_state = ChangeState::default();
        assert!(change_state.is_forgettable(NOW), "nothing to remember");
        change_state.record_sent(sent(NOW, 0));
        assert!(!change_state.is_forgettable(NOW + MAX_WAIT));
        assert!(change_state.is_forgettable(NOW + MAX_WAIT + MAX_INTENT_AGE + Duration::from_millis(1)));
    }
}
