//! What a gateway of text messages tells by itself, on its way to whoever keeps the messages.

use async_trait::async_trait;
use zvonar_gateways::smsc::{Callback, Secret};
use zvonar_model::TenantId;

use crate::Result;

/// What became of a piece of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is stored, or was before.
    Taken,
    /// The tenant has no message of this number.
    Unknown,
}

/// Whoever keeps the text messages of all tenants.
#[async_trait]
pub trait TextNews: Send + Sync {
    /// The secret word with which the gateway signs what it tells this tenant; `None`: it tells him nothing.
    fn secret(&self, tenant: &TenantId) -> Option<Secret>;

    /// Takes in news whose signature is right. It may be late, come twice and out of order.
    ///
    /// # Errors
    /// The store failed: the gateway is asked to tell it again.
    async fn news(&self, tenant: &TenantId, news: &Callback) -> Result<Heard>;
}
