//! Readings for callers who only observe: at most one of each resource is on its way, and all who ask meanwhile share it.
//!
//! A caller who asks for a slow resource sixty times costs the sidecar one call, and takes one place of those there are for
//! all resources. Requests that find no place are refused at once: one slow resource delays no answer about another one.
//!
//! It must never serve a decision of a lane. A caller that joins a read on its way gets a reading that was asked for up to ten seconds
//! before its own request, which is right for a picture and for a plan, and not for a job: lanes ask for their own readings, and
//! judge the age of each. The reverse is allowed: a caller joins the reading of a job that is on its way, up to a minute old, and
//! a reading that a job gets is the answer to a shared read: once a job has succeeded no caller is shown a capacity from before
//! that.
//!
//! Rejected: a limit on connections in the HTTP client, because reads then wait for each other in its queue, those of fast
//! resources behind those of slow ones. Rejected: a cache that answers for some seconds, because it shows a capacity from before
//! a change that the caller knows to be over.

use std::collections::HashMap;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::handle::{PlanError, ResourceStatus, Unavailable};
use super::requests::JobPlan;
use crate::domain::{Alias, JobRequest};

/// Most shared reads on their way at a time, each of another resource. Each takes an open file, of which
/// `ConnectionLimits` keeps 512 from callers.
const MOST: usize = 128;
/// Most of them of resources that are neither listed nor were scaled lately. Their number is not limited by anything else: a
/// caller who makes up names leaves room for reads of the resources that exist.
const MOST_UNKNOWN: usize = MOST / 2;
/// Most callers that share one read. Each is a request that waits, with some hundred bytes; more of them at one moment are not
/// a service's operators, and are told to ask later.
const MOST_WAITERS: usize = 1000;

/// What a reading is wanted for, and who waits for it.
pub(super) enum Waiter {
    Plan(Box<JobRequest>, oneshot::Sender<Result<Result<JobPlan, PlanError>, Unavailable>>),
    Observe(oneshot::Sender<Result<Option<ResourceStatus>, Unavailable>>),
    /// A policy, which is told by the core and judges the age of the reading.
    Policy,
}

impl Waiter {
    /// Tells that there is no room.
    pub fn refuse(self) {
        match self {
            Self::Plan(_, reply) => drop(reply.send(Err(Unavailable::Busy))),
            Self::Observe(reply) => drop(reply.send(Err(Unavailable::Busy))),
            // It asks again.
            Self::Policy => {}
        }
    }

    fn has_hung_up(&self) -> bool {
        match self {
            Self::Plan(_, reply) => reply.is_closed(),
            Self::Observe(reply) => reply.is_closed(),
            Self::Policy => false,
        }
    }
}

/// Tells the answer to a read from that to an earlier one, which was given up.
pub(super) type ReadNumber = u64;

/// Where the reading comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The shared read asks the sidecar itself.
    Own,
    /// A job's reading is on its way already.
    OfJob,
}

struct Shared {
    number: ReadNumber,
    source: Source,
    is_unknown: bool,
    /// Ends when there is a reading, or when it is no longer waited for.
    task: AbortHandle,
    waiters: Vec<Waiter>,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct SharedReads {
    on_their_way: HashMap<Alias, Shared>,
    /// How many of them are of resources that are neither listed nor were scaled lately.
    unknown: usize,
    last_number: ReadNumber,
}

impl SharedReads {
    /// Lets `waiter` share the read of `resource` that is on its way, or begins one with `begin`, if there is room.
    pub fn ask(
        &mut self,
        resource: &Alias,
        is_unknown: bool,
        waiter: Waiter,
        source: Source,
        begin: impl FnOnce(ReadNumber) -> AbortHandle,
    ) {
        if let Some(shared) = self.on_their_way.get_mut(resource) {
            if shared.waiters.len() >= MOST_WAITERS {
                shared.waiters.retain(|waiter| !waiter.has_hung_up());
            }
            return if shared.waiters.len() < MOST_WAITERS { shared.waiters.push(waiter) } else { waiter.refuse() };
        }
        let is_full = self.on_their_way.len() >= MOST || (is_unknown && self.unknown >= MOST_UNKNOWN);
        if is_full {
            return waiter.refuse();
        }
        self.last_number += 1;
        self.unknown += usize::from(is_unknown);
        let (number, task) = (self.last_number, begin(self.last_number));
        let shared = Shared { number, source, is_unknown, task, waiters: vec![waiter] };
        self.on_their_way.insert(resource.clone(), shared);
    }

    /// The callers that wait for read `number` of `resource`, which is over. None, if it was given up.
    pub fn over(&mut self, resource: &Alias, number: ReadNumber) -> Vec<Waiter> {
        self.take_if(resource, |shared| shared.number == number)
    }

