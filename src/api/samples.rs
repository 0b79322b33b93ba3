//! Values of metrics: pushed by callers, as they are or as they are expected to be, and read back.

use std::collections::BTreeMap;
use std::sync::Arc;
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
use crate::domain::forecast::{MAX_POINTS, Prediction};
use crate::domain::policy::{Name, Sample};
use crate::domain::{Alias, Scope, Timestamp};
use crate::engine::{PolicyAnswer, PolicyChangeRequest};
use crate::store::{Point, StoreReader};

/// Most values in one request: what a body has room for, however they are written.
const MAX_SAMPLES: usize = 500;
/// How far ahead of the gateway's clock a value may be: it counts as of now. Clocks of containers differ by less.
const MAX_AHEAD: Duration = Duration::from_mins(1);
/// How far ahead a predicted value may be: as far as an outlook goes.
const MAX_PREDICTED: Duration = Duration::from_hours(400);

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

/// Values of one metric, or what it is expected to be. One of `value`, `samples` and `forecast` is required.
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
    /// A prediction made elsewhere, in any order and in place of the one before: at most 600 values, and none to take the prediction
    /// away. Each holds until the next one, and the last one as long as the one before it did, so that a single value is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 600)]
    pub forecast: Option<Vec<PredictedValue>>,
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

/// What a metric is expected to be from a time on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PredictedValue {
    /// From when on the value is expected; at most 400 hours in the future.
    #[schema(format = DateTime)]
    pub at: String,
    /// The value that is expected.
    pub value: f64,
}

/// What became of pushed values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// How many values were taken in.
    pub accepted: u64,
    /// How many values were ignored, because there was a newer one, or the time of a prediction was over.
    pub ignored: u64,
}

/// Push values of a metric
///
/// The policy of the resource decides on them at once. 202 is no promise of durability: a crash of the gateway may lose what
/// came in the last second. A value older than the newest one is ignored.
///
/// With `forecast`, callers push what the metric is expected to be, for rules of the type `forecast` with the source `push`. A metric
/// that is pulled can have a prediction, too. Of the values in the past only the one that holds now counts; if all of it is
/// over, nothing changes.
#[utoipa::path(
    operation_id = "pushMetric", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("name" = String, Path, description = "The name of the metric.", example = "queue"),
    ),
    request_body(content = NewSamples, description = "One value, several with their times, or a prediction.", examples(
        ("value" = (summary = "The value now", value = json!({"value": 812}))),
        ("samples" = (summary = "Values with their times", value = json!({"samples": [{"at": "2026-01-31T12:00:00.000Z", "value": 812}]}))),
        ("forecast" = (summary = "A prediction", value = json!({"forecast": [
            {"at": "2026-01-31T13:00:00.000Z", "value": 900}, {"at": "2026-01-31T14:00:00.000Z", "value": 1250}]})))
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
    let change = match body.0.parse(state.clock.now())? {
        NewValues::Observed(samples) => PolicyChangeRequest::Push(BTreeMap::from([(name, samples)])),
        NewValues::Predicted(points) => PolicyChangeRequest::Predict { name, points },
    };
    Ok(HttpResponse::Accepted().json(push(&state, &caller, alias, change).await?))
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
    let change = PolicyChangeRequest::Push(samples);
    Ok(HttpResponse::Accepted().json(push(&state, &caller, alias, change).await?))
}

async fn push(
    state: &ApiState,
    caller: &Caller,
    alias: Alias,
    values: PolicyChangeRequest,
) -> Result<Pushed, ApiError> {
    match change(state, caller, alias, values).await? {
        PolicyAnswer::Pushed { accepted, ignored } => Ok(Pushed { accepted, ignored }),
        _ => Err(wrong_answer()),
    }
}

/// What a caller pushes, once it makes sense.
enum NewValues {
    /// What was observed.
    Observed(Vec<Sample>),
    /// What is expected from these times on.
    Predicted(Vec<(Timestamp, f64)>),
}

impl NewSamples {
    /// The values as of `now`.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    fn parse(self, now: Timestamp) -> Result<NewValues, ApiError> {
        match (self.value, self.samples, self.forecast) {
            (Some(value), None, None) => Ok(NewValues::Observed(vec![Sample { at: now, value }])),
            (None, Some(samples), None) => observed(&samples, now).map(NewValues::Observed),
            (None, None, Some(forecast)) => predicted(&forecast, now).map(NewValues::Predicted),
            (None, None, None) => Err(ApiError::invalid_field("/value", "is required, or samples, or forecast")),
            (Some(_), Some(_), _) => Err(together("/samples", "value")),
            (Some(_), None, Some(_)) => Err(together("/forecast", "value")),
            (None, Some(_), Some(_)) => Err(together("/forecast", "samples")),
        }
    }
}

fn together(pointer: &str, other: &str) -> ApiError {
    ApiError::invalid_field(pointer, format!("must not be given together with {other}"))
}

