//! How many attempts a project may start now.
//!
//! [`Pacer`] keeps to the project's lines and calls a second and to what its tenant and its trunk have free, and halves
//! the lines as long as the operators' queue grows. [`lines_for_operators`] says how many calls may ring at once so that
//! hardly anybody who picks up finds no operator.
//!
//! Time is measured from any fixed moment; nothing here reads a clock. Who asks too seldom starts less than is allowed,
//! never more.

use std::collections::VecDeque;
use std::time::Duration;

/// Starts are counted in any stretch of this length.
const SECOND: Duration = Duration::from_secs(1);
/// One start, as starts are saved up.
const START: u64 = 1_000_000_000;
/// The least time between two cuts: those who ring now must have come to the queue or gone.
const BETWEEN_CUTS: Duration = Duration::from_secs(10);
/// How long the queue must have been empty before lines come back, and from one step of that to the next.
const BETWEEN_RISES: Duration = Duration::from_secs(10);
/// A rise is this part of all lines, at least one.
const RISE: u32 = 10;

/// What is taken at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Busy {
    /// Attempts of the project in progress.
    pub lines: u32,
    /// Calls that its tenant may begin beside those in progress.
    pub tenant_free: u32,
    /// Lines that its trunk has free.
    pub trunk_free: u32,
}

/// The pace of one project.
#[derive(Debug, Clone)]
pub struct Pacer {
    lines: u32,
    per_second: u32,
    /// The starts of the last second, oldest first.
    starts: VecDeque<Duration>,
    /// Starts that are saved up, in billionths, so that they spread over the second and who asks late makes up for it.
    saved: u64,
    asked: Duration,
    /// The lines that the operators' queue leaves; at most `lines`.
    allowed: u32,
    waiting: u32,
    /// When `allowed` was changed last, or the queue was not empty.
    settled: Option<Duration>,
    cut: Option<Duration>,
}

impl Pacer {
    /// At most so many attempts at once, and so many starts in any second; 0 counts as 1.
    pub fn new(lines: u32, per_second: u32) -> Self {
        let (lines, per_second) = (lines.max(1), per_second.max(1));
        Self {
            lines,
            per_second,
            starts: VecDeque::new(),
            saved: START,
            asked: Duration::ZERO,
            allowed: lines,
            waiting: 0,
            settled: None,
            cut: None,
        }
    }

    /// The project was edited. A cut stays in proportion.
    pub fn set(&mut self, lines: u32, per_second: u32) {
        let lines = lines.max(1);
        let share = u64::from(self.allowed) * u64::from(lines) / u64::from(self.lines);
        self.allowed = u32::try_from(share).unwrap_or(lines).clamp(1, lines);
        (self.lines, self.per_second) = (lines, per_second.max(1));
    }

    /// So many callers wait for an operator now. Tell it every few seconds as long as the scenario transfers to operators.
    pub fn queue(&mut self, now: Duration, waiting: u32) {
        let grows = waiting > self.waiting;
        self.waiting = waiting;
        let since =
            |moment: Option<Duration>| moment.map_or(Duration::MAX, |moment| now.saturating_sub(moment));
        if grows && since(self.cut) >= BETWEEN_CUTS {
            self.allowed = (self.allowed / 2).max(1);
            self.cut = Some(now);
        }
        if waiting > 0 {
            self.settled = Some(now);
        } else if self.allowed < self.lines && since(self.settled) >= BETWEEN_RISES {
            self.allowed = (self.allowed + (self.lines / RISE).max(1)).min(self.lines);
            self.settled = Some(now);
        }
    }

    /// The attempts that the project may have in progress now: its lines, or fewer while operators cannot keep up.
    pub fn allowed(&self) -> u32 {
        self.allowed
    }

    /// How many attempts may start now. Tell those that do to [`Pacer::started`].
    pub fn starts(&mut self, now: Duration, busy: Busy) -> u32 {
        self.forget(now);
        let free = self.allowed.saturating_sub(busy.lines).min(busy.tenant_free).min(busy.trunk_free);
        let second = self.per_second.saturating_sub(u32::try_from(self.starts.len()).unwrap_or(u32::MAX));
        free.min(second).min(u32::try_from(self.saved / START).unwrap_or(u32::MAX))
    }

    /// So many attempts have started.
    pub fn started(&mut self, now: Duration, count: u32) {
        self.forget(now);
        self.saved = self.saved.saturating_sub(u64::from(count) * START);
        self.starts.extend((0..count).map(|_| now));
    }

