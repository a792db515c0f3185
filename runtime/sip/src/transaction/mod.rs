//! Transactions (RFC 3261 §17 with the `Accepted` states of RFC 6026): when to send again, when to give up, what is a
//! repetition. They hold no messages and name no peers: whoever drives them does.
//!
//! On reliable transports nothing is sent again, except a final response to an INVITE that was not acknowledged.

mod client;
mod server;

pub use client::{Client, ClientDue, Reaction};
pub use server::{Server, ServerDue};

use std::time::Duration;

/// An INVITE that nobody answers for this long is answered 100 (RFC 3261 §17.2.1).
pub const TRYING_AFTER: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
