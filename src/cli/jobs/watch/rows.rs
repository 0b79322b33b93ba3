//! Unfinished jobs as lines on a terminal: one with a progress bar for each, as many as there is room for.

use super::picture::Picture;
use crate::api::view::JobView;
use crate::cli::board::{Row, Size};
use crate::cli::follow::bar_columns;
use crate::cli::words;
use crate::domain::Timestamp;

/// The lines of `picture` on a terminal of this size.
pub fn rows(picture: &Picture, now: Timestamp, size: Size) -> Vec<Row> {
    let count = picture.jobs().count();
    if count == 0 {
        return vec![Row::Text("No unfinished jobs. Ctrl-C ends this.".to_owned())];
    }
    let room = size.room();
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
    let row = |(job, way): (&&JobView, &String)| Row::Bar {
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
    use indicatif::ProgressStyle;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::cli::board::in_memory::board;
    use crate::cli::client::stub::{job_view, succeeded};

    /// 2026-01-31T12:04:00Z
    const NOW: Timestamp = Timestamp::from_millis(1_769_861_040_000);

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
        board.draw(|size| rows(&picture, NOW, size));
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
            board.draw(|size| rows(&picture, NOW, size));
            let drawn = terminal.contents();
            assert_eq!(drawn.lines().count(), 9, "{drawn}");
            assert!(drawn.starts_with("web-1") && drawn.lines().last().is_some_and(|line| line.starts_with(last)));
        }
    }

    #[test]
    fn places_are_filled_up_and_given_up() {
        let (mut board, terminal) = board(24, 120);
        let mut picture = Picture::new(&[]);
        board.draw(|size| rows(&picture, NOW, size));
        assert_eq!(terminal.contents(), "No unfinished jobs. Ctrl-C ends this.");
        (1..=3).for_each(|number| drop(picture.take(job(number, "running"))));
        board.draw(|size| rows(&picture, NOW, size));
        let names = || -> Vec<String> { terminal.contents().lines().map(|line| line[..5].to_owned()).collect() };
        assert_eq!(names(), ["web-1", "web-2", "web-3"]);
        let mut over = succeeded();
        over["id"] = json!(Uuid::from_u128(2));
        picture.take(job_view(over));
        board.draw(|size| rows(&picture, NOW, size));
        assert_eq!(names(), ["web-1", "web-3"]);
        board.draw(|size| rows(&Picture::new(&[]), NOW, size));
        assert_eq!(terminal.contents(), "No unfinished jobs. Ctrl-C ends this.");
        board.clear();
        assert_eq!(terminal.contents(), "");
        // It can go on; and what was drawn last stays.
        board.draw(|size| rows(&picture, NOW, size));
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
