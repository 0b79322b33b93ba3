//! Values of metrics: pushed by callers, and read back.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiState;
use super::caller::Caller;
use super::demand::{change, resource, wrong_answer};
use super::input::{JsonBody, escaped};
use super::named::Named;
use super::problem::{ApiError, Code, FieldErrors};
use super::query::SeriesQuery;
use super::routes::{Route, problems};
use super::view::WireTime;
use crate::domain::policy::{Name, Sample};
use crate::domain::{Alias, Scope, Timestamp};
use crate::engine::{PolicyAnswer, PolicyChangeRequest};
use crate::store::Point;

/// Most values in one request: what a body has room for, however they are written.
const MAX_SAMPLES: usize = 500;
/// How far ahead of the gateway's clock a value may be: it counts as of now. Clocks of containers differ by less.
const MAX_AHEAD: Duration = Duration::from_mins(1);

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/resources/{alias}/metrics").needs(&[Scope::Push]).problems(problems![
        ResourceForbidden ResourceNotFound PolicyNotFound MetricNotFound BodyTimeout BodyTooLarge UnsupportedMediaType
        ValidationFailed Overloaded
    ]),
    Route::post("/v1/resources/{alias}/metrics/{name}").needs(&[Scope::Push]).problems(problems![
        ResourceForbidden ResourceNotFound PolicyNotFound MetricNotFound BodyTimeout BodyTooLarge UnsupportedMediaType
        ValidationFailed Overloaded
    ]),
    Route::get("/v1/resources/{alias}/metrics/{name}")
        .needs(&[Scope::Read])
        .problems(problems![ResourceForbidden MetricNotFound ValidationFailed Overloaded]),
];

/// Values of one metric. One of `value` and `samples` is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSamples {
    /// The value now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Values with their times, in any order: at most 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 500)]
    pub samples: Option<Vec<NewSample>>,
    /// A prediction made elsewhere. Not yet: a request with it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 500)]
    pub forecast: Option<Vec<NewSample>>,
}

/// A value of a metric and its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSample {
    /// When the value was observed; at most a minute in the future, which counts as now.
    #[schema(format = DateTime)]
    pub at: String,
    /// The value that was observed.
    pub value: f64,
}

/// What became of pushed values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// How many values were taken in.
    pub accepted: u64,
    /// How many values were ignored, because there was a newer one.
    pub ignored: u64,
}

/// Push values of a metric
///
/// The policy of the resource decides on them at once. 202 is no promise of durability: a crash of the gateway may lose what
/// came in the last second. A value older than the newest one is ignored.
#[utoipa::path(
    operation_id = "pushMetric", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("name" = String, Path, description = "The name of the metric.", example = "queue"),
    ),
    request_body(content = NewSamples, description = "One value, or several with their times.", examples(
        ("value" = (summary = "The value now", value = json!({"value": 812}))),
        ("samples" = (summary = "Values with their times", value = json!({"samples": [{"at": "2026-01-31T12:00:00.000Z", "value": 812}]})))
    )),
    responses((status = 202, description = "The values are taken in.", body = Pushed, example = json!({"accepted": 1, "ignored": 0})))
)]
#[post("/v1/resources/{alias}/metrics/{name}")]
pub async fn push_metric(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<(String, String)>,
    body: JsonBody<NewSamples>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path.0)?;
    let name: Name = path.1.parse().map_err(|_| no_metric(&path.1))?;
    let samples = body.0.parse(state.clock.now())?;
    let pushed = push(&state, &caller, alias, BTreeMap::from([(name, samples)])).await?;
    Ok(HttpResponse::Accepted().json(pushed))
}

/// Push values of several metrics
///
/// An object with a number for each metric: the values now. If one of them is refused, none is taken in.
#[utoipa::path(
    operation_id = "pushMetrics", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    request_body(content = BTreeMap<String, f64>, description = "A value for each metric.", example = json!({"queue": 812, "rps": 30.5})),
    responses((status = 202, description = "The values are taken in.", body = Pushed, example = json!({"accepted": 2, "ignored": 0})))
)]
#[post("/v1/resources/{alias}/metrics")]
pub async fn push_metrics(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
    body: JsonBody<Named<f64>>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let now = state.clock.now();
    let mut errors = FieldErrors::default();
    let mut samples = BTreeMap::new();
    for (name, value) in body.0.0 {
        if let Some(name) = errors.keep(format!("/{}", escaped(&name)), name.parse::<Name>()) {
            samples.insert(name, vec![Sample { at: now, value }]);
        }
    }
    if samples.is_empty() && errors.is_empty() {
        errors.add("", "must have a value for one metric at least");
    }
    errors.check()?;
    Ok(HttpResponse::Accepted().json(push(&state, &caller, alias, samples).await?))
}

