//! What is accepted and what is refused, and how it is said.

use serde_json::{Value, json};

use super::super::fields::HOMES;
use super::super::{Document, MAX_DOCUMENT_BYTES, Unreadable};
use crate::domain::policy::{Mode, Policy};

/// A document with everything in it.
pub fn full() -> Value {
    json!({"mode": "active", "min": 1, "max": 20,
        "metrics": {
            "queue": {"source": {"type": "push"}, "maxAgeSeconds": 300},
            "ready": {"source": {"type": "http", "url": "http://api:8000/stats", "pointer": "/queue/ready",
                                 "headers": {"Authorization": "api_token"}}, "intervalSeconds": 15},
            "depth": {"source": {"type": "scrape", "url": "http://worker:9100/metrics", "metric": "jobs_waiting",
                                 "labels": {"queue": "default"}, "aggregate": "sum", "rate": true}},
            "rps": {"source": {"type": "prometheus", "url": "http://prometheus:9090", "aggregate": "max",
                               "query": "sum(rate(http_requests_total[1m]))"}},
            "cpu": {"source": {"type": "push"}, "windowSeconds": 60},
            "heat": {"source": {"type": "push"}, "allowNegative": true},
            "p99": {"source": {"type": "push"}, "windowSeconds": 60}},
        "rules": [
            {"name": "queue", "type": "target", "metric": "queue", "perUnit": 100, "onMissing": "ignore"},
            {"name": "band", "type": "band", "metric": "queue", "high": 100, "low": 50,
             "onMissing": {"capacity": 4, "afterSeconds": 60}},
            {"name": "cpu", "type": "utilization", "metric": "cpu", "target": 60, "tolerance": 0.1},
            {"name": "latency", "type": "step", "metric": "p99", "forSeconds": 120,
             "steps": [{"above": 0.5, "change": 1}, {"above": 1, "change": 3}, {"below": 0.1, "change": -1}]},
            {"name": "office", "type": "schedule", "timeZone": "Europe/Berlin",
             "days": ["MON", "TUE", "WED", "THU", "FRI"], "from": "09:00", "to": "17:00", "except": ["2026-12-25"],
             "min": 10, "ready": "before"},
            {"name": "nightly", "type": "schedule", "timeZone": "UTC", "cron": "30 2 * * *", "forSeconds": 5400,
             "min": 6, "max": 6},
            {"name": "launch", "type": "schedule", "at": "2026-12-01T08:00:00Z", "until": "2026-12-01T20:00:00Z",
             "min": 18},
            {"name": "follow", "type": "follow", "resource": "api", "ratio": 0.5, "offset": 1},
            {"name": "ahead", "type": "forecast", "metric": "rps", "perUnit": 100, "quantile": 0.9, "timeZone": "Europe/Berlin"},
            {"name": "own", "type": "expression",
             "expression": "metrics.queue > 1000.0 && capacity < 8 ? capacity + 2 : null"}],
        "behavior": {"up": {"stabilizationSeconds": 0},
                     "down": {"stabilizationSeconds": 300, "maxUnits": 2, "maxPercent": 50, "periodSeconds": 600}},
        "idle": {"afterSeconds": 900},
        "job": {"stepSize": 2, "cooldownSeconds": 300, "activeTimeoutSeconds": 900, "pollIntervalSeconds": 30,
                "settleSeconds": 90, "deadlineSeconds": 3600, "expectedChangeSeconds": 300}})
}

/// The least document.
pub fn least() -> Value {
    json!({"min": 0, "max": 5, "metrics": {"q": {"source": {"type": "push"}}},
           "rules": [{"name": "q", "type": "target", "metric": "q", "perUnit": 10}]})
}

pub fn read(document: Value) -> Result<Policy, Vec<(String, String)>> {
    Document::from(document).policy().map_err(pairs)
}

fn pairs(problems: Vec<super::super::Problem>) -> Vec<(String, String)> {
    problems.into_iter().map(|problem| (problem.pointer, problem.detail)).collect()
}

/// `document` with `value` at `pointer`, or without it where the value is `Value::Null`, in which case a field goes away.
fn with(mut document: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match (document.pointer_mut(parent).expect("a parent"), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(name.to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(name).expect("a field")),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().expect("an index")] = value,
        (other, _) => panic!("{other} has no fields"),
    }
    document
}

