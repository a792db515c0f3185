//! Building a guest.
