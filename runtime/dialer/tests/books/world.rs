//! A pretend carrier: decides by the number what becomes of a call, and keeps its own log of which phones rang. The log
//! outlives the crashes of the process that dials.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zvonar_dialer::{
    CallReport, Caller, DialRules, Dialer, Effects, NewLead, NewProject, NotPlaced, Order, Reserved,
    WallClock,
};
use zvonar_ledger::PriceList;
use zvonar_model::{
    AttemptId, Kopecks, LeadId, Millis, Outcome, Phases, PhoneNumber, ProjectId, RecognisedAnswer,
    ScenarioName, SentSms, SystemResult, TalkEnd, TenantId, Transfer, TrunkId, UnixMillis,
};
use zvonar_store::SharedStore;

/// What the carrier saw of one call.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) attempt: AttemptId,
    pub(crate) number: PhoneNumber,
    /// The report that its end gave; `None` as long as the call is up, and for ever when the process died in it.
    pub(crate) report: Option<CallReport>,
}

/// Where in a call the process is made to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Ringing,
    Talking,
    /// The call is over, and nothing of that is stored.
    Over,
}

/// Kills the process at the n-th such moment.
pub(crate) type Killer = Arc<dyn Fn(Moment) + Send + Sync>;

pub(crate) struct Carrier {
    seed: u64,
    log: Arc<Mutex<Vec<Seen>>>,
    kill: Killer,
}

impl Carrier {
    pub(crate) fn new(seed: u64, log: Arc<Mutex<Vec<Seen>>>, kill: Killer) -> Arc<Self> {
        Arc::new(Self { seed, log, kill })
    }

    /// The fate of a number, the same in every run of a seed.
    fn fate(&self, number: &PhoneNumber) -> (Duration, Duration, CallReport) {
        let digits: u64 = number.digits().parse().unwrap();
        let mut dice = StdRng::seed_from_u64(self.seed ^ digits);
        let ringing = Duration::from_millis(dice.random_range(10..3_000));
        let mut report = CallReport::unanswered(UnixMillis(0), Outcome::NoAnswer);
        let mut talk = Duration::ZERO;
        match dice.random_range(0..10) {
            0 => {}
            1 => report.outcome = Outcome::Busy,
            2 => report.outcome = Outcome::of_sip_code(603),
            3 => report.outcome = Outcome::of_sip_code(404),
            4 => report.outcome = Outcome::of_sip_code(503),
            kind => {
                let result = match kind {
                    5 => TalkEnd::System(SystemResult::Machine),
                    6 => TalkEnd::System(SystemResult::NotHeardOut),
                    _ => TalkEnd::Scenario("Согласен".into()),
                };
                report.outcome = Outcome::Answered { result };
                let robot = dice.random_range(1..40_000);
                report.phases.robot = Millis(robot);
                while dice.random_bool(0.3) {
                    let connected = dice.random_bool(0.7);
                    let transfer = Transfer {
                        to_operator: dice.random_bool(0.5),
                        connected,
                        wait: Millis(dice.random_range(0..20_000)),
                        talk: Millis(if connected { dice.random_range(1..90_000) } else { 0 }),
                        ..Transfer::default()
                    };
                    report.phases.wait.0 += transfer.wait.0;
                    report.phases.talk.0 += transfer.talk.0;
                    report.transfers.push(transfer);
                }
                for _ in 0..dice.random_range(0..3) {
                    report.answers.push(RecognisedAnswer::lasting(Millis(dice.random_range(0..40_000))));
                }
                if dice.random_bool(0.2) {
                    report.sms.push(SentSms::priced(dice.random_range(1..4), Kopecks(180)));
                }
                report.effects = Effects {
                    set_fields: [("heard".to_owned(), robot.to_string())].into(),
                    notes: vec!["talked".into()],
                    block: dice.random_bool(0.2).then(|| "asked not to be called".into()),
                    ..Effects::default()
                };
                let Phases { robot, wait, talk: with } = report.phases;
                talk = Duration::from_millis(robot.0 + wait.0 + with.0);
            }
        }
        (ringing, talk, report)
    }
}

