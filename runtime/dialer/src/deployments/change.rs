//! The changes of what is in use: checked, stored in one commit, swapped in.

use std::sync::Arc;

use zvonar_model::{ScenarioName, TenantId};
use zvonar_scenario::rollout::Health;
use zvonar_scenario::{Lineup, Manifest, Package, archive};
use zvonar_store::{Sha256, collect, source_of};

use super::care::health;
use super::package::{blocking, open, relative};
use super::{Changed, Code, DeployError, Inner, Result, RolloutEvent, Shop, Upload};
use crate::DialerError;
use crate::conversation::Scene;
use crate::tables::{Deployment, Read, Release, Withdrawn};

/// How many scenarios one tenant may have.
const MAX_SCENARIOS: usize = 100;
/// Where a note is cut, in bytes.
const NOTE_BYTES: usize = 500;

impl Inner {
    pub(super) fn shop(&self, tenant: &TenantId) -> Result<&Arc<Shop>> {
        // Whoever asks was told apart by the same list of tenants.
        self.shops.get(tenant).ok_or(DeployError::Bug)
    }

    /// The stored deployment of a scenario by the name that somebody wrote.
    pub(super) async fn deployment(
        &self,
        shop: &Shop,
        name: &str,
    ) -> Result<(ScenarioName, Read<Deployment>)> {
        if let Ok(name) = ScenarioName::new(name)
            && let Some(read) = shop.tables.read_deployment(&name).await?
        {
            return Ok((name, read));
        }
        let known = shop.tables.deployments().await?;
        let known = list(known.iter().map(|deployment| deployment.scenario.to_string()));
        Err(DeployError::NoScenario { name: name.chars().take(64).collect(), known })
    }

    pub(super) async fn restore(
        &self,
        tenant: &TenantId,
        shop: &Shop,
        deployment: &Deployment,
    ) -> Result<()> {
        let name = &deployment.scenario;
        let live = self.code(tenant, shop, name, deployment.live).await?;
        // It was refused when it was deployed: since then the host has lost its recogniser. Keys still work.
        if let Err(why) = live.what().module.manifest().check_speech(self.hears.as_deref()) {
            tracing::error!(%tenant, "{why}");
        }
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
    pub(super) async fn bring(
        &self,
        tenant: &TenantId,
        package: Package,
        upload: Upload,
        configured: Option<String>,
    ) -> Result<Changed> {
        let shop = self.shop(tenant)?;
        let name = scenario_name(&package.manifest)?;
        let mut wrong = shop.check_uses(&package.manifest);
        wrong.extend(package.manifest.check_speech(self.hears.as_deref()).err());
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
        let scene = {
            let _alone = self.compiling.acquire().await.map_err(|_| DeployError::Closed)?;
            self.load(package).await?
        };
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
    pub(super) async fn same(
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

    pub(super) async fn promote(&self, tenant: &TenantId, name: &str) -> Result<Changed> {
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

    pub(super) async fn set_canary(&self, tenant: &TenantId, name: &str, percent: u8) -> Result<Changed> {
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

    pub(super) async fn rollback(
        &self,
        tenant: &TenantId,
        name: &str,
        to: Option<u32>,
        why: String,
    ) -> Result<Changed> {
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
        let manifest = code.what().module.manifest();
        let mut wrong = shop.check_uses(manifest);
        wrong.extend(manifest.check_speech(self.hears.as_deref()).err());
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

    pub(super) async fn changed(
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
    pub(super) async fn swap(
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

    pub(super) fn tell(&self, tenant: &TenantId, scenario: &ScenarioName, text: String) {
        tracing::info!(%tenant, %scenario, "{text}");
        if let Some(events) = &self.events {
            // Full or gone: versions do not wait for whoever looks on.
            let scenario = scenario.to_string();
            let _ = events.try_send(RolloutEvent { tenant: tenant.clone(), scenario, text });
        }
    }

    /// The code of a version: what calls have already, or loaded from the store.
    pub(super) async fn code(
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
        // It was compiled when it was deployed: a rollback does not wait for what somebody else has compiled now.
        let scene = self.load(package).await;
        drop(blocking(move || drop(folder)).await);
        Ok(Arc::new(Code::new(number, scene?, health(&release))))
    }

    /// Compiles and encodes.
    async fn load(&self, package: Package) -> Result<Scene> {
        let engine = self.engine.clone();
        let loaded = blocking(move || {
            Scene::load(&engine, &package).map_err(|faults| relative(faults, &package.folder))
        });
        loaded.await?.map_err(DeployError::Refused)
    }
}

impl Shop {
    /// Whether a scenario takes the settings of everybody who runs it.
    pub(super) fn check_uses(&self, manifest: &Manifest) -> Vec<String> {
        let used = self.uses.iter().filter(|used| used.scenario.as_str() == manifest.name);
        let wrong = used.filter_map(|used| Some((used, manifest.fill_settings(&used.settings).err()?)));
        wrong
            .flat_map(|(used, faults)| faults.into_iter().map(move |why| format!("{}: {why}", used.whose)))
            .collect()
    }
}

pub(super) fn scenario_name(manifest: &Manifest) -> Result<ScenarioName> {
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
