//! Versions of scenarios in a running host: deployed, compared, rolled back, remembered.
//!
//! An upload is unpacked, checked, compiled and its sounds encoded while everything goes on as before. Then it is stored,
//! in one commit with what is in use from now on, and swapped in. Stored first: no call ever runs on a version that a
//! restart would not find. A crash before the commit leaves the version before in use and at most an unused blob.
//!
//! # What always holds
//!
//! * Whatever is refused, the versions in use stay in use.
//! * Changes of one tenant's versions come one after the other; of different tenants, beside each other. Compiling is
//!   one at a time for the whole host, and a tenant has at most one upload waiting for it: a flood of uploads delays a
//!   neighbour's by one.
//! * A change that has begun is finished, whoever asked for it has gone or not.

mod care;
mod change;
mod error;
mod package;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::Instrument;
use zvonar_model::{ScenarioName, TenantId};
use zvonar_scenario::{Engine, Package, Registry, archive};

use self::change::scenario_name;
pub use self::error::DeployError;
use self::error::Result;
use self::package::{blocking, make_scratch, open, sentences};
pub use self::views::{ScenarioView, State, TalkScript, VersionView};
use crate::conversation::Scene;
use crate::grant::Bucket;
use crate::tables::Tables;
use crate::{Grant, WallClock};

/// Between two looks at the versions' calls.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// How often the counts of calls are written down.
const WRITE_DOWN: Duration = Duration::from_secs(30);
/// When somebody who was told that too much is waiting may come again.
const COME_AGAIN: Duration = Duration::from_secs(5);
/// By whom the configuration's versions are deployed.
const CONFIGURATION: &str = "configuration";

type Code = zvonar_scenario::Release<Scene>;

/// The versions of all tenants. Clones are the same.
#[derive(Clone)]
pub struct Deployments(Arc<Inner>);

struct Inner {
    engine: Engine,
    scenes: Arc<Registry<Scene>>,
    shops: BTreeMap<TenantId, Arc<Shop>>,
    clock: WallClock,
    scratch: PathBuf,
    /// The language that this host recognises, if any.
    hears: Option<String>,
    compiling: Semaphore,
    events: Option<mpsc::Sender<RolloutEvent>>,
    tasks: Mutex<JoinSet<()>>,
    closed: AtomicBool,
}

/// One tenant's side of it.
struct Shop {
    tables: Tables,
    grant: Grant,
    uses: Vec<Use>,
    bucket: Mutex<Bucket>,
    waiting: Arc<Semaphore>,
    turn: Arc<tokio::sync::Mutex<()>>,
    change: tokio::sync::Mutex<()>,
}

/// One tenant, as [`Deployments::new`] wants to know him.
pub struct TenantSetup {
    /// What he has stored.
    pub tables: Tables,
    /// What he may use.
    pub grant: Grant,
    /// Who runs his scenarios with which settings: a version that does not take them is refused.
    pub uses: Vec<Use>,
}

/// A route or a project that runs a scenario.
#[derive(Debug, Clone)]
pub struct Use {
    /// `project spring`, `route 74950000000`: for sentences.
    pub whose: String,
    /// What it runs.
    pub scenario: ScenarioName,
    /// With which settings.
    pub settings: BTreeMap<String, String>,
}

/// Something that happened to a scenario's versions, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutEvent {
    /// Whose.
    pub tenant: TenantId,
    /// Which scenario.
    pub scenario: String,
    /// `v7 live, 3 calls still on v6`.
    pub text: String,
}

/// A package as somebody sends it.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    /// A `.zvonar` file.
    pub archive: Bytes,
    /// By whom.
    pub by: String,
    /// What was said with it.
    pub note: String,
    /// Only so many percent of the calls get it.
    pub canary: Option<u8>,
}

/// The right to bring one upload: a tenant's come one after the other.
pub struct Turn {
    tenant: TenantId,
    _turn: OwnedMutexGuard<()>,
    _place: OwnedSemaphorePermit,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Of which scenario.
    pub scenario: ScenarioName,
    /// The version that it was about.
    pub number: u32,
    /// Its manifest's version.
    pub version: String,
    /// What is in use now: `v7 live, 3 calls still on v6`.
    pub lineup: String,
    /// The upload was what is live already; nothing was changed.
    pub unchanged: bool,
}

