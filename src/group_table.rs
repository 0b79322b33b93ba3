//! The groups that this process knows, as readers see them.
//!
//! Every entry is what the store holds. All unfinished groups are here, and those that ended last; the others are asked of the
//! store. Each has a channel of its own that holds its latest status, so that a watcher misses no state that lasts and is never
//! waited for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use tokio::sync::watch;

use crate::domain::{GroupId, GroupState, GroupStatus};

/// Most groups that are over and known, those that ended last: some megabytes.
const MAX_FINISHED: usize = 1000;

/// See the module's documentation.
#[derive(Default)]
pub struct GroupTable {
    groups: DashMap<GroupId, watch::Sender<Arc<GroupStatus>>>,
    /// Groups that are over, in the order in which they ended.
    finished: Mutex<VecDeque<GroupId>>,
}

impl GroupTable {
    /// The group `id`, if it is known. An unfinished group is.
    pub fn get(&self, id: GroupId) -> Option<Arc<GroupStatus>> {
        self.groups.get(&id).map(|sender| Arc::clone(&sender.borrow()))
    }

    /// Hears of the group `id` from now on; at first the present status.
    pub fn watch(&self, id: GroupId) -> Option<watch::Receiver<Arc<GroupStatus>>> {
        self.groups.get(&id).map(|sender| sender.subscribe())
    }

    /// How many groups are unfinished, by state.
    pub fn unfinished(&self) -> [(GroupState, usize); 3] {
        let states: Vec<GroupState> = self.groups.iter().map(|sender| sender.borrow().state).collect();
        [GroupState::Queued, GroupState::Running, GroupState::Restoring]
            .map(|state| (state, states.iter().filter(|other| **other == state).count()))
    }

    /// Shows a group in place of an earlier version of it.
    pub fn publish(&self, status: Arc<GroupStatus>) {
        let (id, is_over) = (status.group.id, status.state.is_over());
        let mut was_over = false;
        let sender = self.groups.entry(id).or_insert_with(|| watch::Sender::new(Arc::clone(&status)));
        sender.send_if_modified(|shown| {
            was_over = shown.state.is_over() && !Arc::ptr_eq(shown, &status);
            let is_newer = shown.version < status.version;
            if is_newer {
                *shown = status;
            }
            is_newer
        });
        drop(sender);
        if is_over && !was_over {
            self.note_finished(id);
        }
    }

    /// Takes away a group of which the store may know better.
    pub fn remove(&self, id: GroupId) {
        self.groups.remove(&id);
    }

    /// Forgets the group that ended first, if there are too many. No entry of the map may be held meanwhile.
    fn note_finished(&self, id: GroupId) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.push_back(id);
        if finished.len() > MAX_FINISHED
            && let Some(oldest) = finished.pop_front()
        {
            self.groups.remove(&oldest);
        }
    }
}
