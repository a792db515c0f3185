//! Webhooks: whatever crashes and whoever is down, all that happened is told, and by one name each.

mod names;
mod poison;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::sync::watch;
use zvonar_campaign::ProjectStatus;
use zvonar_dialer::hooks::{DeliveryState, EventKind, Hook, HookName, HookSetup, KEPT};
use zvonar_dialer::operators::Verdict;
use zvonar_dialer::{
    CallReport, Caller, Dialer, DialerError, Inbound, Keep, NewLead, NotPlaced, Order, Reserved, Step,
    Tables, TenantKeys, TextId, TextStatus, TextStep,
};
use zvonar_gateways::webhook::{Courier, Letter, NotTaken};
use zvonar_ledger::PriceList;
use zvonar_model::{
    AttemptId, Kopecks, LeadId, Millis, OperatorId, Outcome, PhoneNumber, RecognisedAnswer, SystemResult,
    Transfer, UnixMillis,
};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{Cursor, Key, MemoryStore, SharedStore, Write};

use crate::world::{Carrier, dialer, make_list, project, tenant, wall_clock};

const LEADS: u32 = 12;

/// What a receiver got: each event's bodies, in the order of their coming.
type Got = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A receiver on paper, which outlives the process that tells it. It takes some time, and some of what comes.
struct Paper {
    got: Got,
    dice: Mutex<StdRng>,
    /// Of a hundred letters, so many are not taken; half of those have come all the same.
    bad: u32,
}

impl Paper {
    fn new(got: &Got, seed: u64, bad: u32) -> Arc<Self> {
        Arc::new(Self { got: got.clone(), dice: Mutex::new(StdRng::seed_from_u64(seed)), bad })
    }
}

#[async_trait]
impl Courier for Paper {
    async fn bring(&self, letter: &Letter<'_>, _: UnixMillis) -> Result<u16, NotTaken> {
        let (time, fails, comes) = {
            let mut dice = self.dice.lock().unwrap();
            (dice.random_range(0..2_000), dice.random_range(0..100) < self.bad, dice.random_bool(0.5))
        };
        tokio::time::sleep(Duration::from_millis(time)).await;
        if !fails || comes {
            self.got.lock().unwrap().push((letter.event.to_owned(), letter.body.to_vec()));
        }
        if fails { Err(NotTaken::NoAnswer("the answer was lost".into())) } else { Ok(200) }
    }
}

fn hook(name: &str, events: &[EventKind]) -> Hook {
    Hook {
        name: name.parse().unwrap(),
        shown_url: "https://example.org/hook".into(),
        events: events.iter().copied().collect(),
        at_once: 4,
        kept: KEPT,
        recordings: Some("https://example.org/recordings/".into()),
    }
}

fn setup(name: &str, courier: Arc<dyn Courier>) -> HookSetup {
    HookSetup { hook: hook(name, &EventKind::ALL), courier }
}

fn name(text: &str) -> HookName {
    text.parse().unwrap()
}

fn tables(store: &SharedStore) -> Tables {
    Tables::new(store.clone(), Arc::new(PriceList::default()), tenant())
}

/// Tells hooks for so long.
async fn keep(tables: &Tables, hooks: Vec<HookSetup>, time: Duration) {
    let (stop, stopped) = watch::channel(false);
    let (kept, ()) = tokio::join!(tables.keep_hooks(hooks, wall_clock(), stopped), async {
        tokio::time::sleep(time).await;
        stop.send_replace(true);
    });
    kept.unwrap();
}