    /// The callers that get the reading of `resource` that a job asked for. A failed one ends only a read that waited for it.
    pub fn read_by_job(&mut self, resource: &Alias, is_reading: bool) -> Vec<Waiter> {
        self.take_if(resource, |shared| is_reading || shared.source == Source::OfJob)
    }

    fn take_if(&mut self, resource: &Alias, is_over: impl Fn(&Shared) -> bool) -> Vec<Waiter> {
        if !self.on_their_way.get(resource).is_some_and(is_over) {
            return Vec::new();
        }
        let Some(shared) = self.on_their_way.remove(resource) else { return Vec::new() };
        self.unknown -= usize::from(shared.is_unknown);
        shared.task.abort();
        shared.waiters
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    type Answer = oneshot::Receiver<Result<Option<ResourceStatus>, Unavailable>>;

    fn named(number: usize) -> Alias {
        format!("r{number}").parse().expect("an alias")
    }

    /// Asks for a read that is never over; whether it began one, and the answer.
    fn ask(shared: &mut SharedReads, resource: usize, is_unknown: bool) -> (Option<ReadNumber>, Answer) {
        let (reply, answer) = oneshot::channel();
        let mut begun = None;
        shared.ask(&named(resource), is_unknown, Waiter::Observe(reply), Source::Own, |number| {
            begun = Some(number);
            tokio::spawn(pending::<()>()).abort_handle()
        });
        (begun, answer)
    }

    fn is_refused(answer: &mut Answer) -> bool {
        matches!(answer.try_recv(), Ok(Err(Unavailable::Busy)))
    }

    #[tokio::test]
    async fn callers_of_one_resource_share_a_read_and_others_have_theirs() {
        let mut shared = SharedReads::default();
        let (first, _one) = ask(&mut shared, 1, false);
        let (second, _two) = ask(&mut shared, 1, false);
        let (other, _three) = ask(&mut shared, 2, false);
        assert!(first.is_some() && second.is_none() && other.is_some());
        let (first, other) = (first.expect("one"), other.expect("one"));
        assert_eq!(shared.over(&named(1), other).len(), 0, "the answer to another one");
        assert_eq!(shared.over(&named(1), first).len(), 2);
        assert_eq!(shared.over(&named(1), first).len(), 0);
        let (again, _four) = ask(&mut shared, 1, false);
        assert!(again.is_some_and(|again| again > other));
    }

    #[tokio::test]
    async fn a_job_s_reading_is_for_all_and_its_failure_for_those_who_wait_for_it() {
        let mut shared = SharedReads::default();
        for (source, is_reading, served) in
            [(Source::Own, true, 1), (Source::Own, false, 0), (Source::OfJob, true, 1), (Source::OfJob, false, 1)]
        {
            let (reply, _answer) = oneshot::channel();
            let never = |_| tokio::spawn(pending::<()>()).abort_handle();
            shared.ask(&named(1), false, Waiter::Observe(reply), source, never);
            assert_eq!(shared.read_by_job(&named(1), is_reading).len(), served);
            shared.read_by_job(&named(1), true);
        }
    }

    #[tokio::test]
    async fn made_up_names_leave_room_for_resources_that_exist() {
        let mut shared = SharedReads::default();
        let mut answers: Vec<_> = (0..MOST).map(|number| ask(&mut shared, number, true)).collect();
        let refused = answers.iter_mut().map(|(begun, answer)| (begun.is_none(), is_refused(answer)));
        let expected = (0..MOST).map(|number| (number >= MOST_UNKNOWN, number >= MOST_UNKNOWN));
        assert!(refused.eq(expected));
        let known = MOST..MOST + MOST_UNKNOWN;
        let _known: Vec<_> =
            known.map(|number| ask(&mut shared, number, false)).inspect(|(n, _)| assert!(n.is_some())).collect();
        let (begun, mut answer) = ask(&mut shared, 2 * MOST, false);
        assert!(begun.is_none() && is_refused(&mut answer));
        assert_eq!(shared.over(&named(0), 1).len(), 1);
        assert!(ask(&mut shared, 0, true).0.is_some(), "its place is free again");
    }

    #[tokio::test]
    async fn askers_are_limited_and_those_who_hung_up_do_not_count() {
        let mut shared = SharedReads::default();
        let mut answers: Vec<_> = (0..MOST_WAITERS).map(|_| ask(&mut shared, 1, false).1).collect();
        let (_, mut answer) = ask(&mut shared, 1, false);
        assert!(is_refused(&mut answer));
        answers.truncate(1);
        let (_, mut answer) = ask(&mut shared, 1, false);
        assert!(!is_refused(&mut answer));
        assert_eq!(shared.over(&named(1), 1).len(), 2);
    }
}
