//! The trade-off: what policies cost, by what they leave unmet.

use std::fmt::Write as _;

use crate::backtest::{Score, Tuned};

const COLUMNS: usize = 72;
const ROWS: usize = 12;
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 320.0;

/// What a point is. Later ones are drawn above earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Tried,
    Curve,
    Given,
    Proposed,
}

impl Mark {
    fn letter(self) -> char {
        match self {
            Self::Tried => '░',
            Self::Curve => '█',
            Self::Given => '×',
            Self::Proposed => '●',
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Tried => "tried",
            Self::Curve => "curve",
            Self::Given => "given",
            Self::Proposed => "proposed",
        }
    }
}

/// What is drawn, its places from 0 to 1: to the right more is unmet, upwards it costs more.
struct Curve {
    points: Vec<(f64, f64, Mark)>,
    bound: f64,
    most_unmet: f64,
    costs: (f64, f64),
}

impl Curve {
    /// Points far beyond what is asked for are left out: nearer ones would be in one place.
    fn of(tuned: &Tuned) -> Self {
        let all = || tuned.tried.iter().map(|tried| (&tried.chosen_on, Mark::Tried));
        let curve = tuned.curve.iter().map(|shown| (&shown.tried.chosen_on, Mark::Curve));
        let ends = [(&tuned.given.tried.chosen_on, Mark::Given), (&tuned.proposed.tried.chosen_on, Mark::Proposed)];
        let most = all().map(|(score, _)| score.unmet_share).fold(0.0, f64::max);
        let shown = ends.iter().map(|(score, _)| score.unmet_share * 1.2).fold(tuned.most_unmet * 4.0, f64::max);
        let most_unmet = shown.min(most).max(f64::MIN_POSITIVE);
        let scores: Vec<(&Score, Mark)> =
            all().chain(curve).chain(ends).filter(|(score, _)| score.unmet_share <= most_unmet).collect();
        let costs = scores.iter().map(|(score, _)| score.unit_hours);
        let costs = costs.fold((f64::INFINITY, 0.0_f64), |(least, most), cost| (least.min(cost), most.max(cost)));
        let height = (costs.1 - costs.0).max(f64::MIN_POSITIVE);
        let point = |(score, mark): &(&Score, Mark)| {
            (score.unmet_share / most_unmet, (score.unit_hours - costs.0) / height, *mark)
        };
        let mut points: Vec<(f64, f64, Mark)> = scores.iter().map(point).collect();
        points.sort_by_key(|(_, _, mark)| *mark);
        Self { points, bound: tuned.most_unmet / most_unmet, most_unmet, costs }
    }
}

/// The lines of the picture.
pub fn lines(tuned: &Tuned) -> Vec<String> {
    let curve = Curve::of(tuned);
    let place = |share: f64, count: usize| (share * (count - 1) as f64).round() as usize;
    let mut cells = vec![vec![' '; COLUMNS]; ROWS];
    if curve.bound <= 1.0 {
        cells.iter_mut().for_each(|row| row[place(curve.bound, COLUMNS)] = '┊');
    }
    for (x, y, mark) in &curve.points {
        cells[place(*y, ROWS)][place(*x, COLUMNS)] = mark.letter();
    }
    let (least, most) = curve.costs;
    let row = |(nth, cells): (usize, &Vec<char>)| {
        let cost = least + (most - least) * nth as f64 / (ROWS - 1) as f64;
        format!("{cost:>9.1} │{}", cells.iter().collect::<String>().trim_end())
    };
    let mut lines: Vec<String> = cells.iter().enumerate().rev().map(row).collect();
    lines.push(format!("{:>9} └{}", "", "─".repeat(COLUMNS)));
    let end = super::percent(curve.most_unmet);
    lines.push(format!("{:11}0 %{end:>width$}", "", width = COLUMNS - 3));
    lines
}

/// The picture for a page.
pub fn figure(tuned: &Tuned) -> String {
    let curve = Curve::of(tuned);
    let mut marks = String::new();
    // Writing to a text does not fail.
    if curve.bound <= 1.0 {
        let x = curve.bound * WIDTH;
        let _ = write!(marks, "<line class=\"bound\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\"/>");
    }
    for (x, y, mark) in &curve.points {
        let (x, y) = (x * WIDTH, HEIGHT - y * HEIGHT);
        let radius = if *mark < Mark::Given { 4 } else { 9 };
        let _ = write!(marks, "<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>", mark.class());
    }
    let (least, most) = curve.costs;
    format!(
        "<figure><figcaption><b>Unit-hours by what is unmet</b><span>{least:.1} to {most:.1} unit-hours</span></figcaption>\n\
         <svg viewBox=\"-10 -10 {} {}\" role=\"img\" aria-label=\"Unit-hours by what is unmet\">{marks}</svg>\n\
         <figcaption><span>0 %</span><span>{}</span></figcaption></figure>\n",
        WIDTH + 20.0,
        HEIGHT + 20.0,
        super::percent(curve.most_unmet),
    )
}