/// The events that a journal makes, worked out from its steps by a formula of its own: by id, what kind.
async fn due(store: &SharedStore) -> BTreeMap<String, &'static str> {
    let (keys, tables) = (TenantKeys::new(&tenant()), tables(store));
    let mut due = BTreeMap::new();
    for item in store.read(keys.shard(), &at(&["step"]), 0, 100_000).await.unwrap() {
        let row: Value = serde_json::from_slice(&item.value).unwrap();
        let (step, revision) = (&row["row"], item.revision);
        let text = |key: &str| step[key].as_str().unwrap().to_owned();
        match step["is"].as_str().unwrap() {
            "attempt" => {
                let attempt = text("attempt");
                let record = tables.record(&AttemptId::new(&attempt).unwrap()).await.unwrap().unwrap();
                due.insert(format!("call_finished-{attempt}"), "call_finished");
                if record.answered_at.is_some() {
                    due.insert(format!("call_result-{attempt}"), "call_result");
                }
                if !record.transfers.is_empty() && record.transfers.iter().all(|one| !one.connected) {
                    due.insert(format!("transfer_lost-{attempt}"), "transfer_lost");
                }
            }
            "state" => {
                due.insert(format!("project_state-{}-{revision}", text("project")), "project_state");
            }
            "text" => {
                due.insert(format!("sms_status-{}-{revision}", text("text")), "sms_status");
            }
            // What was said before the call was over is told with its end.
            "judged" if due.contains_key(&format!("call_finished-{}", text("attempt"))) => {
                due.insert(format!("call_result-{}-{revision}", text("attempt")), "call_result");
            }
            _ => {}
        }
    }
    due
}

fn at(tokens: &[&str]) -> Key {
    tokens.iter().fold(Key::root("acme"), |key, token| key.then(token))
}

async fn below(store: &SharedStore, tokens: &[&str]) -> usize {
    let shard = TenantKeys::new(&tenant()).shard();
    store.scan(shard, &at(tokens), Cursor::start(), 10_000).await.unwrap().items.len()
}

/// What was told is what had to be told: each event at least once, always with the same body, and nothing else.
fn told(got: &Got, due: &BTreeMap<String, &'static str>, case: &str) -> u64 {
    let mut bodies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut again = 0;
    for (event, body) in got.lock().unwrap().iter() {
        let json: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(
            (json["id"].as_str(), json["type"].as_str()),
            (Some(&event[..]), due.get(event).copied()),
            "{case}"
        );
        if let Some(before) = bodies.insert(event.clone(), body.clone()) {
            assert_eq!(&before, body, "{case}: {event} was told in two ways");
            again += 1;
        }
    }
    let (told, due): (BTreeSet<_>, BTreeSet<_>) = (bodies.keys().collect(), due.keys().collect());
    assert_eq!(told, due, "{case}");
    again
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Dials a project to its end under a foreman, so that it is started, called and finished.
async fn dial(dialer: &Dialer) {
    let (_stop, stopped) = watch::channel(false);
    dialer.keep(&tenant(), Keep { once: true, ..Keep::default() }, stopped).await.unwrap();
}

/// A store with a list to be dialled, and hooks that know of nothing yet.
fn begun(seed: u64) -> SharedStore {
    let store: SharedStore = Arc::new(MemoryStore::new());
    runtime().block_on(async {
        let nobody = Carrier::new(seed, Arc::default(), Arc::new(|_| {}));
        make_list(&dialer(store.clone(), nobody, seed), LEADS, 3).await;
        let silent = Paper::new(&Arc::default(), 0, 100);
        keep(
            &tables(&store),
            vec![setup("crm", silent.clone()), setup("log", silent)],
            Duration::from_secs(1),
        )
        .await;
        tables(&store).start_project(&project(), 5, UnixMillis(1_790_000_000_000)).await.unwrap();
    });
    store
}

/// Somebody who sends again whatever he sees, at any moment.
async fn meddle(tables: &Tables, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..5_000))).await;
        let seen = tables.deliveries(&name("crm"), None, 50).await.unwrap();
        if !seen.is_empty() {
            let event = &seen[dice.random_range(0..seen.len())].event.id;
            tables.resend(&name("crm"), event, wall_clock()()).await.unwrap();
        }
    }
}

