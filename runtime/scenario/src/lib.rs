//! The sandbox that runs scenarios: engine, packages, sessions, limits.
//!
//! ```text
//! Package::open(folder) ─▶ Engine::load ─▶ Module ──run(seat, start)──▶ SessionEnd
//!                                            ▲              │
//!                                  Registry::set          Ports: Line, Lead, Clock
//! ```
//!
//! A scenario is a component of the world in `wit/`. It is straight-line code; the functions of its line look blocking,
//! and the host suspends the instance meanwhile. One instance per call; nothing is reachable that is not in the world.
//!
//! The crate opens no socket, plays no sound and reads no clock: [`ports`] declares what a session needs from the world,
//! and others implement it. Its one lasting thread is the ticker of the CPU meter ([`Engine`]); compiling may be a child
//! process's ([`Compiler`]). A package is a folder, or one file ([`archive`]).
//!
//! # Invariants
//!
//! * Whatever a guest does — loop, trap, eat memory, recurse, flood — its session ends with a typed [`Fault`], and no
//!   other session notices.
//! * What is uploaded is looked at before it is unpacked, unpacked before it is compiled, and started once before it is
//!   anybody's; each refusal is a sentence.
//! * A session always gives its [`Ports`] back, so that a person is never left on a silent line: when
//!   [`SessionEnd::wants_fallback`] says so, the caller plays the manifest's [`Fallback`].
//! * Everything that a scenario can see is in its trace.
//!
//! What a line or a gateway cannot do is answered with `refused` or `not-configured`: speech, transfers and text messages
//! are the ports'. Numbers in words are not built yet.

pub mod build;
pub mod component;
mod contract;

#[cfg(feature = "host")]
pub mod archive;
#[cfg(feature = "host")]
pub mod asking;
#[cfg(feature = "host")]
mod cache;
#[cfg(feature = "host")]
pub mod card;
#[cfg(feature = "host")]
pub mod compiler;
#[cfg(feature = "host")]
mod end;
#[cfg(feature = "host")]
mod engine;
#[cfg(feature = "host")]
mod error;
#[cfg(feature = "host")]
mod interfaces;
#[cfg(feature = "host")]
mod limits;
#[cfg(feature = "host")]
mod manifest;
#[cfg(feature = "host")]
mod module;
#[cfg(feature = "host")]
mod package;
#[cfg(feature = "host")]
pub mod ports;
#[cfg(feature = "host")]
pub mod question;
#[cfg(feature = "host")]
mod registry;
#[cfg(feature = "host")]
pub mod rollout;
#[cfg(feature = "host")]
mod session;
#[cfg(feature = "host")]
mod sound;
#[cfg(feature = "host")]
mod trace;

#[cfg(feature = "host")]
pub use self::{
    archive::ArchiveFault,
    card::LeadCard,
    compiler::{Compiler, CompilerError},
    end::{Ending, Fault, Place, SessionEnd, Spent, Usage},
    engine::{Engine, EngineConfig, Seat},
    error::ScenarioError,
    limits::{AFTER_THE_CALL, Limits, TICK, WantedLimits},
    manifest::{Fallback, Hours, Manifest, ResultGroup, ResultName, Setting, SettingKind},
    module::Module,
    package::{Package, PackageFault, PackageFaults},
    ports::{About, Clock, Lead, Line, LineError, Part, Ports, Question, Sms},
    question::{Answer, Heard, KeyCollector, KeysWanted, SpeechWanted},
    registry::{Lineup, OnCall, Registry, Release, Slot},
    session::Start,
};
