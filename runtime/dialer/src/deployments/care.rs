//! Watching over the versions in use: what is worse goes back, what has no calls any more is told, what calls came to is
//! written down.

use zvonar_model::{ScenarioName, TenantId};
use zvonar_scenario::Lineup;
use zvonar_scenario::rollout::{Health, Verdict, judge};

use super::{Inner, Shop};
use crate::DialerError;
use crate::conversation::Scene;
use crate::tables::{Deployment, Release};

impl Inner {
    /// One look at all versions in use.
    pub(super) async fn look(&self) {
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

    pub(super) async fn trusted(&self, tenant: &TenantId, shop: &Shop, name: &ScenarioName) {
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
    pub(super) async fn swept(&self, tenant: &TenantId, shop: &Shop, name: &ScenarioName, tell: bool) {
        for (number, health) in self.scenes.sweep(tenant, name.as_str()) {
            if tell && let Some(slot) = self.scenes.slot(tenant, name.as_str()) {
                self.tell(tenant, name, format!("{}; the last call on v{number} has ended", slot.lineup()));
            }
            self.note_health(shop, name, number, health).await;
        }
    }

    pub(super) async fn write_down(&self) {
        for (tenant, name, slot) in self.scenes.slots() {
            if let (Some(shop), Ok(name)) = (self.shops.get(&tenant), ScenarioName::new(&name)) {
                self.write_down_of(shop, &name, &slot.lineup()).await;
            }
        }
    }

    pub(super) async fn write_down_of(&self, shop: &Shop, name: &ScenarioName, lineup: &Lineup<Scene>) {
        let older = lineup.older();
        let here = [Some(lineup.live()), lineup.canary().map(|(canary, _)| canary)];
        for code in here.into_iter().flatten().chain(&older) {
            self.note_health(shop, name, code.number(), code.health()).await;
        }
    }

    pub(super) async fn note_health(&self, shop: &Shop, name: &ScenarioName, number: u32, health: Health) {
        let noted = shop.tables.note_release(name, number, |row| put_health(row, health)).await;
        if let Err(error) = noted {
            tracing::warn!(scenario = %name, number, %error, "the calls of a version were not written down");
        }
    }
}

pub(super) fn health(release: &Release) -> Health {
    Health { calls: release.calls, faults: release.faults, without_result: release.without_result }
}

/// The counts only grow: a late writer takes nothing back.
pub(super) fn put_health(release: &mut Release, health: Health) {
    if health.calls >= release.calls {
        release.calls = health.calls;
        release.faults = health.faults;
        release.without_result = health.without_result;
    }
}
