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
async fn values_that_no_capacity_can_meet_are_told_like_others() {
    let values = "time,value\n2026-01-31 09:00:00,150\n2026-01-31 09:01:00,1.7e308\n2026-03-31 09:00:00,-5\n2026-03-31 09:01:00,150\n";
    let policy = POLICY.replace("\"push\"}", "\"push\"}, \"maxAgeSeconds\": 86400");
    let files = [("policy.json", policy.as_str()), ("load.csv", values)];
    let (exit, out, _) = backtest(&files, &["--policy", "@policy.json", "--metric", "load=@load.csv"]).await;
    assert_eq!(exit, Exit::Done, "{out}");
    assert!(out.lines().any(|line| line.starts_with("fixed peak ") && line.ends_with(" 1000000")), "{out}");
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

/// Three days of five minutes: quiet nights, and days that dip in every hour.
fn days() -> String {
    let rows = (0..864).map(|bin| {
        let load = match bin % 288 {
            108..204 if bin % 12 < 8 => 640,
            108..204 => 340,
            _ => 130,
        };
        format!("2026-01-{:02} {:02}:{:02}:00,{load}\n", 10 + bin / 288, bin % 288 / 12, bin % 12 * 5)
    });
    std::iter::once("time,value\n".to_owned()).chain(rows).collect()
}

const START: [&str; 9] = ["--tune", "--min", "1", "--max", "10", "--metric", "load=@load.csv", "--per-unit", "100"];

#[actix_web::test]
async fn the_choice_is_told_with_what_it_was_chosen_from() {
    let values = days();
    let directory = tempfile::tempdir().expect("a directory");
    let [toml, page] = ["tuned.toml", "page.html"].map(|name| directory.path().join(name));
    let (toml, page) = (toml.to_str().expect("text"), page.to_str().expect("text"));
    let arguments: Vec<&str> = START.into_iter().chain(["--unmet", "3%", "--out", toml, "--html", page]).collect();
    let (exit, out, err) = backtest(&[("load.csv", values.as_str())], &arguments).await;
    assert_eq!((exit, err.as_str()), (Exit::Done, ""), "{out}");
    assert!(out.starts_with("POLICY    PER UNIT  DOWN WAITS  FORECAST  OF NEED"), "{out}");
    assert!(out.contains("\nas given  100       5m          –"), "{out}");
    assert_eq!(out.lines().filter(|line| line.starts_with("proposed ")).count(), 1, "{out}");
    assert!(out.contains("Chosen on 2026-01-10 00:00Z to 2026-01-11 "), "{out}");
    assert!(out.contains("the cheapest that leaves at most 3.00 % of the need unmet, for "), "{out}");
    assert!(out.contains("\nHeld out 2026-01-11 "), "{out}");
    assert!(out.contains("perUnit 60 to "), "{out}");
    assert!(out.contains("No forecast rule was tried: it needs two days"), "{out}");
    let curve = out.split("Unit-hours by what is unmet").nth(1).expect("a curve");
    let curve = curve.split("proposed: █").next().expect("a curve");
    assert!("●×█┊".chars().all(|mark| curve.lines().skip(1).any(|line| line.contains(mark))), "{curve}");
    let text = fs::read_to_string(toml).expect("written");
    let proposed = crate::policy::Document::from_toml(&text).expect("TOML").policy().expect("a policy");
    assert_eq!((proposed.min.units(), proposed.max.units()), (1, 10), "{text}");
    let page = fs::read_to_string(page).expect("written");
    assert_eq!(page.matches("<svg").count(), 3, "the curve, the proposed and the given policy");
    assert_eq!(page.matches("class=\"proposed\"").count(), 1);
}

#[actix_web::test]
async fn a_bound_that_is_missed_on_the_held_out_time_is_told_with_a_remedy() {
    let row = |bin: usize, load: u32| {
        let (day, minute) = (10 + bin / 288, bin % 288 * 5);
        format!("2026-01-{day} {:02}:{:02}:00,{load}\n", minute / 60, minute % 60)
    };
    let rows = |last: u32| (0..3 * 288).map(|bin| row(bin, if bin < 2 * 288 { 250 } else { last })).collect::<String>();
    for (last, is_missed) in [(250, false), (5000, true)] {
        let values = format!("time,load\n{}", rows(last));
        let (exit, out, err) = backtest(&[("load.csv", values.as_str())], &START).await;
        assert_eq!((exit, err.as_str()), (Exit::Done, ""), "{out}");
        let told =
            "\nOn the held-out time it misses the bound: more than 1.00 % of the need is unmet. Try a smaller --unmet";
        assert_eq!(out.contains(told), is_missed, "{out}");
    }
}

#[actix_web::test]
async fn the_json_of_a_search_has_everything_that_was_tried() {
    let (values, policy) = (days(), POLICY.replace("\"push\"}", "\"push\"}, \"maxAgeSeconds\": 600"));
    let files = [("policy.json", policy.as_str()), ("load.csv", values.as_str())];
    let directory = tempfile::tempdir().expect("a directory");
    let out_path = directory.path().join("tuned.json");
    let out_path = out_path.to_str().expect("text");
    let arguments = ["--tune", "--policy", "@policy.json", "--metric", "load=@load.csv", "--json", "--out", out_path];
    let with = |unmet| arguments.into_iter().chain(["--unmet", unmet]).collect::<Vec<_>>();
    let (exit, out, _) = backtest(&files, &with("3%")).await;
    assert_eq!(exit, Exit::Done);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&report["meets"], &report["mostUnmetShare"]), (&true.into(), &0.03.into()));
    assert_eq!(report["chosenOn"]["from"], "2026-01-10T00:00:00.000Z");
    assert_eq!(report["chosenOn"]["to"], report["heldOut"]["from"]);
    assert_eq!((&report["given"]["perUnit"], &report["given"]["quantile"]), (&100.0.into(), &Value::Null));
    let (tried, curve) = (report["tried"].as_array().expect("a list"), report["curve"].as_array().expect("a list"));
    assert!(tried.len() > 20 && curve.len() > 2 && curve.contains(&report["proposed"]), "{report}");
    assert_eq!(tried[0]["chosenOn"], report["given"]["chosenOn"]);
    assert!(report["proposed"]["heldOut"]["unitHours"].as_f64().expect("a number") > 0.0);
    assert_eq!(report["policy"]["rules"][0]["perUnit"].as_f64(), report["proposed"]["perUnit"].as_f64());
    let written: Value = serde_json::from_str(&fs::read_to_string(out_path).expect("written")).expect("JSON");
    assert_eq!(written, report["policy"]);

    fs::remove_file(out_path).expect("removed");
    let (exit, out, err) = backtest(&files, &with("0%")).await;
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((exit, &report["meets"]), (Exit::Failed, &false.into()));
    assert!(err.contains("tuned.json is not written") && fs::metadata(out_path).is_err(), "{err}");
    let plain: Vec<&str> = with("0%").into_iter().filter(|argument| *argument != "--json").collect();
    let (_, out, _) = backtest(&files, &plain).await;
    assert!(
        out.contains("nothing that was tried leaves at most 0.00 % of the need unmet. The nearest leaves "),
        "{out}"
    );
    assert!(out.lines().any(|line| line.starts_with("nearest ")), "{out}");
}

