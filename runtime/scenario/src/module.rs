//! A scenario that is ready to run: compiled, linked, with its manifest. Immutable; a new version is a new module.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use zvonar_model::ScenarioRef;

use crate::interfaces::ScenarioPre;
use crate::limits::memory_unasked;
use crate::session::{self, Start, State};
use crate::{Engine, Fallback, Limits, Manifest, Package, Seat, SessionEnd};

/// A scenario that is ready to run.
pub struct Module {
    engine: Engine,
    pre: ScenarioPre<State>,
    weight: u32,
    initial_memory: u64,
    manifest: Manifest,
    prompts: BTreeMap<Arc<str>, PathBuf>,
    sha256: String,
    digest: String,
    live: AtomicU32,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Module({} {} {})", self.manifest.name, self.manifest.version, &self.sha256[..12])
    }
}

impl Module {
    pub(crate) fn new(
        engine: Engine,
        pre: ScenarioPre<State>,
        package: &Package,
        weight: u32,
        initial_memory: u64,
    ) -> Self {
        Self {
            engine,
            pre,
            weight,
            initial_memory,
            manifest: package.manifest.clone(),
            prompts: package.prompts.clone(),
            sha256: package.sha256.clone(),
            digest: package.digest.clone(),
            live: AtomicU32::new(0),
        }
    }

    /// What the package says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The content's address: [`Package::digest`].
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What a session may use of what the tenant grants: the lesser of that and of what the manifest asks for. One that
    /// asks for no memory gets 32 MiB, or twice what it has from its first moment on if that is more.
    pub fn limits(&self, granted: Limits) -> Limits {
        let mut wanted = self.manifest.limits;
        wanted.memory_bytes.get_or_insert(memory_unasked(self.initial_memory));
        granted.within(&wanted)
    }

    /// The linear memory that a session has from its first moment on, in bytes.
    pub fn initial_memory(&self) -> u64 {
        self.initial_memory
    }

    /// How much of the pool a session takes: as many seats as so many small ones.
    pub fn seats(&self) -> u32 {
        self.weight
    }

    /// What to play when a session says [`SessionEnd::wants_fallback`].
    pub fn fallback(&self) -> &Fallback {
        &self.manifest.fallback
    }

    /// The prompt of this name, as sessions may ask for it: one with a sound, or with a text at least.
    pub(crate) fn clip(&self, name: &str) -> Option<Arc<str>> {
        let sound = self.prompts.get_key_value(name).map(|(name, _)| name);
        sound.or_else(|| self.manifest.texts.get_key_value(name).map(|(name, _)| name)).cloned()
    }

    /// The names of all prompts, in order.
    pub fn clips(&self) -> impl Iterator<Item = &Arc<str>> {
        let unvoiced = self.manifest.texts.keys().filter(|name| !self.prompts.contains_key(*name));
        self.prompts.keys().chain(unvoiced)
    }

    /// The sounds that its sessions may ask for: name → file.
    pub fn prompts(&self) -> &BTreeMap<Arc<str>, PathBuf> {
        &self.prompts
    }

    /// The module's name for the record of an attempt.
    pub fn reference(&self) -> ScenarioRef {
        ScenarioRef {
            name: self.manifest.name.clone(),
            version: self.manifest.version.clone(),
            sha256: self.sha256.clone(),
        }
    }

    /// How many sessions run on this very module: after a swap, the calls that are still on the old one.
    pub fn live_sessions(&self) -> u32 {
        self.live.load(Ordering::Relaxed)
    }

    /// Room for one session; `None` when the pool is full. Take it before the phone is dialled, and do not dial without.
    pub fn take_seat(&self) -> Option<Seat> {
        self.engine.take_seat(self.weight)
    }

    /// Runs one session to its end, whatever that is. The far end must have picked up.
    ///
    /// Dropping the future stops the instance where it stands and frees all it held; what it had written to the card
    /// before stays written.
    ///
    /// # Panics
    ///
    /// If the seat is of another engine.
    pub async fn run(self: &Arc<Self>, seat: Seat, start: Start) -> SessionEnd {
        assert!(self.engine.owns(&seat), "a seat is used on the engine that gave it");
        self.live.fetch_add(1, Ordering::Relaxed);
        let live = Live(self);
        let end = session::run(self, start).await;
        drop((live, seat));
        end
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn pre(&self) -> &ScenarioPre<State> {
        &self.pre
    }
}

/// Counts a session until it is over or dropped.
struct Live<'m>(&'m Module);

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}
