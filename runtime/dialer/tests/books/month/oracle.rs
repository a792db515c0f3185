//! What must be true of a month, worked out from what the telephones saw. Nothing of `campaign` or `ledger` is asked here:
//! hours are plain arithmetic on fixed offsets, limits are counted anew for each lead, prices are a formula.

use std::collections::{BTreeMap, BTreeSet};

use zvonar_campaign::{LeadState, RetryRules};
use zvonar_dialer::Dialer;
use zvonar_model::{
    AttemptId, LeadId, Outcome, PhoneNumber, ProjectId, SystemResult, TalkEnd, TenantId, UnixMillis,
};

use super::world::{Hours, Person, Plan, Project, Seen, ZONES};

const DAY_MS: i64 = 24 * 3_600_000;

/// How far apart the start of an attempt in the books and the first sign at the telephone may be.
const MOMENT_MS: i64 = 2_000;

/// What the books say of one attempt.
struct Booked {
    attempt: AttemptId,
    number: PhoneNumber,
    started: i64,
    ended: i64,
    result: Class,
    kopecks: i64,
}

/// What a result means, in the oracle's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Reached,
    NoAnswer,
    Busy,
    Rejected,
    System,
    Machine,
    Never,
}

impl Class {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::NoAnswer => Self::NoAnswer,
            Outcome::Busy => Self::Busy,
            Outcome::Rejected => Self::Rejected,
            Outcome::NoSuchNumber | Outcome::Blacklisted => Self::Never,
            Outcome::SystemError { .. } | Outcome::Unknown { .. } => Self::System,
            Outcome::Answered { result: TalkEnd::System(SystemResult::Machine) } => Self::Machine,
            Outcome::Answered { .. } => Self::Reached,
        }
    }

    fn rule(self, rules: &RetryRules) -> (u32, i64) {
        let rule = match self {
            Self::NoAnswer => rules.no_answer,
            Self::Busy => rules.busy,
            Self::Rejected => rules.rejected,
            Self::System => rules.system,
            Self::Machine => rules.machine,
            Self::Reached | Self::Never => return (1, 0),
        };
        (rule.limit.max(1), rule.interval.as_millis() as i64)
    }
}

/// Holds the books and the telephones against each other and against the rules.
pub(crate) async fn judge(
    dialer: &Dialer,
    plan: &Plan,
    seen: &[Seen],
    deaths: &[UnixMillis],
    end: UnixMillis,
) {
    let mut rang: BTreeMap<(&TenantId, &ProjectId, &LeadId), Vec<&Seen>> = BTreeMap::new();
    let mut attempts = BTreeSet::new();
    for call in seen {
        assert!(attempts.insert(&call.attempt), "attempt {} rang twice", call.attempt);
        rang.entry((&call.tenant, &call.project, &call.lead)).or_default().push(call);
    }
    let mut told = Told::default();
    for tenant in &plan.tenants {
        dialer.recover(tenant).await.unwrap();
        let tables = dialer.tables(tenant);
        let mut books: BTreeMap<(ProjectId, LeadId), Vec<Booked>> = BTreeMap::new();
        let mut records = Vec::new();
        tables.each_record(|record| records.push(record)).await.unwrap();
        let mut spent = 0;
        for record in records {
            let charge = tables.charge(&record.attempt).await.unwrap().expect("every record has its charge");
            // Four kopecks for each started second with the robot, whoever it talked to.
            let due = if record.answered_at.is_some() {
                4 * (record.phases.robot.0.div_ceil(1000) as i64)
            } else {
                0
            };
            assert_eq!(charge.total.0, due, "attempt {}", record.attempt);
            spent += due;
            let of = (record.project.clone().unwrap(), record.lead.clone().unwrap());
            books.entry(of).or_default().push(Booked {
                attempt: record.attempt,
                number: record.number.unwrap(),
                started: record.started_at.0,
                ended: record.ended_at.0,
                result: Class::of(&record.outcome),
                kopecks: due,
            });
        }
        assert_eq!(tables.balance().await.unwrap().spent.0, spent, "the balance of {tenant}");
        let verified = tables.verify().await.unwrap();
        assert!(verified.is_sound(), "{:?}", verified.faults);
        for project in plan.projects.iter().filter(|project| project.tenant == *tenant) {
            let leads = tables.leads(&project.id).await.unwrap();
            assert_eq!(leads.len(), project.leads.len(), "no lead of {} is lost", project.id);
            let states: BTreeMap<&LeadId, &LeadState> =
                leads.iter().map(|lead| (&lead.lead, &lead.progress.state)).collect();
            for person in &project.leads {
                let mut booked = books.remove(&(project.id.clone(), person.id.clone())).unwrap_or_default();
                booked.sort_by_key(|one| (one.started, one.ended));
                let rang = rang.get(&(tenant, &project.id, &person.id)).map_or(&[][..], Vec::as_slice);
                let lead = Lead { project, person, booked: &booked, rang, deaths };
                lead.judge(states[&person.id], end, &mut told);
            }
        }
        assert!(books.is_empty(), "attempts of nobody: {:?}", books.keys());
    }
    eprintln!("{told:?}");
    // A month in which nothing of all this happens would prove nothing.
    assert!(told.reached > 0 && told.unreached > 0 && told.machines > 0 && told.again > 0);
    assert!(deaths.is_empty() || told.cut_off > 0, "no call was cut off by {} deaths", deaths.len());
}

