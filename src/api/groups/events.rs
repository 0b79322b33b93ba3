//! The stream of a group, as server-sent events.
//!
//! Each event is the whole group as it is. What a caller missed it does not get, but the state that it led to: the changes of the
//! jobs themselves are in their own streams.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, get};
use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::group_id;
use crate::access::Permit;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::openapi::examples;
use crate::api::problem::{ApiError, Code};
use crate::api::view::GroupView;
use crate::domain::GroupStatus;

/// Pause between two signs of life. Proxies and load balancers give up on a connection after 30 s or more of silence.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How a stream begins: when a client should connect again, in milliseconds.
const BEGINNING: &str = "retry: 2000\n\nevent: ready\ndata: {\"resumed\":false}\n\n";

/// Follow a group
///
/// Server-sent events. `ready` comes first, then a `group` event with the group as it is, and one for every change of it or of its
/// jobs, until one shows that it is over; the stream ends there. Its `id` is the version of the group. Changes that follow each
/// other quickly may come as one event. Connected again with that last `id` as `Last-Event-ID`, the answer is 204.
///
/// A stream that the gateway ends itself says why in an `end` event, as for jobs. Every 15 seconds at least there is a comment.
#[utoipa::path(
    operation_id = "followGroup", tag = "events",
    params(
        ("id" = Uuid, Path, description = "The id of the group.", example = "0198c3f2-7a00-7000-8000-000000000007"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event received.", example = "17"),
    ),
    responses(
        (status = 200, description = "The stream of events.", body = String, content_type = "text/event-stream",
            example = json!(examples::example_group_events())),
        (status = 204, description = "The group is over, and the event with `Last-Event-ID` said so."),
    )
)]
#[get("/v1/groups/{id}/events")]
pub async fn group_events(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = group_id(&path)?;
    let own_permit = state.guard.open_stream(&caller).inspect_err(|_| state.feed.call_the_roll())?;
    let permit = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| {
        state.feed.call_the_roll();
        ApiError::new(Code::TooManyStreams, "No more streams can be opened now. Poll instead, or try again later.")
    })?;
    let status = state.group_for(&caller, id).await?;
    let known = request.headers().get("Last-Event-ID").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    if status.state.is_over() && known == Some(status.version) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let news = state.groups.watch(id).unwrap_or_else(|| watch::channel(Arc::clone(&status)).1);
    let follower = GroupFollower {
        stopping: state.stopping.clone(),
        state,
        caller,
        news,
        stage: Stage::Beginning,
        _permit: permit,
        _own_permit: own_permit,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("Cache-Control", "no-store"))
        // nginx would collect events until it has a full page of them.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(follower.into_stream()))
}

/// One stream.
struct GroupFollower {
    state: web::Data<ApiState>,
    caller: Caller,
    news: watch::Receiver<Arc<GroupStatus>>,
    stopping: watch::Receiver<bool>,
    stage: Stage,
    _permit: OwnedSemaphorePermit,
    _own_permit: Option<Permit>,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The group as it is.
    Beginning,
    /// Its next change.
    Changes,
    /// Nothing.
    Over,
}

impl GroupFollower {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let chunk = follower.next_chunk().await?;
            Some((Ok(chunk), follower))
        })
    }

    async fn next_chunk(&mut self) -> Option<Bytes> {
        let chunk = match self.stage {
            Stage::Over => return None,
            Stage::Beginning => format!("{BEGINNING}{}", self.status()),
            Stage::Changes => self.next_change().await,
        };
        // Asked right before anything is told: an admin who revokes a key can rely on it.
        if self.state.guard.still_admits(&self.caller).await.is_err() {
            return Some(self.end("unauthorized", "The key that the stream was opened with is no longer good.").into());
        }
        Some(chunk.into())
    }

    async fn next_change(&mut self) -> String {
        let heard = tokio::select! {
            changed = timeout(HEARTBEAT, self.news.changed()) => Some(changed),
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
        };
        match heard {
            Some(Ok(Ok(()))) => self.status(),
            Some(Ok(Err(_))) => self.end("gone", "The group is no longer kept here. Connect again to go on."),
            Some(Err(_)) => ": still here\n\n".to_owned(),
            None => self.end("stopping", "The gateway is stopping."),
        }
    }

    /// The group as it is, as an event.
    fn status(&mut self) -> String {
        let status = Arc::clone(&self.news.borrow_and_update());
        self.stage = if status.state.is_over() { Stage::Over } else { Stage::Changes };
        // Only maps with keys that are not text can fail to become JSON, and there are none.
        let data = serde_json::to_string(&GroupView::from(&*status)).unwrap_or_default();
        format!("id: {}\nevent: group\ndata: {data}\n\n", status.version)
    }

    fn end(&mut self, reason: &str, detail: &str) -> String {
        self.stage = Stage::Over;
        format!("event: end\ndata: {}\n\n", serde_json::json!({"reason": reason, "detail": detail}))
    }
}
