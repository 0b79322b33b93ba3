//! How query strings are read: everything in them that does not make sense is named, at once.

use std::time::Duration;

use actix_web::web;
use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema};

use super::input::escaped;
use super::problem::{ApiError, FieldErrors};
use crate::domain::{Alias, GroupState, InvalidAlias, StateName, Timestamp};
use crate::store::Position;

/// Entries on a page unless the caller says otherwise.
const DEFAULT_PAGE_SIZE: usize = 50;
/// Most entries on a page.
pub(super) const MAX_PAGE_SIZE: usize = 200;
const NO_TOKEN: &str = "is not a token this list gave";
/// Longest page token, in characters. No list is so long.
const MAX_TOKEN_CHARS: usize = 15;

/// Which page of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Paging {
    /// Where the page begins.
    pub after: Option<Position>,
    /// How many.
    pub size: usize,
}

/// Which page of which jobs is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only jobs for this resource.
    pub resource: Option<Alias>,
    /// Only jobs in one of these states; empty means any.
    pub states: Vec<StateName>,
    /// Which page.
    pub paging: Paging,
}

impl ListQuery {
    /// Parses a query string.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self::default();
        each_parameter(query, &["state"], |name, value| match name {
            "state" => take_state(&mut parsed.states, value),
            "resource" => {
                value.parse().map(|alias| parsed.resource = Some(alias)).map_err(|e: InvalidAlias| e.to_string())
            }
            _ => parsed.paging.take(name, value),
        })?;
        Ok(parsed)
    }
}

/// Which page of which groups is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GroupQuery {
    /// Only groups with a member for this resource.
    pub resource: Option<Alias>,
    /// Only groups in one of these states; empty means any.
    pub states: Vec<GroupState>,
    /// Which page.
    pub paging: Paging,
}

impl GroupQuery {
    /// Parses a query string.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self::default();
        each_parameter(query, &["state"], |name, value| match name {
            "state" => {
                let state = GroupState::ALL.into_iter().find(|state| state.as_str() == value);
                state.map(|state| parsed.states.push(state)).ok_or_else(|| "is not a state of a group".to_owned())
            }
            "resource" => {
                value.parse().map(|alias| parsed.resource = Some(alias)).map_err(|e: InvalidAlias| e.to_string())
            }
            _ => parsed.paging.take(name, value),
        })?;
        Ok(parsed)
    }
}

impl Paging {
    /// Parses a query string with nothing else in it.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self::default();
        each_parameter(query, &[], |name, value| parsed.take(name, value))?;
        Ok(parsed)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "pageSize" => page_size(value).map(|size| self.size = size),
            "pageToken" => self.take_token(value),
            _ => Err("is not a parameter of this list".to_owned()),
        }
    }

    fn take_token(&mut self, value: &str) -> Result<(), String> {
        let position = i64::from_str_radix(value, 16).ok().filter(|position| *position > 0).map(Position);
        // Only as the list writes it: a number has other forms as well, with a sign for example.
        let position = position.filter(|it| value.len() <= MAX_TOKEN_CHARS && page_token(*it) == value);
        self.after = Some(position.ok_or(NO_TOKEN)?);
        Ok(())
    }
}

impl IntoParams for Paging {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let token = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[1-9a-f][0-9a-f]{0,14}$"));
        page_parameters(DEFAULT_PAGE_SIZE, token.into(), &json!("1f"))
    }
}

/// Which page of the resources is asked for. They are in the order of their aliases, so a token is the last alias of the
/// page before: it keeps its meaning when resources come and go.
#[derive(Debug, PartialEq, Eq)]
pub struct ResourcePaging {
    /// The alias that the page begins after.
    pub after: Option<Alias>,
    /// How many.
    pub size: usize,
}

impl ResourcePaging {
    /// Parses a query string. Without a size, a page is as large as it can be: the clients of releases that knew no pages
    /// read the first one and take it for all.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self { after: None, size: MAX_PAGE_SIZE };
        each_parameter(query, &[], |name, value| match name {
            "pageSize" => page_size(value).map(|size| parsed.size = size),
            "pageToken" => {
                let alias = value.parse().map_err(|_: InvalidAlias| NO_TOKEN)?;
                parsed.after = Some(alias);
                Ok(())
            }
            _ => Err("is not a parameter of this list".to_owned()),
        })?;
        Ok(parsed)
    }
}

impl IntoParams for ResourcePaging {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        page_parameters(MAX_PAGE_SIZE, Alias::schema(), &json!("worker"))
    }
}

