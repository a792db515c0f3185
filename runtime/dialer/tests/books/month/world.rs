//! The projects and their leads, the telephones, and the clock on the wall.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zvonar_campaign::{RetryRule, RetryRules};
use zvonar_dialer::{
    CallReport, Caller, DialRules, Dialer, NewLead, NewProject, NotPlaced, Order, Reserved, Tables, WallClock,
};
use zvonar_model::{
    AttemptId, LeadId, Millis, Outcome, Phases, PhoneNumber, ProjectId, ScenarioName, SystemResult, TenantId,
    TrunkId, UnixMillis,
};

use super::Size;

/// 2026-02-16 00:00 in Moscow, a Monday: the month has 23 February and 8 March in it.
pub(crate) const START: i64 = 1_771_189_200_000;
const DAYS: u64 = 31;

/// The zones of Russia and how many hours they are ahead of UTC; none of them has summer time.
pub(crate) const ZONES: [(&str, i64); 11] = [
    ("Europe/Kaliningrad", 2),
    ("Europe/Moscow", 3),
    ("Europe/Samara", 4),
    ("Asia/Yekaterinburg", 5),
    ("Asia/Omsk", 6),
    ("Asia/Novosibirsk", 7),
    ("Asia/Irkutsk", 8),
    ("Asia/Yakutsk", 9),
    ("Asia/Vladivostok", 10),
    ("Asia/Magadan", 11),
    ("Asia/Kamchatka", 12),
];

/// Calling hours as the oracle knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hours {
    Any,
    /// Every day 9 to 21.
    RuDefault,
    /// Workdays 8 to 22, weekends and holidays 9 to 20.
    Fz230,
    /// Monday to Friday 10 to 18.
    Office,
    /// Monday to Saturday 22:00 to 2:00 of the next day.
    Night,
}

impl Hours {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::RuDefault => "ru-default",
            Self::Fz230 => "fz230",
            Self::Office => "mon-fri 10:00-18:00",
            Self::Night => "mon-sat 22:00-2:00",
        }
    }
}

/// How often one number may be called by all of a tenant's projects; `None`: no cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Most {
    pub(crate) day: Option<u32>,
    pub(crate) week: Option<u32>,
    pub(crate) month: Option<u32>,
}

/// What people do while the month goes on.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// The second part of a list comes.
    Add,
    Pause,
    Start,
}

/// A project as it was planned.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) tenant: TenantId,
    pub(crate) id: ProjectId,
    pub(crate) hours: Hours,
    pub(crate) rules: RetryRules,
    pub(crate) lines: u32,
    pub(crate) leads: Vec<Person>,
    /// So many of the leads are there at the beginning.
    pub(crate) early: usize,
    /// What is done to it, and when.
    pub(crate) deeds: Vec<(UnixMillis, Deed)>,
}

/// A lead as it was planned.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: LeadId,
    pub(crate) numbers: Vec<PhoneNumber>,
    /// An index of [`ZONES`].
    pub(crate) zone: usize,
}

/// The month as it was planned.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) tenants: Vec<(TenantId, Most)>,
    pub(crate) projects: Vec<Project>,
}

