//! What SMSC tells of a tenant's messages: who may say so, and who hears it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use zvonar_dialer::{Heard, TextNews, Texts};
use zvonar_gateways::smsc::{Callback, Secret};
use zvonar_model::TenantId;

use crate::config::Config;

/// The tenants' offices, and the secret words of their accounts.
pub(crate) struct News {
    texts: Texts,
    secrets: BTreeMap<TenantId, Secret>,
}

impl News {
    pub(crate) fn new(config: &Config, texts: Texts) -> Self {
        let secrets = config.tenants.iter().filter_map(|tenant| {
            let secret = tenant.sms.as_ref()?.callback_secret.clone()?;
            Some((tenant.id.clone(), secret))
        });
        Self { texts, secrets: secrets.collect() }
    }
}

#[async_trait]
impl TextNews for News {
    fn secret(&self, tenant: &TenantId) -> Option<Secret> {
        self.secrets.get(tenant).cloned()
    }

    async fn news(&self, tenant: &TenantId, news: &Callback) -> zvonar_dialer::Result<Heard> {
        Ok(if self.texts.news(tenant, news).await? { Heard::Taken } else { Heard::Unknown })
    }
}
