//! What every store has to do, tried through the port alone.
//!
//! A store passes if each function passes that [`suite`] lists, given a [`House`] that opens it. What only one of them
//! does, such as what becomes of a damaged file, is tried beside it.

mod admissions;
mod groups;
mod keys;
mod observations;
mod policies;
mod reading;
mod recorded;
mod retention;
mod units;

use std::sync::Arc;

use async_trait::async_trait;

pub(super) use self::admissions::*;
pub(super) use self::groups::*;
pub(super) use self::keys::*;
pub(super) use self::observations::*;
pub(super) use self::policies::*;
pub(super) use self::reading::*;
pub(super) use self::recorded::*;
pub(super) use self::retention::*;
pub(super) use self::units::*;
use super::fixtures::alias;
use super::{
    AdoptedLane, Adoption, Epoch, LaneChange, NoRoom, Pruned, RecordChange, Reserved, Store, StoreError, StoreReader,
    Unit, Which, Wish,
};
use crate::domain::{EventId, LaneRecord, Retention, Timestamp};

/// Where a store is that can be opened again and again.
#[async_trait(?Send)]
pub(super) trait House {
    /// The store as a process finds it that starts now. One that was opened before is closed first.
    async fn open(&mut self) -> (Arc<dyn Store>, Arc<dyn StoreReader>);

    /// From now on, or no longer, neither a record of the lane of the resource `cursed` nor a state of its policy can be
    /// written.
    async fn curse(&mut self, is_cursed: bool);
}

/// A test for each function of the suite. Each has a house of its own that `$house` makes; where it makes none, there is nothing
/// to be tried.
macro_rules! suite {
    ($house:expr) => {
        $crate::store::conformance::suite! { @ $house;
            a_unit_comes_back_whole_after_a_restart, a_unit_that_fails_leaves_nothing, each_unit_has_a_result,
            a_refused_unit_takes_its_lanes_and_no_others, a_failed_lane_is_written_again_once_adopted,
            the_latest_adoption_counts, an_adoption_has_unfinished_jobs_in_order, a_record_that_goes_releases_the_lane,
            a_commit_lands_whether_it_is_awaited_or_not, ids_of_versions_have_no_gaps, units_are_durable_in_their_order,
            limits_on_jobs_count_reservations, the_jobs_of_a_group_get_all_their_places_or_none, jobs_of_policies_take_no_places, limits_on_text_are_per_resource_and_key,
            limits_on_idempotency_keys_are_per_api_key, a_refusal_changes_nothing,
            a_request_waits_for_another_one_with_the_same_key, a_key_with_another_request_is_refused, a_request_is_replayed_after_a_restart_and_for_a_day,
            an_unfinished_group_is_adopted_with_all_of_its_jobs, a_group_comes_with_its_jobs_or_not_at_all, a_group_goes_with_the_last_of_its_jobs,
            groups_are_listed_newest_first_by_every_filter,
            what_is_finished_goes_by_age_and_what_is_not_stays, a_busy_resource_does_not_push_out_other_jobs,
            a_busy_key_does_not_push_out_other_jobs, a_job_with_a_live_entry_stays, jobs_that_must_stay_do_not_keep_all_others, too_much_text_makes_room_for_itself,
            timelines_go_by_age, attempts_that_change_nothing_push_out_no_others,
            scaling_pushes_out_neither_keys_nor_other_scaling,
            jobs_are_listed_newest_first_by_every_filter, a_page_ends_where_the_next_begins, jobs_are_found_and_counted,
            the_last_outcome_is_that_of_the_job_that_ended_last,
            a_stream_goes_on_after_any_version, a_stream_knows_what_it_missed, timelines_are_paged_newest_first,
            attempts_are_paged_newest_first,
            keys_come_back_as_they_were_and_change_as_told, that_there_was_a_key_is_never_forgotten,
            dead_keys_are_kept_for_a_while_and_living_ones_always,
            a_policy_comes_back_whole_after_a_restart, revisions_go_on_after_a_policy_was_deleted,
            the_end_of_a_policy_ends_its_claims_and_not_the_hold, changes_of_a_unit_count_in_their_order,
            a_decision_replaces_the_newest_one_with_its_id, a_policy_change_without_its_lane_is_refused,
            a_policy_is_durable_with_its_job_or_not_at_all, what_is_in_force_is_adopted_without_a_lane,
            what_was_observed_comes_back_after_a_restart, a_prediction_takes_the_place_of_the_one_before, the_last_sample_of_a_second_counts,
            the_samples_of_the_last_hour_are_adopted, what_is_handed_over_later_is_written_later,
            only_owners_record, revisions_are_listed_newest_first, decisions_are_paged_newest_first,
            only_the_newest_decisions_are_kept, a_page_of_decisions_is_bounded, a_metric_is_told_in_steps, a_series_has_not_too_many_points,
            samples_become_minutes_and_go, late_samples_are_in_their_minutes, decisions_go_by_age, what_is_left_of_a_deleted_policy_goes, a_batch_that_fails_takes_no_lanes, metrics_of_a_deleted_policy_are_out_of_use,
        }
    };
    (@ $house:expr; $($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            if let Some(mut house) = $house {
                $crate::store::conformance::$name(&mut house).await;
            }
        })*
    };
}
pub(super) use suite;

