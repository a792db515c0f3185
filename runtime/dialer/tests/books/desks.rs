//! The desk at work, with a pretend exchange on paused time: who is rung, who is connected, what is left after crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::sleep;
use zvonar_desk::{Group, Miss, Status};
use zvonar_dialer::conversation::TimeSheet;
use zvonar_dialer::desks::{Asked, DeskSettings, Desks, Phones, Place, Told, Waiting, Wanted};
use zvonar_dialer::operators::{
    CallerView, DeskControl, OperatorRow, OperatorView, USUAL_OPERATORS, WhatHeDoes,
};
use zvonar_dialer::{Pressure, Tables};
use zvonar_ledger::{PriceList, rate};
use zvonar_model::{
    AttemptId, AttemptRecord, Direction, Millis, OperatorId, RecognisedAnswer, TenantId, Transfer, UnixMillis,
};
use zvonar_store::{MemoryStore, SharedStore};

use crate::world::{project, tenant, wall_clock};

mod phones;

/// What an operator does when his telephone rings.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Picks up after so long.
    Takes(u64),
    /// So long after, this.
    Misses(u64, Miss),
    /// A bug of ours.
    Panics,
}

/// A telephone that was picked up; gone when it is dropped.
#[derive(Debug)]
struct Leg {
    operator: OperatorId,
    talks: Arc<AtomicU32>,
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.talks.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Telephones that do as they are told, and remember who rang.
#[derive(Default)]
struct Exchange {
    manners: Mutex<BTreeMap<String, Manner>>,
    rang: Mutex<Vec<String>>,
    /// How many ring at this moment, by operator.
    rings: Mutex<BTreeMap<String, u32>>,
    /// Telephones that are off the hook.
    talks: Arc<AtomicU32>,
    /// Whose telephones are registered; `None`: nobody watches that.
    roster: Mutex<Option<Roster>>,
    /// How often somebody was looked for.
    looks: AtomicU32,
}

#[derive(Default)]
struct Roster {
    there: BTreeSet<String>,
    changes: watch::Sender<u64>,
}

impl Exchange {
    /// One that watches telephones; these are registered.
    fn with_phones(of: &[&str]) -> Arc<Self> {
        let roster = Roster { there: of.iter().map(ToString::to_string).collect(), ..Roster::default() };
        Arc::new(Self { roster: Mutex::new(Some(roster)), ..Self::default() })
    }

    fn phone(&self, of: &str, is_there: bool) {
        let mut roster = self.roster.lock().unwrap();
        let roster = roster.as_mut().unwrap();
        if is_there {
            roster.there.insert(of.into())
        } else {
            roster.there.remove(of)
        };
        roster.changes.send_modify(|changes| *changes += 1);
    }
}

struct Bell<'e>(&'e Exchange, String);

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        *self.0.rings.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

#[async_trait]
impl Phones<Leg> for Exchange {
    async fn ring(&self, asked: Asked) -> Result<Leg, Miss> {
        let who = asked.operator.to_string();
        self.rang.lock().unwrap().push(who.clone());
        {
            let mut rings = self.rings.lock().unwrap();
            let rings = rings.entry(who.clone()).or_default();
            *rings += 1;
            assert_eq!(*rings, 1, "{who} is rung for one caller at a time");
        }
        let _bell = Bell(self, who.clone());
        let manner = self.manners.lock().unwrap().get(&who).copied().unwrap_or(Manner::Takes(2));
        match manner {
            Manner::Takes(after) => {
                sleep(Duration::from_secs(after)).await;
                self.talks.fetch_add(1, Ordering::SeqCst);
                Ok(Leg { operator: asked.operator, talks: Arc::clone(&self.talks) })
            }
            Manner::Misses(after, how) => {
                sleep(Duration::from_secs(after)).await;
                Err(how)
            }
            Manner::Panics => panic!("a telephone that breaks"),
        }
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.roster.lock().unwrap().as_ref().map(|roster| roster.changes.subscribe())
    }

    fn is_there(&self, of: &TenantId, operator: &OperatorId) -> bool {
        assert_eq!(*of, tenant());
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.roster.lock().unwrap().as_ref().expect("it is watched").there.contains(operator.as_str())
    }
}