#[test]
fn the_document_of_the_contract_is_read() {
    let policy = read(full()).expect("valid");
    assert_eq!((policy.min.units(), policy.max.units(), policy.rules.len(), policy.metrics.len()), (1, 20, 10, 7));
    let least = read(least()).expect("valid");
    assert_eq!((least.mode, least.idle_after, least.expected_change.as_secs()), (Mode::Active, None, 300));
    assert_eq!((least.behavior.up.stabilization.as_secs(), least.behavior.down.stabilization.as_secs()), (0, 300));
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    let schedule = "/rules/4";
    for (pointer, value, detail) in [
        ("/min", Some(json!(-1)), "must be between 0 and 1000000"),
        ("/min", Some(json!("1")), "must be a whole number, written without quotes"),
        ("/min", Some(json!("one")), "must be a whole number, not a string"),
        ("/min", Some(json!(null)), "must be a whole number, not null"),
        ("/min", Some(json!(1.5)), "must be a whole number"),
        ("/min", Some(json!(1e300)), "must be between 0 and 1000000"),
        ("/min", Some(json!(u64::MAX)), "must be between 0 and 1000000"),
        ("/min", None, "is required"),
        ("/max", Some(json!(0)), "must be at least min, which is 1"),
        ("/mode", Some(json!("activ")), "must be active, advise or off; did you mean active?"),
        ("/mode", Some(json!(true)), "must be a string, not a boolean"),
        ("/paused", Some(json!("false")), "is unknown; there are: "),
        ("/maximum", Some(json!(5)), "is unknown; there are: "),
        ("/rule", Some(json!([])), "is unknown; did you mean rules?"),
        ("/stepSize", Some(json!(1)), "belongs into job"),
        ("/perUnit", Some(json!(1)), "belongs into a rule of type target"),
        ("/stabilizationSeconds", Some(json!(1)), "belongs into behavior.up or behavior.down"),
        ("/metrics", Some(json!([])), "must be an object, not an array"),
        ("/metrics/a-b", Some(json!({"source": {"type": "push"}})), "has a name that is none: it must be a letter"),
        ("/metrics/queue", Some(json!(5)), "must be an object, not a number"),
        ("/metrics/queue/source", None, "is required"),
        ("/metrics/queue/source/type", Some(json!("pull")), "must be push, http, scrape or prometheus"),
        (
            "/metrics/queue/source/url",
            Some(json!("http://a")),
            "belongs into a source of type http, scrape or prometheus",
        ),
        ("/metrics/queue/maxAgeSeconds", Some(json!(0.9999)), "must be between 1 and 86400 seconds"),
        ("/metrics/queue/maxAgeSeconds", Some(json!("300")), "must be a number of seconds, written without quotes"),
        ("/metrics/queue/maxAge", Some(json!(300)), "is unknown; did you mean maxAgeSeconds?"),
        ("/metrics/queue/intervalSeconds", Some(json!(15)), "belongs into a metric that is asked for"),
        ("/metrics/ready/intervalSeconds", Some(json!(3600.0001)), "must be between 1 and 3600 seconds"),
        ("/metrics/cpu/windowSeconds", Some(json!(3601)), "must be between 0 and 3600 seconds"),
        ("/metrics/queue/allowNegative", Some(json!("true")), "must be true or false, written without quotes"),
        ("/metrics/ready/source/url", Some(json!("ftp://api/x")), "must begin with http:// or https:// and a host"),
        ("/metrics/ready/source/url", Some(json!("http:///x")), "must begin with http:// or https:// and a host"),
        ("/metrics/ready/source/url", Some(json!("http://a b/")), "contains white space or a backslash"),
        ("/metrics/ready/source/url", Some(json!("http://a\u{0}/")), "contains a control character"),
        ("/metrics/ready/source/url", Some(json!("http://a:99999/")), "is not a URL: "),
        ("/metrics/ready/source/url", Some(json!("http://u:p@a/")), "must not contain a user name or password"),
        ("/metrics/ready/source/url", Some(json!("http://a/#x")), "must not contain a fragment"),
        (
            "/metrics/ready/source/url",
            Some(json!(format!("http://a/{}", "x".repeat(2048)))),
            "has more than 2048 bytes",
        ),
        ("/metrics/ready/source/pointer", Some(json!("queue")), "must be a JSON pointer such as /queue/ready"),
        ("/metrics/ready/source/pointer", Some(json!("/a~2")), "must be a JSON pointer such as /queue/ready"),
        ("/metrics/ready/source/headers", Some(json!([])), "must be an object of strings, not an array"),
        ("/metrics/ready/source/headers/Host", Some(json!("x")), "must not be set: it says how the request is made"),
        ("/metrics/ready/source/headers/a b", Some(json!("x")), "is not the name of a header"),
        ("/metrics/ready/source/headers/X", Some(json!("Bearer abc")), "is the name of a secret: it must be a letter"),
        ("/metrics/ready/source/headers", Some(json!({"a": "x", "A": "y"})), "has A twice"),
        ("/metrics/depth/source/labels/queue", Some(json!(1)), "must be a string, not a number"),
        ("/metrics/depth/source/aggregate", Some(json!("mean")), "must be sum, avg, min or max"),
        ("/metrics/depth/source/rate", Some(json!(1)), "must be true or false, not a number"),
        ("/metrics/rps/source/url", Some(json!("http://p?x=1")), "must not contain a query"),
        ("/metrics/rps/source/query", Some(json!(" ")), "must not be empty"),
        ("/metrics/rps/source/query", Some(json!("x".repeat(4097))), "has more than 4096 bytes"),
        ("/metrics/ready/source/query", Some(json!("x")), "belongs into a source of type prometheus"),
        ("/metrics/ready/source/labels", Some(json!({})), "belongs into a source of type scrape"),
        ("/metrics/rps/source/rate", Some(json!(true)), "belongs into a source of type scrape"),
        ("/metrics/rps/source/pointer", Some(json!("/a")), "belongs into a source of type http"),
        ("/metrics/ready/source/aggregate", Some(json!("sum")), "belongs into a source of type scrape or prometheus"),
        ("/metrics/queue/url", Some(json!("http://a")), "belongs into a source of type http, scrape or prometheus"),
        ("/rules", Some(json!([])), "must have 1 to 32 rules"),
        ("/rules", Some(json!({})), "must be an array, not an object"),
        ("/rules", None, "is required"),
        ("/rules/0/name", Some(json!("a b")), "must be a letter or '_'"),
        ("/rules/0/name", None, "is required"),
        ("/rules/1/name", Some(json!("queue")), "is the name of an earlier rule"),
        ("/rules/0/type", Some(json!("traget")), "did you mean target?"),
        ("/rules/0/metric", Some(json!("queu")), "is not one of the metrics; did you mean queue?"),
        ("/rules/0/metric", Some(json!("heat")), "must be a metric without allowNegative: for target"),
        ("/rules/1/metric", Some(json!("heat")), "must be a metric without allowNegative: for band"),
        ("/rules/2/metric", Some(json!("heat")), "must be a metric without allowNegative: for utilization"),
        ("/rules/0/perUnit", Some(json!(0)), "must be above 0"),
        ("/rules/0/perUnit", Some(json!("100")), "must be a number, written without quotes"),
        ("/rules/0/perUnit", Some(json!(-0.0)), "must be above 0"),
        ("/rules/0/high", Some(json!(1)), "belongs into a rule of type band"),
        ("/rules/0/onMissing", Some(json!("zero")), "must be hold, ignore or an object"),
        ("/rules/0/onMissing", Some(json!(0)), "must be hold, ignore or an object"),
        ("/rules/1/onMissing/afterSeconds", None, "is required"),
        ("/rules/1/low", Some(json!(100.5)), "must not be above high, which is 100"),
        ("/rules/2/tolerance", Some(json!(1)), "must be at least 0 and below 1"),
        ("/rules/3/forSeconds", Some(json!(3601)), "must be between 0 and 3600 seconds"),
        ("/rules/3/steps", Some(json!([])), "must have 1 to 16 entries"),
        ("/rules/3/steps/0/change", Some(json!(0)), "must not be 0"),
        ("/rules/3/steps/0", Some(json!({"change": 1})), "must have either above or below"),
        ("/rules/3/steps/0", Some(json!({"above": 1, "below": 0, "change": 1})), "must have either above or below"),
        ("/rules/3/steps/1", Some(json!({"above": 0.5, "change": 2})), "has the threshold of an earlier entry"),
        ("/rules/7/resource", Some(json!("a b")), "must consist of letters"),
        ("/rules/7/ratio", Some(json!(0)), "must be above 0"),
        ("/rules/7/offset", Some(json!(0.5)), "must be a whole number"),
        ("/rules/8/quantile", Some(json!(0.4)), "must be between 0.5 and 0.99"),
        ("/rules/8/perUnit", None, "is required"),
        ("/rules/8/metric", Some(json!("heat")), "for forecast, less than no load makes no sense"),
        ("/rules/8/source", Some(json!("pushed")), "did you mean push?"),
        ("/rules/8/timeZone", Some(json!("Europe/Berln")), "did you mean Europe/Berlin?"),
        ("/rules/9/expression", None, "is required"),
        ("/rules/9/expression", Some(json!(1)), "must be a string, not a number"),
        ("/rules/9/expression", Some(json!("")), "must not be empty"),
        ("/rules/9/expression", Some(json!("1".repeat(1025))), "has more than 1024 bytes"),
        ("/rules/9/expression", Some(json!("1 +")), "is not an expression in CEL: "),
        (
            "/rules/9/expression",
            Some(json!("metrics.queu")),
            "has metrics.queu, which is not one of the metrics; did you",
        ),
        (
            "/rules/9/expression",
            Some(json!("queue + 1.0")),
            "has queue: the variables are capacity, target, status, now",
        ),
        ("/rules/9/expression", Some(json!("capacity * metrics.queue")), "write double(…) around the whole number"),
        ("/rules/9/expression", Some(json!("status")), "must give a number or null, not a text"),
        ("/rules/9/metric", Some(json!("queue")), "is unknown; "),
        ("/rules/9/onMissing", Some(json!("zero")), "must be hold, ignore or an object"),
        ("/rules/0/expression", Some(json!("1")), "belongs into a rule of type expression"),
        (
            schedule,
            Some(json!({"name": "x", "type": "schedule", "min": 2})),
            "must have days with from and to, or cron",
        ),
        ("/rules/4/min", Some(json!(21)), "must be between 1 and 20, the bounds of the policy"),
        ("/rules/4/max", Some(json!(9)), "must be at least min, which is 10"),
        ("/rules/6/min", None, "must have min or max"),
        ("/rules/4/timeZone", Some(json!("Europe/Berlim")), "is not a known time zone: did you mean Europe/Berlin?"),
        ("/rules/4/days", Some(json!([])), "must have one day at least"),
        ("/rules/4/days/0", Some(json!("Monday")), "must be MON, TUE, WED, THU, FRI, SAT or SUN"),
        ("/rules/4/days/0", Some(json!("FIR")), "did you mean FRI?"),
        ("/rules/4/days/1", Some(json!("MON")), "is given twice"),
        ("/rules/4/to", Some(json!("09:00")), "must not be equal to from"),
        ("/rules/4/to", Some(json!("9:00")), "must be a time of day such as 09:00"),
        ("/rules/4/from", Some(json!("24:00")), "must be a time of day such as 09:00"),
        ("/rules/4/except/0", Some(json!("2026-02-30")), "must be a date such as 2026-12-25"),
        ("/rules/4/until", Some(json!("2026-12-01T08:00:00Z")), "belongs into a schedule with at"),
        ("/rules/4/ready", Some(json!("ahead")), "must be before or after"),
        ("/rules/5/cron", Some(json!("30 2 * *")), "must have five fields"),
        ("/rules/5/forSeconds", None, "is required"),
        ("/rules/6/until", Some(json!("2026-12-01T08:00:00Z")), "must be later than at"),
        ("/rules/6/at", Some(json!("2026-12-01T08:00:00")), "must be a date and time with Z or an offset"),
        ("/rules/6/timeZone", Some(json!("UTC")), "belongs into a schedule with days or cron"),
        ("/behavior/down/periodSeconds", None, "is required with maxUnits or maxPercent"),
        ("/behavior/up/periodSeconds", Some(json!(60)), "needs maxUnits or maxPercent"),
        ("/behavior/down/maxPercent", Some(json!(-1)), "must be between 0 and 100000000"),
        ("/behavior/down/maxUnits", Some(json!(-1)), "must be between 0 and 1000000"),
        ("/behavior/down/stabilizationSeconds", Some(json!(3601)), "must be between 0 and 3600 seconds"),
        ("/idle", Some(json!({})), "is required"),
        ("/idle/afterSeconds", Some(json!(86401)), "must be between 0 and 86400 seconds"),
        ("/job/stepSize", Some(json!(0)), "must be between 1 and 1000000"),
        ("/job/cooldownSeconds", Some(json!(86400.0001)), "must be between 0 and 86400 seconds"),
        ("/job/cooldown", Some(json!(1)), "is unknown; did you mean cooldownSeconds?"),
        ("/job/labels", Some(json!({})), "belongs into a job that a caller submits"),
        ("/job/expectedChangeSeconds", Some(json!(-1)), "must be between 0 and 86400 seconds"),
    ] {
        let document = with(full(), pointer, value);
        let problems = read(document.clone()).expect_err(pointer);
        let found = problems.iter().any(|(place, said)| {
            (place == pointer || place.starts_with(pointer) || pointer.starts_with(place.as_str()))
                && said.contains(detail)
        });
        assert!(found && problems.len() == 1, "{pointer}: {problems:?}");
    }
}

