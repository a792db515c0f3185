//! The rules, hours of trouble, and lost answers and crashes at every point.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zvonar_model::{Kopecks, UnixMillis};

use super::*;
use crate::gateway::{Accepted, Delivery, GatewayError, Tracked};
use crate::smsc::Code;

type Sent = Result<Accepted, GatewayError>;

const OK: Sent = Ok(Accepted { parts: Some(1), cost: Some(Kopecks(180)), balance: None });

fn at(seconds: i64) -> UnixMillis {
    UnixMillis(1_700_000_000_000 + seconds * 1_000)
}

fn seconds(at: UnixMillis) -> i64 {
    (at.0 - 1_700_000_000_000) / 1_000
}

fn refused(code: u32) -> Sent {
    Err(GatewayError::Refused { code: Code(code), text: String::new() })
}

fn silence() -> Sent {
    Err(GatewayError::NoAnswer("silence".into()))
}

fn unreachable() -> Sent {
    Err(GatewayError::Unreachable("nobody".into()))
}

fn given(answer: &Sent) -> Life {
    let mut life = Life::queued(at(0));
    assert_eq!(life.begin(at(10)), Begin::Give);
    life.sent(at(20), answer);
    life
}

#[test]
fn what_each_answer_means_for_the_message_and_for_the_queue() {
    for (answer, message, queue) in [
        (OK, "accepted, ask at 80", "open"),
        (refused(1), "failed Message", "open"),
        (refused(2), "queued for 20", "Account until 80"),
        (refused(3), "queued for 20", "NoMoney until 80"),
        (refused(4), "queued for 80", "LockedOut until 80"),
        (refused(5), "failed Message", "open"),
        (refused(6), "failed Message", "open"),
        (refused(7), "failed Number", "open"),
        (refused(8), "failed Number", "open"),
        (refused(9), "in doubt, ask at 80", "open"),
        (refused(77), "queued for 80", "open"),
        (refused(0), "queued for 80", "open"),
        (silence(), "in doubt, ask at 80", "Silence until 80"),
        (unreachable(), "queued for 20", "Silence until 80"),
    ] {
        let life = given(&answer);
        let told = match (&life.state, life.next()) {
            (State::Accepted { .. }, Next::Ask(due)) => format!("accepted, ask at {}", seconds(due)),
            (State::Queued { .. }, Next::Send(due)) => format!("queued for {}", seconds(due)),
            (State::InDoubt { .. }, Next::Ask(due)) => format!("in doubt, ask at {}", seconds(due)),
            (State::Failed { why: Failure::Message { .. }, .. }, Next::Nothing) => "failed Message".into(),
            (State::Failed { why: Failure::Number { .. }, .. }, Next::Nothing) => "failed Number".into(),
            other => format!("{other:?}"),
        };
        assert_eq!(told, message, "{answer:?}");
        let mut gate = Gate::default();
        let alarm = gate.heard(at(20), "a1-1", &answer);
        let told = match gate.passage(at(20)) {
            Passage::Open => "open".to_owned(),
            Passage::One => "one".into(),
            Passage::Closed(until) => format!("{:?} until {}", gate.trouble().unwrap(), seconds(until)),
        };
        assert_eq!(told, queue, "{answer:?}");
        assert_eq!(alarm, gate.trouble().map(Alarm::Closed));
        let stored = serde_json::to_string(&(&life, &gate)).unwrap();
        assert_eq!(serde_json::from_str::<(Life, Gate)>(&stored).unwrap(), (life, gate), "{stored}");
    }
}

#[test]
fn a_message_in_doubt_is_asked_for_and_only_then_given_again() {
    let mut life = given(&silence());
    assert_eq!(life.begin(at(50)), Begin::No);
    life.asked(at(80), &Err(GatewayError::Unreachable("nobody".into())));
    assert_eq!(life.next(), Next::Ask(at(140)));
    life.asked(at(140), &Err(GatewayError::NoAnswer("half".into())));
    assert_eq!(life.next(), Next::Ask(at(440)));
    let mut found = life.clone();
    found.asked(at(440), &Ok(Some(Tracked { delivery: Delivery::Sent, cost: Some(Kopecks(360)) })));
    assert!(matches!(
        found.state,
        State::Accepted { cost: Some(Kopecks(360)), delivery: Delivery::Sent, .. }
    ));
    life.asked(at(440), &Ok(None));
    assert_eq!(life.next(), Next::Send(at(440)));
    // News that comes by itself settles it, too.
    let mut told = given(&silence());
    assert!(told.news(at(30), Delivery::Delivered));
    assert!(matches!(told.state, State::Accepted { delivery: Delivery::Delivered, .. }));
    // Nobody ever answers: it stays in doubt, for all to see.
    let mut life = given(&silence());
    for _ in 0..1_000 {
        let Next::Ask(due) = life.next() else { break };
        life.asked(due, &Err(GatewayError::NoAnswer("half".into())));
    }
    assert_eq!(life.next(), Next::Nothing);
    assert!(matches!(life.state, State::InDoubt { asked: 60..90, .. }), "{life:?}");
}

