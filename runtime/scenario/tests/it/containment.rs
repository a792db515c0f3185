//! Whatever a guest does, its session ends with a typed fault and nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use zvonar_model::{SystemResult, TalkEnd};
use zvonar_scenario::{Ending, Fault, Limits, Module, SessionEnd, Spent};

use crate::line::{PretendLine, engine, module, patient, talk, talk_within};

async fn do_deed(deed: &str) -> SessionEnd {
    talk(&module("naughty"), &[("deed", deed)], &PretendLine::new(&[])).await
}

fn spent(end: &SessionEnd) -> (Spent, String) {
    match &end.ending {
        Ending::Faulted(Fault::Limit { spent, place }) => {
            let place = place.as_ref().expect("a limit is spent somewhere");
            (*spent, place.to_string())
        }
        other => panic!("no limit was spent: {other:?}"),
    }
}

#[tokio::test]
async fn each_misdeed_ends_with_its_fault_its_place_and_the_fallback() {
    let mib = 1 << 20;
    for (deed, limit, function) in [
        ("loop", Spent::Cpu(Duration::from_millis(50)), "spin"),
        ("memory", Spent::Memory(32 * mib), "eat_memory"),
        ("recursion", Spent::Stack(512 << 10), "recurse"),
        ("host-calls", Spent::HostCalls(10_000), "flood_host"),
        ("log", Spent::HostCalls(10_000), "flood_log"),
        ("notes", Spent::HostCalls(10_000), "flood_notes"),
        ("large-call", Spent::HostCallBytes(128 << 10), "run"),
        ("sms", Spent::HostCalls(10_000), "flood_sms"),
        // The compiler has put parts of its loop into `run`.
        ("long-texts", Spent::HostCalls(10_000), "rust-naughty"),
        ("zero-asks", Spent::HostCalls(10_000), "ask_without_waiting"),
        ("zero-waits", Spent::HostCalls(10_000), "wait_without_waiting"),
        ("zero-plays", Spent::HostCalls(10_000), "play_nothing"),
        ("refusals", Spent::HostCalls(10_000), "flood_refusals"),
    ] {
        // On a slow machine any of them could use up its CPU before what it is here for.
        let cpu = if deed == "loop" { Limits::default().cpu } else { Duration::from_secs(60) };
        let limits = Limits { cpu, ..Limits::default() };
        let line = PretendLine::new(&[]);
        let end = talk_within(&module("naughty"), &[("deed", deed)], &line, limits).await;
        let (spent, place) = spent(&end);
        assert_eq!(spent, limit, "{deed}");
        assert!(place.contains(function) && place.contains("lib.rs:"), "{deed}: {place}");
        assert!(end.wants_fallback(), "{deed}");
        assert_eq!(end.talk_end(), TalkEnd::System(SystemResult::SystemError), "{deed}");
        let sentence = end.trace.fault.as_deref().unwrap();
        assert!(sentence.starts_with("the scenario spent a limit: "), "{sentence}");
        let bytes = serde_json::to_string(&end.trace).unwrap().len();
        assert!(bytes < 128 << 10, "{deed}: a trace of {bytes} bytes");
    }
}

#[tokio::test]
async fn a_talkative_scenario_keeps_its_first_lines_and_a_count_of_the_rest() {
    // Calls are what stops it here, whatever the machine does.
    let limits = Limits { host_calls: 1_000, cpu: Duration::from_secs(60), ..Limits::default() };
    let end = talk_within(&module("naughty"), &[("deed", "log")], &PretendLine::new(&[]), limits).await;
    assert_eq!(spent(&end).0, Spent::HostCalls(1_000));
    // The first call asked for the deed.
    assert_eq!((end.trace.events.len(), end.trace.dropped), (201, 799));
    let limits = Limits { trace_events: 10, ..limits };
    let end =
        talk_within(&module("naughty"), &[("deed", "host-calls")], &PretendLine::new(&[]), limits).await;
    assert_eq!((end.trace.events.len(), end.trace.dropped), (10, 990));
}

#[tokio::test]
async fn a_panic_and_an_error_are_told_with_their_words() {
    let end = do_deed("panic").await;
    let Ending::Faulted(Fault::Trap { what, place: Some(place) }) = &end.ending else {
        panic!("{:?}", end.ending)
    };
    assert_eq!(what, "wasm trap: wasm `unreachable` instruction executed");
    assert!(place.source.as_ref().unwrap().0.ends_with("rust-naughty/src/lib.rs"), "{place}");
    assert!(end.wants_fallback());

    let end = do_deed("error").await;
    assert_eq!(end.ending, Ending::Failed("I give up".into()));
    assert!(end.wants_fallback());
    assert_eq!(end.trace.fault.as_deref(), Some("the scenario returned an error: I give up"));
}

