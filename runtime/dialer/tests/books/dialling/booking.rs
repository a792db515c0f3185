//! Calls outside a project, and the check of the books.

use zvonar_model::RecognisedAnswer;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_call_by_hand_and_a_call_that_came_in_are_charged_once() {
    let dialer = dialer(memory(), Arc::new(Phone(|_| async { answered(2_500) })), 1);
    let order = by_hand(&dialer);
    let Some(Settled::Done { record, charge }) = dialer.call_by_hand(order.clone()).await.unwrap() else {
        panic!("not settled")
    };
    assert_eq!((record.project, record.lead, charge.total), (None, None, Kopecks(12)));
    assert_eq!(record.peer, number(7).reveal(), "as it was dialled");
    assert!(dialer.call_by_hand(order).await.unwrap().is_none(), "an id is good for one call");

    let inbound = Inbound {
        attempt: dialer.attempt_id(),
        number: Some(number(9)),
        peer: "sip:+79000000009@carrier".into(),
        trunk: None,
        started_at: UnixMillis(500),
    };
    let first = dialer.settle_inbound(&tenant(), inbound.clone(), answered(1)).await.unwrap();
    assert!(matches!(first, Settled::Done { charge, .. } if charge.total == Kopecks(4)));
    let again = dialer.settle_inbound(&tenant(), inbound, answered(99_000)).await.unwrap();
    assert!(matches!(again, Settled::Orphan { .. }));
    let tables = dialer.tables(&tenant());
    assert_eq!(tables.balance().await.unwrap().spent, Kopecks(16));
    assert!(tables.verify().await.unwrap().is_sound());
    // Calls that came in were charged, and no report had a row of them.
    let rows = tables.report_outside_projects().await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.lead.as_ref(), row.kopecks, row.lines_sum)).collect();
    assert_eq!(
        told,
        [(None, Kopecks(4), Kopecks(4)), (None, Kopecks(12), Kopecks(12))],
        "by their beginnings"
    );
    // Another tenant sees nothing of it.
    let other = dialer.tables(&TenantId::new("other").unwrap());
    assert_eq!(other.balance().await.unwrap().charges, 0);
    assert_eq!(other.report_outside_projects().await.unwrap(), []);
    assert_eq!(other.record(&record.attempt).await.unwrap(), None);
}

/// Calls by hand went past the blacklist: a person who had asked not to be called was called.
#[tokio::test(start_paused = true)]
async fn a_blocked_number_is_not_rung_by_hand_either() {
    let phone = Phone(|_| async { panic!("the telephone rang") });
    let dialer = dialer(memory(), Arc::new(phone), 1);
    dialer.tables(&tenant()).block(&number(7), "asked not to be called", UnixMillis(5)).await.unwrap();
    let Some(Settled::Done { record, charge }) = dialer.call_by_hand(by_hand(&dialer)).await.unwrap() else {
        panic!("not settled")
    };
    assert_eq!((record.outcome, charge.total), (Outcome::Blacklisted, Kopecks::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_call_by_hand_that_a_crash_cut_off_is_in_the_books() {
    let store = memory();
    let first = dialer(store.clone(), Arc::new(Phone(|_| std::future::pending())), 1);
    let order = by_hand(&first);
    let attempt = order.attempt.clone();
    assert!(tokio::time::timeout(Duration::from_secs(1), first.call_by_hand(order)).await.is_err());
    let second = dialer(store, Arc::new(Phone(|_| std::future::pending())), 2);
    assert_eq!(second.recover(&tenant()).await.unwrap().failed, 1);
    let record = second.tables(&tenant()).record(&attempt).await.unwrap().unwrap();
    assert_eq!(record.outcome.title(), "Системная ошибка");
}

#[tokio::test(start_paused = true)]
async fn the_check_of_the_books_finds_what_is_planted() {
    let store = memory();
    let log = Arc::default();
    let dialer = dialer(store.clone(), Carrier::new(1, log, Arc::new(|_| {})), 1);
    make_list(&dialer, 30, 5).await;
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    let tables = dialer.tables(&tenant());
    assert!(tables.verify().await.unwrap().is_sound());
    let shard = TenantKeys::new(&tenant()).shard();
    let report = tables.report(&project()).await.unwrap();
    let paid: Vec<_> = report.rows.iter().filter(|row| row.kopecks.0 > 0).collect();

    let edit = async |table: &str, attempt: &str, edit: &dyn Fn(String) -> Option<String>| {
        let key = Key::root("acme").then(table).then(attempt);
        let item = store.get(shard, &key).await.unwrap().unwrap();
        let old = String::from_utf8(item.value.to_vec()).unwrap();
        let new = edit(old.clone());
        assert_ne!(new.as_ref(), Some(&old), "the edit takes");
        let write = Write { key, expect: zvonar_store::Expect::Any, value: new.map(Into::into) };
        let _ = store.commit(shard, vec![write]).await.unwrap();
    };
    // A total without its line.
    let total = format!("\"total\":{}", paid[0].kopecks.0);
    edit("charge", paid[0].attempt.as_str(), &|old| Some(old.replace(&total, "\"total\":999999"))).await;
    // A record that says otherwise than its charge.
    edit("call", paid[1].attempt.as_str(), &|old| Some(old.replace("\"robot\":", "\"robot\":9"))).await;
    // A charge without a record, a record without a charge.
    edit("call", paid[2].attempt.as_str(), &|_| None).await;
    edit("charge", paid[3].attempt.as_str(), &|_| None).await;

    let verified = tables.verify().await.unwrap();
    let faults = &verified.faults;
    assert!(!verified.is_sound());
    let differs = |wanted: &str| {
        faults
            .iter()
            .any(|fault| matches!(fault, BookFault::Differs { attempt, .. } if attempt.as_str() == wanted))
    };
    assert!(differs(paid[0].attempt.as_str()) && differs(paid[1].attempt.as_str()), "{faults:?}");
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, BookFault::Lines { attempt, .. } if *attempt == paid[0].attempt))
    );
    assert!(faults.contains(&BookFault::NoRecord { attempt: paid[2].attempt.clone() }), "{faults:?}");
    assert!(faults.contains(&BookFault::NoCharge { attempt: paid[3].attempt.clone() }), "{faults:?}");
    assert!(faults.iter().any(|fault| matches!(fault, BookFault::Balance { .. })), "{faults:?}");
    assert_eq!(verified.fault_count as usize, faults.len());
    assert!(faults.iter().all(|fault| fault.to_string().len() > 30));
}

