//! Runs of a list without crashes: lines and pace, stopping, several runners, edits in mid-call.

mod booking;
mod permits;
mod redialling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use zvonar_campaign::{LeadState, NumberRefused};
use zvonar_dialer::{
    Abandoned, BookFault, CallReport, Caller, Dialer, DialerError, Effects, Inbound, NewLead, NewProject,
    NotPlaced, Order, Reserved, RunStep, Settled, TenantKeys,
};
use zvonar_ledger::PriceList;
use zvonar_model::trace::TraceEvent;
use zvonar_model::{
    Kopecks, LeadId, Millis, Outcome, Phases, PhoneNumber, ProjectId, ScenarioName, SystemResult, TalkEnd,
    TenantId, TrunkId, UnixMillis,
};
use zvonar_store::fault::FaultStore;
use zvonar_store::{Key, MemoryStore, SharedStore, Write};

use crate::world::{Carrier, dialer, make_list, number, project, tenant, wall_clock};

/// A telephone that does what a test says.
pub(crate) struct Phone<F>(pub(crate) F);

#[async_trait]
impl<F, R> Caller for Phone<F>
where
    F: Fn(Order) -> R + Send + Sync,
    R: Future<Output = CallReport> + Send,
{
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl<F, R> Reserved for &Phone<F>
where
    F: Fn(Order) -> R + Send + Sync,
    R: Future<Output = CallReport> + Send,
{
    async fn call(self: Box<Self>, order: Order) -> CallReport {
        (self.0)(order).await
    }
}

/// A telephone without a free line.
pub(crate) struct NoLine(pub(crate) NotPlaced);

#[async_trait]
impl Caller for NoLine {
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        match &self.0 {
            NotPlaced::NotNow(_) => std::future::pending().await,
            never => Err(never.clone()),
        }
    }
}

/// Attempts that waited for a line when the host was told to stop were reported as failed, and their people never
/// called.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_line_at_the_stop_is_called_by_the_next_run() {
    let store = memory();
    let waiting = dialer(store.clone(), Arc::new(NoLine(NotPlaced::NotNow("no line".into()))), 1);
    make_list(&waiting, 3, 2).await;
    let (stop, stopped) = watch::channel(false);
    let (tenant, project) = (tenant(), project());
    let (finished, ()) = tokio::join!(waiting.run(&tenant, &project, None, stopped), async {
        tokio::time::sleep(Duration::from_secs(200)).await;
        stop.send_replace(true);
    });
    let counts = finished.unwrap().counts;
    assert_eq!((counts.attempts, counts.finished), (0, 0), "nobody was called, nobody is finished");
    let next = dialer(store, Arc::new(Phone(|_| async { answered(1_000) })), 2);
    let finished = next.run(&tenant, &project, None, never()).await.unwrap();
    assert_eq!((finished.counts.attempts, finished.counts.reached), (3, 3));
}

/// Whoever changed the configuration of a project that existed changed nothing.
#[tokio::test(start_paused = true)]
async fn a_project_that_is_put_again_is_as_it_is_written_now_and_keeps_its_leads() {
    let dialer = dialer(memory(), Arc::new(Phone(|_| async { answered(1_000) })), 1);
    make_list(&dialer, 3, 2).await;
    let tables = dialer.tables(&tenant());
    let before = tables.project(&project()).await.unwrap().unwrap();
    let wanted = NewProject {
        settings: [("repeats".to_owned(), "2".to_owned())].into(),
        trunk: TrunkId::new("other").unwrap(),
        lines: 7,
        ..NewProject::like(before.clone())
    };
    tables.put_project(wanted, dialer.now()).await.unwrap();
    let after = tables.project(&project()).await.unwrap().unwrap();
    assert_eq!((after.lines, after.trunk.as_str(), after.leads), (7, "other", before.leads));
    assert_eq!(after.settings["repeats"], "2");
    assert_eq!(dialer.run(&tenant(), &project(), None, never()).await.unwrap().counts.reached, 3);
}

/// A trunk that was renamed in the configuration burned the whole list, one «Системная ошибка» after the other.
#[tokio::test(start_paused = true)]
async fn a_trunk_that_does_not_exist_ends_the_run_and_no_lead() {
    let store = memory();
    let wrong = dialer(store, Arc::new(NoLine(NotPlaced::Never("there is no trunk x".into()))), 1);
    make_list(&wrong, 3, 2).await;
    let told = wrong.run(&tenant(), &project(), None, never()).await.unwrap_err().to_string();
    assert_eq!(told, "nobody is called: there is no trunk x");
    assert_eq!(wrong.tables(&tenant()).report(&project()).await.unwrap().totals.new, 3);
}

