use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::check::MAX_LEVELS;
use super::text::{MAX_DEPTH, MAX_OPERATORS};
use super::*;

/// 2027-01-15T08:00:00Z, a Friday.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn units(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}

fn compiled(text: &str) -> Expression {
    Expression::compile(text).unwrap_or_else(|invalid| panic!("{text} {invalid}"))
}

/// With a capacity of 3 on the way to 5, a queue of 812 and no load.
fn result(text: &str) -> Result<Option<f64>, NoResult> {
    let metrics = [("queue", 812.0), ("load", 0.0)].map(|(name, value)| (name.parse().expect("a name"), value));
    let metrics = BTreeMap::from(metrics);
    compiled(text).evaluate(&Given {
        capacity: units(3),
        target: units(5),
        status: "ACTIVE",
        now: NOW,
        metrics: &metrics,
    })
}

fn refusal(text: &str) -> String {
    match Expression::compile(text) {
        Ok(_) => panic!("{text} is admitted"),
        Err(invalid) => invalid.to_string(),
    }
}

#[test]
fn an_expression_is_worked_out_with_the_values_of_its_variables() {
    for (text, expected) in [
        ("metrics.queue > 1000.0 && capacity < 8 ? capacity + 2 : null", None),
        ("metrics.queue > 800.0 && capacity < 8 ? capacity + 2 : null", Some(5.0)),
        ("metrics.queue / 100.0", Some(8.12)),
        ("metrics.queue / double(target)", Some(162.4)),
        ("metrics.queue > 100 ? 4 : metrics.queue / 100.0", Some(4.0)),
        ("target - capacity", Some(2.0)),
        ("7 % 4 * -2", Some(-6.0)),
        ("-metrics.queue", Some(-812.0)),
        ("status == 'ACTIVE' ? 1 : 2", Some(1.0)),
        ("status in ['FAILED', \"PAUSED\"] || !true ? 1 : 2", Some(2.0)),
        ("status.startsWith('ACT') && status.endsWith('IVE') && status.contains('TI') ? 1 : 2", Some(1.0)),
        ("capacity in [1, 2.0, 3] ? 1 : 2", Some(1.0)),
        ("now >= timestamp('2027-01-15T09:00:00+01:00') && now < timestamp('2027-01-15T08:00:01Z') ? 1 : 2", Some(1.0)),
        ("metrics.load == 0 ? null : 3", None),
        ("null", None),
        ("1e9 * 1e9", Some(1e18)),
        ("(((1)))", Some(1.0)),
        ("3 -\n 1", Some(2.0)),
        ("1 - -1 - - 1", Some(3.0)),
        ("--metrics.queue", Some(812.0)),
        ("!!true ? 1 : 2", Some(1.0)),
    ] {
        assert_eq!(result(text), Ok(expected), "{text}");
    }
    for (part, expected) in [
        ("FullYear", 2027),
        ("Month", 0),
        ("Date", 15),
        ("DayOfMonth", 14),
        ("DayOfWeek", 5),
        ("DayOfYear", 14),
        ("Hours", 8),
        ("Minutes", 0),
        ("Seconds", 0),
        ("Milliseconds", 0),
    ] {
        assert_eq!(result(&format!("now.get{part}()")), Ok(Some(f64::from(expected))), "{part}");
    }
    assert_eq!(result("now.getHours('Europe/Berlin') + now.getHours()"), Ok(Some(17.0)), "one in a zone, one in UTC");
}

