//! `zvonar ledger`: the books, checked.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use zvonar_dialer::{CallFilter, Tables};
use zvonar_model::{Kopecks, TenantId};
use zvonar_switch::clock;

use super::Failure;
use crate::config::Config;
use crate::host;
use crate::rows::count;

/// What can be done with the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Work every charge out again from its record, and compare charges, lines and balances.
    Verify {
        /// The configuration of the host.
        #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
        config: PathBuf,
    },
    /// Tell what each tenant has paid and spent.
    Balance {
        /// The configuration of the host.
        #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
        config: PathBuf,
        /// {"tenant": …, "paid_kopecks": …, "spent_kopecks": …, "fees_kopecks": …, "left_kopecks": …} a line.
        #[arg(long)]
        json: bool,
    },
    /// Note a payment of a tenant. Sent twice with the same id, it is noted once.
    TopUp {
        /// The configuration of the host.
        #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
        config: PathBuf,
        /// Who pays.
        #[arg(long)]
        tenant: TenantId,
        /// How much.
        #[arg(long)]
        kopecks: i64,
        /// The payment's own id, at the bank for instance.
        #[arg(long)]
        id: String,
    },
    /// Fold the counts of leads and calls anew from the journal, after writing the steps that it lacks.
    Rebuild {
        /// The configuration of the host.
        #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
        config: PathBuf,
    },
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Verify { config } => verify(&config),
        Command::Rebuild { config } => rebuild(&config),
        Command::Balance { config, json } => balance(&config, json),
        Command::TopUp { config, tenant, kopecks, id } => top_up(&config, &tenant, Kopecks(kopecks), &id),
    }
}

fn balance(config: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let prices = host::price_lists(&config)?;
    super::runtime(1)?.block_on(async {
        let store = host::open_store(&config.node.data)?;
        for (tenant, prices) in prices {
            let account = Tables::new(store.clone(), prices, tenant.clone()).account().await?;
            super::say(if json {
                serde_json::json!({
                    "tenant": tenant.as_str(),
                    "paid_kopecks": account.paid.0,
                    "spent_kopecks": account.spent.0,
                    "fees_kopecks": account.fees.0,
                    "left_kopecks": account.left().0,
                })
                .to_string()
            } else {
                let (paid, spent, fees) = (account.paid, account.spent, account.fees);
                let fees = if fees == Kopecks::ZERO { String::new() } else { format!(", {fees} of fees") };
                format!("{tenant}: {paid} paid, {spent} spent{fees}, {} left", account.left())
            })?;
        }
        host::close_store(store).await
    })
}

fn top_up(config: &Path, tenant: &TenantId, kopecks: Kopecks, id: &str) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let prices = host::price_lists(&config)?;
    let Some(prices) = prices.get(tenant).cloned() else {
        return Err(format!("the configuration has no tenant {tenant}").into());
    };
    super::runtime(1)?.block_on(async {
        let store = host::open_store(&config.node.data)?;
        let tables = Tables::new(store.clone(), prices, tenant.clone());
        let new = tables.top_up(id, kopecks, clock::wall()).await?;
        let left = tables.account().await?.left();
        let what = if new { "noted" } else { "was noted before" };
        super::say(format!("{tenant}: payment {id} of {kopecks} {what}; {left} left"))?;
        drop(tables);
        host::close_store(store).await
    })
}

fn rebuild(config: &Path) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let prices = host::price_lists(&config)?;
    super::runtime(1)?.block_on(async {
        let store = host::open_store(&config.node.data)?;
        for (tenant, prices) in prices {
            let tables = Tables::new(store.clone(), prices, tenant.clone());
            tables.rebuild_stats().await?;
            let calls = tables.project_report(&CallFilter::default()).await?.calls;
            super::say(format!("{tenant}: folded anew: {calls}"))?;
        }
        host::close_store(store).await?;
        Ok(())
    })
}

fn verify(config: &Path) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let prices = host::price_lists(&config)?;
    let faults = super::runtime(1)?.block_on(async {
        let store = host::open_store(&config.node.data)?;
        let mut faults = 0;
        for (tenant, prices) in prices {
            let found = Tables::new(store.clone(), prices, tenant.clone()).verify().await?;
            for fault in &found.faults {
                super::say(format!("{tenant}: {fault}"))?;
            }
            super::say(format!(
                "{tenant}: {} records, {} charges, {} in all, {} faults",
                found.records, found.charges, found.sum, found.fault_count
            ))?;
            if found.texts > 0 {
                let doubt = match found.texts_in_doubt {
                    0 => String::new(),
                    count => format!(", {count} in doubt: SMSC is asked what became of them"),
                };
                let unpriced = match found.texts_unpriced {
                    0 => String::new(),
                    count => {
                        format!(", {count} were taken at no price that SMSC would tell, and are not charged")
                    }
                };
                super::say(format!("{tenant}: {}{doubt}{unpriced}", count(found.texts, "text message")))?;
            }
            faults += found.fault_count;
        }
        host::close_store(store).await?;
        Ok::<_, Failure>(faults)
    })?;
    if faults == 0 { Ok(()) } else { Err("the books are wrong: see the lines above".into()) }
}
