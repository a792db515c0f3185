//! The desks at work: a task per tenant owns its [`zvonar_desk::Desk`], rings whom the desk says, and tells it what
//! happened.
//!
//! ```text
//! conversation ─▶ Desks ─▶ a task per tenant (worker) ─▶ Phones (telephones of operators)
//!                                  └─▶ Tables (presence)
//! ```
//!
//! # What always holds
//!
//! * A caller has one place at the desk: [`Waiting`] while he waits, the [`Place`] that is left of it while he talks.
//!   Whoever drops it has left; nobody has to remember to say so.
//! * Everybody who waits is told an end, once. If a bug stops the desk's task, the end is [`Told::Broken`], and a new task
//!   goes on: with the operators as they are stored, the talks that go on, and nobody in the queue.
//! * Who has a telephone is what the exchange says at the moment: the desk hears of each that comes or goes, and of those
//!   that are there when its task begins. After a start of the host that is nobody, and callers wait.
//! * Every queue is bounded. Who has something to say to a desk waits until it is heard; what the desk tells a caller on
//!   the way (his place in the queue) is left out when he does not listen.
//!
//! Time is the wall's when the program began plus what has been measured since: it never goes back.

mod externals;
mod phones;
mod settings;
mod waiting;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use zvonar_desk::{Group, Miss, Presence, Status, Talk};
use zvonar_media::Prompt;
use zvonar_model::{AttemptId, OperatorId, ProjectId, TenantId, UnixMillis};
use zvonar_switch::Call;
use zvonar_switch::media_io::MediaPlace;

use crate::operators::{CallerView, DeskControl, DeskView, OperatorRow, operator_of_user};
use crate::purse::Purse;
use crate::{Dialer, DialerError, Pressure, Result, Tables, WallClock};

pub use externals::ExternalCall;
pub(crate) use externals::Externals;
pub use phones::{Asked, Exchange, Phones};
pub use settings::{DeskSettings, SilenceRules, Sounds, TransferRules};
pub use waiting::{Place, Told, Waiting};
use worker::{Ask, Guest, Worker};

/// How many may have something to say to one desk at a time. Whoever comes then waits.
const ASKS: usize = 1024;

/// How many places in the queue a caller may not have listened to. More are left out.
const NEWS: usize = 4;

/// How long a desk's task rests that a bug stopped.
const AFTER_A_BUG: Duration = Duration::from_secs(1);

/// All tenants' desks of a host. Clones reach the same ones. `L` is a telephone that was picked up.
pub struct Desks<L = Call> {
    inner: Arc<Inner<L>>,
}

struct Inner<L> {
    desks: BTreeMap<TenantId, Handle<L>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// One tenant's desk, as those outside of its task reach it.
pub(crate) struct Handle<L> {
    pub(crate) office: Arc<Office>,
    asks: mpsc::Sender<Ask<L>>,
}

/// What a desk's task shares with those who have to do with it.
pub(crate) struct Office {
    pub(crate) tenant: TenantId,
    pub(crate) tables: Tables,
    pub(crate) settings: DeskSettings,
    pub(crate) externals: Externals,
    /// Whence external calls are paid, if the tenant pays beforehand.
    pub(crate) purse: OnceLock<Arc<Purse>>,
    pub(crate) clock: WallClock,
    /// The operators, as they are stored.
    people: Mutex<BTreeMap<OperatorId, OperatorRow>>,
    /// The talks that go on: they outlive the task that began them.
    talks: Mutex<BTreeMap<AttemptId, TalkNow>>,
    /// The call that each operator talked in last.
    lasts: Mutex<BTreeMap<OperatorId, AttemptId>>,
    /// How many callers of each project wait.
    waiting: Mutex<BTreeMap<ProjectId, u32>>,
    gone: Gone,
    /// Changes of operators go to the desk in the order in which they were stored.
    changing: tokio::sync::Mutex<()>,
}

/// A talk that goes on.
struct TalkNow {
    talk: Talk,
    caller: CallerView,
    /// Where the caller's sound is.
    beside: Option<MediaPlace>,
    /// Since when he talks with this one.
    since: UnixMillis,
}

/// Those who have left the desk. Each place is in it once at most, so it is no longer than the desk has callers.
#[derive(Default)]
struct Gone {
    calls: Mutex<Vec<AttemptId>>,
    bell: Notify,
}

impl Gone {
    fn add(&self, call: AttemptId) {
        lock(&self.calls).push(call);
        self.bell.notify_one();
    }

