//! Whole calls between two [`crate::Calls`] in simulated time, and the torture messages.

mod calls;
mod network;
mod torture;
mod world;
