//! The engine: one for the process, made at start. It owns the pool that instances live in and the CPU meter's ticker.
//!
//! # The pool
//!
//! Each running session holds about six memory maps of the process, and a process that reaches `vm.max_map_count`
//! cannot map anything more and aborts. So the pool is sized from that number, and a session needs a [`Seat`], taken
//! before the phone is dialled: a call that could not be served is never placed. A component with several memories takes
//! as many seats.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::cache::{Cache, CacheError};
use crate::compiler::{Compiler, CompilerError};
use crate::interfaces::{Scenario, ScenarioPre};
use crate::session::{self, State};
use crate::{Module, Package, ScenarioError, TICK};

/// Memory maps of one running session, measured on Linux with a Rust scenario and rounded up.
const MAPS_PER_SESSION: u32 = 6;
/// Maps left to the rest of the process: threads, storage, sockets' buffers, the allocator.
const MAPS_FOR_OTHERS: u32 = 8_000;
/// Linear memories, core instances and tables that one component may have; the sandbox refuses others in its own words.
/// A Rust component has 1 memory and 3 core instances, one with QuickJS 3 and 16, one with Python 1 and 38.
const MEMORIES: u32 = 4;
const CORE_INSTANCES: u32 = 64;
const TABLES: u32 = 8;
/// Tables in the pool for each seat.
const TABLES_PER_SEAT: u32 = 2;
/// A pool of this size must fit; a larger one is halved until it does.
const FEW_SESSIONS: u32 = 64;
/// What a guest may use of its stack.
pub(crate) const GUEST_STACK: usize = 512 << 10;
/// The whole stack of a session: the guest's part, and what host functions need above it.
const SESSION_STACK: usize = GUEST_STACK + (256 << 10);
/// Elements of a table: function pointers of a guest.
const TABLE_ELEMENTS: usize = 20_000;

/// How an engine is set up.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The private folder of compiled scenarios; created if absent.
    pub cache: PathBuf,
    /// How many sessions may run at once. What the machine's `vm.max_map_count` allows is the ceiling; address space is
    /// reserved, not used: about 4 GiB a session.
    pub max_sessions: u32,
    /// What the folder of compiled scenarios may come to, in bytes. What was not used for the longest time goes first.
    pub cache_bytes: u64,
    /// Who compiles what the folder does not have; `None`: this process, on the caller's thread and others. A host that
    /// carries calls has it done by a child: [`Compiler::this_program`].
    pub compiler: Option<Compiler>,
}

impl EngineConfig {
    /// The default: up to 8,000 sessions, 4 GiB of compiled scenarios, compiled in this process.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), max_sessions: 8_000, cache_bytes: 4 << 30, compiler: None }
    }
}

/// The sandbox of the process. Clones are the same engine; its ticker stops with the last one.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    linker: Linker<State>,
    cache: Cache,
    seats: Arc<Seats>,
    /// Held for its `Drop`.
    _ticker: Ticker,
}

/// The right to run one session of a module: [`Module::take_seat`]. It comes free when dropped, and [`Module::run`] drops
/// it at the session's end.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    weight: u32,
}

#[derive(Debug)]
struct Seats {
    capacity: u32,
    taken: AtomicU32,
    /// How often the ticker has ticked. Moves just before the epoch does.
    ticks: AtomicU64,
    /// The ticker's thread, woken by the first seat taken.
    ticker: Mutex<Option<std::thread::Thread>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("seats", &self.0.seats).finish_non_exhaustive()
    }
}

