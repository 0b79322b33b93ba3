//! The simulated sidecar on a socket: the guide's API, and a few routes of its own for tests in other processes.
//!
//! | Route | Meaning |
//! |---|---|
//! | `GET /resource/{alias}/capacity` | a reading |
//! | `POST /resource/{alias}/capacity/add`, `…/remove` | change one resource |
//! | `POST /resources/capacity/add`, `…/remove` | change several resources |
//! | `GET /simulator/log` | `{"records": [Record, …]}` |
//! | `PUT /simulator/resource/{alias}/capacity` | `{"capacity": n}`: another program sets the capacity |
//! | `PUT /simulator/faults` | `{"reads": ["garbage", …], "changes": [null, "answer_lost", …]}`: what befalls the next requests, in the place of whatever was scripted before |
//!
//! It decides nothing: every answer, errors included, is the model's.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::behaviour::Behaviour;
use super::model::Model;
use crate::domain::Timestamp;

mod routes;

/// A model shared between a running simulator and a test that watches or provokes it.
///
/// Lock it briefly and never across an await: requests wait meanwhile.
pub type SharedModel = Arc<Mutex<Model>>;

/// Longest wait for the server's thread to be gone, once it was told to stop. It has nothing to finish, so this is
/// there only to turn a hang into an error.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Largest request body in bytes. The longest request there is names a few resources.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Starts simulated sidecars.
#[derive(Clone, Copy, Debug)]
pub struct Simulator;

/// A simulated sidecar that serves requests until it is stopped or dropped.
#[derive(Debug)]
pub struct RunningSimulator {
    address: SocketAddr,
    model: SharedModel,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
    /// Closed when the last piece of the server is gone: see [`State::_alive`].
    gone: mpsc::Receiver<()>,
}

/// What the routes work on.
struct State {
    model: SharedModel,
    clock: Box<dyn Fn() -> Timestamp>,
    /// Held for as long as any connection can still reach the model. The server reports that it has stopped before its
    /// thread has let go of the connections, and one more add after that would spoil a test's count.
    _alive: mpsc::Sender<()>,
}

impl State {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The model. A panic elsewhere while it was locked left nothing half done that an answer could depend on, so the
    /// poison is ignored.
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator {
    /// Starts a new sidecar on `listener`, in the tokio or actix runtime this is called in. Times are `clock`'s.
    ///
    /// # Errors
    /// If `listener` cannot be used, or if there is no runtime.
    pub fn start(
        listener: TcpListener,
        behaviour: Behaviour,
        seed: u64,
        clock: impl Fn() -> Timestamp + Send + Clone + 'static,
    ) -> io::Result<RunningSimulator> {
        Self::resume(listener, Arc::new(Mutex::new(Model::new(behaviour, seed))), clock)
    }

    /// Starts a sidecar that goes on where `model` is, for example after an outage.
    ///
    /// # Errors
    /// As for [`Simulator::start`].
    pub fn resume(
        listener: TcpListener,
        model: SharedModel,
        clock: impl Fn() -> Timestamp + Send + Clone + 'static,
    ) -> io::Result<RunningSimulator> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let address = listener.local_addr()?;
        let (alive, gone) = mpsc::channel(1);
        let served = Arc::clone(&model);
        let server = HttpServer::new(move || {
            let (model, clock, alive) = (Arc::clone(&served), clock.clone(), alive.clone());
            App::new()
                .app_data(web::Data::new(State { model, clock: Box::new(clock), _alive: alive }))
                .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
                .configure(routes::configure)
        })
        .workers(1)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        Ok(RunningSimulator { address, model, handle, task: runtime.spawn(server), gone })
    }
}

impl RunningSimulator {
    /// The address it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its model.
    pub const fn model(&self) -> &SharedModel {
        &self.model
    }

    /// Stops it as a crash would: requests in progress get no answer. When this returns its port is free, all its
    /// connections are closed, and nothing but the caller can reach the model any more.
    ///
    /// # Errors
    /// If the server failed while it ran, or cannot be stopped.
    pub async fn stop(mut self) -> io::Result<()> {
        self.handle.stop(false).await;
        (&mut self.task).await.map_err(io::Error::other)??;
        match timeout(STOP_LIMIT, self.gone.recv()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the simulator's thread does not end")),
        }
    }
}

impl Drop for RunningSimulator {
    /// Tells the server to stop, without waiting for it.
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

#[cfg(test)]
mod tests;
