//! What Prometheus scrapes.

mod policies;

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, get, web};
use tokio::time::timeout;

use super::ApiState;
use super::caller::Caller;
use super::problem::{ApiError, Code};
use super::query::MAX_PAGE_SIZE;
use super::routes::{Route, problems};
use crate::domain::{MAX_CAPACITY, Reach, Scope, Timestamp, WaitReason};
use crate::engine::{EngineHandle, ResourceView, Unavailable};
use crate::metrics::{Family, Scrape};
use crate::store::{JobCounts, StoreReader};

/// What the content is, in the words of the format's definition.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Most resources with metrics of their own. Callers choose the names, and each costs a Prometheus about ten series for as
/// long as it keeps its data; a deployment has tens of services.
const MAX_NAMED: usize = 1000;
/// Longest wait for the engine. It answers in milliseconds, also about ten thousand resources; Prometheus waits ten seconds for
/// everything, and the rest of the metrics are wanted most when the engine is stuck.
const ENGINE_PATIENCE: Duration = Duration::from_secs(2);
/// Longest wait for the number of jobs, which takes the store milliseconds for 100,000.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] =
    &[Route::get("/metrics").needs(&[Scope::Read]).problems(problems![ResourceForbidden])];

/// Metrics for Prometheus
///
/// In the text format 0.0.4. If the engine does not answer, `scalegate_engine_available` is 0 and what it would have said
/// about resources is left out. At most 1000 resources are named, those listed in the configuration first;
/// `scalegate_resources_omitted` says how many are not. A key that is only for some resources is refused; the configuration
/// can open the metrics to callers without a key.
#[utoipa::path(
    operation_id = "getMetrics", tag = "operations",
    responses(
        (status = 200, description = "The metrics, as text.", body = String, content_type = "text/plain",
            example = "# HELP scalegate_engine_available 1 if the engine works.\n\
                       # TYPE scalegate_engine_available gauge\nscalegate_engine_available 1\n"),
    )
)]
#[get("/metrics")]
pub async fn metrics(state: web::Data<ApiState>, caller: Caller) -> Result<HttpResponse, ApiError> {
    if caller.reach().resources().is_some() {
        let detail = "The metrics are about all resources, and this key is only for some.";
        return Err(ApiError::new(Code::ResourceForbidden, detail));
    }
    // A dashboard must not show all jobs disappear with each restart.
    state.check_recovered(Code::StorageUnavailable)?;
    let counts = state.read(&caller, "number of jobs", async |reader: Arc<dyn StoreReader>| reader.job_counts().await);
    let counts = timeout(STORE_PATIENCE, counts).await.ok().and_then(Result::ok);
    // One scrape at a time: all resources take some hundred kilobytes, and scrapes that wait together must not each keep them.
    let _turn = state.scrapes.lock().await;
    let views = timeout(ENGINE_PATIENCE, all_resources(&state.engine)).await.ok().and_then(Result::ok);
    let mut scrape = Scrape::default();
    describe_gateway(&mut scrape, &state, views.is_some(), counts.as_ref());
    if let Some(mut views) = views {
        describe_waits(&mut scrape, &views);
        policies::describe_number(&mut scrape, &views);
        // A stable order, so that each scrape names the same ones; the list comes by name.
        views.sort_by_key(|view| !view.listed);
        describe_number(&mut scrape, views.len());
        views.truncate(MAX_NAMED);
        describe_resources(&mut scrape, &views, state.clock.now());
        policies::describe(&mut scrape, &views, state.clock.now());
    }
    let mut text = state.metrics.render(scrape).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the metrics cannot be written");
        ApiError::new(Code::InternalError, "The metrics cannot be written.")
    })?;
    // It grew by doubling, and may have to wait for its reader.
    text.shrink_to_fit();
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text))
}

/// All resources, asked for in pages, so that other requests get their turns in between.
async fn all_resources(engine: &EngineHandle) -> Result<Vec<ResourceView>, Unavailable> {
    let mut views: Vec<ResourceView> = Vec::new();
    loop {
        let after = views.last().map(|view| view.resource.clone());
        let page = engine.resources(Reach::EVERYTHING, after, MAX_PAGE_SIZE).await?;
        let is_last = page.len() < MAX_PAGE_SIZE;
        views.extend(page);
        if is_last {
            return Ok(views);
        }
    }
}

fn describe_gateway(scrape: &mut Scrape, state: &ApiState, engine_available: bool, counts: Option<&JobCounts>) {
    scrape.gauge(
        "scalegate_engine_available",
        "1 if the engine works. 0 if it cannot, mostly because the store cannot be written, or does not answer: no job is \
         accepted or moved on then. The log says why, as does /readyz with a key.",
        |family| family.set(f64::from(u8::from(engine_available))),
    );
    scrape.gauge(
        "scalegate_jobs",
        "Jobs that are kept, by state; finished ones are removed after a while.",
        |family| {
            for (job_state, count) in counts.into_iter().flatten() {
                family.add(&[("state", job_state.as_str())], *count as f64);
            }
        },
    );
    let help = "Groups that are not over, by state: queued, running or restoring.";
    scrape.gauge("scalegate_groups", help, |family| {
        for (group_state, count) in state.groups.unfinished() {
            family.add(&[("state", group_state.as_str())], count as f64);
        }
    });
    let help = "Length of the store's write-ahead log. More than 32 MiB for more than some seconds means that another program \
                keeps a transaction open on the store; the gateway truncates the log when that ends.";
    scrape.gauge("scalegate_store_log_bytes", help, |family| {
        state.store_log_bytes.as_ref().and_then(|read| read()).into_iter().for_each(|bytes| family.set(bytes as f64));
    });
    let permits = [
        ("event_stream", state.connection_limits.streams, state.streams.available_permits()),
        ("long_poll", state.connection_limits.long_polls, state.long_polls.available_permits()),
    ];
    let help = "Callers that watch jobs, by how: event_stream, or long_poll (Prefer: wait). Those who hung up count until \
                something is written to them, at the latest after 30 s.";
    scrape.gauge("scalegate_watchers", help, |family| {
        permits.iter().for_each(|(kind, all, free)| family.add(&[("kind", kind)], all.saturating_sub(*free) as f64));
    });
    let help = "Most callers that may watch at a time; those beyond it have to poll. It follows from process_max_fds.";
    scrape.gauge("scalegate_watchers_limit", help, |family| {
        permits.iter().for_each(|(kind, all, _)| family.add(&[("kind", kind)], *all as f64));
    });
}

