//! Several clients at once, each on a thread of its own: what can be said of their answers whatever the order of
//! things.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::rt::System;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::Index;
use scalegate::api::view::JobView;
use scalegate::domain::StateName;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::plans::{STATES, filters, wishes};
use super::play::{Essence, body, list_path};
use super::reference::{Filter, Key, LISTED, Reply, Wish};
use super::sidecar::Platform;
use super::system::{Gateway, Reader, directory, get, post, text, until};
use crate::support::gateway::Response;

const CLIENTS: usize = 4;
const ACTS: std::ops::Range<usize> = 10..30;
const KEYS: Key = 6;
const ALL: Filter = Filter { resource: None, states: Vec::new() };
const LARGEST_PAGE: usize = 200;

/// Something a client does; jobs are picked from those it can know of.
#[derive(Clone, Debug)]
pub enum Act {
    Submit {
        wish: Wish,
        key: Option<Key>,
    },
    Cancel(Index),
    Poll(Index),
    List {
        filter: Filter,
        size: usize,
    },
    /// Through all jobs: by any state, or by none.
    Walk {
        states: Vec<StateName>,
        size: usize,
    },
}

/// What each of several clients does.
pub fn scripts() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let all_states = prop_oneof![1 => Just(Vec::new()), 2 => Just(STATES.to_vec()).prop_shuffle()];
    let sizes = prop_oneof![1 => 3..=10_usize, 1 => Just(LARGEST_PAGE)];
    let act = prop_oneof![
        6 => (wishes(), option::weighted(0.5, 0..KEYS)).prop_map(|(wish, key)| Act::Submit { wish, key }),
        2 => any::<Index>().prop_map(Act::Cancel),
        4 => any::<Index>().prop_map(Act::Poll),
        4 => (filters(), 1..=10_usize).prop_map(|(filter, size)| Act::List { filter, size }),
        3 => (all_states, sizes).prop_map(|(states, size)| Act::Walk { states, size }),
    ];
    vec(vec(act, ACTS), CLIENTS)
}

