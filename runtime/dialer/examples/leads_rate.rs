//! What a long list costs: `leads_rate DATA TENANT PROJECT [SECONDS]` opens a host's data folder, and tells as one JSON
//! object how long a project with that list takes to start, how long a claim takes while 100 calls a second are settled,
//! and how long counts and reports take meanwhile. `./zv bench leads` makes the list and runs it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use zvonar_campaign::LeadStatus;
use zvonar_dialer::{
    CallFilter, CallOrder, CallReport, Caller, Dialer, LeadFilter, NotPlaced, Order, Reserved, RunStep,
    WallClock,
};
use zvonar_ledger::PriceList;
use zvonar_model::{Millis, Outcome, Phases, ProjectId, SystemResult, TenantId, UnixMillis};
use zvonar_store::{
    Commit, Cursor, Event, Expect, Item, Key, Page, Result as Stored, Sha256, Shard, SharedStore,
    SledOptions, SledStore, Source, Store, Write,
};

/// Rows of a page.
const PAGE: usize = 100;
/// How long each call takes.
const TALK: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "this program measures")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a program's edge")]
fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A store that measures how long commits take.
struct Timed {
    inner: SledStore,
    claims: Mutex<Vec<Duration>>,
    settles: Mutex<Vec<Duration>>,
}

#[async_trait]
impl Store for Timed {
    async fn get(&self, shard: Shard, key: &Key) -> Stored<Option<Item>> {
        self.inner.get(shard, key).await
    }

    async fn commit(&self, shard: Shard, writes: Vec<Write>) -> Stored<Commit> {
        // A claim creates an intent; what deletes one settles.
        let intent = writes.iter().find(|write| write.key.as_str().contains(".intent."));
        let kind = match intent {
            Some(Write { expect: Expect::Absent, .. }) => Some(&self.claims),
            Some(Write { value: None, .. }) => Some(&self.settles),
            _ => None,
        };
        let begun = now();
        let done = self.inner.commit(shard, writes).await;
        if let Some(kind) = kind {
            kind.lock().expect("nobody panics here").push(begun.elapsed());
        }
        done
    }

    async fn scan(&self, shard: Shard, prefix: &Key, after: Cursor, limit: usize) -> Stored<Page> {
        self.inner.scan(shard, prefix, after, limit).await
    }

    async fn watch(
        &self,
        shard: Shard,
        prefix: &Key,
        from: u64,
    ) -> Stored<BoxStream<'static, Stored<Event>>> {
        self.inner.watch(shard, prefix, from).await
    }

    async fn read(&self, shard: Shard, journal: &Key, after: u64, limit: usize) -> Stored<Vec<Item>> {
        self.inner.read(shard, journal, after, limit).await
    }

    async fn put_blob(&self, sha: Sha256, bytes: Source) -> Stored<()> {
        self.inner.put_blob(sha, bytes).await
    }

    async fn get_blob(&self, sha: Sha256) -> Stored<Option<Source>> {
        self.inner.get_blob(sha).await
    }
}

/// Everybody picks up and listens for a second.
struct Everybody;