    fn take(&self) -> Vec<AttemptId> {
        std::mem::take(&mut *lock(&self.calls))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why something cannot be asked of a desk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskFault {
    /// The tenant has none.
    #[error("the tenant {0} has no desk on this host: it is not in the configuration that was started")]
    NoDesk(TenantId),
    /// The host stops.
    #[error("the desk is closing: the host stops")]
    Closed,
}

/// Who wants an operator.
#[derive(Debug)]
pub struct Wanted {
    /// Who he is, as telephones show him.
    pub caller: CallerView,
    /// Whose operators; `None`: just anybody.
    pub group: Option<Group>,
    /// Since when he waits; `None`: now. One who comes back waits since he came first.
    pub since: Option<UnixMillis>,
    /// How long he may wait in all.
    pub longest_wait: Duration,
    /// Where his own sound is, so that the two can be joined.
    pub beside: Option<MediaPlace>,
}

impl<L> Clone for Desks<L> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<L> Clone for Handle<L> {
    fn clone(&self) -> Self {
        Self { office: Arc::clone(&self.office), asks: self.asks.clone() }
    }
}

impl<L> fmt::Debug for Desks<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.inner.desks.keys()).finish()
    }
}

impl<L> fmt::Debug for Handle<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("tenant", &self.office.tenant).finish_non_exhaustive()
    }
}

