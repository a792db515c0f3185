//! Places at the desk, on paused time: whose talks are whose, and what is left of a talk that is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use zvonar_desk::{Miss, Status};
use zvonar_dialer::desks::{Asked, DeskSettings, Desks, Phones, Place, Told, Waiting, Wanted};
use zvonar_dialer::operators::{
    CallerView, DeskControl, OperatorRow, PhoneView, USUAL_OPERATORS, WhatHeDoes,
};
use zvonar_dialer::{Tables, WallClock};
use zvonar_ledger::PriceList;
use zvonar_model::{AttemptId, Millis, OperatorId, TenantId, UnixMillis};
use zvonar_store::MemoryStore;

use crate::world::{tenant, wall_clock};

/// How long a telephone rings before it is picked up.
const PICK_UP: Duration = Duration::from_secs(2);

/// Telephones that are all picked up; asked who is registered, they stop the desk by a bug, if they are told to.
#[derive(Default)]
struct Exchange {
    breaks: AtomicBool,
}

#[async_trait]
impl Phones<OperatorId> for Exchange {
    async fn ring(&self, asked: Asked) -> Result<OperatorId, Miss> {
        sleep(PICK_UP).await;
        Ok(asked.operator)
    }

    fn registered(&self, _: &TenantId, _: &OperatorId) -> Vec<PhoneView> {
        assert!(!self.breaks.swap(false, Ordering::SeqCst), "a bug of the test's");
        Vec::new()
    }
}

struct Office {
    desks: Desks<OperatorId>,
    exchange: Arc<Exchange>,
    tables: Tables,
    clock: WallClock,
}

fn id(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

fn call(name: &str) -> AttemptId {
    AttemptId::new(name).unwrap()
}

impl Office {
    async fn new(operators: &[&str]) -> Self {
        let tables = Tables::new(Arc::new(MemoryStore::new()), Arc::new(PriceList::default()), tenant());
        let queue = zvonar_desk::Settings { wrap_up: Millis(20_000), ..Default::default() };
        let settings = DeskSettings { queue, ..DeskSettings::default() };
        let exchange = Arc::new(Exchange::default());
        let clock = wall_clock();
        let desks = Desks::open([(tables.clone(), settings)], exchange.clone(), clock.clone()).await.unwrap();
        for name in operators {
            let row = OperatorRow::new(id(name), name, UnixMillis(0));
            tables.add_operator(&row, USUAL_OPERATORS).await.unwrap();
            desks.operator_changed(&tenant(), &id(name)).await.unwrap();
            desks.status(&tenant(), &id(name), Status::Available).await.unwrap();
        }
        Self { desks, exchange, tables, clock }
    }

    async fn wait(&self, name: &str) -> Waiting<OperatorId> {
        let wanted = Wanted {
            caller: CallerView::of(call(name)),
            group: None,
            since: None,
            longest_wait: Duration::from_secs(600),
            beside: None,
        };
        self.desks.wait(&tenant(), wanted).await.unwrap()
    }

    /// What the first operator does: the name of the call, whether it is a colleague's, and for how long.
    async fn first(&self) -> Option<(String, bool, i64)> {
        let seen = self.desks.view(&tenant()).await.unwrap();
        match &seen.operators[0].doing {
            WhatHeDoes::Talks { caller, since } => {
                let long = (self.clock)().0 - since.0;
                Some((caller.attempt.to_string(), caller.colleague, long / 1000))
            }
            _ => None,
        }
    }
}

async fn connected(mut waiting: Waiting<OperatorId>) -> (OperatorId, Place<OperatorId>) {
    match waiting.next().await {
        Told::Connected { operator, .. } => (operator, waiting.into_place()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_in_the_moment_of_the_pick_up_leaves_no_talk_behind() {
    let office = Office::new(&["anna"]).await;
    let waiting = office.wait("a").await;
    // She has picked up, and he has not heard of it yet.
    sleep(PICK_UP + Duration::from_secs(1)).await;
    assert_eq!(office.first().await.map(|(call, ..)| call), Some("a".into()));
    assert_eq!(waiting.leave().await, Some(id("anna")));
    assert_eq!(office.first().await, None);
    // A desk that is set up anew finds the talks that go on, and no others.
    office.exchange.breaks.store(true, Ordering::SeqCst);
    office.desks.view(&tenant()).await.unwrap_err();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(office.first().await, None);
    office.desks.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_calls_a_colleague_is_not_rung_until_that_is_over_though_his_caller_leaves_meanwhile() {
    let office = Office::new(&["anna"]).await;
    let (_, talk) = connected(office.wait("a").await).await;
    let asked = CallerView { colleague: true, ..CallerView::of(call("k")) };
    let engaged = office.desks.engage(&tenant(), call("k"), id("anna"), asked).await.unwrap();
    assert_eq!(office.first().await.map(|(call, ..)| call), Some("a".into()), "she has a caller");
    let waiting = office.wait("b").await;
    drop(talk);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(office.first().await, Some(("k".into(), true, 60)));
    let seen = office.desks.view(&tenant()).await.unwrap();
    assert_eq!(seen.queue[0].ringing, None, "{seen:?}");
    // A desk that is set up anew knows of it, too; whoever waited is told that he has to come again.
    office.exchange.breaks.store(true, Ordering::SeqCst);
    office.desks.view(&tenant()).await.unwrap_err();
    drop(waiting);
    sleep(Duration::from_secs(2)).await;
    let waiting = office.wait("b").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(office.first().await, Some(("k".into(), true, 122)));
    // There is nothing to write down after it: she takes the next caller at once.
    let stored = office.tables.presence(&id("anna")).await.unwrap().unwrap();
    assert_eq!(stored.status, Status::Available);
    let before = (office.clock)();
    drop(engaged);
    let (who, talk) = connected(waiting).await;
    assert_eq!((who, (office.clock)().0 - before.0), (id("anna"), 2_000));
    assert_eq!(office.tables.presence(&id("anna")).await.unwrap().unwrap().last_talk, stored.last_talk);
    // Given up before the desk has heard of it, it holds nobody.
    drop(talk);
    let asked = CallerView { colleague: true, ..CallerView::of(call("l")) };
    drop(office.desks.engage(&tenant(), call("l"), id("anna"), asked).await.unwrap());
    assert_eq!(office.first().await, None);
    office.desks.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_talk_with_a_colleague_becomes_the_callers_who_is_joined_to_it() {
    let office = Office::new(&["boris"]).await;
    let asks = CallerView { colleague: true, name: Some("Анна".into()), ..CallerView::of(call("k")) };
    let (place, _) = office.desks.hand(&tenant(), call("k"), id("boris"), asks, None).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(office.first().await, Some(("k".into(), true, 60)));
    place.joined(CallerView::of(call("a")), None).await;
    assert_eq!(office.first().await, Some(("a".into(), false, 0)));
    sleep(Duration::from_secs(5)).await;
    drop(place);
    sleep(Duration::from_secs(1)).await;
    let stored = office.tables.presence(&id("boris")).await.unwrap().unwrap();
    assert_eq!((office.first().await, stored.status), (None, Status::WrapUp), "that was a caller's talk");
    office.desks.close().await;
}
