//! The foreman: projects that are started, paused, edited and filled while they are dialled; leases; clocks that jump.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use zvonar_campaign::{Ending, ProjectStatus};
use zvonar_dialer::{
    CallReport, DialRules, Dialer, DialerError, Halted, Keep, NewLead, NewProject, NotPlaced, Order,
    ProjectChange, RunEvent, RunStep, TenantKeys, WallClock,
};
use zvonar_ledger::PriceList;
use zvonar_model::{Outcome, ProjectId, TrunkId, UnixMillis};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{Key, Write};

use crate::dialling::{NoLine, Phone, answered, lead, memory};
use crate::world::{Carrier, dialer, make_list, new_project, number, project, tenant, wall_clock};

/// When, and whom by which trunk.
pub(crate) type Rings = Arc<Mutex<Vec<(i64, Order)>>>;

/// Notes who is called when, in milliseconds of the pretend world, and talks for a second.
pub(crate) fn noting(rings: &Rings, clock: WallClock) -> Arc<dyn zvonar_dialer::Caller> {
    talking(rings, clock, Duration::from_secs(1))
}

fn talking(rings: &Rings, clock: WallClock, talk: Duration) -> Arc<dyn zvonar_dialer::Caller> {
    let rings = Arc::clone(rings);
    Arc::new(Phone(move |order: Order| {
        let at = clock().0 - 1_790_000_000_000;
        rings.lock().unwrap().push((at, order));
        async move {
            tokio::time::sleep(talk).await;
            answered(1_000)
        }
    }))
}

pub(crate) fn leads(from: u32, to: u32) -> Vec<NewLead> {
    let new = |i| NewLead {
        lead: lead(i),
        numbers: vec![number(i)],
        fields: BTreeMap::new(),
        tags: BTreeSet::new(),
    };
    (from..to).map(new).collect()
}

pub(crate) async fn make(dialer: &Dialer, new: NewProject, list: Vec<NewLead>) {
    let (tables, id) = (dialer.tables(&tenant()), new.project.clone());
    tables.create_project(new, dialer.now()).await.unwrap();
    tables.add_leads(&id, list).await.unwrap();
}

pub(crate) fn id(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

pub(crate) async fn start(dialer: &Dialer, project: &ProjectId) {
    dialer.tables(&tenant()).start_project(project, 5, dialer.now()).await.unwrap();
}

pub(crate) async fn status(dialer: &Dialer, project: &ProjectId) -> ProjectStatus {
    dialer.tables(&tenant()).project(project).await.unwrap().unwrap().status
}

/// A foreman at work, and how he is told to stop.
pub(crate) struct Kept {
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) work: JoinHandle<Result<Vec<Halted>, DialerError>>,
}

pub(crate) fn keep(dialer: &Dialer, once: bool) -> Kept {
    let (stop, stopped) = watch::channel(false);
    let dialer = dialer.clone();
    let work =
        tokio::spawn(async move { dialer.keep(&tenant(), Keep { once, ..Keep::default() }, stopped).await });
    Kept { stop, work }
}

impl Kept {
    pub(crate) async fn end(self) -> Vec<Halted> {
        self.stop.send_replace(true);
        self.work.await.unwrap().unwrap()
    }
}

pub(crate) async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