#[test]
fn numbers_that_give_no_result_are_told_from_a_result() {
    for (text, why) in [
        ("10 / (capacity - 3)", "it divides by 0"),
        ("10 % (capacity - 3)", "it divides by 0"),
        ("metrics.queue / metrics.load", "its result is not a finite number"),
        ("metrics.load / metrics.load", "its result is not a finite number"),
        ("metrics.load / metrics.load > 1.0 ? 1 : 2", "it compares what is not a number"),
        ("1e300 * 1e300", "its result is not a finite number"),
        ("capacity * 9000000000000000000", "a whole number in it is too large"),
        ("-9223372036854775807 - capacity", "a whole number in it is too large"),
    ] {
        assert_eq!(result(text).map_err(|why| why.to_string()), Err(why.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_expression_is_refused_and_told_why() {
    let told = [
        ("", "must not be empty"),
        (" \n", "must not be empty"),
        ("1 +", "is not an expression in CEL: "),
        ("metrics.queue 1", "is not an expression in CEL: "),
        ("99999999999999999999", "is not an expression in CEL: "),
        ("capacty + 1", "has capacty: the variables are"),
        ("metrics", "has metrics without the name"),
        ("metrics.queue.size", "has .size: only metrics have parts"),
        ("capacity.queue", "has .queue: only metrics have parts"),
        ("metrics['queue']", "has metrics without the name"),
        ("capacity * metrics.queue", "has a whole number * a double: write double(…)"),
        ("false ? capacity * metrics.queue : 1", "has a whole number * a double: write double(…)"),
        ("true || capacity + status ? 1 : 2", "has a whole number + a text, which makes no sense"),
        ("null + 1", "has null + a whole number, which makes no sense"),
        ("capacity == null ? 1 : 2", "has a whole number == null, which makes no sense"),
        ("metrics.queue % 2.0", "has a double % a double, which makes no sense"),
        ("status", "must give a number or null, not a text"),
        ("true ? 1 : status", "must give a number or null, not a text"),
        ("capacity > 1", "must give a number or null, not true or false"),
        ("now", "must give a number or null, not a time"),
        ("capacity ? 1 : 2", "has a whole number before ?, which needs true or false"),
        ("1 && true ? 1 : 2", "has a whole number beside && and ||"),
        ("!capacity", "has a whole number after !"),
        ("-capacity", "write 0 - x"),
        ("-status", "has - before a text"),
        ("5u", "has a number with u"),
        ("status == b'x' ? 1 : 2", "has a text with b"),
        ("[1][0]", "has a list elsewhere than after in"),
        ("now[0]", "has _[_]() where"),
        ("[1]", "has a list elsewhere than after in"),
        ("{1: 2}", "has {, which"),
        ("1 in status ? 1 : 2", "has something else than a list after in"),
        ("1 in ['a'] ? 1 : 2", "has a whole number == a text"),
        ("has(metrics.queue) ? 1 : 2", "has has()"),
        ("[1, 2].exists(x, x > 1) ? 1 : 2", "has a macro"),
        ("[1, 2].map(x, x)", "has a macro"),
        ("size(status)", "has size() where"),
        ("int(metrics.queue)", "has int() where"),
        ("double(status)", "has double() of a text"),
        ("duration('1h') > duration('1m') ? 1 : 2", "has duration() where"),
        ("now + 1", "has a time + a whole number"),
        ("now - now", "has a time - a time"),
        ("timestamp(status) > now ? 1 : 2", "has timestamp() of something else"),
        ("true || timestamp('yesterday') > now ? 1 : 2", "has a timestamp that is not like"),
        ("now.getHours('Europe/Berlim')", "is not a known time zone: did you mean Europe/Berlin?"),
        ("now.getHours(status)", "has getHours() of something else than one text"),
        ("now.getEaster()", "has getEaster() where"),
        ("timestamp('2026-01-31T12:00:00Z').getHours()", "has getHours() where"),
        ("status.matches('a') ? 1 : 2", "has matches() where"),
        ("capacity.getHours()", "has getHours() where"),
        ("1 // one", "has a comment"),
        ("status == 'a\\n' ? 1 : 2", "has a backslash"),
        ("status == 'a\n' ? 1 : 2", "has a control character"),
        ("status == '''a''' ? 1 : 2", "has quotes next to each other"),
        ("status == 'a ? 1 : 2", "leaves a quote open"),
        ("(1", "leaves a bracket open"),
        ("1)", "closes a bracket that is not open"),
        ("`x`", "has `, which"),
        ("ä", "has ä, which"),
        ("metrics.ä", "has ä, which"),
    ];
    let said = told.map(|(text, why)| (text, why, refusal(text)));
    let others: Vec<_> = said.iter().filter(|(_, why, said)| !said.contains(why)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// The deepest texts that are given to the parser, each of another form.
fn deepest_texts() -> Vec<String> {
    let (depth, most) = (MAX_DEPTH, MAX_OPERATORS);
    let alternating = |open: &str, close: &str| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    vec![
        alternating("(", ")"),
        alternating("(-", ")"),
        alternating("(!", ")"),
        alternating("[", "]"),
        alternating("double(", ")"),
        alternating("f(1,", ")"),
        format!("{}1", "true ? 1 : ".repeat(depth)),
        format!("{}1{}", "true ? ".repeat(depth), ": 1".repeat(depth)),
        format!("1{}", "+1".repeat(most)),
        format!("1{}", "-1".repeat(most)),
        format!("1{}", "*1".repeat(most)),
        format!("1{}", "<1".repeat(most)),
        format!("true{} ? 1 : 2", "&&true".repeat(most - 2)),
        format!("true{} ? 1 : 2", "||true".repeat(most - 2)),
        format!("true{} ? 1 : 2", "==true".repeat(most - 2)),
        format!("metrics{}", ".a".repeat(most)),
        format!("status{}", ".a()".repeat(most / 3)),
        format!("1 in [1{}] ? 1 : 2", ",1".repeat(most - 5)),
        "1".repeat(MAX_EXPRESSION_BYTES),
        format!("1{}", "+1".repeat(MAX_LEVELS - 1)),
        format!("1{}", "+(1".repeat(MAX_DEPTH)) + &")".repeat(MAX_DEPTH),
        format!("1{}", "+double(1".repeat(MAX_LEVELS / 2 - 1)) + &")".repeat(MAX_LEVELS / 2 - 1),
        "1 ".repeat(MAX_EXPRESSION_BYTES / 2),
        "a ".repeat(MAX_EXPRESSION_BYTES / 2),
        "\"a\" ".repeat(most / 2),
        "?".repeat(depth),
        ":".repeat(most),
        "+".repeat(most),
        "<".repeat(most),
        ".".repeat(most),
        ",".repeat(most),
        format!("{}1", "1+(".repeat(depth)) + &")".repeat(depth),
        format!("{}1{}", "(1?1:".repeat(depth / 2), ")".repeat(depth / 2)),
    ]
}

/// On less stack than a thread has which reads policies.
#[test]
fn no_text_needs_much_stack_or_time() {
    let texts = deepest_texts();
    let check = move || {
        for text in texts {
            let began = Instant::now();
            if let Ok(compiled) = Expression::compile(&text) {
                compiled.try_with_ones().ok();
            }
            let took = began.elapsed();
            assert!(took < Duration::from_millis(200), "{text:.40} takes {took:?}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(1536 * 1024).spawn(check).expect("a thread");
    thread.join().expect("no overflow");
}

#[test]
fn texts_beyond_a_limit_are_not_parsed() {
    let (depth, most) = (MAX_DEPTH + 1, MAX_OPERATORS + 1);
    for (text, why) in [
        (format!("{}1{}", "(".repeat(depth), ")".repeat(depth)), "within each other"),
        (format!("{}1{}", "[".repeat(depth), "]".repeat(depth)), "within each other"),
        (format!("{}1", "true ? 1 : ".repeat(depth)), "within each other"),
        (format!("1{}", "+1".repeat(most)), "has more than 128 operators"),
        (format!("1{}", "+1".repeat(MAX_LEVELS)), "has more than 24 operators within each other"),
        (format!("metrics{}", ".a".repeat(most)), "has more than 128 operators"),
        ("(".repeat(1024), "leaves a bracket open"),
        ("1".repeat(1025), "has more than 1024 bytes"),
    ] {
        let said = refusal(&text);
        assert!(said.contains(why), "{text:.20} {said}");
    }
}

/// Expressions of types that fit, with all operators.
fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("capacity".to_owned()),
        Just("target".to_owned()),
        Just("now.getDayOfYear()".to_owned()),
        any::<i64>().prop_map(|number| number.saturating_abs().to_string()),
        Just("9223372036854775807".to_owned()),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%"]), inner.clone(), inner)
            .prop_map(|(a, operator, b, c)| format!("({a} {operator} {b} > {c} ? {b} {operator} {c} : {a})"))
    })
}

proptest! {
    #[test]
    fn whatever_is_admitted_is_worked_out_without_a_panic(
        text in number(), capacity in 0_u32..=1_000_000, target in 0_u32..=1_000_000, now in any::<i64>(),
    ) {
        if let Ok(expression) = Expression::compile(&text) {
            let metrics = BTreeMap::new();
            let (capacity, target, now) = (units(capacity), units(target), Timestamp::from_millis(now));
            let given = Given { capacity, target, status: "", now, metrics: &metrics };
            prop_assert!(expression.evaluate(&given).ok().flatten().is_none_or(f64::is_finite));
        }
    }

    #[test]
    fn doubles_give_a_finite_number_or_none(a in any::<f64>(), b in any::<f64>()) {
        let expression = compiled("metrics.a < metrics.b ? metrics.a / metrics.b * metrics.a - metrics.b : null");
        let metrics = BTreeMap::from([("a".parse().expect("a name"), a), ("b".parse().expect("a name"), b)]);
        let given = Given { capacity: units(1), target: units(1), status: "", now: NOW, metrics: &metrics };
        prop_assert!(expression.evaluate(&given).ok().flatten().is_none_or(f64::is_finite));
    }

    #[test]
    fn no_text_panics(text in "[a-c0-9'\"()\\[\\]?:.,+*/%<>=!&| -]{0,60}") {
        drop(Expression::compile(&text));
    }
}
