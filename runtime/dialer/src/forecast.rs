//! A project rehearsed before anybody is called: the same rules, the same run, the same price list, with callees by chance
//! and a clock that jumps.
//!
//! [`forecast`] must run where time is paused (a runtime that was started paused): then a week of dialling takes seconds.
//! Nothing here opens a socket or reads the time of the machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use tokio::sync::watch;
use zvonar_campaign::ConsentRule;
use zvonar_ledger::PriceList;
use zvonar_model::{Kopecks, Millis, Outcome, Phases, SystemResult, TenantId, UnixMillis};
use zvonar_store::MemoryStore;

use crate::{
    CallReport, Caller, Counts, Dialer, NewLead, NewProject, NotPlaced, Order, Policy, Reserved, Result,
    WallClock,
};

/// How the pretend people behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callees {
    /// Percent of the calls that find the line engaged.
    pub busy: u8,
    /// Percent that nobody picks up.
    pub no_answer: u8,
    /// Percent that are declined.
    pub rejected: u8,
    /// Percent that a machine answers.
    pub machine: u8,
    /// Percent of the numbers that do not exist. The same number always fares so.
    pub unknown: u8,
    /// How long a talk with a person lasts, at least and at most.
    pub talk: (Duration, Duration),
    /// How long a telephone rings before somebody picks up, at least and at most.
    pub ringing: (Duration, Duration),
    /// What chance is made of: the same seed gives the same forecast.
    pub seed: u64,
}

impl Default for Callees {
    fn default() -> Self {
        Self {
            busy: 10,
            no_answer: 30,
            rejected: 5,
            machine: 20,
            unknown: 2,
            talk: (Duration::from_secs(5), Duration::from_secs(60)),
            ringing: (Duration::from_secs(4), Duration::from_secs(20)),
            seed: 1,
        }
    }
}

/// How long a machine costs before it is recognised and dropped.
const MACHINE: Duration = Duration::from_millis(3_400);

/// What an hour of the dialling would bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct HourOfDialling {
    /// Calls that begin in it.
    pub calls: u64,
    /// Of those, the answered.
    pub answered: u64,
    /// The most calls at once.
    pub most_lines: u32,
}

/// What a project would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// When the dialling begins and when its last call ends.
    pub from: UnixMillis,
    /// See `from`.
    pub to: UnixMillis,
    /// Leads, how many are reached, attempts, and what they cost.
    pub counts: Counts,
    /// Leads that are not finished within the time that was given.
    pub open: u64,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// Attempts by their results, as the reports name them.
    pub results: BTreeMap<String, u64>,
    /// By the hour: hours since 1970; those without a call are left out.
    pub hours: BTreeMap<u64, HourOfDialling>,
}

/// Rehearses a project. `start`: the pretend time of day at which it begins; `longest`: when to give up. Where consents
/// are required, everybody is taken to have given one; nobody is taken to have been called before.
///
/// # Errors
/// Those of a run: a project that could not be dialled in earnest cannot be rehearsed either.
pub async fn forecast(
    mut project: NewProject,
    leads: Vec<NewLead>,
    prices: Arc<PriceList>,
    policy: Policy,
    callees: Callees,
    start: UnixMillis,
    longest: Duration,
) -> Result<Forecast> {
    let clock = pretend_clock(start);
    let exchange = Arc::new(Exchange { callees, clock: clock.clone(), seen: Mutex::default() });
    let store = Arc::new(MemoryStore::default());
    let seed = exchange.callees.seed;
    let dialer = Dialer::new(store, prices, exchange.clone(), clock.clone(), seed).with_policy(policy);
    project.rules.consent = ConsentRule::NotRequired;
    let tenant = TenantId::new("rehearsal").expect("a good id");
    let tables = dialer.tables(&tenant);
    let id = project.project.clone();
    tables.create_project(project, start).await?;
    tables.add_leads(&id, leads).await?;
    let (stop, stopped) = watch::channel(false);
    let run = dialer.run(&tenant, &id, None, stopped);
    let give_up = async {
        tokio::time::sleep(longest).await;
        stop.send_replace(true);
        std::future::pending::<()>().await;
    };
    let finished = tokio::select! {
        finished = run => finished?,
        () = give_up => unreachable!("it only tells the run to stop"),
    };
    let balance = tables.balance().await?;
    let seen = std::mem::take(&mut *exchange.seen.lock().unwrap_or_else(PoisonError::into_inner));
    let mut counts = finished.counts;
    counts.spent = balance.spent;
    Ok(Forecast {
        from: start,
        to: seen.last,
        open: counts.leads - counts.finished,
        counts,
        robot_seconds: seen.robot_seconds,
        results: seen.results,
        hours: seen.hours,
    })
}