impl Plan {
    pub(crate) fn new(size: Size, seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let tenants: Vec<(TenantId, Most)> = (0..size.tenants)
            .map(|i| {
                let most = match i % 3 {
                    0 => Most::default(),
                    1 => Most { day: Some(1), week: Some(2), month: None },
                    _ => Most { day: Some(2), week: None, month: Some(dice.random_range(2..5)) },
                };
                (TenantId::new(&format!("tenant-{i}")).unwrap(), most)
            })
            .collect();
        let mut projects = Vec::new();
        let mut next = 0_u32;
        for (tenant, _) in &tenants {
            // Some people are on several lists of a tenant.
            let mut known: Vec<Person> = Vec::new();
            for at in 0..size.projects {
                let hours = [Hours::Any, Hours::RuDefault, Hours::Fz230, Hours::Office, Hours::Night];
                let hours = hours[dice.random_range(0..hours.len())];
                let mut rule = |most: u32| RetryRule {
                    limit: dice.random_range(1..=most),
                    interval: Duration::from_secs(60 * dice.random_range(5..=1_500)),
                };
                let rules = RetryRules {
                    no_answer: rule(3),
                    busy: rule(3),
                    rejected: rule(2),
                    system: rule(3),
                    machine: rule(2),
                    max_calls: 2,
                };
                let rules = RetryRules { max_calls: dice.random_range(1..=3), ..rules };
                let leads: Vec<Person> = (0..size.leads)
                    .map(|i| {
                        let id = LeadId::new(&format!("lead-{i}")).unwrap();
                        if !known.is_empty() && dice.random_bool(0.1) {
                            let other = known[dice.random_range(0..known.len())].clone();
                            return Person { id, ..other };
                        }
                        let count = [1, 1, 1, 2, 2, 3][dice.random_range(0..6)];
                        let numbers = (0..count).map(|_| {
                            next += 1;
                            PhoneNumber::parse(&format!("+79{:09}", u64::from(next) * 977 % 1_000_000_000))
                                .unwrap()
                        });
                        let numbers = numbers.collect();
                        Person { id, numbers, zone: dice.random_range(0..ZONES.len()) }
                    })
                    .collect();
                known.extend(leads.iter().step_by(7).cloned());
                let early = leads.len() - leads.len() / 20;
                let day = |day: u64| UnixMillis(START).plus(Duration::from_secs(day * 24 * 3600));
                let mut deeds = Vec::new();
                let added = day(0).plus(Duration::from_secs(dice.random_range(3_600..10 * 24 * 3600)));
                deeds.push((added, Deed::Add));
                if dice.random_bool(0.4) {
                    let paused = day(0).plus(Duration::from_secs(dice.random_range(600..4 * 24 * 3600)));
                    deeds.push((paused, Deed::Pause));
                    let hours = dice.random_range(1..40);
                    deeds.push((paused.plus(Duration::from_secs(hours * 3600)), Deed::Start));
                }
                // A project that was done before it got its second part is started again for it.
                deeds.push((day(11), Deed::Start));
                deeds.sort_by_key(|(at, _)| *at);
                projects.push(Project {
                    tenant: tenant.clone(),
                    id: ProjectId::new(&format!("project-{at}")).unwrap(),
                    hours,
                    rules,
                    lines: dice.random_range(size.leads / 200..=size.leads / 40).max(2),
                    leads,
                    early,
                    deeds,
                });
            }
        }
        Self { tenants, projects }
    }

    /// Puts the month's projects and leads into the store.
    pub(crate) async fn store(&self, dialer: &Dialer) {
        for project in &self.projects {
            let tables = dialer.tables(&project.tenant);
            let (scenario, trunk) = (ScenarioName::new("hello").unwrap(), TrunkId::new("main").unwrap());
            let new = NewProject {
                lines: project.lines,
                calls_per_second: 20,
                rules: DialRules {
                    retry: project.rules,
                    hours: project.hours.text().into(),
                    zone: "Europe/Moscow".into(),
                    ..DialRules::default()
                },
                ..NewProject::new(project.id.clone(), scenario, trunk)
            };
            tables.create_project(new, dialer.now()).await.unwrap();
            project.add(&tables, 0..project.early).await;
            tables.start_project(&project.id, 5, dialer.now()).await.unwrap();
        }
    }
}

impl Project {
    async fn add(&self, tables: &Tables, which: std::ops::Range<usize>) {
        let leads = self.leads[which].iter().map(|person| {
            let (zone, _) = ZONES[person.zone];
            // Who lives in the project's zone need not say so.
            let fields = if zone == "Europe/Moscow" {
                BTreeMap::new()
            } else {
                [("tz".to_owned(), zone.to_owned())].into()
            };
            let (lead, numbers) = (person.id.clone(), person.numbers.clone());
            NewLead { lead, numbers, fields, tags: BTreeSet::new() }
        });
        tables.add_leads(&self.id, leads.collect()).await.unwrap();
    }

    /// Does what people do to the project, each at its time.
    pub(crate) async fn meddle(&self, dialer: &Dialer, wall: &Wall) {
        let tables = dialer.tables(&self.tenant);
        for (at, deed) in &self.deeds {
            let wait = u64::try_from(at.0 - wall.now().0).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            match deed {
                Deed::Add => self.add(&tables, self.early..self.leads.len()).await,
                Deed::Pause => drop(tables.pause_project(&self.id, wall.now()).await.unwrap()),
                Deed::Start => drop(tables.start_project(&self.id, 5, wall.now()).await.unwrap()),
            }
        }
    }
}