/// One life of a program that dials the list and tells two hooks, until both are done or it dies. Gives how many commits
/// it sent, if it lived.
fn life(
    store: &SharedStore,
    got: &[Got; 2],
    seed: u64,
    faults: Vec<(u64, Fault)>,
    meddles: bool,
) -> Option<u64> {
    let runtime = runtime();
    let lived = runtime.block_on(async {
        let store = FaultStore::new(store.clone(), faults);
        let shared: SharedStore = store.clone();
        let carrier = Carrier::new(7, Arc::default(), Arc::new(|_| {}));
        let dialer = dialer(shared.clone(), carrier, seed);
        let hooks =
            vec![setup("crm", Paper::new(&got[0], seed, 20)), setup("log", Paper::new(&got[1], seed + 1, 0))];
        let life = async {
            dialer.recover(&tenant()).await.unwrap();
            let tables = dialer.tables(&tenant());
            // Two days are enough for whatever is told again.
            let time = Duration::from_secs(48 * 3600);
            let meddler = async {
                if meddles {
                    meddle(&tables, seed).await;
                }
            };
            tokio::join!(dial(&dialer), keep(&tables, hooks, time), meddler);
            store.commits()
        };
        tokio::select! {
            biased;
            () = store.crashed() => None,
            commits = life => Some(commits),
        }
    });
    drop(runtime);
    lived
}

fn facts(store: &SharedStore, got: &[Got; 2], case: &str) -> u64 {
    runtime().block_on(async {
        let due = due(store).await;
        let kinds: BTreeSet<_> = due.values().copied().collect();
        assert!(due.len() >= LEADS as usize + 2 && kinds.len() >= 2, "{case}: {due:?}");
        for hook in ["crm", "log"] {
            let left =
                (below(store, &["hook", "queue", hook]).await, below(store, &["hook", "try", hook]).await);
            assert_eq!(left, (0, 0), "{case}: nothing waits");
            let over =
                (below(store, &["hook", "done", hook]).await, below(store, &["hook", "lost", hook]).await);
            assert_eq!(over, (due.len(), 0), "{case}: all is delivered");
        }
        assert!(tables(store).verify().await.unwrap().is_sound(), "{case}");
        told(&got[0], &due, case) + told(&got[1], &due, case)
    })
}

#[test]
fn a_crash_before_or_after_any_durable_write_loses_no_event_and_names_each_once() {
    let undisturbed: [Got; 2] = Default::default();
    let store = begun(7);
    let commits = life(&store, &undisturbed, 70, Vec::new(), false).unwrap();
    facts(&store, &undisturbed, "undisturbed");
    assert!(commits > 100, "{commits}");
    let (mut again, mut crashes) = (0, 0);
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for commit in 1..=commits {
            let got: [Got; 2] = Default::default();
            let store = begun(7);
            crashes += u32::from(life(&store, &got, 70, vec![(commit, fault)], false).is_none());
            assert!(life(&store, &got, 71, Vec::new(), false).is_some());
            again += facts(&store, &got, &format!("{fault:?} {commit} of {commits}"));
        }
    }
    // The test is worth nothing if nobody dies, or if nobody dies between the telling and the writing down.
    assert!(crashes > 150 && again > 50, "{crashes} {again}");
}

#[test]
fn storms_of_lost_answers_and_crashes_lose_no_event() {
    for seed in 100..140 {
        let mut dice = StdRng::seed_from_u64(seed);
        let (got, store): ([Got; 2], _) = (Default::default(), begun(seed));
        for turn in 0..4 {
            let mut faults = Vec::new();
            for commit in 1..80 {
                match dice.random_range(0..10) {
                    0 => faults.push((commit, Fault::LostAfter)),
                    1 => faults.push((commit, Fault::LostBefore)),
                    _ => {}
                }
            }
            let end = dice.random_range(1..80);
            faults.push((end, if dice.random_bool(0.5) { Fault::CrashBefore } else { Fault::CrashAfter }));
            life(&store, &got, seed * 10 + turn, faults, true);
        }
        assert!(life(&store, &got, seed * 10 + 9, Vec::new(), true).is_some());
        facts(&store, &got, &format!("seed {seed}"));
    }
}

