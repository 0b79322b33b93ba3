//! What the client commands write: results to standard output, everything else to standard error.
//!
//! `println!` would not do: it panics when the reader has gone (`scalegate jobs | head -1`), and it would hand on
//! the control characters that a sidecar put into its answers. A closed pipe silences the output and nothing more: a
//! command that waits for a job still waits for it, since its exit code may be all that is wanted.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use console::Term;

use super::exit::Exit;
use super::table;
use crate::access::masked;
use crate::printable;

/// Standard output and standard error.
pub struct Output {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    interactive: bool,
    /// How wide the terminal is, if there is one.
    columns: Option<usize>,
    /// Why nothing more is written to `out`.
    broken: Option<io::Error>,
}

impl Output {
    /// Those of the process.
    pub fn standard() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let interactive = io::stdout().is_terminal() && !dumb;
        let columns = Term::stdout().size_checked().map(|(_, columns)| columns.into()).filter(|_| interactive);
        Self { out: Box::new(io::stdout()), err: Box::new(io::stderr()), interactive, columns, broken: None }
    }

    /// Whether standard output is a terminal that can be drawn on.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether nothing of the result can be written any more.
    pub fn is_closed(&self) -> bool {
        self.broken.is_some()
    }

    /// As if the reader had gone.
    #[cfg(test)]
    pub fn close(&mut self) {
        self.broken = Some(io::ErrorKind::BrokenPipe.into());
    }

    /// Writes a line of the result, or several, of which those after the first are indented.
    pub fn line(&mut self, text: impl Display) {
        if self.broken.is_none() {
            let text = printable::paragraph(text) + "\n";
            self.broken = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).err();
        }
    }

    /// Writes lines of the result.
    pub fn lines(&mut self, lines: impl IntoIterator<Item = impl Display>) {
        lines.into_iter().for_each(|line| self.line(line));
    }

    /// Writes a table. On a terminal each line is cut to its width: a table that wraps cannot be read.
    pub fn table<const N: usize>(&mut self, header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        let lines = table::lines(header, rows).into_iter();
        let columns = self.columns.unwrap_or(usize::MAX);
        self.lines(lines.map(|line| table::cut(&printable::one_line(line), columns)));
    }

    /// Says that a list goes on, if it does.
    pub fn more(&mut self, are_there: bool) {
        if are_there {
            self.notice("there are more; --limit shows them");
        }
    }

    /// Writes `value` as JSON, on one line.
    pub fn json(&mut self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(printable::json(&text)),
            Err(error) => self.broken = Some(error.into()),
        }
    }

    /// Writes a line that is not part of the result, or several, of which those after the first are indented. A key in
    /// it is masked. If that fails there is no place left to tell of it.
    pub fn notice(&mut self, text: impl Display) {
        let text = printable::paragraph(masked(&text.to_string()));
        let _ = self.err.write_all(format!("scalegate: {text}\n").as_bytes());
    }

    /// `exit`, unless the result could not be written. That the reader did not want all of it is no failure.
    pub fn finish(mut self, exit: Exit) -> Exit {
        match self.broken.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.notice(format_args!("cannot write to standard output: {error}"));
                if exit == Exit::Done { Exit::Failed } else { exit }
            }
            _ => exit,
        }
    }
}

#[cfg(test)]
pub(super) mod capture {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What was written, for tests.
    #[derive(Clone, Default)]
    pub struct Captured {
        out: Rc<RefCell<Vec<u8>>>,
        err: Rc<RefCell<Vec<u8>>>,
    }

    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        /// An output that writes here.
        pub fn output(&self) -> Output {
            let (out, err) = (Shared(Rc::clone(&self.out)), Shared(Rc::clone(&self.err)));
            Output { out: Box::new(out), err: Box::new(err), interactive: false, columns: None, broken: None }
        }

        /// Standard output so far.
        pub fn out(&self) -> String {
            String::from_utf8_lossy(&self.out.borrow()).into_owned()
        }

        /// Standard error so far.
        pub fn err(&self) -> String {
            String::from_utf8_lossy(&self.err.borrow()).into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::capture::Captured;
    use super::*;

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_failure_but_a_full_disk_is() {
        for (kind, exit, told) in
            [(io::ErrorKind::BrokenPipe, Exit::Done, false), (io::ErrorKind::StorageFull, Exit::Failed, true)]
        {
            let captured = Captured::default();
            let mut output = captured.output();
            output.out = Box::new(Failing(kind));
            output.line("one");
            output.line("two");
            assert_eq!(output.finish(Exit::Done), exit);
            assert_eq!(captured.err().contains("cannot write"), told, "{kind:?}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let captured = Captured::default();
        captured.output().line("a\u{1b}[2Jb\r\nc\u{202e}\n  d");
        captured.output().lines(["e", "f\ng"]);
        captured.output().json(&"h\u{202e}");
        captured.output().notice("i\u{7}\nscalegate: j");
        assert_eq!(captured.out(), "a\\u{1b}[2Jb\\r\\nc\\u{202e}\n  d\ne\nf\\ng\n\"h\\u202e\"\n");
        assert_eq!(captured.err(), "scalegate: i\\u{7}\\nscalegate: j\n");
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal() {
        let captured = Captured::default();
        let mut output = captured.output();
        output.columns = Some(9);
        output.table(["A", "LONG"], [["1".to_owned(), "2 → 3 → 4".to_owned()], ["5".to_owned(), "6\n7".to_owned()]]);
        assert_eq!(captured.out(), "A  LONG\n1  2 → 3…\n5  6\\n7\n");
    }

    #[test]
    fn a_key_is_not_repeated_where_it_does_not_belong() {
        let (captured, token) = (Captured::default(), crate::access::Token::generate().expect("randomness"));
        captured.output().notice(format_args!("{} is no number", token.expose()));
        assert_eq!(captured.err(), format!("scalegate: sg_{}… is no number\n", token.id()));
    }
}
