//! What the end-to-end tests and `xtask` share: processes that never outlive their test, free ports, temporary hosts,
//! the peers from Debian (SIPp, baresip), a telephone of our own that counts what it hears, and audio as numbers.
//!
//! Nothing here knows the insides of the runtime: the binary is used as an operator uses it, by its command line, its
//! configuration and its sockets.

#![warn(missing_docs)]

pub mod audio;
pub mod baresip;
pub mod bystander;
pub mod callgen;
pub mod capture;
pub mod clock;
pub mod host;
pub mod http;
pub mod machine;
pub mod office;
pub mod package;
pub mod pcap;
pub mod phone;
pub mod ports;
pub mod process;
pub mod project;
pub mod records;
pub mod sip;
pub mod sipp;
