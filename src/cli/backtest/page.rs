//! A backtest as a page that needs nothing else: a table, and a plot of each run.

use std::fmt::Write as _;

use super::plot::{columns, day};
use super::{HEADER, row};
use crate::backtest::{Comparison, Need, Run, Setup, Span};
use crate::cli::words::brief;

/// Points of a plot, one for each unit of its width.
const WIDTH: u32 = 1000;
const HEIGHT: f64 = 160.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--need:#b9c4d6;--ready:#1d5fc4;--missing:#d23f31}\
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .75rem;text-align:right;border-bottom:1px solid #8884}\
td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto;background:#8881}\
.need{fill:var(--need)}.missing{fill:var(--missing)}.ready{fill:none;stroke:var(--ready);stroke-width:1.5}\
.tried{fill:#8888}.curve{fill:var(--ready)}.given,.proposed{fill:none;stroke-width:3;stroke:var(--ready)}.given{stroke:var(--missing)}\
.bound{stroke:var(--missing);stroke-dasharray:6 4}b{font-weight:600}figure{margin:1.5rem 0}figcaption{display:flex;justify-content:space-between}\
@media(prefers-color-scheme:dark){:root{--need:#4a5670;--ready:#7fb0ff;--missing:#ff7a6b}}";

/// The page.
pub fn page(comparison: &Comparison, setup: &Setup) -> String {
    let mut page = head(setup);
    page.push_str(&table(HEADER, comparison.runs.iter().map(row)));
    page.push_str(LEGEND);
    for judged in &comparison.runs {
        page.push_str(&plot(&judged.name, &judged.run, &comparison.needs, setup.span));
    }
    page
}

/// What the plots show.
pub(super) const LEGEND: &str = "<p>Grey: needed. Red: needed, and missing. Line: ready.</p>\n";

/// The beginning: what was played, and how.
pub(super) fn head(setup: &Setup) -> String {
    let (span, plant) = (setup.span, setup.plant);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Backtest of {resource}</title>\n\
         <style>{STYLE}</style>\n<h1>Backtest of {resource}</h1>\n\
         <p>{} to {}. Units that are added are ready after {}, units that are removed are paid for {} more. Steps of {}, a \
         cooldown of {}.</p>\n",
        day(span.from),
        day(span.to),
        brief(plant.provisioning),
        brief(plant.removal),
        plant.step_size,
        brief(plant.cooldown),
        resource = escaped(setup.resource.as_str()),
    )
}

pub(super) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let cells = |kind: &str, texts: [String; N]| -> String {
        let cells: String = texts.iter().map(|text| format!("<{kind}>{}</{kind}>", escaped(text))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.into_iter().map(|row| cells("td", row)).collect();
    format!("<table>\n{}{rows}</table>\n", cells("th", header.map(str::to_owned)))
}

pub(super) fn plot(name: &str, run: &Run, needs: &[Need], span: Span) -> String {
    let columns = columns(run, needs, span, WIDTH);
    let highest = columns.iter().map(|(need, ready)| *need.max(ready)).max().unwrap_or(0).max(1);
    let y = |units: u32| HEIGHT - f64::from(units) / f64::from(highest) * HEIGHT;
    let (mut need, mut missing, mut ready) = (format!("M0 {HEIGHT}"), String::new(), String::new());
    for (x, (needed, there)) in columns.iter().enumerate() {
        // Writing to a text does not fail.
        let _ = write!(need, "V{:.1}H{}", y(*needed), x + 1);
        let _ = write!(ready, "{}{:.1}H{}", if x == 0 { "M0 " } else { "V" }, y(*there), x + 1);
        if needed > there {
            let _ = write!(missing, "M{x} {:.1}V{:.1}h1V{:.1}z", y(*there), y(*needed), y(*there));
        }
    }
    let _ = write!(need, "V{HEIGHT}z");
    format!(
        "<figure><figcaption><b>{}</b><span>0 to {highest} units</span></figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\
         <path class=\"need\" d=\"{need}\"/><path class=\"missing\" d=\"{missing}\"/><path class=\"ready\" d=\"{ready}\"/></svg>\n\
         <figcaption><span>{}</span><span>{}</span></figcaption></figure>\n",
        escaped(name),
        escaped(&format!("{name}: units needed and ready")),
        day(span.from),
        day(span.to),
    )
}

/// `text` as HTML shows it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
