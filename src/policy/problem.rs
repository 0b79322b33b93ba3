//! What is wrong with a document, and where.

use std::collections::HashSet;

use serde::Serialize;

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it is: a JSON pointer (RFC 6901) into the document.
    pub pointer: String,
    /// What is wrong there, as the end of a sentence.
    pub detail: String,
}

/// All that is wrong with a document: of each place the first, because what follows from it says nothing new.
#[derive(Debug, Default)]
pub(super) struct Problems {
    all: Vec<Problem>,
    places: HashSet<String>,
}

impl Problems {
    /// Those that were found before.
    pub fn from(found: Vec<Problem>) -> Self {
        let mut problems = Self::default();
        found.into_iter().for_each(|problem| problems.add(problem.pointer, problem.detail));
        problems
    }

    /// Adds that what is at `pointer` is wrong.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        let pointer = pointer.into();
        if self.places.insert(pointer.clone()) {
            self.all.push(Problem { pointer, detail: detail.into() });
        }
    }

    /// All of them, in the order in which they were found.
    pub fn into_all(self) -> Vec<Problem> {
        self.all
    }
}

/// The pointer to `name` in the object at `pointer`.
pub(crate) fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
