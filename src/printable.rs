//! Text from outside, as it may stand in a line of a log or on a terminal.
//!
//! A sidecar, a caller or a server decides what its names, reasons and answers contain: line breaks that look like lines of
//! their own, codes that a terminal obeys, and characters that turn the order of others around or are not seen. Here they
//! become what a person can read: `\n`, `\u{202e}`. Each sink does that to all it writes, so that no caller can forget it: the
//! [log](crate::telemetry), the output of commands, and the messages a process ends with. It must never be applied to what
//! programs read as data; JSON has escapes of its own.
//!
//! Rejected: to leave such characters out, or to replace each by the same sign, because then two different texts look the same.

use std::fmt::{self, Write};

/// Whether `c` is escaped: the control and format characters and the separators of lines and paragraphs of Unicode 16
/// (categories Cc, Cf, Zl and Zp).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
        )
}

/// Writes on to another writer, with everything escaped that is [hidden](is_hidden).
pub struct Escaping<W>(pub W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_hidden(*c)) {
            self.0.write_str(&text[plain..at])?;
            write!(self.0, "{}", c.escape_debug())?;
            plain = at + c.len_utf8();
        }
        self.0.write_str(&text[plain..])
    }
}

/// `text` on one line.
pub fn one_line(text: impl fmt::Display) -> String {
    let mut line = String::new();
    // A string takes everything.
    let _ = write!(Escaping(&mut line), "{text}");
    line
}

/// `text`, whose line breaks stay where the next line is indented: such a line belongs to the one before, and cannot be taken
/// for a message of its own.
pub fn paragraph(text: impl fmt::Display) -> String {
    let text = text.to_string();
    let mut shown = String::new();
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            shown.push_str(if line.starts_with("  ") { "\n" } else { "\\n" });
        }
        let _ = Escaping(&mut shown).write_str(line);
    }
    shown
}

/// A document in JSON, which may have line breaks at its ends, with everything hidden in its strings escaped as JSON does.
pub fn json(document: &str) -> String {
    let mut escaped = String::with_capacity(document.len());
    for c in document.chars() {
        // Of these the document itself may be made; in its strings they are escaped already.
        if !is_hidden(c) || matches!(c, '\n' | '\r' | '\t') {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// `text` as a string of TOML, in quotes and on one line, with everything hidden escaped as TOML does.
pub fn toml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_hidden(c) => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_or_not_show_is_escaped() {
        for (text, shown) in [
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2J\u{7}\u{9b}", "\\u{1b}[2J\\u{7}\\u{9b}"),
            ("evil\u{202e}gpj.exe", "evil\\u{202e}gpj.exe"),
            ("a\u{2028}b\u{2029}c\u{85}", "a\\u{2028}b\\u{2029}c\\u{85}"),
            ("\u{200b}\u{feff}\u{2066}\u{e0041}\u{ad}", "\\u{200b}\\u{feff}\\u{2066}\\u{e0041}\\u{ad}"),
            ("Wärme → 5 🦀 \"x\" \\ é", "Wärme → 5 🦀 \"x\" \\ é"),
        ] {
            assert_eq!(one_line(text), shown);
        }
    }

    #[test]
    fn a_line_that_is_not_indented_is_not_begun() {
        let forged = "refused\n  because\nscalegate: all is well\r\n  \u{202e}end";
        assert_eq!(paragraph(forged), "refused\n  because\\nscalegate: all is well\\r\n  \\u{202e}end");
        assert_eq!(paragraph("end\n"), "end\\n");
    }

    #[test]
    fn toml_stays_what_it_was() {
        let text = "a\u{202e}\t\"b\"\\\n[resources.x]\u{7f}\u{e0041} é # no comment";
        let quoted = toml(text);
        assert!(!quoted.contains(is_hidden), "{quoted}");
        let document: toml::Table = format!("key = {quoted}  # default").parse().expect("TOML");
        assert_eq!(document["key"].as_str(), Some(text));
    }

    #[test]
    fn json_stays_what_it_was() {
        let value = serde_json::json!({"a\u{202e}": "\u{7f}\u{9b}\u{2028}\u{e0041}\n\u{1b} é"});
        let escaped = json(&format!("{value}\n"));
        assert!(!escaped.trim_end().contains(is_hidden), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).expect("JSON"), value);
    }
}