pub(crate) fn answered(robot_ms: u64) -> CallReport {
    let mut report = CallReport::unanswered(UnixMillis(2_000), Outcome::answered(SystemResult::Connected));
    report.answered_at = Some(UnixMillis(1_000));
    report.phases = Phases { robot: Millis(robot_ms), ..Phases::default() };
    report
}

pub(crate) fn memory() -> SharedStore {
    Arc::new(MemoryStore::new())
}

pub(crate) fn never() -> watch::Receiver<bool> {
    watch::channel(false).1
}

pub(crate) fn by_hand(dialer: &Dialer) -> Order {
    Order {
        attempt: dialer.attempt_id(),
        tenant: tenant(),
        project: None,
        lead: None,
        number: number(7),
        trunk: TrunkId::new("main").unwrap(),
        scenario: ScenarioName::new("hello").unwrap(),
        settings: BTreeMap::new(),
        fields: BTreeMap::new(),
        attempt_number: 1,
        ring: Duration::from_secs(30),
    }
}

pub(crate) fn lead(i: u32) -> LeadId {
    LeadId::new(&format!("lead-{i}")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn several_runners_of_one_project_call_no_lead_twice() {
    for seed in 0..10 {
        let (store, log) = (memory(), Arc::new(Mutex::new(Vec::new())));
        let mut runners = Vec::new();
        for i in 0..4 {
            let carrier = Carrier::new(seed, log.clone(), Arc::new(|_| {}));
            // Behind a store that lets others go first, so that they do meet at the same leads.
            let store = FaultStore::new(store.clone(), []);
            runners.push(dialer(store, carrier, seed * 10 + i));
        }
        make_list(&runners[0], 40, 3).await;
        let runs = runners.iter().map(|runner| {
            let runner = runner.clone();
            tokio::spawn(async move { runner.run(&tenant(), &project(), None, never()).await.unwrap() })
        });
        let mut settled = Vec::new();
        for run in futures::future::join_all(runs).await {
            settled.push(run.unwrap().counts.attempts);
        }
        let rang: BTreeSet<PhoneNumber> =
            log.lock().unwrap().iter().map(|seen| seen.number.clone()).collect();
        assert_eq!((rang.len(), log.lock().unwrap().len()), (40, 40), "seed {seed}");
        assert_eq!(settled.iter().sum::<u64>(), 40, "seed {seed}");
        assert!(settled.iter().all(|&one| one > 0), "seed {seed}: all took part, {settled:?}");
        let verified = runners[0].tables(&tenant()).verify().await.unwrap();
        assert!(verified.is_sound() && verified.charges == 40, "seed {seed}: {:?}", verified.faults);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_to_its_lines_and_its_pace_and_tells_where_it_stands() {
    let (up, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let starts = Arc::new(Mutex::new(Vec::new()));
    let phone = {
        let (up, most, starts, clock) = (up.clone(), most.clone(), starts.clone(), wall_clock());
        Phone(move |_| {
            let (up, most) = (up.clone(), most.clone());
            starts.lock().unwrap().push(clock().0);
            most.fetch_max(up.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(700)).await;
                up.fetch_sub(1, Ordering::SeqCst);
                answered(32_000)
            }
        })
    };
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make_list(&dialer, 60, 7).await;
    let (tell, mut hear) = mpsc::channel(1000);
    let finished = dialer.run(&tenant(), &project(), Some(tell), never()).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 7);
    let starts = starts.lock().unwrap().clone();
    // 50 a second: one every 20 ms.
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 19), "{starts:?}");
    assert_eq!(
        (finished.counts.attempts, finished.counts.reached, finished.counts.spent),
        (60, 60, Kopecks(60 * 128))
    );

    let mut events = Vec::new();
    while let Some(event) = hear.recv().await {
        events.push(event);
    }
    assert_eq!(events[0].what, RunStep::Begun);
    assert_eq!(events[0].counts.leads, 60);
    assert_eq!(events.len(), 1 + 60 + 60);
    let last = events.last().unwrap();
    assert_eq!(last.counts, finished.counts);
    assert!(
        matches!(&last.what, RunStep::Settled { robot_seconds: 32, total: Kopecks(128), .. }),
        "{last:?}"
    );
    // In the order of the list.
    let first = events.iter().find_map(|event| match &event.what {
        RunStep::Started { lead } => Some(lead.clone()),
        _ => None,
    });
    assert_eq!(first, Some(lead(0)));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_does_not_listen_holds_nothing_up() {
    let dialer = dialer(memory(), Arc::new(Phone(|_| async { answered(1) })), 1);
    make_list(&dialer, 20, 2).await;
    let (tell, _hear) = mpsc::channel(1);
    assert_eq!(dialer.run(&tenant(), &project(), Some(tell), never()).await.unwrap().counts.attempts, 20);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_finishes_its_calls_and_goes_on_later() {
    let calls = Arc::new(AtomicU32::new(0));
    let (stop, stopped) = watch::channel(false);
    let phone = {
        let calls = calls.clone();
        Phone(move |_| {
            let n = calls.fetch_add(1, Ordering::SeqCst) + 1;
            let stop = stop.clone();
            async move {
                if n == 5 {
                    stop.send_replace(true);
                }
                tokio::time::sleep(Duration::from_secs(10)).await;
                answered(10_000)
            }
        })
    };
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make_list(&dialer, 20, 5).await;
    let first = dialer.run(&tenant(), &project(), None, stopped).await.unwrap();
    assert!(first.stopped);
    assert_eq!((first.counts.attempts, first.counts.finished, first.counts.lines), (5, 5, 0));
    let second = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert!(!second.stopped);
    assert_eq!((second.counts.attempts, second.counts.finished), (15, 20));
    assert_eq!(calls.load(Ordering::SeqCst), 20);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_hangs_up_and_its_calls_count_as_failed() {
    struct HangsUp(Arc<AtomicU32>);
    impl Drop for HangsUp {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicU32::new(0));
    let phone = {
        let dropped = dropped.clone();
        Phone(move |_| {
            let call = HangsUp(dropped.clone());
            async move {
                let _call = call;
                std::future::pending().await
            }
        })
    };
    let store = memory();
    let first = dialer(store.clone(), Arc::new(phone), 1);
    make_list(&first, 10, 4).await;
    let (tenant_id, project_id) = (tenant(), project());
    let run = first.run(&tenant_id, &project_id, None, never());
    assert!(tokio::time::timeout(Duration::from_secs(5), run).await.is_err());
    tokio::task::yield_now().await;
    assert_eq!(dropped.load(Ordering::SeqCst), 4);
    // Its own attempts are not taken for abandoned while it lives; another run of the program takes them so.
    assert_eq!(first.recover(&tenant()).await.unwrap().failed, 0);
    let second = dialer(store, Arc::new(Phone(|_| async { answered(1) })), 2);
    assert_eq!(second.recover(&tenant()).await.unwrap().failed, 4);
    let finished = second.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!((finished.counts.attempts, finished.counts.reached), (6, 6));
    let report = second.tables(&tenant()).report(&project()).await.unwrap();
    assert_eq!(report.rows.iter().filter(|row| row.result == "Системная ошибка").count(), 4);
    assert_eq!((report.totals.reached, report.totals.unreached, report.totals.new), (6, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_bug_in_a_call_fails_that_attempt_alone() {
    let phone = Phone(|order: Order| async move {
        assert!(order.lead != Some(lead(3)), "a bug");
        answered(1_000)
    });
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make_list(&dialer, 6, 2).await;
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!((finished.counts.attempts, finished.counts.reached), (6, 5));
    let row = dialer.tables(&tenant()).lead(&project(), &lead(3)).await.unwrap().unwrap();
    assert_eq!(row.progress.state, LeadState::Unreached);
}

/// The report shows the scenario's words, and the person is still to be reached.
#[tokio::test(start_paused = true)]
async fn a_machine_that_heard_the_scenario_name_its_result_is_not_reached() {
    let phone = Phone(|_| async {
        let result = TalkEnd::Scenario("Согласен".into());
        CallReport { machine: true, outcome: Outcome::Answered { result }, ..answered(3_000) }
    });
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make_list(&dialer, 1, 1).await;
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!((finished.counts.finished, finished.counts.reached), (1, 0));
    let report = dialer.tables(&tenant()).report(&project()).await.unwrap();
    assert_eq!((report.rows[0].result.as_str(), report.totals.unreached), ("Согласен", 1));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_number_is_never_rung() {
    let phone = Phone(|order: Order| async move {
        assert_ne!(order.number, number(2));
        answered(1_000)
    });
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make_list(&dialer, 4, 1).await;
    let tables = dialer.tables(&tenant());
    tables.block(&number(2), "asked not to be called", UnixMillis(5)).await.unwrap();
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    let report = tables.report(&project()).await.unwrap();
    let row = report.rows.iter().find(|row| row.lead == Some(lead(2))).unwrap();
    assert_eq!((row.result.as_str(), row.kopecks), ("Номер из черного списка", Kopecks(0)));
    assert_eq!(row.number, "+7 900 ***-**-02");
}

#[tokio::test(start_paused = true)]
async fn an_order_carries_what_the_scenario_needs_and_its_wishes_are_remembered() {
    let phone = Phone(|order: Order| async move {
        assert_eq!(order.fields["name"], "Анна 0");
        assert_eq!((order.attempt_number, order.ring), (1, Duration::from_secs(30)));
        let mut report = answered(1_000);
        report.effects = Effects {
            set_fields: [("name".into(), "Анна Ивановна".into()), ("long".into(), "ж".repeat(5_000))].into(),
            notes: (0..40).map(|i| format!("note {i}")).collect(),
            block: Some("просила не звонить".into()),
            ..Effects::default()
        };
        report.trace.events = (0..4_000)
            .map(|i| TraceEvent {
                at_ms: i,
                took_ms: 0,
                call: "line.play".into(),
                given: serde_json::Value::String("x".repeat(500)),
                got: serde_json::Value::Null,
                ticks: 0,
            })
            .collect();
        report
    });
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make_list(&dialer, 1, 1).await;
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    let tables = dialer.tables(&tenant());
    let row = tables.lead(&project(), &lead(0)).await.unwrap().unwrap();
    assert_eq!(row.fields["name"], "Анна Ивановна");
    assert_eq!(row.fields["long"].len(), 4096, "cut at a letter's end");
    assert_eq!((row.notes.len(), row.notes[31].as_str()), (32, "note 39"));
    assert_eq!(tables.blocked(&number(0)).await.unwrap().unwrap().why, "просила не звонить");
    // A trace that no store would take is cut, and says so.
    let record = tables.record(&row.progress.tries[0].attempt).await.unwrap().unwrap();
    let kept = record.trace.events.len();
    assert!(kept > 100 && kept + record.trace.dropped as usize == 4_000, "{kept}");
}

/// A scenario wrote quotes and control characters up to every limit. As JSON that was more than the store takes, so the
/// settling failed, the project stopped, and a person who had been talked to was in no book.
#[tokio::test(start_paused = true)]
async fn a_card_that_outgrows_the_store_loses_its_notes_and_not_the_charge() {
    let heavy = |length: usize| "\u{1}".repeat(length);
    let phone = Phone(move |_| async move {
        let mut report = answered(32_000);
        report.effects.set_fields = (0..40).map(|i| (format!("field {i:02}"), heavy(2_000))).collect();
        report.effects.notes = (0..40).map(|_| heavy(2_000)).collect();
        report
    });
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make_list(&dialer, 2, 1).await;
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!((finished.counts.attempts, finished.counts.spent), (2, Kopecks(2 * 128)));
    let tables = dialer.tables(&tenant());
    assert!(tables.verify().await.unwrap().is_sound());
    let row = tables.lead(&project(), &lead(0)).await.unwrap().unwrap();
    assert_eq!(row.fields["name"], "Анна 0");
    assert_eq!((row.notes.len(), row.progress.state), (0, LeadState::Reached));
    assert!(row.fields.len() > 15, "what fits stays: {}", row.fields.len());
}

/// Such a lead could be added, and then never be settled.
#[tokio::test(start_paused = true)]
async fn a_lead_that_would_not_fit_into_the_store_is_refused_with_a_sentence() {
    let dialer = dialer(memory(), Arc::new(Phone(|_| async { answered(1) })), 1);
    make_list(&dialer, 1, 1).await;
    let fields = (0..40).map(|i| (format!("{i}"), "\u{1}".repeat(2_000))).collect();
    let heavy = NewLead { lead: lead(9), numbers: vec![number(9)], fields, tags: BTreeSet::new() };
    let refused = dialer.tables(&tenant()).add_leads(&project(), vec![heavy]).await;
    assert!(matches!(refused, Err(DialerError::LeadTooLarge { .. })), "{refused:?}");
}

/// Somebody edits the lead in the console while it is being called: neither the edit nor the call is lost.
#[tokio::test(start_paused = true)]
async fn an_edit_in_mid_call_survives_and_so_does_the_call() {
    let store = memory();
    let keys = Key::root("acme").then("lead").then("spring").then("lead-0");
    let shard = TenantKeys::new(&tenant()).shard();
    let phone = {
        let store = store.clone();
        Phone(move |_| {
            let (store, keys) = (store.clone(), keys.clone());
            async move {
                let item = store.get(shard, &keys).await.unwrap().unwrap();
                let edited = String::from_utf8(item.value.to_vec()).unwrap().replace("Анна 0", "Пётр");
                let _ = store.commit(shard, vec![Write::replace(keys, item.revision, edited)]).await.unwrap();
                answered(32_000)
            }
        })
    };
    let dialer = dialer(store, Arc::new(phone), 1);
    make_list(&dialer, 1, 1).await;
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!((finished.counts.attempts, finished.counts.spent), (1, Kopecks(128)));
    let row = dialer.tables(&tenant()).lead(&project(), &lead(0)).await.unwrap().unwrap();
    assert_eq!((row.fields["name"].as_str(), &row.progress.state), ("Пётр", &LeadState::Reached));
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_is_deleted_in_mid_call_is_charged_all_the_same() {
    let store = memory();
    let phone = {
        let store = store.clone();
        Phone(move |_| {
            let store = store.clone();
            async move {
                let tables = zvonar_dialer::Tables::new(store, Arc::new(PriceList::default()), tenant());
                let all = zvonar_dialer::Selection::All(zvonar_dialer::LeadFilter::default());
                assert_eq!(tables.delete_leads(&project(), &all).await.unwrap().changed, 1);
                answered(32_000)
            }
        })
    };
    let dialer = dialer(store, Arc::new(phone), 1);
    make_list(&dialer, 1, 1).await;
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!(finished.counts.spent, Kopecks(128));
    let tables = dialer.tables(&tenant());
    assert_eq!(tables.balance().await.unwrap().spent, Kopecks(128));
    assert!(tables.leads(&project()).await.unwrap().is_empty(), "its call does not bring it back");
    assert_eq!(tables.status_counts(&project()).await.unwrap().total(), 0);
    assert!(tables.verify().await.unwrap().is_sound());
}

/// A run whose lease ran out while it was cut off from the world: its attempt was given up, and its report comes late.
#[tokio::test(start_paused = true)]
async fn a_report_that_comes_after_its_attempt_was_given_up_is_put_aside() {
    let store = memory();
    let phone = {
        let store = store.clone();
        Phone(move |order: Order| {
            let store = store.clone();
            async move {
                let tables = zvonar_dialer::Tables::new(
                    store.clone(),
                    Arc::new(PriceList::default()),
                    order.tenant.clone(),
                );
                let now = wall_clock()();
                // Not a second too early.
                let soon = tables
                    .recover(Abandoned::Expired, now.plus(Duration::from_secs(4 * 3600)))
                    .await
                    .unwrap();
                assert_eq!((soon.freed, soon.failed), (0, 0));
                let late = now.plus(Duration::from_secs(5 * 3600));
                assert_eq!(tables.recover(Abandoned::Expired, late).await.unwrap().failed, 1);
                answered(32_000)
            }
        })
    };
    let dialer = dialer(store.clone(), Arc::new(phone), 1);
    make_list(&dialer, 1, 1).await;
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!((finished.counts.attempts, finished.counts.spent), (0, Kopecks(0)));
    let tables = dialer.tables(&tenant());
    let report = tables.report(&project()).await.unwrap();
    assert_eq!((report.rows.len(), report.rows[0].result.as_str()), (1, "Системная ошибка"));
    let shard = TenantKeys::new(&tenant()).shard();
    let key = Key::root("acme").then("orphan").then(report.rows[0].attempt.as_str());
    let orphan = store.get(shard, &key).await.unwrap().expect("the true report is kept");
    assert!(String::from_utf8_lossy(&orphan.value).contains("32000"));
    assert!(tables.verify().await.unwrap().is_sound());
}

#[tokio::test(start_paused = true)]
async fn leads_are_added_once_and_the_rest_says_why_not() {
    let dialer = dialer(memory(), Arc::new(Phone(|_| async { answered(1) })), 1);
    make_list(&dialer, 3, 1).await;
    let tables = dialer.tables(&tenant());
    let new = |id: &str, number: &str| NewLead {
        lead: LeadId::new(id).unwrap(),
        numbers: vec![PhoneNumber::parse(number).unwrap()],
        fields: BTreeMap::new(),
        tags: BTreeSet::new(),
    };
    let mut leads = vec![
        new("lead-1", "+79005550000"),
        new("kz", "+77012345678"),
        new("free", "88001234567"),
        new("twin", "+79005550001"),
        new("twin", "+79005550002"),
    ];
    leads.extend((0..250).map(|i| new(&format!("more-{i}"), &format!("+7901{i:07}"))));
    let added = tables.add_leads(&project(), leads.clone()).await.unwrap();
    assert_eq!(added.added, 251);
    assert_eq!(added.known.len(), 2);
    let kazakh = (LeadId::new("kz").unwrap(), NumberRefused::Kazakhstan);
    assert_eq!(added.refused, [kazakh, (LeadId::new("free").unwrap(), NumberRefused::Service)]);
    assert_eq!(tables.add_leads(&project(), leads).await.unwrap().added, 0);
    let stored = tables.leads(&project()).await.unwrap();
    assert_eq!(stored.len(), 254);
    assert_eq!(stored[1].numbers, [number(1)], "a known lead stays as it was");
    assert!(stored.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert!(tables.project(&project()).await.unwrap().unwrap().leads > stored[253].position);

    let mut long = new("long", "+79005550003");
    long.fields.insert("address".into(), "x".repeat(5_000));
    let error = tables.add_leads(&project(), vec![long]).await.unwrap_err();
    assert_eq!(error.to_string(), "lead long: the field `address` is longer than 4096 bytes");
    let nowhere = ProjectId::new("nowhere").unwrap();
    let error = tables.add_leads(&nowhere, vec![new("a", "+79005550004")]).await.unwrap_err();
    assert!(matches!(error, DialerError::NoProject(_)));
}

#[tokio::test(start_paused = true)]
async fn leads_that_are_added_during_a_run_are_dialled_by_it() {
    let store = memory();
    let added = Arc::new(AtomicU32::new(0));
    let phone = {
        let (store, added) = (store.clone(), added.clone());
        Phone(move |_| {
            let (store, added) = (store.clone(), added.clone());
            async move {
                if added.fetch_add(1, Ordering::SeqCst) == 0 {
                    let tables = zvonar_dialer::Tables::new(store, Arc::new(PriceList::default()), tenant());
                    let late = NewLead {
                        lead: LeadId::new("late").unwrap(),
                        numbers: vec![number(500)],
                        fields: BTreeMap::new(),
                        tags: BTreeSet::new(),
                    };
                    tables.add_leads(&project(), vec![late]).await.unwrap();
                }
                answered(1)
            }
        })
    };
    let dialer = dialer(store, Arc::new(phone), 1);
    make_list(&dialer, 2, 1).await;
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!((finished.counts.leads, finished.counts.finished, finished.counts.attempts), (3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn what_a_newer_program_wrote_is_not_guessed_at() {
    let store = memory();
    let dialer = dialer(store.clone(), Arc::new(Phone(|_| async { answered(1) })), 1);
    let key = Key::root("acme").then("project").then("spring");
    let shard = TenantKeys::new(&tenant()).shard();
    let _ =
        store.commit(shard, vec![Write::create(key.clone(), r#"{"v":2,"row":{"new":true}}"#)]).await.unwrap();
    let error = dialer.tables(&tenant()).project(&project()).await.unwrap_err();
    assert!(error.to_string().contains("has version 2, this program knows 1"), "{error}");
    let item = store.get(shard, &key).await.unwrap().unwrap();
    let _ = store.commit(shard, vec![Write::replace(key, item.revision, "{")]).await.unwrap();
    let error = dialer.tables(&tenant()).project(&project()).await.unwrap_err();
    assert!(error.to_string().contains("acme.project.spring cannot be read"), "{error}");
}
