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

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::Instrument;
use zvonar_model::{ScenarioName, TenantId};
use zvonar_scenario::rollout::{Health, Verdict, judge};
use zvonar_scenario::{Engine, Lineup, Manifest, Package, PackageFaults, Registry, archive};
use zvonar_store::{Sha256, collect, source_of};

use crate::conversation::Scene;
use crate::grant::Bucket;
use crate::tables::{Deployment, Read, Release, Tables, Withdrawn};
use crate::{DialerError, Grant, WallClock};

/// How many scenarios one tenant may have.
const MAX_SCENARIOS: usize = 100;
/// Between two looks at the versions' calls.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// How often the counts of calls are written down.
const WRITE_DOWN: Duration = Duration::from_secs(30);
/// When somebody who was told that too much is waiting may come again.
const COME_AGAIN: Duration = Duration::from_secs(5);
/// Where a note is cut, in bytes.
const NOTE_BYTES: usize = 500;
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

/// Why nothing was changed. `Display` is a sentence for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The package is at fault; a sentence for each fault.
    #[error("the package was refused: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// There is no such scenario.
    #[error("there is no scenario `{name}` here; there are: {known}")]
    NoScenario {
        /// As it was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The version was never there, or is kept no more.
    #[error("scenario `{name}` has no v{number}; kept are {kept}")]
    NoVersion {
        /// The scenario.
        name: String,
        /// As it was asked for.
        number: u32,
        /// The numbers that are kept.
        kept: String,
    },
    /// It does not fit what is in use now.
    #[error("{0}")]
    Conflict(String),
    /// Too much of the tenant's is waiting, or came in the last minute.
    #[error("{what}; come again in {} s", .again.as_secs_f64().ceil())]
    TooMany {
        /// Of what.
        what: String,
        /// When to come again.
        again: Duration,
    },
    /// The host is stopping.
    #[error("the host is being stopped: nothing was changed")]
    Closed,
    /// The store, or what is in it.
    #[error(transparent)]
    Dialer(#[from] DialerError),
    /// A file of our own.
    #[error("the host could not write below {folder}: {source}")]
    Scratch {
        /// Where.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A broken invariant.
    #[error("a bug of ours stopped it; the log says more")]
    Bug,
}

type Result<T> = std::result::Result<T, DeployError>;

impl From<zvonar_store::StoreError> for DeployError {
    fn from(error: zvonar_store::StoreError) -> Self {
        Self::Dialer(error.into())
    }
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

/// A scenario, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioView {
    /// What is in use of it.
    pub deployment: Deployment,
    /// The live version.
    pub live: Release,
    /// What is in use now, with the calls on older versions.
    pub lineup: String,
    /// Calls at this moment, on all versions.
    pub calls: u32,
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls get it.
    Live,
    /// Some percent of the calls get it.
    Canary(u8),
    /// A rollback goes to it.
    Previous,
    /// Taken out of use by a rollback.
    Withdrawn,
    /// One of those before.
    Kept,
}

/// A version, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionView {
    /// What is stored of it, with the newest counts.
    pub release: Release,
    /// Where it stands.
    pub state: State,
    /// Calls that have it at this moment.
    pub calls: u32,
}

impl Deployments {
    /// For these tenants. `scratch`: a private folder for what is being unpacked; what a crash left there is removed.
    pub fn new(
        engine: Engine,
        scenes: Arc<Registry<Scene>>,
        tenants: Vec<TenantSetup>,
        clock: WallClock,
        scratch: PathBuf,
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

    /// All scenarios of a tenant, by name.
    pub async fn scenarios(&self, tenant: &TenantId) -> Result<Vec<ScenarioView>> {
        let shop = self.0.shop(tenant)?;
        let mut views = Vec::new();
        for deployment in shop.tables.deployments().await? {
            let Some(live) = shop.tables.release(&deployment.scenario, deployment.live).await? else {
                continue;
            };
            let lineup = self.0.scenes.slot(tenant, deployment.scenario.as_str()).map(|slot| slot.lineup());
            let calls = lineup.as_ref().map_or(0, |lineup| {
                let canary = lineup.canary().map_or(0, |(canary, _)| canary.calls());
                lineup.live().calls() + canary + lineup.older().iter().map(|old| old.calls()).sum::<u32>()
            });
            let lineup =
                lineup.map_or_else(|| format!("v{} could not be loaded", live.number), |l| l.to_string());
            views.push(ScenarioView { deployment, live, lineup, calls });
        }
        Ok(views)
    }

    /// The versions of a scenario that are kept, newest first.
    pub async fn versions(&self, tenant: &TenantId, name: &str) -> Result<Vec<VersionView>> {
        let shop = self.0.shop(tenant)?;
        let (name, read) = self.0.deployment(shop, name).await?;
        let deployment = read.row;
        let lineup = self.0.scenes.slot(tenant, name.as_str()).map(|slot| slot.lineup());
        let view = |mut release: Release| {
            let number = release.number;
            let state = match deployment.canary {
                _ if number == deployment.live => State::Live,
                Some((canary, percent)) if canary == number => State::Canary(percent),
                _ if release.withdrawn.is_some() => State::Withdrawn,
                _ if deployment.previous() == Some(number) => State::Previous,
                _ => State::Kept,
            };
            let code = lineup.as_ref().and_then(|lineup| lineup.find(number));
            if let Some(code) = &code {
                put_health(&mut release, code.health());
            }
            VersionView { release, state, calls: code.map_or(0, |code| code.calls()) }
        };
        Ok(shop.tables.releases(&name).await?.into_iter().map(view).collect())
    }

    /// What a tenant has stored: records of calls and the rest.
    pub fn tables(&self, tenant: &TenantId) -> Option<&Tables> {
        self.0.shops.get(tenant).map(|shop| &shop.tables)
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

impl Inner {
    fn shop(&self, tenant: &TenantId) -> Result<&Arc<Shop>> {
        // Whoever asks was told apart by the same list of tenants.
        self.shops.get(tenant).ok_or(DeployError::Bug)
    }

    /// The stored deployment of a scenario by the name that somebody wrote.
    async fn deployment(&self, shop: &Shop, name: &str) -> Result<(ScenarioName, Read<Deployment>)> {
        if let Ok(name) = ScenarioName::new(name)
            && let Some(read) = shop.tables.read_deployment(&name).await?
        {
            return Ok((name, read));
        }
        let known = shop.tables.deployments().await?;
        let known = list(known.iter().map(|deployment| deployment.scenario.to_string()));
        Err(DeployError::NoScenario { name: name.chars().take(64).collect(), known })
    }

    async fn restore(&self, tenant: &TenantId, shop: &Shop, deployment: &Deployment) -> Result<()> {
        let name = &deployment.scenario;
        let live = self.code(tenant, shop, name, deployment.live).await?;
        let baseline = match deployment.previous().filter(|_| deployment.on_probation) {
            Some(previous) => {
                let release = shop.tables.release(name, previous).await?;
                Some(release.map_or(Health::default(), |release| health(&release)))
            }
            None => None,
        };
        let mut lineup = Lineup::of(live, baseline);
        if let Some((number, percent)) = deployment.canary {
            lineup = lineup.with_canary(self.code(tenant, shop, name, number).await?, percent);
        }
        let lineup = self.scenes.set(tenant, name.as_str(), lineup);
        tracing::info!(%tenant, scenario = %name, %lineup, "in use as before the restart");
        Ok(())
    }

    /// Compiles, stores and swaps in a package that was opened.
    async fn bring(
        &self,
        tenant: &TenantId,
        package: Package,
        upload: Upload,
        configured: Option<String>,
    ) -> Result<Changed> {
        let shop = self.shop(tenant)?;
        let name = scenario_name(&package.manifest)?;
        let wrong = shop.check_uses(&package.manifest);
        if !wrong.is_empty() {
            return Err(DeployError::Refused(wrong));
        }
        let stored = shop.tables.deployments().await?;
        let known = stored.iter().find(|deployment| deployment.scenario == name);
        if known.is_none() {
            if stored.len() >= MAX_SCENARIOS {
                let what = format!("this tenant has {MAX_SCENARIOS} scenarios, as many as one may have");
                return Err(DeployError::Conflict(what));
            }
            if upload.canary.is_some() {
                return Err(no_live_version(&name));
            }
        }
        if let Some(deployment) = known
            && let Some(same) = self.same(tenant, shop, deployment, &package, &upload, &configured).await?
        {
            return Ok(same);
        }
        let mut release = Release {
            scenario: name.clone(),
            number: 0,
            digest: package.digest.clone(),
            component: package.sha256.clone(),
            version: package.manifest.version.clone(),
            archive: Sha256::of(&upload.archive).to_string(),
            bytes: upload.archive.len() as u64,
            at: (self.clock)(),
            by: upload.by,
            note: crate::projects::cut(&upload.note, NOTE_BYTES),
            calls: 0,
            faults: 0,
            without_result: 0,
            withdrawn: None,
        };
        let scene = self.load(package).await?;
        let blob = source_of(upload.archive.clone());
        shop.tables.store.put_blob(Sha256::of(&upload.archive), blob).await?;

        let _change = shop.change.lock().await;
        let before = shop.tables.read_deployment(&name).await?;
        let now = (self.clock)();
        let mut after = match (before.as_ref().map(|read| read.row.clone()), upload.canary) {
            (None, None) => Deployment::first(name.clone(), now),
            (None, Some(_)) => return Err(no_live_version(&name)),
            (Some(row), None) => row.deployed(now),
            (Some(row), Some(percent)) => row.deployed_as_canary(percent),
        };
        after.configured = configured.or(after.configured);
        release.number = after.newest;
        let beside = match upload.canary {
            Some(percent) => Some((self.code(tenant, shop, &name, after.live).await?, percent)),
            None => None,
        };
        let kept = shop.grant.versions as usize;
        if !shop.tables.add_release(&release, before.as_ref(), after.clone(), kept).await? {
            return Err(changed_meanwhile(&name));
        }
        // Stored; from here on nothing may fail.
        let code = Arc::new(Code::new(release.number, scene, Health::default()));
        let in_use = self.scenes.slot(tenant, name.as_str()).map(|slot| slot.lineup());
        let lineup = match beside {
            Some((live, percent)) => {
                let baseline = in_use.and_then(|in_use| in_use.baseline());
                Lineup::of(live, baseline).with_canary(code, percent)
            }
            None => Lineup::of(code, in_use.map(|in_use| in_use.live().health())),
        };
        let told = self.swap(tenant, shop, &name, lineup).await;
        Ok(Changed {
            scenario: name,
            number: release.number,
            version: release.version,
            lineup: told,
            unchanged: false,
        })
    }

    /// When the very same package is in use already, there is nothing to do but to remember what the configuration says.
    async fn same(
        &self,
        tenant: &TenantId,
        shop: &Shop,
        deployment: &Deployment,
        package: &Package,
        upload: &Upload,
        configured: &Option<String>,
    ) -> Result<Option<Changed>> {
        let name = &deployment.scenario;
        let in_use = self.scenes.slot(tenant, name.as_str()).map(|slot| slot.lineup());
        let live = shop.tables.release(name, deployment.live).await?;
        let (Some(in_use), Some(live)) = (in_use, live) else { return Ok(None) };
        if live.digest != package.digest || upload.canary.is_some() || deployment.canary.is_some() {
            return Ok(None);
        }
        if configured.is_some() && *configured != deployment.configured {
            let _change = shop.change.lock().await;
            if let Some(read) = shop.tables.read_deployment(name).await? {
                let after = Deployment { configured: configured.clone(), ..read.row.clone() };
                if !shop.tables.change_deployment(&read, &after).await? {
                    return Err(changed_meanwhile(name));
                }
            }
        }
        Ok(Some(Changed {
            scenario: name.clone(),
            number: live.number,
            version: live.version,
            lineup: in_use.to_string(),
            unchanged: true,
        }))
    }

    async fn promote(&self, tenant: &TenantId, name: &str) -> Result<Changed> {
        let shop = self.shop(tenant)?;
        let _change = shop.change.lock().await;
        let (name, before) = self.deployment(shop, name).await?;
        let Some(after) = before.row.clone().promoted((self.clock)()) else {
            return Err(DeployError::Conflict(format!(
                "scenario `{name}` has no canary that could go live: deploy one with `canary`"
            )));
        };
        let code = self.code(tenant, shop, &name, after.live).await?;
        let in_use = self.scenes.slot(tenant, name.as_str()).map(|slot| slot.lineup().live().health());
        if !shop.tables.change_deployment(&before, &after).await? {
            return Err(changed_meanwhile(&name));
        }
        let told = self.swap(tenant, shop, &name, Lineup::of(code, in_use)).await;
        self.changed(shop, name, after.live, told).await
    }

    async fn set_canary(&self, tenant: &TenantId, name: &str, percent: u8) -> Result<Changed> {
        let shop = self.shop(tenant)?;
        let _change = shop.change.lock().await;
        let (name, before) = self.deployment(shop, name).await?;
        let in_use = self.scenes.slot(tenant, name.as_str()).map(|slot| slot.lineup());
        let (Some((number, _)), Some(in_use)) = (before.row.canary, in_use) else {
            return Err(DeployError::Conflict(format!(
                "scenario `{name}` has no canary: deploy one with `canary`"
            )));
        };
        let code = self.code(tenant, shop, &name, number).await?;
        let after = Deployment { canary: Some((number, percent)), ..before.row.clone() };
        if !shop.tables.change_deployment(&before, &after).await? {
            return Err(changed_meanwhile(&name));
        }
        let lineup = Lineup::of(Arc::clone(in_use.live()), in_use.baseline()).with_canary(code, percent);
        let told = self.swap(tenant, shop, &name, lineup).await;
        self.changed(shop, name, number, told).await
    }

    async fn rollback(&self, tenant: &TenantId, name: &str, to: Option<u32>, why: String) -> Result<Changed> {
        let shop = self.shop(tenant)?;
        let _change = shop.change.lock().await;
        let (name, before) = self.deployment(shop, name).await?;
        let now = (self.clock)();
        let after = match (to, before.row.canary) {
            (None, Some(_)) => Deployment { canary: None, ..before.row.clone() },
            (Some(number), None) if number == before.row.live => {
                return Err(DeployError::Conflict(format!("v{number} of scenario `{name}` is live already")));
            }
            (Some(number), Some(_)) if number == before.row.live => {
                Deployment { canary: None, ..before.row.clone() }
            }
            (Some(number), _) => before.row.clone().set_live(number, now),
            (None, None) => before.row.clone().rolled_back(now).ok_or_else(|| {
                DeployError::Conflict(format!(
                    "v{} is the first version of scenario `{name}`: there is none to go back to",
                    before.row.live
                ))
            })?,
        };
        let left = match before.row.canary {
            Some((canary, _)) if after.live == before.row.live => canary,
            _ => before.row.live,
        };
        let code = self.code(tenant, shop, &name, after.live).await?;
        let wrong = shop.check_uses(code.what().module.manifest());
        if !wrong.is_empty() {
            return Err(DeployError::Refused(wrong));
        }
        if !shop.tables.change_deployment(&before, &after).await? {
            return Err(changed_meanwhile(&name));
        }
        // The live version stays on probation when only its canary goes.
        let in_use = self.scenes.slot(tenant, name.as_str()).map(|slot| slot.lineup());
        let baseline = in_use.filter(|_| after.live == before.row.live).and_then(|in_use| in_use.baseline());
        let told = self.swap(tenant, shop, &name, Lineup::of(code, baseline)).await;
        let withdrawn = Withdrawn { at: now, why };
        shop.tables.note_release(&name, left, |row| row.withdrawn = Some(withdrawn.clone())).await?;
        shop.tables.note_release(&name, after.live, |row| row.withdrawn = None).await?;
        self.changed(shop, name, after.live, told).await
    }

    async fn changed(
        &self,
        shop: &Shop,
        scenario: ScenarioName,
        number: u32,
        lineup: String,
    ) -> Result<Changed> {
        let release = shop.tables.release(&scenario, number).await?;
        let version = release.map(|release| release.version).unwrap_or_default();
        Ok(Changed { scenario, number, version, lineup, unchanged: false })
    }

    /// Swaps a lineup in, tells it, and writes down what the versions that left had come to.
    async fn swap(
        &self,
        tenant: &TenantId,
        shop: &Shop,
        name: &ScenarioName,
        lineup: Lineup<Scene>,
    ) -> String {
        let before = self.scenes.slot(tenant, name.as_str()).map(|slot| slot.lineup());
        let told = self.scenes.set(tenant, name.as_str(), lineup).to_string();
        self.tell(tenant, name, told.clone());
        if let Some(before) = before {
            self.write_down_of(shop, name, &before).await;
        }
        // Those without calls have left at once.
        self.swept(tenant, shop, name, false).await;
        told
    }

    fn tell(&self, tenant: &TenantId, scenario: &ScenarioName, text: String) {
        tracing::info!(%tenant, %scenario, "{text}");
        if let Some(events) = &self.events {
            // Full or gone: versions do not wait for whoever looks on.
            let scenario = scenario.to_string();
            let _ = events.try_send(RolloutEvent { tenant: tenant.clone(), scenario, text });
        }
    }

    /// The code of a version: what calls have already, or loaded from the store.
    async fn code(
        &self,
        tenant: &TenantId,
        shop: &Shop,
        name: &ScenarioName,
        number: u32,
    ) -> Result<Arc<Code>> {
        if let Some(slot) = self.scenes.slot(tenant, name.as_str())
            && let Some(code) = slot.lineup().find(number)
        {
            return Ok(code);
        }
        let Some(release) = shop.tables.release(name, number).await? else {
            let kept = shop.tables.releases(name).await?;
            let kept = list(kept.iter().map(|release| format!("v{}", release.number)));
            return Err(DeployError::NoVersion { name: name.to_string(), number, kept });
        };
        let missing = |what: &str| {
            let key = shop.tables.keys.release(name, number);
            DeployError::Dialer(DialerError::Unreadable { key, what: what.into() })
        };
        let sha = Sha256::parse(&release.archive).ok_or_else(|| missing("its archive has no good name"))?;
        let blob = shop.tables.store.get_blob(sha).await?;
        let blob = blob.ok_or_else(|| missing("its archive is not in the store"))?;
        let bytes = collect(blob, usize::try_from(archive::MAX_ARCHIVE_BYTES).unwrap_or(usize::MAX)).await?;
        let scratch = self.scratch.clone();
        let (folder, package) = blocking(move || open(&bytes, &scratch)).await??;
        let scene = self.load(package).await;
        drop(blocking(move || drop(folder)).await);
        Ok(Arc::new(Code::new(number, scene?, health(&release))))
    }

    /// Compiles and encodes, one package at a time.
    async fn load(&self, package: Package) -> Result<Scene> {
        let _alone = self.compiling.acquire().await.map_err(|_| DeployError::Closed)?;
        let engine = self.engine.clone();
        let loaded = blocking(move || {
            Scene::load(&engine, &package).map_err(|faults| relative(faults, &package.folder))
        });
        loaded.await?.map_err(DeployError::Refused)
    }

    /// One look at all versions in use.
    async fn look(&self) {
        for (tenant, name, slot) in self.scenes.slots() {
            let Some(shop) = self.shops.get(&tenant) else { continue };
            let Ok(name) = ScenarioName::new(&name) else { continue };
            self.swept(&tenant, shop, &name, true).await;
            let lineup = slot.lineup();
            let canary = lineup.canary().map(|(canary, _)| judge(lineup.live().health(), canary.health()));
            let live = lineup.baseline().map(|baseline| judge(baseline, lineup.live().health()));
            drop(lineup);
            let (why, to) = match (canary, live) {
                (Some(Verdict::Worse(why)), _) => (why, None),
                (_, Some(Verdict::Worse(why))) => {
                    let stored = shop.tables.deployment(&name).await.ok().flatten();
                    (why, stored.and_then(|deployment| deployment.previous()))
                }
                (_, Some(Verdict::Trusted)) => {
                    self.trusted(&tenant, shop, &name).await;
                    continue;
                }
                _ => continue,
            };
            let why = format!("rolled back automatically: {why}");
            self.tell(&tenant, &name, why.clone());
            if let Err(error) = self.rollback(&tenant, name.as_str(), to, why).await {
                tracing::error!(%tenant, scenario = %name, %error, "the rollback failed");
                self.tell(&tenant, &name, format!("the rollback failed: {error}"));
                // Not again at every call.
                self.scenes.trust(&tenant, name.as_str());
            }
        }
    }

    async fn trusted(&self, tenant: &TenantId, shop: &Shop, name: &ScenarioName) {
        let _change = shop.change.lock().await;
        self.scenes.trust(tenant, name.as_str());
        let stored = async {
            if let Some(read) = shop.tables.read_deployment(name).await? {
                let after = Deployment { on_probation: false, ..read.row.clone() };
                shop.tables.change_deployment(&read, &after).await?;
            }
            Ok::<_, DialerError>(())
        };
        if let Err(error) = stored.await {
            tracing::warn!(%tenant, scenario = %name, %error, "a version that is trusted was not written down");
        }
    }

    /// Takes the versions out of sight whose last call has ended.
    async fn swept(&self, tenant: &TenantId, shop: &Shop, name: &ScenarioName, tell: bool) {
        for (number, health) in self.scenes.sweep(tenant, name.as_str()) {
            if tell && let Some(slot) = self.scenes.slot(tenant, name.as_str()) {
                self.tell(tenant, name, format!("{}; the last call on v{number} has ended", slot.lineup()));
            }
            self.note_health(shop, name, number, health).await;
        }
    }

    async fn write_down(&self) {
        for (tenant, name, slot) in self.scenes.slots() {
            if let (Some(shop), Ok(name)) = (self.shops.get(&tenant), ScenarioName::new(&name)) {
                self.write_down_of(shop, &name, &slot.lineup()).await;
            }
        }
    }

    async fn write_down_of(&self, shop: &Shop, name: &ScenarioName, lineup: &Lineup<Scene>) {
        let older = lineup.older();
        let here = [Some(lineup.live()), lineup.canary().map(|(canary, _)| canary)];
        for code in here.into_iter().flatten().chain(&older) {
            self.note_health(shop, name, code.number(), code.health()).await;
        }
    }

    async fn note_health(&self, shop: &Shop, name: &ScenarioName, number: u32, health: Health) {
        let noted = shop.tables.note_release(name, number, |row| put_health(row, health)).await;
        if let Err(error) = noted {
            tracing::warn!(scenario = %name, number, %error, "the calls of a version were not written down");
        }
    }
}

impl Shop {
    /// Whether a scenario takes the settings of everybody who runs it.
    fn check_uses(&self, manifest: &Manifest) -> Vec<String> {
        let used = self.uses.iter().filter(|used| used.scenario.as_str() == manifest.name);
        let wrong = used.filter_map(|used| Some((used, manifest.fill_settings(&used.settings).err()?)));
        wrong
            .flat_map(|(used, faults)| faults.into_iter().map(move |why| format!("{}: {why}", used.whose)))
            .collect()
    }
}

/// Comes back when it is time to stop. A sender that is gone means the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn health(release: &Release) -> Health {
    Health { calls: release.calls, faults: release.faults, without_result: release.without_result }
}

/// The counts only grow: a late writer takes nothing back.
fn put_health(release: &mut Release, health: Health) {
    if health.calls >= release.calls {
        release.calls = health.calls;
        release.faults = health.faults;
        release.without_result = health.without_result;
    }
}

fn scenario_name(manifest: &Manifest) -> Result<ScenarioName> {
    ScenarioName::new(&manifest.name)
        .map_err(|why| DeployError::Refused(vec![format!("scenario.toml: {why}")]))
}

fn no_live_version(name: &ScenarioName) -> DeployError {
    DeployError::Conflict(format!(
        "scenario `{name}` has no live version that a canary could be compared with: deploy it without `canary` first"
    ))
}

fn changed_meanwhile(name: &ScenarioName) -> DeployError {
    DeployError::Conflict(format!(
        "scenario `{name}` was changed by somebody else meanwhile: look and try again"
    ))
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Unpacks an archive into a folder of its own below `scratch`, which goes with the guard, and opens it.
fn open(archive: &[u8], scratch: &Path) -> Result<(tempfile::TempDir, Package)> {
    let folder = tempfile::Builder::new().prefix("package-").tempdir_in(scratch);
    let folder = folder.map_err(|source| DeployError::Scratch { folder: scratch.to_owned(), source })?;
    let refused = |faults: Vec<String>| DeployError::Refused(relative(faults, folder.path()));
    archive::unpack(archive, folder.path()).map_err(|faults| refused(sentences(&faults)))?;
    let package = Package::open(folder.path()).map_err(|faults| refused(sentences(&faults)))?;
    Ok((folder, package))
}

fn sentences(PackageFaults(faults): &PackageFaults) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// Paths as the author knows them: the folder is ours.
fn relative(faults: Vec<String>, folder: &Path) -> Vec<String> {
    let folder = format!("{}/", folder.display());
    faults.into_iter().map(|fault| fault.replace(&folder, "")).collect()
}

/// Work that would hold up the calls of this thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|bug| {
        tracing::error!(%bug, "a bug stopped a deployment");
        DeployError::Bug
    })
}

fn make_scratch(scratch: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(scratch)
}
