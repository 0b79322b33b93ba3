//! The text of the repository: imports in `src`, and the pages for people.

mod documentation;
mod imports;
