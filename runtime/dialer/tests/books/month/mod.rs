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
use zvonar_campaign::Caps;
use zvonar_dialer::{Dialer, Keep, Policy};
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
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(month(size, seed));
}

async fn month(size: Size, seed: u64) {
    let wall = Wall::new();
    let plan = Arc::new(Plan::new(size, seed));
    let exchange = Exchange::new(Arc::clone(&plan), wall.clone(), seed);
    let disk: SharedStore = Arc::new(MemoryStore::default());
    // Nobody waits until the books of a month are taken apart value by value.
    std::mem::forget(Arc::clone(&disk));
    let mut dice = StdRng::seed_from_u64(seed ^ 0xdead);
    let mut deaths = Vec::new();

    let dialer = |store: SharedStore, life: u64| {
        let clock = wall.clone().clock();
        Dialer::new(store, Arc::new(PriceList::default()), exchange.clone(), clock, seed ^ (life << 32))
    };
    let people = dialer(disk.clone(), u64::MAX);
    plan.store(&people).await;
    let mut meddling = JoinSet::new();
    for at in 0..plan.projects.len() {
        let (plan, people, wall) = (Arc::clone(&plan), people.clone(), wall.clone());
        meddling.spawn(async move { plan.projects[at].meddle(&people, &wall).await });
    }

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
            () = dial(&dialer, &plan) => unreachable!("a host goes on until it is stopped"),
            () = tokio::time::sleep(end) => break,
        }
    }
    while let Some(done) = meddling.join_next().await {
        done.unwrap();
    }
    eprintln!("{} deaths, {} calls, ends at {:?}", deaths.len(), exchange.calls(), wall.now());
    // Whoever was on the telephone when the month ended is settled as after a death.
    deaths.push(wall.now());
    let quiet = dialer(disk, u64::MAX - 1);
    oracle::judge(&quiet, &plan, &exchange.take_log(), &deaths, wall.now()).await;
}

/// What a host does: settles what the last one left, and has a foreman for each tenant.
async fn dial(dialer: &Dialer, plan: &Plan) {
    let mut foremen = JoinSet::new();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    for (tenant, most) in &plan.tenants {
        let caps = Caps { day: most.day, week: most.week, month: most.month };
        let dialer = dialer.clone().with_policy(Policy { caps, ..Policy::default() });
        dialer.recover(tenant).await.unwrap();
        let (tenant, stopped) = (tenant.clone(), stopped.clone());
        foremen.spawn(async move { dialer.keep(&tenant, Keep::default(), stopped).await });
    }
    while let Some(ended) = foremen.join_next().await {
        let halted = ended.unwrap().unwrap();
        assert!(halted.is_empty(), "nothing is to be mended here: {halted:?}");
    }
}
