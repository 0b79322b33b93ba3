//! Groups and their jobs.

use std::sync::Arc;
use std::time::Duration;

use super::{House, Scene, about};
use crate::domain::{
    Alias, Ending, Goal, Group, GroupJobs, GroupState, Job, JobId, Member, Membership, OnFailure, Reach,
};
use crate::store::fixtures::{ALL_KEPT, NOW, alias, ended, entry, job, units};
use crate::store::{GroupFilter, IdempotencyEntry, KEY_RETENTION, Unit};

/// The group `id` with a member for each of these resources, whose jobs have the ids after it.
fn group(id: u128, resources: &[&str]) -> Group {
    let members = (1..).zip(resources).map(|(number, resource)| Member {
        resource: alias(resource),
        goal: Goal::Target(units(5)),
        stage: 0,
        job: JobId::from_u128(id + number),
        restore: JobId::from_u128(id + 50 + number),
    });
    Group {
        id: JobId::from_u128(id),
        members: members.collect(),
        on_failure: OnFailure::Restore,
        reason: Some("release".into()),
        labels: [("team".to_owned(), "data".to_owned())].into(),
        submitted_by: None,
        created_at: NOW,
        cancellation: None,
        end: None,
        version: 1,
    }
}

fn member_of(group: &Group, job: Job) -> Job {
    let membership = Membership { group: group.id, stage: 0, awaits_stage: false, restores: false };
    Job { membership: Some(membership), ..job }
}

fn over(group: &Group, jobs: &[Job]) -> Group {
    let jobs: GroupJobs = jobs.iter().map(|job| (job.id, Arc::new(job.clone()))).collect();
    group.ended(GroupState::Failed, &jobs, NOW)
}

fn unit(group: &Group, jobs: &[Job]) -> Unit {
    let jobs = jobs.iter().map(|job| Arc::new(job.clone())).collect();
    Unit { groups: vec![Arc::new(group.clone())], jobs, ..Unit::default() }
}

pub async fn an_unfinished_group_is_adopted_with_all_of_its_jobs(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let group = group(100, &["a", "b"]);
    let done = member_of(&group, Job { resource: alias("a"), ..ended(101, Ending::Succeeded, NOW) });
    let waiting = member_of(&group, job(102, "b"));
    scene.put(unit(&group, &[done.clone(), waiting.clone()])).await;
    let adoption = scene.restart().await;
    let lanes: Vec<&Alias> = adoption.lanes.iter().map(|lane| &lane.record.resource).collect();
    assert_eq!(lanes, [&alias("b"), &alias("a")], "also the lane that has no unfinished job");
    let adopted = &adoption.groups[0];
    assert_eq!(adopted.group, group);
    assert_eq!(adopted.jobs.iter().map(|event| (*event.job).clone()).collect::<Vec<_>>(), [done.clone(), waiting]);
    let shown = scene.reader.group(group.id).await.expect("readable").expect("a group");
    assert_eq!((shown.state, shown.members.len()), (GroupState::Running, 2));
    let failed = member_of(&group, Job { resource: alias("b"), ..ended(102, Ending::Canceled, NOW) });
    let over = over(&group, &[done, failed.clone()]);
    scene.put(unit(&over, &[failed])).await;
    assert!(scene.restart().await.groups.is_empty());
    let shown = scene.reader.group(group.id).await.expect("readable").expect("a group");
    assert_eq!((shown.state, &*shown.group), (GroupState::Failed, &over));
    assert_eq!(scene.reader.group(JobId::from_u128(7)).await.expect("readable"), None);
}

pub async fn a_group_comes_with_its_jobs_or_not_at_all(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let group = group(100, &["a", "b"]);
    let jobs = [member_of(&group, job(101, "a")), member_of(&group, job(102, "b"))];
    let stale = scene.adopt("a").await.epoch;
    scene.adopt("a").await;
    let refused = Unit { lanes: about("a", stale).lanes, ..unit(&group, &jobs) };
    assert_eq!(scene.results(vec![refused]).await, ["not owned"]);
    assert_eq!(scene.reader.group(group.id).await.expect("readable"), None);
    assert!(scene.adopt_all().await.groups.is_empty());
}

/// As long as a group is unfinished, or its idempotency key lives, its jobs stay; after that it stays as long as one of them.
pub async fn a_group_goes_with_the_last_of_its_jobs(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let group = group(100, &["a"]);
    let done = member_of(&group, Job { resource: alias("a"), ..ended(101, Ending::Canceled, NOW) });
    scene.put(unit(&group, std::slice::from_ref(&done))).await;
    let late = NOW + ALL_KEPT.age * 9;
    assert_eq!(scene.prune(ALL_KEPT, late).await, [0; 0]);
    let entry = IdempotencyEntry { made: group.id, ..entry("once", late) };
    scene.put(Unit { entries: vec![entry], ..unit(&over(&group, std::slice::from_ref(&done)), &[]) }).await;
    assert_eq!(scene.prune(ALL_KEPT, late).await, [0; 0]);
    assert!(scene.reader.group(group.id).await.expect("readable").is_some());
    let later = late + KEY_RETENTION + Duration::from_secs(1);
    scene.prune(ALL_KEPT, later).await;
    scene.prune(ALL_KEPT, later).await;
    assert_eq!(scene.reader.group(group.id).await.expect("readable"), None);
}

pub async fn groups_are_listed_newest_first_by_every_filter(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    for (id, resources) in [(100, &["a", "b"][..]), (200, &["a"]), (300, &["c"])] {
        let group = group(id, resources);
        let jobs: Vec<Job> = group
            .members
            .iter()
            .map(|it| member_of(&group, Job { id: it.job, ..job(1, it.resource.as_str()) }))
            .collect();
        scene.put(unit(&group, &jobs)).await;
    }
    let listed = async |filter: GroupFilter, size| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = scene.reader.groups_page(&filter, after, size).await.expect("readable");
            found.extend(page.entries.iter().map(|(_, status)| status.group.id.as_u128()));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    let all = GroupFilter::default;
    for size in 1..4 {
        assert_eq!(listed(all(), size).await, [300, 200, 100]);
        assert_eq!(listed(GroupFilter { resource: Some(alias("b")), ..all() }, size).await, [100]);
        let only_a = Reach::only([alias("a")]);
        assert_eq!(listed(GroupFilter { reach: only_a, ..all() }, size).await, [200], "all members are within reach");
        assert_eq!(listed(GroupFilter { states: vec![GroupState::Failed], ..all() }, size).await, [0; 0]);
        assert_eq!(listed(GroupFilter { states: vec![GroupState::Queued], ..all() }, size).await, [300, 200, 100]);
    }
}
