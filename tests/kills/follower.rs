//! A client that follows all jobs by the stream of events, and comes back after every death with the last id.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use scalegate::api::view::JobView;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::support::events::{Event, Events};

/// Pause before the next try where no process listens.
const RETRY: Duration = Duration::from_millis(5);

/// A task that listens, and fails if it misses something or hears it twice.
pub struct Follower {
    listening: JoinHandle<Heard>,
    until: oneshot::Sender<u64>,
}

/// What was heard.
#[derive(Default)]
pub struct Heard {
    /// The id of the last event, or the place from which the first stream told.
    last: Option<u64>,
    jobs: HashMap<Uuid, Value>,
    events: usize,
    connections: usize,
}

impl Follower {
    /// Listens to the gateway that is found by `way`. What happens from now on will be heard.
    pub async fn start(way: &watch::Receiver<Option<SocketAddr>>) -> Self {
        let (until, end) = oneshot::channel();
        let mut heard = Heard::default();
        while heard.last.is_none() {
            if let Some(mut stream) = heard.connect(&mut way.clone()).await
                && let Some(ready) = stream.next().await
            {
                heard.hear(&ready);
            }
        }
        Self { listening: actix_web::rt::spawn(heard.listen(way.clone(), end)), until }
    }

    /// Lets it hear everything that the gateway at `address`, where nothing happens any more, has to tell; and compares
    /// it with the jobs as they are.
    pub async fn finish(self, address: SocketAddr, jobs: &[JobView]) -> Heard {
        let latest = Events::open(address, "/v1/events", None).await.expect("ready").await.id.expect("a place");
        self.until.send(latest).expect("it listens");
        let heard = self.listening.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
        for job in jobs {
            let last = heard.jobs.get(&job.id).unwrap_or_else(|| panic!("nothing was heard of {job:#?}"));
            assert_eq!(*last, serde_json::to_value(job).expect("JSON"), "the last that was heard");
        }
        heard
    }
}

impl Heard {
    async fn listen(mut self, mut way: watch::Receiver<Option<SocketAddr>>, mut end: oneshot::Receiver<u64>) -> Self {
        let mut until = None;
        loop {
            let Some(mut stream) = self.connect(&mut way).await else { continue };
            loop {
                if until.is_some_and(|until| self.last >= Some(until)) {
                    return self;
                }
                tokio::select! {
                    event = stream.next() => match event {
                        Some(event) => self.hear(&event),
                        None => break,
                    },
                    latest = &mut end, if until.is_none() => until = Some(latest.expect("an end")),
                }
            }
        }
    }

    async fn connect(&mut self, way: &mut watch::Receiver<Option<SocketAddr>>) -> Option<Events> {
        let address = way.wait_for(Option::is_some).await.expect("the killer lives").expect("there is one");
        let stream = Events::try_open(address, "/v1/events", self.last).await;
        match &stream {
            Some(_) => self.connections += 1,
            None => tokio::time::sleep(RETRY).await,
        }
        stream
    }

    fn hear(&mut self, event: &Event) {
        match event.name.as_str() {
            "ready" => {
                assert_eq!(event.data["resumed"], self.last.is_some(), "what came after {:?} is kept", self.last);
                self.last = self.last.or(event.id);
            }
            "job" => {
                assert_eq!(event.id, self.last.map(|last| last + 1), "one after the other");
                self.last = event.id;
                self.events += 1;
                let id = event.data["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
                let before = self.jobs.insert(id, event.data.clone());
                let version = |job: &Value| job["version"].as_u64().expect("a version");
                if let Some(before) = before {
                    assert_eq!(event.version(), version(&before) + 1, "{before:#?} {event:#?}");
                }
            }
            // It may be told that the process is going, and of timelines and heartbeats.
            _ => {}
        }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, connections, jobs, .. } = self;
        write!(f, "followed: {events} versions of {} jobs over {connections} connections, none missed", jobs.len())
    }
}
