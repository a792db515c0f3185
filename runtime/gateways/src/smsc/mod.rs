//! SMSC (smsc.ru): its requests, answers, statuses and callbacks, and the client that puts them on the wire.

mod account;
pub(crate) mod answer;
mod callback;
mod client;
mod code;
pub(crate) mod request;

pub use account::{Account, Secret, SecretFault};
pub(crate) use callback::signatures;
pub use callback::{Callback, CallbackFault};
pub use client::{HOSTS, Patience, Smsc, SmscFault, SmscSettings};
pub use code::{Class, Code};