impl Engine {
    /// Sets up the sandbox: reserves the pool's address space, opens the cache, starts the ticker.
    pub fn new(config: &EngineConfig) -> Result<Self, ScenarioError> {
        let cache = Cache::open(&config.cache, config.cache_bytes, config.compiler.clone())?;
        let fault = |error: wasmtime::Error| ScenarioError::Engine(format!("{error:#}"));
        let mut capacity = config.max_sessions.min(sessions_by_maps(max_map_count())).max(1);
        let wasmtime = loop {
            match wasmtime::Engine::new(&settings(capacity)) {
                Ok(engine) => break engine,
                // Some machines have, or give, less address space than others.
                Err(error) if capacity > FEW_SESSIONS => {
                    tracing::warn!(capacity, %error, "no room for so many sessions; trying half of it");
                    capacity /= 2;
                }
                Err(error) => return Err(fault(error)),
            }
        };
        let mut linker = Linker::new(&wasmtime);
        Scenario::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).map_err(fault)?;
        let seats = Arc::new(Seats {
            capacity,
            taken: AtomicU32::new(0),
            ticks: AtomicU64::new(0),
            ticker: Mutex::new(None),
        });
        let ticker = Ticker::start(wasmtime.clone(), Arc::clone(&seats))?;
        Ok(Self(Arc::new(Inner { wasmtime, linker, cache, seats, _ticker: ticker })))
    }

    /// How many small sessions may run at once.
    pub fn capacity(&self) -> u32 {
        self.0.seats.capacity
    }

    /// How many seats are taken. A large component takes several for each session.
    pub fn seats_taken(&self) -> u32 {
        self.0.seats.taken.load(Ordering::Relaxed)
    }

    /// A seat for one session that uses as much of the pool as `weight` small ones; `None` when there is no room.
    pub(crate) fn take_seat(&self, weight: u32) -> Option<Seat> {
        let seats = &self.0.seats;
        let free = |taken: u32| Some(taken.saturating_add(weight)).filter(|sum| *sum <= seats.capacity);
        let before = seats.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok()?;
        if before == 0
            && let Some(ticker) = &*seats.ticker.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        {
            ticker.unpark();
        }
        Some(Seat { seats: Arc::clone(seats), weight })
    }

    /// Compiles a package, or takes it from the cache, and links it.
    ///
    /// Blocks: from a millisecond (cached) over 0.1 s (a Rust component) to tens of seconds (Python). Call it away from
    /// the threads of calls.
    pub fn load(&self, package: &Package) -> Result<Arc<Module>, ScenarioError> {
        let name = || package.manifest.name.clone();
        let refused =
            |error: wasmtime::Error| ScenarioError::Refused { name: name(), why: format!("{error:#}") };
        let compiled = self.0.cache.compile(&self.0.wasmtime, &package.component, &package.sha256);
        let component = compiled.map_err(|error| match error {
            CacheError::Refused(why) => refused(why),
            CacheError::Compiler(CompilerError::Refused(why)) => ScenarioError::Refused { name: name(), why },
            CacheError::Compiler(error) => ScenarioError::NotCompiled { name: name(), source: error },
        })?;
        let too_big = |what: String, allowed: String| ScenarioError::TooBig { name: name(), what, allowed };
        let Some(needs) = component.resources_required() else {
            return Err(too_big("modules given to it from outside".into(), "none".into()));
        };
        let pre = self.0.linker.instantiate_pre(&component).and_then(ScenarioPre::new).map_err(refused)?;
        let weight = needs.num_memories.max(needs.num_tables.div_ceil(TABLES_PER_SEAT)).max(1);
        // Until it is known better: as if each of its memories were as large as the largest.
        let memories = u64::from(needs.num_memories) * needs.max_initial_memory_size.unwrap_or(0);
        let ready = |memory| Arc::new(Module::new(self.clone(), pre.clone(), package, weight, memory));
        let module = ready(memories);
        // With every seat taken there is nowhere to try it; it is found out by the first call then.
        let Some(seat) = module.take_seat() else { return Ok(module) };
        let began = session::try_start(&module);
        drop(seat);
        let began = began.map_err(|why| ScenarioError::Refused {
            name: name(),
            why: format!("it does not start: {why}"),
        })?;
        match package.manifest.limits.memory_bytes {
            Some(allowed) if allowed < began => Err(too_big(
                format!("{} MiB of memory to begin with", began.div_ceil(1 << 20)),
                format!("the {} MiB that `memory-mib` of its manifest asks for", allowed >> 20),
            )),
            _ => Ok(ready(began)),
        }
    }

    pub(crate) fn owns(&self, seat: &Seat) -> bool {
        Arc::ptr_eq(&self.0.seats, &seat.seats)
    }

    /// How often the ticker has ticked.
    pub(crate) fn ticks(&self) -> u64 {
        self.0.seats.ticks.load(Ordering::Acquire)
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.fetch_sub(self.weight, Ordering::AcqRel);
    }
}

fn settings(capacity: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(capacity)
        .total_stacks(capacity)
        .total_component_instances(capacity)
        .total_core_instances(capacity.saturating_mul(CORE_INSTANCES))
        .total_tables(capacity.saturating_mul(TABLES_PER_SEAT))
        .max_memories_per_component(MEMORIES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        // A slot that was used is wiped with a memset up to here, which is cheaper than giving the pages back and
        // faulting them in again.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(4 << 10);
    let mut config = compile_settings();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Everything that a compiled component depends on: an engine of these settings can run what another one compiled.
pub(crate) fn compile_settings() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Only component-model-async needs it; without it a suspended call is lighter.
        .concurrency_support(false)
        // Epochs cost nothing on loops and 28 % on call-heavy code; fuel costs 4 to 39 %.
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(SESSION_STACK)
        .memory_init_cow(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config
}

/// How many sessions fit under `vm.max_map_count`.
fn sessions_by_maps(max_map_count: u32) -> u32 {
    max_map_count.saturating_sub(MAPS_FOR_OTHERS) / MAPS_PER_SESSION
}

/// The kernel's number; its default where it cannot be read.
fn max_map_count() -> u32 {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(65_530)
}

/// The thread that moves the epoch on every [`TICK`] while any session runs. It sleeps while none does, so an idle host
/// is idle. Joined when the engine goes.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine, seats: Arc<Seats>) -> Result<Self, ScenarioError> {
        let stop = Arc::new(AtomicBool::new(false));
        let run = {
            let (stop, seats) = (Arc::clone(&stop), Arc::clone(&seats));
            move || {
                while !stop.load(Ordering::Acquire) {
                    if seats.taken.load(Ordering::Acquire) == 0 {
                        std::thread::park();
                    } else {
                        std::thread::sleep(TICK);
                        seats.ticks.fetch_add(1, Ordering::Release);
                        engine.increment_epoch();
                    }
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("scenario-ticks".into())
            .spawn(run)
            .map_err(|error| ScenarioError::Engine(error.to_string()))?;
        *seats.ticker.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(thread.thread().clone());
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread holds no lock and cannot panic; there is nothing to do about an error here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_stays_below_the_number_of_maps_at_which_a_process_aborts() {
        assert_eq!(sessions_by_maps(65_530), 9_588);
        for maps in [0, 1_000, MAPS_FOR_OTHERS, 65_530, 262_144, u32::MAX] {
            let used = u64::from(sessions_by_maps(maps)) * u64::from(MAPS_PER_SESSION);
            assert!(used + u64::from(MAPS_FOR_OTHERS) <= u64::from(maps.max(MAPS_FOR_OTHERS)), "{maps}");
        }
    }
}
