//! API keys as they are read, and how a replica notices that another one has changed them: it asks.
//!
//! What was asked for longer ago than a revocation may take to hold everywhere says nothing any more. Rejected: to be told by
//! the database alone, because a connection that broke unnoticed tells nothing either.

use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Row;

use super::batch::Batch;
use super::connections::Connections;
use super::error::Fault;
use super::records::{Named, only};
use crate::clock::uptime;
use crate::domain::{KeyRecord, Moment, Reach, Scope, Timestamp};
use crate::store::KeysState;

/// All keys, oldest first.
pub(super) const ALL: &str =
    "SELECT id, name, scope, resources, hash, created_ms, expires_ms, revoked_ms, used_ms FROM keys ORDER BY seq";
/// How long a revocation may take to hold everywhere.
const FRESH: Duration = Duration::from_secs(1);
/// Time from one question to the next: an answer may take the rest.
const PERIOD: Duration = Duration::from_millis(750);

/// The key in a row of [`ALL`].
pub(super) fn read(row: &Row) -> Result<KeyRecord, Fault> {
    let key = Named::new("key", row);
    let time = |column| Ok::<_, Fault>(key.get::<Option<i64>>(column)?.map(Timestamp::from_millis));
    let scope: &str = key.get(2)?;
    let scope = Scope::ALL.into_iter().find(|known| known.as_str() == scope);
    let hash: &[u8] = key.get(4)?;
    Ok(KeyRecord {
        id: key.parsed(0)?,
        name: key.get(1)?,
        scope: scope.ok_or_else(|| key.senseless("no scope is called so"))?,
        reach: key.record_or_null(3)?.unwrap_or(Reach::EVERYTHING),
        hash: hash.try_into().map_err(|error| key.senseless(error))?,
        created_at: Timestamp::from_millis(key.get(5)?),
        expires_at: time(6)?,
        revoked_at: time(7)?,
        last_used_at: time(8)?,
    })
}

/// What was asked last about the keys.
#[derive(Default)]
pub(super) struct KeysWatch(Mutex<Option<Answer>>);

#[derive(Clone, Copy, Debug)]
struct Answer {
    changes: u64,
    asked_at: Moment,
}

impl KeysWatch {
    /// The state that the keys were in a moment ago; none if that was too long ago.
    pub fn state(&self) -> Option<KeysState> {
        let answer = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answer.and_then(|answer| answer.state(uptime()))
    }

    fn on_answer(&self, answer: Answer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

impl Answer {
    fn state(self, now: Moment) -> Option<KeysState> {
        let age = now.checked_sub(self.asked_at)?;
        (age < FRESH).then_some(KeysState([self.changes, 0, 0, 0, 0]))
    }
}

/// Asks for changes of the keys as long as anyone wants to know.
pub(super) async fn watch(connections: Connections, watch: Weak<KeysWatch>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(watch) = watch.upgrade() else { return };
        let asked_at = uptime();
        let mut batch = Batch::default();
        batch.add("SELECT changes FROM keys_state", Vec::new());
        let found = connections.query(batch).await;
        let changes =
            found.and_then(|answers| only(answers.first().map_or(&[], Vec::as_slice), "the state of the keys"));
        match changes {
            Ok(changes) => watch.on_answer(Answer { changes, asked_at }),
            Err(fault) => {
                let error = fault.explain(&connections.at);
                tracing::debug!(%error, "whether keys have changed is not known");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_for_a_second_from_the_question_on() {
        let at = Duration::from_millis;
        let answer = Answer { changes: 7, asked_at: at(5000) };
        assert_eq!(answer.state(at(5999)), Some(KeysState([7, 0, 0, 0, 0])));
        assert_eq!(answer.state(at(6000)), None);
        assert_eq!(answer.state(at(4999)), None, "the clock was set back");
    }
}
