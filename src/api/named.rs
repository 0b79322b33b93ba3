//! Objects whose fields are names of the caller's choice, such as labels and metrics.
//!
//! A name that is given twice must never pass: a map would keep one of the values without a word. Rejected: to look for such names in the
//! text beforehand, because it would be read twice, by two sets of rules.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// See the module's documentation.
pub struct Named<V>(pub BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Named<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Named<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut named = BTreeMap::new();
                while let Some((name, value)) = entries.next_entry::<String, V>()? {
                    if named.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                    named.insert(name, value);
                }
                Ok(Named(named))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}
