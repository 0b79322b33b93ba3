//! What is done about groups in a life, as data, and how it is drawn.

use std::time::Duration;

use scalegate::domain::{OnConflict, OnFailure};

use crate::scenario::{Act, MOST_UNITS, Wish};
use crate::support::dice::Dice;

/// In so many of a hundred lives there are groups.
const WITH_GROUPS: u64 = 30;

/// A request to scale several resources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupPlan {
    pub members: Vec<MemberPlan>,
    pub on_failure: OnFailure,
    pub on_conflict: OnConflict,
    pub step_size: u32,
    pub cooldown: Duration,
    pub deadline: Duration,
    /// One of a few idempotency keys.
    pub key: Option<u8>,
}

/// A resource of a group; each has one member at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberPlan {
    pub resource: usize,
    pub goal: Wish,
    pub stage: usize,
}

/// Something that is done about groups.
#[derive(Clone, Debug)]
pub enum GroupAct {
    Submit(GroupPlan),
    /// Submits again what the so-manieth group was, with its key.
    SubmitAgain(usize),
    /// Cancels the so-manieth group.
    Cancel(usize),
    /// Cancels the job of one member of the so-manieth group.
    CancelMember {
        group: usize,
        member: usize,
    },
}

/// Puts what is done about groups between the `acts`.
pub fn draw(acts: &mut Vec<Act>, dice: &mut Dice) {
    if !dice.percent(WITH_GROUPS) {
        return;
    }
    let first = dice.index(acts.len().min(3));
    acts.insert(first, Act::Group(GroupAct::Submit(plan(dice))));
    for _ in 0..dice.between(0, 4) {
        let after = first + 1;
        let place = after + dice.index(acts.len() - after + 1);
        acts.insert(place, Act::Group(act(dice)));
    }
}

fn act(dice: &mut Dice) -> GroupAct {
    let (group, member) = (dice.index(3), dice.index(2));
    match dice.between(0, 9) {
        0..5 => GroupAct::Submit(plan(dice)),
        5 => GroupAct::SubmitAgain(group),
        6 | 7 => GroupAct::Cancel(group),
        _ => GroupAct::CancelMember { group, member },
    }
}

fn plan(dice: &mut Dice) -> GroupPlan {
    let stages: &[(usize, usize)] = dice.pick(&[&[(0, 0), (1, 1)], &[(1, 0), (0, 1)], &[(0, 0), (1, 0)], &[(0, 0)]]);
    GroupPlan {
        members: stages.iter().map(|(resource, stage)| member(dice, *resource, *stage)).collect(),
        on_failure: dice.pick(&[OnFailure::Stop, OnFailure::Continue, OnFailure::Restore, OnFailure::Restore]),
        on_conflict: dice.pick(&[OnConflict::Reject, OnConflict::Queue, OnConflict::Queue, OnConflict::Supersede]),
        step_size: dice.between(1, 3) as u32,
        cooldown: Duration::from_secs(dice.pick(&[0, 5, 60])),
        deadline: if dice.percent(20) { Duration::from_secs(dice.between(1, 900)) } else { Duration::from_hours(24) },
        key: dice.percent(40).then(|| dice.between(0, 2) as u8),
    }
}

fn member(dice: &mut Dice, resource: usize, stage: usize) -> MemberPlan {
    let target = Wish::Target(dice.between(0, MOST_UNITS.into()) as u32);
    let goal = if dice.percent(75) { target } else { Wish::Delta(dice.pick(&[-2, -1, 1, 2])) };
    MemberPlan { resource, goal, stage }
}
