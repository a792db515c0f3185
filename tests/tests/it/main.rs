//! End-to-end tests: the real binary over real loopback sockets, against peers that know nothing of it.
//!
//! `./zv test` installs the peers and builds the guests first, and lets nothing be skipped. A bare `cargo test` runs
//! what it can and says aloud what it cannot.

mod alone;
mod baresip;
mod calls;
mod chat;
mod compiler;
mod config;
mod conversations;
mod demo;
mod deploy;
mod digest;
mod explain;
mod farm;
mod kill;
mod languages;
mod layers;
mod lists;
mod newcomer;
mod operators;
mod replay;
mod rules;
mod sipp;
mod sms;
mod sms_killed;
mod tenants;
mod torture;
mod transfers;
mod webhooks;