/// What is near is told, and nothing else.
#[test]
fn hints_name_each_field_once_and_no_day_that_was_not_meant() {
    for (pointer, value, expected) in [
        ("/rules/4/days/0", json!("FOO"), "must be MON, TUE, WED, THU, FRI, SAT or SUN"),
        (
            "/job/x",
            json!(1),
            "is unknown; there are: expectedChangeSeconds, stepSize, cooldownSeconds, activeTimeoutSeconds, \
             pollIntervalSeconds, settleSeconds, deadlineSeconds",
        ),
        ("/rules/1/low", json!(1e308), "must not be above high, which is 100"),
    ] {
        let problems = read(with(full(), pointer, Some(value))).expect_err(pointer);
        assert_eq!(problems, [(pointer.to_owned(), expected.to_owned())]);
    }
}

#[test]
fn everything_wrong_is_told_at_once_and_what_follows_from_it_is_not() {
    let document = json!({"min": "1", "max": 0, "metrics": {"q": {"source": {"type": "pull"}}}, "colour": 1,
        "rules": [{"name": "q", "type": "target", "metric": "q", "perUnit": 0},
                  {"name": "q", "type": "schedule", "at": "now", "until": "2026-12-01T20:00:00Z", "min": 30}]});
    let problems = read(document).expect_err("wrong");
    let places: Vec<&str> = problems.iter().map(|(place, _)| place.as_str()).collect();
    let wrong = ["/min", "/metrics/q/source/type", "/rules/0/perUnit", "/rules/1/at", "/rules/1/name", "/colour"];
    assert_eq!(places, wrong, "{problems:?}");
}