/// The paused clock of the runtime, on the month's dates.
#[derive(Clone)]
pub(crate) struct Wall {
    zero: tokio::time::Instant,
}

impl Wall {
    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the paused clock of a test")]
        let zero = tokio::time::Instant::now();
        Self { zero }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(START).plus(self.zero.elapsed())
    }

    pub(crate) fn until_the_end(&self) -> Duration {
        Duration::from_secs(DAYS * 24 * 3600).saturating_sub(self.zero.elapsed())
    }

    pub(crate) fn clock(self) -> WallClock {
        Arc::new(move || self.now())
    }
}

/// What the telephones saw of one call.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) attempt: AttemptId,
    pub(crate) tenant: TenantId,
    pub(crate) project: ProjectId,
    pub(crate) lead: LeadId,
    pub(crate) number: PhoneNumber,
    pub(crate) at: UnixMillis,
    /// How it ended; `None`: the program that called has died.
    pub(crate) end: Option<CallReport>,
}

/// The telephones: what becomes of a call is decided by its number and how often it was called.
pub(crate) struct Exchange {
    wall: Wall,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    log: Vec<Seen>,
    /// By tenant, project and number.
    calls: HashMap<(TenantId, ProjectId, PhoneNumber), u64>,
}

impl Exchange {
    pub(crate) fn new(_plan: Arc<Plan>, wall: Wall, seed: u64) -> Arc<Self> {
        Arc::new(Self { wall, seed, state: Mutex::default() })
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.lock().unwrap().log.len()
    }

    /// Takes what was seen: the month is over.
    pub(crate) fn take_log(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    fn fate(&self, number: &PhoneNumber, call: u64) -> (Duration, CallReport) {
        let digits: u64 = number.digits().parse().unwrap();
        let mut dice =
            StdRng::seed_from_u64(self.seed ^ digits.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (call << 50));
        let mut report = CallReport::unanswered(UnixMillis(0), Outcome::NoAnswer);
        let ringing = Duration::from_millis(dice.random_range(500..30_000));
        let talk = match dice.random_range(0..100) {
            0..35 => 0,
            35..50 => {
                report.outcome = Outcome::Busy;
                0
            }
            50..57 => {
                report.outcome = Outcome::Rejected;
                0
            }
            57..62 => {
                report.outcome = Outcome::of_sip_code(503);
                0
            }
            62..65 => {
                report.outcome = Outcome::NoSuchNumber;
                0
            }
            65..75 => {
                report.outcome = Outcome::answered(SystemResult::Machine);
                report.machine = true;
                dice.random_range(500..5_000)
            }
            _ => {
                report.outcome = Outcome::answered(SystemResult::Connected);
                if dice.random_bool(0.05) {
                    report.effects.block = Some("попросил не звонить".into());
                }
                dice.random_range(1_000..120_000)
            }
        };
        report.phases = Phases { robot: Millis(talk), ..Phases::default() };
        (ringing, report)
    }
}

#[async_trait]
impl Caller for Exchange {
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl Reserved for &Exchange {
    async fn call(self: Box<Self>, order: Order) -> CallReport {
        let at = self.wall.now();
        let project = order.project.expect("projects dial here");
        let (place, (ringing, mut report)) = {
            let mut state = self.state.lock().unwrap();
            let key = (order.tenant.clone(), project.clone(), order.number.clone());
            let call = state.calls.entry(key).or_default();
            *call += 1;
            let fate = self.fate(&order.number, *call);
            state.log.push(Seen {
                attempt: order.attempt,
                tenant: order.tenant,
                project,
                lead: order.lead.expect("projects dial leads"),
                number: order.number,
                at,
                end: None,
            });
            (state.log.len() - 1, fate)
        };
        tokio::time::sleep(ringing).await;
        if report.outcome.is_answered() {
            report.answered_at = Some(self.wall.now());
            tokio::time::sleep(report.phases.robot.into()).await;
        }
        report.ended_at = self.wall.now();
        self.state.lock().unwrap().log[place].end = Some(report.clone());
        report
    }
}
