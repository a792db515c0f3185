//! `zvonar ledger`: the books, checked.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use zvonar_dialer::{CallFilter, Tables};

use super::Failure;
use crate::config::Config;
use crate::host;

/// What can be done with the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Work every charge out again from its record, and compare charges, lines and balances.
    Verify {
        /// The configuration of the host.
        #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
        config: PathBuf,
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
    }
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
            faults += found.fault_count;
        }
        host::close_store(store).await?;
        Ok::<_, Failure>(faults)
    })?;
    if faults == 0 { Ok(()) } else { Err("the books are wrong: see the lines above".into()) }
}
