//! Text messages: calls decide them, a pretend SMSC takes them, and processes die in between. Whatever happens, the stand
//! has each message once at most, and what it took is charged once.

mod account;
mod crashes;
mod hours;
mod manners;
mod money;
mod news;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use zvonar_campaign::Register;
use zvonar_dialer::{
    CallReport, Caller, Dialer, Effects, NotPlaced, Order, Post, Prepaid, Reserved, Tables, TextDecision,
    TextInfo, TextOffice, TextRules, TextStatus, Texts, WallClock, Whose,
};
use zvonar_gateways::smsc::{Account, Secret};
use zvonar_gateways::stand::{Direct, Stand, StandSettings, Taken};
use zvonar_ledger::PriceList;
use zvonar_model::{AttemptId, Kopecks, Millis, Outcome, Phases, SystemResult, UnixMillis};
use zvonar_scenario::ports::Sms;
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{MemoryStore, SharedStore};

use crate::world::{make_list, number, project, tenant};

/// What a call decides: after how many milliseconds, to whom, what.
pub(crate) type Script = Arc<dyn Fn(&Order) -> Vec<(u64, Option<String>, String)> + Send + Sync>;

/// Noon in Moscow on a day of 2026.
const NOON: i64 = 1_790_586_000_000;

/// What outlives processes.
pub(crate) struct World {
    seed: u64,
    pub(crate) store: SharedStore,
    pub(crate) stand: Arc<Mutex<Stand>>,
    pub(crate) rules: TextRules,
    pub(crate) prepaid: Option<Prepaid>,
    pub(crate) script: Script,
    /// How long each call takes.
    pub(crate) talk: Duration,
    /// The time at which the next process begins.
    now: Arc<AtomicI64>,
    processes: u64,
    /// What calls that came to their end had decided.
    said: Arc<Mutex<Vec<(AttemptId, Vec<TextDecision>)>>>,
}

/// One run of the program.
pub(crate) struct Process {
    pub(crate) dialer: Dialer,
    pub(crate) tables: Tables,
    pub(crate) gateway: Arc<Direct>,
    pub(crate) texts: Texts,
    pub(crate) post: Post,
    pub(crate) commits: Arc<FaultStore>,
    stop: watch::Sender<bool>,
}

pub(crate) fn account() -> Account {
    Account::Login { login: "zvonar".into(), password: Secret::new("слово").unwrap() }
}

/// The word that the stand signs its news with.
pub(crate) fn secret() -> Secret {
    Secret::new("подпись").unwrap()
}

/// A message of its own in every call.
fn one_each() -> Script {
    Arc::new(|order| vec![(500, None, format!("Ждём вас, {}", order.attempt))])
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let settings = StandSettings {
            account: Some(account()),
            balance: Kopecks(1_000_000),
            secret: Some(secret()),
            ..StandSettings::default()
        };
        Self {
            seed,
            store: Arc::new(MemoryStore::new()),
            stand: Arc::new(Mutex::new(Stand::new(settings))),
            rules: TextRules { account: account().identity(), ..TextRules::default() },
            prepaid: None,
            script: one_each(),
            talk: Duration::from_secs(2),
            now: Arc::new(AtomicI64::new(NOON)),
            processes: 0,
            said: Arc::default(),
        }
    }

    /// Lives one process, which dies by these faults or comes to the end of its work.
    pub(crate) fn process<T>(
        &mut self,
        faults: Vec<(u64, Fault)>,
        work: impl AsyncFnOnce(&Process) -> T,
    ) -> Option<T> {
        self.processes += 1;
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(self.processes);
        let runtime = crate::runtime();
        let came_to = runtime.block_on(async {
            let store = FaultStore::new(self.store.clone(), faults);
            #[expect(clippy::disallowed_methods, reason = "the paused clock of a test")]
            let begun = tokio::time::Instant::now();
            let base = self.now.load(Ordering::SeqCst);
            let clock: WallClock = Arc::new(move || UnixMillis(base).plus(begun.elapsed()));
            let office = TextOffice::new(self.rules.clone(), Register::sample(), clock.clone());
            let caller = Talker {
                post: office.post(),
                script: self.script.clone(),
                talk: self.talk,
                clock: clock.clone(),
                said: self.said.clone(),
            };
            let prices = Arc::new(PriceList::default());
            let mut dialer = Dialer::new(store.clone(), prices, Arc::new(caller), clock.clone(), seed);
            if let Some(prepaid) = self.prepaid {
                dialer = dialer.with_prepaid(tenant(), prepaid);
            }
            let gateway = Arc::new(Direct::new(self.stand.clone(), account(), clock.clone()));
            let mut texts = Texts::default();
            texts.add(tenant(), &office, Some(secret()));
            let post = office.post();
            let (stop, stopped) = watch::channel(false);
            let life = async {
                dialer.recover(&tenant()).await.unwrap();
                let keeper = tokio::spawn(office.keep(dialer.clone(), tenant(), gateway.clone(), stopped));
                let tables = dialer.tables(&tenant());
                let commits = store.clone();
                let process = Process { dialer, tables, gateway, texts, post, commits, stop };
                let came_to = work(&process).await;
                process.stop.send_replace(true);
                keeper.await.unwrap().unwrap();
                came_to
            };
            let came_to = tokio::select! {
                biased;
                () = store.crashed() => None,
                came_to = life => Some(came_to),
            };
            self.now.store(clock().0, Ordering::SeqCst);
            came_to
        });
        // Whatever was on its way dies here.
        drop(runtime);
        came_to
    }

    /// Looks at the store when nobody runs.
    pub(crate) fn look<T>(&self, work: impl AsyncFnOnce(&Tables) -> T) -> T {
        crate::runtime().block_on(async {
            let prices = Arc::new(PriceList::default());
            work(&Tables::new(self.store.clone(), prices, tenant())).await
        })
    }

    /// The list of so many people, without calling anybody.
    pub(crate) fn list(&mut self, leads: u32, lines: u32) {
        self.process(Vec::new(), async |process| make_list(&process.dialer, leads, lines).await);
    }

    /// What the stand has taken, by number.
    pub(crate) fn taken(&self) -> BTreeMap<u32, Taken> {
        self.stand.lock().unwrap().taken().map(|taken| (taken.id, taken.clone())).collect()
    }
}

