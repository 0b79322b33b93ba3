//! Unfinished jobs on a terminal: a line with a progress bar for each, as many as there is room for.
//!
//! The lines are places that jobs are put into anew for each picture, not bars that jobs own: those would have to be
//! moved about whenever a job starts, ends, or has room again.

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::picture::Picture;
use crate::api::view::JobView;
use crate::cli::follow::bar_columns;
use crate::cli::words;
use crate::domain::Timestamp;
use crate::printable;

/// Pictures are drawn when they are complete, by [`Board::draw`]; what is drawn before, while lines are put into places
/// one by one, is of no use.
const DRAWS_PER_SECOND: u8 = 1;

/// Jobs on a terminal.
pub struct Board {
    multi: MultiProgress,
    places: Vec<Place>,
    size: Box<dyn Fn() -> Size>,
    drawn_on: Option<Size>,
}

/// Lines and columns of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    lines: usize,
    columns: usize,
}

struct Place {
    bar: ProgressBar,
    row: Row,
}

/// What stands on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    Job { head: String, bar_columns: usize, done: u64, of: u64, tail: String },
    Text(String),
}

impl Board {
    /// On the terminal that standard output is.
    pub fn on_terminal() -> Self {
        let terminal = Term::stdout();
        let size = move || {
            let (lines, columns) = terminal.size();
            Size { lines: lines.into(), columns: columns.into() }
        };
        Self::new(ProgressDrawTarget::stdout_with_hz(DRAWS_PER_SECOND), Box::new(size))
    }

    fn new(target: ProgressDrawTarget, size: Box<dyn Fn() -> Size>) -> Self {
        Self { multi: MultiProgress::with_draw_target(target), places: Vec::new(), size, drawn_on: None }
    }

    /// Draws `picture` as it is at `now`, if anything has changed.
    pub fn draw(&mut self, picture: &Picture, now: Timestamp) {
        let size = (self.size)();
        let rows = rows(picture, now, size);
        let mut has_changed = self.drawn_on.replace(size) != Some(size) || self.places.len() != rows.len();
        for surplus in self.places.drain(rows.len().min(self.places.len())..) {
            self.multi.remove(&surplus.bar);
        }
        for (index, row) in rows.into_iter().enumerate() {
            match self.places.get_mut(index) {
                Some(place) if place.row == row => continue,
                Some(place) => place.put(row),
                None => {
                    let bar = self.multi.add(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));
                    let mut place = Place { bar, row: Row::Text(String::new()) };
                    place.put(row);
                    self.places.push(place);
                }
            }
            has_changed = true;
        }
        if has_changed && let Some(place) = self.places.last() {
            place.bar.force_draw();
        }
    }

    /// Takes the lines away, because something else has to be said.
    pub fn clear(&mut self) {
        for place in self.places.drain(..) {
            self.multi.remove(&place.bar);
        }
        // A terminal that is gone need not be tidied up.
        let _ = self.multi.clear();
    }

    /// Lets `write` write above the lines.
    pub fn above(&self, write: impl FnOnce()) {
        self.multi.suspend(write);
    }
}

impl Drop for Board {
    /// Leaves the lines as they are. Where Ctrl-C has ended this, the terminal has written `^C` behind the last line,
    /// and maybe wrapped it: what is drawn or cleared from there hits the wrong lines.
    fn drop(&mut self) {
        self.multi.set_draw_target(ProgressDrawTarget::hidden());
    }
}

impl Place {
    fn put(&mut self, row: Row) {
        self.bar.set_style(row.style());
        match &row {
            Row::Text(text) => self.bar.set_message(printable::one_line(text)),
            Row::Job { head, done, of, tail, .. } => {
                self.bar.set_length(*of);
                self.bar.set_position(*done);
                self.bar.set_prefix(printable::one_line(head));
                self.bar.set_message(printable::one_line(tail));
            }
        }
        self.row = row;
    }
}

impl Row {
    /// What is wide takes what is left of the line and is cut off there: a line that wraps cannot be redrawn.
    fn style(&self) -> ProgressStyle {
        let template = match self {
            Self::Text(_) => "{wide_msg}".to_owned(),
            Self::Job { bar_columns, .. } => format!("{{prefix}} [{{bar:{bar_columns}}}] {{wide_msg}}"),
        };
        // The tests parse the templates; the default style would do as well.
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        style.progress_chars("=> ")
    }
}

/// The lines of `picture` on a terminal of this size.
fn rows(picture: &Picture, now: Timestamp, size: Size) -> Vec<Row> {
    let count = picture.jobs().count();
    if count == 0 {
        return vec![Row::Text("No unfinished jobs. Ctrl-C ends this.".to_owned())];
    }
    // One line stays free: a terminal that is written to its last corner scrolls.
    let room = size.lines.saturating_sub(1).max(2);
    let shown = if count <= room { count } else { room - 1 };
    let jobs: Vec<&JobView> = picture.jobs().take(shown).collect();
    let mut rows = job_rows(&jobs, now, size.columns);
    if shown < count {
        rows.push(Row::Text(format!("and {} more", count - shown)));
    }
    rows
}

