//! `scalegate backtest --tune`: the cheapest policy that leaves little enough unmet, and what it was chosen from.

mod curve;
mod report;

use std::path::Path;
use std::time::Duration;

pub use report::TuneReport;

use super::plot::{self, day};
use super::{page, percent};
use crate::backtest::{DemandSpec, LoadSetting, Recordings, Shown, Span, Tuned};
use crate::cli::table;
use crate::cli::words::brief;
use crate::domain::Capacity;
use crate::domain::policy::{MetricSpec, Policy, number};
use crate::policy::{Document, canonical};

const HEADER: [&str; 10] = [
    "POLICY",
    "PER UNIT",
    "DOWN WAITS",
    "FORECAST",
    "OF NEED",
    "UNIT-HOURS",
    "CHANGES",
    "HELD OUT: OF NEED",
    "UNIT-HOURS",
    "CHANGES",
];

/// What follows the demand, where no policy is given.
pub struct Start<'a> {
    /// What says what is needed, and the load that one unit carries.
    pub demand: &'a DemandSpec,
    /// The bounds.
    pub min: Capacity,
    /// See `min`.
    pub max: Capacity,
    /// How long units that are added take until they are ready, if that is known.
    pub provisioning: Option<Duration>,
}

impl Start<'_> {
    /// A policy with one rule. Values count as long as a few of them are missing.
    ///
    /// # Errors
    /// What is wrong with its numbers.
    pub fn policy(&self, recordings: &Recordings) -> Result<Policy, String> {
        let metric = &self.demand.metric;
        let spacing = recordings.get(metric).and_then(|recording| recording.spacing()).unwrap_or_default();
        let max_age = (spacing * 3).clamp(MetricSpec::PUSHED_MAX_AGE, Duration::from_hours(24));
        let expected = self.provisioning.unwrap_or(Policy::DEFAULT_EXPECTED_CHANGE);
        let document = serde_json::json!({
            "min": self.min.units(), "max": self.max.units(),
            "metrics": {metric.as_str(): {"source": {"type": "push"}, "maxAgeSeconds": max_age.as_secs_f64()}},
            "rules": [{"name": metric, "type": "target", "metric": metric, "perUnit": self.demand.per_unit}],
            "job": {"expectedChangeSeconds": expected.as_secs_f64()},
        });
        Document::from(document).policy().map_err(|problems| {
            let problems = problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.detail));
            problems.collect::<Vec<_>>().join("; ")
        })
    }
}

/// The document of `policy` as the name of the file at `path` asks for it: TOML or JSON.
///
/// # Errors
/// If it cannot be written in TOML.
pub fn document(policy: &Policy, path: &Path) -> Result<String, String> {
    let document = canonical(policy);
    let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    if is_toml {
        toml::to_string(&document).map_err(|error| error.to_string())
    } else {
        serde_json::to_string_pretty(&document).map(|text| text + "\n").map_err(|error| error.to_string())
    }
}

/// The search for people.
pub fn told(tuned: &Tuned) -> Vec<String> {
    let mut lines = table::lines(HEADER, rows(tuned));
    lines.push(String::new());
    lines.extend(sentences(tuned));
    lines.push(String::new());
    lines.push(format!(
        "Unit-hours by what is unmet: ● {}  × as given  █ no other is better in both  ░ tried  ┊ {}",
        name_of_proposed(tuned),
        percent(tuned.most_unmet),
    ));
    lines.extend(curve::lines(tuned));
    lines.push(String::new());
    lines.push(format!("{}: █ needed and ready  ░ ready, not needed  × needed, missing", name_of_proposed(tuned)));
    lines.extend(plot::lines(&tuned.proposed.run, &tuned.needs, tuned.setup.span));
    lines
}

/// The search as a page.
pub fn page(tuned: &Tuned) -> String {
    let mut page = page::head(&tuned.setup);
    let sentences: String = sentences(tuned).map(|sentence| page::escaped(&sentence) + "<br>\n").collect();
    page.push_str(&format!("<p>{sentences}</p>\n"));
    page.push_str(&page::table(HEADER, rows(tuned)));
    page.push_str(&curve::figure(tuned));
    page.push_str(
        "<p>Blue ring: proposed. Red ring: as given. Blue: no other is better in both. Grey: tried. \
         Dashed: the most that may be unmet.</p>\n",
    );
    page.push_str(page::LEGEND);
    for (name, shown) in [(name_of_proposed(tuned), &tuned.proposed), ("as given", &tuned.given)] {
        page.push_str(&page::plot(name, &shown.run, &tuned.needs, tuned.setup.span));
    }
    page
}

fn name_of_proposed(tuned: &Tuned) -> &'static str {
    if tuned.meets(&tuned.proposed.tried.chosen_on) { "proposed" } else { "nearest" }
}

/// The given policy, and the curve.
fn rows(tuned: &Tuned) -> Vec<[String; 10]> {
    let curve = tuned.curve.iter().map(|shown| {
        let name = if shown.tried == tuned.proposed.tried { name_of_proposed(tuned) } else { "" };
        row(name, shown)
    });
    [row("as given", &tuned.given)].into_iter().chain(curve).collect()
}

