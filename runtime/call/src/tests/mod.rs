//! Whole calls between two [`crate::Calls`] in simulated time, and the torture messages.

mod calls;
mod in_talk;
mod network;
mod phones;
mod torture;
mod world;