impl Process {
    /// Dials the list to its end.
    pub(crate) async fn dial(&self) {
        let (_tell, stop) = watch::channel(false);
        self.dialer.run(&tenant(), &project(), None, stop).await.unwrap();
    }

    /// All messages.
    pub(crate) async fn all(&self) -> Vec<TextInfo> {
        all(&self.tables).await
    }

    /// Waits until all is known of all messages, for some days at most.
    pub(crate) async fn settled(&self) {
        for _ in 0..5_000 {
            if self.all().await.iter().all(is_settled) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        panic!("it does not come to an end: {:#?}", self.all().await);
    }
}

pub(crate) async fn all(tables: &Tables) -> Vec<TextInfo> {
    let (mut found, mut above) = (Vec::new(), Some(0));
    while let Some(place) = above {
        let page = tables.text_page(place, 100, UnixMillis(i64::MAX)).await.unwrap();
        found.extend(page.texts);
        above = page.next;
    }
    found
}

fn is_settled(info: &TextInfo) -> bool {
    use TextStatus::{Delivered, Expired, Failed, Read, Rejected, Undelivered};
    match info.status() {
        Delivered | Read | Expired | Undelivered | Rejected => info.fate.charged.is_some(),
        status => status == Failed,
    }
}

/// Picks up, decides what its script says, and hangs up.
struct Talker {
    post: Post,
    script: Script,
    talk: Duration,
    clock: WallClock,
    said: Arc<Mutex<Vec<(AttemptId, Vec<TextDecision>)>>>,
}

#[async_trait]
impl Caller for Talker {
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl Reserved for &Talker {
    async fn call(self: Box<Self>, order: Order) -> CallReport {
        let answered_at = (self.clock)();
        let whose = Whose {
            attempt: order.attempt.clone(),
            project: order.project.clone(),
            lead: order.lead.clone(),
        };
        let mut texts = self.post.of_call(whose, order.number.reveal());
        let decided = texts.decided();
        let mut left = self.talk;
        for (after, to, text) in (self.script)(&order) {
            let after = Duration::from_millis(after).min(left);
            left -= after;
            tokio::time::sleep(after).await;
            texts.send(to.as_deref(), &text).unwrap();
        }
        tokio::time::sleep(left).await;
        let mut report = CallReport::unanswered((self.clock)(), Outcome::answered(SystemResult::Connected));
        report.answered_at = Some(answered_at);
        report.phases = Phases { robot: Millis::from(self.talk), ..Phases::default() };
        report.effects = Effects { texts: decided.all(), ..Effects::default() };
        self.said.lock().unwrap().push((order.attempt, decided.all()));
        report
    }
}

/// What must hold once all is known, whatever happened on the way.
pub(crate) fn facts(world: &World, case: &str) -> u64 {
    let taken = world.taken();
    // A decision has words of its own here: whoever has the same words has the same message.
    let words: BTreeSet<_> = taken.values().map(|taken| (&taken.phone, &taken.text)).collect();
    assert_eq!(words.len(), taken.len(), "{case}: the stand has a message twice");
    // Nor was any offered that the stand had: not having it twice is not the stand's merit alone. What it did not take the
    // first time may be offered again, and is not among these.
    let again: Vec<_> = taken.values().filter(|taken| taken.offered_again > 0).collect();
    assert!(again.is_empty(), "{case}: given again without being asked for: {again:?}");
    world.look(async |tables| {
        let infos = all(tables).await;
        let mut numbers = BTreeSet::new();
        let mut charged = 0;
        for info in &infos {
            assert!(is_settled(info), "{case}: {info:?}");
            let found = info.fate.number.and_then(|number| taken.get(&number.get()));
            if let Some(number) = info.fate.number {
                assert!(numbers.insert(number.get()), "{case}: {number} was given twice");
            }
            let id = &info.text.id;
            let charge = tables.text_charge(id).await.unwrap().map(|charge| charge.total);
            match found {
                Some(taken) => {
                    assert_eq!(
                        (taken.text.as_str(), taken.phone.as_str()),
                        (info.text.text.as_str(), info.text.to.digits())
                    );
                    assert_ne!(info.status(), TextStatus::Failed, "{case}: {info:?}");
                    assert_eq!((charge, info.fate.charged), (Some(taken.cost), Some(taken.cost)), "{case}");
                    charged += taken.cost.0;
                }
                None => {
                    assert_eq!((info.status(), charge), (TextStatus::Failed, None), "{case}: {info:?}");
                }
            }
        }
        assert!(taken.keys().all(|number| numbers.contains(number)), "{case}: a message that nobody decided");
        // What was decided in calls that came to their end is there, each once.
        let said = world.said.lock().unwrap().clone();
        for (attempt, decisions) in &said {
            let Some(record) = tables.record(attempt).await.unwrap() else { continue };
            let stored = tables.texts_of(attempt).await.unwrap();
            let told: Vec<_> = record.sms.iter().map(|sms| sms.id.clone()).collect();
            let ids: Vec<_> = stored.iter().map(|info| info.text.id.to_string()).collect();
            assert_eq!(told, ids, "{case}: the record of {attempt}");
            assert!(stored.len() <= decisions.len(), "{case}");
            for (info, decision) in stored.iter().zip(decisions) {
                assert_eq!(
                    (&info.text.text, info.text.id.ordinal),
                    (&decision.text, decision.ordinal),
                    "{case}"
                );
            }
        }
        // Three ways to the same sum.
        let verified = tables.verify().await.unwrap();
        assert!(verified.is_sound(), "{case}: {:?}", verified.faults);
        assert_eq!((verified.texts, verified.texts_in_doubt), (infos.len() as u64, 0), "{case}");
        assert_eq!(verified.texts_unpriced, 0, "{case}");
        let report = tables.project_report(&Default::default()).await.unwrap();
        assert_eq!((report.texts.texts, report.texts.kopecks.0), (taken.len() as u64, charged), "{case}");
        let balance = tables.balance().await.unwrap();
        assert_eq!(balance.spent.0, report.calls.kopecks.0 + charged, "{case}");
        infos.len() as u64
    })
}

#[test]
fn a_call_of_21_seconds_with_a_message_of_two_parts_costs_444_kopecks() {
    let mut world = World::new(1);
    world.talk = Duration::from_secs(21);
    world.script = Arc::new(|_| vec![(9_000, None, "Ж".repeat(71))]);
    world.list(1, 1);
    let row = world.process(Vec::new(), async |process| {
        process.dial().await;
        process.settled().await;
        process.tables.report(&project()).await.unwrap().rows.remove(0)
    });
    let row = row.unwrap();
    assert_eq!((row.robot_seconds, row.kopecks, row.lines_sum), (21, Kopecks(444), Kopecks(444)));
    let [text] = &row.texts[..] else { panic!("{row:?}") };
    assert_eq!((text.segments, text.kopecks, text.status), (2, Some(Kopecks(360)), TextStatus::Delivered));
    facts(&world, "E1");
    world.look(async |tables| {
        let calls = tables.call_page(&Default::default(), false, Default::default(), None, 10).await.unwrap();
        assert_eq!((calls.calls[0].kopecks, calls.calls[0].texts), (Kopecks(444), 1));
        let line = tables.text_charge(&text.id).await.unwrap().unwrap().lines.remove(0);
        assert_eq!((line.quantity, line.unit_price), (2, Kopecks(180)));
        let report = tables.project_report(&Default::default()).await.unwrap();
        assert_eq!(
            (report.calls.kopecks, report.texts.kopecks, report.texts.segments),
            (Kopecks(84), Kopecks(360), 2)
        );
        let steps = tables.record(&row.attempt).await.unwrap().unwrap().sms;
        assert_eq!((steps[0].segments, steps[0].price), (2, None));
    });
    assert_eq!(number(0).digits(), world.taken()[&1].phone);
}