    /// How long until calls a second allow one more start; zero: now. Lines may still be short then.
    pub fn pause(&self, now: Duration) -> Duration {
        let short = START.saturating_sub(self.saved.saturating_add(self.since_asked(now)));
        let spread = Duration::from_nanos(short.div_ceil(u64::from(self.per_second)));
        match self.starts.len().checked_sub(self.per_second as usize).and_then(|at| self.starts.get(at)) {
            Some(oldest) => spread.max((*oldest + SECOND).saturating_sub(now)),
            None => spread,
        }
    }

    /// What was saved up since somebody asked last.
    fn since_asked(&self, now: Duration) -> u64 {
        let gone = u64::try_from(now.saturating_sub(self.asked).as_nanos()).unwrap_or(u64::MAX);
        gone.saturating_mul(u64::from(self.per_second))
    }

    fn forget(&mut self, now: Duration) {
        // A tenth of a second's starts at once, or one: whoever asks late makes up for that much.
        let most = (u64::from(self.per_second) * START / 10).max(START);
        self.saved = self.saved.saturating_add(self.since_asked(now)).min(most);
        self.asked = self.asked.max(now);
        while self.starts.front().is_some_and(|start| *start + SECOND <= now) {
            self.starts.pop_front();
        }
    }
}

/// The most calls that may ring at once for so many free operators, so that of those who pick up not more than
/// `most_lost` (0.05 is a twentieth) are expected to find nobody. At least one a free operator, at most `most`.
///
/// `answer_rate`: the share of calls that somebody picks up, from the last hour or so. Whoever does not know it passes 1,
/// and nobody is called for whom there is no operator. Calls are taken to be answered independently of each other.
pub fn lines_for_operators(free: u32, answer_rate: f64, most_lost: f64, most: u32) -> u32 {
    // Nobody picks up always or never; the bounds keep the sums below finite.
    let rate = if answer_rate.is_finite() { answer_rate.clamp(0.01, 1.0) } else { 1.0 };
    let lost = if most_lost.is_finite() { most_lost.clamp(0.0, 0.5) } else { 0.0 };
    if free == 0 {
        return 0;
    }
    let mut lines = free.min(most);
    while lines < most && lost_share(lines + 1, free, rate) <= lost {
        lines += 1;
    }
    lines
}

/// The expected share of those who pick up and find no operator, of so many calls.
fn lost_share(lines: u32, free: u32, rate: f64) -> f64 {
    let (calls, operators) = (f64::from(lines), f64::from(free));
    let answered = calls * rate;
    if rate >= 1.0 {
        return (calls - operators).max(0.0) / calls;
    }
    // The answered above `free` are the answered less `free`, and what falls short of it: a sum of few terms. In
    // logarithms, since the chance that nobody of a thousand picks up is less than any number.
    let mut chance = calls * (1.0 - rate).ln();
    let mut short = 0.0;
    for count in 0..free.min(lines + 1) {
        let count = f64::from(count);
        short += (operators - count) * chance.exp();
        chance += ((calls - count) / (count + 1.0)).ln() + (rate / (1.0 - rate)).ln();
    }
    ((answered - operators + short) / answered).max(0.0)
}

/// The calls to operators of late, so that lines follow what really happens.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// Whether each was lost, oldest first.
    last: VecDeque<bool>,
    lost: u32,
    strict: bool,
}

/// How many calls are looked back at.
const LOOKED_AT: usize = 200;

impl Answered {
    /// Somebody picked up, and found an operator or was lost.
    pub fn note(&mut self, lost: bool) {
        self.last.push_back(lost);
        self.lost += u32::from(lost);
        if self.last.len() > LOOKED_AT {
            self.lost -= u32::from(self.last.pop_front() == Some(true));
        }
    }

    /// The share of the lost among the last two hundred.
    pub fn lost_share(&self) -> f64 {
        if self.last.is_empty() { 0.0 } else { f64::from(self.lost) / self.last.len() as f64 }
    }

    /// As [`lines_for_operators`], corrected by what happened: once more than `most_lost` were lost, one call an operator
    /// until the share has fallen to four fifths of that.
    pub fn lines(&mut self, free: u32, answer_rate: f64, most_lost: f64, most: u32) -> u32 {
        let share = self.lost_share();
        // A single lost one of the first few says nothing.
        if self.lost > 1 && share > most_lost {
            self.strict = true;
        } else if share <= most_lost * 0.8 {
            self.strict = false;
        }
        if self.strict { free.min(most) } else { lines_for_operators(free, answer_rate, most_lost, most) }
    }
}

#[cfg(test)]
mod tests;