impl Deployments {
    /// For these tenants. `scratch`: a private folder for what is being unpacked; what a crash left there is removed.
    /// `hears`: the language that this host recognises, if any; what listens for another is refused.
    pub fn new(
        engine: Engine,
        scenes: Arc<Registry<Scene>>,
        tenants: Vec<TenantSetup>,
        clock: WallClock,
        scratch: PathBuf,
        hears: Option<String>,
        events: Option<mpsc::Sender<RolloutEvent>>,
    ) -> Result<Self> {
        make_scratch(&scratch).map_err(|source| DeployError::Scratch { folder: scratch.clone(), source })?;
        let now = clock();
        let shop = |setup: TenantSetup| {
            let shop = Shop {
                bucket: Mutex::new(Bucket::full(setup.grant.uploads_per_minute, now)),
                waiting: Arc::new(Semaphore::new(1 + setup.grant.waiting_uploads as usize)),
                turn: Arc::default(),
                change: tokio::sync::Mutex::default(),
                tables: setup.tables,
                grant: setup.grant,
                uses: setup.uses,
            };
            (shop.tables.tenant().clone(), Arc::new(shop))
        };
        Ok(Self(Arc::new(Inner {
            engine,
            scenes,
            shops: tenants.into_iter().map(shop).collect(),
            clock,
            scratch,
            hears,
            compiling: Semaphore::new(1),
            events,
            tasks: Mutex::default(),
            closed: AtomicBool::new(false),
        })))
    }

    /// Puts the stored versions of all tenants into use, as they were before the restart. One that cannot be loaded any
    /// more is told and left out.
    pub async fn restore(&self) -> Result<()> {
        for (tenant, shop) in &self.0.shops {
            for deployment in shop.tables.deployments().await? {
                if let Err(why) = self.0.restore(tenant, shop, &deployment).await {
                    tracing::error!(%tenant, scenario = %deployment.scenario, %why, "a stored version is not in use");
                    self.0.tell(
                        tenant,
                        &deployment.scenario,
                        format!("v{} is not in use: {why}", deployment.live),
                    );
                }
            }
        }
        Ok(())
    }

    /// Deploys a package of the configuration, if it is another than the configuration had the last time; otherwise what
    /// is stored stands. `None`: it stood.
    pub async fn configure(&self, tenant: &TenantId, package: Package) -> Result<Option<Changed>> {
        let shop = self.0.shop(tenant)?;
        let name = scenario_name(&package.manifest)?;
        let stored = shop.tables.deployment(&name).await?;
        let digest = package.digest.clone();
        let live = stored.as_ref().filter(|stored| stored.configured.as_ref() == Some(&digest));
        if live.is_some() && self.0.scenes.slot(tenant, name.as_str()).is_some() {
            return Ok(None);
        }
        let (package, packed) = blocking(move || {
            let packed = archive::pack(&package).map_err(|faults| sentences(&faults));
            (package, packed)
        })
        .await?;
        let archive = Bytes::from(packed.map_err(DeployError::Refused)?);
        let upload = Upload { archive, by: CONFIGURATION.into(), note: String::new(), canary: None };
        let (inner, tenant) = (Arc::clone(&self.0), tenant.clone());
        self.whole(async move { inner.bring(&tenant, package, upload, Some(digest)).await }).await.map(Some)
    }

    /// Whether the versions in use take the settings of the routes and projects that run them: a sentence for each that
    /// does not.
    pub fn check_uses(&self) -> Vec<String> {
        let of_tenant = |(tenant, shop): (&TenantId, &Arc<Shop>)| {
            let names: BTreeSet<&ScenarioName> = shop.uses.iter().map(|used| &used.scenario).collect();
            let in_use = |name: &&ScenarioName| self.0.scenes.slot(tenant, name.as_str());
            let slots: Vec<_> = names.iter().filter_map(in_use).collect();
            slots
                .iter()
                .flat_map(|slot| shop.check_uses(slot.lineup().live().what().module.manifest()))
                .collect::<Vec<_>>()
        };
        self.0.shops.iter().flat_map(of_tenant).collect()
    }

