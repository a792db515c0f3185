//! The webhooks of a running host: who brings the letters of each tenant, and the tasks that have them brought.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use zvonar_dialer::Tables;
use zvonar_dialer::hooks::HookSetup;
use zvonar_gateways::webhook::Endpoint;
use zvonar_model::TenantId;
use zvonar_switch::clock;

use crate::commands::Failure;
use crate::config::Config;

/// The webhooks of all tenants; every one that cannot be is told.
pub(crate) fn setups(config: &Config) -> Result<BTreeMap<TenantId, Vec<HookSetup>>, Failure> {
    let (mut setups, mut faults) = (BTreeMap::new(), Vec::new());
    for tenant in &config.tenants {
        let mut hooks = Vec::new();
        for webhook in &tenant.webhooks {
            match Endpoint::new(webhook.endpoint.clone()) {
                Ok(endpoint) => {
                    hooks.push(HookSetup { hook: webhook.hook.clone(), courier: Arc::new(endpoint) });
                }
                Err(why) => faults.push(format!("webhook {} of {}: {why}", webhook.hook.name, tenant.id)),
            }
        }
        setups.insert(tenant.id.clone(), hooks);
    }
    if faults.is_empty() { Ok(setups) } else { Err(faults.join("\n").into()) }
}

/// Tells all tenants' webhooks what happens, until `over`.
pub(crate) async fn keep(all: Vec<(Tables, Vec<HookSetup>)>, over: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    for (tables, hooks) in all {
        let over = over.clone();
        tasks.spawn(async move {
            let tenant = tables.tenant().clone();
            if let Err(why) = tables.keep_hooks(hooks, Arc::new(clock::wall), over).await {
                tracing::error!(%tenant, error = &why as &dyn std::error::Error, "the webhooks of a tenant have not begun");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(bug) = ended {
            tracing::error!(%bug, "a bug stopped the webhooks of a tenant");
        }
    }
}