/// A store that is open.
struct Scene<'a> {
    house: &'a mut dyn House,
    store: Arc<dyn Store>,
    reader: Arc<dyn StoreReader>,
}

impl<'a> Scene<'a> {
    async fn set(house: &'a mut dyn House) -> Self {
        let (store, reader) = house.open().await;
        let scene = Self { house, store, reader };
        scene.adopt_all().await;
        scene
    }

    /// The same store as the next process finds it, with all its lanes adopted.
    async fn restart(&mut self) -> Adoption {
        (self.store, self.reader) = self.house.open().await;
        self.adopt_all().await
    }

    async fn adopt_all(&self) -> Adoption {
        self.store.adopt(Which::All).await.expect("readable")
    }

    async fn adopt(&self, name: &str) -> AdoptedLane {
        let adoption = self.store.adopt(Which::These(vec![alias(name)])).await.expect("readable");
        adoption.lanes.into_iter().next().expect("the lane that was asked for")
    }

    /// Commits a unit about no lane; the id that its first job has got.
    async fn put(&self, unit: Unit) -> EventId {
        self.store.commit(vec![unit]).await.remove(0).expect("durable")
    }

    /// Commits these units, by whether each is good and, if not, why.
    async fn results(&self, units: Vec<Unit>) -> Vec<&'static str> {
        self.store.commit(units).await.iter().map(word).collect()
    }

    async fn reserve(&self, wish: Wish) -> Result<Reserved, NoRoom> {
        self.store.reserve(wish).await.expect("the store can tell")
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> Vec<u128> {
        let mut ids = Vec::new();
        loop {
            let Pruned { jobs, more } = self.store.prune(retention, now).await.expect("pruned");
            ids.extend(jobs.iter().map(|job| job.id.as_u128()));
            if !more {
                ids.sort_unstable();
                return ids;
            }
        }
    }
}

/// A unit about the lane of a resource, by its owner of this adoption.
fn about(name: &str, epoch: Epoch) -> Unit {
    changing(name, epoch, RecordChange::Keep)
}

fn changing(name: &str, epoch: Epoch, record: RecordChange) -> Unit {
    Unit { lanes: vec![LaneChange { resource: alias(name), epoch, record }], ..Unit::default() }
}

fn writing(record: LaneRecord, epoch: Epoch) -> Unit {
    let name = record.resource.clone();
    changing(name.as_str(), epoch, RecordChange::Write(Box::new(record)))
}

fn word(result: &Result<EventId, StoreError>) -> &'static str {
    match result {
        Ok(_) => "good",
        Err(StoreError::NotOwned) => "not owned",
        Err(_) => "failed",
    }
}
