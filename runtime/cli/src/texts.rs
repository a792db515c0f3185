//! Text messages of a running host: an office for each tenant that has an account.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use zvonar_dialer::{Dialer, Policy, Post, Tables, TextOffice, Texts};
use zvonar_gateways::Gateway;
use zvonar_gateways::smsc::{Secret, Smsc};
use zvonar_model::TenantId;
use zvonar_switch::clock;

use crate::commands::Failure;
use crate::config::Config;

/// How long a host that is to end by itself waits until its messages are with the gateway, and how often it looks.
const LAST_MESSAGES: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

/// The offices, before they are kept.
pub(crate) struct Offices {
    offices: BTreeMap<TenantId, (TextOffice, Arc<dyn Gateway>)>,
    /// The words that news is signed with.
    secrets: BTreeMap<TenantId, Secret>,
}

impl Offices {
    /// Makes them; asks nobody yet. Those who share an account share its few questions at once.
    pub(crate) fn open(config: &Config, policies: &BTreeMap<TenantId, Policy>) -> Result<Self, Failure> {
        let (mut offices, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        let mut accounts: BTreeMap<&str, Arc<Smsc>> = BTreeMap::new();
        for tenant in &config.tenants {
            let Some(sms) = &tenant.sms else { continue };
            let gateway = Smsc::new(sms.settings.clone())
                .map_err(|why| format!("text messages of tenant {}: {why}", tenant.id))?;
            let gateway = Arc::new(match accounts.get(&*sms.rules.account) {
                Some(other) => gateway.sharing(other),
                None => gateway,
            });
            accounts.entry(&sms.rules.account).or_insert_with(|| Arc::clone(&gateway));
            secrets.extend(sms.callback_secret.clone().map(|secret| (tenant.id.clone(), secret)));
            let register = Arc::clone(&policies[&tenant.id].register);
            let office = TextOffice::new(sms.rules.clone(), register, Arc::new(clock::wall));
            offices.insert(tenant.id.clone(), (office, gateway as Arc<dyn Gateway>));
        }
        Ok(Self { offices, secrets })
    }

    /// Where calls put their messages.
    pub(crate) fn posts(&self) -> BTreeMap<TenantId, Post> {
        self.offices.iter().map(|(tenant, (office, _))| (tenant.clone(), office.post())).collect()
    }

    /// For whoever has something to tell them.
    pub(crate) fn texts(&self) -> Texts {
        let mut texts = Texts::default();
        for (tenant, (office, _)) in &self.offices {
            texts.add(tenant.clone(), office, self.secrets.get(tenant).cloned());
        }
        texts
    }

    /// Keeps all of them until told to stop.
    pub(crate) fn keep(
        self,
        dialers: &BTreeMap<TenantId, Dialer>,
        stop: &watch::Receiver<bool>,
    ) -> JoinSet<Result<(), Failure>> {
        let mut kept = JoinSet::new();
        for (tenant, (office, gateway)) in self.offices {
            let (dialer, stop) = (dialers[&tenant].clone(), stop.clone());
            kept.spawn(async move {
                let told = tenant.clone();
                let done = office.keep(dialer, tenant, gateway, stop).await;
                done.map_err(|why| {
                    format!("text messages of tenant {told} are not sent any more: {why}").into()
                })
            });
        }
        kept
    }
}

/// Waits a little until what was decided is with the gateway, unless something keeps it.
pub(crate) async fn settled(tables: &[Tables]) {
    let all = async {
        for tables in tables {
            loop {
                let kept = tables.outbox_state(clock::wall()).await.map(|state| state.trouble.is_some());
                let waiting = tables.texts_waiting().await;
                if kept.unwrap_or(true) || waiting.unwrap_or(0) == 0 {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    };
    // What is still with us goes out after the next start.
    let _ = tokio::time::timeout(LAST_MESSAGES, all).await;
}