/// A balance that somebody edited is no charge's fault.
#[tokio::test(start_paused = true)]
async fn a_wrong_balance_is_found() {
    let store = memory();
    let dialer = dialer(store.clone(), Arc::new(Phone(|_| async { answered(2_500) })), 1);
    dialer.call_by_hand(by_hand(&dialer)).await.unwrap();
    let tables = dialer.tables(&tenant());
    assert_eq!(tables.balance().await.unwrap().spent, Kopecks(12));
    let key = Key::root("acme").then("balance").then("total");
    let shard = TenantKeys::new(&tenant()).shard();
    let item = store.get(shard, &key).await.unwrap().unwrap();
    let edited = String::from_utf8(item.value.to_vec()).unwrap().replace("\"spent\":12", "\"spent\":11");
    let _ = store.commit(shard, vec![Write::replace(key, item.revision, edited)]).await.unwrap();
    let faults = tables.verify().await.unwrap().faults;
    assert!(
        matches!(faults[..], [BookFault::Balance { stored, folded }]
        if stored.spent == Kopecks(11) && folded.spent == Kopecks(12)),
        "{faults:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn many_who_fold_the_balance_at_once_count_each_charge_once() {
    let store = FaultStore::new(memory(), []);
    let dialer = dialer(store, Arc::new(Phone(|_| async { answered(2_500) })), 1);
    let mut folds = tokio::task::JoinSet::new();
    for _ in 0..60 {
        dialer.call_by_hand(by_hand(&dialer)).await.unwrap();
        let tables = dialer.tables(&tenant());
        folds.spawn(async move { tables.balance().await.unwrap() });
    }
    folds.join_all().await;
    let balance = dialer.tables(&tenant()).balance().await.unwrap();
    assert_eq!((balance.spent, balance.charges), (Kopecks(60 * 12), 60));
}

/// Two hours of answers: what they are charged by must fit, what was said need not.
#[tokio::test(start_paused = true)]
async fn a_record_that_outgrows_the_store_loses_words_and_not_the_charge() {
    let phone = Phone(move |_| async move {
        let mut report = answered(32_000);
        let answer = RecognisedAnswer {
            text: "\u{1}да ".repeat(30),
            model: format!("base@{}", "0".repeat(64)),
            sound: Some("acme/2026/03/02/an-answer-of-a-usual-name-1.wav".into()),
            ..RecognisedAnswer::lasting(Duration::from_secs(2))
        };
        report.answers = vec![answer; 1_500];
        report
    });
    let dialer = dialer(memory(), Arc::new(phone), 1);
    make_list(&dialer, 1, 1).await;
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!((finished.counts.attempts, finished.counts.spent), (1, Kopecks(128 + 1_500 * 40)));
    assert!(dialer.tables(&tenant()).verify().await.unwrap().is_sound());
}
