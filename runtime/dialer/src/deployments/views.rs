//! What is listed of scenarios and their versions.

use zvonar_model::TenantId;

use super::care::put_health;
use super::{Deployments, Result};
use crate::tables::{Deployment, Release};

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

/// What a scenario has for the operator to whom it hands a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TalkScript {
    /// What people call the scenario.
    pub title: String,
    /// What the operator reads.
    pub script: Option<String>,
    /// The results that it may set, in the order of the reports: he picks from the same.
    pub results: Vec<String>,
}

impl Deployments {
    /// What the live version of a scenario has for operators.
    pub fn talk_script(&self, tenant: &TenantId, scenario: &str) -> Option<TalkScript> {
        let lineup = self.0.scenes.slot(tenant, scenario)?.lineup();
        let manifest = lineup.live().what().module.manifest();
        Some(TalkScript {
            title: manifest.title.clone(),
            script: manifest.operator_script.clone(),
            results: manifest.results.iter().map(|result| result.name.to_string()).collect(),
        })
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
}