#[test]
fn a_restart_asks_about_what_was_on_its_way_and_leaves_the_rest() {
    let mut life = Life::queued(at(0));
    assert!(!life.found(at(1)));
    assert_eq!(life.begin(at(10)), Begin::Give);
    assert_eq!(life.next(), Next::Answer);
    assert!(life.found(at(5_000)));
    assert_eq!(life.next(), Next::Ask(at(5_060)), "what left in the last moment must have arrived");
    assert!(!life.found(at(5_001)));
    for answer in [OK, refused(7), silence(), refused(3)] {
        assert!(!given(&answer).found(at(30)));
    }
}

#[test]
fn a_message_that_is_of_no_use_any_more_is_not_sent() {
    let day = 24 * 3600;
    let mut life = Life::queued(at(0));
    assert_eq!(life.begin(at(day)), Begin::TooLate);
    assert_eq!(life.state, State::Failed { since: at(day), why: Failure::TooLate });
    let mut life = Life::queued(at(0));
    assert_eq!(life.begin(at(day - 1)), Begin::Give);
    life.sent(at(day + 1), &refused(3));
    assert!(matches!(life.state, State::Failed { why: Failure::TooLate, .. }));
    // One in doubt is not failed by its age: it may have arrived.
    let mut life = given(&silence());
    life.asked(at(2 * day), &Err(GatewayError::NoAnswer("half".into())));
    assert!(matches!(life.state, State::InDoubt { .. }));
    life.asked(at(2 * day), &Ok(None));
    assert!(matches!(life.state, State::Failed { why: Failure::TooLate, .. }));
}

#[test]
fn late_news_neither_reopens_nor_charges_what_is_closed() {
    let mut life = given(&OK);
    assert!(life.news(at(30), Delivery::Delivered));
    assert!(!life.news(at(31), Delivery::Sent));
    assert!(!life.news(at(31), Delivery::Expired));
    assert!(matches!(
        life.state,
        State::Accepted { cost: Some(Kopecks(180)), delivery: Delivery::Delivered, .. }
    ));
    assert_eq!(life.next(), Next::Nothing);
    let mut failed = given(&refused(7));
    assert!(!failed.news(at(30), Delivery::Delivered));
    failed.sent(at(31), &OK);
    failed.asked(at(31), &Ok(Some(Tracked { delivery: Delivery::Sent, cost: None })));
    assert!(matches!(failed.state, State::Failed { .. }));
    // A price that was not told at once is asked for, even when all else is known.
    let mut life = given(&Ok(Accepted { parts: None, cost: None, balance: None }));
    assert!(life.news(at(30), Delivery::Delivered));
    assert_eq!(life.next(), Next::Ask(at(80)));
    life.asked(at(80), &Ok(Some(Tracked { delivery: Delivery::Queued, cost: Some(Kopecks(180)) })));
    assert!(matches!(
        life.state,
        State::Accepted { cost: Some(Kopecks(180)), delivery: Delivery::Delivered, .. }
    ));
}

/// Three thousand questions with a password that was changed: that alone gets an address locked out.
#[test]
fn questions_stop_when_nobody_listens_and_go_on_when_one_is_understood() {
    let mut gate = Gate::default();
    let not_let_in = Err(GatewayError::Refused { code: Code(2), text: String::new() });
    assert_eq!(gate.asked(at(0), &not_let_in), Some(Alarm::Closed(Trouble::Account)));
    assert_eq!((gate.questions_wait(at(59)), gate.passage(at(59))), (Some(at(60)), Passage::Closed(at(60))));
    assert_eq!((gate.asked(at(60), &not_let_in), gate.questions_wait(at(61))), (None, Some(at(360))));
    assert_eq!(gate.questions_wait(at(360)), None, "one asks");
    assert_eq!(gate.asked(at(360), &Ok(None)), Some(Alarm::Opened));
    assert_eq!((gate.questions_wait(at(361)), gate.passage(at(361))), (None, Passage::Open));
    // That the account is empty keeps messages and no questions; nor does an answer to one fill it.
    let _ = gate.heard(at(400), "a", &refused(3));
    assert_eq!((gate.questions_wait(at(401)), gate.asked(at(401), &Ok(None))), (None, None));
    assert_eq!(gate.trouble(), Some(Trouble::NoMoney));
}

