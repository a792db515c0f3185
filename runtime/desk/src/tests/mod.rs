//! The desk in action: tables of what is said and done, and any number of random days against a naive second model.

mod history;
mod reach;
mod rules;
mod script;
mod world;
