//! Which module is live for whom, and its swap under running calls.
//!
//! A swap costs about a microsecond and no running call notices: calls in progress finish on the module they started
//! with, new ones start on the new, and the old code is freed with its last call.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;
use zvonar_model::TenantId;

use crate::Module;

/// The live module of each (tenant, scenario name).
#[derive(Debug, Default)]
pub struct Registry {
    slots: RwLock<BTreeMap<(TenantId, String), Slot>>,
}

/// The place of one scenario. Clones look at the same place and follow its swaps.
#[derive(Debug, Clone)]
pub struct Slot(Arc<ArcSwap<Module>>);

impl Slot {
    /// The module to start the next call on.
    pub fn load(&self) -> Arc<Module> {
        self.0.load_full()
    }
}

impl Registry {
    /// Makes this module the live one under its manifest's name. Gives back the one it replaced, which may still have
    /// calls: [`Module::live_sessions`].
    pub fn publish(&self, tenant: &TenantId, module: Arc<Module>) -> Option<Arc<Module>> {
        let mut slots = self.slots.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let key = (tenant.clone(), module.manifest().name.clone());
        match slots.get(&key) {
            Some(slot) => Some(slot.0.swap(module)),
            None => {
                slots.insert(key, Slot(Arc::new(ArcSwap::new(module))));
                None
            }
        }
    }

    /// The place of a scenario; `None` if nothing was published under this name.
    pub fn slot(&self, tenant: &TenantId, name: &str) -> Option<Slot> {
        let slots = self.slots.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        slots.get(&(tenant.clone(), name.to_owned())).cloned()
    }

    /// The live module of a scenario.
    pub fn get(&self, tenant: &TenantId, name: &str) -> Option<Arc<Module>> {
        self.slot(tenant, name).map(|slot| slot.load())
    }
}