impl<L: Send + 'static> Desks<L> {
    /// Sets up a desk for each tenant, with the operators and their presence as they are stored. `clock` never goes back.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(
        tenants: impl IntoIterator<Item = (Tables, DeskSettings)>,
        phones: Arc<dyn Phones<L>>,
        clock: WallClock,
    ) -> Result<Self> {
        let (mut desks, mut tasks) = (BTreeMap::new(), Vec::new());
        for (tables, settings) in tenants {
            let found = tables.operators().await?;
            let tenant = tables.tenant().clone();
            let (asks, inbox) = mpsc::channel(ASKS);
            let office = Arc::new(Office {
                tenant: tenant.clone(),
                tables,
                externals: Externals::new(&settings.transfers),
                purse: OnceLock::new(),
                settings,
                clock: Arc::clone(&clock),
                people: Mutex::default(),
                talks: Mutex::default(),
                lasts: Mutex::default(),
                waiting: Mutex::default(),
                gone: Gone::default(),
                changing: tokio::sync::Mutex::default(),
            });
            let keep = keep(Arc::clone(&office), Arc::clone(&phones), inbox, found);
            tasks.push(tokio::spawn(keep));
            desks.insert(tenant, Handle { office, asks });
        }
        Ok(Self { inner: Arc::new(Inner { desks, tasks: Mutex::new(tasks) }) })
    }

    /// Closes the desks: whoever still waits gets nobody, and what must outlive the program is stored.
    pub async fn close(&self) {
        for handle in self.inner.desks.values() {
            // One that is gone is closed.
            let _ = handle.asks.send(Ask::Stop).await;
        }
        let tasks = std::mem::take(&mut *lock(&self.inner.tasks));
        for task in tasks {
            if let Err(bug) = task.await {
                tracing::error!(%bug, "a bug stopped a desk");
            }
        }
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> std::result::Result<&Handle<L>, DeskFault> {
        self.inner.desks.get(tenant).ok_or_else(|| DeskFault::NoDesk(tenant.clone()))
    }

    /// A caller wants an operator.
    ///
    /// # Errors
    /// [`DeskFault`], a sentence. Whether anybody can take him is told by [`Waiting::next`].
    pub async fn wait(
        &self,
        tenant: &TenantId,
        wanted: Wanted,
    ) -> std::result::Result<Waiting<L>, DeskFault> {
        let handle = self.of(tenant)?;
        let Wanted { caller, group, since, longest_wait, beside } = wanted;
        let (call, project) = (caller.attempt.clone(), caller.project.clone());
        // Before anything is sent: whoever gives up in that moment has left.
        let place = Place::new(handle.clone(), call.clone());
        let (news, heard) = mpsc::channel(NEWS);
        let (end, ended) = oneshot::channel();
        let guest = Guest { news, end, caller, beside, group: group.clone() };
        let since = since.unwrap_or_else(|| handle.office.now());
        let caller = zvonar_desk::Caller { call, project, group, since, longest_wait: longest_wait.into() };
        handle.ask(Ask::Wait { caller, guest }).await?;
        Ok(Waiting::new(place, heard, ended))
    }

    /// Rings one operator beside the queue: a colleague hands a caller on to him. Comes back once he has picked up, with
    /// his place at the desk. `key` is the name of this talk, which no other has. Dropped, the telephone is silent.
    ///
    /// # Errors
    /// How the call was not taken.
    pub async fn hand(
        &self,
        tenant: &TenantId,
        key: AttemptId,
        operator: OperatorId,
        caller: CallerView,
        beside: Option<MediaPlace>,
    ) -> std::result::Result<(Place<L>, L), Miss> {
        let handle = self.of(tenant).map_err(|_| Miss::Unreachable)?;
        let place = Place::new(handle.clone(), key.clone());
        let (done, told) = oneshot::channel();
        let sent = handle.ask(Ask::Hand { key, operator, caller, beside, done }).await;
        sent.map_err(|_| Miss::Unreachable)?;
        match told.await {
            Ok(Ok(leg)) => Ok((place, leg)),
            Ok(Err(how)) => {
                place.forget();
                Err(how)
            }
            Err(_) => Err(Miss::Unreachable),
        }
    }

    /// An operator calls a colleague himself: the queue leaves him alone as long as the place is held, from the end of a
    /// talk on that he has already. `caller`: whom he talks with, as it is shown. `key` is the name of this talk, which no
    /// other has.
    ///
    /// # Errors
    /// [`DeskFault`].
    pub async fn engage(
        &self,
        tenant: &TenantId,
        key: AttemptId,
        operator: OperatorId,
        caller: CallerView,
    ) -> std::result::Result<Place<L>, DeskFault> {
        let handle = self.of(tenant)?;
        let place = Place::new(handle.clone(), key.clone());
        let (done, told) = oneshot::channel();
        handle.ask(Ask::Engage { key, operator, caller, done }).await?;
        told.await.map_err(|_| DeskFault::Closed)?;
        Ok(place)
    }

    /// Whom a telephone means: by extension, by id, or by the name that his telephone registers with.
    pub fn find(&self, tenant: &TenantId, target: &str) -> Option<OperatorId> {
        let people = lock(&self.of(tenant).ok()?.office.people);
        if let Some((of, operator)) = operator_of_user(target) {
            return (of == *tenant && people.contains_key(&operator)).then_some(operator);
        }
        let extension = |row: &&OperatorRow| row.extension.as_deref() == Some(target);
        if let Some(row) = people.values().find(extension) {
            return Some(row.operator.id.clone());
        }
        OperatorId::new(target).ok().filter(|id| people.contains_key(id))
    }

    /// What people call an operator.
    pub(crate) fn name(&self, tenant: &TenantId, operator: &OperatorId) -> Option<String> {
        lock(&self.of(tenant).ok()?.office.people).get(operator).map(|row| row.name.clone())
    }

    /// Where the sound of the caller is with whom this operator talks.
    pub(crate) fn beside(&self, tenant: &TenantId, operator: &OperatorId) -> Option<MediaPlace> {
        let talks = lock(&self.of(tenant).ok()?.office.talks);
        talks.values().find(|now| now.talk.operator == *operator).and_then(|now| now.beside.clone())
    }

    /// What a caller hears who is told his place in the queue; `None`: nothing, he goes on hearing music.
    pub(crate) fn announcement(&self, tenant: &TenantId, position: u32) -> Option<Prompt> {
        self.of(tenant).ok()?.office.settings.sounds.announcement(position)
    }
}

