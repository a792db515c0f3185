//! An operator asks a colleague before he hands his caller on: telephones played by hand, with real signalling and sound.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, sleep, timeout};
use zvonar_desk::{Miss, Status};
use zvonar_dialer::conversation::{Handing, LONGEST_CONSULTATION, Observed, On, Switchboard};
use zvonar_dialer::desks::{
    Asked, DeskSettings, Desks, Exchange, Phones, SilenceRules, TransferRules, Wanted,
};
use zvonar_dialer::operators::{CallerView, DeskControl, OperatorRow, USUAL_OPERATORS, WhatHeDoes};
use zvonar_dialer::{Tables, WallClock};
use zvonar_ledger::PriceList;
use zvonar_media::StreamSettings;
use zvonar_model::{
    AttemptId, Millis, OperatorId, Phases, PhoneNumber, SystemResult, Transfer, TrunkId, UnixMillis,
};
use zvonar_scenario::ports::{Destination, LineError, TransferEnd, TransferOptions};
use zvonar_sip::message::Name;
use zvonar_store::MemoryStore;
use zvonar_switch::{
    Call, CallEvent, MediaConfig, PhoneAccount, PhoneBook, PhoneSecret, Switch, SwitchConfig, Target,
    TrunkConfig, clock,
};

use crate::handset::{Handset, SOON, Talk};
use crate::world::tenant;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PASSWORD: &str = "слово и дело";
/// More than any of these calls takes.
const LONG: Duration = Duration::from_secs(30);

/// A telephone with an ear and a mouth. What it says is the first letter of its name, again and again.
struct Phone {
    handset: Handset,
    mark: u8,
    sound: Arc<UdpSocket>,
    /// How many packets it heard, by their marks.
    heard: Arc<Mutex<BTreeMap<u8, u32>>>,
    ear: JoinHandle<()>,
}

/// A mouth that speaks until this is dropped.
struct Voice(JoinHandle<()>);

impl Drop for Voice {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.ear.abort();
    }
}

impl Phone {
    async fn new(near: SocketAddr, user: &str, mark: u8) -> Self {
        let sound = Arc::new(UdpSocket::bind((HERE, 0)).await.unwrap());
        let mut handset = Handset::new(near, user, PASSWORD).await;
        handset.port = sound.local_addr().unwrap().port();
        let heard: Arc<Mutex<BTreeMap<u8, u32>>> = Arc::default();
        let (socket, hears) = (Arc::clone(&sound), Arc::clone(&heard));
        let ear = tokio::spawn(async move {
            let mut packet = [0; 2000];
            while let Ok(length) = socket.recv(&mut packet).await {
                let Some(sound) = packet[..length].get(12..).filter(|sound| !sound.is_empty()) else {
                    continue;
                };
                if sound.iter().all(|byte| *byte == sound[0]) {
                    *hears.lock().unwrap().entry(sound[0]).or_default() += 1;
                }
            }
        });
        Self { handset, mark, sound, heard, ear }
    }

    /// Takes a call that comes, and says its mark there.
    async fn takes(&self) -> (Talk, Voice) {
        let invite = self.handset.hear("INVITE").await;
        let talk = self.handset.pick_up(&invite).await;
        let voice = self.speaks(&talk);
        (talk, voice)
    }