fn observed(samples: &[NewSample], now: Timestamp) -> Result<Vec<Sample>, ApiError> {
    if samples.is_empty() || samples.len() > MAX_SAMPLES {
        return Err(ApiError::invalid_field("/samples", format!("must have 1 to {MAX_SAMPLES} entries")));
    }
    let mut errors = FieldErrors::default();
    let parsed = samples.iter().enumerate().filter_map(|(index, NewSample { at, value })| {
        let at = time(&mut errors, format!("/samples/{index}/at"), at, now + MAX_AHEAD, "a minute")?;
        Some(Sample { at: at.min(now), value: *value })
    });
    let parsed = parsed.collect();
    errors.check().map(|()| parsed)
}

fn predicted(forecast: &[PredictedValue], now: Timestamp) -> Result<Vec<(Timestamp, f64)>, ApiError> {
    if forecast.len() > MAX_POINTS {
        return Err(ApiError::invalid_field("/forecast", format!("must have at most {MAX_POINTS} entries")));
    }
    let mut errors = FieldErrors::default();
    let parsed = forecast.iter().enumerate().filter_map(|(index, PredictedValue { at, value })| {
        let at = time(&mut errors, format!("/forecast/{index}/at"), at, now + MAX_PREDICTED, "400 hours")?;
        Some((at, *value))
    });
    let parsed: Vec<(Timestamp, f64)> = parsed.collect();
    errors.check()?;
    if parsed.first().is_some_and(|(first, _)| parsed.iter().all(|(at, _)| at == first)) {
        let detail = "must have two different times at least: a value holds until the next one";
        return Err(ApiError::invalid_field("/forecast", detail));
    }
    Ok(parsed)
}

/// The time `text`, which is not after `latest`: so far ahead.
fn time(errors: &mut FieldErrors, pointer: String, text: &str, latest: Timestamp, ahead: &str) -> Option<Timestamp> {
    let Ok(at) = text.parse::<jiff::Timestamp>() else {
        return errors.refuse(pointer, "must be a time like 2026-01-31T12:00:00Z");
    };
    let at = Timestamp::from_millis(at.as_millisecond());
    if at > latest {
        return errors.refuse(pointer, format!("must not be more than {ahead} in the future"));
    }
    Some(at)
}

/// Read the values of a metric
///
/// Points at equal distances, oldest first: raw values as long as those are kept (2 hours), means of minutes before (35 days).
/// Where there was no value, there is no point. With more than 5,000 points the steps are longer than asked for.
///
/// `prediction` tells which time the prediction covers that was pushed last. It is on the disk, and so shown, within a second.
#[utoipa::path(
    operation_id = "readMetric", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("name" = String, Path, description = "The name of the metric.", example = "queue"),
        SeriesQuery,
    ),
    responses((status = 200, description = "The values, step by step.", body = SeriesView, example = json!({
        "metric": "queue", "from": "2026-01-31T11:00:00.000Z", "to": "2026-01-31T12:00:00.000Z", "stepSeconds": 60,
        "points": [{"at": "2026-01-31T11:59:00.000Z", "mean": 790.5, "max": 812, "count": 2}],
        "prediction": {"from": "2026-01-31T12:00:00.000Z", "to": "2026-01-31T20:00:00.000Z", "points": 96,
            "receivedAt": "2026-01-31T11:58:02.250Z", "ended": false}})))
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
    let now = state.clock.now();
    let to = to.unwrap_or(now);
    let from = from.unwrap_or(to - Duration::from_hours(1));
    if from >= to {
        return Err(ApiError::invalid_field("/query/from", "must be before to"));
    }
    let asked = name.clone();
    let read = async move |reader: Arc<dyn StoreReader>| {
        let series = reader.series(&alias, &asked, from, to, step).await?;
        Ok((series, reader.prediction(&alias, &asked).await?))
    };
    let (series, prediction) = state.read(&caller, "metric", read).await?;
    Ok(HttpResponse::Ok().json(SeriesView {
        metric: name.to_string(),
        from: WireTime(from),
        to: WireTime(to),
        step_seconds: series.step.as_secs_f64(),
        points: series.points.iter().map(PointView::from).collect(),
        prediction: prediction.and_then(|prediction| PredictionView::of(&prediction, now)),
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
    /// The prediction that was pushed last; `null` if there is none.
    pub prediction: Option<PredictionView>,
}

/// What is kept of a pushed prediction. Values that were over when it was received are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MetricPrediction)]
pub struct PredictionView {
    /// When its first value begins to count.
    #[schema(value_type = String, format = DateTime)]
    pub from: WireTime,
    /// When its last value ends to count.
    #[schema(value_type = String, format = DateTime)]
    pub to: WireTime,
    /// The number of its values.
    #[schema(minimum = 1, maximum = 600)]
    pub points: usize,
    /// When it was received; `null` if an older version of the gateway received it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub received_at: Option<WireTime>,
    /// Whether it is over: rules that go by it have no opinion then.
    pub ended: bool,
}

impl PredictionView {
    /// That of `prediction` as of `now`, if it has points.
    fn of(prediction: &Prediction, now: Timestamp) -> Option<Self> {
        let ((from, _), to) = (*prediction.points().first()?, prediction.end()?);
        Some(Self {
            from: WireTime(from),
            to: WireTime(to),
            points: prediction.points().len(),
            received_at: prediction.received_at().map(WireTime),
            ended: to <= now,
        })
    }
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
