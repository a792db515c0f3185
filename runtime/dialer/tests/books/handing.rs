//! Callers who are handed over, on real calls over the loopback: what they, the scenario and the record come to.

mod external;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;
use zvonar_call::Ended;
use zvonar_desk::{Miss, Status};
use zvonar_dialer::conversation::{Handing, Observed, On, Switchboard};
use zvonar_dialer::desks::{Asked, DeskSettings, Desks, Exchange, Phones, SilenceRules, TransferRules};
use zvonar_dialer::operators::{CallerView, DeskControl, OperatorRow, USUAL_OPERATORS, WhatHeDoes, sip_user};
use zvonar_dialer::{Abandoned, Recovered, Tables, TenantKeys, WallClock};
use zvonar_ledger::PriceList;
use zvonar_media::amd::MachineSettings;
use zvonar_media::event::KeyTiming;
use zvonar_media::{Clip, Part, Prompt};
use zvonar_model::{
    AttemptId, Millis, OperatorId, Phases, PhoneNumber, ProjectId, SystemResult, Transfer, TrunkId,
    UnixMillis,
};
use zvonar_scenario::ports::{Destination, LineError, TransferEnd, TransferOptions};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{Cursor, Key, MemoryStore, SharedStore};
use zvonar_switch::{
    Call, CallEvent, Doorway, IncomingCall, MediaConfig, MediaEvent, Network, PhoneAccount, PhoneBook,
    PhoneSecret, Switch, SwitchConfig, Target, TrunkConfig, clock,
};

use crate::world::{new_project, tenant};

mod silence;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// More than any of these calls takes.
const LONG: Duration = Duration::from_secs(20);

fn config(trunks: Vec<TrunkConfig>) -> SwitchConfig {
    static NEXT: AtomicU16 = AtomicU16::new(29_000);
    let first = NEXT.fetch_add(40, Ordering::Relaxed);
    SwitchConfig {
        listen: SocketAddr::new(HERE, 0),
        advertise: None,
        allow: vec![Network::everyone_v4()],
        per_source: 10_000,
        trunks,
        media: MediaConfig { ports: first..=first + 39, threads: 1, ..MediaConfig::new(HERE) },
        phones: None,
        calls: 20,
        seed: first.into(),
    }
}

/// Of telephones that are registered here.
const PASSWORD: &str = "right";

/// Operators' telephones: those that are registered here, and by their names those at the other switch.
struct Wires {
    switch: Switch,
    address: SocketAddr,
}

#[async_trait]
impl Phones<Call> for Wires {
    async fn ring(&self, asked: Asked) -> Result<Call, Miss> {
        if !self.switch.contacts(&sip_user(&asked.tenant, &asked.operator)).is_empty() {
            return Exchange(self.switch.clone()).ring(asked).await;
        }
        let beside = asked.beside.expect("real callers have a place");
        let line =
            self.switch.reserve_beside(&trunk(), &tenant(), &beside).await.map_err(|_| Miss::Unreachable)?;
        let target = Target::Uri(format!("sip:{}@{}", asked.operator, self.address));
        let mut call = self.switch.place(line, target, asked.ring).await.map_err(|_| Miss::Unreachable)?;
        loop {
            match call.next().await {
                CallEvent::Answered { .. } => return Ok(call),
                CallEvent::Ended { how, .. } => {
                    return Err(match how {
                        Ended::Refused { code: 486, .. } => Miss::Busy,
                        Ended::Refused { code: 603, .. } => Miss::Declined,
                        _ => Miss::NoAnswer,
                    });
                }
                _ => {}
            }
        }
    }
}

fn trunk() -> TrunkId {
    TrunkId::new("line").unwrap()
}

fn tables(store: &SharedStore) -> Tables {
    Tables::new(SharedStore::clone(store), Arc::new(PriceList::default()), tenant())
}

/// What the next run of the program does first.
async fn recovered(store: &SharedStore) -> zvonar_dialer::Result<Recovered> {
    // All that waits is long dead then.
    tables(store).recover(Abandoned::Expired, UnixMillis(i64::MAX)).await
}

