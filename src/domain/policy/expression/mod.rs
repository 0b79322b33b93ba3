//! Expressions in CEL, the Common Expression Language: a capacity worked out by a formula of the policy's own.
//!
//! Times are whole numbers of milliseconds to the library, and what is asked of one is a variable of its own: the library would
//! bring another calendar and another database of time zones.
//!
//! An expression has the variables `capacity`, `target` (whole numbers), `status` (a text in upper case), `now` (a time) and
//! `metrics.NAME` (doubles). It is parsed once, when its policy is read, and is worked out at each decision.
//!
//! An expression must never take long or much memory, and never end the process: callers who may change nothing can try one. So the language is a small part of CEL, without loops, and every expression is checked in three turns:
//! its text, before the parser sees it ([`text`]); each part of what was parsed, with its types ([`check`]); and one
//! calculation with 1 for every number. Rejected: all of CEL with a limit on time, because the library has no such limit, and
//! some of its functions panic on large numbers; and the library's other parser, which is its usual one, because sixteen brackets
//! within each other take it more than two megabytes of stack, and two signs in a row twice the time.

mod check;
#[cfg(test)]
mod tests;
mod text;
mod time_part;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::objects::Key;
use cel::parser::PrattParser;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};

use super::super::capacity::Capacity;
use super::super::time::Timestamp;
use super::name::Name;

pub use text::MAX_EXPRESSION_BYTES;
use time_part::TimePart;

/// What all expressions may call.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// An expression that was checked. Two are equal if their texts are. Cheap to clone.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    text: String,
    expression: IdedExpr,
    uses: Uses,
}

/// The variables of an expression.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// The metrics.
    pub metrics: BTreeSet<Name>,
    /// Whether it uses `capacity`.
    pub capacity: bool,
    /// Whether it uses `target`.
    pub target: bool,
    /// Whether it uses `now`.
    pub now: bool,
    /// What it asks of `now`.
    pub time_parts: Vec<TimePart>,
}

/// The values of the variables.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// `capacity`.
    pub capacity: Capacity,
    /// `target`.
    pub target: Capacity,
    /// `status`.
    pub status: &'a str,
    /// `now`.
    pub now: Timestamp,
    /// The metrics that the expression uses.
    pub metrics: &'a BTreeMap<Name, f64>,
}

/// Why a text is not an [`Expression`], as a fragment that follows the name of the field that holds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidExpression(String);

/// Why an expression has no result for the values at hand, as a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoResult {
    /// The numbers do not allow it. Other numbers may.
    Arithmetic(&'static str),
    /// It cannot be worked out at all.
    Senseless(String),
}

impl fmt::Display for NoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arithmetic(why) => f.write_str(why),
            Self::Senseless(why) => f.write_str(why),
        }
    }
}

impl Expression {
    /// The expression in `text`.
    ///
    /// # Errors
    /// If it is not one, if it is not of the part of CEL that is admitted, or if its types do not fit, in whichever part. What
    /// 1 for every metric makes of it counts only if no numbers could give a result.
    pub fn compile(text: &str) -> Result<Self, InvalidExpression> {
        text::check(text).map_err(InvalidExpression)?;
        let mut expression = PrattParser::new().parse(text).map_err(|errors| {
            let first = errors.errors.first().map_or("it is no expression", |error| error.msg.as_str());
            InvalidExpression(format!("is not an expression in CEL: {}", shortened(first)))
        })?;
        let uses = check::check(&mut expression).map_err(InvalidExpression)?;
        let expression = Self(Arc::new(Compiled { text: text.to_owned(), expression, uses }));
        match expression.try_with_ones() {
            Err(NoResult::Senseless(why)) => Err(InvalidExpression(format!("cannot be worked out: {why}"))),
            Ok(_) | Err(NoResult::Arithmetic(_)) => Ok(expression),
        }
    }

    fn try_with_ones(&self) -> Result<Option<f64>, NoResult> {
        let one = Capacity::try_from(1).unwrap_or(Capacity::MAX);
        let metrics = self.0.uses.metrics.iter().map(|name| (name.clone(), 1.0)).collect();
        let now = Timestamp::from_millis(0);
        self.evaluate(&Given { capacity: one, target: one, status: "ACTIVE", now, metrics: &metrics })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The variables it uses.
    pub fn uses(&self) -> &Uses {
        &self.0.uses
    }

    /// The number that it comes to, which is finite, or none for `null`.
    ///
    /// # Errors
    /// If the values allow none, such as a division by 0.
    pub fn evaluate(&self, given: &Given<'_>) -> Result<Option<f64>, NoResult> {
        let result = Value::resolve(&self.0.expression, &self.context(given));
        let number = match result.map_err(|error| no_result(&error))? {
            Value::Null => return Ok(None),
            // Whole numbers that a double cannot tell apart are far above every capacity.
            Value::Int(number) => number as f64,
            Value::Float(number) => number,
            other => return Err(NoResult::Senseless(format!("it gives a {}", other.type_of()))),
        };
        if number.is_finite() {
            Ok(Some(number))
        } else {
            Err(NoResult::Arithmetic("its result is not a finite number"))
        }
    }

    /// The variables that it uses, with their values.
    fn context(&self, given: &Given<'_>) -> Context<'static, 'static> {
        let uses = &self.0.uses;
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_from_value("capacity", i64::from(given.capacity.units()));
        context.add_variable_from_value("target", i64::from(given.target.units()));
        context.add_variable_from_value("status", given.status);
        context.add_variable_from_value("now", given.now.as_millis());
        for part in &uses.time_parts {
            context.add_variable_from_value(part.variable(), part.of(given.now));
        }
        let metrics = given.metrics.iter().filter(|(name, _)| uses.metrics.contains(*name));
        let metrics: HashMap<Key, Value> =
            metrics.map(|(name, value)| (Key::from(name.as_str()), Value::Float(*value))).collect();
        context.add_variable_from_value("metrics", metrics);
        context
    }
}

fn no_result(error: &ExecutionError) -> NoResult {
    match error {
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            NoResult::Arithmetic("it divides by 0")
        }
        ExecutionError::Overflow(..) => NoResult::Arithmetic("a whole number in it is too large"),
        // All types were checked: only a comparison with what is not a number is left.
        ExecutionError::NoSuchOverload(_) | ExecutionError::ValuesNotComparable(..) => {
            NoResult::Arithmetic("it compares what is not a number")
        }
        other => NoResult::Senseless(shortened(&other.to_string())),
    }
}

/// The first line of what the library says, without what would fill a screen.
fn shortened(said: &str) -> String {
    const MOST_CHARS: usize = 200;
    let line = said.lines().next().unwrap_or_default();
    line.chars().take(MOST_CHARS).collect()
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.text, f)
    }
}