/// A tenant's desk with these operators, all of them there.
struct Office {
    desks: Desks<Leg>,
    exchange: Arc<Exchange>,
    tables: Tables,
}

fn id(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

fn call(name: &str) -> AttemptId {
    AttemptId::new(name).unwrap()
}

async fn open(store: &SharedStore, exchange: &Arc<Exchange>, settings: zvonar_desk::Settings) -> Office {
    let tables = Tables::new(store.clone(), Arc::new(PriceList::default()), tenant());
    let settings = DeskSettings { queue: settings, ..DeskSettings::default() };
    let desks = Desks::open([(tables.clone(), settings)], exchange.clone(), wall_clock()).await.unwrap();
    Office { desks, exchange: exchange.clone(), tables }
}

impl Office {
    async fn new(operators: &[(&str, Manner)]) -> Self {
        Self::with(operators, zvonar_desk::Settings::default()).await
    }

    async fn with(operators: &[(&str, Manner)], settings: zvonar_desk::Settings) -> Self {
        Self::at(&Arc::new(Exchange::default()), operators, settings).await
    }

    async fn at(
        exchange: &Arc<Exchange>,
        operators: &[(&str, Manner)],
        settings: zvonar_desk::Settings,
    ) -> Self {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let office = open(&store, exchange, settings).await;
        for (name, manner) in operators {
            exchange.manners.lock().unwrap().insert((*name).into(), *manner);
            let row = OperatorRow::new(id(name), name, UnixMillis(0));
            office.tables.add_operator(&row, USUAL_OPERATORS).await.unwrap();
            office.desks.operator_changed(&tenant(), &id(name)).await.unwrap();
            office.desks.status(&tenant(), &id(name), Status::Available).await.unwrap();
        }
        office
    }

    async fn wait(&self, name: &str) -> Waiting<Leg> {
        self.wait_for(name, None, 60).await
    }

    async fn wait_for(&self, name: &str, group: Option<Group>, seconds: u64) -> Waiting<Leg> {
        let wanted = Wanted {
            caller: CallerView { project: Some(project()), ..CallerView::of(call(name)) },
            group,
            since: None,
            longest_wait: Duration::from_secs(seconds),
            beside: None,
        };
        self.desks.wait(&tenant(), wanted).await.unwrap()
    }

    async fn seen(&self) -> Vec<OperatorView> {
        self.desks.view(&tenant()).await.unwrap().operators
    }

    fn rang(&self) -> Vec<String> {
        self.exchange.rang.lock().unwrap().clone()
    }
}

/// An end in a few words, and the place and the telephone of one who talks.
async fn end(mut waiting: Waiting<Leg>) -> (String, Option<(Place<Leg>, Leg)>) {
    loop {
        return match waiting.next().await {
            Told::Position { .. } => continue,
            Told::Connected { operator, leg } => {
                assert_eq!(operator, leg.operator);
                (format!("talks to {operator}"), Some((waiting.into_place(), leg)))
            }
            Told::GaveUp { why, responsible, last } => {
                let who = responsible.map_or("nobody".into(), |who| who.to_string());
                (format!("{why:?}, {who} rang, last {last:?}"), None)
            }
            Told::Lost { .. } => ("lost".into(), None),
            Told::Broken => ("broken".into(), None),
        };
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_rung_does_with_the_call_what_he_does_and_the_caller_is_told() {
    use Miss::{Busy, Declined, NoAnswer, Unreachable};
    for (operators, told, rang) in [
        (&[("anna", Manner::Takes(3))][..], "talks to anna", "anna"),
        // Declined by one, taken by the other.
        (
            &[("anna", Manner::Misses(1, Declined)), ("boris", Manner::Takes(3))],
            "talks to boris",
            "anna boris",
        ),
        (
            &[("anna", Manner::Misses(0, Unreachable)), ("boris", Manner::Takes(3))],
            "talks to boris",
            "anna boris",
        ),
        // Rings for the 20 s of the settings, though the telephone itself would ring on.
        (
            &[("anna", Manner::Misses(90, NoAnswer)), ("boris", Manner::Takes(3))],
            "talks to boris",
            "anna boris",
        ),
        // Engaged: asked again after a rest of ten seconds, and again, until the caller has waited long enough.
        (
            &[("anna", Manner::Misses(9, Busy))],
            "WaitedLongEnough, anna rang, last Some(Busy)",
            "anna anna anna anna",
        ),
        // Three that he let pass send him on a break.
        (
            &[("anna", Manner::Misses(1, Declined))],
            "WaitedLongEnough, nobody rang, last Some(Declined)",
            "anna anna anna",
        ),
        // A bug while ringing is a telephone that cannot be reached; nobody waits in silence.
        (&[("anna", Manner::Panics), ("boris", Manner::Takes(1))], "talks to boris", "anna boris"),
        (&[], "NoSuchOperator, nobody rang, last None", ""),
    ] {
        let office = Office::new(operators).await;
        let (came, talk) = end(office.wait("a").await).await;
        assert_eq!((came.as_str(), office.rang().join(" ").as_str()), (told, rang), "{operators:?}");
        assert_eq!(office.exchange.talks.load(Ordering::SeqCst), u32::from(talk.is_some()));
        drop(talk);
        office.desks.close().await;
        assert_eq!(office.exchange.talks.load(Ordering::SeqCst), 0, "nothing stays off the hook");
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_become_free_at_once_take_the_two_who_wait_longest() {
    let office = Office::new(&[("anna", Manner::Takes(1)), ("boris", Manner::Takes(1))]).await;
    for name in ["anna", "boris"] {
        office.desks.status(&tenant(), &id(name), Status::Break).await.unwrap();
    }
    let mut waiting = Vec::new();
    for name in ["a", "b", "c"] {
        waiting.push(office.wait(name).await);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(office.desks.waiting(&tenant(), &project()), 3, "the project's run hears of them");
    let seen = office.desks.view(&tenant()).await.unwrap();
    let places: Vec<_> =
        seen.queue.iter().map(|one| (one.caller.attempt.to_string(), one.position)).collect();
    assert_eq!(places, [("a".into(), 1), ("b".into(), 2), ("c".into(), 3)]);
    for name in ["anna", "boris"] {
        office.desks.status(&tenant(), &id(name), Status::Available).await.unwrap();
    }
    let third = waiting.pop().unwrap();
    let (second, first) = (waiting.pop().unwrap(), waiting.pop().unwrap());
    let ((first, talk_a), (second, talk_b)) = tokio::join!(end(first), end(second));
    assert_eq!((first.as_str(), second.as_str()), ("talks to anna", "talks to boris"));
    assert_eq!(office.desks.waiting(&tenant(), &project()), 1);
    sleep(Duration::from_secs(5)).await;
    // Boris's talk ends first, so he is the next to be asked.
    drop(talk_b);
    assert_eq!(end(third).await.0, "talks to boris");
    assert_eq!(office.desks.waiting(&tenant(), &project()), 0);
    drop(talk_a);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_while_it_rings_silences_the_telephone_and_tells_who_is_responsible() {
    let office = Office::new(&[("anna", Manner::Takes(10))]).await;
    let waiting = office.wait("a").await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(waiting.leave().await, Some(id("anna")));
    // One who is dropped has left, too.
    let dropped = office.wait("b").await;
    sleep(Duration::from_secs(3)).await;
    drop(dropped);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(office.exchange.rings.lock().unwrap()["anna"], 0, "it is silent");
    let seen = office.desks.view(&tenant()).await.unwrap();
    assert_eq!((seen.operators[0].doing.clone(), seen.queue.len()), (WhatHeDoes::Idle, 0));
    // Nobody is free: nobody is responsible.
    office.desks.status(&tenant(), &id("anna"), Status::Break).await.unwrap();
    let waiting = office.wait("c").await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(waiting.leave().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_goes_away_while_it_rings_leaves_the_caller_to_the_next() {
    let office = Office::new(&[("anna", Manner::Takes(10)), ("boris", Manner::Takes(1))]).await;
    let waiting = office.wait("a").await;
    sleep(Duration::from_secs(3)).await;
    office.desks.status(&tenant(), &id("anna"), Status::Offline).await.unwrap();
    let (came, _talk) = end(waiting).await;
    assert_eq!(came, "talks to boris");
    // Removed in mid-ring likewise.
    let office = Office::new(&[("anna", Manner::Takes(10)), ("boris", Manner::Takes(1))]).await;
    let waiting = office.wait("a").await;
    sleep(Duration::from_secs(3)).await;
    office.tables.remove_operator(&id("anna")).await.unwrap();
    office.desks.operator_changed(&tenant(), &id("anna")).await.unwrap();
    assert_eq!(end(waiting).await.0, "talks to boris");
    assert_eq!(office.desks.find(&tenant(), "anna"), None);
}

#[tokio::test(start_paused = true)]
async fn a_telephone_that_stays_silent_gives_the_caller_back_to_the_front() {
    let office = Office::new(&[("anna", Manner::Takes(1))]).await;
    let began = (wall_clock())();
    let (came, talk) = end(office.wait("a").await).await;
    assert_eq!(came, "talks to anna");
    let behind = office.wait("b").await;
    let (place, leg) = talk.unwrap();
    sleep(Duration::from_secs(10)).await;
    drop(leg);
    place.silent().await;
    let again = Wanted {
        caller: CallerView::of(call("a")),
        group: None,
        since: Some(began),
        longest_wait: Duration::from_secs(60),
        beside: None,
    };
    let again = office.desks.wait(&tenant(), again).await.unwrap();
    let (came, talk) = end(again).await;
    assert_eq!(came, "talks to anna", "he is before the one who came later");
    let presence = office.tables.presence(&id("anna")).await.unwrap().unwrap();
    assert_eq!(presence.last_talk, None, "that was no talk");
    drop(talk);
    assert_eq!(end(behind).await.0, "talks to anna");
}

#[tokio::test(start_paused = true)]
async fn a_colleague_is_rung_beside_the_queue_and_only_if_he_is_not_engaged() {
    let office = Office::new(&[("anna", Manner::Takes(1)), ("boris", Manner::Takes(4))]).await;
    let hand = |key: &str, whom: &str| {
        let (desks, key, whom) = (office.desks.clone(), call(key), id(whom));
        let caller = CallerView::of(key.clone());
        async move { desks.hand(&tenant(), key, whom, caller, None).await }
    };
    let (_, talk) = end(office.wait("a").await).await;
    assert_eq!(hand("a-1", "anna").await.unwrap_err(), Miss::Busy, "she talks");
    assert_eq!(hand("a-1", "nobody").await.unwrap_err(), Miss::Unreachable);
    // While he is rung for that, the queue does not ring him.
    let (given, other) = tokio::join!(hand("a-2", "boris"), async {
        let waiting = office.wait("b").await;
        sleep(Duration::from_secs(2)).await;
        let seen = office.desks.view(&tenant()).await.unwrap();
        assert!(matches!(seen.operators[1].doing, WhatHeDoes::Rings { .. }), "{seen:?}");
        waiting
    });
    let (place, leg) = given.unwrap();
    assert_eq!(leg.operator, id("boris"));
    drop(talk);
    assert_eq!(end(other).await.0, "talks to anna");
    drop((place, leg));
    // Given up in mid-ring: he is free again, and it was no fault of his.
    tokio::time::timeout(Duration::from_secs(2), hand("a-3", "boris")).await.unwrap_err();
    sleep(Duration::from_secs(1)).await;
    let seen = office.desks.view(&tenant()).await.unwrap();
    assert_eq!((seen.operators[1].doing.clone(), seen.operators[1].presence.misses), (WhatHeDoes::Idle, 0));
    assert_eq!(office.exchange.rings.lock().unwrap()["boris"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_finds_the_operators_as_they_were_and_nobody_in_two_places() {
    let (store, exchange): (SharedStore, _) = (Arc::new(MemoryStore::new()), Arc::new(Exchange::default()));
    let settings = zvonar_desk::Settings::default();
    let before = open(&store, &exchange, settings.clone()).await;
    for name in ["anna", "boris", "vera"] {
        let row = OperatorRow::new(id(name), name, UnixMillis(0));
        before.tables.add_operator(&row, USUAL_OPERATORS).await.unwrap();
        before.desks.operator_changed(&tenant(), &id(name)).await.unwrap();
    }
    for (name, status) in [("anna", Status::Available), ("boris", Status::Available), ("vera", Status::Break)]
    {
        before.desks.status(&tenant(), &id(name), status).await.unwrap();
    }
    let (_, talk) = end(before.wait("a").await).await;
    let rings = before.wait("b").await;
    let waits = before.wait("c").await;
    sleep(Duration::from_secs(1)).await;
    // The program ends: those who wait hear of it, and what rang is silent.
    before.desks.close().await;
    let (rings, waits) = tokio::join!(end(rings), end(waits));
    assert_eq!((rings.0.as_str(), waits.0.as_str()), ("broken", "broken"));
    drop(talk);
    assert_eq!(exchange.rings.lock().unwrap().values().sum::<u32>(), 0);
    assert_eq!(exchange.talks.load(Ordering::SeqCst), 0);

    let after = open(&store, &exchange, settings).await;
    let seen = after.desks.view(&tenant()).await.unwrap();
    let there: Vec<_> = seen
        .operators
        .iter()
        .map(|one| (one.operator.to_string(), one.presence.status, one.doing.clone()))
        .collect();
    let idle = WhatHeDoes::Idle;
    assert_eq!(
        there,
        [
            ("anna".into(), Status::Available, idle.clone()),
            ("boris".into(), Status::Available, idle.clone()),
            ("vera".into(), Status::Break, idle)
        ]
    );
    assert!(seen.queue.is_empty());
    let ((first, talk_a), (second, _talk_b)) =
        tokio::join!(end(after.wait("d").await), end(after.wait("e").await));
    assert_eq!([first.as_str(), second.as_str()], ["talks to anna", "talks to boris"]);
    drop(talk_a);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_stored_before_it_is_said_to_be_taken() {
    let office = Office::new(&[("anna", Manner::Takes(1))]).await;
    for status in [Status::Break, Status::WrapUp, Status::Offline, Status::Available] {
        let told = office.desks.status(&tenant(), &id("anna"), status).await.unwrap();
        assert_eq!((told.status, office.tables.presence(&id("anna")).await.unwrap()), (status, Some(told)));
    }
    let why = office.desks.status(&tenant(), &id("nobody"), Status::Break).await.unwrap_err().to_string();
    assert!(why.contains("nobody"), "{why}");
    let other = TenantId::new("other").unwrap();
    let why = office.desks.view(&other).await.unwrap_err().to_string();
    assert!(why.contains("the tenant other has no desk"), "{why}");
}

/// A call of the worked examples: seconds with the robot, then a wait that the desk makes as long as it does, a talk, and
/// what it costs.
async fn example(robot: f64, free_after: u64, talk: Option<f64>, answers: &[u64]) -> (AttemptRecord, i64) {
    let office = Office::new(&[("anna", Manner::Takes(0))]).await;
    office.desks.status(&tenant(), &id("anna"), Status::Break).await.unwrap();
    let (clock, start) = (wall_clock(), (wall_clock())());
    let elapsed = || Duration::from_millis(u64::try_from(clock().0 - start.0).unwrap());
    let mut sheet = TimeSheet::default();
    sleep(Duration::from_secs_f64(robot)).await;
    let part = sheet.begin(elapsed(), Transfer { to_operator: true, ..Transfer::default() });
    let waiting = office.wait_for("a", None, 600).await;
    sleep(Duration::from_secs(free_after)).await;
    match talk {
        Some(talk) => {
            office.desks.status(&tenant(), &id("anna"), Status::Available).await.unwrap();
            let (came, talks) = end(waiting).await;
            assert_eq!(came, "talks to anna");
            sheet.talk(elapsed(), part);
            sleep(Duration::from_secs_f64(talk)).await;
            drop(talks);
        }
        None => assert_eq!(waiting.leave().await, None),
    }
    sheet.stop(elapsed());
    rated(sheet, elapsed(), answers)
}

fn rated(sheet: TimeSheet, whole: Duration, answers: &[u64]) -> (AttemptRecord, i64) {
    let (phases, transfers) = sheet.close(whole.into());
    assert_eq!(phases.robot.0 + phases.wait.0 + phases.talk.0, Millis::from(whole).0);
    let mut record = AttemptRecord::begun(call("a"), tenant(), Direction::Outbound, UnixMillis(0));
    (record.answered_at, record.phases, record.transfers) = (Some(UnixMillis(0)), phases, transfers);
    record.answers = answers.iter().map(|ms| RecognisedAnswer::lasting(Millis(*ms))).collect();
    let total = rate(&PriceList::default(), &record).total.0;
    (record, total)
}

/// Employees and robots of `billing.md`: B1, B2 and D2, with waits that the desk itself makes.
#[tokio::test(start_paused = true)]
async fn the_worked_examples_with_employees_cost_what_they_say() {
    let (record, total) = example(25.0, 8, Some(120.0), &[]).await;
    assert_eq!((record.phases.wait, record.phases.talk, total), (Millis(8_000), Millis(120_000), 132), "B1");
    let (record, total) = example(25.0, 40, None, &[]).await;
    assert_eq!((record.phases.wait, record.phases.talk, total), (Millis(40_000), Millis(0), 260), "B2");
    let (record, total) = example(30.0, 5, Some(90.0), &[4_000]).await;
    assert_eq!((record.phases.wait, record.phases.talk, total), (Millis(5_000), Millis(90_000), 180), "D2");
}

/// External numbers: C1, C2 and D3. The pick-up is where the talk begins.
#[test]
fn the_worked_examples_with_external_numbers_cost_what_they_say() {
    let external = |robot: u64, ring: u64, talk: u64, answers: &[u64]| {
        let at = Duration::from_millis;
        let mut sheet = TimeSheet::default();
        let part = sheet.begin(at(robot), Transfer::default());
        if talk > 0 {
            sheet.talk(at(robot + ring), part);
        }
        sheet.stop(at(robot + ring + talk));
        rated(sheet, at(robot + ring + talk), answers).1
    };
    assert_eq!(external(25_000, 12_000, 60_000, &[]), 328, "C1");
    assert_eq!(external(25_000, 30_000, 0, &[]), 220, "C2");
    assert_eq!(external(30_000, 10_000, 61_200, &[4_000, 15_000]), 426, "D3");
}

/// Whatever happens in whatever order: an operator rings or talks once at a time (the exchange looks), everybody hears an end,
/// and nothing is left off the hook.
#[tokio::test(start_paused = true)]
async fn a_busy_day_leaves_nobody_without_an_end() {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    for seed in 0..20 {
        let mut dice = StdRng::seed_from_u64(seed);
        let manners = [
            ("anna", Manner::Takes(dice.random_range(0..5))),
            ("boris", Manner::Takes(dice.random_range(0..25))),
            ("vera", Manner::Misses(dice.random_range(0..25), Miss::Declined)),
            ("gleb", Manner::Misses(dice.random_range(0..5), Miss::Busy)),
        ];
        let settings =
            zvonar_desk::Settings { most_callers: 8, wrap_up: Millis(5_000), ..Default::default() };
        let exchange = Exchange::with_phones(&["anna", "boris", "vera", "gleb"]);
        let office = Arc::new(Office::at(&exchange, &manners, settings).await);
        let mut talks = tokio::task::JoinSet::new();
        for number in 0..60 {
            let (patience, length) = (dice.random_range(0..80), dice.random_range(1..60));
            let at = Arc::clone(&office);
            talks.spawn(async move {
                let waiting = at.wait_for(&format!("call-{number}"), None, 50).await;
                let ended = tokio::time::timeout(Duration::from_secs(patience), end(waiting)).await;
                if let Ok((_, Some((place, leg)))) = ended {
                    sleep(Duration::from_secs(length)).await;
                    if length % 7 == 0 {
                        place.silent().await
                    } else {
                        drop(place)
                    }
                    drop(leg);
                }
            });
            sleep(Duration::from_secs(dice.random_range(0..10))).await;
            if dice.random_range(0..5) == 0 {
                exchange.phone(manners[number % 4].0, dice.random());
            }
            if number % 9 == 0 {
                let status = if number % 2 == 0 { Status::Break } else { Status::Available };
                office.desks.status(&tenant(), &id("anna"), status).await.unwrap();
            }
        }
        while let Some(talk) = talks.join_next().await {
            talk.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
        let seen = office.desks.view(&tenant()).await.unwrap();
        assert!(seen.queue.is_empty(), "seed {seed}: {seen:?}");
        assert!(seen.operators.iter().all(|one| one.doing == WhatHeDoes::Idle), "seed {seed}: {seen:?}");
        assert_eq!(office.exchange.talks.load(Ordering::SeqCst), 0, "seed {seed}");
        assert_eq!(office.desks.waiting(&tenant(), &project()), 0, "seed {seed}");
    }
}