fn row(name: &str, shown: &Shown) -> [String; 10] {
    let settings = shown.tried.settings;
    let (chosen_on, held_out) = (&shown.tried.chosen_on, &shown.held_out);
    let load = match settings.load {
        None => "–".to_owned(),
        Some(LoadSetting::PerUnit(per_unit)) => number(per_unit),
        Some(LoadSetting::Band { low, high }) => format!("{} to {}", number(low), number(high)),
    };
    [
        name.to_owned(),
        load,
        brief(settings.down_stabilization),
        settings.quantile.map_or_else(|| "–".to_owned(), number),
        percent(chosen_on.unmet_share),
        format!("{:.1}", chosen_on.unit_hours),
        chosen_on.changes.to_string(),
        percent(held_out.unmet_share),
        format!("{:.1}", held_out.unit_hours),
        held_out.changes.to_string(),
    ]
}

fn sentences(tuned: &Tuned) -> impl Iterator<Item = String> {
    let (proposed, asked) = (&tuned.proposed, percent(tuned.most_unmet));
    let (unmet, held_out) = (percent(proposed.tried.chosen_on.unmet_share), percent(proposed.held_out.unmet_share));
    let chosen_on = time(tuned.parts.chosen_on);
    let choice = if tuned.meets(&proposed.tried.chosen_on) {
        format!("Chosen on {chosen_on}: the cheapest that leaves at most {asked} of the need unmet{}.", saving(tuned))
    } else {
        format!(
            "Chosen on {chosen_on}: nothing that was tried leaves at most {asked} of the need unmet. The nearest leaves {unmet}."
        )
    };
    let judged = format!("Held out {}: {held_out} unmet.", time(tuned.parts.held_out));
    [choice, judged].into_iter().chain(missed(tuned)).chain([tried(tuned)]).chain(no_forecast(tuned))
}

/// Tells that the proposed policy misses the bound on the held-out time, and a remedy. The search does not choose a safer
/// one itself: it would then choose by the held-out time, and no figure would be independent of the choice.
fn missed(tuned: &Tuned) -> Option<String> {
    let asked = percent(tuned.most_unmet);
    if tuned.meets(&tuned.proposed.held_out) {
        return None;
    }
    let remedy =
        if tuned.meets(&tuned.proposed.tried.chosen_on) { " Try a smaller --unmet to have a margin." } else { "" };
    Some(format!("On the held-out time it misses the bound: more than {asked} of the need is unmet.{remedy}"))
}

/// How much less the proposed policy costs.
fn saving(tuned: &Tuned) -> String {
    let (given, proposed) = (tuned.given.tried.chosen_on.unit_hours, tuned.proposed.tried.chosen_on.unit_hours);
    match given {
        _ if tuned.proposed.tried.member.is_none() => ", and that is the policy as given".to_owned(),
        given if given > 0.0 && proposed < given => {
            format!(", for {} less than as given", percent(1.0 - proposed / given))
        }
        given if given > 0.0 => format!(", for {} more than as given", percent(proposed / given - 1.0)),
        _ => String::new(),
    }
}

/// Which settings were tried.
fn tried(tuned: &Tuned) -> String {
    let range = |values: &mut dyn Iterator<Item = f64>, write: &dyn Fn(f64) -> String| {
        let ends = values.fold(None::<(f64, f64)>, |ends, value| {
            let (least, most) = ends.unwrap_or((value, value));
            Some((least.min(value), most.max(value)))
        });
        ends.map(|(least, most)| format!("{} to {}", write(least), write(most)))
    };
    let settings = || tuned.tried.iter().map(|tried| tried.settings);
    let wait = |seconds: f64| brief(Duration::from_secs_f64(seconds));
    let part = |name: &str, range: Option<String>| range.map(|range| format!("{name} {range}"));
    let mut per_unit = settings().filter_map(|settings| match settings.load? {
        LoadSetting::PerUnit(per_unit) => Some(per_unit),
        LoadSetting::Band { .. } => None,
    });
    let ends = |of: fn(f64, f64) -> f64| {
        settings().filter_map(move |settings| match settings.load? {
            LoadSetting::PerUnit(_) => None,
            LoadSetting::Band { low, high } => Some(of(low, high)),
        })
    };
    let mut waits = settings().map(|settings| settings.down_stabilization.as_secs_f64());
    let mut quantiles = settings().filter_map(|settings| settings.quantile);
    let without = settings().any(|settings| settings.quantile.is_none()).then(|| "no forecast rule".to_owned());
    let parts = [
        part("perUnit", range(&mut per_unit, &number)),
        part("low", range(&mut ends(|low, _| low), &number)),
        part("high", range(&mut ends(|_, high| high), &number)),
        part("a fall waits", range(&mut waits, &wait)),
        without,
        part("a forecast rule with quantile", range(&mut quantiles, &number)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("Tried {} policies: {}.", tuned.tried.len(), parts.join(", "))
}

/// Why no `forecast` rule was tried.
fn no_forecast(tuned: &Tuned) -> Option<String> {
    if tuned.forecasts_tried {
        return None;
    }
    Some(if tuned.parts.is_learned {
        "No forecast rule was tried: this policy cannot have one for the demand.".to_owned()
    } else {
        "No forecast rule was tried: it needs two days before the first part, which then has at least a day.".to_owned()
    })
}

fn time(span: Span) -> String {
    format!("{} to {}", day(span.from), day(span.to))
}
