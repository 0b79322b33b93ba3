use std::fs;

use super::BacktestArgs;
use crate::cli::exit::Exit;
use crate::cli::testing::captured;
use serde_json::Value;

const POLICY: &str = r#"{"min": 1, "max": 20, "metrics": {"load": {"source": {"type": "push"}}},
    "rules": [{"name": "load", "type": "target", "metric": "load", "perUnit": 100}]}"#;

/// Ten minutes at 150, half an hour at 450, and an hour at 150.
fn values() -> String {
    let loads = [150; 10].into_iter().chain([450; 30]).chain([150; 60]);
    let rows = loads
        .enumerate()
        .map(|(minute, load)| format!("2026-01-31 {:02}:{:02}:00,{load}\n", 9 + minute / 60, minute % 60));
    std::iter::once("time,value\n".to_owned()).chain(rows).collect()
}

/// Runs the command in a directory with these files, which arguments name as `@name`.
async fn backtest(files: &[(&str, &str)], arguments: &[&str]) -> (Exit, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("written");
    }
    let place = format!("{}/", directory.path().display());
    let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace('@', &place)).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (exit, captured) = captured(&arguments, async |args: BacktestArgs, output| args.run(output)).await;
    (exit, captured.out().replace(&place, ""), captured.err().replace(&place, ""))
}

#[actix_web::test]
async fn a_policy_is_told_beside_the_limit_and_fixed_capacities() {
    let values = values();
    let files = [("policy.json", POLICY), ("load.csv", values.as_str())];
    let (exit, out, err) = backtest(&files, &["--policy", "@policy.json", "--metric", "load=@load.csv"]).await;
    assert_eq!((exit, err.as_str()), (Exit::Done, ""), "{out}");
    let names: Vec<&str> = out.lines().take(5).filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(names, ["RUN", "policy", "limit", "fixed mean", "fixed peak"]);
    assert!(out.contains("policy: █ needed and ready"), "{out}");
    assert!(out.contains('×') && out.contains("2026-01-31 09:00Z"), "{out}");
}

#[actix_web::test]
async fn the_json_has_every_change_and_the_limit_is_no_worse() {
    let values = values();
    let files = [("policy.json", POLICY), ("other.json", POLICY), ("load.csv", values.as_str())];
    let arguments = ["--policy", "@policy.json", "--metric", "load=@load.csv", "--compare", "@other.json", "--json"];
    let (exit, out, _) = backtest(&files, &arguments).await;
    assert_eq!(exit, Exit::Done);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["from"], "2026-01-31T09:00:00.000Z");
    assert_eq!(report["plant"]["provisioningSeconds"], 300.0);
    let runs = report["runs"].as_array().expect("runs");
    let [policy, other, limit, ..] = &runs[..] else { panic!("{report}") };
    assert_eq!((&other["name"], &limit["name"]), (&"other".into(), &"limit".into()));
    assert_eq!(policy["events"], other["events"], "the same policy does the same");
    assert_eq!(policy["events"][0]["at"], "2026-01-31T09:10:00.000Z");
    assert_eq!(policy["events"][0]["readyAt"], "2026-01-31T09:15:00.000Z");
    let number = |run: &Value, field: &str| run[field].as_f64().expect("a number");
    assert!(number(limit, "unmetUnitHours") < number(policy, "unmetUnitHours"), "{report}");
    assert_eq!(number(limit, "costRatio"), 1.0);
}

#[actix_web::test]
async fn what_cannot_be_tried_is_told() {
    let values = values();
    let half_hours = "time,value\n2026-01-31 09:00:00,7\n2026-01-31 09:30:00,8\n";
    let no_demand =
        POLICY.replace("\"target\", \"metric\": \"load\", \"perUnit\": 100", "\"follow\", \"resource\": \"api\"");
    let files = [
        ("policy.json", POLICY),
        ("bad.json", "{}"),
        ("follow.json", no_demand.as_str()),
        ("load.csv", values.as_str()),
        ("half.csv", half_hours),
    ];
    for (arguments, exit, told) in [
        (["--policy", "@none.json", "--metric", "load=@load.csv"], Exit::Usage, "cannot read none.json"),
        (["--policy", "@bad.json", "--metric", "load=@load.csv"], Exit::Failed, "scalegate policy check"),
        (["--policy", "@policy.json", "--metric", "rps=@load.csv"], Exit::Usage, "no policy has a metric rps"),
        (["--policy", "@policy.json", "--metric", "load=@policy.json"], Exit::Failed, "policy.json line 2"),
        (
            ["--policy", "@follow.json", "--metric", "load=@load.csv"],
            Exit::Usage,
            "give --demand NAME and --per-unit LOAD",
        ),
        (["--policy", "@policy.json", "--metric", "load=@half.csv"], Exit::Done, "values of load are 1800 s apart"),
    ] {
        let (found, out, err) = backtest(&files, &arguments).await;
        assert_eq!(found, exit, "{out}{err}");
        assert!(err.contains(told), "{err}");
    }
}

#[actix_web::test]
async fn a_page_has_a_plot_of_each_run_and_no_name_becomes_a_tag() {
    let values = values();
    let files = [("policy.json", POLICY), ("a<b>&.json", POLICY), ("load.csv", values.as_str())];
    let directory = tempfile::tempdir().expect("a directory");
    let page = directory.path().join("page.html");
    let page = page.to_str().expect("text");
    let arguments =
        ["--policy", "@policy.json", "--metric", "load=@load.csv", "--compare", "@a<b>&.json", "--html", page];
    let (exit, _, err) = backtest(&files, &arguments).await;
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    let page = fs::read_to_string(page).expect("written");
    assert_eq!(page.matches("<svg").count(), 5, "two policies, the limit and two fixed capacities");
    assert!(page.contains("<b>a&lt;b&gt;&amp;</b>") && !page.contains("a<b>&"), "{page}");
    let missing = page.split("class=\"missing\" d=\"").nth(1).expect("a path");
    assert!(missing.starts_with('M'), "units are missing in the first run");
    let (exit, _, err) =
        backtest(&files, &["--policy", "@policy.json", "--metric", "load=@load.csv", "--html", "@none/p"]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("cannot write none/p"), "{err}");
}
