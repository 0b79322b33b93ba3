//! Which part of CEL is admitted, and whether the types in an expression fit: in all its parts, also those that a
//! calculation would leave out.
//!
//! Questions about times become variables that the library is given. Every part of the language that is not named here is
//! refused, so that a later version of the library cannot bring in one that takes long. Left out on purpose are macros, which
//! are loops; durations, because the library panics on large ones; and conversions to whole numbers, which make 0 of what is
//! not a number.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use strum::VariantArray;

use super::super::name::Name;
use super::time_part::TimePart;
use super::{Uses, shortened};

/// The types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
enum Kind {
    Int,
    Double,
    Bool,
    Text,
    Time,
    Null,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Int => "a whole number",
            Self::Double => "a double",
            Self::Bool => "true or false",
            Self::Text => "a text",
            Self::Time => "a time",
            Self::Null => "null",
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }
}

/// The types that a part can have: one, or several after a condition.
type Kinds = Vec<Kind>;

/// Most parts within each other. Each takes two kilobytes of stack when it is worked out, and twenty times that in a build
/// that is not optimised.
pub const MAX_LEVELS: usize = 24;
/// What can be asked of a text.
const TEXT_TESTS: [&str; 3] = ["startsWith", "endsWith", "contains"];

/// The variables of an expression that is admitted, which is made ready for the library. What is wrong is a fragment that follows the name of the field.
pub fn check(expression: &mut IdedExpr) -> Result<Uses, String> {
    if levels(expression) > MAX_LEVELS {
        return Err(format!("has more than {MAX_LEVELS} operators within each other"));
    }
    let mut uses = Uses::default();
    for kind in kinds_of(expression, &mut uses)? {
        if !kind.is_number() && kind != Kind::Null {
            return Err(format!("must give a number or null, not {}", kind.as_str()));
        }
    }
    Ok(uses)
}

/// How many parts are within each other at most. Of what is refused, the parts do not count.
fn levels(part: &IdedExpr) -> usize {
    let most = |parts: &[IdedExpr]| parts.iter().map(levels).max().unwrap_or(0);
    1 + match &part.expr {
        Expr::Call(call) => most(&call.args).max(call.target.as_deref().map_or(0, levels)),
        Expr::Select(select) => levels(&select.operand),
        Expr::List(list) => most(&list.elements),
        _ => 0,
    }
}

fn kinds_of(part: &mut IdedExpr, uses: &mut Uses) -> Result<Kinds, String> {
    if let Some((prepared, kind)) = prepare(&part.expr, uses)? {
        part.expr = prepared;
        return Ok(vec![kind]);
    }
    match &mut part.expr {
        Expr::Literal(literal) => literal_kind(literal).map(|kind| vec![kind]),
        Expr::Ident(name) => variable(name, uses).map(|kind| vec![kind]),
        Expr::Select(select)
            if !select.test && matches!(&select.operand.expr, Expr::Ident(name) if name == "metrics") =>
        {
            let name: Name = select.field.parse().map_err(|_| format!("has no metric {:?}", select.field))?;
            uses.metrics.insert(name);
            Ok(vec![Kind::Double])
        }
        Expr::Select(select) if select.test => Err("has has(), which expressions cannot have".to_owned()),
        Expr::Select(select) => Err(format!("has .{}: only metrics have parts", select.field)),
        Expr::Call(call) => call_kinds(call, uses),
        Expr::List(_) => Err("has a list elsewhere than after in".to_owned()),
        Expr::Map(_) | Expr::Struct(_) => Err("has a map, which expressions cannot have".to_owned()),
        Expr::Comprehension(_) => Err("has a macro, which expressions cannot have".to_owned()),
        _ => Err("has a part that is no expression".to_owned()),
    }
}

/// What the library is given in place of `part`, if that is about times.
fn prepare(part: &Expr, uses: &mut Uses) -> Result<Option<(Expr, Kind)>, String> {
    let Expr::Call(CallExpr { func_name, target, args }) = part else { return Ok(None) };
    if target.is_none() && func_name == "timestamp" {
        let [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }] = args.as_slice() else {
            return Err("has timestamp() of something else than one text in quotes".to_owned());
        };
        let at: jiff::Timestamp =
            text.inner().parse().map_err(|_| "has a timestamp that is not like \"2026-01-31T12:00:00Z\"".to_owned())?;
        return Ok(Some((Expr::Literal(LiteralValue::Int(at.as_millisecond().into())), Kind::Time)));
    }
    let Some(Expr::Ident(variable)) = target.as_ref().map(|target| &target.expr) else { return Ok(None) };
    if variable != "now" {
        return Ok(None);
    }
    let zone = match args.as_slice() {
        [] => None,
        [IdedExpr { expr: Expr::Literal(LiteralValue::String(zone)), .. }] => Some(zone.inner()),
        _ => return Err(format!("has {}() of something else than one text in quotes", shortened(func_name))),
    };
    let part = TimePart::new(func_name, zone)?.ok_or_else(|| unknown(func_name))?;
    let variable = Expr::Ident(part.variable());
    uses.now = true;
    uses.time_parts.push(part);
    Ok(Some((variable, Kind::Int)))
}

fn literal_kind(literal: &LiteralValue) -> Result<Kind, String> {
    match literal {
        LiteralValue::Int(_) => Ok(Kind::Int),
        LiteralValue::Double(_) => Ok(Kind::Double),
        LiteralValue::Boolean(_) => Ok(Kind::Bool),
        LiteralValue::String(_) => Ok(Kind::Text),
        LiteralValue::Null => Ok(Kind::Null),
        LiteralValue::UInt(_) => Err("has a number with u, which expressions cannot have".to_owned()),
        LiteralValue::Bytes(_) => Err("has a text with b, which expressions cannot have".to_owned()),
    }
}

