//! Clients that keep the gateway busy, and put up with its deaths.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::groups;
use super::policies::{self, Promises};
use super::referee::{Referee, Sight, Submission};
use super::support::gateway::{PATIENCE, Response, try_send};
use super::{GROUPS, MOST_UNITS, POLICIES, RESOURCES};
use crate::support::dice::Dice;

const CLIENTS: u64 = 8;
/// Clients that do nothing but watch one job after the other. They are there to see what is shown too early.
const WATCHERS: u64 = 3;
/// Longest pause of a client between two requests.
const LONGEST_PAUSE: Duration = Duration::from_millis(60);
/// Longest pause of a watcher.
const GLANCE: Duration = Duration::from_millis(6);
/// Pause of a client whose request was not answered.
const RETRY: Duration = Duration::from_millis(5);

/// All clients.
pub struct Load {
    clients: JoinSet<()>,
    stop: Rc<Cell<bool>>,
}

impl Load {
    /// Starts the clients, who find the gateway by `way`.
    pub fn start(referee: &Arc<Referee>, way: &watch::Receiver<Option<SocketAddr>>, seed: u64) -> Self {
        let (mut clients, stop) = (JoinSet::new(), Rc::new(Cell::new(false)));
        for number in 1..=CLIENTS + WATCHERS {
            let client = Client {
                referee: Arc::clone(referee),
                way: way.clone(),
                dice: Dice::for_part(seed, number),
                http: awc::Client::default(),
            };
            let stop = Rc::clone(&stop);
            if number <= CLIENTS {
                clients.spawn_local(client.run(stop));
            } else {
                clients.spawn_local(client.watch(stop));
            }
        }
        Self { clients, stop }
    }

    /// Starts the clients of policies.
    pub fn add_policies(&mut self, promises: &Promises, way: &watch::Receiver<Option<SocketAddr>>, seed: u64) {
        let client = |number| policies::Client::new(promises, way, seed, POLICIES + number);
        self.clients.spawn_local(client(1).run_claims(Rc::clone(&self.stop)));
        self.clients.spawn_local(client(2).run_load(Rc::clone(&self.stop)));
    }

    /// Starts the client of groups.
    pub fn add_groups(&mut self, promises: &groups::Promises, way: &watch::Receiver<Option<SocketAddr>>, seed: u64) {
        let client = groups::Client::new(promises, way, Dice::for_part(seed, GROUPS));
        self.clients.spawn_local(client.run(Rc::clone(&self.stop)));
    }

    /// Waits until one fails, and fails with it.
    pub async fn failed(&mut self) {
        if let Some(ended) = self.clients.join_next().await {
            pass_on(ended);
        }
    }

    /// Lets all clients finish what they are about.
    pub async fn stop(mut self) {
        self.stop.set(true);
        while let Some(ended) = self.clients.join_next().await {
            pass_on(ended);
        }
    }
}

fn pass_on(ended: Result<(), JoinError>) {
    if let Err(panicked) = ended {
        std::panic::resume_unwind(panicked.into_panic());
    }
}

struct Client {
    referee: Arc<Referee>,
    way: watch::Receiver<Option<SocketAddr>>,
    dice: Dice,
    http: awc::Client,
}

impl Client {
    async fn run(mut self, stop: Rc<Cell<bool>>) {
        while !stop.get() {
            match self.dice.between(0, 99) {
                0..45 => self.submit().await,
                45..50 => self.submit_again().await,
                50..53 => self.cancel().await,
                choice => {
                    let any = self.dice.percent(20);
                    let before = self.some_job(any);
                    let prefer = (choice < 56).then_some("wait=1");
                    self.poll(before, prefer).await;
                }
            }
            let pause = self.dice.duration(LONGEST_PAUSE);
            tokio::time::sleep(pause).await;
        }
    }

    async fn watch(mut self, stop: Rc<Cell<bool>>) {
        let mut watched: Option<Arc<Sight>> = None;
        while !stop.get() {
            watched = watched.filter(|job| !job.job.state.is_over()).or_else(|| self.some_job(false));
            watched = self.poll(watched, None).await;
            let pause = self.dice.duration(GLANCE);
            tokio::time::sleep(pause).await;
        }
    }

    async fn address(&mut self) -> SocketAddr {
        self.way.wait_for(Option::is_some).await.expect("the gateway comes back").expect("it is there")
    }

