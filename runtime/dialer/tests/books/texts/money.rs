//! What prepaid tenants send, and what nobody tells the price of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zvonar_dialer::{Prepaid, TextRules, TextStatus};
use zvonar_gateways::stand::{Manner, Stand, StandSettings};
use zvonar_model::Kopecks;

use super::manners::world_count;
use super::{World, account, facts};

fn prepaid(seed: u64) -> World {
    let mut world = World::new(seed);
    world.prepaid = Some(Prepaid { credit: Kopecks(0), hold: Duration::from_secs(2) });
    world
}

#[test]
fn a_prepaid_tenant_sends_what_it_can_pay_and_the_rest_after_a_payment() {
    let mut world = prepaid(4);
    world.script = Arc::new(|order| vec![(100, None, format!("{} {}", order.attempt, "я".repeat(100)))]);
    world.list(3, 1);
    world.process(Vec::new(), async |process| {
        // Three calls of 8 kopecks, a message of two parts costs 360.
        process.tables.top_up("one", Kopecks(24 + 360 + 300), process.dialer.now()).await.unwrap();
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(world_count(process, TextStatus::Delivered).await, 1);
        assert_eq!(world_count(process, TextStatus::Queued).await, 2);
        assert_eq!(process.tables.account().await.unwrap().left(), Kopecks(300));
        process.tables.top_up("two", Kopecks(500), process.dialer.now()).await.unwrap();
        process.settled().await;
        assert_eq!(process.tables.account().await.unwrap().left(), Kopecks(80));
    });
    facts(&world, "prepaid");
}

/// Their prices were asked for at the same time, and all of them were within the limits when that began.
#[test]
fn a_prepaid_tenant_sends_no_more_than_its_limits_let_it() {
    let mut world = prepaid(14);
    world.rules = TextRules { per_minute: 2, per_day: 5, ..world.rules.clone() };
    world.script = Arc::new(|order| {
        (11..=16).map(|to| (1, Some(format!("+791600000{to}")), format!("{to} {}", order.attempt))).collect()
    });
    world.list(1, 1);
    world.process(Vec::new(), async |process| {
        process.tables.top_up("one", Kopecks(100_000), process.dialer.now()).await.unwrap();
        process.dial().await;
        process.settled().await;
        assert_eq!(process.tables.account().await.unwrap().left(), Kopecks(100_000 - 8 - 6 * 180));
    });
    facts(&world, "limits of a prepaid tenant");
    let (mut minutes, mut days) = (BTreeMap::new(), BTreeMap::new());
    for taken in world.taken().values() {
        *minutes.entry(taken.taken_at.0 / 60_000).or_insert(0) += 1;
        *days.entry((taken.taken_at.0 + 3 * 3_600_000) / 86_400_000).or_insert(0) += 1;
    }
    assert!(minutes.values().all(|count| *count <= 2), "{minutes:?}");
    assert_eq!(days.into_values().collect::<Vec<_>>(), [5, 1], "Moscow's days");
}

#[test]
fn a_person_gets_no_more_of_a_prepaid_tenant_either() {
    let mut world = prepaid(15);
    world.rules.per_person = 1;
    world.script = Arc::new(|order| {
        (1..=3).map(|n| (1, Some("+79160000001".into()), format!("{n} {}", order.attempt))).collect()
    });
    world.list(1, 1);
    world.process(Vec::new(), async |process| {
        process.tables.top_up("one", Kopecks(1_000), process.dialer.now()).await.unwrap();
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(11 * 3_600)).await;
        assert_eq!(world_count(process, TextStatus::Delivered).await, 1);
        // What is held for those that wait would stop the next call.
        process
            .dialer
            .tables(&crate::world::tenant())
            .top_up("two", Kopecks(1), process.dialer.now())
            .await
            .unwrap();
        process.settled().await;
        assert_eq!(world_count(process, TextStatus::Failed).await, 1, "the third has no day left");
    });
    facts(&world, "a person of a prepaid tenant");
    assert_eq!(world.taken().len(), 2);
}

/// The price was refused, and the message went all the same, with nothing held for it.
#[test]
fn a_message_whose_price_nobody_tells_waits_until_it_can_be_paid() {
    for code in [9, 10] {
        let mut world = prepaid(16);
        world.list(1, 1);
        let stand = world.stand.clone();
        world.process(Vec::new(), async |process| {
            // The call, and not the message.
            process.tables.top_up("one", Kopecks(8), process.dialer.now()).await.unwrap();
            stand.lock().unwrap().treat(Manner::Refuses(code), Some(1));
            process.dial().await;
            tokio::time::sleep(Duration::from_secs(1_800)).await;
            let queued = world_count(process, TextStatus::Queued).await;
            assert_eq!((stand.lock().unwrap().taken().count(), queued), (0, 1));
            process.tables.top_up("two", Kopecks(180), process.dialer.now()).await.unwrap();
            process.settled().await;
            assert_eq!(process.tables.account().await.unwrap().left(), Kopecks(0));
        });
        facts(&world, &format!("price refused with {code}"));
    }
}

/// It was taken for granted that a price comes, and that it is one: what was below nothing was paid out to the tenant.
#[test]
fn a_message_that_never_has_a_price_is_not_charged_and_the_books_say_so() {
    let mut world = World::new(17);
    let settings =
        StandSettings { account: Some(account()), price: Kopecks(-180), ..StandSettings::default() };
    world.stand = Arc::new(Mutex::new(Stand::new(settings)));
    world.list(1, 1);
    world.process(Vec::new(), async |process| {
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let verified = process.tables.verify().await.unwrap();
        assert_eq!((verified.texts, verified.texts_unpriced), (1, 0), "it is still asked for");
        tokio::time::sleep(Duration::from_secs(4 * 24 * 3_600)).await;
        let verified = process.tables.verify().await.unwrap();
        assert!(verified.is_sound(), "{:?}", verified.faults);
        assert_eq!((verified.texts, verified.texts_unpriced, verified.texts_in_doubt), (1, 1, 0));
        let text = process.all().await.remove(0);
        assert_eq!((text.status(), text.fate.charged), (TextStatus::Delivered, None));
        assert_eq!(process.tables.balance().await.unwrap().spent, Kopecks(8), "the call alone");
    });
}
