//! What the tenant's own rules do with messages: limits, the blacklist, consents; and one that the gateway does not want.

use std::sync::Arc;
use std::time::Duration;

use zvonar_campaign::{ConsentEvent, ConsentRule, Purpose};
use zvonar_dialer::{DialRules, NewProject, TextRules, TextStatus, Whose};
use zvonar_gateways::stand::Manner;
use zvonar_model::{AttemptId, UnixMillis};
use zvonar_scenario::ports::Sms as _;

use super::{World, facts};
use crate::world::{new_project, number, project};

#[test]
fn a_person_gets_so_many_messages_a_day_and_the_rest_on_the_next() {
    let mut world = World::new(1);
    world.rules.per_person = 2;
    world.script = Arc::new(|order| {
        (1..=3).map(|n| (100, Some("+79160000001".into()), format!("{n} {}", order.attempt))).collect()
    });
    world.list(1, 1);
    world.process(Vec::new(), async |process| {
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(11 * 3_600)).await;
        let left: Vec<_> = process.all().await.iter().map(|info| info.status()).collect();
        assert_eq!(left, [TextStatus::Delivered, TextStatus::Delivered, TextStatus::Queued]);
        process.settled().await;
        let third = process.all().await.remove(2);
        // Midnight in Moscow, twelve hours after noon.
        assert_eq!(process.tables.outbox_state(process.dialer.now()).await.unwrap().today, 1);
        assert!(third.fate.charged.is_some());
    });
    facts(&world, "per person");
}

#[test]
fn a_tenant_sends_so_many_a_minute_and_what_is_of_no_use_any_more_is_not_sent() {
    let mut world = World::new(2);
    world.rules = TextRules {
        per_minute: 2,
        per_day: 7,
        useful: Duration::from_secs(6 * 3_600),
        ..world.rules.clone()
    };
    world.list(10, 10);
    world.process(Vec::new(), async |process| {
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(world_count(process, TextStatus::Accepted).await <= 2);
        process.settled().await;
        assert_eq!(world_count(process, TextStatus::Failed).await, 3, "three were beyond the day's limit");
    });
    facts(&world, "limits");
    world.look(async |tables| {
        let infos = super::all(tables).await;
        let late =
            infos.iter().filter(|info| info.reason().is_some_and(|why| why.contains("while it was of use")));
        assert_eq!(late.count(), 3);
    });
}

pub(super) async fn world_count(process: &super::Process, status: TextStatus) -> usize {
    process.all().await.iter().filter(|info| info.status() == status).count()
}

/// 230-ФЗ: two messages a day about a debt, and none at night. What was too many left at midnight.
#[test]
fn about_debts_two_messages_a_day_go_and_the_third_in_the_next_days_hours() {
    let mut world = World::new(5);
    world.list(1, 1);
    world.process(Vec::new(), async |process| {
        let rules = DialRules { purpose: Purpose::Collection, ..DialRules::once() };
        let wanted = NewProject { rules, ..new_project(project()) };
        process.tables.put_project(wanted, process.dialer.now()).await.unwrap();
    });
    let begun = world.now.load(std::sync::atomic::Ordering::Relaxed);
    world.script = Arc::new(|_| ["раз", "два", "три"].map(|text| (10, None, text.to_owned())).into());
    world.process(Vec::new(), async |process| {
        process.dial().await;
        process.settled().await;
    });
    let hours: Vec<_> = world.taken().values().map(|taken| (taken.taken_at.0 - begun) / 3_600_000).collect();
    // It was noon on a Monday in Moscow.
    assert_eq!(hours, [0, 0, 20]);
}