    // ---- what a client does -----------------------------------------------------------------------------------

    /// Submits a job. With a key, and for as long as it takes to get an answer; without one, once.
    async fn submit(&mut self) {
        let (body, keyed) = (self.draw_submission(), self.dice.percent(90));
        let submission = self.referee.register(body, keyed);
        let (begin, mut sent_before) = (Instant::now(), false);
        while !sent_before || keyed {
            assert!(begin.elapsed() < PATIENCE, "no answer to {}", submission.body);
            match self.send_submission(&submission).await {
                Some(response) => return self.referee.answered(&submission, &response, sent_before),
                None => self.referee.lost_submission(),
            }
            sent_before = true;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Sends a submission again that was answered, some time ago.
    async fn submit_again(&mut self) {
        let dice = &mut self.dice;
        let Some((submission, first)) = self.referee.some_answered_submission(|count| dice.index(count)) else {
            return;
        };
        let before = self.referee.last_sight(first.id).expect("it was answered with a job");
        match self.send_submission(&submission).await {
            Some(response) => self.referee.answered_again(&submission, &first, &before, &response),
            None => self.referee.lost_answer(),
        }
    }

    async fn cancel(&mut self) {
        let Some(before) = self.some_job(false) else { return };
        let id = before.job.id;
        let url = format!("http://{}/v1/jobs/{id}/cancel", self.address().await);
        match try_send(self.http.post(url), None).await {
            Err(_) => self.referee.lost_answer(),
            Ok(response) if response.status == 503 => {}
            Ok(response) if response.status == 409 => assert_eq!(response.problem().code.as_str(), "job_finished"),
            Ok(response) => {
                assert!(!before.job.state.is_over(), "canceled after its end: {:#?}", before.job);
                self.referee.saw(Some(&before), &response);
                self.referee.canceled(id);
            }
        }
    }

    /// Asks for a job once more; how it is now.
    async fn poll(&mut self, before: Option<Arc<Sight>>, prefer: Option<&str>) -> Option<Arc<Sight>> {
        let before = before?;
        let url = format!("http://{}/v1/jobs/{}", self.address().await, before.job.id);
        let mut request = self.http.get(url);
        if let Some(prefer) = prefer {
            request = request.insert_header(("Prefer", prefer));
        }
        match try_send(request, None).await {
            Err(_) => {
                self.referee.lost_answer();
                tokio::time::sleep(RETRY).await;
                Some(before)
            }
            Ok(response) => {
                assert_eq!(response.status, 200, "known, and then not: {}, {:#?}", response.text(), before.job);
                Some(self.referee.saw(Some(&before), &response))
            }
        }
    }

    // ---- parts ------------------------------------------------------------------------------------------------

    fn some_job(&mut self, any: bool) -> Option<Arc<Sight>> {
        let dice = &mut self.dice;
        self.referee.some_job(|count| dice.index(count), any)
    }

    /// The answer, or `None` if there is none, or one that only asks to try again.
    async fn send_submission(&mut self, submission: &Submission) -> Option<Response> {
        let url = format!("http://{}/v1/jobs", self.address().await);
        let mut request = self.http.post(url).content_type("application/json");
        if let Some(key) = &submission.key {
            request = request.insert_header(("Idempotency-Key", key.as_str()));
        }
        self.referee.sends_submission();
        let response = try_send(request, Some(submission.body.to_string().into_bytes())).await;
        response.ok().filter(|response| response.status != 503)
    }

    fn draw_submission(&mut self) -> Value {
        let dice = &mut self.dice;
        let mut body = json!({"resource": dice.pick(&RESOURCES), "stepSize": dice.between(1, 3)});
        if dice.percent(70) {
            // One too many now and then.
            body["targetCapacity"] = dice.between(0, u64::from(MOST_UNITS) + 1).into();
        } else {
            body["delta"] = dice.pick(&[-3, -2, -1, 1, 2, 3]).into();
        }
        body["onConflict"] = match dice.between(0, 99) {
            0..45 => "reject",
            45..98 => "queue",
            _ => "supersede",
        }
        .into();
        if dice.percent(20) {
            body["cooldownSeconds"] = (dice.between(200, 700) as f64 / 1000.0).into();
        }
        if dice.percent(5) {
            body["deadlineSeconds"] = (dice.between(300, 2000) as f64 / 1000.0).into();
        }
        body
    }
}
