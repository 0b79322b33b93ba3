//! Policies in the file.

use super::*;

const WORKER: &str = r#"
[metric_secrets]
token = "Bearer x"

[resources.worker]
max = 6

[resources.worker.policy]
min = 1
max = 6
idle.afterSeconds = 900

[resources.worker.policy.metrics.ready.source]
type = "http"
url = "http://api:8000/stats"
pointer = "/ready"
headers = { Authorization = "token" }

[[resources.worker.policy.rules]]
name = "ready"
type = "band"
metric = "ready"
high = 100
low = 49.5

[[resources.worker.policy.rules]]
name = "launch"
type = "schedule"
at = 2026-12-01T08:00:00Z
until = 2026-12-01T20:00:00Z
min = 4
"#;

#[test]
fn a_policy_is_read_and_printed_so_that_it_is_the_same_again() {
    let (_directory, path) = file(WORKER);
    let loaded = load_args(&parsed(&["--config", &path])).expect("valid");
    let policy = loaded.config.scaling().policies[&alias("worker")].clone();
    assert_eq!((policy.min.units(), policy.max.units(), policy.rules.len()), (1, 6, 2));
    assert_eq!(policy.idle_after, Some(secs(900)));
    let printed = loaded.to_toml();
    assert!(printed.lines().any(|line| line.starts_with("policy = {")), "{printed}");
    // Secrets are not printed.
    let again = load_file(&format!("{printed}\n[metric_secrets]\ntoken = \"Bearer x\"\n"));
    assert_eq!(again.unwrap_or_else(|error| panic!("{error}\nin\n{printed}")), loaded.config, "{printed}");
}

#[test]
fn each_mistake_in_a_policy_is_told_with_its_place_and_with_all_others() {
    let text = r#"cooldown = "5"
[resources.worker]
max = 6
max_step_size = 2

[resources.worker.policy]
min = 1
max = 9
job.stepSize = 3
rules = [{name = "queue", type = "target", metric = "queue", perUnit = 0.5}]

[resources.worker.policy.metrics.queue.source]
type = "http"
url = "http://api/stats"
pointer = ""
headers = {Authorization = "token"}

[resources.api.policy]
min = 1
max = 4
metrics.queue.source.type = "push"
rules = [{name = "queue", type = "target", metric = "queue", perUnit = -1, per_unit = 2}]

[resources.web]
policy = true

[resources.one.policy]
min = 0
max = 1
rules = [{name = "f", type = "follow", resource = "two", ratio = 1}]

[resources.two.policy]
min = 0
max = 1
rules = [{name = "f", type = "follow", resource = "one", ratio = 1}]

[resources.three]
polcy = 1
"#;
    let (_directory, path) = file(text);
    let refused = load_args(&parsed(&["--config", &path])).expect_err("mistakes").to_string().replace(&path, "FILE");
    for problem in [
        "cooldown in line 1 of FILE: \"5\" has no unit",
        "resources.worker.policy.max in line 8 of FILE: must be between 0 and 6",
        "resources.worker.policy.job.stepSize in line 9 of FILE: ",
        "resources.worker.policy.metrics.queue.source.headers.Authorization in line 16 of FILE: names token, which is no secret",
        "resources.api.policy.rules[0].perUnit in line 22 of FILE: ",
        "resources.api.policy.rules[0].per_unit in line 22 of FILE: ",
        "resources.web.policy in line 25 of FILE: true must be a table",
        "resources.one.policy: the resources follow each other in a circle: one, two, one",
        "resources.three.polcy in line 38 of FILE: no such key; did you mean policy?",
    ] {
        assert!(refused.contains(&format!("\n  - {problem}")), "{problem} is not in\n{refused}");
    }
    assert_eq!(refused.matches("\n  - ").count(), 9, "{refused}");
}

#[test]
fn what_is_not_there_has_the_line_of_what_it_would_be_in() {
    let text = r#"
[resources."a-b".policy]
max = 9

[[resources."a-b".policy.rules]]
name = "queue"
type = "target"
metric = "queue"
perUnit = 1
[[resources."a-b".policy.rules]]
name = "late"
type = "schedule"
cron = "0 9 * *"
forSeconds = 60
timeZone = "UTC"
min = 1

[resources."a-b".policy.metrics]
other = {source = {type = "push",
    url = "http://x"}}
"#;
    let (_directory, path) = file(text);
    let refused = load_args(&parsed(&["--config", &path])).expect_err("mistakes").to_string().replace(&path, "FILE");
    let policy = "resources.a-b.policy";
    for problem in [
        "min in line 2 of FILE: is required",
        "rules[0].metric in line 8 of FILE: is not one of the metrics; there are: other",
        "rules[1].cron in line 13 of FILE: must have five fields",
        "metrics.other.source.url in line 20 of FILE: belongs into a source of type http, scrape or prometheus",
    ] {
        assert!(refused.contains(&format!("{policy}.{problem}")), "{problem} is not in\n{refused}");
    }
}
