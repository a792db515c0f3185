//! The sandbox from outside: built guests, pretend lines.
//!
//! The guests are those of `scenarios/`; `./zv guests` builds them, and `./zv test` does so before the tests.

mod archives;
mod components;
mod containment;
mod line;
mod packages;
mod talks;
mod versions;
