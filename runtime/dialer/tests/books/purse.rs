//! Prepaid tenants: payments, holds, and a project that stops when nothing is left.

use std::sync::Arc;
use std::time::Duration;

use zvonar_campaign::{Ending, ProjectStatus};
use zvonar_dialer::{BookFault, Dialer, Keep, NewProject, Prepaid, TenantKeys};
use zvonar_model::Kopecks;
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{Key, Write};

use crate::dialling::{Phone, answered, memory, never};
use crate::foreman::{leads, make};
use crate::world::{dialer, new_project, project, tenant};

/// Every call takes half a minute: 1,20 roubles. A minute, 2,40, is held for it.
fn prepaid(dialer: Dialer, credit: i64) -> Dialer {
    dialer.with_prepaid(tenant(), Prepaid { credit: Kopecks(credit), ..Prepaid::default() })
}

fn half_a_minute() -> Arc<dyn zvonar_dialer::Caller> {
    Arc::new(Phone(|_| async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        answered(30_000)
    }))
}

async fn dial(dialer: &Dialer) -> ProjectStatus {
    let tables = dialer.tables(&tenant());
    tables.start_project(&project(), 5, dialer.now()).await.unwrap();
    dialer.keep(&tenant(), Keep { once: true, ..Keep::default() }, never()).await.unwrap();
    tables.project(&project()).await.unwrap().unwrap().status
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_noted_once_and_another_sum_under_its_id_is_refused() {
    let store = memory();
    let dialer = dialer(FaultStore::new(store, [(1, Fault::LostAfter)]), half_a_minute(), 1);
    let tables = dialer.tables(&tenant());
    assert!(tables.top_up("bank-1", Kopecks(50_000), dialer.now()).await.unwrap());
    assert!(!tables.top_up("bank-1", Kopecks(50_000), dialer.now()).await.unwrap());
    let told = tables.top_up("bank-1", Kopecks(50_001), dialer.now()).await.unwrap_err().to_string();
    assert_eq!(told, "payment bank-1 is known with 50000 kopecks, not 50001: nothing was noted");
    assert!(tables.top_up("bank-2", Kopecks(7), dialer.now()).await.unwrap());
    for (id, kopecks) in [("x", 0), ("x", -5), ("", 5), ("x", i64::MAX)] {
        assert!(tables.top_up(id, Kopecks(kopecks), dialer.now()).await.is_err(), "{id} {kopecks}");
    }
    let account = tables.account().await.unwrap();
    assert_eq!((account.paid, account.payments, account.left()), (Kopecks(50_007), 2, Kopecks(50_007)));
    assert!(tables.verify().await.unwrap().is_sound());
}

#[tokio::test(start_paused = true)]
async fn a_project_stops_with_its_reason_when_the_balance_is_spent_and_goes_on_after_a_payment() {
    let dialer = prepaid(dialer(memory(), half_a_minute(), 1), 0);
    make(&dialer, NewProject { lines: 3, ..new_project(project()) }, leads(0, 12)).await;
    let tables = dialer.tables(&tenant());
    let ProjectStatus::Error { why } = dial(&dialer).await else { panic!("nothing was paid") };
    assert!(why.starts_with(
        "the balance is spent: 0,00 ₽ are left with a credit of 0,00 ₽, and a call needs 2,40 ₽"
    ));
    assert_eq!(tables.balance().await.unwrap().charges, 0, "nobody was called");

    // Two calls can be held at once; when they are over, 3,00 are left for one more, then 1,80.
    tables.top_up("one", Kopecks(540), dialer.now()).await.unwrap();
    assert_eq!(dial(&dialer).await.title(), "Ошибка");
    assert_eq!(tables.account().await.unwrap().left(), Kopecks(180));
    assert_eq!(tables.balance().await.unwrap().charges, 3);

    tables.top_up("two", Kopecks(1_200), dialer.now()).await.unwrap();
    assert_eq!(dial(&dialer).await, ProjectStatus::Finished { by: Ending::Done });
    let account = tables.account().await.unwrap();
    assert_eq!((account.charges, account.left()), (12, Kopecks(540 + 1_200 - 12 * 120)));
    assert!(tables.verify().await.unwrap().is_sound());
}

#[tokio::test(start_paused = true)]
async fn a_credit_lets_the_balance_go_below_nothing_and_calls_are_never_cut() {
    // An hour of talk on a hold of a minute.
    let long = Phone(|_| async {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        answered(3_600_000)
    });
    let dialer = prepaid(dialer(memory(), Arc::new(long), 1), 240);
    make(&dialer, NewProject { lines: 3, ..new_project(project()) }, leads(0, 3)).await;
    assert_eq!(dial(&dialer).await.title(), "Ошибка");
    let account = dialer.tables(&tenant()).account().await.unwrap();
    assert_eq!((account.charges, account.left()), (1, Kopecks(-14_400)));
}

/// A payment that comes in while calls wait for it is enough: nobody need stop and start anything.
#[tokio::test(start_paused = true)]
async fn a_payment_during_a_call_lets_the_next_one_begin() {
    let dialer = prepaid(dialer(memory(), half_a_minute(), 1), 0);
    make(&dialer, NewProject { lines: 2, ..new_project(project()) }, leads(0, 6)).await;
    let tables = dialer.tables(&tenant());
    tables.top_up("one", Kopecks(240), dialer.now()).await.unwrap();
    let pays = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(tables.balance().await.unwrap().charges, 0, "one call, in progress");
        tables.top_up("two", Kopecks(10_000), dialer.now()).await.unwrap();
    };
    let (status, ()) = tokio::join!(dial(&dialer), pays);
    assert_eq!(status.title(), "Завершён");
    assert_eq!(tables.account().await.unwrap().left(), Kopecks(10_240 - 6 * 120));
}

#[tokio::test(start_paused = true)]
async fn holds_are_gone_after_a_crash_and_the_calls_cost_nothing() {
    let store = memory();
    let first = prepaid(dialer(store.clone(), half_a_minute(), 1), 0);
    make(&first, NewProject { lines: 3, ..new_project(project()) }, leads(0, 3)).await;
    let tables = first.tables(&tenant());
    tables.top_up("one", Kopecks(240), first.now()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(5), dial(&first)).await.is_err());
    drop(first);
    let second = prepaid(dialer(store, half_a_minute(), 2), 0);
    assert_eq!(second.recover(&tenant()).await.unwrap().failed, 1);
    assert_eq!(tables.account().await.unwrap().left(), Kopecks(240));
    assert_eq!(dial(&second).await.title(), "Ошибка", "one call, then too little is left for another");
    assert_eq!(tables.account().await.unwrap().left(), Kopecks(120));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_sum_of_payments_is_found() {
    let store = memory();
    let dialer = dialer(store.clone(), half_a_minute(), 1);
    let tables = dialer.tables(&tenant());
    tables.top_up("one", Kopecks(240), dialer.now()).await.unwrap();
    tables.account().await.unwrap();
    let key = Key::root("acme").then("balance").then("paid");
    let shard = TenantKeys::new(&tenant()).shard();
    let item = store.get(shard, &key).await.unwrap().unwrap();
    let edited = String::from_utf8(item.value.to_vec()).unwrap().replace("240", "241");
    let _ = store.commit(shard, vec![Write::replace(key, item.revision, edited)]).await.unwrap();
    let faults = tables.verify().await.unwrap().faults;
    assert_eq!(faults, [BookFault::Paid { stored: Kopecks(241), folded: Kopecks(240) }]);
}
