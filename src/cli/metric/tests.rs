use serde_json::{Value, json};

use super::MetricArgs;
use crate::cli::client::stub::{Reply, Stub, problem};
use crate::cli::exit::Exit;
use crate::cli::testing;

#[actix_web::test]
async fn a_value_is_pushed_and_told() {
    let accepted = json!({"accepted": 1, "ignored": 0});
    for (value, sent, words) in [
        ("812", json!(812.0), "Pushed: queue of worker is 812.\n"),
        ("-0.5", json!(-0.5), "Pushed: queue of worker is -0.5.\n"),
        ("1e3", json!(1000.0), "Pushed: queue of worker is 1000.\n"),
    ] {
        let stub = Stub::start(vec![Reply::Json(202, accepted.clone())]).await;
        let (exit, captured) =
            testing::captured(&["worker", "queue", value, "--server", &stub.url()], MetricArgs::run).await;
        assert_eq!((exit, captured.out().as_str()), (Exit::Done, words), "{}", captured.err());
        assert_eq!(stub.lines(), ["POST /v1/resources/worker/metrics/queue"]);
        assert_eq!(serde_json::from_str::<Value>(&stub.seen()[0].body).expect("JSON"), json!({"value": sent}));
    }
}

#[actix_web::test]
async fn json_is_the_answer_and_a_refusal_is_told() {
    let stub = Stub::start(vec![Reply::Json(202, json!({"accepted": 0, "ignored": 1}))]).await;
    let url = stub.url();
    let (exit, captured) =
        testing::captured(&["worker", "queue", "1", "--json", "--server", &url], MetricArgs::run).await;
    assert_eq!((exit, captured.out().as_str()), (Exit::Done, "{\"accepted\":0,\"ignored\":1}\n"));
    let (_, captured) = testing::captured(&["worker", "queue", "1", "--server", &url], MetricArgs::run).await;
    let told = (captured.out(), captured.err());
    assert_eq!(told, (String::new(), "scalegate: ignored: there is a newer value of queue\n".to_owned()));
    let stub = Stub::start(vec![problem(404, "metric_not_found")]).await;
    let (exit, captured) = testing::captured(&["worker", "x", "1", "--server", &stub.url()], MetricArgs::run).await;
    assert_eq!((exit, captured.out().as_str()), (Exit::Refused, ""), "{}", captured.err());
}

#[actix_web::test]
async fn a_prediction_is_read_from_a_file_and_pushed_as_a_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rps.csv");
    let path = file.to_str().expect("text");
    std::fs::write(&file, "time,rps\n2026-01-31T13:00:00+01:00,900\n2026-01-31 13:00:00,0.5\n").expect("written");
    for (answer, out, err) in [
        (
            json!({"accepted": 1, "ignored": 1}),
            "Pushed: 1 predicted values for rps of worker; 1 in the past were left out.\n",
            "",
        ),
        (
            json!({"accepted": 0, "ignored": 2}),
            "",
            "scalegate: ignored: nothing is to come in the prediction for rps\n",
        ),
    ] {
        let stub = Stub::start(vec![Reply::Json(202, answer)]).await;
        let arguments = ["worker", "rps", "--forecast", path, "--server", &stub.url()];
        let (exit, captured) = testing::captured(&arguments, MetricArgs::run).await;
        assert_eq!((exit, captured.out().as_str(), captured.err().as_str()), (Exit::Done, out, err));
        let sent = json!({"forecast": [{"at": "2026-01-31T12:00:00.000Z", "value": 900.0}, {"at": "2026-01-31T13:00:00.000Z", "value": 0.5}]});
        assert_eq!(serde_json::from_str::<Value>(&stub.seen()[0].body).expect("JSON"), sent);
    }
    let too_many: String = (0..601).map(|row| format!("{}\n", row_at(row))).collect();
    for (text, words) in [
        ("time,rps\nsoon,1\n", "rps.csv line 2: \"soon\" is not a time"),
        (&format!("time,rps\n{too_many}"), "has 601 values; a prediction has at most 600"),
    ] {
        std::fs::write(&file, text).expect("written");
        let stub = Stub::start(Vec::new()).await;
        let arguments = ["worker", "rps", "--forecast", path, "--server", &stub.url()];
        let (exit, captured) = testing::captured(&arguments, MetricArgs::run).await;
        assert_eq!((exit, stub.lines().len()), (Exit::Usage, 0));
        assert!(captured.err().contains(words), "{}", captured.err());
    }
}

fn row_at(row: i64) -> String {
    format!("{},1", jiff::Timestamp::from_second(1_800_000_000 + row * 900).expect("a time"))
}

#[test]
fn what_is_no_value_is_not_sent() {
    for (arguments, words) in [
        (&["worker", "queue"][..], "<VALUE>"),
        (&["worker", "queue", "1", "--forecast", "x.csv"], "cannot be used with"),
        (&["worker", "queue", "NaN"], "a finite number"),
        (&["worker", "queue", "inf"], "a finite number"),
        (&["worker", "queue", ""], "a finite number"),
        (&["worker", "a/b", "1"], "letters"),
        (&["..", "queue", "1"], "begin with a letter"),
    ] {
        let error = testing::parse::<MetricArgs>(arguments).expect_err("nonsense");
        assert_eq!(error.exit_code(), Exit::Usage as i32);
        assert!(error.to_string().contains(words), "{arguments:?}: {error}");
    }
}
