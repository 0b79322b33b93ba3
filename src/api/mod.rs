//! The HTTP API: routes, what requests and answers look like, and the OpenAPI document.
//!
//! Handlers parse input into the domain's types, ask the engine or the table, and render. They must never decide anything
//! about scaling, hold a lock across an await, or answer before the engine says that a change is durable.

mod audit;
mod backtests;
mod body;
mod browsers;
mod caller;
mod connection_limits;
mod connections;
mod decisions;
mod demand;
mod demonstration;
mod docs;
mod events;
mod files;
mod finish;
mod groups;
mod guard;
mod health;
mod hooks;
mod input;
mod jobs;
pub mod keys;
mod list;
mod listener;
mod measure;
mod metrics;
mod named;
pub mod openapi;
mod panel;
mod policies;
mod problem;
mod query;
mod reads;
mod resources;
mod routes;
mod samples;
mod server;
mod stream;
mod submission;
mod suggestion;
mod timeline;
mod tls;
mod traced;
pub mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::dev::HttpServiceFactory;
use tokio::sync::{Mutex, Semaphore, watch};
use utoipa_actix_web::OpenApiFactory;

use crate::access::FairQueue;
use crate::clock::Clock;
use crate::engine::{EngineHandle, Projections};
use crate::feed::Feed;
use crate::group_table::GroupTable;
use crate::metrics::Metrics;
use crate::store::StoreReader;
use crate::table::JobTable;
use crate::telemetry::Traces;

pub use audit::{AuditOutcome, AuditRecorder, AuditView, audit_line};
pub use backtests::NewBacktest;
pub use browsers::BrowserRules;
pub use connection_limits::ConnectionLimits;
pub use decisions::{DecisionList, Outlook, PlannedCapacity, TransitionView};
pub use demand::{ClaimList, NewClaim, NewHold};
pub use guard::{Guard, KeyRule};
pub use policies::{PolicyDocument, RuleDocument, SourceDocument, StepDocument};
pub use problem::{ApiError, Code, FieldError, JobLink, PROBLEM_JSON, Problem};
pub use routes::Routes;
pub use samples::{NewSamples, PredictedValue, Pushed};
pub use server::{HttpServer, bind};
pub use submission::{GroupMemberWish, GroupSubmission, GroupTarget, Submission};
pub use tls::{Tls, TlsError};

/// Something that is measured when it is asked for; `None` if it cannot be.
type Gauge = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// What handlers work with.
pub struct ApiState {
    /// The engine.
    pub engine: EngineHandle,
    /// The jobs as readers see them.
    pub table: Arc<JobTable>,
    /// The groups as readers see them.
    pub groups: Arc<GroupTable>,
    /// What has changed.
    pub feed: Arc<Feed>,
    /// The store.
    pub reader: Arc<dyn StoreReader>,
    /// The queue in which callers wait to read from it, one read of each at a time.
    pub read_queue: FairQueue,
    /// The time.
    pub clock: Clock,
    /// Where it is told what requests went through.
    pub traces: Traces,
    /// Who may do what.
    pub guard: Guard,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How many connections, streams and held-back answers there may be in all.
    pub connection_limits: ConnectionLimits,
    /// Permits for answers that are held back.
    pub long_polls: Semaphore,
    /// Permits for streams.
    pub streams: Arc<Semaphore>,
    /// The turn of the scrape that reads all resources.
    pub scrapes: Mutex<()>,
    /// The permit of the backtest that runs.
    pub backtests: Arc<Semaphore>,
    store_log_bytes: Option<Gauge>,
    recovered: Arc<AtomicBool>,
    stopping: watch::Receiver<bool>,
}

/// Tells handlers how far the process has come.
pub struct ProcessState {
    recovered: Arc<AtomicBool>,
    stopping: watch::Sender<bool>,
}

impl ProcessState {
    /// Whether the table knows what is in the store, and the engine goes on with it. Not so at first.
    pub fn set_recovered(&self, recovered: bool) {
        self.recovered.store(recovered, Ordering::Release);
    }

