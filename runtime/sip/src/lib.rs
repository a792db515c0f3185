//! SIP without I/O: messages, transactions, dialogs, digest, SDP.

pub mod digest;
mod flow;
mod timing;

pub use flow::{Flow, Transport};
pub use timing::Timing;
