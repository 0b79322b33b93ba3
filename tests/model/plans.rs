//! Which operations come after which: random, but such that interesting things happen often.

use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::{select, subsequence};
use proptest::strategy::{BoxedStrategy, Union};
use proptest_state_machine::ReferenceStateMachine;

use super::reference::{ALIASES, Filter, Goal, Key, LISTED, Model, Operation, Reply, Sight, Wish};
use scalegate::domain::{OnConflict, StateName};

const KEYS: Key = 4;
const WALKS: usize = 2;
const LARGEST_PAGE: usize = 4;
pub const STATES: [StateName; 6] = [
    StateName::Queued,
    StateName::Running,
    StateName::Succeeded,
    StateName::Failed,
    StateName::Canceled,
    StateName::Superseded,
];

/// The model as the crate for state machines wants it.
pub struct Plans;

impl ReferenceStateMachine for Plans {
    type State = Model;
    type Transition = Operation;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::new()).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Operation> {
        let jobs = model.jobs.len();
        let mut choices: Vec<(u32, BoxedStrategy<Operation>)> = vec![
            (16, submissions(wishes().boxed()).boxed()),
            (6, (0..=jobs).prop_map(|job| Operation::Cancel { job }).boxed()),
            (2, (0..=jobs).prop_map(|job| Operation::Get { job }).boxed()),
            (2, (filters(), 1..=LARGEST_PAGE).prop_map(|(filter, size)| Operation::List { filter, size }).boxed()),
            (3, walks().boxed()),
            (1, Just(Operation::Resources).boxed()),
            (5, (listed(), sights()).prop_map(|(resource, sight)| Operation::Show { resource, sight }).boxed()),
            (2, Just(Operation::Restart).boxed()),
        ];
        let asked: Vec<&str> = listed_aliases().filter(|alias| model.asked(alias).is_some()).collect();
        if !asked.is_empty() {
            let answers = (select(asked), replies());
            choices.push((8, answers.prop_map(|(resource, reply)| Operation::Answer { resource, reply }).boxed()));
        }
        if !model.walks.is_empty() {
            let begun = model.walks.keys().copied().collect::<Vec<_>>();
            choices.push((8, select(begun).prop_map(|walk| Operation::Turn { walk }).boxed()));
        }
        let keyed = model.keyed();
        if !keyed.is_empty() {
            let again = (select(keyed), any::<bool>());
            let again = again.prop_map(|((key, wish), reworded)| Operation::Submit { wish, key: Some(key), reworded });
            choices.push((4, again.boxed()));
        }
        let pending = pending(model);
        if !pending.is_empty() {
            let same = (select(pending), wishes());
            let same =
                same.prop_map(|((resource, target), wish)| Wish { resource, goal: Goal::Target(target), ..wish });
            choices.push((5, submissions(same.boxed()).boxed()));
        }
        Union::new_weighted(choices).boxed()
    }

    fn preconditions(model: &Model, operation: &Operation) -> bool {
        match operation {
            Operation::Answer { resource, .. } => model.asked(resource).is_some(),
            Operation::Turn { walk } => model.walks.contains_key(walk),
            _ => true,
        }
    }

    fn apply(mut model: Model, operation: &Operation) -> Model {
        model.perform(operation);
        model
    }
}

/// Resources and the targets of their unfinished jobs.
fn pending(model: &Model) -> Vec<(&'static str, u32)> {
    let jobs = listed_aliases().flat_map(|alias| model.line(alias).iter().map(move |job| (alias, &model.jobs[*job])));
    jobs.filter_map(|(alias, job)| job.target.map(|target| (alias, target))).collect()
}

fn listed_aliases() -> impl Iterator<Item = &'static str> {
    LISTED.into_iter().map(|(alias, ..)| alias)
}

fn listed() -> impl Strategy<Value = &'static str> {
    select(listed_aliases().collect::<Vec<_>>())
}

/// One resource more often than the others, so that its line gets long.
fn aliases() -> impl Strategy<Value = &'static str> {
    prop_oneof![12 => Just(ALIASES[0]), 8 => listed(), 1 => Just(ALIASES[3])]
}

fn sights() -> impl Strategy<Value = Sight> {
    prop_oneof![3 => Just(Sight::Nothing), 4 => Just(Sight::Active), 1 => Just(Sight::Failed)]
}

fn replies() -> impl Strategy<Value = Reply> {
    prop_oneof![5 => Just(Reply::Accepted), 1 => Just(Reply::Lost), 1 => Just(Reply::Rejected)]
}

pub fn wishes() -> impl Strategy<Value = Wish> {
    let goals = prop_oneof![
        5 => (0..=7_u32).prop_map(Goal::Target),
        1 => select(vec![-3, -1, 1, 2]).prop_map(Goal::Delta),
    ];
    let modes = prop_oneof![
        1 => Just(None),
        1 => Just(Some(OnConflict::Reject)),
        6 => Just(Some(OnConflict::Queue)),
        2 => Just(Some(OnConflict::Supersede)),
    ];
    let reasons = option::weighted(0.2, Just("queue depth 812"));
    (aliases(), goals, modes, option::weighted(0.2, 1..=3_u32), reasons).prop_map(
        |(resource, goal, on_conflict, step_size, reason)| Wish { resource, goal, on_conflict, step_size, reason },
    )
}

fn submissions(wishes: BoxedStrategy<Wish>) -> impl Strategy<Value = Operation> {
    let keys = option::weighted(0.4, 0..KEYS);
    (wishes, keys, any::<bool>()).prop_map(|(wish, key, reworded)| Operation::Submit { wish, key, reworded })
}

pub fn filters() -> impl Strategy<Value = Filter> {
    let states = prop_oneof![1 => Just(Vec::new()), 2 => subsequence(STATES.to_vec(), 1..=4)];
    (option::weighted(0.4, aliases()), states).prop_map(|(resource, states)| Filter { resource, states })
}

fn walks() -> impl Strategy<Value = Operation> {
    let walks = (0..WALKS, filters(), 1..=LARGEST_PAGE);
    walks.prop_map(|(walk, filter, size)| Operation::Walk { walk, filter, size })
}