    /// Waits for the tenant's turn to upload. Take it before the upload's bytes are read, so that no more of them are in
    /// memory than are being worked on.
    ///
    /// # Errors
    /// [`DeployError::TooMany`] at once, when too many wait or came in the last minute.
    pub async fn turn(&self, tenant: &TenantId) -> Result<Turn> {
        let shop = self.0.shop(tenant)?;
        let Ok(place) = Arc::clone(&shop.waiting).try_acquire_owned() else {
            let what = format!("{} uploads are waiting already", shop.grant.waiting_uploads);
            return Err(DeployError::TooMany { what, again: COME_AGAIN });
        };
        let taken = shop.bucket.lock().unwrap_or_else(PoisonError::into_inner).take((self.0.clock)());
        taken.map_err(|again| DeployError::TooMany {
            what: format!(
                "{} uploads a minute are granted, and they are spent",
                shop.grant.uploads_per_minute
            ),
            again,
        })?;
        let turn = Arc::clone(&shop.turn).lock_owned().await;
        Ok(Turn { tenant: tenant.clone(), _turn: turn, _place: place })
    }

    /// Deploys an upload: checks, compiles, stores and swaps it in.
    pub async fn deploy(&self, turn: Turn, upload: Upload) -> Result<Changed> {
        let inner = Arc::clone(&self.0);
        self.whole(async move {
            let Turn { tenant, _turn, _place } = turn;
            let scratch = inner.scratch.clone();
            let archive = upload.archive.clone();
            let opened = blocking(move || open(&archive, &scratch)).await?;
            let (folder, package) = opened?;
            let done = inner.bring(&tenant, package, upload, None).await;
            // Not on this thread: a package may have a thousand files.
            drop(blocking(move || drop(folder)).await);
            done
        })
        .await
    }

    /// Makes the canary the live version.
    pub async fn promote(&self, tenant: &TenantId, name: &str) -> Result<Changed> {
        let (inner, tenant, name) = (Arc::clone(&self.0), tenant.clone(), name.to_owned());
        self.whole(async move { inner.promote(&tenant, &name).await }).await
    }

    /// Gives the canary another percent of the calls, 0 to 100.
    pub async fn set_canary(&self, tenant: &TenantId, name: &str, percent: u8) -> Result<Changed> {
        let (inner, tenant, name) = (Arc::clone(&self.0), tenant.clone(), name.to_owned());
        self.whole(async move { inner.set_canary(&tenant, &name, percent).await }).await
    }

    /// Without `to`: takes the canary out of use, or goes back to what was live before. With it: goes to that version.
    pub async fn rollback(
        &self,
        tenant: &TenantId,
        name: &str,
        to: Option<u32>,
        by: &str,
    ) -> Result<Changed> {
        let why = format!("rolled back by {by}");
        let (inner, tenant, name) = (Arc::clone(&self.0), tenant.clone(), name.to_owned());
        self.whole(async move { inner.rollback(&tenant, &name, to, why).await }).await
    }

    /// What a tenant has stored: records of calls and the rest.
    pub fn tables(&self, tenant: &TenantId) -> Option<&Tables> {
        self.0.shops.get(tenant).map(|shop| &shop.tables)
    }

    /// What each tenant has stored, and what he is granted.
    pub fn offices(&self) -> Vec<(Tables, Grant)> {
        self.0.shops.values().map(|shop| (shop.tables.clone(), shop.grant)).collect()
    }

    /// Watches over the versions until told to stop: rolls back what is worse than the version before, tells when the
    /// last call of an old version has ended, and writes the counts down.
    pub async fn keep(&self, mut stop: watch::Receiver<bool>) {
        let news = self.0.scenes.news();
        let mut write_down = tokio::time::interval(WRITE_DOWN);
        write_down.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = told(&mut stop) => break,
                () = news.notified() => {
                    self.0.look().await;
                    tokio::time::sleep(LOOK_PAUSE).await;
                }
                _ = write_down.tick() => self.0.write_down().await,
            }
        }
        self.0.look().await;
        self.0.write_down().await;
    }

    /// Begins nothing more, and waits for the changes that have begun.
    pub async fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(ended) = tasks.join_next().await {
            if let Err(bug) = ended {
                tracing::error!(%bug, "a bug stopped a deployment");
            }
        }
        self.0.write_down().await;
    }

    /// Does something to its end, even when whoever waits for it goes away.
    async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (done, result) = oneshot::channel();
        {
            let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            if self.0.closed.load(Ordering::Acquire) {
                return Err(DeployError::Closed);
            }
            while let Some(ended) = tasks.try_join_next() {
                if let Err(bug) = ended {
                    tracing::error!(%bug, "a bug stopped a deployment");
                }
            }
            let work = async move {
                let _ = done.send(work.await);
            };
            tasks.spawn(work.in_current_span());
        }
        result.await.unwrap_or(Err(DeployError::Bug))
    }
}

/// Comes back when it is time to stop. A sender that is gone means the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