#[test]
fn only_rules_that_find_the_way_back_may_reach_zero() {
    let cpu = json!({"name": "cpu", "type": "utilization", "metric": "q", "target": 60});
    let window = json!({"name": "w", "type": "schedule", "at": "2026-12-01T08:00:00Z", "until": "2026-12-02T08:00:00Z", "min": 2});
    let target = json!({"name": "t", "type": "target", "metric": "q", "perUnit": 1});
    for (min, idle, rules, wrong) in [
        (0, false, json!([cpu]), vec!["/rules/0"]),
        (0, false, json!([window, cpu]), vec!["/rules/1"]),
        (0, false, json!([cpu, target]), vec![]),
        (0, false, json!([window]), vec![]),
        (1, false, json!([cpu]), vec![]),
        (1, true, json!([cpu]), vec!["/idle"]),
        (1, true, json!([cpu, target]), vec![]),
    ] {
        let mut document = with(with(least(), "/min", Some(json!(min))), "/rules", Some(rules.clone()));
        if idle {
            document["idle"] = json!({"afterSeconds": 60});
        }
        let problems = read(document).err().unwrap_or_default();
        let places: Vec<&str> = problems.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, wrong, "{min} {idle} {rules}");
    }
}

#[test]
fn a_name_given_twice_is_wrong_wherever_it_is() {
    let text = r#"{"min": 1, "min": 2, "max": 5, "rules": [{"name": "q", "type": "target", "metric": "q", "perUnit": 1,
                   "perUnit": 2}], "metrics": {"q": {"source": {"type": "push"}}, "q": {}}, "a/b": 1, "a/b": 2}"#;
    let problems = pairs(Document::from_json(text).expect("JSON").policy().expect_err("wrong"));
    let twice: Vec<&str> =
        problems.iter().filter(|(_, said)| said == "is given twice").map(|(place, _)| place.as_str()).collect();
    assert_eq!(twice, ["/min", "/rules/0/perUnit", "/metrics/q", "/a~1b"]);
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[test]
fn texts_that_are_no_documents_are_refused_as_a_whole() {
    assert!(matches!(Document::from_json("{"), Err(Unreadable::Json(_))));
    assert!(matches!(Document::from_json("{} {}"), Err(Unreadable::Json(_))));
    assert!(matches!(Document::from_json("{\"min\": 1e999}"), Err(Unreadable::Json(_))));
    assert!(matches!(Document::from_json(&"[".repeat(10_000)), Err(Unreadable::Json(_))));
    assert!(matches!(Document::from_json(&" ".repeat(MAX_DOCUMENT_BYTES + 1)), Err(Unreadable::TooLarge)));
    assert!(matches!(Document::from_toml("min = "), Err(Unreadable::Toml(_))));
    for no_object in ["5", "null", "[]", "\"x\""] {
        let problems = pairs(Document::from_json(no_object).expect("JSON").policy().expect_err("no object"));
        assert_eq!((problems.len(), problems[0].0.as_str()), (1, ""), "{no_object}");
    }
}

