//! «Добавить в проект и перезвонить по пропущенному»: once for each missed caller, whatever crashes.

use std::sync::Arc;

use zvonar_campaign::{LeadState, Meaning, RetryClass, RetryRules};
use zvonar_dialer::{CallReport, DialRules, Dialer, Inbound, NewProject, Order, Settled, Tables};
use zvonar_model::{Outcome, PhoneNumber, ProjectId, SystemResult, UnixMillis};
use zvonar_store::SharedStore;
use zvonar_store::fault::{Fault, FaultStore};

use crate::dialling::{Phone, answered, lead, memory, never};
use crate::world::{dialer, make_list, new_project, project, tenant};

fn back() -> ProjectId {
    ProjectId::new("back").unwrap()
}

/// A caller who waited for an operator and left.
fn lost(to: ProjectId) -> CallReport {
    let mut report = answered(40_000);
    report.outcome = Outcome::answered(SystemResult::Lost);
    report.effects.call_back = Some(to);
    report
}

fn losing(store: SharedStore, seed: u64) -> Dialer {
    dialer(store, Arc::new(Phone(|_: Order| async { lost(back()) })), seed)
}

async fn with_back(dialer: &Dialer, leads: u32) -> Tables {
    make_list(dialer, leads, 2).await;
    let tables = dialer.tables(&tenant());
    let rules = DialRules { retry: RetryRules::default(), ..new_project(back()).rules };
    tables.create_project(NewProject { rules, ..new_project(back()) }, dialer.now()).await.unwrap();
    tables
}

#[tokio::test(start_paused = true)]
async fn who_left_the_queue_is_in_the_call_back_project_with_his_whole_card() {
    let dialer = losing(memory(), 1);
    let tables = with_back(&dialer, 3).await;
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    let report = tables.report(&back()).await.unwrap();
    assert_eq!((report.totals.leads, report.totals.new), (3, 3));
    let (there, here) =
        (tables.lead(&back(), &lead(1)).await.unwrap(), tables.lead(&project(), &lead(1)).await.unwrap());
    let (there, here) = (there.unwrap(), here.unwrap());
    assert_eq!((there.numbers, there.fields, there.tags), (here.numbers, here.fields, here.tags));
    assert_eq!((there.progress.state, here.progress.state), (LeadState::New, LeadState::Reached));
}