#[async_trait]
impl Caller for Everybody {
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl Reserved for &Everybody {
    async fn call(self: Box<Self>, _: Order) -> CallReport {
        let answered = wall();
        tokio::time::sleep(TALK).await;
        CallReport {
            answered_at: Some(answered),
            phases: Phases { robot: Millis::from(TALK), ..Phases::default() },
            ..CallReport::unanswered(wall(), Outcome::answered(SystemResult::Connected))
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| {
        arguments.next().ok_or_else(|| format!("leads_rate DATA TENANT PROJECT [SECONDS]: no {what}"))
    };
    let (data, tenant, project) = (PathBuf::from(next("DATA")?), next("TENANT")?, next("PROJECT")?);
    let seconds: u64 = next("SECONDS").map_or(Ok(20), |text| text.parse())?;
    let (tenant, project) = (TenantId::new(&tenant)?, ProjectId::new(&project)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(data, tenant, project, Duration::from_secs(seconds)))
}

async fn measure(
    data: PathBuf,
    tenant: TenantId,
    project: ProjectId,
    length: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let begun = now();
    let store = SledStore::open(&data.join("store"), SledOptions::default())?;
    let opened = begun.elapsed();
    let store = Arc::new(Timed { inner: store, claims: Mutex::default(), settles: Mutex::default() });
    let shared: SharedStore = store.clone();
    let clock: WallClock = Arc::new(wall);
    let dialer =
        Dialer::new(shared, Arc::new(PriceList::default()), Arc::new(Everybody), clock, wall().0 as u64);
    let tables = dialer.tables(&tenant);

    let begun = now();
    let counts = tables.status_counts(&project).await?;
    let first_counts = begun.elapsed();

    let (stop, stopped) = watch::channel(false);
    let (events, mut told) = mpsc::channel(1024);
    let run = tokio::spawn({
        let (dialer, tenant, project) = (dialer.clone(), tenant.clone(), project.clone());
        async move { dialer.run(&tenant, &project, Some(events), stopped).await }
    });
    let begun = now();
    let started = loop {
        match told.recv().await {
            Some(event) if event.what == RunStep::Begun => break begun.elapsed(),
            Some(_) => {}
            None => return Err(format!("the project did not start: {:?}", run.await).into()),
        }
    };
    let drain = tokio::spawn(async move { while told.recv().await.is_some() {} });

    // The lines are full after a second. Nobody asks for anything while claims are measured.
    tokio::time::sleep(Duration::from_secs(2)).await;
    store.claims.lock().expect("nobody panics here").clear();
    store.settles.lock().expect("nobody panics here").clear();
    let begun = now();
    tokio::time::sleep(length).await;
    let over = begun.elapsed();
    let settles = store.settles.lock().expect("nobody panics here").clone();
    let claims = store.claims.lock().expect("nobody panics here").clone();

    // What people ask for while it goes on.
    let mut looks: Vec<(&str, Vec<Duration>)> = Vec::new();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        look(&mut looks, "counts", tables.status_counts(&project)).await?;
        let all = CallFilter::default();
        look(&mut looks, "projects", tables.project_report(&all)).await?;
        let newest = CallOrder::NewestFirst;
        look(&mut looks, "calls", tables.call_page(&all, false, newest, None, PAGE)).await?;
        look(&mut looks, "last", tables.call_page(&all, true, newest, None, PAGE)).await?;
        let new = LeadFilter::status(LeadStatus::New);
        look(&mut looks, "contacts", tables.contact_page(&project, &new, None, PAGE)).await?;
    }
    stop.send_replace(true);
    run.await??;
    drain.await?;
    let looks: serde_json::Map<String, serde_json::Value> = looks
        .into_iter()
        .map(|(name, times)| {
            (name.to_owned(), json!({ "p50_ms": quantile(&times, 0.5), "max_ms": quantile(&times, 1.0) }))
        })
        .collect();
    println!(
        "{}",
        json!({
            "leads": counts.total(),
            "open_s": opened.as_secs_f64(),
            "first_counts_ms": first_counts.as_secs_f64() * 1e3,
            "start_s": started.as_secs_f64(),
            "settled_per_s": settles.len() as f64 / over.as_secs_f64(),
            "claim_p50_ms": quantile(&claims, 0.50),
            "claim_p99_ms": quantile(&claims, 0.99),
            "settle_p99_ms": quantile(&settles, 0.99),
            "peak_mib": peak_mib(),
            "answers": looks,
        })
    );
    Ok(())
}

/// How long an answer takes.
async fn look<T, E>(
    looks: &mut Vec<(&'static str, Vec<Duration>)>,
    name: &'static str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<(), E> {
    let begun = now();
    answer.await?;
    let took = begun.elapsed();
    match looks.iter_mut().find(|(of, _)| *of == name) {
        Some((_, times)) => times.push(took),
        None => looks.push((name, vec![took])),
    }
    Ok(())
}

fn quantile(times: &[Duration], q: f64) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = times.len().checked_sub(1)?;
    Some(times[((q * times.len() as f64) as usize).min(last)].as_secs_f64() * 1e3)
}

/// The most memory that this process had.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
