//! Where a followed job is shown: a progress bar on a terminal, plain lines elsewhere, or nothing.

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::news;
use crate::api::view::JobView;
use crate::cli::output::Output;
use crate::cli::words;
use crate::domain::Timestamp;
use crate::printable;

/// From this many columns on, bars are longer: what is waited for matters more than how fine the bar is.
const WIDE_COLUMNS: usize = 90;

/// Where a followed job is shown.
pub struct Screen<'a> {
    output: &'a mut Output,
    display: Display,
}

enum Display {
    Nothing,
    Lines,
    Bar(ProgressBar),
}

impl<'a> Screen<'a> {
    /// A progress bar, and a line above it for each event, if `output` is a terminal; lines otherwise.
    pub fn live(output: &'a mut Output) -> Self {
        let display = if output.is_interactive() { Display::Bar(bar()) } else { Display::Lines };
        Self { output, display }
    }

    /// Nothing but notices.
    pub fn quiet(output: &'a mut Output) -> Self {
        Self { output, display: Display::Nothing }
    }

    /// Shows `line` as part of the result, above the bar if there is one.
    fn line(&mut self, line: &str) {
        let output = &mut *self.output;
        match &self.display {
            Display::Nothing => {}
            Display::Lines => output.line(line),
            Display::Bar(bar) => bar.suspend(|| output.line(line)),
        }
    }

    /// Tells what is not part of the result.
    pub fn notice(&mut self, text: &str) {
        match &self.display {
            Display::Bar(bar) => bar.suspend(|| self.output.notice(text)),
            Display::Nothing | Display::Lines => self.output.notice(text),
        }
    }

    /// Shows what has happened to a job since `before`.
    pub(super) fn show(&mut self, before: Option<&JobView>, now: &JobView) {
        let has_bar = matches!(self.display, Display::Bar(_));
        for news in news::between(before, now) {
            if !(has_bar && news.passing) {
                self.line(&news.to_string());
            }
        }
        if let Display::Bar(bar) = &self.display {
            bar.set_length(now.progress.total_steps.unwrap_or(1).into());
            bar.set_position(now.progress.completed_steps.into());
        }
        self.tick(now);
    }

    /// Brings the countdown up to date.
    pub(super) fn tick(&mut self, job: &JobView) {
        if let Display::Bar(bar) = &self.display {
            bar.set_message(printable::one_line(message(job, words::now())));
        }
    }

    /// Takes the bar away.
    pub(super) fn close(&mut self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stdout());
    // The tests parse the templates; the default style would do as well.
    let style = ProgressStyle::with_template(&template(Term::stdout().size().1.into()));
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar
}

/// The message takes what is left of the line and is cut off there, since a bar that wraps cannot be redrawn.
fn template(columns: usize) -> String {
    format!("[{{bar:{}}}] {{wide_msg}}", bar_columns(columns))
}

/// How long bars are on a terminal with so many columns.
pub fn bar_columns(columns: usize) -> usize {
    if columns < WIDE_COLUMNS { 10 } else { 20 }
}

/// What stands beside the bar: `worker 2 → 5 · 1/4 steps · cooldown, 3m 58s left`.
fn message(job: &JobView, now: Timestamp) -> String {
    let message = format!("{} {} · {}", job.resource, words::way(job), words::steps(&job.progress));
    match words::situation(job, now) {
        situation if situation.is_empty() => message,
        situation => format!("{message} · {situation}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::openapi::examples::example_job;

    #[test]
    fn the_message_counts_cooldowns_down_and_only_those() {
        let mut job: JobView = serde_json::from_value(example_job()).expect("the example");
        let waiting = job.waiting_for.as_mut().expect("a wait");
        let now = waiting.until.0 - std::time::Duration::from_millis(61_001);
        assert_eq!(message(&job, now), "worker 2 → 5 · 1/4 steps · cooldown, 1m 2s left");
        job.waiting_for.as_mut().expect("a wait").reason = "active".into();
        job.target_capacity = None;
        job.delta = Some(3);
        job.current_capacity = None;
        job.progress.total_steps = None;
        assert_eq!(message(&job, now), "worker ? → +3 · no steps planned yet · becoming ready");
        job.ending_as = Some(crate::domain::StateName::Canceled);
        assert_eq!(message(&job, now), "worker ? → +3 · no steps planned yet · becoming ready · to be canceled");
    }

    #[test]
    fn the_templates_are_valid() {
        for columns in [60, 120] {
            assert!(ProgressStyle::with_template(&template(columns)).is_ok());
        }
    }
}