/// What the pretend exchange has seen.
#[derive(Debug)]
struct Seen {
    last: UnixMillis,
    up: u32,
    robot_seconds: u64,
    results: BTreeMap<String, u64>,
    hours: BTreeMap<u64, HourOfDialling>,
}

impl Default for Seen {
    fn default() -> Self {
        let (results, hours) = (BTreeMap::new(), BTreeMap::new());
        Self { last: UnixMillis(0), up: 0, robot_seconds: 0, results, hours }
    }
}

/// The pretend telephones.
struct Exchange {
    callees: Callees,
    clock: WallClock,
    seen: Mutex<Seen>,
}

impl Exchange {
    /// What becomes of a call: how long it rings, and its report.
    fn fate(&self, order: &Order) -> (Duration, CallReport) {
        let callees = &self.callees;
        let digits: u64 = order.number.digits().parse().unwrap_or(0);
        // Whether a number exists is the number's; all else is each call's own.
        // Spread wide: seeds that differ in a low bit would only swap neighbouring numbers.
        let seed = callees.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ digits;
        let mut of_number = StdRng::seed_from_u64(seed);
        let mut dice = StdRng::seed_from_u64(seed ^ (u64::from(order.attempt_number) << 40));
        let now = (self.clock)();
        let unanswered = |outcome| CallReport::unanswered(now, outcome);
        if of_number.random_range(0..100) < callees.unknown {
            return (Duration::from_secs(1), unanswered(Outcome::NoSuchNumber));
        }
        let (quick, slow) = callees.ringing;
        let ringing = dice.random_range(quick..=slow.max(quick)).min(order.ring);
        let mut lot = dice.random_range(0..100u8);
        let mut is = |percent: u8| {
            let hit = lot < percent;
            lot = lot.saturating_sub(percent);
            hit
        };
        if is(callees.busy) {
            return (Duration::from_secs(1), unanswered(Outcome::Busy));
        }
        if is(callees.no_answer) {
            return (order.ring, unanswered(Outcome::NoAnswer));
        }
        if is(callees.rejected) {
            return (ringing, unanswered(Outcome::Rejected));
        }
        let machine = is(callees.machine);
        let (least, most) = callees.talk;
        let talk = if machine { MACHINE } else { dice.random_range(least..=most.max(least)) };
        let result = if machine { SystemResult::Machine } else { SystemResult::Connected };
        let report = CallReport {
            answered_at: Some(now.plus(ringing)),
            phases: Phases { robot: Millis::from(talk), ..Phases::default() },
            machine,
            ..unanswered(Outcome::answered(result))
        };
        (ringing, report)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Caller for Exchange {
    async fn reserve(&self, _: &Order) -> std::result::Result<Box<dyn Reserved + '_>, NotPlaced> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl Reserved for &Exchange {
    async fn call(self: Box<Self>, order: Order) -> CallReport {
        let (ringing, mut report) = self.fate(&order);
        let begun = (self.clock)();
        {
            let mut seen = self.seen();
            seen.up += 1;
            let up = seen.up;
            let hour = u64::try_from(begun.0 / 3_600_000).unwrap_or(0);
            let row = seen.hours.entry(hour).or_default();
            row.calls += 1;
            row.answered += u64::from(report.answered_at.is_some());
            row.most_lines = row.most_lines.max(up);
        }
        tokio::time::sleep(ringing + Duration::from(report.phases.robot)).await;
        report.ended_at = (self.clock)();
        let mut seen = self.seen();
        seen.up -= 1;
        seen.last = seen.last.max(report.ended_at);
        seen.robot_seconds += report.phases.robot.seconds_up();
        *seen.results.entry(report.outcome.title().to_owned()).or_default() += 1;
        report
    }
}

/// The paused clock of the runtime, on a date.
fn pretend_clock(start: UnixMillis) -> WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the paused clock of a rehearsal, which is no time of the machine"
    )]
    let zero = tokio::time::Instant::now();
    Arc::new(move || start.plus(zero.elapsed()))
}

impl Forecast {
    /// From the first call to the end of the last.
    pub fn length(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.to.0 - self.from.0).unwrap_or(0))
    }

    /// What a lead that is reached costs; `None` when nobody is.
    pub fn per_reached(&self) -> Option<Kopecks> {
        let reached = i64::try_from(self.counts.reached).ok().filter(|reached| *reached > 0)?;
        Some(Kopecks(self.counts.spent.0 / reached))
    }
}