/// The callback of a message came before the answer that takes it, and that alone named the price.
#[test]
fn the_price_of_an_answer_that_comes_after_the_news_counts() {
    let mut life = Life::queued(at(0));
    assert_eq!(life.begin(at(0)), Begin::Give);
    life.news(at(1), Delivery::Sent);
    let told = Accepted { parts: Some(2), cost: Some(Kopecks(360)), balance: None };
    life.sent(at(2), &Ok(told));
    let State::Accepted { parts, cost, .. } = life.state else { panic!("{life:?}") };
    assert_eq!((parts, cost), (Some(2), Some(Kopecks(360))));
}

#[test]
fn the_gateway_is_asked_for_a_delivery_less_and_less_often() {
    let mut life = given(&OK);
    let mut times = Vec::new();
    while let Next::Ask(due) = life.next() {
        times.push(seconds(due));
        life.asked(due, &Ok(Some(Tracked { delivery: Delivery::Sent, cost: None })));
    }
    assert_eq!(times[..5], [80, 380, 1_280, 4_880, 8_480]);
    assert!(times.len() < 80 && *times.last().unwrap() < 3 * 24 * 3600 + 20);
}

/// A hundred messages meet a gateway that is down for an hour.
#[test]
fn an_hour_without_the_gateway_costs_a_few_tries_and_no_message() {
    for down in [unreachable(), refused(4), refused(3), refused(77), silence()] {
        let mut lives: Vec<Life> = (0..100).map(|_| Life::queued(at(0))).collect();
        let (mut gate, mut asked, mut alarms, mut done) = (Gate::default(), 0, Vec::new(), 0);
        let mut taken = vec![0; lives.len()];
        for second in 0..4 * 3600 {
            let now = at(second);
            for (which, life) in lives.iter_mut().enumerate() {
                match life.next() {
                    Next::Ask(due) if due <= now => {
                        let tracked = Tracked { delivery: Delivery::Delivered, cost: None };
                        life.asked(now, &Ok((taken[which] > 0).then_some(tracked)));
                    }
                    Next::Send(due) if due <= now => {
                        if matches!(gate.passage(now), Passage::Closed(_)) || life.begin(now) != Begin::Give {
                            continue;
                        }
                        asked += 1;
                        let answer = if second < 3600 { down.clone() } else { OK };
                        taken[which] += i32::from(answer.is_ok());
                        life.sent(now, &answer);
                        alarms.extend(gate.heard(now, &which.to_string(), &answer));
                        done = second;
                    }
                    _ => {}
                }
            }
        }
        assert!(taken.iter().all(|count| *count == 1), "{down:?}: {taken:?}");
        assert!(asked - 100 <= 6, "{down:?}: {asked}");
        assert!(done <= 3600 + 3600, "{down:?}: the last was sent at {done}");
        assert_eq!(alarms.len(), 2, "{down:?}: {alarms:?}");
        assert_eq!(alarms[1], Alarm::Opened);
    }
}

/// The gateway said that it had none of this number, and told of the message afterwards: it was answered with thanks, and
/// the message went a second time, or was called failed and cost nothing.
#[test]
fn news_of_a_message_that_waits_again_or_came_too_late_shows_that_it_was_taken() {
    let mut waits = given(&silence());
    waits.asked(at(80), &Ok(None));
    assert_eq!(waits.next(), Next::Send(at(80)));
    let mut late = given(&silence());
    late.asked(at(2 * 24 * 3600), &Ok(None));
    assert!(matches!(late.state, State::Failed { why: Failure::TooLate, .. }));
    let mut forbidden = waits.clone();
    assert!(forbidden.forbid(at(90), "he took his consent back".into()));
    let now = 3 * 24 * 3600;
    for mut life in [waits, late, forbidden] {
        assert!(life.news(at(now), Delivery::Delivered));
        assert_eq!((life.begin(at(now)), life.next()), (Begin::No, Next::Ask(at(now + 60))));
        life.asked(
            at(now + 60),
            &Ok(Some(Tracked { delivery: Delivery::Delivered, cost: Some(Kopecks(180)) })),
        );
        assert!(matches!(life.state, State::Accepted { cost: Some(Kopecks(180)), .. }), "{life:?}");
        assert_eq!(life.next(), Next::Nothing);
    }
    for mut refused in [given(&refused(6)), given(&refused(8))] {
        assert!(!refused.news(at(30), Delivery::Delivered));
    }
}

