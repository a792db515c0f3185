//! A month of dialling in a minute: projects of several tenants, leads in the eleven zones of Russia, a store that loses
//! answers, a program that dies and is started again. Everything that the telephones saw is then held against an oracle
//! that shares no line with the rules it judges.
//!
//! One seed gives one month. `ZVONAR_MONTH=full` is the size of `./zv month`; `ZVONAR_SEED` repeats a month.

mod oracle;
mod world;

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use zvonar_dialer::Dialer;
use zvonar_ledger::PriceList;
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{MemoryStore, SharedStore};

use world::{Exchange, Plan, Wall};

/// How large a month is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) tenants: u32,
    pub(crate) projects: u32,
    pub(crate) leads: u32,
    /// How often the program dies.
    deaths: u32,
}

const SMALL: Size = Size { tenants: 3, projects: 5, leads: 200, deaths: 6 };
const FULL: Size = Size { tenants: 10, projects: 5, leads: 4_000, deaths: 12 };

#[test]
fn a_month_keeps_every_rule_for_every_lead_and_every_kopeck() {
    let size = match std::env::var("ZVONAR_MONTH").as_deref() {
        Ok("full") => FULL,
        _ => SMALL,
    };
    let seed = std::env::var("ZVONAR_SEED").map_or(20_260_216, |seed| seed.parse().expect("a number"));
    eprintln!("seed {seed}, {size:?}");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(month(size, seed));
}

async fn month(size: Size, seed: u64) {
    let wall = Wall::new();
    let plan = Arc::new(Plan::new(size, seed));
    let exchange = Exchange::new(Arc::clone(&plan), wall.clone(), seed);
    let disk: SharedStore = Arc::new(MemoryStore::default());
    let mut dice = StdRng::seed_from_u64(seed ^ 0xdead);
    let mut deaths = Vec::new();

    let dialer = |store: SharedStore, life: u64| {
        let clock = wall.clone().clock();
        Dialer::new(store, Arc::new(PriceList::default()), exchange.clone(), clock, seed ^ (life << 32))
    };
    plan.store(&dialer(disk.clone(), u64::MAX)).await;

    // About so many commits make the month: the deaths are spread over them.
    let commits = u64::from(size.tenants * size.projects * size.leads) * 5;
    for life in 0.. {
        let last = life == u64::from(size.deaths);
        let mut faults: Vec<(u64, Fault)> = Vec::new();
        let share = commits / u64::from(size.deaths + 1);
        for _ in 0..20 {
            let kind = if dice.random_bool(0.5) { Fault::LostBefore } else { Fault::LostAfter };
            faults.push((dice.random_range(1..=share.max(40)), kind));
        }
        if !last {
            let kind = if dice.random_bool(0.5) { Fault::CrashBefore } else { Fault::CrashAfter };
            faults.push((dice.random_range(1..=share.max(40)), kind));
        }
        let store = FaultStore::new(disk.clone(), faults);
        let dialer = dialer(store.clone(), life);
        let end = wall.until_the_end();
        tokio::select! {
            biased;
            () = store.crashed() => {
                deaths.push(wall.now());
                // The host is started again some minutes later.
                tokio::time::sleep(Duration::from_secs(dice.random_range(5..600))).await;
            }
            () = dial(&dialer, &plan) => break,
            () = tokio::time::sleep(end) => break,
        }
    }
    eprintln!("{} deaths, {} calls, ends at {:?}", deaths.len(), exchange.calls(), wall.now());
    let quiet = dialer(disk, u64::MAX - 1);
    oracle::judge(&quiet, &plan, &exchange.log(), &deaths, wall.now()).await;
}

/// What a host does: settles what the last one left, and runs all projects until they are done.
async fn dial(dialer: &Dialer, plan: &Plan) {
    let mut runs = JoinSet::new();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    for tenant in &plan.tenants {
        dialer.recover(tenant).await.unwrap();
    }
    for project in &plan.projects {
        let (dialer, stopped) = (dialer.clone(), stopped.clone());
        let (tenant, id) = (project.tenant.clone(), project.id.clone());
        runs.spawn(async move { dialer.run(&tenant, &id, None, stopped).await });
    }
    while let Some(ended) = runs.join_next().await {
        ended.unwrap().unwrap();
    }
}