async fn push(
    state: &ApiState,
    caller: &Caller,
    alias: Alias,
    samples: BTreeMap<Name, Vec<Sample>>,
) -> Result<Pushed, ApiError> {
    match change(state, caller, alias, PolicyChangeRequest::Push(samples)).await? {
        PolicyAnswer::Pushed { accepted, ignored } => Ok(Pushed { accepted, ignored }),
        _ => Err(wrong_answer()),
    }
}

impl NewSamples {
    /// The values as of `now`.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    fn parse(self, now: Timestamp) -> Result<Vec<Sample>, ApiError> {
        if self.forecast.is_some() {
            return Err(ApiError::invalid_field("/forecast", "cannot be given: forecasts are not there yet"));
        }
        let samples = match (self.value, self.samples) {
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid_field("/samples", "must not be given together with value"));
            }
            (None, None) => return Err(ApiError::invalid_field("/value", "is required, or samples")),
            (Some(value), None) => return Ok(vec![Sample { at: now, value }]),
            (None, Some(samples)) => samples,
        };
        if samples.is_empty() || samples.len() > MAX_SAMPLES {
            return Err(ApiError::invalid_field("/samples", format!("must have 1 to {MAX_SAMPLES} entries")));
        }
        let mut errors = FieldErrors::default();
        let parsed = samples.iter().enumerate().filter_map(|(index, sample)| {
            let pointer = format!("/samples/{index}/at");
            let Ok(at) = sample.at.parse::<jiff::Timestamp>() else {
                return errors.refuse(pointer, "must be a time like 2026-01-31T12:00:00Z");
            };
            let at = Timestamp::from_millis(at.as_millisecond());
            if at > now + MAX_AHEAD {
                return errors.refuse(pointer, "must not be more than a minute in the future");
            }
            Some(Sample { at: at.min(now), value: sample.value })
        });
        let parsed = parsed.collect();
        errors.check().map(|()| parsed)
    }
}

/// Read the values of a metric
///
/// Points at equal distances, oldest first: raw values as long as those are kept (2 hours), means of minutes before (35 days).
/// Where there was no value, there is no point. With more than 5,000 points the steps are longer than asked for.
#[utoipa::path(
    operation_id = "readMetric", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("name" = String, Path, description = "The name of the metric.", example = "queue"),
        SeriesQuery,
    ),
    responses((status = 200, description = "The values, step by step.", body = SeriesView, example = json!({
        "metric": "queue", "from": "2026-01-31T11:00:00.000Z", "to": "2026-01-31T12:00:00.000Z", "stepSeconds": 60,
        "points": [{"at": "2026-01-31T11:59:00.000Z", "mean": 790.5, "max": 812, "count": 2}]})))
)]
#[get("/v1/resources/{alias}/metrics/{name}")]
pub async fn read_metric(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path.0)?;
    let name: Name = path.1.parse().map_err(|_| no_metric(&path.1))?;
    let SeriesQuery { from, to, step } = SeriesQuery::parse(request.query_string())?;
    let to = to.unwrap_or(state.clock.now());
    let from = from.unwrap_or(to - Duration::from_hours(1));
    if from >= to {
        return Err(ApiError::invalid_field("/query/from", "must be before to"));
    }
    let asked = name.clone();
    let series =
        state.read(&caller, "metric", async move |reader| reader.series(&alias, &asked, from, to, step).await).await?;
    Ok(HttpResponse::Ok().json(SeriesView {
        metric: name.to_string(),
        from: WireTime(from),
        to: WireTime(to),
        step_seconds: series.step.as_secs_f64(),
        points: series.points.iter().map(PointView::from).collect(),
    }))
}

/// The values of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MetricSeries)]
pub struct SeriesView {
    /// The name of the metric.
    pub metric: String,
    /// Where the series begins.
    #[schema(value_type = String, format = DateTime)]
    pub from: WireTime,
    /// Where the series ends.
    #[schema(value_type = String, format = DateTime)]
    pub to: WireTime,
    /// The length of a step, in seconds: what was asked for, or more.
    pub step_seconds: f64,
    /// The points that have values, oldest first.
    pub points: Vec<PointView>,
}

/// The values of a metric in one step of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MetricPoint)]
pub struct PointView {
    /// The beginning of the step.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// The mean of the values.
    pub mean: f64,
    /// The largest value.
    pub max: f64,
    /// The number of values.
    #[schema(minimum = 1)]
    pub count: u64,
}

impl From<&Point> for PointView {
    fn from(point: &Point) -> Self {
        Self { at: WireTime(point.at), mean: point.mean, max: point.max, count: point.count }
    }
}

fn no_metric(name: &str) -> ApiError {
    let name: String = name.chars().take(64).collect();
    ApiError::new(Code::MetricNotFound, format!("The policy has no metric \"{name}\"."))
}