/// What the oracle has counted.
#[derive(Debug, Default)]
struct Told {
    reached: u64,
    unreached: u64,
    /// Not finished at the end, because the next call lies beyond it.
    waiting: u64,
    /// Attempts that came after another one of the same lead.
    again: u64,
    machines: u64,
    cut_off: u64,
    kopecks: i64,
}

struct Lead<'a> {
    project: &'a Project,
    person: &'a Person,
    booked: &'a [Booked],
    rang: &'a [&'a Seen],
    deaths: &'a [UnixMillis],
}

/// What one number has been through.
#[derive(Default, Clone)]
struct Number {
    calls: u32,
    row: Vec<Class>,
    free: i64,
    gone: bool,
}

impl Lead<'_> {
    fn name(&self) -> String {
        format!("{} of {} of {}", self.person.id, self.project.id, self.project.tenant)
    }

    fn judge(&self, state: &LeadState, end: UnixMillis, told: &mut Told) {
        self.telephones_and_books_agree(told);
        let mut numbers = vec![Number::default(); self.person.numbers.len()];
        let (mut last, mut reached, mut before) = (None, false, i64::MIN);
        for one in self.booked {
            let name = self.name();
            assert!(!reached, "{name} was called after somebody had answered");
            assert!(one.started >= before, "{name}: two calls at once");
            before = one.ended;
            told.again += u64::from(last.is_some());
            told.kopecks += one.kopecks;
            told.machines += u64::from(one.result == Class::Machine);
            let turn = next(&numbers, last).unwrap_or_else(|| panic!("{name} was called after all limits"));
            let number = self.person.numbers.iter().position(|number| *number == one.number);
            assert_eq!(number, Some(turn), "{name}: another number's turn");
            assert!(
                one.started >= numbers[turn].free,
                "{name}: called {} ms before the interval was over",
                numbers[turn].free - one.started
            );
            assert!(
                self.open(one.started),
                "{name}: called outside {:?} at {} in {}",
                self.project.hours,
                one.started,
                ZONES[self.person.zone].0
            );
            last = Some(turn);
            let number = &mut numbers[turn];
            number.calls += 1;
            match one.result {
                Class::Reached => reached = true,
                Class::Never => number.gone = true,
                class => {
                    let (limit, interval) = class.rule(&self.project.rules);
                    number.row.push(class);
                    number.free = one.ended + interval;
                    let row = number.row.iter().rev().take_while(|other| **other == class).count();
                    number.gone = number.calls >= self.project.rules.max_calls || row >= limit as usize;
                }
            }
        }
        let name = self.name();
        match (reached, next(&numbers, last)) {
            (true, _) => {
                told.reached += 1;
                assert_eq!(*state, LeadState::Reached, "{name}");
            }
            (false, None) => {
                told.unreached += 1;
                assert_eq!(*state, LeadState::Unreached, "{name}");
            }
            (false, Some(turn)) => {
                told.waiting += 1;
                assert!(matches!(state, LeadState::New | LeadState::Again { .. }), "{name}: {state:?}");
                // Forgotten: it could have been called for two whole days of open windows, and was not.
                let free = numbers[turn].free.max(before);
                let mut opened = 0;
                let mut at = free.max(super::world::START);
                while at < end.0 {
                    opened += i64::from(self.open(at));
                    at += 60_000;
                }
                assert!(opened < 48 * 60, "{name} was forgotten: {opened} open minutes since {free}");
            }
        }
    }

    /// Each call that rang is in the books and the other way round, but for those that a death cut off.
    fn telephones_and_books_agree(&self, told: &mut Told) {
        let name = self.name();
        let booked: BTreeMap<&AttemptId, &Booked> =
            self.booked.iter().map(|one| (&one.attempt, one)).collect();
        for call in self.rang {
            let one = booked.get(&call.attempt).unwrap_or_else(|| panic!("{name}: a call without a record"));
            assert_eq!(one.number, call.number, "{name}");
            assert!(
                (call.at.0 - one.started).abs() <= MOMENT_MS,
                "{name}: started {} rang {}",
                one.started,
                call.at.0
            );
            let end = call.end.as_ref();
            let true_one =
                end.is_some_and(|end| Class::of(&end.outcome) == one.result && end.ended_at.0 == one.ended);
            if !true_one {
                let over = end.map_or(one.ended, |end| end.ended_at.0 + MOMENT_MS);
                let died = self.deaths.iter().any(|death| call.at.0 <= death.0 && death.0 <= over);
                assert!(
                    died && one.result == Class::System && one.kopecks == 0,
                    "{name}: {call:?} is not what the books say"
                );
                told.cut_off += 1;
            }
        }
        let rang: BTreeSet<&AttemptId> = self.rang.iter().map(|call| &call.attempt).collect();
        for one in self.booked.iter().filter(|one| !rang.contains(&one.attempt)) {
            // Stored as started, and dead before the INVITE.
            let died = self.deaths.iter().any(|death| (death.0 - one.started).abs() <= MOMENT_MS);
            assert!(died && one.result == Class::System, "{name}: attempt {} rang nowhere", one.attempt);
            told.cut_off += 1;
        }
    }

    /// Whether the lead may be called at this moment.
    fn open(&self, at: i64) -> bool {
        let local = at + ZONES[self.person.zone].1 * 3_600_000;
        let (day, minute) = (local.div_euclid(DAY_MS), local.rem_euclid(DAY_MS) / 60_000);
        // 1970-01-01 was a Thursday; Monday is 0.
        let weekday = (day + 3).rem_euclid(7);
        let hours = |from: i64, to: i64| (from * 60..to * 60).contains(&minute);
        match self.project.hours {
            Hours::Any => true,
            Hours::RuDefault => hours(9, 21),
            Hours::Fz230 if weekday >= 5 || is_holiday(day) => hours(9, 20),
            Hours::Fz230 => hours(8, 22),
            Hours::Office => weekday < 5 && hours(10, 18),
            // The part after midnight belongs to the evening before.
            Hours::Night => (weekday < 6 && hours(22, 24)) || (weekday != 0 && hours(0, 2)),
        }
    }
}

/// Days since 1970 of 2026-02-23 and 2026-03-08, the holidays of the month.
fn is_holiday(day: i64) -> bool {
    day == 20_507 || day == 20_520
}

/// The next number after the last one that has not left.
fn next(numbers: &[Number], last: Option<usize>) -> Option<usize> {
    let count = numbers.len();
    let first = last.map_or(0, |last| last + 1);
    (first..first + count).map(|place| place % count).find(|place| !numbers[*place].gone)
}
