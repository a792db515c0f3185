//! The subscription fee: begins with the end of the trial, once for each operator and month, whatever crashes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use zvonar_dialer::operators::OperatorRow;
use zvonar_dialer::{CallReport, Dialer, Inbound, Tables, TenantKeys};
use zvonar_ledger::{Month, PriceList};
use zvonar_model::{Kopecks, Millis, OperatorId, Transfer, UnixMillis};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{Commit, Cursor, Key, SharedStore, Write};

use crate::dialling::{Phone, answered, memory};
use crate::world::tenant;

/// 2026-03-10, noon in Moscow, and the first moment of April there.
const MARCH: UnixMillis = UnixMillis(1_773_133_200_000);
const APRIL: UnixMillis = UnixMillis(1_774_990_800_000);

fn tables(store: SharedStore) -> Tables {
    let prices = PriceList::from_toml(
        r#"
        [[tariff]]
        version = 1
        robot_per_second = 4
        employee_per_second = 0
        external = { price = 3, per = "second" }
        recognition = { price = 40, step_s = 15, cut_s = 30 }
        seat = { per_month = 65000, trial_transfers = 20 }
        "#,
    );
    Tables::new(store, Arc::new(prices.unwrap()), tenant())
}

fn dialer(store: SharedStore) -> Dialer {
    let prices = Arc::new(PriceList::default());
    Dialer::new(store, prices, Arc::new(Phone(|_| async { answered(1_000) })), Arc::new(|| MARCH), 1)
}

/// A call of ten seconds that was handed on.
fn handed(to_operator: bool, connected: bool) -> CallReport {
    let mut report = answered(10_000);
    report.transfers = vec![Transfer {
        to_operator,
        connected,
        talk: Millis(if connected { 5_000 } else { 0 }),
        ..Transfer::default()
    }];
    report.phases.talk = report.transfers[0].talk;
    report
}

async fn call(dialer: &Dialer, report: CallReport) {
    let inbound = Inbound {
        attempt: dialer.attempt_id(),
        number: None,
        peer: "sip:somebody@example.com".into(),
        trunk: None,
        started_at: MARCH,
    };
    dialer.settle_inbound(&tenant(), inbound, report).await.unwrap();
}

