//! Operators, their statuses, the queue of callers, and who gets the call.
//!
//! [`Desk`] is one tenant's: it is told who came, who picked up and who left, and says whose telephone shall ring for
//! whom. Nothing here reads a clock, owns a socket or stores anything; what must outlive the program comes out as plain
//! values, [`Presence`] by [`Presence`].

mod action;
mod caller;
mod desk;
mod found;
mod operator;
mod queue;
mod settings;

pub use action::{Action, GivenUp, Miss};
pub use caller::Caller;
pub use desk::Desk;
pub use found::{Found, Talk};
pub use operator::{Doing, Group, GroupFault, NoStatus, Operator, Presence, Seat, Status};
pub use settings::{AfterMisses, Settings};

#[cfg(test)]
mod tests;
