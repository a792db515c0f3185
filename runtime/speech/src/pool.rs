//! Recognition on a few threads of its own: a bounded queue in front of engines that each do one piece at a time.
//!
//! * Within a tenant the piece with the earliest deadline is first. Between tenants the one is next who has had the least
//!   work done, counted in seconds of sound: a thousand calls of one do not make another's only call wait for them all.
//! * When the queue is full, the newcomer is told [`Recognised::Busy`], unless somebody else has more in the queue than
//!   he: then it is the latest of theirs.
//! * A piece whose deadline passed while it waited is `Busy`, one whose deadline passes while it is worked on is
//!   [`Recognised::Late`]: the engine is stopped. Neither is billed.
//! * Threads run at a lower priority than those of calls, and are joined when the pool is dropped.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::oneshot;
use zvonar_model::TenantId;

use crate::model::ModelId;
use crate::recogniser::{Recognised, Recognizer, Request, Text, judged};

/// Where the pool has the time from: it has no clock of its own.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// How much nicer than others a worker is (`nice`): sound must leave every 20 ms, words may come a little later.
const NICE: i32 = 5;
/// The work of a piece counts as that of so many samples at least: the shortest takes a quarter of a second too.
const LEAST_WORK: u64 = 8000;

/// One recogniser's state on one thread.
pub trait Engine {
    /// What is said in a piece of sound (8 kHz), and the mean probability of its tokens. `stop` is asked now and then; when
    /// it says so, what comes back is of no interest.
    ///
    /// # Errors
    ///
    /// A sentence for the log.
    fn recognise(&mut self, sound: &[i16], stop: &(dyn Fn() -> bool + Sync))
    -> Result<(String, f32), String>;
}

/// How large a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Threads: as many as cores are given to speech.
    pub workers: usize,
    /// Pieces that may wait.
    pub queue: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { workers: 2, queue: 64 }
    }
}

/// A recogniser that works on threads of its own.
pub struct Pool {
    model: ModelId,
    language: String,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    clock: Clock,
    queue: Mutex<Queue>,
    work: Condvar,
    /// The pool is being dropped. Beside the queue, since an engine asks for it a thousand times a second.
    stopping: AtomicBool,
}

struct Job {
    request: Request,
    number: u64,
    since: Instant,
    taken_back: Arc<AtomicBool>,
    answer: oneshot::Sender<Recognised>,
}

/// The pieces of one tenant.
#[derive(Default)]
struct Line {
    waiting: BTreeMap<(Instant, u64), Job>,
    /// Work done for him, in samples. Whoever comes back after a pause begins where the others are.
    done: u64,
    working: usize,
}

#[derive(Default)]
struct Queue {
    lines: BTreeMap<TenantId, Line>,
    waiting: usize,
    room: usize,
    next: u64,
}

impl Queue {
    /// Takes a job in; gives back the one that has no room, if there is one.
    fn put(&mut self, job: Job) -> Option<Job> {
        let mut pushed_out = None;
        if self.waiting >= self.room {
            let mine = self.lines.get(&job.request.tenant).map_or(0, |line| line.waiting.len());
            let longest = self.lines.values_mut().max_by_key(|line| line.waiting.len());
            match longest {
                Some(line) if line.waiting.len() > mine + 1 => {
                    pushed_out = line.waiting.pop_last().map(|(_, job)| job);
                    self.waiting -= 1;
                }
                _ => return Some(job),
            }
        }
        let active = self.lines.values().filter(|line| line.is_active()).map(|line| line.done);
        let others = active.min().unwrap_or(0);
        let line = self.lines.entry(job.request.tenant.clone()).or_default();
        if !line.is_active() {
            line.done = line.done.max(others);
        }
        line.waiting.insert((job.request.deadline, job.number), job);
        self.waiting += 1;
        pushed_out
    }

    /// The next job: of whom the least was done, and of his the most urgent.
    fn take(&mut self) -> Option<Job> {
        let urgent = |line: &Line| line.waiting.first_key_value().map(|(key, _)| *key);
        let next = self
            .lines
            .iter()
            .filter(|(_, line)| !line.waiting.is_empty())
            .min_by_key(|(_, line)| (line.done, urgent(line)))
            .map(|(tenant, _)| tenant.clone())?;
        let line = self.lines.get_mut(&next).expect("it was just found");
        let (_, job) = line.waiting.pop_first().expect("it is not empty");
        line.done += (job.request.sound.len() as u64).max(LEAST_WORK);
        line.working += 1;
        self.waiting -= 1;
        Some(job)
    }

    /// A job is over.
    fn finished(&mut self, tenant: &TenantId) {
        if let Some(line) = self.lines.get_mut(tenant) {
            line.working -= 1;
        }
        // Whoever has nothing here is forgotten: what was done for him only counts beside others who wait.
        self.lines.retain(|_, line| line.is_active());
    }

    fn remove(&mut self, tenant: &TenantId, key: (Instant, u64)) {
        if self.lines.get_mut(tenant).is_some_and(|line| line.waiting.remove(&key).is_some()) {
            self.waiting -= 1;
        }
    }
}