fn variable(name: &str, uses: &mut Uses) -> Result<Kind, String> {
    match name {
        "capacity" => uses.capacity = true,
        "target" => uses.target = true,
        "now" => uses.now = true,
        "status" => return Ok(Kind::Text),
        "metrics" => return Err("has metrics without the name of one, such as metrics.queue".to_owned()),
        other => {
            let other = shortened(other);
            return Err(format!("has {other}: the variables are capacity, target, status, now and metrics.NAME"));
        }
    }
    Ok(if name == "now" { Kind::Time } else { Kind::Int })
}

fn call_kinds(call: &mut CallExpr, uses: &mut Uses) -> Result<Kinds, String> {
    let CallExpr { func_name, target, args } = call;
    if let Some(target) = target {
        return member_kinds(target, func_name, args, uses);
    }
    match (func_name.as_str(), args.as_mut_slice()) {
        (operators::CONDITIONAL, [condition, yes, no]) => {
            expect_bool(condition, "before ?", uses)?;
            let mut kinds = kinds_of(yes, uses)?;
            kinds.extend(kinds_of(no, uses)?);
            Ok(Kind::VARIANTS.iter().copied().filter(|kind| kinds.contains(kind)).collect())
        }
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
            expect_bool(left, "beside && and ||", uses)?;
            expect_bool(right, "beside && and ||", uses)?;
            Ok(vec![Kind::Bool])
        }
        (operators::LOGICAL_NOT, [operand]) => {
            expect_bool(operand, "after !", uses)?;
            Ok(vec![Kind::Bool])
        }
        (operators::NEGATE, [operand]) => match kinds_of(operand, uses)?.as_slice() {
            [Kind::Double] => Ok(vec![Kind::Double]),
            // The library panics on the least whole number.
            [Kind::Int] => Err("has - before a whole number that is not written out: write 0 - x".to_owned()),
            kinds => Err(format!("has - before {}", words(kinds))),
        },
        (operators::IN, [value, list]) => {
            let values = kinds_of(value, uses)?;
            let Expr::List(list) = &mut list.expr else {
                return Err("has something else than a list after in".to_owned());
            };
            for element in &mut list.elements {
                let elements = kinds_of(element, uses)?;
                combine(operators::EQUALS, &values, &elements)?;
            }
            Ok(vec![Kind::Bool])
        }
        ("double", [number]) => match kinds_of(number, uses)?.iter().find(|kind| !kind.is_number()) {
            None => Ok(vec![Kind::Double]),
            Some(other) => Err(format!("has double() of {}", other.as_str())),
        },
        (operator, [left, right]) => {
            let (left, right) = (kinds_of(left, uses)?, kinds_of(right, uses)?);
            combine(operator, &left, &right)
        }
        (function, _) => Err(unknown(function)),
    }
}

/// What is asked of a text.
fn member_kinds(
    target: &mut IdedExpr,
    function: &str,
    args: &mut [IdedExpr],
    uses: &mut Uses,
) -> Result<Kinds, String> {
    if !TEXT_TESTS.contains(&function) {
        return Err(unknown(function));
    }
    let of = kinds_of(target, uses)?;
    let args: Vec<Kinds> = args.iter_mut().map(|arg| kinds_of(arg, uses)).collect::<Result<_, _>>()?;
    match (of.as_slice(), args.as_slice()) {
        ([Kind::Text], [text]) if text == &[Kind::Text] => Ok(vec![Kind::Bool]),
        _ => Err(unknown(function)),
    }
}

fn unknown(function: &str) -> String {
    format!("has {}() where expressions cannot have it", shortened(function))
}

fn expect_bool(part: &mut IdedExpr, place: &str, uses: &mut Uses) -> Result<(), String> {
    match kinds_of(part, uses)?.as_slice() {
        [Kind::Bool] => Ok(()),
        kinds => Err(format!("has {} {place}, which needs true or false", words(kinds))),
    }
}

/// The types that `operator` makes of each of `left` with each of `right`.
fn combine(operator: &str, left: &[Kind], right: &[Kind]) -> Result<Kinds, String> {
    let mut results = Kinds::new();
    for (left, right) in left.iter().flat_map(|left| right.iter().map(move |right| (*left, *right))) {
        let result = combined(operator, left, right).ok_or_else(|| misfit(operator, left, right))?;
        if !results.contains(&result) {
            results.push(result);
        }
    }
    Ok(results)
}

fn combined(operator: &str, left: Kind, right: Kind) -> Option<Kind> {
    let are_numbers = left.is_number() && right.is_number();
    match operator {
        operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE => {
            (are_numbers && left == right).then_some(left)
        }
        operators::MODULO => (left == Kind::Int && right == Kind::Int).then_some(Kind::Int),
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
            (are_numbers || (left == Kind::Time && right == Kind::Time)).then_some(Kind::Bool)
        }
        operators::EQUALS | operators::NOT_EQUALS => {
            (are_numbers || (left == right && left != Kind::Null)).then_some(Kind::Bool)
        }
        _ => None,
    }
}

fn misfit(operator: &str, left: Kind, right: Kind) -> String {
    let Some(sign) = operator.strip_prefix('_').and_then(|operator| operator.strip_suffix('_')) else {
        return unknown(operator);
    };
    let (one, other) = (left.as_str(), right.as_str());
    if left.is_number() && right.is_number() && operator != operators::MODULO {
        return format!("has {one} {sign} {other}: write double(…) around the whole number");
    }
    format!("has {one} {sign} {other}, which makes no sense")
}

fn words(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ")
}
