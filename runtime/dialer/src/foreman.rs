//! The foreman of a tenant: keeps a run for each active project, and stops those of projects that are not.
//!
//! He watches the tenant's projects and the journal of what happened to leads; whatever changes there is taken up within
//! about a second: a start, a pause, an edit, leads that were added. A project that cannot dial before something is mended
//! goes over to «Ошибка» with the reason, one whose list is done to «Завершён», and the others go on.
//!
//! # What always holds
//!
//! * A project has one run here at most, and its lease says so to other hosts.
//! * He ends when he is told to, when the store fails, or, if that is wanted, when nothing is left to do; all his runs
//!   have ended by then.
//!
//! Deliberately absent: any rule of dialling.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use futures::{FutureExt, stream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use zvonar_campaign::{ACTIVE_PROJECTS, Ending, LeadStatus, ProjectStatus};
use zvonar_model::{LeadId, ProjectId, TenantId, UnixMillis};
use zvonar_store::{Event, Item, NEWS, StoreError};

use crate::lease::Lease;
use crate::recovery::Abandoned;
use crate::run::{Ended, Kept, Run};
use crate::tables::{Project, Step, Tables, decode};
use crate::{Counts, Dialer, DialerError, Result, RunEvent, RunStep, Stop};

/// How long changes are gathered, at the most, before they are looked at.
const GATHER: Duration = Duration::from_millis(300);

/// How often he looks although nothing has changed: leases of others run out, and clocks are set.
const ROUND: Duration = Duration::from_secs(60);

/// How often attempts are looked for whose owner died elsewhere.
const RECOVERY: Duration = Duration::from_secs(600);

/// How long a project rests whose run lost every race for something.
const PAUSE: Duration = Duration::from_secs(5);

/// How many leads a run may be told of one by one; beyond that it reads its list again.
const MOST_NEWS: usize = 200_000;

/// How many steps are read at once.
const PAGE: usize = 500;

/// How a foreman works.
#[derive(Debug)]
pub struct Keep {
    /// Where he tells what happens. What does not fit is not told.
    pub events: Option<mpsc::Sender<RunEvent>>,
    /// Come back once no active project has anything left to do, instead of waiting for more.
    pub once: bool,
    /// How many projects may be active at once when one that had finished goes on by itself.
    pub most_active: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { events: None, once: false, most_active: ACTIVE_PROJECTS }
    }
}

/// A project that went over to «Ошибка».
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halted {
    /// Which.
    pub project: ProjectId,
    /// Why.
    pub why: String,
}

/// Where a run hears from its foreman, and where it says that it has nothing to do.
#[derive(Default)]
pub(crate) struct Desk {
    news: Mutex<Option<News>>,
    bell: Notify,
    resting: AtomicBool,
    /// The foreman's own bell.
    foreman: Arc<Notify>,
}

/// What a run is to take up.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The project's row has changed.
    pub(crate) project: bool,
    /// Leads that were added or edited.
    pub(crate) leads: Vec<LeadId>,
    /// The counts of the project's leads have changed.
    pub(crate) counts: bool,
    /// Too much has changed to be told: the list is to be read.
    pub(crate) list: bool,
}

impl Desk {
    fn tell(&self, tell: impl FnOnce(&mut News)) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let told = news.get_or_insert_default();
        tell(told);
        if told.leads.len() > MOST_NEWS {
            *told = News { project: told.project, list: true, ..News::default() };
        }
        self.bell.notify_one();
    }

    pub(crate) fn take(&self) -> Option<News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// The run says whether it has nothing to do.
    pub(crate) fn rest(&self, resting: bool) {
        if self.resting.swap(resting, Ordering::Relaxed) != resting && resting {
            self.foreman.notify_one();
        }
    }

    fn is_resting(&self) -> bool {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.is_none() && self.resting.load(Ordering::Relaxed)
    }
}

/// A run that is kept.
struct Running {
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
}

/// What the foreman knows to be new.
#[derive(Default)]
struct Changes {
    /// Something of the projects or of their lists has changed, which was not looked at.
    pending: bool,
    /// Projects whose rows have changed.
    projects: BTreeSet<Box<str>>,
    /// Every project may have.
    all: bool,
    /// The step that was heard of last, and what is to be read of the journal: all above.
    heard: Option<u64>,
    unread: Option<u64>,
}