    /// Speaks in this talk, 50 times a second.
    fn speaks(&self, talk: &Talk) -> Voice {
        let lines = &mut talk.description.lines();
        let port = lines.find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()).unwrap();
        let to = SocketAddr::new(HERE, port.parse().unwrap());
        let (socket, mark) = (Arc::clone(&self.sound), self.mark);
        Voice(tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(20));
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in 0_u16.. {
                every.tick().await;
                let mut packet = vec![0x80, 8];
                packet.extend(number.to_be_bytes());
                packet.extend((u32::from(number) * 160).to_be_bytes());
                packet.extend(u32::from(to.port()).to_be_bytes());
                packet.extend([mark; 160]);
                let _ = socket.send_to(&packet, to).await;
            }
        }))
    }

    /// Waits until it hears this one, and is sure of it.
    async fn hears(&self, other: &Self) {
        let count = || self.heard.lock().unwrap().get(&other.mark).copied().unwrap_or(0);
        let before = count();
        let more = async {
            while count() < before + 10 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let (who, whom) = (char::from(self.mark), char::from(other.mark));
        timeout(SOON, more).await.unwrap_or_else(|_| panic!("{who} does not hear {whom}"));
    }

    /// Wants its talk handed on.
    async fn refers(&self, talk: &mut Talk, to: &str) {
        let to = (Name::ReferTo, format!("<{to}>"));
        self.handset.request(talk, "REFER", &[to], "", "").await;
    }

    /// Answers what comes until so many of its calls are hung up; gives what was said of its request to hand on.
    async fn is_hung_up(&self, calls: usize) -> Vec<String> {
        let (mut over, mut told) = (BTreeSet::new(), Vec::new());
        while over.len() < calls {
            let message = self.handset.hear_within(SOON * 3).await;
            let message = message.unwrap_or_else(|| panic!("{} is not hung up", char::from(self.mark)));
            let method = message.method().text().to_owned();
            if !message.is_request() {
                if method == "REFER" {
                    told.push(message.code().to_string());
                }
                continue;
            }
            self.handset.reply(&message, 200, "").await;
            match method.as_str() {
                "BYE" => drop(over.insert(message.call_id().to_owned())),
                "NOTIFY" => {
                    let said = String::from_utf8_lossy(message.body());
                    told.push(said.trim_start_matches("SIP/2.0 ").trim().to_owned());
                }
                _ => {}
            }
        }
        told.dedup();
        told
    }

    async fn hangs_up(&self, talk: &mut Talk) {
        self.handset.request(talk, "BYE", &[], "", "").await;
        assert_eq!(self.handset.response("BYE").await.code(), 200);
    }
}

/// The target of a request to hand a caller on into this talk.
fn into(talk: &Talk, whom: &str) -> String {
    let replaces = talk.replaces().replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
    format!("sip:{whom}@zvonar?Replaces={replaces}")
}

/// A telephone of one operator's is rung beside nobody: its sound may be anywhere.
struct Astray {
    phones: Exchange,
    whose: Option<OperatorId>,
}

#[async_trait]
impl Phones<Call> for Astray {
    async fn ring(&self, asked: Asked) -> Result<Call, Miss> {
        let beside = asked.beside.clone().filter(|_| self.whose.as_ref() != Some(&asked.operator));
        self.phones.ring(Asked { beside, ..asked }).await
    }
}

/// What a house is like.
struct Plan {
    threads: usize,
    silent_wire: Duration,
    astray: Option<&'static str>,
}

const USUAL: Plan = Plan { threads: 1, silent_wire: LONG, astray: None };

/// A host with operators, and a person who talks to the robot.
struct House {
    desks: Desks,
    handing: Handing,
    switch: Switch,
    call: Call,
    started: Instant,
    person: Phone,
    /// The person's talk, and what he says in it.
    talk: Talk,
    voice: Voice,
    /// By their names.
    phones: BTreeMap<&'static str, Phone>,
    door: JoinHandle<()>,
}

/// What came of handing the person over.
struct Came {
    end: Result<TransferEnd, LineError>,
    phases: Phases,
    transfers: Vec<Transfer>,
}

/// Those who do something while the person is handed over.
struct Cast<'h> {
    person: &'h Phone,
    talk: &'h mut Talk,
    phones: &'h mut BTreeMap<&'static str, Phone>,
    desks: &'h Desks,
}

