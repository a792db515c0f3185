//! Tests that measure milliseconds, each alone on the machine. All others wait for them once: in the order of names these
//! come first.

mod containment;
mod flood;
mod reload;
