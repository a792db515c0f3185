//! Operators of a running host: who may register, and what their own telephones may dial.

use std::collections::BTreeMap;
use std::sync::Arc;

use zvonar_dialer::Dialer;
use zvonar_dialer::desks::Desks;
use zvonar_dialer::operators::{DeskControl, ServiceTones, Staff, operator_of_user, serve_code};
use zvonar_model::TenantId;
use zvonar_switch::{IncomingCall, PhoneBook};

use crate::commands::Failure;
use crate::config::{Config, Tenant};

/// Tells whoever forgot the section.
async fn without_telephones(tenant: &Tenant, staff: &Staff) -> Result<(), Failure> {
    if !staff.view().await?.operators.is_empty() {
        eprintln!(
            "{}: there are operators, and neither [phones] nor [tenant.desk] in the configuration: their telephones cannot register",
            tenant.id
        );
    }
    Ok(())
}

/// The operators of all tenants.
pub(crate) struct Operators {
    pub(crate) staff: BTreeMap<TenantId, Staff>,
    tones: ServiceTones,
}

impl Operators {
    /// Lets all telephones register that have a password.
    pub(crate) async fn open(
        config: &Config,
        dialers: &BTreeMap<TenantId, Dialer>,
        book: Option<Arc<PhoneBook>>,
        desks: &Desks,
    ) -> Result<Self, Failure> {
        let mut all = BTreeMap::new();
        for tenant in &config.tenants {
            let tables = dialers[&tenant.id].tables(&tenant.id);
            let desk: Arc<dyn DeskControl> = Arc::new(desks.clone());
            let mut staff = Staff::new(tables, tenant.grant.operators, &config.realm(), desk, rand::random());
            match &book {
                Some(book) => staff = staff.with_accounts(book.clone()),
                None => without_telephones(tenant, &staff).await?,
            }
            for operator in staff.open().await? {
                eprintln!(
                    "{}: the password of operator {operator} was set for another realm than `{}`: his telephone \
                     cannot register before `zvonar operator password {operator}`",
                    tenant.id,
                    staff.realm()
                );
            }
            all.insert(tenant.id.clone(), staff);
        }
        Ok(Self { staff: all, tones: ServiceTones::default() })
    }

    /// A call from a telephone that has proved whose it is.
    pub(crate) async fn take(&self, call: IncomingCall, account: &str) {
        let whose = operator_of_user(account);
        match whose.as_ref().and_then(|(tenant, operator)| Some((self.staff.get(tenant)?, operator))) {
            Some((staff, operator)) => serve_code(call, staff, operator, &self.tones).await,
            None => {
                tracing::warn!(account, "a telephone that is no operator's tried to place a call");
                call.reject(403, "Forbidden").await;
            }
        }
    }
}
