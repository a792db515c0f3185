//! Which module is live for whom, and its swap under running calls.
//!
//! A swap costs about a microsecond and no running call notices: calls in progress finish on the module they started
//! with, new ones start on the new, and the old code is freed with its last call.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;
use zvonar_model::TenantId;

use crate::Module;

/// What can be live: a [`Module`], or whatever a host keeps together with one so that both are swapped at once.
pub trait Published {
    /// The manifest's name, under which it is found.
    fn name(&self) -> &str;
}

impl Published for Module {
    fn name(&self) -> &str {
        &self.manifest().name
    }
}

/// The live module of each (tenant, scenario name).
#[derive(Debug)]
pub struct Registry<T = Module> {
    slots: RwLock<BTreeMap<(TenantId, String), Slot<T>>>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { slots: RwLock::default() }
    }
}

/// The place of one scenario. Clones look at the same place and follow its swaps.
#[derive(Debug)]
pub struct Slot<T = Module>(Arc<ArcSwap<T>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Slot<T> {
    /// The module to start the next call on.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }
}

impl<T: Published> Registry<T> {
    /// Makes this module the live one under its manifest's name. Gives back the one it replaced, which may still have
    /// calls: [`Module::live_sessions`].
    pub fn publish(&self, tenant: &TenantId, module: Arc<T>) -> Option<Arc<T>> {
        let mut slots = self.slots.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let key = (tenant.clone(), module.name().to_owned());
        match slots.get(&key) {
            Some(slot) => Some(slot.0.swap(module)),
            None => {
                slots.insert(key, Slot(Arc::new(ArcSwap::new(module))));
                None
            }
        }
    }

    /// The place of a scenario; `None` if nothing was published under this name.
    pub fn slot(&self, tenant: &TenantId, name: &str) -> Option<Slot<T>> {
        let slots = self.slots.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        slots.get(&(tenant.clone(), name.to_owned())).cloned()
    }

    /// The live module of a scenario.
    pub fn get(&self, tenant: &TenantId, name: &str) -> Option<Arc<T>> {
        self.slot(tenant, name).map(|slot| slot.load())
    }
}