/// Notes what comes, and takes it only when it is told to.
struct Door {
    came: Mutex<Vec<String>>,
    open: watch::Sender<bool>,
}

impl Door {
    fn new(open: bool) -> Arc<Self> {
        Arc::new(Self { came: Mutex::default(), open: watch::Sender::new(open) })
    }

    fn came(&self) -> Vec<String> {
        std::mem::take(&mut self.came.lock().unwrap())
    }
}

#[async_trait]
impl Courier for Door {
    async fn bring(&self, letter: &Letter<'_>, _: UnixMillis) -> Result<u16, NotTaken> {
        self.came.lock().unwrap().push(letter.event.to_owned());
        let refused = NotTaken::Refused { status: 503, said: "закрыто".into() };
        if *self.open.borrow() { Ok(200) } else { Err(refused) }
    }
}

fn inbound(n: u64, at: i64) -> Inbound {
    Inbound {
        attempt: AttemptId::fresh(UnixMillis(at), n),
        number: "+79161234567".parse().ok(),
        peer: "sip:+79161234567@192.0.2.7".into(),
        trunk: None,
        started_at: UnixMillis(at),
    }
}

async fn call_comes_in(tables: &Tables, n: u64, outcome: Outcome) -> AttemptId {
    let inbound = inbound(n, 1_790_000_000_000);
    let attempt = inbound.attempt.clone();
    let mut report = CallReport::unanswered(UnixMillis(1_790_000_009_500), outcome);
    if report.outcome.is_answered() {
        report.answered_at = Some(UnixMillis(1_790_000_001_000));
        report.phases.robot = Millis(8_500);
        report.recording = Some("a.wav".into());
    }
    tables.settle_inbound(inbound, report).await.unwrap();
    attempt
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_down_holds_up_no_other_and_goes_on_in_order_when_it_is_back() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    let (down, up) = (Door::new(false), Door::new(true));
    let (stop, stopped) = watch::channel(false);
    let hooks = vec![setup("down", down.clone()), setup("up", up.clone())];
    let kept = tokio::spawn({
        let tables = tables.clone();
        async move { tables.keep_hooks(hooks, wall_clock(), stopped).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut events = Vec::new();
    for n in 0..300 {
        events.push(format!("call_finished-{}", call_comes_in(&tables, n, Outcome::Busy).await));
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(up.came(), events, "the other has all of it, in order");
    let down_came = down.came();
    assert!(down_came.len() <= 8, "a shut door is not knocked at by all: {down_came:?}");
    let view = tables.hooks().await.unwrap().remove(0);
    assert_eq!((view.name.as_str(), view.waiting, view.lost, view.delivered), ("down", 300, 0, None));
    assert_eq!(view.why.as_deref(), Some("it answers HTTP 503: «закрыто»"));
    let waiting = tables.deliveries(&name("down"), None, 2).await.unwrap();
    assert_eq!(waiting[0].event.id, events[0]);
    assert_eq!(
        (waiting[0].state, waiting[0].tries, waiting[0].status),
        (DeliveryState::Waiting, 1, Some(503))
    );

    down.open.send_replace(true);
    tokio::time::sleep(Duration::from_secs(3 * 60)).await;
    let came = down.came();
    assert_eq!(came.iter().collect::<BTreeSet<_>>().len(), 300);
    // Whoever failed before goes when he is due; all others in order.
    let fresh: Vec<&String> = came.iter().filter(|event| !down_came.contains(event)).collect();
    assert!(fresh.is_sorted_by_key(|event| events.iter().position(|one| one == *event)));
    let view = tables.hooks().await.unwrap().remove(0);
    assert_eq!((view.waiting, view.failing, view.why), (0, 0, None));
    assert!(view.delivered.is_some());
    stop.send_replace(true);
    kept.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_for_a_day_is_lost_until_it_is_sent_again_by_command() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    let door = Door::new(false);
    let (stop, stopped) = watch::channel(false);
    let (kept_tables, hooks) = (tables.clone(), vec![setup("crm", door.clone())]);
    let kept = tokio::spawn(async move { kept_tables.keep_hooks(hooks, wall_clock(), stopped).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let attempt = call_comes_in(&tables, 1, Outcome::Busy).await;
    let (crm, event) = (name("crm"), format!("call_finished-{attempt}"));
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    assert_eq!(door.came(), vec![event.clone(); 27]);
    let lost = tables.delivery(&crm, &event).await.unwrap();
    assert_eq!((lost.state, lost.tries, lost.status), (DeliveryState::Lost, 27, Some(503)));
    assert_eq!(tables.hooks().await.unwrap()[0].lost, 1);

    // By command: tried again, at once. Somebody who does not want to wait sends it again once more.
    assert_eq!(tables.resend(&crm, &event, wall_clock()()).await.unwrap().state, DeliveryState::Waiting);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(door.came(), vec![event.clone()]);
    door.open.send_replace(true);
    tables.resend(&crm, &event, wall_clock()()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(door.came(), vec![event.clone()]);
    let delivered = tables.delivery(&crm, &event).await.unwrap();
    assert_eq!(
        (delivered.state, delivered.tries, delivered.why.clone()),
        (DeliveryState::Delivered, 1, None)
    );
    assert_eq!(tables.deliveries(&crm, Some(DeliveryState::Delivered), 10).await.unwrap(), [delivered]);
    // What was delivered can be sent again too, and a try-out is a letter like others.
    tables.resend(&crm, &event, wall_clock()()).await.unwrap();
    let test = tables.test_hook(&crm, wall_clock()()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(door.came(), [event.clone(), test.clone()]);
    let last = tables.deliveries(&crm, None, 10).await.unwrap();
    assert_eq!(last.iter().map(|one| &one.event.id).collect::<Vec<_>>(), [&test, &event]);

    assert!(matches!(
        tables.resend(&crm, "call_finished-0", wall_clock()()).await,
        Err(DialerError::NoDelivery(_))
    ));
    assert!(matches!(tables.resend(&name("crn"), &event, wall_clock()()).await, Err(DialerError::NoHook(_))));
    // After a week nobody can look it up any more.
    tokio::time::sleep(KEPT + Duration::from_secs(3600)).await;
    assert_eq!(tables.deliveries(&crm, None, 10).await.unwrap(), []);
    stop.send_replace(true);
    kept.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hook_begins_with_what_happens_from_then_on_and_is_forgotten_when_it_is_gone() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    call_comes_in(&tables, 1, Outcome::Busy).await;
    let (crm, log) = (Door::new(true), Door::new(true));
    let second = Duration::from_secs(1);
    keep(&tables, vec![setup("crm", crm.clone())], second).await;
    assert_eq!(crm.came(), Vec::<String>::new(), "it was before its time");
    // While the host stands still.
    let two = call_comes_in(&tables, 2, Outcome::Busy).await;
    keep(&tables, vec![setup("crm", crm.clone()), setup("log", log.clone())], second).await;
    assert_eq!(crm.came(), [format!("call_finished-{two}")]);
    assert_eq!(log.came(), Vec::<String>::new());
    call_comes_in(&tables, 3, Outcome::Busy).await;
    keep(&tables, vec![setup("log", log.clone())], second).await;
    assert_eq!(log.came().len(), 1);
    assert!(matches!(tables.deliveries(&name("crm"), None, 1).await, Err(DialerError::NoHook(_))));
    assert_eq!(below(&store, &["hook", "done", "crm"]).await, 0);
    keep(&tables, vec![setup("crm", crm.clone()), setup("log", log.clone())], second).await;
    assert_eq!(crm.came(), Vec::<String>::new(), "whoever comes back begins anew");
    assert_eq!(tables.hooks().await.unwrap().len(), 2);
    keep(&tables, Vec::new(), second).await;
    assert_eq!(tables.hooks().await.unwrap(), []);
    assert_eq!(below(&store, &["hook"]).await, 0);
}

/// Writes a step as another part of the host does, in a commit of its own.
async fn write_step(store: &SharedStore, key: Key, step: &Step) {
    let row = format!("{{\"v\":2,\"row\":{}}}", serde_json::to_string(step).unwrap());
    let _ = store.commit(TenantKeys::new(&tenant()).shard(), vec![Write::create(key, row)]).await.unwrap();
}

/// Talks at length with everybody.
struct Talker;

#[async_trait]
impl Caller for Talker {
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl Reserved for &Talker {
    async fn call(self: Box<Self>, _: Order) -> CallReport {
        let mut report =
            CallReport::unanswered(UnixMillis(1_790_000_009_500), Outcome::answered(SystemResult::Connected));
        report.answered_at = Some(UnixMillis(1_790_000_001_000));
        let text = "долго ".repeat(400);
        report.answers = vec![RecognisedAnswer { text, ..RecognisedAnswer::default() }; 20];
        report
    }
}

/// A card as large as one may be, and a talk beside it, are more than the store takes.
#[tokio::test(start_paused = true)]
async fn what_is_too_large_to_be_told_is_left_out_and_the_rest_is_told() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let dialer = dialer(store.clone(), Arc::new(Talker), 5);
    let (tables, got) = (dialer.tables(&tenant()), Got::default());
    make_list(&dialer, 0, 1).await;
    let fields =
        (0..47).map(|n| (format!("field{n}"), "x".repeat(4_000))).chain([("name".into(), "Анна".into())]);
    let anna = NewLead {
        lead: LeadId::new("anna").unwrap(),
        numbers: vec![crate::world::number(1)],
        fields: fields.collect(),
        tags: BTreeSet::new(),
    };
    assert_eq!(tables.add_leads(&project(), vec![anna]).await.unwrap().added, 1);
    let setups = || vec![setup("crm", Paper::new(&got, 0, 0))];
    keep(&tables, setups(), Duration::from_secs(1)).await;
    tables.start_project(&project(), 5, dialer.now()).await.unwrap();
    dial(&dialer).await;
    keep(&tables, setups(), Duration::from_secs(60)).await;
    let due = due(&store).await;
    told(&got, &due, "a large card");
    let events = got.lock().unwrap();
    let (_, body) = events.iter().find(|(id, _)| id.starts_with("call_finished-")).unwrap();
    let event: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(event["left_out"], serde_json::json!(["params", "notes", "contact"]));
    assert_eq!(
        (&event["call"]["lead_id"], &event["call"]["params"]),
        (&"anna".into(), &serde_json::json!({}))
    );
    assert_eq!(event["call"]["answers"].as_array().unwrap().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_project_that_is_paused_twice_is_told_once() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    let door = Door::new(true);
    let states = hook("crm", &[EventKind::ProjectState]);
    let hooks = || vec![HookSetup { hook: states.clone(), courier: door.clone() }];
    keep(&tables, hooks(), Duration::from_secs(1)).await;
    let now = UnixMillis(1_790_000_000_000);
    tables.create_project(crate::world::new_project(project()), now).await.unwrap();
    for _ in 0..2 {
        tables.start_project(&project(), 5, now).await.unwrap();
    }
    for _ in 0..2 {
        let row = tables.pause_project(&project(), now).await.unwrap();
        assert_eq!(row.status, ProjectStatus::Paused);
    }
    call_comes_in(&tables, 1, Outcome::Busy).await;
    keep(&tables, hooks(), Duration::from_secs(1)).await;
    let came = door.came();
    assert_eq!(came.len(), 2, "{came:?}");
    assert!(came.iter().all(|event| event.starts_with("project_state-spring-")), "{came:?}");
}