/// The time that an outlook is asked for.
#[derive(Debug, PartialEq)]
pub struct OutlookQuery {
    /// Its beginning; now if left out.
    pub from: Option<Timestamp>,
    /// Its length, in hours.
    pub hours: f64,
}

/// Longest outlook, in hours: a year of it is more than is planned, and its windows are listed one by one.
const MAX_OUTLOOK_HOURS: f64 = 400.0;

impl OutlookQuery {
    /// Parses a query string.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self { from: None, hours: 24.0 };
        each_parameter(query, &[], |name, value| match name {
            "from" => point_in_time(value).map(|from| parsed.from = Some(from)),
            "hours" => {
                let hours = value.parse().ok().filter(|hours| (1.0..=MAX_OUTLOOK_HOURS).contains(hours));
                parsed.hours = hours.ok_or_else(|| format!("must be between 1 and {MAX_OUTLOOK_HOURS}"))?;
                Ok(())
            }
            _ => Err("is not a parameter of an outlook".to_owned()),
        })?;
        Ok(parsed)
    }
}

impl IntoParams for OutlookQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let hours = ObjectBuilder::new().schema_type(Type::Number).maximum(Some(MAX_OUTLOOK_HOURS));
        vec![
            time_parameter("from", "Where the outlook begins; now if left out."),
            ParameterBuilder::new()
                .name("hours")
                .schema(Some(hours.minimum(Some(1.0)).default(Some(json!(24)))))
                .description(Some("How far the outlook goes, in hours."))
                .parameter_in(ParameterIn::Query)
                .example(Some(json!(24)))
                .build(),
        ]
    }
}

/// The part of a series that is asked for.
#[derive(Debug, PartialEq)]
pub struct SeriesQuery {
    /// Its beginning; an hour before its end if left out.
    pub from: Option<Timestamp>,
    /// Its end; now if left out.
    pub to: Option<Timestamp>,
    /// The distance of its points.
    pub step: Duration,
}

/// Longest distance of two points of a series.
const MAX_STEP_SECONDS: f64 = 86_400.0;

impl SeriesQuery {
    /// Parses a query string.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self { from: None, to: None, step: Duration::from_mins(1) };
        each_parameter(query, &[], |name, value| match name {
            "from" => point_in_time(value).map(|from| parsed.from = Some(from)),
            "to" => point_in_time(value).map(|to| parsed.to = Some(to)),
            "stepSeconds" => {
                let seconds = value.parse().ok().filter(|seconds| (1.0..=MAX_STEP_SECONDS).contains(seconds));
                let seconds: f64 = seconds.ok_or_else(|| format!("must be between 1 and {MAX_STEP_SECONDS}"))?;
                parsed.step = Duration::from_secs_f64(seconds);
                Ok(())
            }
            _ => Err("is not a parameter of a series".to_owned()),
        })?;
        Ok(parsed)
    }
}

impl IntoParams for SeriesQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let step = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(1.0)).maximum(Some(MAX_STEP_SECONDS));
        vec![
            time_parameter("from", "Where the series begins; an hour before its end if left out."),
            time_parameter("to", "Where the series ends; now if left out."),
            ParameterBuilder::new()
                .name("stepSeconds")
                .schema(Some(step.default(Some(json!(60)))))
                .description(Some("The distance of two points, in seconds."))
                .parameter_in(ParameterIn::Query)
                .example(Some(json!(60)))
                .build(),
        ]
    }
}

fn point_in_time(value: &str) -> Result<Timestamp, String> {
    let parsed = value.parse::<jiff::Timestamp>();
    let time = parsed.map_err(|_| "must be a time like 2026-01-31T12:00:00Z".to_owned())?;
    Ok(Timestamp::from_millis(time.as_millisecond()))
}

fn time_parameter(name: &str, description: &str) -> Parameter {
    let time =
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    ParameterBuilder::new()
        .name(name)
        .schema(Some(time))
        .description(Some(description))
        .parameter_in(ParameterIn::Query)
        .example(Some(json!("2026-01-31T12:00:00.000Z")))
        .build()
}

/// The parameters of a list in pages of `size`, with this `token`.
fn page_parameters(size: usize, token: RefOr<Schema>, example: &Value) -> Vec<Parameter> {
    let integer = ObjectBuilder::new().schema_type(Type::Integer);
    let number = integer
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(1))
        .maximum(Some(MAX_PAGE_SIZE))
        .default(Some(json!(size)));
    let parameter = |name: &str, schema: RefOr<Schema>, description: &str, example| {
        let described = ParameterBuilder::new().name(name).schema(Some(schema)).description(Some(description));
        described.parameter_in(ParameterIn::Query).example(Some(example)).build()
    };
    let which = "The `nextPageToken` of the page before. Left out, the first page.";
    vec![
        parameter("pageSize", number.into(), "Most entries on the page.", json!(size)),
        parameter("pageToken", token, which, example.clone()),
    ]
}