    /// The process stops: no caller is to be kept waiting.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

impl ApiState {
    /// What handlers work with in a process with these `connection_limits`, and how to tell them how far it has come.
    pub fn new(
        engine: EngineHandle,
        projections: Projections,
        reader: Arc<dyn StoreReader>,
        clock: Clock,
        guard: Guard,
        connection_limits: ConnectionLimits,
    ) -> (Self, ProcessState) {
        let Projections { table, groups, feed, metrics, traces } = projections;
        let (long_polls, streams) =
            (Semaphore::new(connection_limits.long_polls), Arc::new(Semaphore::new(connection_limits.streams)));
        let recovered = Arc::new(AtomicBool::new(false));
        let (stop, stopping) = watch::channel(false);
        let progress = ProcessState { recovered: Arc::clone(&recovered), stopping: stop };
        let state = Self {
            engine,
            table,
            groups,
            feed,
            reader,
            read_queue: FairQueue::default(),
            clock,
            traces,
            guard,
            metrics,
            connection_limits,
            long_polls,
            streams,
            scrapes: Mutex::new(()),
            backtests: Arc::new(Semaphore::new(1)),
            store_log_bytes: None,
            recovered,
            stopping,
        };
        (state, progress)
    }

    /// The same, with the length of the store's write-ahead log, for a store that has one.
    #[must_use]
    pub fn with_store_log(self, bytes: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self { store_log_bytes: Some(Box::new(bytes)), ..self }
    }

    /// Fails as long as the gateway does not know yet what is in its store.
    ///
    /// # Errors
    /// That it is with this `code`.
    fn check_recovered(&self, code: Code) -> Result<(), ApiError> {
        if self.recovered.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(ApiError::new(
            code,
            "The gateway has just started and is still reading its store; that takes some seconds.",
        ))
    }
}

/// What takes handlers: a server, to serve them, or the OpenAPI document, to describe them.
trait HandlerRegistry {
    fn service(&mut self, handler: impl HttpServiceFactory + OpenApiFactory + 'static) -> &mut Self;
}

impl HandlerRegistry for actix_web::web::ServiceConfig {
    fn service(&mut self, handler: impl HttpServiceFactory + OpenApiFactory + 'static) -> &mut Self {
        actix_web::web::ServiceConfig::service(self, handler)
    }
}

impl HandlerRegistry for utoipa_actix_web::service_config::ServiceConfig<'_> {
    fn service(&mut self, handler: impl HttpServiceFactory + OpenApiFactory + 'static) -> &mut Self {
        utoipa_actix_web::service_config::ServiceConfig::service(self, handler)
    }
}

/// The routes of the OpenAPI document.
fn documented(registry: &mut impl HandlerRegistry) {
    registry
        .service(jobs::submit)
        .service(jobs::list_jobs)
        .service(jobs::get_job)
        .service(jobs::cancel_job)
        .service(events::job_events)
        .service(events::all_events)
        .service(jobs::plan)
        .service(groups::submit_group)
        .service(groups::list_groups)
        .service(groups::plan_group)
        .service(groups::get_group)
        .service(groups::cancel_group)
        .service(groups::group_events)
        .service(resources::list_resources)
        .service(resources::get_resource)
        .service(timeline::list_timeline_entries)
        .service(policies::list_policies)
        .service(policies::get_policy)
        .service(policies::put_policy)
        .service(policies::delete_policy)
        .service(policies::list_policy_revisions)
        .service(policies::evaluate_policy)
        .service(backtests::run_backtest)
        .service(decisions::list_decisions)
        .service(decisions::get_outlook)
        .service(samples::push_metrics)
        .service(samples::push_metric)
        .service(samples::read_metric)
        .service(demand::put_hold)
        .service(demand::get_hold)
        .service(demand::delete_hold)
        .service(demand::create_claim)
        .service(demand::list_claims)
        .service(demand::get_claim)
        .service(demand::renew_claim)
        .service(demand::delete_claim)
        .service(hooks::receive_alerts)
        .service(keys::create_key)
        .service(keys::list_keys)
        .service(keys::get_key)
        .service(keys::revoke_key)
        .service(keys::whoami)
        .service(audit::list_audit_entries)
        .service(health::live)
        .service(health::ready)
        .service(metrics::metrics);
}

/// All routes, as their handlers declare them.
pub fn routes() -> Routes {
    let declared = [
        jobs::ROUTES,
        events::ROUTES,
        groups::ROUTES,
        resources::ROUTES,
        timeline::ROUTES,
        policies::ROUTES,
        backtests::ROUTES,
        decisions::ROUTES,
        samples::ROUTES,
        demand::HOLD_ROUTES,
        demand::CLAIM_ROUTES,
        hooks::ROUTES,
        keys::ROUTES,
        keys::WHOAMI_ROUTES,
        audit::ROUTES,
        health::ROUTES,
        metrics::ROUTES,
    ];
    Routes::new(declared.into_iter().flatten())
}
