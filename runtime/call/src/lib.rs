//! One call as a state machine over SIP and media: what the driver of the sockets sees.
//!
//! [`Calls`] owns the SIP agent and all legs. Its driver passes in bytes, commands and the time, sends what
//! [`Calls::poll_output`] asks for, and calls [`Calls::handle_timeout`] once [`Calls::poll_timeout`] is reached.

mod calls;
mod command;
mod config;
mod doorman;
mod event;
mod keys;
pub mod leg;
mod negotiation;
mod phone_book;
mod refer;
mod registrar;

pub use calls::{Calls, Output};
pub use command::{Command, Dial, Identity};
pub use config::{CallsConfig, LEGS_PER_CALLER, PhonesConfig};
pub use doorman::subscriber;
pub use event::{CallId, Ended, Event, Incoming, Side};
pub use phone_book::{PhoneAccount, PhoneBook, PhoneSecret, PhoneSettings};
pub use refer::{ReferRequest, Replaces};
pub use registrar::Contact;
pub use zvonar_sip::dialog::DialogId;
pub use zvonar_sip::digest::Credentials;
pub use zvonar_sip::{Flow, Timing, Transport};

#[cfg(test)]
mod tests;