/// Comes back once the store says that somebody waits: it is written beside the call.
async fn noted(store: &SharedStore) {
    let (shard, waits) = (TenantKeys::new(&tenant()).shard(), Key::root(tenant().as_str()).then("waits"));
    while store.scan(shard, &waits, Cursor::start(), 1).await.unwrap().items.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Our switch with a caller who talks to the robot, and the far switch with everybody else.
struct World {
    ours: Switch,
    our_door: Doorway,
    call: Call,
    /// The caller, at his end.
    person: Call,
    /// Whatever is called at the far switch.
    far: mpsc::Receiver<IncomingCall>,
    store: SharedStore,
    tables: Tables,
    desks: Desks,
    handing: Handing,
    started: Instant,
    /// How often the caller is handed over.
    times: usize,
}

/// What came of it.
struct Came {
    end: Result<TransferEnd, LineError>,
    phases: Phases,
    transfers: Vec<Transfer>,
    call_back: Option<ProjectId>,
    result: Option<SystemResult>,
}

impl World {
    async fn new(operators: &[&str]) -> Self {
        Self::with(operators, SilenceRules::default(), Duration::from_secs(10)).await
    }

    /// `silent_wire`: after how long silence is told.
    async fn with(operators: &[&str], silence: SilenceRules, silent_wire: Duration) -> Self {
        let mut far = config(Vec::new());
        // They say what a test has them say, and nothing else.
        far.media.stream.keepalive = None;
        let (theirs, mut door) = Switch::start(far).await.unwrap();
        let address = theirs.local_addr();
        let trunks = vec![TrunkConfig {
            id: trunk(),
            address,
            lines: 5,
            calls_per_second: 100,
            caller: "+74950000000".into(),
            login: None,
            tenants: None,
        }];
        let book = PhoneBook::new("zvonar");
        for name in operators {
            let user = sip_user(&tenant(), &OperatorId::new(name).unwrap());
            book.set(PhoneAccount { secret: PhoneSecret::of(&user, "zvonar", PASSWORD), user });
        }
        let mut house = config(trunks);
        house.phones = Some(Arc::new(book));
        house.media.stream.silent_wire = Some(silent_wire);
        let (ours, our_door) = Switch::start(house).await.unwrap();
        let line = ours.reserve(&trunk(), &tenant()).await.unwrap();
        let target = Target::Uri(format!("sip:person@{address}"));
        let mut call = ours.place(line, target, LONG).await.unwrap();
        let mut person = door.next().await.unwrap().answer().await.unwrap();
        let (started, _) = tokio::join!(answered(&mut call), answered(&mut person));
        let (calls, far) = mpsc::channel(16);
        tokio::spawn(async move {
            let _kept = theirs;
            while let Some(call) = door.next().await {
                if calls.send(call).await.is_err() {
                    break;
                }
            }
        });
        let store: SharedStore = Arc::new(MemoryStore::new());
        let tables = tables(&store);
        let settings = DeskSettings {
            transfers: TransferRules { at_once: 1, silence, ..TransferRules::default() },
            ..DeskSettings::default()
        };
        let now: WallClock = Arc::new(clock::wall);
        let wires = Wires { switch: ours.clone(), address };
        let desks = Desks::open([(tables.clone(), settings)], Arc::new(wires), now).await.unwrap();
        for name in operators {
            let row = OperatorRow::new(OperatorId::new(name).unwrap(), name, UnixMillis(0));
            tables.add_operator(&row, USUAL_OPERATORS).await.unwrap();
            desks.operator_changed(&tenant(), &row.operator.id).await.unwrap();
            desks.status(&tenant(), &row.operator.id, Status::Available).await.unwrap();
        }
        let board = Switchboard { desks: desks.clone(), switch: ours.clone(), consultations: Arc::default() };
        let number = PhoneNumber::parse("+79160000001").unwrap();
        let caller =
            CallerView { number: Some(number.clone()), ..CallerView::of(AttemptId::new("a").unwrap()) };
        let handing = Handing::new(board, tenant(), caller, Some(trunk()), vec![number]);
        Self { ours, our_door, call, person, far, store, tables, desks, handing, started, times: 1 }
    }

    /// Hands the caller over, while the far side does something. Gives what came of it once the robot has hung up.
    async fn hand<T>(
        mut self,
        to: Destination,
        options: TransferOptions,
        far: impl AsyncFnOnce(&mut mpsc::Receiver<IncomingCall>, &mut Call, &Desks) -> T,
    ) -> (Came, T) {
        let mut observed = Observed::default();
        let until = clock::now() + LONG;
        let handed = async {
            for _ in 1..self.times {
                let on = On::new(&mut self.call, &mut observed, None, self.started, until);
                self.handing.hand_over(on, &to, &options).await?;
            }
            let on = On::new(&mut self.call, &mut observed, None, self.started, until);
            self.handing.hand_over(on, &to, &options).await
        };
        let both = async { tokio::join!(handed, far(&mut self.far, &mut self.person, &self.desks)) };
        let (end, told) = tokio::time::timeout(LONG, both).await.expect("it comes to an end");
        let at_the_desk = self.desks.view(&tenant()).await.unwrap();
        assert!(at_the_desk.queue.is_empty(), "{at_the_desk:?}");
        if observed.over.is_none() {
            self.call.hang_up().await;
        }
        let whole = loop {
            if let CallEvent::Ended { how, .. } = self.call.next().await {
                let Ended::HungUp { talk, .. } = how else { panic!("{how:?}") };
                break talk;
            }
        };
        let (sheet, call_back, result) = self.handing.finish(observed.machine.is_some()).await;
        let (phases, transfers) = sheet.close(whole.into());
        assert_eq!(phases.robot.0 + phases.wait.0 + phases.talk.0, Millis::from(whole).0);
        // Everybody is free again, at the desk and on the line.
        let mut idle = false;
        for _ in 0..100 {
            let seen = self.desks.view(&tenant()).await.unwrap();
            idle = seen.operators.iter().all(|one| one.doing == WhatHeDoes::Idle);
            if idle {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(idle, "somebody is left at the desk");
        self.desks.close().await;
        drop((self.call, self.person, self.ours));
        self.our_door.shutdown().await.unwrap();
        (Came { end, phases, transfers, call_back, result }, told)
    }
}

async fn answered(call: &mut Call) -> Instant {
    loop {
        if let CallEvent::Answered { at } = call.next().await {
            return at;
        }
    }
}

async fn ended(call: &mut Call) {
    assert!(call.ended(Duration::from_secs(5)).await.is_some(), "it is hung up");
}

async fn takes(far: &mut mpsc::Receiver<IncomingCall>, whom: &str) -> Call {
    let call = far.recv().await.unwrap();
    assert_eq!(call.about.to_user, whom);
    let mut call = call.answer().await.unwrap();
    answered(&mut call).await;
    call
}

fn options(wait: Duration) -> TransferOptions {
    TransferOptions { longest_wait: wait, music: None, call_back_project: None }
}

fn operator() -> Destination {
    Destination::Operator(None)
}

fn number(text: &str) -> Destination {
    Destination::Number(text.into())
}

/// How long they talk, or somebody waits.
const TALK: Duration = Duration::from_millis(300);

/// Until the first operator talks as the desk sees it: on a busy machine our end hears of the pick-up later than the far one.
async fn they_talk(desks: &Desks) {
    let end = clock::now() + LONG;
    loop {
        let seen = desks.view(&tenant()).await.unwrap();
        if seen.operators.iter().any(|one| matches!(one.doing, WhatHeDoes::Talks { .. })) {
            return;
        }
        assert!(clock::now() < end, "nobody talks: {seen:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_operator_who_hangs_up_gives_the_caller_back_to_the_scenario() {
    let world = World::new(&["anna"]).await;
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, _, desks| {
            let mut anna = takes(far, "anna").await;
            they_talk(desks).await;
            tokio::time::sleep(TALK).await;
            anna.hang_up().await;
            ended(&mut anna).await;
        })
        .await;
    let Ok(TransferEnd::Talked(talk)) = came.end else { panic!("{:?}", came.end) };
    assert!(talk >= TALK / 2 && talk < TALK + LONG / 2, "{talk:?}");
    let [transfer] = &came.transfers[..] else { panic!("{:?}", came.transfers) };
    assert!(transfer.to_operator && transfer.connected && transfer.missed.is_none(), "{transfer:?}");
    assert_eq!(transfer.operator.as_ref().map(OperatorId::as_str), Some("anna"));
    assert_eq!((came.result, came.phases.talk), (Some(SystemResult::Connected), transfer.talk));
}

#[tokio::test]
async fn a_caller_who_hangs_up_in_mid_talk_ends_the_operators_call() {
    let world = World::new(&["anna"]).await;
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, person, desks| {
            let mut anna = takes(far, "anna").await;
            they_talk(desks).await;
            tokio::time::sleep(TALK).await;
            person.hang_up().await;
            ended(&mut anna).await;
        })
        .await;
    assert_eq!(came.end, Err(LineError::HungUp));
    assert_eq!(came.result, Some(SystemResult::Connected));
    assert!(came.transfers[0].connected && came.phases.talk.0 >= 150, "{:?}", came.transfers);
}

/// Half a second of a voice that does not stop, or until he is hung up: enough for a machine, as it is looked for below.
async fn talks_on(person: &mut Call) {
    let words: Vec<i16> = (0..4_000).map(|n| if n % 20 < 10 { 8_000 } else { -8_000 }).collect();
    let id = person.media().play(Prompt::new([Part::Clip(Arc::new(Clip::from_samples(&words)))]), false);
    loop {
        match person.next().await {
            CallEvent::Media(MediaEvent::Played { id: played }) if played == id => return,
            CallEvent::Ended { .. } => return,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_machine_that_is_found_out_ends_a_wait_and_no_talk() {
    let quick = MachineSettings {
        initial_silence: LONG,
        greeting: Duration::from_millis(100),
        total: LONG,
        ..MachineSettings::default()
    };
    let world = World::new(&["anna"]).await;
    let back = ProjectId::new("back").unwrap();
    world.tables.create_project(new_project(back), UnixMillis(0)).await.unwrap();
    world.call.media().detect_machine(quick);
    let and_back = TransferOptions { call_back_project: Some("back".into()), ..options(LONG) };
    let (came, ()) = world
        .hand(operator(), and_back, async |far, person, _| {
            let mut rings = far.recv().await.unwrap();
            rings.ring().await;
            talks_on(person).await;
            rings.given_up().await;
        })
        .await;
    assert_eq!(came.end, Err(LineError::Ended("an answering machine picked up".into())));
    assert!(!came.transfers[0].connected, "{:?}", came.transfers);
    assert_eq!(came.transfers[0].operator, None, "it is no missed call of hers");
    assert_eq!(came.call_back, None, "a voicemail is called again by its own project's rules");

    // She hears herself who is there.
    let world = World::new(&["anna"]).await;
    world.call.media().detect_machine(quick);
    let (came, ()) = world
        .hand(operator(), options(LONG), async |far, person, desks| {
            let mut anna = takes(far, "anna").await;
            while !matches!(desks.view(&tenant()).await.unwrap().operators[0].doing, WhatHeDoes::Talks { .. })
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            talks_on(person).await;
            anna.hang_up().await;
            ended(&mut anna).await;
        })
        .await;
    assert!(matches!(came.end, Ok(TransferEnd::Talked(_))), "{:?}", came.end);
    assert_eq!(came.result, Some(SystemResult::Connected));
}

#[tokio::test]
async fn a_caller_who_leaves_while_it_rings_is_lost_and_called_back_and_the_telephone_is_silent() {
    let world = World::new(&["anna"]).await;
    let back = ProjectId::new("back").unwrap();
    world.tables.create_project(new_project(back.clone()), UnixMillis(0)).await.unwrap();
    let options = TransferOptions { call_back_project: Some("back".into()), ..options(LONG) };
    let (came, ()) = world
        .hand(operator(), options, async |far, person, _| {
            let mut rings = far.recv().await.unwrap();
            rings.ring().await;
            tokio::time::sleep(TALK).await;
            person.hang_up().await;
            rings.given_up().await;
        })
        .await;
    assert_eq!((came.end, came.result), (Err(LineError::HungUp), Some(SystemResult::Lost)));
    let transfer = &came.transfers[0];
    assert_eq!(transfer.missed.as_deref(), Some("Потерян"));
    assert_eq!(transfer.operator.as_ref().map(OperatorId::as_str), Some("anna"), "she is responsible");
    assert_eq!((transfer.connected, came.phases.talk, came.call_back), (false, Millis(0), Some(back)));
    assert!(came.phases.wait.0 >= 150, "{:?}", came.phases);
}

/// The program dies while he waits; then the next run, which takes him up, dies at any moment, or loses its store.
#[tokio::test]
async fn a_caller_who_waits_when_the_program_dies_is_called_back_once() {
    let back = ProjectId::new("back").unwrap();
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter] {
        for commit in 1.. {
            let world = World::new(&["anna"]).await;
            world.tables.create_project(new_project(back.clone()), UnixMillis(0)).await.unwrap();
            let options = TransferOptions { call_back_project: Some("back".into()), ..options(LONG) };
            let (store, back) = (world.store.clone(), &back);
            let (_, commits) = world
                .hand(operator(), options, async |far, person, _| {
                    let mut rings = far.recv().await.unwrap();
                    noted(&store).await;
                    let faulty = FaultStore::new(store.clone(), [(commit, fault)]);
                    let shared: SharedStore = faulty.clone();
                    tokio::select! {
                        biased;
                        () = faulty.crashed() => {}
                        done = recovered(&shared) => assert_eq!(done.unwrap().called_back, 1),
                    }
                    let after = recovered(&store).await.unwrap();
                    assert!(after.called_back <= 1);
                    let totals = tables(&store).report(back).await.unwrap().totals;
                    assert_eq!((totals.leads, totals.new), (1, 1), "{fault:?} at {commit}");
                    assert_eq!(recovered(&store).await.unwrap(), Recovered::default());
                    person.hang_up().await;
                    rings.given_up().await;
                    faulty.commits()
                })
                .await;
            if commits < commit {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_caller_whom_somebody_has_talked_with_is_not_called_back() {
    let world = World::new(&["anna"]).await;
    let back = ProjectId::new("back").unwrap();
    world.tables.create_project(new_project(back.clone()), UnixMillis(0)).await.unwrap();
    let options = TransferOptions { call_back_project: Some("back".into()), ..options(LONG) };
    let store = world.store.clone();
    let (came, ()) = world
        .hand(operator(), options, async |far, _, desks| {
            let mut anna = takes(far, "anna").await;
            they_talk(desks).await;
            tokio::time::sleep(TALK).await;
            anna.hang_up().await;
            ended(&mut anna).await;
        })
        .await;
    assert_eq!((came.result, came.call_back), (Some(SystemResult::Connected), None));
    assert_eq!(recovered(&store).await.unwrap(), Recovered::default());
    assert_eq!(tables(&store).report(&back).await.unwrap().totals.leads, 0);
}

#[tokio::test]
async fn nobody_in_time_and_nobody_at_all_are_told_to_the_scenario() {
    // Enough for an operator to decline on a machine that stands still for a second.
    const SOON: Duration = Duration::from_secs(3);
    for (operators, answer, end, result) in [
        (&["anna"][..], Some(486), TransferEnd::Busy, Some(SystemResult::OperatorBusy)),
        (&["anna"], Some(603), TransferEnd::Rejected, Some(SystemResult::OperatorDeclined)),
        (&["anna"], None, TransferEnd::NoAnswer, Some(SystemResult::OperatorNoAnswer)),
    ] {
        let world = World::new(operators).await;
        let (came, ()) = world
            .hand(operator(), options(SOON), async |far, _, _| {
                let mut call = far.recv().await.unwrap();
                match answer {
                    Some(code) => call.reject(code, "Not Now").await,
                    None => drop(call.given_up().await),
                }
            })
            .await;
        assert_eq!((came.end, came.result), (Ok(end), result));
        assert!((2_950..20_000).contains(&came.phases.wait.0), "{:?}", came.phases);
    }
    let world = World::new(&[]).await;
    let (came, ()) = world.hand(operator(), options(LONG), async |_, _, _| ()).await;
    let Ok(TransferEnd::Failed(why)) = came.end else { panic!("{:?}", came.end) };
    assert!(why.contains("no operator who takes such callers"), "{why}");
}