fn job_rows(jobs: &[&JobView], now: Timestamp, columns: usize) -> Vec<Row> {
    let bar_columns = bar_columns(columns);
    let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let ways: Vec<String> = jobs.iter().map(|job| words::way(job)).collect();
    let way_columns = longest(&mut ways.iter().map(|way| way.chars().count()));
    // A long name must not push away everything else.
    let name_columns = longest(&mut jobs.iter().map(|job| job.resource.chars().count())).min((columns / 4).max(8));
    let row = |(job, way): (&&JobView, &String)| Row::Job {
        head: format!("{:<name_columns$}  {way:<way_columns$}", shortened(&job.resource, name_columns)),
        bar_columns,
        done: job.progress.completed_steps.into(),
        of: job.progress.total_steps.unwrap_or(1).into(),
        tail: format!("{}  {}", words::steps_in_brief(&job.progress), words::situation(job, now)),
    };
    jobs.iter().zip(&ways).map(row).collect()
}

/// `text` in at most `most` characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::cli::client::stub::{job_view, succeeded};

    /// 2026-01-31T12:04:00Z
    const NOW: Timestamp = Timestamp::from_millis(1_769_861_040_000);

    /// A board on a terminal of this size.
    fn board(lines: u16, columns: u16) -> (Board, InMemoryTerm) {
        let terminal = InMemoryTerm::new(lines, columns);
        let size = Size { lines: lines.into(), columns: columns.into() };
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), DRAWS_PER_SECOND);
        (Board::new(target, Box::new(move || size)), terminal)
    }

    fn job(number: u32, state: &str) -> JobView {
        job_view(json!({"id": Uuid::from_u128(number.into()), "resource": format!("web-{number}"), "state": state}))
    }

    #[test]
    fn a_line_says_where_a_job_is() {
        let (mut board, terminal) = board(24, 60);
        let mut picture = Picture::new(&[]);
        picture.take(job(1, "running"));
        let unread = json!({"id": Uuid::from_u128(2), "resource": "a-resource-with-a-long-name", "state": "queued",
            "targetCapacity": null, "delta": -2, "currentCapacity": null,
            "waitingFor": {"reason": "turn", "detail": "", "until": "2026-01-31T12:05:00Z"}, "endingAs": "canceled",
            "progress": {"completedSteps": 0, "totalSteps": null, "percent": 0, "estimatedCompletionAt": null}});
        picture.take(job_view(unread));
        board.draw(&picture, NOW);
        let expected = "\
web-1            2 → 5  [==>       ] 1/4  cooldown, 1m 1s le
a-resource-wit…  ? → -2 [          ] not planned  in the que";
        assert_eq!(terminal.contents(), expected);
    }

    #[test]
    fn there_are_never_more_lines_than_room() {
        for (jobs, last) in [(9, "web-9"), (10, "and 2 more"), (30, "and 22 more")] {
            let (mut board, terminal) = board(10, 120);
            let mut picture = Picture::new(&[]);
            (1..=jobs).for_each(|number| drop(picture.take(job(number, "running"))));
            board.draw(&picture, NOW);
            let drawn = terminal.contents();
            assert_eq!(drawn.lines().count(), 9, "{drawn}");
            assert!(drawn.starts_with("web-1") && drawn.lines().last().is_some_and(|line| line.starts_with(last)));
        }
    }

    #[test]
    fn places_are_filled_up_and_given_up() {
        let (mut board, terminal) = board(24, 120);
        let mut picture = Picture::new(&[]);
        board.draw(&picture, NOW);
        assert_eq!(terminal.contents(), "No unfinished jobs. Ctrl-C ends this.");
        (1..=3).for_each(|number| drop(picture.take(job(number, "running"))));
        board.draw(&picture, NOW);
        let names = || -> Vec<String> { terminal.contents().lines().map(|line| line[..5].to_owned()).collect() };
        assert_eq!(names(), ["web-1", "web-2", "web-3"]);
        let mut over = succeeded();
        over["id"] = json!(Uuid::from_u128(2));
        picture.take(job_view(over));
        board.draw(&picture, NOW);
        assert_eq!(names(), ["web-1", "web-3"]);
        board.draw(&Picture::new(&[]), NOW);
        assert_eq!(terminal.contents(), "No unfinished jobs. Ctrl-C ends this.");
        board.clear();
        assert_eq!(terminal.contents(), "");
        // It can go on; and what was drawn last stays.
        board.draw(&picture, NOW);
        drop(board);
        assert_eq!(names(), ["web-1", "web-3"]);
    }

    #[test]
    fn the_templates_are_valid() {
        for template in ["{wide_msg}", "{prefix} [{bar:20}] {wide_msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
