//! What is refused about a text before the parser sees it.
//!
//! The parser goes down one level of its own calls for each bracket and each `?`, and what it makes of a text is as deep as the
//! text has operators. So their number is limited here. For that, this must find the same texts in quotes as the parser: what
//! it could take otherwise, such as a backslash, is refused.

/// Longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 1024;
/// Most operators, brackets, commas and dots. Longer formulas are no longer read by people.
pub const MAX_OPERATORS: usize = 128;
/// Most brackets and conditions within each other.
pub const MAX_DEPTH: usize = 16;

/// Whether the parser can be given `text`. What is wrong is a fragment that follows the name of the field.
pub fn check(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("has more than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let mut counts = Counts::default();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        counts.take(letter)?;
        if let '"' | '\'' = letter {
            skip_quoted(&mut letters, letter)?;
        }
    }
    if counts.open > 0 {
        return Err("leaves a bracket open".to_owned());
    }
    if counts.operators > MAX_OPERATORS {
        return Err(format!("has more than {MAX_OPERATORS} operators, brackets, commas and dots"));
    }
    if counts.deepest > MAX_DEPTH {
        return Err(format!("has more than {MAX_DEPTH} brackets and conditions within each other"));
    }
    Ok(())
}

/// What there is outside of quotes.
#[derive(Default)]
struct Counts {
    operators: usize,
    open: usize,
    conditions: usize,
    deepest: usize,
    last: Option<char>,
}

impl Counts {
    fn take(&mut self, letter: char) -> Result<(), String> {
        let last = self.last.replace(letter);
        if letter.is_ascii_whitespace() {
            return Ok(());
        }
        match letter {
            '"' | '\'' if last == Some(letter) => return Err("has quotes next to each other".to_owned()),
            '/' if last == Some('/') => return Err("has a comment, which expressions cannot have".to_owned()),
            '(' | '[' => self.open += 1,
            ')' | ']' => self.open = self.open.checked_sub(1).ok_or("closes a bracket that is not open")?,
            '?' => self.conditions += 1,
            '_' | '.' | ',' | ':' | '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' | '&' | '|' | '"' | '\'' => {}
            letter if letter.is_ascii_alphanumeric() => {}
            other => return Err(format!("has {}, which expressions cannot have", other.escape_debug())),
        }
        // The second letter of &&, ||, ==, <= and the like is none of its own.
        let goes_on = matches!(letter, '&' | '|' | '=') && matches!(last, Some('&' | '|' | '=' | '<' | '>' | '!'));
        if !goes_on && !letter.is_ascii_alphanumeric() && letter != '_' {
            self.operators += 1;
        }
        self.deepest = self.deepest.max(self.open + self.conditions);
        Ok(())
    }
}

/// Goes on after the end of a text in quotes.
fn skip_quoted(letters: &mut std::str::Chars<'_>, quote: char) -> Result<(), String> {
    for letter in letters {
        match letter {
            letter if letter == quote => return Ok(()),
            '\\' => return Err("has a backslash, which expressions cannot have".to_owned()),
            letter if letter.is_control() => return Err("has a control character in quotes".to_owned()),
            _ => {}
        }
    }
    Err("leaves a quote open".to_owned())
}
