//! SIP sockets, trunks and media threads; the only clock.
//!
//! [`Switch`] places calls and [`Doorway`] takes them; a [`Call`] is one in progress, with its sound. Nothing here knows
//! what a call is about.
//!
//! # Invariants
//!
//! * A [`Call`] that is dropped hangs up, an [`IncomingCall`] that is dropped is refused.
//! * [`CallEvent::Ended`] comes for every call, whatever the network does.
//! * Whoever may not speak to us is dropped by address, before a byte is parsed ([`Screen`]).

mod call;
pub mod clock;
mod endpoint;
pub mod media_io;
mod phones;
mod screen;
mod switch;
mod trunk;

pub use call::{Call, CallEvent, IncomingCall};
pub use media_io::{Closed, MediaConfig, MediaError, MediaEvent, MediaPlace, MediaStats};
pub use phones::{PhoneRing, RingEnd, RingError, RingEvent, Ringing};
pub use screen::{Network, Screen};
pub(crate) use switch::Shared;
pub use switch::{DialError, Doorway, Reservation, Switch, SwitchConfig, SwitchError, Target};
pub use trunk::{Line, Pacer, Trunk, TrunkConfig};
pub use zvonar_call::{Contact, PhoneAccount, PhoneBook, PhoneSecret, PhoneSettings, ReferRequest, Replaces};
