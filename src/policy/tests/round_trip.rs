//! What is written is read again, and no document makes the reader panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Document, READ_ONLY, canonical};
use super::reading::{full, least, read};

#[test]
fn the_canonical_text_is_this() {
    let policy = read(least()).expect("valid");
    let expected = concat!(
        r#"{"mode":"active","min":0,"max":5,"metrics":{"q":{"source":{"type":"push"},"maxAgeSeconds":300,"#,
        r#""windowSeconds":0,"allowNegative":false}},"rules":[{"name":"q","type":"target","metric":"q","perUnit":10,"#,
        r#""onMissing":"hold"}],"behavior":{"up":{"stabilizationSeconds":0},"down":{"stabilizationSeconds":300}},"#,
        r#""job":{"expectedChangeSeconds":300}}"#,
    );
    assert_eq!(canonical(&policy).to_string(), expected);
    let object = canonical(&policy).with("revision", 7).with("summary", json!(["a"]));
    assert_eq!(serde_json::to_string(&object).expect("JSON"), object.to_string());
    assert!(object.to_string().ends_with(r#","revision":7,"summary":["a"]}"#));
}

#[test]
fn what_an_answer_adds_is_ignored() {
    let mut document = full();
    for name in READ_ONLY {
        document[name] = json!({"anything": null});
    }
    assert_eq!(read(document), read(full()));
}

#[test]
fn the_written_document_is_the_same_policy() {
    for document in [full(), least()] {
        let policy = read(document).expect("valid");
        let text = canonical(&policy).to_string();
        assert_eq!(Document::from_json(&text).expect("JSON").policy(), Ok(policy.clone()), "{text}");
    }
    // Spellings that mean the same have the same text.
    let mut other = least();
    other["min"] = json!(0.0);
    other["rules"][0]["perUnit"] = json!(1e1);
    other["behavior"] = json!({"down": {}});
    let text = |document| canonical(&read(document).expect("valid")).to_string();
    assert_eq!(text(other), text(least()));
}

/// Values that mean something somewhere.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            json!(null),
            json!(true),
            json!(0),
            json!(1),
            json!(-1),
            json!(2.5),
            json!(1e300),
            json!(u64::MAX),
            json!(3600),
            json!(0.0004),
            json!(""),
            json!("24:00"),
            json!("00:00"),
            json!("23:59:59"),
            json!("push"),
            json!("0 0 30 2 *"),
            json!("*/5 * * * 1-5"),
            json!("9999-12-31T23:59:59.999Z"),
            json!("é/~"),
            json!([]),
            json!({}),
            json!("UTC"),
            json!("ignore"),
            json!({"capacity": 3, "afterSeconds": 0}),
            json!("queue"),
            json!("http://[::1]:80/a?b"),
            json!("Pacific/Kwajalein"),
            json!("2024-02-29"),
            json!("advise"),
        ]),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ]
}

/// All places in a document.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), all)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
}

/// One change of a document.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(prop::sample::Index, Value),
    Remove(prop::sample::Index),
    Copy(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), value()).prop_map(|(at, value)| Mutation::Replace(at, value)),
        index().prop_map(Mutation::Remove),
        (index(), index()).prop_map(|(from, to)| Mutation::Copy(from, to)),
    ]
}

fn mutate(document: &mut Value, mutation: Mutation) {
    let mut all = Vec::new();
    places(document, "", &mut all);
    let at = |index: prop::sample::Index| index.get(&all).clone();
    let (place, value) = match mutation {
        Mutation::Replace(index, value) => (at(index), value),
        Mutation::Copy(from, to) => (at(to), document.pointer(&at(from)).cloned().unwrap_or_default()),
        Mutation::Remove(index) => {
            let place = at(index);
            let Some((parent, name)) = place.rsplit_once('/') else { return };
            match document.pointer_mut(parent) {
                Some(Value::Object(fields)) => drop(fields.remove(name)),
                Some(Value::Array(items)) => drop(items.pop()),
                _ => {}
            }
            return;
        }
    };
    if let Some(target) = document.pointer_mut(&place) {
        *target = value;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// A mutated document is refused with places that exist or are missing, or it is a policy whose text gives it again.
    #[test]
    fn mutated_documents_are_refused_or_give_themselves_again(changes in prop::collection::vec(mutation(), 0..4)) {
        let mut document = full();
        for change in changes {
            mutate(&mut document, change);
        }
        match Document::from(document.clone()).policy() {
            Ok(policy) => {
                let text = canonical(&policy).to_string();
                prop_assert_eq!(Document::from_json(&text).expect("JSON").policy(), Ok(policy));
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    let parent = problem.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                    prop_assert!(document.pointer(parent).is_some(), "{:?} in {}", problem, document);
                    prop_assert!(!problem.detail.is_empty());
                }
            }
        }
    }

    /// The reader's own parsing of JSON is that of the library, but for names given twice.
    #[test]
    fn texts_are_read_as_the_library_reads_them(value in value(), changes in prop::collection::vec(mutation(), 0..4)) {
        let mut document = json!({"a": [value], "b": full()});
        for change in changes {
            mutate(&mut document, change);
        }
        prop_assert_eq!(Document::from_json(&document.to_string()).expect("JSON"), Document::from(document));
    }
}