impl Line {
    fn is_active(&self) -> bool {
        !self.waiting.is_empty() || self.working > 0
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life. A job whose engine panics is answered, and the thread goes on with the next.
    fn work(&self, engine: &mut dyn Engine) {
        loop {
            let job = {
                let mut queue = self.queue();
                loop {
                    if self.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    match queue.take() {
                        Some(job) => break job,
                        None => queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
                    }
                }
            };
            let tenant = job.request.tenant.clone();
            let answer = catch_unwind(AssertUnwindSafe(|| self.serve(engine, &job)));
            self.queue().finished(&tenant);
            let answer =
                answer.unwrap_or_else(|_| Recognised::Failed("the recogniser stopped at a bug".into()));
            // Whoever asked may have gone.
            let _ = job.answer.send(answer);
        }
    }

    fn serve(&self, engine: &mut dyn Engine, job: &Job) -> Recognised {
        let begun = (self.clock)();
        let Request { deadline, sound, .. } = &job.request;
        if begun >= *deadline {
            return Recognised::Busy;
        }
        let stopping = || self.stopping.load(Ordering::SeqCst);
        let stop = || job.taken_back.load(Ordering::Relaxed) || stopping() || (self.clock)() >= *deadline;
        let heard = engine.recognise(sound, &stop);
        let now = (self.clock)();
        if now >= *deadline {
            return Recognised::Late;
        }
        match heard {
            Ok((text, confidence)) => judged(Text {
                text,
                confidence,
                waited: begun.saturating_duration_since(job.since),
                worked: now.saturating_duration_since(begun),
            }),
            Err(_) if stopping() => Recognised::Busy,
            Err(why) => Recognised::Failed(why),
        }
    }
}

impl Pool {
    /// Starts a pool. `engine` is called on each of its threads and makes that thread's engine.
    ///
    /// # Errors
    ///
    /// What the first engine that could not be made said, or the system about a thread.
    pub fn start<E: Engine>(
        model: ModelId,
        language: &str,
        settings: PoolSettings,
        clock: Clock,
        engine: impl Fn() -> Result<E, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let queue = Queue { room: settings.queue, ..Queue::default() };
        let (work, stopping) = (Condvar::new(), AtomicBool::new(false));
        let shared = Arc::new(Shared { clock, queue: Mutex::new(queue), work, stopping });
        let mut pool =
            Self { model, language: language.into(), shared: Arc::clone(&shared), threads: Vec::new() };
        let engine = Arc::new(engine);
        for n in 0..settings.workers.max(1) {
            let (shared, engine) = (Arc::clone(&shared), Arc::clone(&engine));
            let (ready, made) = std::sync::mpsc::sync_channel(1);
            let run = move || {
                be_nice();
                match engine() {
                    Ok(mut engine) => {
                        let _ = ready.send(Ok(()));
                        shared.work(&mut engine);
                    }
                    Err(why) => drop(ready.send(Err(why))),
                }
            };
            let thread = std::thread::Builder::new().name(format!("speech-{n}")).spawn(run);
            pool.threads.push(thread.map_err(|why| format!("a thread cannot be started: {why}"))?);
            made.recv().unwrap_or_else(|_| Err("the recogniser stopped at a bug".into()))?;
        }
        Ok(pool)
    }

    /// How many pieces wait at this moment.
    pub fn waiting(&self) -> usize {
        self.shared.queue().waiting
    }
}

fn be_nice() {
    // SAFETY: it takes numbers and touches no memory; of Linux's threads, 0 names the calling one. A refusal is harmless.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
    }
}

/// Takes a request back when whoever asked goes away.
struct Asking<'p> {
    shared: &'p Shared,
    tenant: TenantId,
    key: (Instant, u64),
    taken_back: Arc<AtomicBool>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.taken_back.store(true, Ordering::Relaxed);
        self.shared.queue().remove(&self.tenant, self.key);
    }
}

#[async_trait]
impl Recognizer for Pool {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn language(&self) -> &str {
        &self.language
    }

    async fn recognise(&self, request: Request) -> Recognised {
        let since = (self.shared.clock)();
        let (answer, answered) = oneshot::channel();
        let taken_back = Arc::new(AtomicBool::new(false));
        let (tenant, deadline) = (request.tenant.clone(), request.deadline);
        let (number, refused) = {
            let mut queue = self.shared.queue();
            queue.next += 1;
            let number = queue.next;
            let taken_back = Arc::clone(&taken_back);
            (number, queue.put(Job { request, number, since, taken_back, answer }))
        };
        if let Some(job) = refused {
            let _ = job.answer.send(Recognised::Busy);
        }
        self.shared.work.notify_one();
        let asking = Asking { shared: &self.shared, tenant, key: (deadline, number), taken_back };
        let answer = answered.await.unwrap_or(Recognised::Busy);
        drop(asking);
        answer
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let left = {
            let mut queue = self.shared.queue();
            self.shared.stopping.store(true, Ordering::SeqCst);
            queue.waiting = 0;
            std::mem::take(&mut queue.lines)
        };
        self.shared.work.notify_all();
        drop(left); // their futures hear that nobody will answer: busy
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let workers = self.threads.len();
        f.debug_struct("Pool").field("model", &self.model).field("workers", &workers).finish_non_exhaustive()
    }
}

/// How long a piece may take before nobody waits for it any longer, when a scenario says nothing: what is not there three
/// seconds after the last word is asked for again.
pub const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