#[test]
fn a_table_of_the_configuration_file_is_the_same_document() {
    let text = r#"
        min = 1
        max = 20
        [metrics.queue]
        source = { type = "push" }
        [[rules]]
        name = "office"
        type = "schedule"
        timeZone = "Europe/Berlin"
        days = ["MON"]
        from = 09:00:00
        to = "17:00"
        except = [2026-12-25]
        min = 10
        [[rules]]
        name = "launch"
        type = "schedule"
        at = 2026-12-01T08:00:00Z
        until = 2026-12-01T20:00:00+01:00
        min = 18
        [[rules]]
        name = "queue"
        type = "target"
        metric = "queue"
        perUnit = 100.0"#;
    let document = json!({"min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}}, "rules": [
        {"name": "office", "type": "schedule", "timeZone": "Europe/Berlin", "days": ["MON"], "from": "09:00",
         "to": "17:00", "except": ["2026-12-25"], "min": 10},
        {"name": "launch", "type": "schedule", "at": "2026-12-01T08:00:00Z", "until": "2026-12-01T19:00:00Z", "min": 18},
        {"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}]});
    let from_table = Document::from_toml(text).expect("TOML").policy().map_err(pairs);
    assert_eq!(from_table, read(document));
    let infinite = Document::from_toml("min = nan\nmax = inf\nrules = []").expect("TOML").policy();
    let problems = pairs(infinite.expect_err("no numbers"));
    let infinite = |place: &str| (place.to_owned(), "must be a finite number".to_owned());
    assert!(problems.contains(&infinite("/min")) && problems.contains(&infinite("/max")), "{problems:?}");
    assert_eq!(problems.len(), 3, "{problems:?}");
}

/// Every field there is.
fn names(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                all.push(name.clone());
                names(value, all);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, all)),
        _ => {}
    }
}

#[test]
fn every_field_has_a_home_and_every_home_a_field() {
    let mut all = Vec::new();
    names(&full(), &mut all);
    for (home, fields) in HOMES {
        for field in *fields {
            assert!(all.iter().any(|name| name == field), "{field} of {home} is not in the document");
        }
    }
    // Those that belong to several places or are names of the document's own.
    let several = ["type", "name", "metric", "min", "max", "forSeconds"];
    let own = ["queue", "ready", "depth", "rps", "cpu", "heat", "p99", "Authorization"];
    for name in all {
        let is_known = HOMES.iter().any(|(_, fields)| fields.contains(&name.as_str()));
        assert!(is_known || several.contains(&&*name) || own.contains(&&*name), "{name} has no home");
    }
}