fn page_size(value: &str) -> Result<usize, String> {
    let size = value.parse().ok().filter(|size| (1..=MAX_PAGE_SIZE).contains(size));
    size.ok_or_else(|| format!("must be between 1 and {MAX_PAGE_SIZE}"))
}

impl Default for Paging {
    fn default() -> Self {
        Self { after: None, size: DEFAULT_PAGE_SIZE }
    }
}

/// The resource that a stream of changes is to be limited to, if any.
///
/// # Errors
/// Everything in `query` that does not make sense, at once.
pub fn resource(query: &str) -> Result<Option<Alias>, ApiError> {
    let mut resource = None;
    each_parameter(query, &[], |name, value| match name {
        "resource" => value.parse().map(|alias| resource = Some(alias)).map_err(|e: InvalidAlias| e.to_string()),
        _ => Err("is not a parameter of this stream".to_owned()),
    })?;
    Ok(resource)
}

/// The token for the page that begins at `position`.
pub fn page_token(position: Position) -> String {
    format!("{:x}", position.0)
}

/// Hands each parameter to `take`; only those that are `repeatable` may come more than once.
fn each_parameter(
    query: &str,
    repeatable: &[&str],
    mut take: impl FnMut(&str, &str) -> Result<(), String>,
) -> Result<(), ApiError> {
    let pointer = |name: &str| format!("/query/{}", escaped(name));
    let pairs: web::Query<Vec<(String, String)>> =
        web::Query::from_query(query).map_err(|error| ApiError::invalid_field(pointer(""), error.to_string()))?;
    let mut seen: Vec<String> = Vec::new();
    let mut errors = FieldErrors::default();
    for (name, value) in pairs.into_inner() {
        let taken = if seen.contains(&name) && !repeatable.contains(&name.as_str()) {
            Err("must be given once".to_owned())
        } else {
            take(&name, &value)
        };
        errors.keep(pointer(&name), taken);
        seen.push(name);
    }
    errors.check()
}

fn take_state(states: &mut Vec<StateName>, value: &str) -> Result<(), String> {
    let state = StateName::ALL.into_iter().find(|state| state.as_str() == value).ok_or_else(|| {
        let known: Vec<&str> = StateName::ALL.iter().map(|state| state.as_str()).collect();
        format!("must be one of {}", known.join(", "))
    })?;
    if !states.contains(&state) {
        states.push(state);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_queries_name_what_is_wrong() {
        let query = ListQuery::parse("resource=w&state=queued&state=running&pageSize=200&pageToken=1f").expect("valid");
        assert_eq!(query.states, [StateName::Queued, StateName::Running]);
        assert_eq!(query.paging, Paging { after: Some(Position(31)), size: 200 });
        assert_eq!(page_token(Position(31)), "1f");
        for bad in [
            "pageSize=0",
            "pageSize=201",
            "pageSize=x",
            "pageToken=",
            "pageToken=-1",
            "pageToken=zz",
            "pageToken=1F",
            "pageToken=01f",
            "pageToken=%2B1f",
            "pageToken=1000000000000000",
            "state=",
            "state=Queued",
            "resource=..",
            "color=red",
            "pageSize=1&pageSize=2",
        ] {
            assert!(ListQuery::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_query_knows_its_own_parameters() {
        assert_eq!(Paging::parse("pageSize=7").expect("valid"), Paging { after: None, size: 7 });
        assert!(Paging::parse("resource=w").is_err());
        let worker = Some("worker".parse().expect("an alias"));
        let paging = ResourcePaging::parse("pageSize=7&pageToken=worker").expect("valid");
        assert_eq!(paging, ResourcePaging { after: worker, size: 7 });
        assert_eq!(ResourcePaging::parse("").expect("valid"), ResourcePaging { after: None, size: MAX_PAGE_SIZE });
        for bad in ["pageSize=0", "pageSize=201", "pageToken=", "pageToken=..", "resource=w", "pageSize=1&pageSize=2"] {
            assert!(ResourcePaging::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(resource("").expect("valid"), None);
        assert_eq!(resource("resource=w").expect("valid"), Some("w".parse().expect("an alias")));
        for bad in ["resource=..", "resource=a&resource=b", "pageSize=7"] {
            assert!(resource(bad).is_err(), "{bad}");
        }
    }
}
