//! Who may do what, with the real binary: every route for every kind of caller, limits, and what is recorded.

mod audit;
mod bounds;
mod browsers;
mod directory;
mod keys;
mod limits;
mod misspelt;
mod scene;
mod secrets;
mod start;
mod table;