struct Foreman {
    dialer: Dialer,
    tables: Tables,
    keep: Keep,
    runs: BTreeMap<ProjectId, Running>,
    tasks: JoinSet<(ProjectId, Counts, Result<Ended>)>,
    /// Projects that are not begun before then: somebody else has them, or they have lost a race.
    later: BTreeMap<ProjectId, UnixMillis>,
    bell: Arc<Notify>,
    changes: Changes,
    recovered: Option<UnixMillis>,
    /// Projects that finished by themselves and may have contacts to call: they are looked at. `true`: also those that had
    /// been idle, since something is new in them.
    finished: BTreeMap<ProjectId, bool>,
    halted: Vec<Halted>,
}

impl Dialer {
    /// Dials all active projects of a tenant, and those that become active, until told to stop; see [`Keep::once`].
    /// Attempts of this store that ran out of their lease are settled now and then; after a crash on an embedded store,
    /// call [`Dialer::recover`] before. Gives the projects that went over to «Ошибка».
    ///
    /// # Errors
    /// The first failure of the store. Attempts in progress are finished before it is given back.
    pub async fn keep(&self, tenant: &TenantId, keep: Keep, stop: Stop) -> Result<Vec<Halted>> {
        let foreman = Foreman {
            dialer: self.clone(),
            tables: self.tables(tenant),
            keep,
            runs: BTreeMap::new(),
            tasks: JoinSet::new(),
            later: BTreeMap::new(),
            bell: Arc::default(),
            changes: Changes { pending: true, all: true, ..Changes::default() },
            recovered: None,
            finished: BTreeMap::new(),
            halted: Vec::new(),
        };
        foreman.work(stop).await
    }
}