/// The wall clock of the pretend world: the runtime's paused one, on a date of 2026.
pub(crate) fn wall_clock() -> WallClock {
    #[expect(clippy::disallowed_methods, reason = "the paused clock of a test")]
    let start = tokio::time::Instant::now();
    Arc::new(move || UnixMillis(1_790_000_000_000).plus(start.elapsed()))
}

#[async_trait]
impl Caller for Carrier {
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl Reserved for &Carrier {
    async fn call(self: Box<Self>, order: Order) -> CallReport {
        let now = |at: Duration| UnixMillis(1_790_000_000_000).plus(at);
        let (ringing, talk, mut report) = self.fate(&order.number);
        let place = {
            let mut log = self.log.lock().unwrap();
            log.push(Seen { attempt: order.attempt.clone(), number: order.number.clone(), report: None });
            log.len() - 1
        };
        (self.kill)(Moment::Ringing);
        tokio::time::sleep(ringing).await;
        if report.outcome.is_answered() {
            (self.kill)(Moment::Talking);
            report.answered_at = Some(now(ringing));
            tokio::time::sleep(talk).await;
        }
        report.ended_at = now(ringing + talk);
        self.log.lock().unwrap()[place].report = Some(report.clone());
        (self.kill)(Moment::Over);
        // A dead process goes no further than this.
        tokio::task::yield_now().await;
        report
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn project() -> ProjectId {
    ProjectId::new("spring").unwrap()
}

pub(crate) fn dialer(store: SharedStore, carrier: Arc<dyn Caller>, seed: u64) -> Dialer {
    Dialer::new(store, Arc::new(PriceList::default()), carrier, wall_clock(), seed)
}

pub(crate) fn number(i: u32) -> PhoneNumber {
    PhoneNumber::parse(&format!("+7900{i:07}")).unwrap()
}

/// A project that calls each number once, at any hour.
pub(crate) fn new_project(project: ProjectId) -> NewProject {
    NewProject {
        title: "Весна".into(),
        calls_per_second: 50,
        rules: DialRules::once(),
        ..NewProject::new(project, ScenarioName::new("hello").unwrap(), TrunkId::new("main").unwrap())
    }
}

pub(crate) async fn make_list(dialer: &Dialer, leads: u32, lines: u32) {
    let tables = dialer.tables(&tenant());
    tables.create_project(NewProject { lines, ..new_project(project()) }, dialer.now()).await.unwrap();
    let leads = (0..leads)
        .map(|i| NewLead {
            lead: LeadId::new(&format!("lead-{i}")).unwrap(),
            numbers: vec![number(i)],
            fields: [("name".to_owned(), format!("Анна {i}"))].into(),
            tags: BTreeSet::new(),
        })
        .collect();
    tables.add_leads(&project(), leads).await.unwrap();
}

/// What a call costs, counted from what the carrier saw, by a formula of its own.
pub(crate) fn naive_price(report: &CallReport) -> i64 {
    if report.answered_at.is_none() {
        return 0;
    }
    let started = |ms: u64| i64::try_from(ms / 1000 + u64::from(!ms.is_multiple_of(1000))).unwrap();
    let mut kopecks = 4 * started(report.phases.robot.0 + report.phases.wait.0);
    for transfer in report.transfers.iter().filter(|transfer| transfer.connected && !transfer.to_operator) {
        kopecks += 3 * started(transfer.talk.0);
    }
    for answer in &report.answers {
        kopecks += if answer.speech.0 == 0 {
            0
        } else if answer.speech.0 <= 15_000 {
            40
        } else {
            80
        };
    }
    for sms in &report.sms {
        kopecks += i64::from(sms.segments) * sms.price.map_or(0, |price| price.0);
    }
    kopecks
}