/// One message with an error that nobody knows stopped all others until it was too late for it.
#[test]
fn an_unknown_error_delays_its_message_and_several_of_them_the_queue() {
    let mut gate = Gate::default();
    for turn in 0..10 {
        assert_eq!(gate.heard(at(turn), "a", &refused(10)), None, "one and the same");
        assert_eq!(gate.heard(at(turn), "b", &refused(0)), None);
        assert_eq!(gate.passage(at(turn)), Passage::Open);
    }
    assert_eq!(gate.heard(at(20), "c", &refused(10)), Some(Alarm::Closed(Trouble::Unexplained)));
    assert_eq!((gate.passage(at(79)), gate.passage(at(80))), (Passage::Closed(at(80)), Passage::One));
    assert_eq!(gate.heard(at(80), "d", &refused(10)), None);
    assert_eq!(gate.passage(at(80)), Passage::Closed(at(380)));
    assert_eq!(gate.heard(at(380), "e", &OK), Some(Alarm::Opened));
    // It begins to count anew, and another trouble is neither over nor longer for it.
    assert_eq!(gate.heard(at(381), "a", &refused(10)), None);
    assert_eq!(gate.heard(at(382), "b", &refused(3)), Some(Alarm::Closed(Trouble::NoMoney)));
    assert_eq!(gate.heard(at(442), "a", &refused(10)), None);
    assert_eq!((gate.passage(at(442)), gate.trouble()), (Passage::One, Some(Trouble::NoMoney)));
    let stored = serde_json::to_string(&gate).unwrap();
    assert_eq!(serde_json::from_str::<Gate>(&stored).unwrap(), gate);
    assert_eq!(
        serde_json::from_str::<Gate>(r#"{"closed":null}"#).unwrap(),
        Gate::default(),
        "as it was stored before"
    );
    let mut life = given(&refused(10));
    let mut pauses = Vec::new();
    while let Next::Send(due) = life.next() {
        pauses.push(seconds(due));
        if life.begin(due) != Begin::Give {
            break;
        }
        life.sent(due, &refused(10));
    }
    assert_eq!(pauses[..4], [80, 380, 1_280, 4_880]);
    assert!(matches!(life.state, State::Failed { why: Failure::TooLate, .. }), "{life:?}");
}

#[test]
fn one_message_tries_a_closed_gate_and_whoever_paid_need_not_wait() {
    let mut gate = Gate::default();
    assert_eq!(gate.heard(at(0), "a", &refused(3)), Some(Alarm::Closed(Trouble::NoMoney)));
    // Those that were on their way when it closed.
    assert_eq!(gate.heard(at(1), "a", &refused(3)), None);
    assert_eq!((gate.passage(at(59)), gate.passage(at(60))), (Passage::Closed(at(60)), Passage::One));
    assert_eq!(gate.heard(at(60), "a", &refused(3)), None);
    assert_eq!(gate.passage(at(61)), Passage::Closed(at(360)));
    gate.try_now(at(100));
    assert_eq!(gate.passage(at(100)), Passage::One);
    assert_eq!(
        gate.heard(at(100), "a", &refused(2)),
        Some(Alarm::Closed(Trouble::Account)),
        "another trouble"
    );
    assert_eq!(gate.passage(at(99)), Passage::One, "the clock was set back");
    assert_eq!(gate.heard(at(160), "a", &refused(7)), Some(Alarm::Opened), "it listens");
    assert_eq!(gate.passage(at(160)), Passage::Open);
    assert!(Trouble::NoMoney.sentence().contains("paid in"));
}

/// What goes wrong around one question.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mishap {
    Fine,
    NeverLeft,
    QuestionLost,
    AnswerLost,
    Refused(u32),
    /// It arrives so much later, in seconds; nobody waits that long for the answer.
    Late(i64),
    DiesBeforeStoring,
    DiesBeforeGiving,
    DiesBeforeTheAnswer,
    DiesBeforeStoringTheAnswer,
}

fn mishap(latest: i64) -> impl Strategy<Value = Mishap> {
    prop_oneof![
        3 => Just(Mishap::Fine),
        1 => Just(Mishap::NeverLeft),
        2 => Just(Mishap::QuestionLost),
        3 => Just(Mishap::AnswerLost),
        2 => prop::sample::select(&[2u32, 3, 4, 9, 77][..]).prop_map(Mishap::Refused),
        2 => (0..latest).prop_map(Mishap::Late),
        1 => Just(Mishap::DiesBeforeStoring),
        1 => Just(Mishap::DiesBeforeGiving),
        1 => Just(Mishap::DiesBeforeTheAnswer),
        1 => Just(Mishap::DiesBeforeStoringTheAnswer),
    ]
}

