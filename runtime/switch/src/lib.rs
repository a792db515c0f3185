//! SIP sockets, trunks and media threads; the only clock.

pub mod clock;
pub mod media_io;