#[test]
fn a_search_needs_a_policy_or_its_bounds() {
    let parse = |arguments: &[&str]| crate::cli::testing::parse::<BacktestArgs>(arguments).map(|_| ());
    assert!(parse(&START).is_ok());
    let with_policy = ["--tune", "--metric", "load=load.csv", "--policy", "policy.json"];
    assert!(parse(&with_policy).is_ok());
    for wrong in [
        &["--tune", "--metric", "load=load.csv"][..],
        &["--tune", "--min", "1", "--metric", "load=load.csv", "--per-unit", "100"],
        &["--min", "1", "--max", "2", "--metric", "load=load.csv", "--per-unit", "100"],
        &[&with_policy[..], &["--min", "1", "--max", "2", "--per-unit", "3"]].concat(),
        &[&with_policy[..], &["--compare", "other.json"]].concat(),
        &[&with_policy[..], &["--unmet", "0.5"]].concat(),
        &[&with_policy[..], &["--unmet", "-1%"]].concat(),
        &[&with_policy[1..], &["--unmet", "1%"]].concat(),
        &[&with_policy[1..], &["--out", "tuned.json"]].concat(),
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

#[actix_web::test]
async fn a_start_that_makes_no_policy_is_told() {
    let values = days();
    let files = [("load.csv", values.as_str())];
    let (exit, _, err) =
        backtest(&files, &["--tune", "--min", "5", "--max", "2", "--metric", "load=@load.csv", "--per-unit", "1"])
            .await;
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("/max must be at least min"), "{err}");
    let two = [&START[..], &["--metric", "other=@load.csv"]].concat();
    let (exit, _, err) = backtest(&files, &two).await;
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("say by --demand NAME which metric --per-unit is about"), "{err}");
}