/// Somebody who has taken his consent back called in, or was named to a call without a project.
#[test]
fn a_call_without_a_project_texts_nobody_who_took_his_consent_back() {
    let mut world = World::new(4);
    let whys = world.process(Vec::new(), async |process| {
        let said = |given, to: u32, at| ConsentEvent {
            given,
            numbers: vec![number(to)],
            purposes: vec![Purpose::Survey],
            at: UnixMillis(at),
            text: None,
            channel: "form".into(),
            ip: None,
            proof: None,
            attempt: None,
        };
        let all = [said(true, 31, 1), said(false, 31, 2), said(true, 32, 1)];
        process.tables.add_consents(&all).await.unwrap();
        let attempt = AttemptId::new("in1").unwrap();
        let whose = Whose { attempt, project: None, lead: None };
        let mut call = process.post.of_call(whose, number(31).reveal());
        for to in [31, 32, 33] {
            call.send(Some(number(to).reveal()), "Ждём вас").unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        process.settled().await;
        process.all().await.iter().map(|info| info.reason().unwrap_or_default()).collect::<Vec<_>>()
    });
    assert_eq!(whys.unwrap(), ["a consent was taken back, and none is left", "", ""]);
    assert_eq!(world.taken().len(), 2);
}

#[test]
fn nobody_gets_a_message_who_is_on_the_blacklist_or_took_his_consent_back() {
    let mut world = World::new(3);
    world.list(1, 1);
    world.process(Vec::new(), async |process| {
        let tables = &process.tables;
        let rules =
            DialRules { purpose: Purpose::Survey, consent: ConsentRule::Required, ..DialRules::once() };
        let wanted = NewProject { rules, ..new_project(project()) };
        tables.put_project(wanted, process.dialer.now()).await.unwrap();
        let said = |given, to: u32, at| ConsentEvent {
            given,
            numbers: vec![number(to)],
            purposes: vec![Purpose::Survey],
            at: UnixMillis(at),
            text: None,
            channel: "form".into(),
            ip: None,
            proof: None,
            attempt: None,
        };
        tables
            .add_consents(&[said(true, 0, 1), said(true, 31, 1), said(true, 32, 1), said(true, 33, 1)])
            .await
            .unwrap();
        tables.add_consent(&said(false, 31, 2)).await.unwrap();
        tables.block(&number(32), "попросил не писать", UnixMillis(1)).await.unwrap();
    });
    world.script = Arc::new(|order| {
        [31, 32, 33, 34]
            .map(|to| (10, Some(number(to).reveal().to_owned()), format!("{to} {}", order.attempt)))
            .into()
    });
    let whys = world.process(Vec::new(), async |process| {
        process.dial().await;
        process.settled().await;
        process.all().await.iter().map(|info| info.reason().unwrap_or_default()).collect::<Vec<_>>()
    });
    let whys = whys.unwrap();
    assert!(whys[0].contains("was taken back"), "{whys:?}");
    assert!(whys[1].contains("on the blacklist (попросил не писать)"), "{whys:?}");
    assert_eq!(whys[2], "");
    assert!(whys[3].contains("there is no consent"), "{whys:?}");
    facts(&world, "forbidden");
    assert_eq!(world.taken().len(), 1);
}

/// A message with an error that nobody knows had the whole queue wait, and was the one that tried it, until it was too late
/// for all of them.
#[test]
fn a_message_that_is_refused_for_an_unknown_reason_keeps_no_other_waiting() {
    for manner in [Manner::Refuses(10), Manner::RefusesInWords] {
        let mut world = World::new(7);
        world.list(7, 3);
        let stand = world.stand.clone();
        for of in 0..2 {
            stand.lock().unwrap().treat_phone(number(of).digits(), manner);
        }
        world.process(Vec::new(), async |process| {
            process.dial().await;
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            let state = process.tables.outbox_state(process.dialer.now()).await.unwrap();
            assert_eq!((state.trouble, world_count(process, TextStatus::Queued).await), (None, 2));
            assert_eq!(world_count(process, TextStatus::Delivered).await, 4, "and one expires");
            for of in 0..2 {
                stand.lock().unwrap().treat_phone(number(of).digits(), Manner::Answers);
            }
            process.settled().await;
        });
        assert_eq!(facts(&world, &format!("{manner:?}")), 7);
    }
}

#[test]
fn whoever_stops_the_host_waits_for_the_last_answers_and_loses_nothing() {
    let mut world = World::new(6);
    world.list(5, 5);
    // Stops while the first messages are on their way.
    world.process(Vec::new(), async |process| {
        process.dial().await;
    });
    assert!(!world.taken().is_empty());
    let doubts = world.look(async |tables| {
        super::all(tables).await.iter().filter(|info| info.status() == TextStatus::Sending).count()
    });
    assert_eq!(doubts, 0, "the answers were waited for");
    world.process(Vec::new(), async |process| process.settled().await);
    assert_eq!(facts(&world, "stopped"), 5);
}
