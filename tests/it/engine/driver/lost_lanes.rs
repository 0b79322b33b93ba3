//! What happens when another process takes a lane over: the engine finds out with its next commit about it, gives the
//! lane up, and adopts it anew after a while. Other lanes go on meanwhile.

use scalegate::domain::{Alias, Ending, JobId};
use scalegate::engine::{Answer, Refusal, Unavailable};
use scalegate::store::{Store as _, Which};

use super::fakes::Manner;
use super::rig::{Rig, of, to};
use crate::support::world::worker;

fn api() -> Alias {
    "api".parse().expect("an alias")
}

impl Rig {
    /// Two unfinished jobs, of the worker and of another resource. Nothing more happens to them by itself.
    async fn with_two_jobs() -> (Self, [JobId; 2]) {
        let rig = Self::start().await;
        rig.sidecar.on_read.send_replace(Manner::Hang);
        let jobs = [rig.create(to(2)).await, rig.create(of("api", to(2))).await];
        (rig, jobs)
    }

    /// Takes the lane over as another process would.
    async fn take_lane(&self, resource: Alias) {
        self.store.inner.adopt(Which::These(vec![resource])).await.expect("readable");
    }

    /// Cancels the job of a lane that was taken over, by which the engine finds that out.
    async fn evict_by_cancel(&self, id: JobId) {
        assert_eq!(self.cancel(id).await, Err(Unavailable::Interrupted), "it is not known yet what holds");
    }

    /// Cancels the job once its lane is adopted.
    async fn cancel_in_the_end(&self, id: JobId) {
        while let Err(error) = self.cancel(id).await {
            assert!(says_read_again(&error), "{error:?}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(self.job(id).ended(), Some(&Ending::Canceled));
    }
}

fn says_read_again(error: &Unavailable) -> bool {
    matches!(error, Unavailable::Storage(why) if why == "the records of the resource are being read again")
}

/// "There is no unfinished job with that id" would be a lie, and end the attempts of its caller.
#[tokio::test]
async fn a_cancel_between_eviction_and_adoption_is_told_to_come_again() {
    let (rig, [of_worker, of_api]) = Rig::with_two_jobs().await;
    rig.take_lane(worker()).await;
    rig.evict_by_cancel(of_worker).await;
    let answer = rig.cancel(of_worker).await;
    assert!(answer.as_ref().is_err_and(says_read_again), "{answer:?}");
    assert_eq!(rig.job(of_worker).ended(), None, "nothing is shown that is not so");
    let other = rig.cancel(of_api).await;
    assert!(matches!(other, Ok(Answer::Changed(_))), "other lanes go on: {other:?}");
    rig.cancel_in_the_end(of_worker).await;
    assert_eq!(rig.cancel(of_worker).await, Ok(Answer::Refused(Refusal::NotUnfinished)), "now it is true");
    let (_, stored) = rig.stop().await;
    assert!(stored.jobs.iter().all(|job| job.ended() == Some(&Ending::Canceled)), "{:#?}", stored.jobs);
}

/// A second adoption would take the lane from the first one, which is then used although it does not count any more.
#[tokio::test]
async fn a_lane_whose_adoption_is_on_its_way_is_not_adopted_again() {
    let (rig, [of_worker, of_api]) = Rig::with_two_jobs().await;
    let at_first = rig.store.adoptions();
    assert_eq!(at_first, [vec![worker()], vec![api()]], "each lane with its first job");
    rig.store.holds_adoptions.send_replace(true);
    rig.take_lane(worker()).await;
    rig.evict_by_cancel(of_worker).await;
    rig.until("its adoption is on its way", |rig| rig.store.adoptions().len() == 3).await;
    // This has all lanes adopted again that are not there, among which is the worker's still.
    rig.take_lane(api()).await;
    rig.evict_by_cancel(of_api).await;
    rig.until("the other's is as well", |rig| rig.store.adoptions().len() == 4).await;
    assert_eq!(rig.store.adoptions()[2..], [vec![worker()], vec![api()]]);
    rig.store.holds_adoptions.send_replace(false);
    rig.cancel_in_the_end(of_worker).await;
    rig.cancel_in_the_end(of_api).await;
    assert_eq!(rig.store.adoptions().len(), 4, "and that was all");
}
