//! Telephones that come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use zvonar_desk::Status;
use zvonar_dialer::operators::{DeskControl, OperatorRow, USUAL_OPERATORS};
use zvonar_model::UnixMillis;
use zvonar_store::{MemoryStore, SharedStore};

use super::{Exchange, Manner, Office, end, id, open};
use crate::world::{tenant, wall_clock};

#[tokio::test(start_paused = true)]
async fn a_telephone_that_comes_takes_the_next_caller_at_once_and_nobody_is_on_a_break_for_its_absence() {
    let exchange = Exchange::with_phones(&[]);
    let operators = [("anna", Manner::Takes(0)), ("boris", Manner::Takes(0))];
    let office = Office::at(&exchange, &operators, zvonar_desk::Settings::default()).await;
    let clock = wall_clock();
    let mut waiting = Vec::new();
    for name in ["a", "b", "c"] {
        waiting.push(office.wait(name).await);
        sleep(Duration::from_secs(15)).await;
    }
    assert!(office.rang().is_empty(), "there is nothing to ring");
    for one in office.seen().await {
        assert_eq!((one.presence.status, one.presence.misses), (Status::Available, 0), "{one:?}");
    }
    let third = waiting.pop().unwrap();
    let (second, first) = (waiting.pop().unwrap(), waiting.pop().unwrap());
    // While telephones come one after the other, the one that comes first counts at once, and the next soon.
    let came = clock();
    exchange.phone("boris", true);
    let (told, talk) = end(first).await;
    assert_eq!((told.as_str(), clock().0 - came.0), ("talks to boris", 0));
    let came = clock();
    exchange.phone("anna", true);
    let (told, _anna) = end(second).await;
    assert!(told == "talks to anna" && clock().0 - came.0 < 1_000, "{told}, {} ms", clock().0 - came.0);
    // His telephone goes in mid-talk: the talk stays, and nobody is given to him after it until it is back.
    exchange.phone("boris", false);
    sleep(Duration::from_secs(1)).await;
    drop(talk);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(office.rang(), ["boris", "anna"]);
    exchange.phone("boris", true);
    assert_eq!(end(third).await.0, "talks to boris");
}

#[tokio::test(start_paused = true)]
async fn a_telephone_that_goes_while_it_rings_leaves_the_caller_to_the_next() {
    let exchange = Exchange::with_phones(&["anna", "boris"]);
    let operators = [("anna", Manner::Takes(15)), ("boris", Manner::Takes(1))];
    let office = Office::at(&exchange, &operators, zvonar_desk::Settings::default()).await;
    let waiting = office.wait("a").await;
    sleep(Duration::from_secs(3)).await;
    exchange.phone("anna", false);
    let (told, _talk) = end(waiting).await;
    assert_eq!((told.as_str(), office.rang().join(" ").as_str()), ("talks to boris", "anna boris"));
    assert_eq!(exchange.rings.lock().unwrap()["anna"], 0, "it is silent");
    assert_eq!(office.seen().await[0].presence.misses, 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_had_no_telephone_for_ten_minutes_is_offline_and_stored_so() {
    let exchange = Exchange::with_phones(&["anna", "boris", "vera"]);
    let operators = ["anna", "boris", "vera"].map(|name| (name, Manner::Takes(0)));
    let office = Office::at(&exchange, &operators, zvonar_desk::Settings::default()).await;
    office.desks.status(&tenant(), &id("vera"), Status::Break).await.unwrap();
    for name in ["anna", "vera"] {
        exchange.phone(name, false);
    }
    let statuses =
        async || office.seen().await.into_iter().map(|one| one.presence.status).collect::<Vec<_>>();
    sleep(Duration::from_secs(595)).await;
    assert_eq!(statuses().await, [Status::Available, Status::Available, Status::Break]);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(statuses().await, [Status::Offline, Status::Available, Status::Break]);
    office.desks.close().await;
    let stored = office.tables.presence(&id("anna")).await.unwrap().unwrap();
    assert_eq!(stored.status, Status::Offline);
}

/// Telephones register again for minutes after a start of the host: they are gone at first, and that sends nobody home.
#[tokio::test(start_paused = true)]
async fn after_a_start_callers_wait_for_the_telephones_that_have_still_to_come() {
    let (store, before): (SharedStore, _) = (Arc::new(MemoryStore::new()), Exchange::with_phones(&["anna"]));
    let office = open(&store, &before, zvonar_desk::Settings::default()).await;
    for name in ["anna", "boris", "vera"] {
        let row = OperatorRow::new(id(name), name, UnixMillis(0));
        office.tables.add_operator(&row, USUAL_OPERATORS).await.unwrap();
        office.desks.operator_changed(&tenant(), &id(name)).await.unwrap();
        office.desks.status(&tenant(), &id(name), Status::Available).await.unwrap();
    }
    // One that is made has no telephone until it is seen: nobody is given to Boris.
    let (told, talk) = end(office.wait("a").await).await;
    assert_eq!(told, "talks to anna");
    drop(talk);
    office.desks.close().await;

    // One is there before the desk is.
    let after = Exchange::with_phones(&["vera"]);
    let office = open(&store, &after, zvonar_desk::Settings::default()).await;
    let (told, _vera) = end(office.wait("b").await).await;
    assert_eq!(told, "talks to vera");
    let waiting = office.wait_for("c", None, 400).await;
    sleep(Duration::from_secs(290)).await;
    after.phone("anna", true);
    let (told, _anna) = end(waiting).await;
    assert_eq!((told.as_str(), office.rang().join(" ").as_str()), ("talks to anna", "vera anna"));
    assert!(office.seen().await.iter().all(|one| one.presence.status == Status::Available));
}

#[tokio::test(start_paused = true)]
async fn thousands_of_telephones_at_once_are_looked_at_a_few_times_a_second() {
    let exchange = Exchange::with_phones(&["boris"]);
    let operators = ["anna", "boris"].map(|name| (name, Manner::Takes(0)));
    let office = Office::at(&exchange, &operators, zvonar_desk::Settings::default()).await;
    let looked = exchange.looks.load(Ordering::SeqCst);
    for number in 0..3_000 {
        exchange.phone(&format!("of-another-{number}"), true);
        sleep(Duration::from_millis(1)).await;
    }
    exchange.phone("boris", false);
    sleep(Duration::from_secs(1)).await;
    let looks = exchange.looks.load(Ordering::SeqCst) - looked;
    assert!((2..=2 * 14).contains(&looks), "{looks} looks in three seconds, at two operators");
    let waiting = office.wait_for("a", None, 300).await;
    sleep(Duration::from_secs(5)).await;
    assert!(office.rang().is_empty());
    // Whoever told of them is gone: what was told last holds, and the desk does not spin.
    exchange.phone("anna", true);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(end(waiting).await.0, "talks to anna");
    let looked = exchange.looks.load(Ordering::SeqCst);
    exchange.roster.lock().unwrap().as_mut().unwrap().changes = watch::Sender::default();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(exchange.looks.load(Ordering::SeqCst), looked);
    assert_eq!(end(office.wait("b").await).await.0, "talks to anna");
}
