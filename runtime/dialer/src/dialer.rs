//! The dialler: the store, the telephone and the clock of one run of the program.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use zvonar_ledger::PriceList;
use zvonar_model::{AttemptId, Kopecks, Outcome, ProjectId, TenantId, UnixMillis};
use zvonar_store::SharedStore;

use crate::alive::{Alive, AliveAttempt};
use crate::purse::{Hold, Prepaid, Purse};
use crate::recovery::{Abandoned, Recovered};
use crate::tables::Epoch;
use crate::turnstile::Turnstiles;
use crate::{CallReport, Caller, Inbound, NotPlaced, Order, Policy, Reserved, Result, Settled, Tables};

/// Tells what time it is in the world.
pub type WallClock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// What a run of the program dials with. Clones are the same dialler.
#[derive(Clone)]
pub struct Dialer {
    inner: Arc<Inner>,
    policy: Policy,
    purses: BTreeMap<TenantId, Arc<Purse>>,
    pressure: Option<Arc<dyn Pressure>>,
}

/// Tells how many callers wait for an operator: projects dial fewer lines while that grows.
pub trait Pressure: Send + Sync {
    /// Callers of this project who wait at this moment.
    fn waiting(&self, tenant: &TenantId, project: &ProjectId) -> u32;
}

struct Inner {
    store: SharedStore,
    prices: Arc<PriceList>,
    caller: Arc<dyn Caller>,
    clock: WallClock,
    epoch: Epoch,
    chance: Mutex<StdRng>,
    /// No other run of the program has the store open.
    alone: AtomicBool,
    turnstiles: Turnstiles,
    alive: Alive,
}

