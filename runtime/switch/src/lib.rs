//! SIP sockets, trunks and media threads; the only clock.