pub(crate) fn called(rings: &Rings) -> Vec<String> {
    rings.lock().unwrap().iter().map(|(_, order)| order.lead.as_ref().unwrap().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_project_is_dialled_within_a_second_of_its_start_and_not_after_its_pause() {
    let rings: Rings = Arc::default();
    let dialer = dialer(memory(), noting(&rings, wall_clock()), 1);
    make(&dialer, new_project(id("one")), leads(0, 30)).await;
    make(&dialer, new_project(id("two")), leads(30, 33)).await;
    let kept = keep(&dialer, false);
    seconds(100).await;
    assert_eq!(called(&rings).len(), 0, "nothing is active");

    start(&dialer, &id("one")).await;
    start(&dialer, &id("two")).await;
    seconds(1).await;
    let first: BTreeSet<_> = called(&rings).into_iter().collect();
    assert_eq!(first, ["lead-0".to_owned(), "lead-30".to_owned()].into());
    seconds(3).await;
    let tables = dialer.tables(&tenant());
    tables.pause_project(&id("one"), dialer.now()).await.unwrap();
    seconds(1).await;
    let before = called(&rings).len();
    seconds(1_000).await;
    assert_eq!(called(&rings).len(), before, "who is paused calls nobody");
    assert_eq!(status(&dialer, &id("two")).await, ProjectStatus::Finished { by: Ending::Done });
    assert_eq!(tables.active_projects().await.unwrap(), []);

    start(&dialer, &id("one")).await;
    seconds(60).await;
    let all: BTreeSet<_> = called(&rings).into_iter().collect();
    assert_eq!((all.len(), called(&rings).len()), (33, 33), "everybody once");
    assert_eq!(status(&dialer, &id("one")).await.title(), "Завершён");
    assert_eq!(kept.end().await, []);
    assert!(tables.verify().await.unwrap().is_sound());
}

#[tokio::test(start_paused = true)]
async fn leads_that_are_added_to_a_running_project_are_called_within_a_second() {
    let rings: Rings = Arc::default();
    let dialer = dialer(memory(), noting(&rings, wall_clock()), 1);
    // One lead that is not due before the evening of the next day keeps the project active.
    let rules = DialRules { hours: "any".into(), ..DialRules::default() };
    make(&dialer, NewProject { lines: 200, calls_per_second: 500, rules, ..new_project(project()) }, vec![])
        .await;
    start(&dialer, &project()).await;
    let kept = keep(&dialer, false);
    seconds(3_600).await;
    assert_eq!(
        status(&dialer, &project()).await,
        ProjectStatus::Active,
        "an empty project waits for its list"
    );
    let tables = dialer.tables(&tenant());
    tables.add_leads(&project(), leads(0, 150)).await.unwrap();
    seconds(1).await;
    assert_eq!(called(&rings).len(), 150);
    // In the middle of calls.
    tables.add_leads(&project(), leads(150, 160)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(called(&rings).len(), 160);
    seconds(100).await;
    assert_eq!(status(&dialer, &project()).await, ProjectStatus::Finished { by: Ending::Done });
    // It is over, and goes on with who is added now.
    tables.add_leads(&project(), leads(160, 170)).await.unwrap();
    seconds(2).await;
    assert_eq!(called(&rings).len(), 170);
    seconds(100).await;
    assert_eq!(status(&dialer, &project()).await, ProjectStatus::Finished { by: Ending::Done });
    kept.end().await;
    // Also when nobody was at work meanwhile.
    tables.add_leads(&project(), leads(170, 175)).await.unwrap();
    assert_eq!(keep(&dialer, true).work.await.unwrap().unwrap(), []);
    assert_eq!(called(&rings).len(), 175);
    // But not what a person has finished.
    tables.add_leads(&project(), leads(175, 176)).await.unwrap();
    start(&dialer, &project()).await;
    tables.finish_project(&project(), dialer.now()).await.unwrap();
    let kept = keep(&dialer, false);
    seconds(10).await;
    tables.add_leads(&project(), leads(176, 180)).await.unwrap();
    seconds(1_000).await;
    assert_eq!((called(&rings).len(), status(&dialer, &project()).await.title()), (175, "Завершён"));
    kept.end().await;
    let all: BTreeSet<_> = called(&rings).into_iter().collect();
    assert_eq!(all.len(), 175, "nobody twice");
    assert!(tables.verify().await.unwrap().is_sound());
}

async fn edit(dialer: &Dialer, change: ProjectChange) {
    let tables = dialer.tables(&tenant());
    let seen = tables.project(&project()).await.unwrap().unwrap().version;
    tables.edit_project(&project(), seen, &change, "anna", dialer.now()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_taken_up_by_the_run_within_a_second() {
    let rings: Rings = Arc::default();
    let dialer = dialer(memory(), noting(&rings, wall_clock()), 1);
    make(&dialer, NewProject { lines: 1, ..new_project(project()) }, leads(0, 200)).await;
    start(&dialer, &project()).await;
    let kept = keep(&dialer, false);
    seconds(5).await;
    assert!(called(&rings).len() <= 5, "one line");
    edit(&dialer, ProjectChange { lines: Some(20), ..ProjectChange::default() }).await;
    seconds(2).await;
    let with_twenty = called(&rings).len();
    assert!((25..=60).contains(&with_twenty), "{with_twenty}");

    let (trunk, settings) = (TrunkId::new("other").unwrap(), BTreeMap::from([("text".into(), "new".into())]));
    let change = ProjectChange { trunk: Some(trunk.clone()), settings: Some(settings), ..Default::default() };
    edit(&dialer, change).await;
    seconds(2).await;
    let last = rings.lock().unwrap().last().unwrap().1.clone();
    assert_eq!((last.trunk, last.settings["text"].as_str()), (trunk, "new"));

    // It is 17:13 in Moscow.
    let rules = |hours: &str| {
        let rules = DialRules { hours: hours.into(), ..DialRules::once() };
        ProjectChange { rules: Some(rules), ..ProjectChange::default() }
    };
    edit(&dialer, rules("mon-sun 09:00-17:00")).await;
    seconds(1).await;
    let at_closing = called(&rings).len();
    assert!(at_closing < 180, "{at_closing}");
    seconds(3_600).await;
    assert_eq!(called(&rings).len(), at_closing, "the new hours are over");
    edit(&dialer, rules("mon-sun 09:00-19:00")).await;
    seconds(30).await;
    assert_eq!(called(&rings).len(), 200);
    // The pace too.
    dialer.tables(&tenant()).add_leads(&project(), leads(200, 240)).await.unwrap();
    edit(&dialer, ProjectChange { calls_per_second: Some(1), ..ProjectChange::default() }).await;
    start(&dialer, &project()).await;
    seconds(10).await;
    let slow = called(&rings).len() - 200;
    assert!((8..=12).contains(&slow), "{slow}");
    kept.end().await;
}

/// A trunk that was renamed ended the whole host, and with it the projects of everybody.
#[tokio::test(start_paused = true)]
async fn a_project_that_cannot_dial_says_why_and_the_others_go_on() {
    let rings: Rings = Arc::default();
    let good = noting(&rings, wall_clock());
    let phone = Picky { good, bad: NoLine(NotPlaced::Never("there is no trunk x".into())) };
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make(&dialer, NewProject { trunk: TrunkId::new("x").unwrap(), ..new_project(id("bad")) }, leads(0, 3))
        .await;
    make(&dialer, new_project(id("good")), leads(10, 13)).await;
    start(&dialer, &id("bad")).await;
    start(&dialer, &id("good")).await;
    let (events, mut told) = tokio::sync::mpsc::channel::<RunEvent>(100);
    let (stop, stopped) = watch::channel(false);
    let halted = {
        let dialer = dialer.clone();
        tokio::spawn(async move {
            dialer.keep(&tenant(), Keep { events: Some(events), ..Keep::default() }, stopped).await.unwrap()
        })
    };
    seconds(10).await;
    let why = "nobody is called: there is no trunk x";
    assert_eq!(status(&dialer, &id("bad")).await, ProjectStatus::Error { why: why.into() });
    assert_eq!(status(&dialer, &id("good")).await, ProjectStatus::Finished { by: Ending::Done });
    assert_eq!(called(&rings).len(), 3);
    assert_eq!(dialer.tables(&tenant()).active_projects().await.unwrap(), []);

    // Mended and started again.
    let tables = dialer.tables(&tenant());
    let change = ProjectChange { trunk: Some(TrunkId::new("main").unwrap()), ..ProjectChange::default() };
    tables.edit_project(&id("bad"), 1, &change, "anna", dialer.now()).await.unwrap();
    start(&dialer, &id("bad")).await;
    seconds(10).await;
    assert_eq!((called(&rings).len(), status(&dialer, &id("bad")).await.title()), (6, "Завершён"));
    stop.send_replace(true);
    assert_eq!(halted.await.unwrap(), [Halted { project: id("bad"), why: why.into() }]);
    let mut over = Vec::new();
    while let Some(event) = told.recv().await {
        if let RunStep::Over { status } = event.what {
            over.push((event.project.to_string(), status.title()));
        }
    }
    over.sort();
    assert_eq!(over, [("bad".into(), "Завершён"), ("bad".into(), "Ошибка"), ("good".into(), "Завершён")]);
}

/// A telephone that knows every trunk but `x`.
struct Picky {
    good: Arc<dyn zvonar_dialer::Caller>,
    bad: NoLine,
}

#[async_trait::async_trait]
impl zvonar_dialer::Caller for Picky {
    async fn reserve(&self, order: &Order) -> Result<Box<dyn zvonar_dialer::Reserved + '_>, NotPlaced> {
        if order.trunk.as_str() == "x" {
            self.bad.reserve(order).await
        } else {
            self.good.reserve(order).await
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hours_that_cannot_be_read_are_an_error_of_that_project() {
    let dialer = dialer(memory(), noting(&Rings::default(), wall_clock()), 1);
    make(&dialer, new_project(project()), leads(0, 1)).await;
    start(&dialer, &project()).await;
    // As a later program, or somebody with a keyboard, may have left it.
    let rules = DialRules { hours: "moon".into(), ..DialRules::default() };
    let tables = dialer.tables(&tenant());
    tables.put_project(NewProject { rules, ..new_project(project()) }, dialer.now()).await.unwrap();
    let halted = keep(&dialer, true).work.await.unwrap().unwrap();
    assert!(halted[0].why.contains("`moon` is no window"), "{halted:?}");
    assert_eq!(status(&dialer, &project()).await.title(), "Ошибка");
}

#[tokio::test(start_paused = true)]
async fn of_two_hosts_one_dials_a_project_and_the_other_takes_over_when_it_dies() {
    let (store, rings) = (memory(), Rings::default());
    let clock = wall_clock();
    let host = |seed| {
        let caller = noting(&rings, clock.clone());
        Dialer::new(store.clone(), Arc::new(PriceList::default()), caller, clock.clone(), seed)
    };
    let (first, second) = (host(1), host(2));
    make(&first, NewProject { lines: 1, ..new_project(project()) }, leads(0, 1_000)).await;
    start(&first, &project()).await;
    let one = keep(&first, false);
    seconds(2).await;
    let other = keep(&second, false);
    seconds(30).await;
    let dialled = called(&rings).len();
    assert!((25..=33).contains(&dialled), "one line of one host: {dialled}");
    // It dies without a word: its calls are gone, its lease runs out.
    one.work.abort();
    seconds(300).await;
    let then = called(&rings).len();
    assert!(then > dialled + 100, "the other went on: {then}");
    // A host that stops in good order lets go at once.
    let third = host(3);
    let kept = keep(&third, false);
    seconds(100).await;
    other.end().await;
    let at_the_stop = called(&rings).len();
    seconds(2).await;
    assert!(called(&rings).len() > at_the_stop, "it need not wait for the end of the lease");
    kept.end().await;
    let all = called(&rings);
    let once: BTreeSet<_> = all.iter().collect();
    assert_eq!(once.len(), all.len(), "nobody twice");
}

/// A host that was cut off from the store came back and went on beside the one that had taken over.
#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_lease_begins_no_more_attempts() {
    let (store, rings) = (memory(), Rings::default());
    let dialer = dialer(store.clone(), noting(&rings, wall_clock()), 1);
    make(&dialer, NewProject { lines: 1, ..new_project(project()) }, leads(0, 500)).await;
    start(&dialer, &project()).await;
    let kept = keep(&dialer, false);
    seconds(10).await;
    let key = Key::root("acme").then("lease").then("spring");
    let theirs = |until: i64| format!(r#"{{"v":1,"row":{{"epoch":7,"until":{until}}}}}"#);
    let until = dialer.now().plus(Duration::from_secs(100)).0;
    let shard = TenantKeys::new(&tenant()).shard();
    let _ = store.commit(shard, vec![Write::set(key.clone(), theirs(until))]).await.unwrap();
    // It holds its own for half a minute without looking, which is what a lease is for.
    seconds(35).await;
    let lost = called(&rings).len();
    seconds(60).await;
    assert_eq!(called(&rings).len(), lost);
    assert_eq!(status(&dialer, &project()).await, ProjectStatus::Active);
    // The other one dies.
    seconds(100).await;
    assert!(called(&rings).len() > lost + 10);
    kept.end().await;
    assert!(store.get(shard, &key).await.unwrap().is_none(), "who stops lets go");
}

/// A lease until tomorrow, of a run that died before the clock was set back.
#[tokio::test(start_paused = true)]
async fn a_lease_of_the_dead_holds_nobody_up_after_a_recovery() {
    let (store, rings) = (memory(), Rings::default());
    let shard = TenantKeys::new(&tenant()).shard();
    for (until, recovers, waits) in [(50, true, 1), (50, false, 121), (86_400, false, 1)] {
        let dialer = dialer(store.clone(), noting(&rings, wall_clock()), until + u64::from(recovers));
        let name = format!("p{until}{recovers}");
        rings.lock().unwrap().clear();
        if recovers {
            dialer.recover(&tenant()).await.unwrap();
        }
        make(&dialer, new_project(id(&name)), leads(0, 1)).await;
        start(&dialer, &id(&name)).await;
        let row = format!(
            r#"{{"v":1,"row":{{"epoch":7,"until":{}}}}}"#,
            dialer.now().plus(Duration::from_secs(until)).0
        );
        let key = Key::root("acme").then("lease").then(&name);
        let _ = store.commit(shard, vec![Write::set(key, row)]).await.unwrap();
        let kept = keep(&dialer, false);
        if waits > 1 {
            seconds(45).await;
            assert_eq!(called(&rings).len(), 0, "{name}");
        }
        seconds(waits).await;
        assert_eq!(called(&rings).len(), 1, "{name}");
        kept.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_project_without_a_call_for_fourteen_days_is_over() {
    let rings = Rings::default();
    let dialer = dialer(memory(), noting(&rings, wall_clock()), 1);
    make(&dialer, new_project(project()), vec![]).await;
    start(&dialer, &project()).await;
    let kept = keep(&dialer, false);
    let day = Duration::from_secs(24 * 3600);
    tokio::time::sleep(10 * day).await;
    // A new contact, whom nobody answers for: the next call is in a month.
    let mut rules = DialRules { hours: "any".into(), ..DialRules::default() };
    rules.retry.max_calls = 2;
    edit(&dialer, ProjectChange { rules: Some(rules), ..ProjectChange::default() }).await;
    dialer.tables(&tenant()).add_leads(&project(), leads(0, 1)).await.unwrap();
    seconds(10).await;
    assert_eq!(status(&dialer, &project()).await, ProjectStatus::Finished { by: Ending::Done });
    start(&dialer, &project()).await;
    seconds(10).await;
    assert_eq!(status(&dialer, &project()).await.title(), "Завершён", "nothing is left to do");
    // One that waits for nothing.
    make(&dialer, new_project(id("empty")), vec![]).await;
    start(&dialer, &id("empty")).await;
    tokio::time::sleep(14 * day - Duration::from_secs(120)).await;
    assert_eq!(status(&dialer, &id("empty")).await, ProjectStatus::Active);
    seconds(300).await;
    assert_eq!(status(&dialer, &id("empty")).await, ProjectStatus::Finished { by: Ending::Idle });
    kept.end().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_is_kept_once_waits_over_the_night_and_not_for_an_empty_list() {
    let rings = Rings::default();
    let dialer = dialer(memory(), noting(&rings, wall_clock()), 1);
    assert_eq!(keep(&dialer, true).work.await.unwrap().unwrap(), [], "no project at all");
    make(&dialer, new_project(id("empty")), vec![]).await;
    make(&dialer, new_project(id("paused")), leads(0, 5)).await;
    let rules = DialRules { hours: "mon-sun 09:00-10:00".into(), ..DialRules::once() };
    make(&dialer, NewProject { rules, ..new_project(id("morning")) }, leads(10, 12)).await;
    start(&dialer, &id("empty")).await;
    start(&dialer, &id("morning")).await;
    keep(&dialer, true).work.await.unwrap().unwrap();
    let at = rings.lock().unwrap().iter().map(|(at, _)| at / 60_000).collect::<Vec<_>>();
    assert_eq!(at, [946, 946], "at 9:00 of the next day");
    assert_eq!(status(&dialer, &id("empty")).await, ProjectStatus::Active);
}

/// Whatever happens to the machine's clock: nobody is called outside the hours that it shows, and nobody twice.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_calls_nobody_at_night_and_nobody_twice() {
    for (seed, jumps) in [
        (1, &[24 * 3600, -3600][..]),
        (2, &[-3600, 24 * 3600, -3600]),
        (3, &[5 * 3600, -6 * 3600, 13 * 3600]),
        (4, &[-30 * 24 * 3600, 30 * 24 * 3600]),
    ] {
        let (offset, steady) = (Arc::new(AtomicI64::new(0)), wall_clock());
        let clock: WallClock = {
            let (offset, steady) = (Arc::clone(&offset), steady.clone());
            Arc::new(move || UnixMillis(steady().0 + 1_000 * offset.load(Ordering::Relaxed)))
        };
        let rings = Rings::default();
        let caller = talking(&rings, clock.clone(), Duration::from_secs(60));
        let dialer = Dialer::new(memory(), Arc::new(PriceList::default()), caller, clock, seed);
        let rules = DialRules { hours: "mon-sun 09:00-21:00".into(), ..DialRules::once() };
        make(&dialer, NewProject { lines: 1, rules, ..new_project(project()) }, leads(0, 6_000)).await;
        start(&dialer, &project()).await;
        let kept = keep(&dialer, false);
        let mut last = 0;
        for jump in jumps {
            seconds(1_800).await;
            assert!(called(&rings).len() > last + 25, "seed {seed}: calls go on");
            offset.fetch_add(*jump, Ordering::Relaxed);
            // Over a night at least.
            seconds(20 * 3600).await;
            last = called(&rings).len();
            // Into the day.
            for minutes in 0.. {
                if called(&rings).len() > last {
                    break;
                }
                assert!(minutes < 24 * 60, "seed {seed}: a day without a call");
                seconds(60).await;
            }
            last = called(&rings).len();
        }
        kept.end().await;
        let mut seen = BTreeSet::new();
        for (at, order) in rings.lock().unwrap().iter() {
            let hour = (at + 1_790_000_000_000 + 3 * 3_600_000).rem_euclid(86_400_000) / 3_600_000;
            assert!((9..21).contains(&hour), "seed {seed}: at {hour} in Moscow");
            assert!(seen.insert(order.lead.clone()), "seed {seed}: {:?} twice", order.lead);
        }
    }
}

/// The life of one process: what is left of the start, the list, the end.
async fn live(dialer: &Dialer) {
    dialer.recover(&tenant()).await.unwrap();
    let tables = dialer.tables(&tenant());
    let row = tables.project(&project()).await.unwrap().unwrap();
    if row.status == ProjectStatus::Paused {
        start(dialer, &project()).await;
    }
    let (_tell, stop) = watch::channel(false);
    dialer.keep(&tenant(), Keep { once: true, ..Keep::default() }, stop).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_durable_write_of_a_kept_project_calls_nobody_twice_and_ends_it_in_order() {
    let mut commits = 0;
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LostAfter] {
        let mut commit = 0;
        loop {
            let case = format!("{fault:?} at {commit}");
            let (store, log) = (memory(), Arc::new(Mutex::new(Vec::new())));
            make_list(&dialer(store.clone(), Carrier::new(7, log.clone(), Arc::new(|_| {})), 0), 8, 2).await;
            let faulty = FaultStore::new(store.clone(), (commit > 0).then_some((commit, fault)));
            let first = dialer(faulty.clone(), Carrier::new(7, log.clone(), Arc::new(|_| {})), 1);
            let lived = tokio::select! {
                biased;
                () = faulty.crashed() => false,
                () = live(&first) => true,
            };
            drop(first);
            let second = dialer(store.clone(), Carrier::new(7, log.clone(), Arc::new(|_| {})), 2);
            live(&second).await;
            let log = log.lock().unwrap().clone();
            let rang: BTreeSet<_> = log.iter().map(|seen| seen.number.clone()).collect();
            assert_eq!(rang.len(), log.len(), "{case}: a phone rang twice");
            let tables = second.tables(&tenant());
            let leads = tables.leads(&project()).await.unwrap();
            assert!(
                leads.iter().all(|lead| lead.progress.tries.len() == 1 && lead.claim.is_none()),
                "{case}"
            );
            assert_eq!(
                status(&second, &project()).await,
                ProjectStatus::Finished { by: Ending::Done },
                "{case}"
            );
            assert_eq!(tables.active_projects().await.unwrap(), [], "{case}");
            assert!(tables.verify().await.unwrap().is_sound(), "{case}");
            if commit == 0 {
                commits = faulty.commits();
            }
            if commit == commits {
                break;
            }
            assert!(lived || commit > 0, "{case}");
            commit += 1;
        }
    }
    assert!(commits > 25, "{commits}");
}

#[tokio::test(start_paused = true)]
async fn starts_and_pauses_in_a_row_leave_one_run_and_call_nobody_twice() {
    let (up, most, rung) =
        (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let phone = {
        let (up, most, rung) = (up.clone(), most.clone(), rung.clone());
        Phone(move |_| {
            let up = up.clone();
            most.fetch_max(up.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            rung.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(2_300)).await;
                up.fetch_sub(1, Ordering::SeqCst);
                CallReport::unanswered(UnixMillis(0), Outcome::Busy)
            }
        })
    };
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make(&dialer, NewProject { lines: 3, ..new_project(project()) }, leads(0, 100)).await;
    let kept = keep(&dialer, false);
    let tables = dialer.tables(&tenant());
    for i in 0..40_u64 {
        start(&dialer, &project()).await;
        tokio::time::sleep(Duration::from_millis(50 + 37 * (i % 9))).await;
        tables.pause_project(&project(), dialer.now()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(13 * (i % 5))).await;
    }
    start(&dialer, &project()).await;
    seconds(400).await;
    assert_eq!((most.load(Ordering::SeqCst), rung.load(Ordering::SeqCst)), (3, 100));
    assert_eq!(status(&dialer, &project()).await.title(), "Завершён");
    kept.end().await;
}

/// Limits that are lowered leave somebody who was to be called again without a call: he was looked at again and again, and
/// the project was never over.
#[tokio::test(start_paused = true)]
async fn whoever_has_no_call_left_by_lowered_limits_is_finished() {
    let busy = Phone(|_| async { CallReport::unanswered(UnixMillis(1_790_000_000_000), Outcome::Busy) });
    let dialer = dialer(memory(), Arc::new(busy), 1);
    let rules = DialRules { hours: "any".into(), ..DialRules::default() };
    make(&dialer, NewProject { rules: rules.clone(), ..new_project(project()) }, leads(0, 5)).await;
    start(&dialer, &project()).await;
    let kept = keep(&dialer, false);
    seconds(30).await;
    assert_eq!(
        status(&dialer, &project()).await,
        ProjectStatus::Active,
        "they are called again in ten minutes"
    );
    edit(&dialer, ProjectChange { rules: Some(DialRules::once()), ..ProjectChange::default() }).await;
    seconds(1_000).await;
    let tables = dialer.tables(&tenant());
    assert_eq!(status(&dialer, &project()).await, ProjectStatus::Finished { by: Ending::Done });
    let counts = tables.status_counts(&project()).await.unwrap();
    assert_eq!((counts.unreached, counts.total(), tables.balance().await.unwrap().charges), (5, 5, 5));
    assert!(tables.verify().await.unwrap().is_sound());
    kept.end().await;
}
