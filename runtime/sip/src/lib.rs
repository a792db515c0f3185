//! SIP without I/O: messages, transactions, dialogs, digest, SDP.
//!
//! Nothing here owns a socket or reads a clock. [`agent::Agent`] is the whole of it at work: bytes and the time go in,
//! bytes and events come out. The other modules are what it is made of, and can be used alone.

pub mod agent;
pub mod dialog;
pub mod digest;
mod flow;
pub mod message;
pub mod sdp;
mod timing;
pub mod transaction;
pub mod uri;

pub use flow::{Flow, Transport};
pub use timing::Timing;
