//! A fair queue for what is costly: each caller has one permit at a time and waits in a queue of its own.
//!
//! So that however much one caller asks for, the others wait for one permit of it at most. Rejected: one queue for all,
//! because four callers with long reads then make all others wait for all four.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::LimitKey;

/// See the module's documentation.
#[derive(Clone, Default)]
pub struct FairQueue {
    queues: Arc<DashMap<LimitKey, Arc<Semaphore>>>,
}

impl FairQueue {
    /// The next permit of `limit_key`, once its permit before is dropped, in the order in which they were asked for.
    pub async fn acquire(&self, limit_key: LimitKey) -> QueuePermit {
        let queue = self.queues.entry(limit_key.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone();
        // Made before the wait: a caller that gives up leaves no queue behind.
        let mut permit = QueuePermit {
            permit: None,
            queue: Some((limit_key, Arc::clone(&queue))),
            queues: Arc::clone(&self.queues),
        };
        // No queue is ever closed.
        permit.permit = queue.acquire_owned().await.ok();
        permit
    }
}

/// The caller that has it may go on; the next one of that caller waits until it is dropped.
pub struct QueuePermit {
    permit: Option<OwnedSemaphorePermit>,
    queue: Option<(LimitKey, Arc<Semaphore>)>,
    queues: Arc<DashMap<LimitKey, Arc<Semaphore>>>,
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        let Some((limit_key, queue)) = self.queue.take() else { return };
        // Under the same lock under which others join the queue.
        self.queues.remove_if(&limit_key, |_, known| {
            self.permit = None;
            drop(queue);
            Arc::strong_count(known) == 1
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::mpsc;

    use super::*;

    fn limit_key(number: u8) -> LimitKey {
        LimitKey::at([192, 0, 2, number].into()).expect("a limited one")
    }

    /// A store with one reader at a time, the first come first served; four callers ask it for ten long reads each.
    #[tokio::test]
    async fn a_quiet_caller_waits_for_one_read_of_each_noisy_caller_at_most() {
        const NOISY: u8 = 4;
        let (queue, store) = (FairQueue::default(), Arc::new(Semaphore::new(1)));
        let (tell, mut begun) = mpsc::unbounded_channel();
        let end_of_read = Arc::new(Semaphore::new(0));
        let read = |caller: u8| {
            let (queue, store, tell, end) = (queue.clone(), Arc::clone(&store), tell.clone(), Arc::clone(&end_of_read));
            tokio::spawn(async move {
                let _permit = queue.acquire(limit_key(caller)).await;
                let _reader = store.acquire().await.expect("open");
                tell.send(caller).expect("the test listens");
                end.acquire().await.expect("open").forget();
            })
        };
        let mut reads: Vec<_> = (0..10).flat_map(|_| (1..=NOISY).map(&read)).collect();
        assert_eq!(begun.recv().await, Some(1), "the first one reads, all others wait");
        let quiet = read(99);
        // Once the quiet caller is in the queue, reads end one after the other.
        while queue.queues.len() <= usize::from(NOISY) {
            tokio::task::yield_now().await;
        }
        let mut before = 1;
        loop {
            end_of_read.add_permits(1);
            match begun.recv().await.expect("a read begins") {
                99 => break,
                _ => before += 1,
            }
        }
        assert!(before <= NOISY, "{before} reads of noisy callers came first");
        end_of_read.add_permits(reads.len());
        reads.push(quiet);
        for read in reads {
            read.await.expect("no panic");
        }
        assert!(queue.queues.is_empty(), "no queue is left behind");
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_leaves_nothing_behind() {
        let queue = FairQueue::default();
        let first = queue.acquire(limit_key(1)).await;
        assert!(queue.acquire(limit_key(1)).now_or_never().is_none(), "one at a time");
        assert!(queue.acquire(limit_key(2)).now_or_never().is_some(), "each caller by itself");
        drop(first);
        assert!(queue.queues.is_empty());
        assert!(queue.acquire(limit_key(1)).now_or_never().is_some());
    }
}
