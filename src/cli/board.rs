//! Lines on a terminal that are kept current, some with a progress bar: as many as there is room for.
//!
//! The lines are places that rows are put into anew for each picture, not bars that jobs own: those would have to be
//! moved about whenever a job starts, ends, or has room again.

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printable;

/// Pictures are drawn when they are complete, by [`Board::draw`]; what is drawn before, while lines are put into places
/// one by one, is of no use.
const DRAWS_PER_SECOND: u8 = 1;

/// Lines on a terminal.
pub struct Board {
    multi: MultiProgress,
    places: Vec<Place>,
    size: Box<dyn Fn() -> Size>,
    drawn_on: Option<Size>,
}

/// Lines and columns of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub lines: usize,
    /// Columns.
    pub columns: usize,
}

impl Size {
    /// How many lines can be drawn. One stays free: a terminal that is written to its last corner scrolls.
    pub fn room(self) -> usize {
        self.lines.saturating_sub(1).max(2)
    }
}

struct Place {
    bar: ProgressBar,
    row: Row,
}

/// What stands on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A progress bar between two texts.
    Bar { head: String, bar_columns: usize, done: u64, of: u64, tail: String },
    /// A text.
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

    /// Draws the `rows` for a terminal of this size, if anything has changed.
    pub fn draw(&mut self, rows: impl FnOnce(Size) -> Vec<Row>) {
        let size = (self.size)();
        let rows = rows(size);
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
            Row::Bar { head, done, of, tail, .. } => {
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
            Self::Bar { bar_columns, .. } => format!("{{prefix}} [{{bar:{bar_columns}}}] {{wide_msg}}"),
        };
        // The tests parse the templates; the default style would do as well.
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        style.progress_chars("=> ")
    }
}

#[cfg(test)]
pub mod in_memory {
    use indicatif::InMemoryTerm;

    use super::*;

    /// A board on a terminal of this size.
    pub fn board(lines: u16, columns: u16) -> (Board, InMemoryTerm) {
        let terminal = InMemoryTerm::new(lines, columns);
        let size = Size { lines: lines.into(), columns: columns.into() };
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), DRAWS_PER_SECOND);
        (Board::new(target, Box::new(move || size)), terminal)
    }
}