/// What unfinished jobs wait for, over all resources, named or not.
fn describe_waits(scrape: &mut Scrape, views: &[ResourceView]) {
    scrape.gauge(
        "scalegate_jobs_waiting",
        "Unfinished jobs by what they wait for: turn: earlier jobs on the resource, or their stage in a group; sidecar: a \
         reading; active: the resource to become ready; cooldown; change: one that was sent, to show; settle: readings to become certain.",
        |family| {
            let queued: usize = views.iter().map(|view| view.queue.len()).sum();
            family.add(&[("reason", WaitReason::Turn.as_str())], queued as f64);
            for reason in WaitReason::ALL.into_iter().filter(|reason| !is_of_queued(*reason)) {
                let count = views.iter().filter(|view| waits_for(view) == Some(reason)).count();
                family.add(&[("reason", reason.as_str())], count as f64);
            }
        },
    );
}

fn is_of_queued(reason: WaitReason) -> bool {
    matches!(reason, WaitReason::Turn | WaitReason::Stage)
}

fn waits_for(view: &ResourceView) -> Option<WaitReason> {
    view.active.as_ref()?.waiting.as_ref().map(|waiting| waiting.reason)
}

fn describe_number(scrape: &mut Scrape, number: usize) {
    let help = "Resources that are listed in the configuration or were scaled lately.";
    scrape.gauge("scalegate_resources", help, |family| family.set(number as f64));
    let help =
        "Resources that are not named in the metrics, because there are too many; they are scaled like all others.";
    let omitted = number.saturating_sub(MAX_NAMED);
    scrape.gauge("scalegate_resources_omitted", help, |family| family.set(omitted as f64));
}

fn describe_resources(scrape: &mut Scrape, views: &[ResourceView], now: Timestamp) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&ResourceView) -> Option<f64>| {
        scrape.gauge(name, help, |family: &mut Family| {
            for view in views {
                value(view).into_iter().for_each(|value| family.add(&[("resource", view.resource.as_str())], value));
            }
        });
    };
    each("scalegate_resource_capacity", "Capacity in units, as the last reading showed it.", &|view| {
        view.observation.as_ref().map(|reading| f64::from(reading.capacity.units()))
    });
    each(
        "scalegate_resource_ready",
        "1 if the last reading showed the resource ready for a change, 0 if it is in transition or has failed.",
        &|view| {
            let ready = |reading: &crate::domain::Reading| reading.status.is_at_rest(reading.capacity);
            view.observation.as_ref().map(|reading| f64::from(u8::from(ready(reading))))
        },
    );
    each(
        "scalegate_resource_reading_age_seconds",
        "Age of the last reading. It grows while no job scales the resource: the sidecar is not asked then.",
        &|view| view.observation.as_ref().map(|reading| now.since(reading.received_at).as_secs_f64()),
    );
    each(
        "scalegate_resource_target_capacity",
        "Capacity in units that the running job is to reach; absent while there is no job, or its target is not known yet.",
        &|view| view.active.as_ref()?.target.map(|target| f64::from(target.units())),
    );
    each("scalegate_resource_min_capacity", "Least capacity that the configuration allows, in units.", &|view| {
        Some(f64::from(view.rules.bounds.min.units()))
    });
    each(
        "scalegate_resource_max_capacity",
        "Largest capacity that the configuration allows, in units; absent where it sets no limit.",
        &|view| Some(view.rules.bounds.max.units()).filter(|max| *max < MAX_CAPACITY).map(f64::from),
    );
    each(
        "scalegate_resource_cooldown_remaining_seconds",
        "Time until the resource may be changed again; 0 if it may be now.",
        &|view| Some(view.next_change_at.map_or(0.0, |at| at.since(now).as_secs_f64())),
    );
    each("scalegate_resource_queued_jobs", "Jobs that wait for their turn on the resource.", &|view| {
        Some(view.queue.len() as f64)
    });
    each(
        "scalegate_resource_job_age_seconds",
        "Time since the running job of the resource was submitted; absent while there is none.",
        &|view| view.active.as_ref().map(|job| now.since(job.created_at).as_secs_f64()),
    );
    scrape.gauge(
        "scalegate_resource_waiting",
        "1 with the reason for which the running job of the resource waits; absent while there is no job.",
        |family| {
            for (view, reason) in views.iter().filter_map(|view| waits_for(view).map(|reason| (view, reason))) {
                family.add(&[("reason", reason.as_str()), ("resource", view.resource.as_str())], 1.0);
            }
        },
    );
}