async fn operators(tables: &Tables, names: &[&str]) {
    for name in names {
        let row = OperatorRow::new(OperatorId::new(name).unwrap(), name, MARCH);
        tables.add_operator(&row, 100).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn twenty_calls_to_external_numbers_are_free_of_the_fee_and_then_each_operator_is_charged_once_a_month()
{
    let store = memory();
    let (tables, dialer) = (tables(store.clone()), dialer(store));
    operators(&tables, &["anna", "boris"]).await;
    // Talks with operators and calls that nobody took there are no part of the trial.
    for (to_operator, connected) in [(true, true), (false, false), (true, false)] {
        call(&dialer, handed(to_operator, connected)).await;
    }
    for _ in 0..19 {
        call(&dialer, handed(false, true)).await;
    }
    assert_eq!(tables.charge_seats(MARCH).await.unwrap(), [], "the trial is not over");
    call(&dialer, handed(false, true)).await;
    let charged = tables.charge_seats(MARCH).await.unwrap();
    let who: BTreeSet<String> = charged.iter().map(|fee| fee.operator.to_string()).collect();
    assert_eq!(who, ["anna", "boris"].map(String::from).into());
    assert_eq!(charged[0].why, "Абонентская плата: сотрудник anna, 2026-03");
    assert_eq!(tables.charge_seats(MARCH).await.unwrap(), [], "nobody is charged twice");

    // Who comes later in the month pays for it; who has gone does not pay for the next.
    operators(&tables, &["vera"]).await;
    assert_eq!(tables.charge_seats(MARCH).await.unwrap().len(), 1);
    tables.remove_operator(&OperatorId::new("boris").unwrap()).await.unwrap();
    assert_eq!(tables.charge_seats(UnixMillis(APRIL.0 - 1)).await.unwrap(), [], "it is still March");
    assert_eq!(tables.charge_seats(APRIL).await.unwrap().len(), 2);
    assert_eq!(tables.fees(Month { year: 2026, month: 3 }).await.unwrap().len(), 3);

    let account = tables.account().await.unwrap();
    assert_eq!((account.fees, account.left()), (Kopecks(5 * 65_000), Kopecks(-account.spent.0 - 5 * 65_000)));
    assert!(tables.verify().await.unwrap().is_sound());
}

/// A caller who was handed from one external number on to another counted as two calls, so the trial was over too soon.
#[tokio::test(start_paused = true)]
async fn a_call_that_two_external_numbers_took_is_one_call_of_the_trial() {
    let store = memory();
    let (tables, dialer) = (tables(store.clone()), dialer(store.clone()));
    operators(&tables, &["anna"]).await;
    let mut twice = handed(false, true);
    twice.transfers.push(twice.transfers[0].clone());
    for _ in 0..19 {
        call(&dialer, twice.clone()).await;
    }
    assert_eq!(tables.balance().await.unwrap().externals, 19);
    assert_eq!(tables.charge_seats(MARCH).await.unwrap(), [], "the trial is not over");
    // A balance as an earlier program folded it is folded anew.
    let shard = TenantKeys::new(&tenant()).shard();
    let page = store.scan(shard, &Key::root(tenant().as_str()), Cursor::start(), 1_000).await.unwrap();
    let row =
        page.items.into_iter().find(|item| String::from_utf8_lossy(&item.value).contains("\"externals\":19"));
    let row = row.unwrap();
    let text = String::from_utf8(row.value.to_vec()).unwrap();
    let old = text.replace("\"externals\":19", "\"externals\":38").replace(",\"rule\":1", "");
    assert!(old.len() < text.len(), "{text}");
    let done = store.commit(shard, vec![Write::replace(row.key, row.revision, old)]).await.unwrap();
    assert!(matches!(done, Commit::Done(_)));
    assert_eq!(tables.balance().await.unwrap().externals, 19);
    assert!(tables.verify().await.unwrap().is_sound());
    call(&dialer, handed(false, true)).await;
    assert_eq!(tables.charge_seats(MARCH).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fee_whose_answer_is_lost_or_whose_host_dies_is_charged_once() {
    for (fault, at) in
        [(Fault::LostAfter, 1), (Fault::LostBefore, 2), (Fault::CrashBefore, 2), (Fault::CrashAfter, 1)]
    {
        let store = memory();
        let sound = tables(store.clone());
        operators(&sound, &["anna", "boris", "vera"]).await;
        let dialer = dialer(store.clone());
        for _ in 0..20 {
            call(&dialer, handed(false, true)).await;
        }
        sound.balance().await.unwrap();
        let faulty = tables(FaultStore::new(store, [(at, fault)]));
        // It may die in the middle; the next hour tries again.
        let _ = tokio::time::timeout(Duration::from_secs(60), faulty.charge_seats(MARCH)).await;
        sound.charge_seats(MARCH).await.unwrap();
        let account = sound.account().await.unwrap();
        assert_eq!(account.fees, Kopecks(3 * 65_000), "{fault:?}");
        assert!(sound.verify().await.unwrap().is_sound(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sum_of_fees_that_is_not_theirs_is_found() {
    let store = memory();
    let tables = tables(store.clone());
    operators(&tables, &["anna"]).await;
    let dialer = dialer(store.clone());
    for _ in 0..20 {
        call(&dialer, handed(false, true)).await;
    }
    tables.charge_seats(MARCH).await.unwrap();
    tables.account().await.unwrap();
    let shard = TenantKeys::new(&tenant()).shard();
    let key = Key::root(tenant().as_str()).then("balance").then("fees");
    let item = store.get(shard, &key).await.unwrap().unwrap();
    let text = String::from_utf8(item.value.to_vec()).unwrap().replace("65000", "64999");
    let done = store.commit(shard, vec![Write::replace(key, item.revision, text)]).await.unwrap();
    assert!(matches!(done, Commit::Done(_)));
    let faults = tables.verify().await.unwrap().faults;
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["the balance says 649,99 ₽ of fees, the fees come to 650,00 ₽"]);
}