#[tokio::test(start_paused = true)]
async fn who_called_in_and_left_is_called_back_once_however_often_he_called() {
    let store = memory();
    let dialer = losing(store.clone(), 1);
    let tables = with_back(&dialer, 0).await;
    let calls_in = async |number: &str, at: i64| {
        let inbound = Inbound {
            attempt: dialer.attempt_id(),
            number: PhoneNumber::parse(number).ok(),
            peer: format!("sip:{number}@example.org"),
            trunk: None,
            started_at: UnixMillis(at),
        };
        let mut report = lost(back());
        report.ended_at = UnixMillis(at + 40_000);
        let settled = dialer.settle_inbound(&tenant(), inbound, report).await.unwrap();
        assert!(matches!(settled, Settled::Done { .. }));
    };
    for at in [1_000, 90_000, 200_000] {
        calls_in("+79161234567", at).await;
    }
    calls_in("+79161234568", 300_000).await;
    // Nobody can call these back.
    calls_in("+12025550123", 400_000).await;
    calls_in("anna", 500_000).await;
    assert_eq!(tables.report(&back()).await.unwrap().totals.new, 2);
    // Once he was called back, a new missed call is a new reason.
    let reaching = crate::world::dialer(store, Arc::new(Phone(|_: Order| async { answered(9_000) })), 2);
    reaching.run(&tenant(), &back(), None, never()).await.unwrap();
    assert_eq!(tables.report(&back()).await.unwrap().totals.reached, 2);
    calls_in("+79161234567", 600_000).await;
    let totals = tables.report(&back()).await.unwrap().totals;
    assert_eq!((totals.leads, totals.reached, totals.again), (2, 1, 1));
    reaching.run(&tenant(), &back(), None, never()).await.unwrap();
    assert_eq!(tables.report(&back()).await.unwrap().totals.reached, 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_still_to_be_called_there_or_belongs_there_stays_as_he_is() {
    let dialer = losing(memory(), 1);
    let tables = with_back(&dialer, 2).await;
    let leads = tables.leads(&project()).await.unwrap();
    let new = leads.iter().map(|lead| zvonar_dialer::NewLead {
        lead: lead.lead.clone(),
        numbers: lead.numbers.clone(),
        fields: [].into(),
        tags: [].into(),
    });
    tables.add_leads(&back(), new.collect()).await.unwrap();
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!(tables.report(&back()).await.unwrap().totals.new, 2);
    // Missed by the call-back project itself: he is not reached, and its own rules say how often he is called.
    dialer.run(&tenant(), &back(), None, never()).await.unwrap();
    let totals = tables.report(&back()).await.unwrap().totals;
    assert_eq!((totals.leads, totals.unreached, totals.attempts), (2, 2, 4));
    let tries = tables.lead(&back(), &lead(1)).await.unwrap().unwrap().progress.tries;
    assert!(tries.iter().all(|one| one.meaning == Meaning::Retried(RetryClass::NoAnswer)), "{tries:?}");
    // Somebody who is found the second time is reached, and is called no more.
    let finds = Phone(|order: Order| async move {
        if order.attempt_number == 1 { lost(back()) } else { answered(9_000) }
    });
    let finding = crate::world::dialer(memory(), Arc::new(finds), 3);
    let tables = with_back(&finding, 0).await;
    let anna = zvonar_dialer::NewLead {
        lead: lead(1),
        numbers: vec![PhoneNumber::parse("+79161234567").unwrap()],
        fields: [].into(),
        tags: [].into(),
    };
    tables.add_leads(&back(), vec![anna]).await.unwrap();
    finding.run(&tenant(), &back(), None, never()).await.unwrap();
    let totals = tables.report(&back()).await.unwrap().totals;
    assert_eq!((totals.leads, totals.reached, totals.attempts), (1, 1, 2));
}

/// The process dies at each commit in turn, before and after it is durable; the next run goes on. Whoever stands in the books
/// as lost is in the call-back project once, and nobody else is.
#[tokio::test(start_paused = true)]
async fn whatever_crashes_each_missed_caller_is_called_back_once() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter] {
        for commit in 1.. {
            let store = memory();
            with_back(&losing(store.clone(), 1), 3).await;
            let faulty = FaultStore::new(store.clone(), [(commit, fault)]);
            let first = losing(faulty.clone(), 2);
            let (owner, whose) = (tenant(), project());
            let ended = tokio::select! {
                biased;
                () = faulty.crashed() => None,
                run = first.run(&owner, &whose, None, never()) => Some(run.unwrap()),
            };
            let second = losing(store.clone(), 3);
            second.recover(&owner).await.unwrap();
            second.run(&owner, &whose, None, never()).await.unwrap();
            let tables = second.tables(&owner);
            let mut missed = 0;
            let title = SystemResult::Lost.title();
            tables.each_record(|record| missed += u64::from(record.outcome.title() == title)).await.unwrap();
            let totals = tables.report(&back()).await.unwrap().totals;
            let leads = tables.leads(&back()).await.unwrap();
            assert_eq!((totals.leads, totals.new), (missed, missed), "{fault:?} at {commit}");
            assert_eq!(leads.len() as u64, missed, "{fault:?} at {commit}");
            assert!(tables.verify().await.unwrap().is_sound());
            if ended.is_some() && faulty.commits() < commit {
                assert!(commit > 8, "the faults went through the settling commits");
                break;
            }
        }
    }
}