fn id(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

impl House {
    /// With these operators; those whose names end in `?` are on a break.
    async fn new(operators: &[&'static str], plan: Plan) -> Self {
        let mut person = Phone::new(SocketAddr::new(HERE, 9), "person", b'p').await;
        let address = person.handset.socket.local_addr().unwrap();
        // A carrier is called where it says that it is.
        person.handset.says = address.to_string();
        let trunk = TrunkId::new("line").unwrap();
        let book = Arc::new(PhoneBook::new("zvonar"));
        let stream = StreamSettings { silent_wire: Some(plan.silent_wire), ..StreamSettings::default() };
        let (threads, ports) = (plan.threads, 26_000..=26_999);
        let config = SwitchConfig {
            listen: SocketAddr::new(HERE, 0),
            advertise: None,
            allow: Vec::new(),
            per_source: 10_000,
            trunks: vec![TrunkConfig {
                id: trunk.clone(),
                address,
                lines: 5,
                calls_per_second: 100,
                caller: "+74950000000".into(),
                login: None,
                tenants: None,
            }],
            media: MediaConfig { ports, threads, stream, ..MediaConfig::new(HERE) },
            phones: Some(Arc::clone(&book)),
            calls: 20,
            seed: rand::random(),
        };
        let (switch, mut door) = Switch::start(config).await.unwrap();
        person.handset.near = switch.local_addr();

        let tables = Tables::new(Arc::new(MemoryStore::new()), Arc::new(PriceList::default()), tenant());
        let exchange = Astray { phones: Exchange(switch.clone()), whose: plan.astray.map(id) };
        let now: WallClock = Arc::new(clock::wall);
        let silence = SilenceRules { short: plan.silent_wire, ..SilenceRules::default() };
        let transfers = TransferRules { silence, ..TransferRules::default() };
        let settings = DeskSettings { transfers, ..DeskSettings::default() };
        let desks = Desks::open([(tables.clone(), settings)], Arc::new(exchange), now).await.unwrap();
        let mut phones = BTreeMap::new();
        for name in operators {
            let (name, status) = match name.strip_suffix('?') {
                Some(name) => (name, Status::Break),
                None => (*name, Status::Available),
            };
            let user = format!("{}.{name}", tenant());
            let secret = PhoneSecret::of(&user, "zvonar", PASSWORD);
            book.set(PhoneAccount { user: user.clone(), secret });
            let mut phone = Phone::new(switch.local_addr(), &user, name.as_bytes()[0]).await;
            assert_eq!(phone.handset.register(300).await.code(), 200);
            phones.insert(name, phone);
            let row = OperatorRow::new(id(name), name, UnixMillis(0));
            tables.add_operator(&row, USUAL_OPERATORS).await.unwrap();
            desks.operator_changed(&tenant(), &id(name)).await.unwrap();
            desks.status(&tenant(), &id(name), status).await.unwrap();
        }
        let consultations = Arc::default();
        let board = Switchboard { desks: desks.clone(), switch: switch.clone(), consultations };
        let rings = board.clone();
        let door = tokio::spawn(async move {
            while let Some(incoming) = door.next().await {
                let (board, whom) = (rings.clone(), incoming.about.to_user.clone());
                tokio::spawn(async move { board.consult(incoming, &tenant(), &whom).await });
            }
        });

        let line = switch.reserve(&trunk, &tenant()).await.unwrap();
        let target = Target::Uri(format!("sip:person@{address}"));
        let mut call = switch.place(line, target, LONG).await.unwrap();
        let (talk, voice) = person.takes().await;
        let started = loop {
            if let CallEvent::Answered { at } = call.next().await {
                break at;
            }
        };
        let number = PhoneNumber::parse("+79160000001").unwrap();
        let caller =
            CallerView { number: Some(number.clone()), ..CallerView::of(AttemptId::new("a").unwrap()) };
        let handing = Handing::new(board, tenant(), caller, Some(trunk), vec![number]);
        Self { desks, handing, switch, call, started, person, talk, voice, phones, door }
    }

    /// Hands the person over to any operator, while the others do something.
    async fn hand(mut self, others: impl AsyncFnOnce(Cast<'_>)) -> Came {
        let mut observed = Observed::default();
        let on = On::new(&mut self.call, &mut observed, None, self.started, clock::now() + LONG);
        let options = TransferOptions { longest_wait: LONG, music: None, call_back_project: None };
        let handed = self.handing.hand_over(on, &Destination::Operator(None), &options);
        let (person, talk, phones, desks) = (&self.person, &mut self.talk, &mut self.phones, &self.desks);
        let cast = Cast { person, talk, phones, desks };
        let both = async { tokio::join!(handed, others(cast)) };
        let (end, ()) = timeout(LONG, both).await.expect("it comes to an end");
        let (sheet, ..) = self.handing.finish(false).await;
        let whole = self.started.elapsed();
        let (phases, transfers) = sheet.close(whole.into());
        assert_eq!(phases.robot.0 + phases.wait.0 + phases.talk.0, Millis::from(whole).0);
        all_idle(&self.desks).await;
        drop((self.call, self.voice));
        self.door.abort();
        self.desks.close().await;
        drop(self.switch);
        Came { end, phases, transfers }
    }
}

impl Cast<'_> {
    /// Takes a telephone, which others call meanwhile.
    fn phone(&mut self, name: &str) -> Phone {
        self.phones.remove(name).unwrap()
    }

    /// With whom this one talks: the call, and whether it is a colleague.
    async fn talks(&self, name: &str) -> Option<(String, bool)> {
        with_whom(self.desks, name).await
    }
}

async fn with_whom(desks: &Desks, name: &str) -> Option<(String, bool)> {
    let seen = desks.view(&tenant()).await.unwrap();
    let his = seen.operators.into_iter().find(|one| one.operator.as_str() == name).unwrap();
    match his.doing {
        WhatHeDoes::Talks { caller, .. } => {
            Some((caller.name.unwrap_or_else(|| caller.attempt.to_string()), caller.colleague))
        }
        _ => None,
    }
}

async fn all_idle(desks: &Desks) {
    let idle = async {
        loop {
            let seen = desks.view(&tenant()).await.unwrap();
            if seen.operators.iter().all(|one| one.doing == WhatHeDoes::Idle) && seen.queue.is_empty() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, idle).await.expect("somebody is left at the desk");
}

/// One calls the other, who picks up. Gives the talk of each, and the voice of the one who was called.
async fn asks(who: &mut Phone, whom: &Phone, name: &str) -> (Talk, Talk, Voice) {
    let uri = format!("sip:{name}@zvonar");
    let (asking, (asked, voice)) = tokio::join!(who.handset.call(&uri, &[]), whom.takes());
    (asking.expect("it is answered"), asked, voice)
}

fn who(transfers: &[Transfer]) -> Vec<(&str, bool, Option<&str>)> {
    let operator = |one: &Transfer| one.operator.as_ref().map(|operator| operator.as_str().to_owned());
    assert!(transfers.iter().all(|one| one.to_operator && operator(one).is_some()), "{transfers:?}");
    let told = transfers.iter().map(|one| {
        (one.operator.as_ref().map_or("", OperatorId::as_str), one.connected, one.missed.as_deref())
    });
    told.collect()
}

#[tokio::test]
async fn a_caller_who_is_handed_on_after_a_question_is_the_colleagues_in_every_respect() {
    let house = House::new(&["anna", "boris?"], USUAL).await;
    let came = house
        .hand(async |mut cast| {
            let (mut anna, boris) = (cast.phone("anna"), cast.phone("boris"));
            let (mut first, _anna) = anna.takes().await;
            tokio::join!(anna.hears(cast.person), cast.person.hears(&anna));
            let (asking, mut asked, _boris) = asks(&mut anna, &boris, "boris").await;
            assert_eq!(cast.talks("boris").await, Some(("anna".into(), true)));
            assert_eq!(cast.talks("anna").await, Some(("a".into(), false)));
            anna.refers(&mut first, &into(&asking, "boris")).await;
            assert_eq!(anna.is_hung_up(2).await, ["202", "100 Trying", "200 OK"]);
            assert_eq!(cast.talks("boris").await, Some(("a".into(), false)), "his card is the caller's");
            tokio::join!(boris.hears(cast.person), cast.person.hears(&boris));
            all_but(cast.desks, "boris").await;
            boris.hangs_up(&mut asked).await;
        })
        .await;
    let Ok(TransferEnd::Talked(talk)) = came.end else { panic!("{:?}", came.end) };
    assert_eq!(who(&came.transfers), [("anna", true, None), ("boris", true, None)]);
    let [anna, boris] = &came.transfers[..] else { panic!("{:?}", came.transfers) };
    assert!(anna.talk.0 > 0 && boris.talk.0 > 0 && boris.wait.0 == 0, "{:?}", came.transfers);
    assert_eq!(
        (anna.talk.0 + boris.talk.0, Millis::from(talk).0, anna.wait.0),
        (came.phases.talk.0, came.phases.talk.0, came.phases.wait.0)
    );
}

/// Waits until nobody but this one has to do with anybody.
async fn all_but(desks: &Desks, name: &str) {
    let others = async {
        loop {
            let seen = desks.view(&tenant()).await.unwrap();
            let others = seen.operators.iter().filter(|one| one.operator.as_str() != name);
            if others.into_iter().all(|one| one.doing == WhatHeDoes::Idle) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, others).await.expect("whoever handed on is free");
}

#[tokio::test]
async fn a_talk_whose_sound_is_on_another_thread_is_joined_to_nobody_and_both_talks_go_on() {
    let house = House::new(&["anna", "boris?", "vera?"], Plan { threads: 2, ..USUAL }).await;
    let came = house
        .hand(async |mut cast| {
            let (anna, boris, mut vera) = (cast.phone("anna"), cast.phone("boris"), cast.phone("vera"));
            let (mut first, _anna) = anna.takes().await;
            // Beside nobody, so on the thread that has less to do.
            let (mut asking, _, _boris) = asks(&mut vera, &boris, "boris").await;
            anna.refers(&mut first, &into(&asking, "boris")).await;
            assert_eq!(anna.handset.response("REFER").await.code(), 603);
            tokio::join!(anna.hears(cast.person), cast.person.hears(&anna), vera.hears(&boris));
            assert_eq!(cast.talks("boris").await, Some(("vera".into(), true)));
            vera.hangs_up(&mut asking).await;
            boris.is_hung_up(1).await;
            anna.hangs_up(&mut first).await;
        })
        .await;
    assert_eq!(who(&came.transfers), [("anna", true, None)]);
}

#[tokio::test]
async fn an_operator_who_cannot_be_joined_is_hung_up_and_the_caller_gets_the_next() {
    let plan = Plan { threads: 2, astray: Some("anna"), ..USUAL };
    let house = House::new(&["anna", "boris"], plan).await;
    let came = house
        .hand(async |mut cast| {
            let (anna, boris) = (cast.phone("anna"), cast.phone("boris"));
            let (_, _anna) = anna.takes().await;
            let (_, (mut talk, _boris)) = tokio::join!(anna.is_hung_up(1), boris.takes());
            tokio::join!(boris.hears(cast.person), cast.person.hears(&boris));
            boris.hangs_up(&mut talk).await;
        })
        .await;
    assert!(matches!(came.end, Ok(TransferEnd::Talked(_))), "{:?}", came.end);
    assert_eq!(who(&came.transfers), [("boris", true, None)]);
}

#[tokio::test]
async fn a_caller_who_leaves_while_a_colleague_is_rung_for_him_is_that_ones_missed_call() {
    let house = House::new(&["anna", "boris?"], USUAL).await;
    let came = house
        .hand(async |mut cast| {
            let (anna, boris) = (cast.phone("anna"), cast.phone("boris"));
            let (mut first, _anna) = anna.takes().await;
            anna.refers(&mut first, "sip:boris@zvonar").await;
            let invite = boris.handset.hear("INVITE").await;
            boris.handset.reply(&invite, 180, "").await;
            cast.person.hangs_up(cast.talk).await;
            let cancel = boris.handset.hear("CANCEL").await;
            boris.handset.reply(&cancel, 200, "").await;
            boris.handset.reply(&invite, 487, "").await;
            anna.is_hung_up(1).await;
        })
        .await;
    assert_eq!(came.end, Err(LineError::HungUp));
    let lost = Some(SystemResult::Lost.title());
    assert_eq!(who(&came.transfers), [("anna", true, None), ("boris", false, lost)]);
}

/// Two operators, one of whom has called the other.
struct Asking {
    house: House,
    anna: Phone,
    boris: Phone,
    asking: Talk,
    asked: Talk,
    /// Hers and his.
    voices: (Voice, Voice),
}

impl Asking {
    async fn new(plan: Plan) -> Self {
        let mut house = House::new(&["anna", "boris?"], plan).await;
        let (mut anna, boris) = (house.phones.remove("anna").unwrap(), house.phones.remove("boris").unwrap());
        let (asking, asked, his) = asks(&mut anna, &boris, "boris").await;
        let voices = (anna.speaks(&asking), his);
        tokio::join!(anna.hears(&boris), boris.hears(&anna));
        Self { house, anna, boris, asking, asked, voices }
    }
}

#[tokio::test]
async fn whoever_asks_a_colleague_gets_no_caller_before_that_is_over() {
    let Asking { house, anna, boris, mut asked, voices: _voices, .. } = Asking::new(USUAL).await;
    let wanted = Wanted {
        caller: CallerView::of(AttemptId::new("b").unwrap()),
        group: None,
        since: None,
        longest_wait: LONG,
        beside: None,
    };
    let waiting = house.desks.wait(&tenant(), wanted).await.unwrap();
    assert_eq!(with_whom(&house.desks, "anna").await, Some(("boris".into(), true)));
    let seen = house.desks.view(&tenant()).await.unwrap();
    assert_eq!(seen.queue[0].ringing, None, "{seen:?}");
    boris.hangs_up(&mut asked).await;
    anna.is_hung_up(1).await;
    // Now she is rung.
    anna.handset.hear("INVITE").await;
    drop(waiting);
    all_idle(&house.desks).await;
}

#[tokio::test]
async fn a_talk_between_operators_ends_when_a_telephone_falls_silent_that_does_not_hold_the_other() {
    let silent_wire = Duration::from_secs(2);
    let Asking { house, anna, boris, mut asking, mut asked, voices: (voice, his) } =
        Asking::new(Plan { silent_wire, ..USUAL }).await;
    // She says nothing, since she holds him: so it goes on.
    assert_eq!(anna.handset.offer(&mut asking, "a=sendonly\r\n").await.code(), 200);
    drop(voice);
    sleep(2 * silent_wire).await;
    assert_eq!(with_whom(&house.desks, "boris").await, Some(("anna".into(), true)));
    // Nobody is handed on out of it.
    boris.refers(&mut asked, "sip:anna@zvonar").await;
    assert_eq!(boris.handset.response("REFER").await.code(), 603);
    // His telephone vanishes.
    drop(his);
    tokio::join!(anna.is_hung_up(1), boris.is_hung_up(1));
    all_idle(&house.desks).await;
}

#[tokio::test]
async fn a_talk_between_operators_ends_after_its_longest_length() {
    let Asking { house, anna, boris, voices: _voices, .. } = Asking::new(USUAL).await;
    tokio::time::pause();
    tokio::time::advance(LONGEST_CONSULTATION).await;
    tokio::time::resume();
    tokio::join!(anna.is_hung_up(1), boris.is_hung_up(1));
    all_idle(&house.desks).await;
}