impl<L> Handle<L> {
    pub(crate) async fn ask(&self, ask: Ask<L>) -> std::result::Result<(), DeskFault> {
        self.asks.send(ask).await.map_err(|_| DeskFault::Closed)
    }
}

impl<L> Desks<L> {
    /// From now on a prepaid tenant's calls to external numbers want money of the purse from which its other calls are paid.
    pub fn pay_by(&self, tenant: &TenantId, dialer: &Dialer) {
        if let (Some(handle), Some(purse)) = (self.inner.desks.get(tenant), dialer.purse(tenant)) {
            // Given a second time it is the same one.
            let _ = handle.office.purse.set(purse);
        }
    }
}

impl Office {
    pub(crate) fn now(&self) -> UnixMillis {
        (self.clock)()
    }
}

impl<L: Send + 'static> Pressure for Desks<L> {
    fn waiting(&self, tenant: &TenantId, project: &ProjectId) -> u32 {
        let Ok(handle) = self.of(tenant) else { return 0 };
        lock(&handle.office.waiting).get(project).copied().unwrap_or(0)
    }
}

#[async_trait]
impl<L: Send + 'static> DeskControl for Desks<L> {
    async fn status(&self, tenant: &TenantId, operator: &OperatorId, status: Status) -> Result<Presence> {
        let (done, told) = oneshot::channel();
        self.of(tenant)?.ask(Ask::Status { operator: operator.clone(), status, done }).await?;
        told.await.unwrap_or(Err(DialerError::Desk(DeskFault::Closed)))
    }

    async fn view(&self, tenant: &TenantId) -> Result<DeskView> {
        let (done, told) = oneshot::channel();
        self.of(tenant)?.ask(Ask::View(done)).await?;
        told.await.map_err(|_| DialerError::Desk(DeskFault::Closed))
    }

    async fn operator_changed(&self, tenant: &TenantId, operator: &OperatorId) -> Result<()> {
        let handle = self.of(tenant)?;
        let _in_order = handle.office.changing.lock().await;
        let row = handle.office.tables.operator(operator).await?.map(Box::new);
        let (done, told) = oneshot::channel();
        handle.ask(Ask::Operator { operator: operator.clone(), row, done }).await?;
        told.await.map_err(|_| DialerError::Desk(DeskFault::Closed))
    }
}

/// Keeps a desk until it is told to stop: a task that a bug stopped is begun anew.
async fn keep<L: Send + 'static>(
    office: Arc<Office>,
    phones: Arc<dyn Phones<L>>,
    mut inbox: mpsc::Receiver<Ask<L>>,
    mut found: Vec<(OperatorRow, Option<Presence>)>,
) {
    loop {
        let mut worker = Worker::new(Arc::clone(&office), Arc::clone(&phones), found);
        let run = std::panic::AssertUnwindSafe(worker.run(&mut inbox));
        if futures::FutureExt::catch_unwind(run).await.is_ok() {
            return worker.finish().await;
        }
        tracing::error!(tenant = %office.tenant, "a bug stopped the desk: those who waited are told, and it is set up anew");
        let unsaved = worker.unsaved();
        // Whoever waited hears of it here, and whatever rang is silent.
        drop(worker);
        lock(&office.waiting).clear();
        found = loop {
            tokio::time::sleep(AFTER_A_BUG).await;
            match office.tables.operators().await {
                Ok(found) => break found,
                Err(why) => tracing::error!(%why, tenant = %office.tenant, "the operators cannot be read"),
            }
            // Nobody waits in silence for a desk that cannot be set up.
            while let Ok(ask) = inbox.try_recv() {
                if matches!(ask, Ask::Stop) {
                    return;
                }
            }
        };
        for (row, presence) in &mut found {
            if let Some(newer) = unsaved.get(&row.operator.id) {
                *presence = Some(newer.clone());
            }
        }
    }
}
