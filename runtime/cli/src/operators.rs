//! Operators of a running host: who may register, and what their own telephones may dial.

use std::collections::BTreeMap;
use std::sync::Arc;

use zvonar_dialer::Dialer;
use zvonar_dialer::operators::{DeskControl, Staff, StoredDesk};
use zvonar_model::TenantId;
use zvonar_switch::clock;

use crate::commands::Failure;
use crate::config::Config;

/// The operators of all tenants; their telephones are let in.
pub(crate) async fn staff(
    config: &Config,
    dialers: &BTreeMap<TenantId, Dialer>,
) -> Result<BTreeMap<TenantId, Staff>, Failure> {
    let mut all = BTreeMap::new();
    for tenant in &config.tenants {
        let tables = dialers[&tenant.id].tables(&tenant.id);
        let desk: Arc<dyn DeskControl> = Arc::new(StoredDesk::new(tables.clone(), Arc::new(clock::wall)));
        let staff = Staff::new(tables, tenant.grant.operators, &config.phones.realm, desk, rand::random());
        for operator in staff.open().await? {
            eprintln!(
                "{}: the password of operator {operator} was set for another realm than `{}`: his telephone cannot \
                 register before `zvonar operator password {operator}`",
                tenant.id, config.phones.realm
            );
        }
        all.insert(tenant.id.clone(), staff);
    }
    Ok(all)
}
