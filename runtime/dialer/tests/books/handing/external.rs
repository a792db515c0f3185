//! Callers who are handed to external numbers.

use zvonar_dialer::Prepaid;
use zvonar_model::Kopecks;

use super::*;

#[tokio::test]
async fn an_external_number_is_called_and_what_it_does_is_told() {
    let outside = "+79161234567";
    for (code, end, missed) in [
        (486, TransferEnd::Busy, "Занято (SIP 486)"),
        (480, TransferEnd::NoAnswer, "Нет ответа (SIP 480)"),
        (603, TransferEnd::Rejected, "Отклонён (SIP 603)"),
    ] {
        let world = World::new(&[]).await;
        let (came, ()) = world
            .hand(number(outside), options(LONG), async |far, _, _| {
                let call = far.recv().await.unwrap();
                assert_eq!(call.about.to_user, outside);
                call.reject(code, "Not Now").await;
            })
            .await;
        assert_eq!(came.end, Ok(end));
        let transfer = &came.transfers[0];
        assert_eq!((transfer.missed.as_deref(), transfer.to_operator), (Some(missed), false));
        assert_eq!(transfer.number, PhoneNumber::parse(outside).ok());
    }
    let world = World::new(&[]).await;
    let (came, ()) = world
        .hand(number(outside), options(LONG), async |far, person, _| {
            let call = far.recv().await.unwrap();
            call.ring().await;
            tokio::time::sleep(TALK).await;
            let mut call = call.answer().await.unwrap();
            answered(&mut call).await;
            // A key of the caller's gets there once they are joined.
            let joined = async { while !matches!(call.next().await, CallEvent::Key { .. }) {} };
            let presses = async {
                loop {
                    person.media().send_keys("5", KeyTiming::default()).unwrap();
                    tokio::time::sleep(TALK).await;
                }
            };
            tokio::select! {
                () = joined => {}
                () = presses => {}
                () = tokio::time::sleep(LONG) => panic!("they are not joined"),
            }
            tokio::time::sleep(TALK).await;
            call.hang_up().await;
            ended(&mut call).await;
        })
        .await;
    assert!(matches!(came.end, Ok(TransferEnd::Talked(talk)) if talk >= TALK / 2));
    // The time before the pick-up is the robot's.
    assert!(came.phases.wait.0 >= 150 && came.phases.talk.0 >= 150, "{:?}", came.phases);
    assert_eq!(came.result, Some(SystemResult::Connected));
}

/// An inbound call costs nothing beforehand, so whoever had nothing left could still be telephoned at.
#[tokio::test]
async fn a_prepaid_tenant_calls_external_numbers_for_money_alone() {
    for (paid, called) in [(None, false), (Some(Kopecks(179)), false), (Some(Kopecks(180)), true)] {
        let world = World::new(&[]).await;
        let carrier = crate::dialling::Phone(|_| async { crate::dialling::answered(1_000) });
        let dialer = crate::world::dialer(SharedStore::clone(&world.store), Arc::new(carrier), 1)
            .with_prepaid(tenant(), Prepaid::default());
        world.desks.pay_by(&tenant(), &dialer);
        if let Some(paid) = paid {
            world.tables.top_up("one", paid, UnixMillis(0)).await.unwrap();
        }
        let (came, ()) = world
            .hand(number("+79161234567"), options(LONG), async |far, _, _| {
                if called {
                    far.recv().await.unwrap().reject(486, "Busy Here").await;
                }
            })
            .await;
        match came.end {
            Ok(TransferEnd::Busy) if called => {}
            Ok(TransferEnd::Failed(why)) if !called => {
                assert!(why.starts_with("the balance is spent"), "{why}")
            }
            other => panic!("{paid:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_external_number_that_has_hung_up_may_be_called_again() {
    let world = World { times: 2, ..World::new(&[]).await };
    let (came, ()) = world
        .hand(number("+79161234567"), options(LONG), async |far, _, _| {
            for _ in 0..2 {
                let mut call = takes(far, "+79161234567").await;
                tokio::time::sleep(TALK).await;
                call.hang_up().await;
                ended(&mut call).await;
            }
        })
        .await;
    assert!(matches!(came.end, Ok(TransferEnd::Talked(_))), "{:?}", came.end);
    assert!(came.transfers.len() == 2 && came.transfers.iter().all(|transfer| transfer.connected));
}

#[tokio::test]
async fn a_number_that_rings_out_is_given_up_in_time_and_a_caller_who_leaves_meanwhile_stops_it() {
    let world = World::new(&[]).await;
    let (came, ()) = world
        .hand(number("+79161234567"), options(Duration::from_millis(500)), async |far, _, _| {
            let mut call = far.recv().await.unwrap();
            call.ring().await;
            call.given_up().await;
        })
        .await;
    assert_eq!(came.end, Ok(TransferEnd::NoAnswer));
    let world = World::new(&[]).await;
    let (came, ()) = world
        .hand(number("+79161234567"), options(LONG), async |far, person, _| {
            let mut call = far.recv().await.unwrap();
            call.ring().await;
            person.hang_up().await;
            call.given_up().await;
        })
        .await;
    assert_eq!((came.end, came.result), (Err(LineError::HungUp), Some(SystemResult::Lost)));
}

#[tokio::test]
async fn no_number_is_called_that_must_not_be() {
    for (to, why) in [
        ("+12025550123", "only numbers of the Russian numbering plan"),
        ("+78091234567", "only numbers of the Russian numbering plan"),
        ("not-a-number", "this is no number"),
        // The caller's own.
        ("+79160000001", "in this call already"),
        ("+79160000002", "on the blacklist"),
    ] {
        let world = World::new(&[]).await;
        let blocked = PhoneNumber::parse("+79160000002").unwrap();
        world.tables.block(&blocked, "просил не звонить", UnixMillis(0)).await.unwrap();
        let (came, ()) = world
            .hand(number(to), options(LONG), async |far, _, _| {
                assert!(far.try_recv().is_err(), "nobody is called");
            })
            .await;
        let Ok(TransferEnd::Failed(told)) = came.end else { panic!("{to}: {:?}", came.end) };
        assert!(told.contains(why), "{to}: {told}");
    }
    let world = World::new(&[]).await;
    let options = TransferOptions { call_back_project: Some("nowhere".into()), ..options(LONG) };
    let (came, ()) = world.hand(operator(), options, async |_, _, _| ()).await;
    let Err(LineError::Refused(why)) = came.end else { panic!("{:?}", came.end) };
    assert!(why.contains("there is no project nowhere"), "{why}");
    assert!(came.transfers.is_empty(), "nothing has begun");
}
