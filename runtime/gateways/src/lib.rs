//! Text messages and webhooks out.
//!
//! [`Gateway`] is what the dialler sends by; [`Smsc`](smsc::Smsc) is one over HTTPS. [`segments()`] counts what a text
//! will cost, [`outbox`] knows what to do with a message at every moment of its life, and [`stand`] is a pretend SMSC for
//! tests and demonstrations. [`webhook`] tells a tenant's own programs what happened.

mod form;
mod gateway;
mod http;
pub mod outbox;
pub mod segments;
pub mod smsc;
pub mod stand;
pub mod webhook;

pub use gateway::{Accepted, Delivery, Gateway, GatewayError, Price, Sms, SmsId, Tracked};
pub use http::{AddressFault, Trust, TrustFault};
pub use segments::segments;