impl Dialer {
    /// `seed`: where ids come from; two runs of the program must not share one.
    pub fn new(
        store: SharedStore,
        prices: Arc<PriceList>,
        caller: Arc<dyn Caller>,
        clock: WallClock,
        seed: u64,
    ) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let epoch = Epoch(chance.next_u64());
        let (chance, alone) = (Mutex::new(chance), AtomicBool::new(false));
        let (turnstiles, alive) = (Turnstiles::default(), Alive::default());
        let inner = Inner { store, prices, caller, clock, epoch, chance, alone, turnstiles, alive };
        let (policy, purses) = (Policy::default(), BTreeMap::new());
        Self { inner: Arc::new(inner), policy, purses, pressure: None }
    }

    /// The same under a policy: what is known of numbers, and what holds for all of the tenant's projects.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The same for a tenant that pays beforehand: nobody is dialled for whose call it cannot pay.
    #[must_use]
    pub fn with_prepaid(mut self, tenant: TenantId, prepaid: Prepaid) -> Self {
        self.purses.insert(tenant, Arc::new(Purse::new(prepaid)));
        self
    }

    /// The same with somebody who knows how many callers wait for an operator.
    #[must_use]
    pub fn with_pressure(mut self, pressure: Arc<dyn Pressure>) -> Self {
        self.pressure = Some(pressure);
        self
    }

    /// How many callers of a project wait for an operator.
    pub(crate) fn waiting(&self, tenant: &TenantId, project: &ProjectId) -> u32 {
        self.pressure.as_ref().map_or(0, |pressure| pressure.waiting(tenant, project))
    }

    /// Waits until a call could leave at once. While lines are short, the project of higher priority comes first.
    pub(crate) async fn reserve(
        &self,
        order: &Order,
        priority: u8,
    ) -> std::result::Result<Box<dyn Reserved + '_>, NotPlaced> {
        let _pass = self.inner.turnstiles.pass(&order.trunk, priority).await;
        self.caller().reserve(order).await
    }

    /// Out of which a prepaid tenant pays.
    pub(crate) fn purse(&self, tenant: &TenantId) -> Option<Arc<Purse>> {
        self.purses.get(tenant).cloned()
    }

    /// Holds what a call costs in the beginning, if the tenant pays beforehand.
    pub(crate) async fn hold(&self, tables: &Tables) -> Result<Option<Hold>> {
        match self.purses.get(tables.tenant()) {
            Some(purse) => purse.hold(tables, &self.inner.prices, self.now()).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same for a sum that is known: a text message's.
    pub(crate) async fn hold_sum(&self, tables: &Tables, need: Kopecks) -> Result<Option<Hold>> {
        match self.purses.get(tables.tenant()) {
            Some(purse) => purse.hold_text(tables, need, self.now()).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether a tenant pays beforehand.
    pub(crate) fn is_prepaid(&self, tenant: &TenantId) -> bool {
        self.purses.contains_key(tenant)
    }

    /// What a tenant has stored.
    pub fn tables(&self, tenant: &TenantId) -> Tables {
        let tables = Tables::new(self.inner.store.clone(), self.inner.prices.clone(), tenant.clone());
        tables.with_policy(self.policy.clone())
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        (self.inner.clock)()
    }

    /// The attempts that go on.
    pub(crate) fn alive(&self) -> &Alive {
        &self.inner.alive
    }

    /// An attempt goes on until what this gives is dropped: nobody takes it for abandoned, whatever the clock says. For
    /// calls that came in; those that are placed see to it themselves.
    pub fn alive_attempt(&self, attempt: &AttemptId) -> AliveAttempt {
        self.inner.alive.begin(attempt.clone())
    }

    /// A fresh id for an attempt or an incoming call.
    pub fn attempt_id(&self) -> AttemptId {
        let chance = self.inner.chance.lock().unwrap_or_else(PoisonError::into_inner).next_u64();
        AttemptId::fresh(self.now(), chance)
    }

    pub(crate) fn caller(&self) -> &dyn Caller {
        &*self.inner.caller
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.inner.alone.load(Ordering::Relaxed)
    }

    /// Settles what earlier runs of the program left of a tenant's attempts. Only for a store that no other process can
    /// have open; otherwise see [`Tables::recover`]. What other runs held is no longer theirs from then on.
    pub async fn recover(&self, tenant: &TenantId) -> Result<Recovered> {
        self.inner.alone.store(true, Ordering::Relaxed);
        self.tables(tenant).recover(Abandoned::OfOtherRuns(self.epoch()), self.now()).await
    }

    /// Places one call by hand: intent, call, settling. `None`: the attempt's id was used before, and nobody was called.
    /// A number on the blacklist is not called either: its record says so.
    pub async fn call_by_hand(&self, order: Order) -> Result<Option<Settled>> {
        let tables = self.tables(&order.tenant);
        let blocked = tables.blocked(&order.number).await?.is_some();
        let Some(claimed) = tables.start_by_hand(order, self.epoch(), self.now()).await? else {
            return Ok(None);
        };
        let report = if blocked {
            CallReport::unanswered(self.now(), Outcome::Blacklisted)
        } else {
            match self.caller().reserve(&claimed.order).await {
                Ok(reserved) => self.place(reserved, claimed.order.clone()).await,
                Err(why) => CallReport::failed(self.now(), why.to_string()),
            }
        };
        let (settled, _) = tables.settle(claimed, report).await?;
        Ok(Some(settled))
    }

    /// Settles a call that came in.
    pub async fn settle_inbound(
        &self,
        tenant: &TenantId,
        inbound: Inbound,
        report: CallReport,
    ) -> Result<Settled> {
        self.tables(tenant).settle_inbound(inbound, report).await
    }

    /// What is told of a call that a bug of ours stopped. What it had decided to send goes out, and its record says so.
    pub async fn broken_off(&self, tenant: &TenantId, attempt: &AttemptId) -> CallReport {
        let report = CallReport::failed(self.now(), "a bug of ours stopped the call; the log says more");
        match self.tables(tenant).sent_in(attempt).await {
            Ok(sms) => CallReport { sms, ..report },
            Err(why) => {
                tracing::error!(%attempt, %why, "which text messages a call had decided cannot be read");
                report
            }
        }
    }

    /// Places a call; a bug in it is a failed call, since its lead must be settled all the same.
    pub(crate) async fn place(&self, reserved: Box<dyn Reserved + '_>, order: Order) -> CallReport {
        let (tenant, attempt) = (order.tenant.clone(), order.attempt.clone());
        match AssertUnwindSafe(reserved.call(order)).catch_unwind().await {
            Ok(report) => report,
            Err(_) => {
                tracing::error!(%attempt, "a bug stopped a call");
                self.broken_off(&tenant, &attempt).await
            }
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("epoch", &self.inner.epoch).finish_non_exhaustive()
    }
}
