//! What SMSC tells of tenants' messages: who may say so, and who hears it.

use async_trait::async_trait;
use zvonar_dialer::{Heard, TextNews, Texts};
use zvonar_gateways::smsc::{Callback, Secret};
use zvonar_model::TenantId;

/// The tenants' offices.
pub(crate) struct News(pub(crate) Texts);

#[async_trait]
impl TextNews for News {
    fn secret(&self, tenant: &TenantId) -> Option<Secret> {
        self.0.secret(tenant)
    }

    async fn news(&self, tenant: &TenantId, news: &Callback) -> zvonar_dialer::Result<Heard> {
        Ok(if self.0.news(tenant, news).await? { Heard::Taken } else { Heard::Unknown })
    }
}