impl Foreman {
    async fn work(mut self, mut stop: Stop) -> Result<Vec<Halted>> {
        let mut heard = self.listen().await?;
        let (mut stopped, mut failure) = (false, None);
        let (mut gather, mut round) = (tokio::time::interval(GATHER), tokio::time::interval(ROUND));
        gather.set_missed_tick_behavior(MissedTickBehavior::Delay);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let keeping = !stopped && failure.is_none();
            if keeping && self.keep.once && !self.changes.pending && self.is_done() {
                stopped = true;
                continue;
            }
            if !keeping {
                self.runs.values().for_each(|run| {
                    run.stop.send_replace(true);
                });
                if self.tasks.is_empty() {
                    break;
                }
            }
            let bell = Arc::clone(&self.bell);
            tokio::select! {
                biased;
                () = told(&mut stop), if !stopped => stopped = true,
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    let ended = ended.map_err(|bug| DialerError::Bug(bug.to_string()));
                    if let Err(why) = self.ended(ended).await {
                        tracing::error!(error = &why as &dyn std::error::Error, "the foreman stops");
                        failure.get_or_insert(why);
                    }
                }
                change = heard.next(), if keeping => match change {
                    Some(Ok(event)) => {
                        if let Some(project) = self.changes.note(&event, &self.tables) {
                            self.later.retain(|later, _| later.as_str() != &*project);
                        }
                    }
                    lost => {
                        self.changes.lost();
                        if let Some(Err(why)) = lost && !matches!(why, StoreError::Lagged) {
                            tracing::warn!(error = &why as &dyn std::error::Error, "watching begins anew");
                        }
                        match self.listen().await {
                            Ok(anew) => heard = anew,
                            Err(why) => failure = Some(why),
                        }
                    }
                },
                // After all that is heard of already; at once when it was quiet, else when some has come together.
                _ = gather.tick(), if keeping && self.changes.pending => {
                    if let Err(why) = self.look().await {
                        failure = Some(why);
                    }
                }
                () = bell.notified() => {}
                _ = round.tick() => self.changes.pending = true,
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None => Ok(self.halted),
        }
    }

    /// Hears of every change of a project, of its lease and of the lists from now on.
    async fn listen(&self) -> Result<BoxStream<'static, std::result::Result<Event, StoreError>>> {
        let (shard, keys) = (self.tables.keys.shard(), &self.tables.keys);
        let projects = self.tables.store.watch(shard, &keys.projects(), NEWS).await?;
        let leases = self.tables.store.watch(shard, &keys.leases(), NEWS).await?;
        let steps = self.tables.store.watch(shard, &keys.steps(), NEWS).await?;
        // The end of one is the end of all.
        let ending = |events: BoxStream<'static, _>| events.map(Some).chain(stream::iter([None])).boxed();
        let all = stream::select_all([projects, leases, steps].map(ending));
        Ok(all.scan((), |(), event| std::future::ready(event)).boxed())
    }

    /// Whether no active project has anything left to do.
    fn is_done(&self) -> bool {
        self.runs.values().all(|run| run.desk.is_resting())
    }

    /// Looks at what has changed: begins runs, stops runs, tells runs.
    async fn look(&mut self) -> Result<()> {
        let now = self.dialer.now();
        if self.recovered.is_none_or(|at| at.plus(RECOVERY) <= now || now < at) {
            self.tables.recover_but(Abandoned::Expired, self.dialer.alive(), now).await?;
            self.recovered = Some(now);
        }
        let changes = self.changes.take();
        let renewed = self.read_steps(&changes).await?;
        self.go_on(renewed, now).await?;
        let active: BTreeSet<ProjectId> = self.tables.active_projects().await?.into_iter().collect();
        for (project, run) in &self.runs {
            if !active.contains(project) {
                run.stop.send_replace(true);
            } else if changes.all || changes.projects.contains(project.as_str()) {
                run.desk.tell(|news| news.project = true);
            }
        }
        self.later.retain(|_, until| now < *until && *until <= now.plus(2 * ROUND));
        for project in active {
            if !self.runs.contains_key(&project) && !self.later.contains_key(&project) {
                self.begin(project);
            }
        }
        Ok(())
    }

    /// Goes on with projects that finished by themselves and have contacts to call again (behaviour: «can be continued by
    /// adding contacts»).
    async fn go_on(&mut self, renewed: BTreeSet<ProjectId>, now: UnixMillis) -> Result<()> {
        let known = std::mem::take(&mut self.finished);
        let mut candidates = known.clone();
        candidates.extend(renewed.into_iter().map(|project| (project, true)));
        for (project, was_idle) in candidates {
            if self.runs.contains_key(&project) {
                // When it ends it is looked at.
                continue;
            }
            let counts = self.tables.status_counts(&project).await?;
            if counts.new + counts.again == 0 {
                continue;
            }
            match self.tables.go_on(&project, was_idle, self.keep.most_active, now).await {
                Ok(true) => {
                    tracing::info!(%project, "a finished project has new contacts, and goes on");
                    self.changes.pending = true;
                }
                Ok(false) | Err(DialerError::NoProject(_)) => {}
                Err(why @ DialerError::TooManyActive { .. }) => {
                    if !known.contains_key(&project) {
                        tracing::warn!(%project, %why, "a finished project has new contacts, and waits for its turn");
                    }
                    self.finished.insert(project, was_idle);
                }
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// The projects that finished because their lists were done: something may have come since that nobody has heard of.
    async fn done(&self) -> Result<Vec<ProjectId>> {
        let all = self.tables.projects().await?.into_iter();
        let done = all.filter(|row| row.status == ProjectStatus::Finished { by: Ending::Done });
        Ok(done.map(|row| row.project).collect())
    }

    /// Tells the runs whose lists have changed. Gives the projects that have somebody to call by that.
    async fn read_steps(&mut self, changes: &Changes) -> Result<BTreeSet<ProjectId>> {
        let mut renewed = BTreeSet::new();
        if changes.all {
            self.finished.extend(self.done().await?.into_iter().map(|project| (project, false)));
        }
        let Some(mut after) = changes.unread else { return Ok(renewed) };
        if after == 0 {
            // Nobody knows since when.
            self.runs.values().for_each(|run| run.desk.tell(|news| news.list = true));
            return Ok(renewed);
        }
        let (shard, journal) = (self.tables.keys.shard(), self.tables.keys.steps());
        loop {
            let steps = self.tables.store.read(shard, &journal, after, PAGE).await?;
            let Some(last) = steps.last() else { break };
            after = last.revision;
            for item in steps.iter().filter(|item| is_of_lists(item.key.last())) {
                renewed.extend(self.tell_of(item)?);
            }
        }
        // What is still on its way through the watch was read.
        self.changes.heard = self.changes.heard.max(Some(after));
        Ok(renewed)
    }

    /// Gives the project that has somebody to call by it.
    fn tell_of(&self, item: &Item) -> Result<Option<ProjectId>> {
        let mut renews = false;
        let (project, leads) = match decode::<Step>(item)?.row {
            Step::Added { project, leads } => {
                renews = true;
                (project, leads)
            }
            Step::Edited { project, lead, moved } => {
                renews = matches!(moved.1, LeadStatus::New | LeadStatus::Again);
                (project, vec![lead])
            }
            // They are missed when their turn comes, and counted less.
            Step::Removed { project, .. } => (project, Vec::new()),
            // Nobody is called sooner or later for these.
            Step::Attempt(_)
            | Step::Tagged { .. }
            | Step::Found { .. }
            | Step::State(_)
            | Step::Text(_)
            | Step::Judged(_) => return Ok(None),
        };
        if let Some(run) = self.runs.get(&project) {
            run.desk.tell(|news| {
                news.leads.extend(leads);
                news.counts = true;
            });
        }
        Ok(renews.then_some(project))
    }

    fn begin(&mut self, project: ProjectId) {
        let desk = Arc::new(Desk { foreman: Arc::clone(&self.bell), ..Desk::default() });
        let (stop, stopped) = watch::channel(false);
        let dialer = self.dialer.clone();
        let lease = Lease::new(self.tables.clone(), project.clone(), dialer.epoch(), dialer.is_alone());
        let kept = Kept { desk: Arc::clone(&desk), lease };
        let (tenant, events) = (self.tables.tenant().clone(), self.keep.events.clone());
        let id = project.clone();
        self.tasks.spawn(async move {
            let run = async {
                let mut run = match Run::new(dialer, &tenant, &id, events, Some(kept)).await {
                    Ok(run) => run,
                    Err(why) => return (Counts::default(), Err(why)),
                };
                let ended = run.dial(stopped).await;
                (run.counts(), ended)
            };
            let bug = |_| (Counts::default(), Err(DialerError::Bug("the log says more".into())));
            let (counts, ended) = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(bug);
            (id, counts, ended)
        });
        self.runs.insert(project, Running { desk, stop });
    }

    /// A run has ended: what becomes of its project.
    async fn ended(&mut self, ended: Result<(ProjectId, Counts, Result<Ended>)>) -> Result<()> {
        let (project, counts, ended) = ended?;
        self.runs.remove(&project);
        // Somebody may have started it again while it ended.
        self.changes.pending = true;
        let now = self.dialer.now();
        let row = match ended {
            Ok(Ended::Stopped | Ended::Empty) => return Ok(()),
            Ok(Ended::Taken { until }) => {
                tracing::info!(%project, "another host dials the project");
                self.later.insert(project, until);
                return Ok(());
            }
            Ok(Ended::Over { by, read }) => {
                if !self.tables.finish_if(*read, by, now).await? {
                    return Ok(());
                }
                // Somebody may have come to be called again while it ended.
                if by == Ending::Done {
                    self.finished.insert(project.clone(), false);
                }
                self.tables.project(&project).await?
            }
            Err(DialerError::NoProject(_)) => return Ok(()),
            Err(DialerError::Contended(key)) => {
                tracing::warn!(%project, %key, "a run lost every race, and begins again");
                self.later.insert(project, now.plus(PAUSE));
                return Ok(());
            }
            // What no store takes is this project's matter; all else is every project's.
            Err(failure) if failure.is_broken_store() => return Err(failure),
            // What must be mended first: trunk, scenario, hours, something that cannot be read, a bug of ours.
            Err(why) => {
                let why = why.to_string();
                tracing::error!(%project, %why, "a project cannot dial");
                let row = self.tables.fail(&project, &why, now).await?;
                self.halted.push(Halted { project, why });
                Some(row)
            }
        };
        if let (Some(row), Some(events)) = (row, &self.keep.events) {
            let Project { project, status, .. } = row;
            // Full or gone: nobody waits for whoever looks on.
            let _ = events.try_send(RunEvent { project, counts, what: RunStep::Over { status } });
        }
        Ok(())
    }
}

/// Whether a step is one of people who changed a list: attempts have their ids for keys, and what happens to projects and
/// to messages moves no lead.
fn is_of_lists(token: &str) -> bool {
    // The token is encoded: `=` stands for itself only as the beginning of a code.
    token.split_once('=').is_some_and(|(what, _)| !matches!(what, "state" | "text" | "judged"))
}

impl Changes {
    /// Notes what has changed. Gives the project that another run has let go.
    fn note(&mut self, event: &Event, tables: &Tables) -> Option<Box<str>> {
        if event.key.is_below(&tables.keys.leases()) {
            let free = event.value.is_none();
            self.pending |= free;
            return free.then(|| event.key.last().into());
        }
        if event.key.is_below(&tables.keys.projects()) {
            self.projects.insert(event.key.last().into());
            self.pending = true;
            return None;
        }
        let known = self.heard.is_some_and(|heard| event.revision <= heard);
        if is_of_lists(event.key.last()) && !known {
            self.unread.get_or_insert(event.revision - 1);
            self.pending = true;
        }
        self.heard = self.heard.max(Some(event.revision));
        None
    }

    /// Some changes were not heard of.
    fn lost(&mut self) {
        self.pending = true;
        self.all = true;
        self.unread.get_or_insert(self.heard.unwrap_or(0));
    }

    /// What there is, to be looked at now.
    fn take(&mut self) -> Self {
        let heard = self.heard;
        std::mem::replace(self, Self { heard, ..Self::default() })
    }
}

/// Comes back when the foreman is told to stop.
async fn told(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could tell.
        std::future::pending().await
    }
}
