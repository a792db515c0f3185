//! Two tenants of one account, and a store that fails for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zvonar_campaign::Register;
use zvonar_dialer::{TextOffice, TextStatus, WallClock, Whose};
use zvonar_gateways::smsc::{Callback, Secret};
use zvonar_model::{AttemptId, TenantId, UnixMillis};
use zvonar_scenario::ports::Sms;

use super::{World, secret};
use crate::sick::Sick;
use crate::world::{number, tenant};

fn whose(attempt: &AttemptId) -> Whose {
    Whose { attempt: attempt.clone(), project: None, lead: None }
}

/// An account at SMSC has one address for its news: of the other tenant's messages nobody heard any.
#[test]
fn news_that_comes_to_another_tenant_of_the_account_is_heard() {
    let mut world = World::new(30);
    let (stand, rules) = (world.stand.clone(), world.rules.clone());
    world.process(Vec::new(), async |process| {
        let other = TenantId::new("beta").unwrap();
        let now = process.dialer.clone();
        let clock: WallClock = Arc::new(move || now.now());
        let office = TextOffice::new(rules, Register::sample(), clock);
        let (mut alike, mut strange) = (process.texts.clone(), process.texts.clone());
        alike.add(other.clone(), &office, Some(secret()));
        strange.add(other.clone(), &office, Some(Secret::new("другое слово").unwrap()));
        let post = office.post();
        let (stop, stopped) = watch::channel(false);
        let keeper = tokio::spawn(office.keep(
            process.dialer.clone(),
            other.clone(),
            process.gateway.clone(),
            stopped,
        ));
        let attempt = AttemptId::new("b1").unwrap();
        post.of_call(whose(&attempt), number(1).reveal()).send(None, "Ждём вас").unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let news = stand.lock().unwrap().advance(UnixMillis(i64::MAX));
        let told = Callback::read(news[0].0.as_bytes(), &secret()).unwrap();
        let tables = process.dialer.tables(&other);
        let status = async || tables.texts_of(&attempt).await.unwrap()[0].status();
        assert_eq!(status().await, TextStatus::Accepted);
        assert!(!strange.news(&tenant(), &told).await.unwrap(), "the word is another one");
        assert!(!alike.news(&TenantId::new("gamma").unwrap(), &told).await.unwrap());
        assert_eq!(status().await, TextStatus::Accepted);
        assert!(alike.news(&tenant(), &told).await.unwrap());
        assert_eq!(status().await, TextStatus::Delivered);
        stop.send_replace(true);
        keeper.await.unwrap().unwrap();
    });
}

/// A key of the account was changed for another one, and numbers began again at 1: the messages of old had them.
#[test]
fn numbers_go_on_when_the_account_is_called_otherwise() {
    let mut world = World::new(32);
    for (calls, account) in [("a", "login zvonar"), ("b", "key 5f4d")] {
        world.rules.account = account.into();
        world.process(Vec::new(), async |process| {
            for call in 0..3 {
                let attempt = AttemptId::new(&format!("{calls}{call}")).unwrap();
                process.post.of_call(whose(&attempt), number(call).reveal()).send(None, "Ждём вас").unwrap();
            }
            process.settled().await;
        });
    }
    let numbers: Vec<_> = world.taken().into_keys().collect();
    assert_eq!(numbers.len(), 6, "{numbers:?}");
}

/// What could not be stored at once was dropped, and what was decided later was stored: nothing behind the gap was found.
#[test]
fn a_store_that_fails_for_minutes_leaves_no_gap_between_the_messages_of_a_call() {
    let mut world = World::new(31);
    let sick = Sick::new(world.store.clone());
    world.store = sick.clone();
    world.process(Vec::new(), async |process| {
        let attempt = AttemptId::new("a1").unwrap();
        let mut call = process.post.of_call(whose(&attempt), number(1).reveal());
        sick.set(true);
        call.send(None, "Первое").unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
        sick.set(false);
        call.send(None, "Второе").unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        let stored = process.tables.texts_of(&attempt).await.unwrap();
        let texts: Vec<_> = stored.iter().map(|info| (&info.text.text[..], info.status())).collect();
        assert_eq!(texts, [("Первое", TextStatus::Delivered), ("Второе", TextStatus::Delivered)]);
    });
    let order: Vec<_> = world.taken().into_values().map(|taken| taken.text).collect();
    assert_eq!(order, ["Первое", "Второе"]);
}
