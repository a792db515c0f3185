//! When lines are short: who goes first, and who steps back while operators cannot keep up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use zvonar_dialer::{CallReport, Caller, Dialer, NewLead, NewProject, NotPlaced, Order, Pressure, Reserved};
use zvonar_ledger::PriceList;
use zvonar_model::{LeadId, Millis, Outcome, Phases, ProjectId, SystemResult, TenantId, UnixMillis};
use zvonar_store::MemoryStore;

use crate::world::{new_project, number, tenant, wall_clock};

/// A trunk with so many lines; everybody who is called listens for ten seconds.
struct Trunk {
    lines: Arc<Semaphore>,
    /// The projects of the calls, in their order.
    called: Mutex<Vec<ProjectId>>,
    up: AtomicU32,
}

struct Line<'t> {
    trunk: &'t Trunk,
    _line: OwnedSemaphorePermit,
}

#[async_trait]
impl Caller for Trunk {
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        let line = Arc::clone(&self.lines).acquire_owned().await.expect("it is never closed");
        Ok(Box::new(Line { trunk: self, _line: line }))
    }
}

#[async_trait]
impl Reserved for Line<'_> {
    async fn call(self: Box<Self>, order: Order) -> CallReport {
        self.trunk.called.lock().unwrap().push(order.project.unwrap());
        self.trunk.up.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(10)).await;
        self.trunk.up.fetch_sub(1, Ordering::Relaxed);
        CallReport {
            answered_at: Some(UnixMillis(1)),
            phases: Phases { robot: Millis(10_000), ..Phases::default() },
            ..CallReport::unanswered(UnixMillis(10_001), Outcome::answered(SystemResult::Connected))
        }
    }
}

fn trunk(lines: usize) -> Arc<Trunk> {
    Arc::new(Trunk {
        lines: Arc::new(Semaphore::new(lines)),
        called: Mutex::default(),
        up: AtomicU32::new(0),
    })
}

fn dialer(trunk: &Arc<Trunk>) -> Dialer {
    let store = Arc::new(MemoryStore::default());
    Dialer::new(store, Arc::new(PriceList::default()), trunk.clone(), wall_clock(), 1)
}

async fn list(dialer: &Dialer, id: &str, first: u32, leads: u32, lines: u32, priority: u8) -> ProjectId {
    let project = ProjectId::new(id).unwrap();
    let tables = dialer.tables(&tenant());
    let new = NewProject { lines, priority, calls_per_second: 100, ..new_project(project.clone()) };
    tables.create_project(new, dialer.now()).await.unwrap();
    let leads = (first..first + leads).map(|i| NewLead {
        lead: LeadId::new(&format!("lead-{i}")).unwrap(),
        numbers: vec![number(i)],
        fields: [].into(),
        tags: [].into(),
    });
    tables.add_leads(&project, leads.collect()).await.unwrap();
    project
}

#[tokio::test(start_paused = true)]
async fn a_line_that_comes_free_goes_to_the_project_of_higher_priority() {
    let trunk = trunk(2);
    let dialer = dialer(&trunk);
    // The unimportant one begins a minute earlier, and wants all lines there are.
    let low = list(&dialer, "low", 0, 60, 20, 2).await;
    let high = list(&dialer, "high", 100, 30, 20, 8).await;
    let (_stop, stopped) = watch::channel(false);
    let (owner, tenant) = (tenant(), tenant());
    let first = dialer.run(&owner, &low, None, stopped.clone());
    let second = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        dialer.run(&tenant, &high, None, stopped.clone()).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.unwrap().counts.finished, second.unwrap().counts.finished), (60, 30));
    let called = trunk.called.lock().unwrap();
    let begun = called.iter().position(|project| *project == high).expect("it was called");
    // One attempt of the other may stand at the trunk already.
    let between = called[begun..begun + 31].iter().filter(|project| **project == low).count();
    assert!(between <= 1, "{between} calls of the lower came between");
    assert!(begun <= 2 * 7 + 1, "the higher waited for {begun} calls");
}

/// A queue of which the test says how long it is.
struct Queue(AtomicU32);

impl Pressure for Queue {
    fn waiting(&self, _: &TenantId, _: &ProjectId) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_growing_queue_of_operators_takes_lines_away_and_an_empty_one_gives_them_back() {
    let trunk = trunk(1_000);
    let queue = Arc::new(Queue(AtomicU32::new(0)));
    let dialer = dialer(&trunk).with_pressure(queue.clone());
    let project = list(&dialer, "spring", 0, 2_000, 40, 5).await;
    let (stop, stopped) = watch::channel(false);
    let owner = tenant();
    let run = dialer.run(&owner, &project, None, stopped);
    let watched = async {
        let up = || trunk.up.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(up(), 40, "all lines are used");
        for waiting in 1..=3 {
            queue.0.store(waiting, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(25)).await;
        }
        let fewest = up();
        assert!((1..=10).contains(&fewest), "{fewest} lines while the queue grew three times");
        queue.0.store(0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(180)).await;
        assert_eq!(up(), 40, "they have come back");
        stop.send_replace(true);
    };
    let (finished, ()) = tokio::join!(run, watched);
    assert!(finished.unwrap().stopped);
}