#[tokio::test]
async fn an_undeclared_result_is_refused_with_the_declared_ones() {
    let end = do_deed("wrong-result").await;
    let words = "the manifest declares no result `Такого нет`; it declares `Хорошо`";
    assert_eq!(end.ending, Ending::Failed(words.into()));
    assert_eq!(end.result, None);
}

#[tokio::test]
async fn what_a_host_cannot_play_is_refused_in_words_and_the_line_stands() {
    let end = do_deed("wrong-asks").await;
    let words = [
        "there is no clip `no-such-clip`: the package has none",
        "this host has no speech synthesis",
        "this host does not read numbers out yet",
        "the package has no clip `digit-1` to spell with",
        "a prompt has at most 64 parts, this one has 65",
    ];
    assert_eq!(end.ending, Ending::Failed(words.join("\n")));
    assert!(!end.line_over);
}

#[tokio::test]
async fn nothing_can_be_spent_on_a_line_that_is_over() {
    let end = do_deed("after-hangup").await;
    assert!(matches!(spent(&end).0, Spent::HostCalls(_) | Spent::Cpu(_)));
    assert!(!end.wants_fallback(), "there is nobody to hear it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_two_seconds_on_a_dead_line_the_instance_is_stopped() {
    // Calls and CPU are not what stops it here, so that time is left.
    let limits = Limits { host_calls: u32::MAX, cpu: Duration::from_secs(60), ..Limits::default() };
    let module = module("naughty");
    let line = PretendLine::new(&[]);
    let clock = crate::line::RealClock::start();
    let ports = zvonar_scenario::Ports {
        line: Box::new(line),
        lead: Box::new(zvonar_scenario::LeadCard::default()),
        sms: Box::new(zvonar_scenario::ports::NoSms),
        clock: Box::new(clock),
        random: Box::new(|| 4),
    };
    let settings = crate::line::settings(&module, &[("deed", "after-hangup")]);
    let start = zvonar_scenario::Start { ports, settings, limits };
    let end = module.run(module.take_seat().unwrap(), start).await;
    assert_eq!(spent(&end).0, Spent::AfterTheCall(Duration::from_secs(2)));
}

/// A guest that computed for 2 ms and waited for 1 ms in turns was never charged: the first tick after each wait was
/// taken for one that had passed during it.
#[tokio::test]
async fn a_moment_of_waiting_does_not_buy_the_whole_budget_again() {
    let end = do_deed("short-waits").await;
    assert_eq!(spent(&end).0, Spent::Cpu(Duration::from_millis(50)));
}

/// A gateway that takes everything.
#[derive(Clone, Default)]
struct Gateway(Arc<std::sync::Mutex<Vec<String>>>);

impl zvonar_scenario::Sms for Gateway {
    fn send(&mut self, _: Option<&str>, text: &str) -> Result<String, zvonar_scenario::ports::SmsError> {
        let mut sent = self.0.lock().unwrap();
        sent.push(text.to_owned());
        Ok(format!("sms-{}", sent.len()))
    }
}

#[tokio::test]
async fn of_a_flood_of_messages_as_many_are_sent_as_one_call_may_send() {
    let (module, gateway) = (module("naughty"), Gateway::default());
    let line = PretendLine::new(&[]);
    let ports = zvonar_scenario::Ports {
        line: Box::new(line.clone()),
        lead: Box::new(zvonar_scenario::LeadCard::default()),
        sms: Box::new(gateway.clone()),
        clock: Box::new(line),
        random: Box::new(|| 4),
    };
    let settings = crate::line::settings(&module, &[("deed", "sms")]);
    let limits = Limits { host_calls: 1_000, sms: 3, cpu: Duration::from_secs(60), ..Limits::default() };
    let end =
        module.run(module.take_seat().unwrap(), zvonar_scenario::Start { ports, settings, limits }).await;
    assert_eq!(spent(&end).0, Spent::HostCalls(1_000));
    assert_eq!(gateway.0.lock().unwrap().len(), 3);
    let told: Vec<&serde_json::Value> = end.trace.events.iter().map(|event| &event.got).collect();
    // The first call asked for the deed.
    assert_eq!(
        told[3..6],
        [&"sms-3".into(), &serde_json::json!({"err": "limit"}), &serde_json::json!({"err": "limit"})]
    );
}

/// A scenario that asked again and again with no time to wait had its CPU time given back by each question, though
/// nobody ever waited: it could keep a thread until its calls were spent.
#[tokio::test]
async fn what_is_answered_at_once_is_computing_and_gives_nothing_back() {
    for deed in ["zero-asks", "zero-waits", "zero-plays", "refusals"] {
        // Calls are not what stops it here.
        let limits = Limits { host_calls: u32::MAX, ..Limits::default() };
        let end = talk_within(&module("naughty"), &[("deed", deed)], &PretendLine::new(&[]), limits).await;
        assert_eq!(spent(&end).0, Spent::Cpu(Duration::from_millis(50)), "{deed}");
    }
}

#[tokio::test]
async fn one_long_text_does_not_take_the_room_of_the_whole_trace() {
    // The CPU time of a slow machine is not what stops it here.
    let limits = Limits { host_calls: 10, cpu: Duration::from_secs(60), ..Limits::default() };
    let end =
        talk_within(&module("naughty"), &[("deed", "long-texts")], &PretendLine::new(&[]), limits).await;
    assert_eq!(spent(&end).0, Spent::HostCalls(10));
    assert_eq!((end.trace.events.len(), end.trace.dropped), (10, 0));
    assert_eq!(end.trace.events[1].given[0].as_str().map(str::len), Some(4096));
}

/// A scenario that computed gave way to those who were ready, but the thread did not look at its timers and sockets
/// until some sixty turns later: neighbours' words came tens of milliseconds late.
#[tokio::test]
async fn timers_are_seen_while_a_guest_computes() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let order = Arc::clone(&order);
        move || order.lock().unwrap().push(what)
    };
    let (session, timer) = (note("the session"), note("the timer"));
    let session = tokio::spawn(async move {
        let end = do_deed("loop").await;
        session();
        end
    });
    let timer = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        timer();
    });
    assert_eq!(spent(&session.await.unwrap()).0, Spent::Cpu(Duration::from_millis(50)));
    timer.await.unwrap();
    assert_eq!(*order.lock().unwrap(), ["the timer", "the session"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_neighbours_finish_beside_every_misdeed() {
    let module = module("naughty");
    let mut neighbours = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let module = Arc::clone(&module);
        neighbours.spawn(async move { patient(&module, &[("deed", "behave")]).await });
    }
    let mut culprits = tokio::task::JoinSet::new();
    for deed in [
        "loop",
        "memory",
        "panic",
        "recursion",
        "host-calls",
        "log",
        "large-call",
        "notes",
        "short-waits",
        "sms",
        "long-texts",
        "zero-asks",
        "zero-waits",
        "zero-plays",
        "refusals",
    ] {
        let module = Arc::clone(&module);
        culprits.spawn(async move { talk(&module, &[("deed", deed)], &PretendLine::new(&[])).await });
    }
    while let Some(end) = culprits.join_next().await {
        assert!(matches!(end.unwrap().ending, Ending::Faulted(_)));
    }
    let mut finished = 0;
    while let Some(end) = neighbours.join_next().await {
        let end = end.unwrap();
        assert_eq!((end.ending, end.result.as_deref()), (Ending::Returned, Some("Хорошо")));
        finished += 1;
    }
    assert_eq!(finished, 50);
}

#[tokio::test]
async fn a_dropped_session_frees_its_seat_and_everything_else() {
    let module = module("bench");
    let (_, taken) = (module.live_sessions(), engine().seats_taken());
    for _ in 0..300 {
        // More often than the pool has places: each one must have come free.
        let module: &Arc<Module> = &module;
        let mut session = Box::pin(patient(module, &[("job", "idle")]));
        let parked = tokio::time::timeout(Duration::from_millis(1), &mut session).await;
        assert!(parked.is_err(), "it waits for its caller");
        drop(session);
    }
    assert_eq!(module.live_sessions(), 0);
    // Other tests of this process may hold seats of their own.
    assert!(engine().seats_taken() <= taken + 100);
}

#[tokio::test]
async fn above_the_pool_there_is_no_seat_and_a_freed_one_is_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = zvonar_scenario::EngineConfig {
        max_sessions: 2,
        ..zvonar_scenario::EngineConfig::new(folder.path().join("compiled"))
    };
    let engine = zvonar_scenario::Engine::new(&config).unwrap();
    let package = zvonar_scenario::Package::open(&crate::line::scenarios().join("menu")).unwrap();
    let module = engine.load(&package).unwrap();
    let (one, two) = (module.take_seat(), module.take_seat());
    assert!(one.is_some() && two.is_some() && module.take_seat().is_none());
    drop(one);
    assert!(module.take_seat().is_some());
    // The pool itself has as many places as there are seats: with both free again, both at once run.
    drop(two);
    let ends = futures_join(&module).await;
    assert!(ends.iter().all(|end| end.ending == Ending::Returned));
}

async fn futures_join(module: &Arc<Module>) -> Vec<SessionEnd> {
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let module = Arc::clone(module);
        set.spawn(async move { talk_within(&module, &[], &PretendLine::new(&[]), Limits::default()).await });
    }
    set.join_all().await
}
