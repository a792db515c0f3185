//! The subscription fee: looked at when the host begins, and every minute.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use zvonar_dialer::Dialer;
use zvonar_model::TenantId;

/// How often is looked: a month begins no later than that.
const ROUND: Duration = Duration::from_secs(60);

/// Charges the places of all tenants' operators when they are due, until `over`.
pub(crate) async fn keep(dialers: &BTreeMap<TenantId, Dialer>, mut over: watch::Receiver<bool>) {
    loop {
        for (tenant, dialer) in dialers {
            match dialer.tables(tenant).charge_seats(dialer.now()).await {
                Ok(fees) => {
                    fees.iter().for_each(|fee| tracing::info!(%tenant, sum = %fee.sum, "{}", fee.why))
                }
                Err(why) => {
                    tracing::error!(%tenant, %why, "the fees of operators were not charged; tried again in a minute")
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            _ = over.wait_for(|over| *over) => return,
        }
    }
}