/// A gateway with its world, on a thread of its own. Stopped when dropped.
pub struct Scene {
    pub address: SocketAddr,
    pub platform: Arc<Platform>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Scene {
    pub fn start() -> Self {
        let platform = Arc::new(Platform::default());
        let (stop, stopped) = oneshot::channel();
        let (started, address) = mpsc::channel();
        let for_gateway = Arc::clone(&platform);
        let thread = std::thread::spawn(move || {
            System::new().block_on(async {
                let directory = directory();
                let gateway = Gateway::start(directory.path(), &for_gateway).await;
                started.send(gateway.address).expect("the test waits for it");
                // Dropped or used, it is time to stop.
                let _ = stopped.await;
                gateway.stop().await;
            });
        });
        let address = address.recv().expect("it starts");
        Self { address, platform, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.take();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the gateway ends in peace");
    }
}

// ---- clients that do as they like -------------------------------------------------------------------------------

/// What the clients tell each other.
#[derive(Default)]
struct Hearsay {
    accepted: Mutex<Vec<Uuid>>,
    /// The answers to each key, and whether they were replays.
    keyed: Mutex<BTreeMap<Key, Vec<(Essence, bool)>>>,
}

impl Hearsay {
    fn accepted(&self) -> Vec<Uuid> {
        self.accepted.lock().expect("no client panicked with it").clone()
    }
}

/// Lets the clients act against `scene`, and checks what they saw.
pub fn act_all(scene: &Scene, scripts: &[Vec<Act>]) {
    let hearsay = Hearsay::default();
    let done = AtomicBool::new(false);
    let readers = std::thread::scope(|threads| {
        threads.spawn(|| answer_changes(&scene.platform, &done));
        let _done_at_last = SetWhenDropped(&done);
        let clients: Vec<_> = scripts
            .iter()
            .map(|script| {
                let client = Client { address: scene.address, hearsay: &hearsay, reader: Reader::default() };
                threads.spawn(move || System::new().block_on(client.act(script)))
            })
            .collect();
        let readers: Vec<Reader> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
        System::new().block_on(all_over(scene.address));
        readers
    });
    for (number, one) in readers.iter().enumerate() {
        readers[..number].iter().for_each(|other| one.agrees_with(other));
    }
    check_keys(&hearsay);
    System::new().block_on(check_end(scene.address, hearsay.accepted(), readers));
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Plays the sidecar: every tenth change is refused, and every tenth answer is lost.
fn answer_changes(platform: &Platform, done: &AtomicBool) {
    let mut answered = 0;
    while !done.load(Ordering::Relaxed) {
        for (alias, ..) in LISTED {
            let reply = match answered % 10 {
                4 => Reply::Lost,
                9 => Reply::Rejected,
                _ => Reply::Accepted,
            };
            answered += usize::from(platform.answer(alias, reply));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn all_over(address: SocketAddr) {
    until(async || {
        let jobs = walk(address, &mut Reader::default(), &ALL, LARGEST_PAGE).await;
        match jobs.iter().find(|job| !job.state.is_over()) {
            Some(unfinished) => Err(format!("it does not end: {unfinished:#?}")),
            None => Ok(()),
        }
    })
    .await;
}

fn check_keys(hearsay: &Hearsay) {
    for (key, answers) in &*hearsay.keyed.lock().expect("no client panicked with it") {
        let first_hand = answers.iter().filter(|(_, replayed)| !replayed).count();
        assert_eq!(first_hand, 1, "key {key} is used once, and replayed after that");
        assert!(answers.windows(2).all(|pair| pair[0].0 == pair[1].0), "key {key}: {answers:#?}");
    }
}

/// Nothing moves any more: the list has what was accepted, and lists and single jobs are the same to every client.
async fn check_end(address: SocketAddr, accepted: Vec<Uuid>, mut readers: Vec<Reader>) {
    let listed = walk(address, &mut readers[0], &ALL, 7).await;
    let ids: BTreeSet<Uuid> = listed.iter().map(|job| job.id).collect();
    assert_eq!(ids, accepted.into_iter().collect());
    for job in &listed {
        assert!(job.state.is_over());
        for reader in &mut readers {
            assert_eq!(&reader.see_job(&get(address, &path(job.id)).await), job);
        }
    }
}

/// All pages of a list, one after the other.
async fn walk(address: SocketAddr, reader: &mut Reader, filter: &Filter, size: usize) -> Vec<JobView> {
    let first_page = list_path(filter, size);
    let mut next = Some(first_page.clone());
    let mut jobs: Vec<JobView> = Vec::new();
    while let Some(page) = next {
        let (shown, token) = reader.see_page(&get(address, &page).await);
        assert!(shown.len() <= size);
        jobs.extend(shown);
        next = token.map(|token| format!("{first_page}&pageToken={token}"));
    }
    let ids: BTreeSet<Uuid> = jobs.iter().map(|job| job.id).collect();
    assert_eq!(ids.len(), jobs.len(), "none twice");
    assert!(jobs.is_sorted_by(|newer, older| newer.created_at >= older.created_at), "newest first");
    jobs
}

fn path(id: Uuid) -> String {
    format!("/v1/jobs/{id}")
}

struct Client<'a> {
    address: SocketAddr,
    hearsay: &'a Hearsay,
    reader: Reader,
}

impl Client<'_> {
    async fn act(mut self, script: &[Act]) -> Reader {
        for act in script {
            match act {
                Act::Submit { wish, key } => self.submit(wish, *key).await,
                Act::Cancel(index) => self.cancel(index).await,
                Act::Poll(index) => {
                    if let Some(id) = self.pick(index) {
                        self.poll(id).await;
                    }
                }
                Act::List { filter, size } => self.list(filter, *size).await,
                Act::Walk { states, size } => self.walk(states.clone(), *size).await,
            }
        }
        self.reader
    }

    fn pick(&self, index: &Index) -> Option<Uuid> {
        let known = self.hearsay.accepted();
        (!known.is_empty()).then(|| known[index.index(known.len())])
    }

    async fn poll(&mut self, id: Uuid) -> JobView {
        self.reader.see_job(&get(self.address, &path(id)).await)
    }

    async fn submit(&mut self, wish: &Wish, key: Option<Key>) {
        let header = key.map(|key| format!("crowd-{key}"));
        let response = post(self.address, "/v1/jobs", body(wish, false), header.as_deref()).await;
        if !matches!(response.status, 200 | 202) {
            return self.check_refusal(&response).await;
        }
        let replayed = response.header("idempotency-replayed").is_some();
        if let Some(key) = key {
            let mut keyed = self.hearsay.keyed.lock().expect("no client panicked with it");
            keyed.entry(key).or_default().push((Essence::of(&response), replayed));
        }
        if replayed {
            return;
        }
        let job = self.reader.see_job(&response);
        if response.status == 202 {
            self.hearsay.accepted.lock().expect("no client panicked with it").push(job.id);
            // A client that was told of a job finds it everywhere.
            self.poll(job.id).await;
            let of_resource = Filter { resource: Some(wish.resource), ..ALL };
            let listed = walk(self.address, &mut self.reader, &of_resource, LARGEST_PAGE).await;
            assert!(listed.iter().any(|listed| listed.id == job.id), "{} is not listed", job.id);
        }
    }

    async fn check_refusal(&mut self, response: &Response) {
        let problem = response.problem();
        let code = (problem.status, problem.code.as_str());
        let known = [
            (404, "resource_not_found"),
            (409, "resource_busy"),
            (422, "out_of_bounds"),
            (422, "idempotency_key_reused"),
            (429, "queue_full"),
            (503, "too_many_jobs"),
        ];
        assert!(known.contains(&code), "{problem:?}");
        if problem.status == 409 {
            self.poll(problem.job.expect("the job in the way").id).await;
        }
    }

    async fn cancel(&mut self, index: &Index) {
        let Some(id) = self.pick(index) else { return };
        let response = post(self.address, &format!("{}/cancel", path(id)), String::new(), None).await;
        if response.status == 200 {
            let job = self.reader.see_job(&response);
            assert!(job.ending_as.is_some() || job.state.is_over(), "neither over nor about to be: {job:#?}");
        } else {
            let problem = response.problem();
            assert_eq!((problem.status, problem.code.as_str()), (409, "job_finished"), "{}", text(&response));
            assert!(self.poll(id).await.state.is_over());
        }
    }

    async fn list(&mut self, filter: &Filter, size: usize) {
        let jobs = walk(self.address, &mut self.reader, filter, size).await;
        for job in &jobs {
            assert!(filter.resource.is_none_or(|resource| resource == job.resource), "{filter:?} shows {job:#?}");
            assert!(filter.states.is_empty() || filter.states.contains(&job.state), "{filter:?} shows {job:#?}");
        }
        if let Some(job) = jobs.first() {
            self.poll(job.id).await;
        }
    }

    /// Each job is in one state or another all the time, and so on any list of all states.
    async fn walk(&mut self, states: Vec<StateName>, size: usize) {
        let known = self.hearsay.accepted();
        let jobs = walk(self.address, &mut self.reader, &Filter { states, ..ALL }, size).await;
        let missed = known.iter().find(|known| jobs.iter().all(|job| job.id != **known));
        assert_eq!(missed, None, "it was accepted before the walk began");
    }
}

// ---- clients that do the same at the same moment ----------------------------------------------------------------

/// The answers to requests that `CLIENTS` threads send at the same moment; the number of the client is the argument.
pub fn race(request: impl AsyncFn(usize) -> Response + Sync) -> Vec<Response> {
    let start = Barrier::new(CLIENTS);
    let (start, request) = (&start, &request);
    std::thread::scope(|threads| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                threads.spawn(move || {
                    System::new().block_on(async {
                        start.wait();
                        request(number).await
                    })
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    })
}