/// A gateway that may or may not notice a number that it has; everything else of it is plain.
struct Pretend {
    notices: bool,
    taken: u32,
    /// Questions that are still on their way, and when they arrive.
    on_their_way: BTreeMap<i64, u32>,
}

impl Pretend {
    fn until(&mut self, now: i64) {
        while let Some(first) = self.on_their_way.first_entry().filter(|first| *first.key() <= now) {
            for _ in 0..first.remove() {
                let _ = self.takes();
            }
        }
    }

    fn takes(&mut self) -> Sent {
        if self.notices && self.taken > 0 {
            return refused(9);
        }
        self.taken += 1;
        OK
    }
}

/// Lives until nothing is left to do, and says where it ended.
fn lives(notices: bool, mishaps: &[Mishap]) -> Result<(), TestCaseError> {
    let mut gateway = Pretend { notices, taken: 0, on_their_way: BTreeMap::new() };
    let mut mishaps = mishaps.iter().copied();
    let mut now = 0i64;
    let mut disk = Life { until: at(1_000_000_000), ..Life::queued(at(0)) };
    let mut life = disk.clone();
    let dies = |disk: &mut Life, life: &mut Life, now: i64| {
        *life = disk.clone();
        if life.found(at(now)) {
            *disk = life.clone();
        }
    };
    for _ in 0..10_000 {
        gateway.until(now);
        prop_assert!(gateway.taken <= 1, "taken twice");
        match life.next() {
            Next::Nothing | Next::Answer => break,
            Next::Send(due) | Next::Ask(due) if due > at(now) => now = seconds(due),
            Next::Ask(_) => {
                if matches!(life.state, State::Accepted { .. }) {
                    break;
                }
                let tracked = Tracked { delivery: Delivery::Sent, cost: None };
                let answer = match mishaps.next().unwrap_or(Mishap::Fine) {
                    Mishap::Fine | Mishap::Late(_) => Ok((gateway.taken > 0).then_some(tracked)),
                    Mishap::Refused(code) => {
                        Err(GatewayError::Refused { code: Code(code), text: String::new() })
                    }
                    Mishap::NeverLeft | Mishap::QuestionLost | Mishap::AnswerLost => {
                        Err(GatewayError::NoAnswer("lost".into()))
                    }
                    _ => {
                        dies(&mut disk, &mut life, now);
                        continue;
                    }
                };
                life.asked(at(now), &answer);
                disk = life.clone();
            }
            Next::Send(_) => {
                let mishap = mishaps.next().unwrap_or(Mishap::Fine);
                prop_assert_eq!(life.begin(at(now)), Begin::Give);
                if mishap == Mishap::DiesBeforeStoring {
                    dies(&mut disk, &mut life, now);
                    continue;
                }
                disk = life.clone();
                let answer = match mishap {
                    Mishap::DiesBeforeGiving => {
                        dies(&mut disk, &mut life, now);
                        continue;
                    }
                    Mishap::NeverLeft => unreachable(),
                    Mishap::QuestionLost => silence(),
                    Mishap::Refused(code) => refused(code),
                    Mishap::Late(seconds) => {
                        *gateway.on_their_way.entry(now + seconds).or_default() += 1;
                        silence()
                    }
                    Mishap::AnswerLost | Mishap::DiesBeforeTheAnswer => {
                        let _ = gateway.takes();
                        silence()
                    }
                    _ => gateway.takes(),
                };
                now += 3;
                if mishap == Mishap::DiesBeforeTheAnswer {
                    dies(&mut disk, &mut life, now);
                    continue;
                }
                life.sent(at(now), &answer);
                if mishap == Mishap::DiesBeforeStoringTheAnswer {
                    dies(&mut disk, &mut life, now);
                    continue;
                }
                disk = life.clone();
            }
        }
    }
    gateway.until(i64::MAX);
    prop_assert_eq!(gateway.taken, 1, "{:?}", life);
    prop_assert!(matches!(life.state, State::Accepted { .. }), "{:?}", life);
    prop_assert_eq!(life, disk);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// By our own care alone, as long as no question is on its way for longer than we wait before asking.
    #[test]
    fn a_gateway_that_notices_nothing_takes_every_message_once(mishaps in prop::collection::vec(mishap(60), 0..12)) {
        lives(false, &mishaps)?;
    }

    /// However late a question arrives, by the gateway's noticing its number.
    #[test]
    fn a_gateway_that_knows_its_numbers_takes_every_message_once(mishaps in prop::collection::vec(mishap(5_000), 0..12)) {
        lives(true, &mishaps)?;
    }
}
