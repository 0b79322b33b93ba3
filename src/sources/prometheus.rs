//! Answers of Prometheus's HTTP API to an instant query.
//!
//! Warnings and notes in an answer are ignored: they do not say that the value is wrong. Rejected: to take the newest
//! value of a matrix, because a range in the query is then a mistake that is never noticed.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::policy::{Aggregate, Missing, NoValue};
use crate::printable::one_line;

use super::combine;

/// How much of a server's message is kept.
const MAX_MESSAGE_CHARS: usize = 200;

/// The common frame of all answers. What is in `data` depends on its type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// One element of a vector. A native histogram has no `value`.
#[derive(Deserialize)]
struct Element {
    value: Option<(f64, String)>,
}

/// The value in an answer to a query.
///
/// # Errors
/// If there is none: what the server said instead.
pub fn query_result(body: &[u8], aggregate: Option<Aggregate>) -> Result<f64, NoValue> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| foreign())?;
    if answer.status != "success" {
        let detail = message(&answer).unwrap_or_else(|| "the server refuses the query".to_owned());
        return Err(NoValue { reason: Missing::SourceFailed, detail });
    }
    let Data { result_type, result } = answer.data.ok_or_else(foreign)?;
    let values = match result_type.as_str() {
        "vector" => {
            let elements: Vec<Element> = serde_json::from_value(result).map_err(|_| foreign())?;
            elements.into_iter().map(element_value).collect::<Result<Vec<f64>, _>>()?
        }
        "scalar" => {
            let (_, value): (f64, String) = serde_json::from_value(result).map_err(|_| foreign())?;
            vec![number(&value)?]
        }
        "matrix" => return Err(NoValue::invalid("the query gives values over a range of time instead of one")),
        "string" => return Err(NoValue::invalid("the query gives a string instead of a number")),
        _ => return Err(foreign()),
    };
    combine(&values, aggregate, "the query")
}

/// What the server says about an error, if `body` is an answer of its API.
pub fn error_message(body: &[u8]) -> Option<String> {
    message(&serde_json::from_slice(body).ok()?)
}

fn message(answer: &Answer) -> Option<String> {
    let error = answer.error.as_deref().filter(|error| !error.is_empty())?;
    let kind = answer.error_type.as_deref().unwrap_or("error");
    Some(one_line(format!("{kind}: {error}")).chars().take(MAX_MESSAGE_CHARS).collect())
}

fn element_value(element: Element) -> Result<f64, NoValue> {
    let (_, text) = element.value.ok_or_else(|| NoValue::invalid("the query gives a histogram instead of a number"))?;
    number(&text)
}

fn number(text: &str) -> Result<f64, NoValue> {
    text.parse().map_err(|_| foreign())
}

fn foreign() -> NoValue {
    NoValue::invalid("the answer is not one of Prometheus's HTTP API")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector(elements: &str) -> String {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{elements}]}}}}"#)
    }

    #[test]
    fn each_kind_of_answer_has_its_meaning() {
        use Missing::{Invalid, SeveralSeries, SourceFailed};
        let one = |value: &str| vector(&format!(r#"{{"metric":{{"a":"b"}},"value":[1435781451.781,{value}]}}"#));
        let two = vector(r#"{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"2.5"]}"#);
        let spoilt = vector(r#"{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"NaN"]}"#);
        let of_type = |kind: &str, result: &str| {
            format!(
                r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}},"warnings":["w"],"infos":["i"]}}"#
            )
        };
        let error =
            r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error:\nunexpected end"}"#.to_owned();
        let foreign = Err((Invalid, "the answer is not one of Prometheus's HTTP API"));
        for (body, aggregate, expected) in [
            (one("\"812.5\""), None, Ok(812.5)),
            (one("\"0\""), None, Ok(0.0)),
            (one("\"-1e3\""), None, Ok(-1000.0)),
            (of_type("scalar", "[1,\"3\"]"), None, Ok(3.0)),
            (two.clone(), Some(Aggregate::Sum), Ok(3.5)),
            (
                two,
                None,
                Err((SeveralSeries, "there are 2 series of the query; say how to aggregate them, or select one")),
            ),
            (spoilt, Some(Aggregate::Max), Err((Invalid, "of one of 2 series the value is NaN"))),
            (vector(""), Some(Aggregate::Sum), Err((Invalid, "there is no series of the query"))),
            (one("\"NaN\""), None, Err((Invalid, "the value is NaN"))),
            (one("\"+Inf\""), None, Err((Invalid, "the value is +Inf"))),
            (one("\"-Inf\""), None, Err((Invalid, "the value is -Inf"))),
            (of_type("scalar", "[1,\"NaN\"]"), None, Err((Invalid, "the value is NaN"))),
            (one("\"\""), None, foreign),
            (one("\"12 jobs\""), None, foreign),
            (one("12"), None, foreign),
            (one("null"), None, foreign),
            (
                vector(r#"{"metric":{},"histogram":[1,{}]}"#),
                None,
                Err((Invalid, "the query gives a histogram instead of a number")),
            ),
            (
                of_type("matrix", "[]"),
                None,
                Err((Invalid, "the query gives values over a range of time instead of one")),
            ),
            (of_type("string", "[1,\"1\"]"), None, Err((Invalid, "the query gives a string instead of a number"))),
            (of_type("table", "[]"), None, foreign),
            (error, None, Err((SourceFailed, "bad_data: 1:5: parse error:\\nunexpected end"))),
            (r#"{"status":"error"}"#.into(), None, Err((SourceFailed, "the server refuses the query"))),
            (r#"{"status":"success"}"#.into(), None, foreign),
            (r#"{"status":"success","data":{"resultType":"vector","result":null}}"#.into(), None, foreign),
            ("<html>".into(), None, foreign),
            (String::new(), None, foreign),
            ("812".into(), None, foreign),
        ] {
            let expected = expected.map_err(|(reason, detail): (_, &str)| NoValue { reason, detail: detail.into() });
            assert_eq!(query_result(body.as_bytes(), aggregate), expected, "{body}");
        }
    }

    #[test]
    fn messages_of_the_server_are_short_and_on_one_line() {
        let body = format!(r#"{{"status":"error","errorType":"timeout","error":"a\n{}"}}"#, "x".repeat(5000));
        let message = error_message(body.as_bytes()).expect("a message");
        assert!(message.starts_with("timeout: a\\nxxx") && message.chars().count() == MAX_MESSAGE_CHARS, "{message}");
        for none in ["", "<html>", "{}", r#"{"status":"error"}"#, r#"{"status":"error","error":""}"#] {
            assert_eq!(error_message(none.as_bytes()), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_body_gives_a_finite_number_or_a_reason(body: Vec<u8>, value: String) {
            let value = serde_json::to_string(&value).expect("a string");
            let framed = vector(&format!("{{\"value\":[1,{value}]}}"));
            for body in [&body[..], framed.as_bytes()] {
                let result = query_result(body, Some(Aggregate::Sum));
                prop_assert!(result.is_err() || result.is_ok_and(f64::is_finite));
            }
        }
    }
}
