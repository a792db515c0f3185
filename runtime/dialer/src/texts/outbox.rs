//! What is to be done about a tenant's messages, and when: no store, no gateway, no clock.
//!
//! [`Worker`](super::worker) asks for the next [`Job`], does it, and tells what came of it. Messages go out in the order
//! in which they were decided, those that are tried again first; a few at once while the gate is open, one alone to see
//! whether a trouble is over: then the one that was refused least, since another may have the trouble in itself.

use std::collections::{BTreeMap, BTreeSet};

use zvonar_gateways::outbox::{Next, Passage};
use zvonar_model::UnixMillis;

use super::TextRules;
use super::rows::{Fate, OutboxRow, Text, TextId};
use crate::Day;

/// Messages that are on their way at once: SMSC refuses more than about a dozen questions of an account.
const SENDING: usize = 4;

/// Questions for statuses at once; one alone while there is trouble.
const ASKING: usize = 2;

/// The most messages that are kept in memory. More stay in the store until there is room.
const KEPT: usize = 50_000;

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Job {
    /// Give it to the gateway, if all else allows it.
    Send(TextId),
    /// Ask what became of it.
    Ask(TextId),
    /// It is of no use any more.
    End(TextId),
}

/// A message about which something is to be done.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) text: Text,
    pub(crate) fate: Fate,
    /// Of the row with its fate.
    pub(crate) revision: u64,
    /// Nothing is done before this moment, for a reason of its own.
    held: Option<UnixMillis>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox {
    rules: TextRules,
    pub(crate) state: OutboxRow,
    open: BTreeMap<TextId, Open>,
    /// By when they are due and when they were decided: those that were given before, and those that were not.
    again: BTreeSet<(UnixMillis, UnixMillis, TextId)>,
    fresh: BTreeSet<(UnixMillis, UnixMillis, TextId)>,
    asks: BTreeSet<(UnixMillis, TextId)>,
    /// Those that wait to be sent, by when they are of no use any more.
    ends: BTreeSet<(UnixMillis, TextId)>,
    sending: BTreeSet<TextId>,
    asking: BTreeSet<TextId>,
    /// Some stayed in the store.
    left_out: bool,
}

impl Outbox {
    pub(crate) fn new(rules: TextRules, state: OutboxRow) -> Self {
        Self {
            rules,
            state,
            open: BTreeMap::new(),
            again: BTreeSet::new(),
            fresh: BTreeSet::new(),
            asks: BTreeSet::new(),
            ends: BTreeSet::new(),
            sending: BTreeSet::new(),
            asking: BTreeSet::new(),
            left_out: false,
        }
    }

    pub(crate) fn get(&self, id: &TextId) -> Option<&Open> {
        self.open.get(id)
    }

    /// Takes a message in, or what is known of it from now on.
    pub(crate) fn put(&mut self, text: Text, fate: Fate, revision: u64) {
        let id = text.id.clone();
        self.unschedule(&id);
        if fate.is_over() {
            self.open.remove(&id);
            return;
        }
        if self.open.len() >= KEPT && !self.open.contains_key(&id) {
            self.left_out = true;
            return;
        }
        self.open.insert(id.clone(), Open { text, fate, revision, held: None });
        self.schedule(&id);
    }

    /// It is no longer ours to do anything about.
    pub(crate) fn forget(&mut self, id: &TextId) {
        self.unschedule(id);
        self.open.remove(id);
    }

    /// Whether the store has messages for which there is room now.
    pub(crate) fn wants_more(&mut self) -> bool {
        let wants = self.left_out && self.open.len() < KEPT / 2;
        self.left_out &= !wants;
        wants
    }

    /// It is not tried before this moment.
    pub(crate) fn hold(&mut self, id: &TextId, until: UnixMillis) {
        self.unschedule(id);
        if let Some(open) = self.open.get_mut(id) {
            open.held = Some(until);
        }
        self.schedule(id);
    }

    /// The job is over, whatever came of it.
    pub(crate) fn landed(&mut self, id: &TextId) {
        self.sending.remove(id);
        self.asking.remove(id);
        self.unschedule(id);
        self.schedule(id);
    }

    /// The next thing to do now. It is being done until [`Outbox::landed`].
    pub(crate) fn next(&mut self, now: UnixMillis) -> Option<Job> {
        if let Some((_, id)) = self.ends.first().filter(|(until, _)| *until <= now).cloned() {
            self.begin(&id, true);
            return Some(Job::End(id));
        }
        if self.asking.len() < self.asks_at_once()
            && self.state.gate.questions_wait(now).is_none()
            && let Some((_, id)) = self.asks.first().filter(|(due, _)| *due <= now).cloned()
        {
            self.begin(&id, false);
            return Some(Job::Ask(id));
        }
        if !self.may_send(now) {
            return None;
        }
        let due = |waiting: &BTreeSet<(UnixMillis, UnixMillis, TextId)>| {
            waiting.first().filter(|(due, ..)| *due <= now).map(|(.., id)| id.clone())
        };
        let fresh = || self.allowed(now).is_ok().then(|| due(&self.fresh)).flatten();
        let id = match self.state.gate.passage(now) {
            Passage::One => {
                let again = self.again.iter().take_while(|(due, ..)| *due <= now).map(|(.., id)| id.clone());
                let tries = |id: &TextId| self.open.get(id).map_or(u32::MAX, |open| open.fate.life.tries);
                again.chain(fresh()).min_by_key(tries)
            }
            Passage::Open | Passage::Closed(_) => due(&self.again).or_else(fresh),
        }?;
        self.begin(&id, true);
        Some(Job::Send(id))
    }

    /// When [`Outbox::next`] may have something, unless something happens before.
    pub(crate) fn wake(&self, now: UnixMillis) -> Option<UnixMillis> {
        let ends = self.ends.first().map(|(until, _)| *until);
        let asks = self.asks.first().map(|(due, _)| *due).filter(|_| self.asking.len() < self.asks_at_once());
        let asks = asks.map(|due| self.state.gate.questions_wait(now).map_or(due, |until| due.max(until)));
        let gate = match self.state.gate.passage(now) {
            Passage::Closed(until) => Some(until),
            Passage::One if !self.sending.is_empty() => None,
            Passage::Open if self.sending.len() >= SENDING => None,
            Passage::One | Passage::Open => Some(now),
        };
        let again = self.again.first().zip(gate).map(|((due, ..), gate)| (*due).max(gate));
        let limit = self.allowed(now).err().unwrap_or(now);
        let fresh = self.fresh.first().zip(gate).map(|((due, ..), gate)| (*due).max(gate).max(limit));
        [ends, asks, again, fresh].into_iter().flatten().min()
    }

    /// The state once a message that was never given before has left.
    pub(crate) fn counted(&self, now: UnixMillis, number: u32) -> OutboxRow {
        let (minute, day) = (minute(now), Day::of(now));
        let (in_minute, in_day) = self.left(now);
        OutboxRow {
            gate: self.state.gate.clone(),
            minute: (minute, in_minute + 1),
            day: Some((day, in_day + 1)),
            highest: self.state.highest.max(number),
        }
    }

    /// Whether one that was begun may still go: the gate may have closed since, and lets one alone try it.
    pub(crate) fn may_go_on(&self, now: UnixMillis) -> bool {
        match self.state.gate.passage(now) {
            Passage::Open => true,
            Passage::One => self.sending.len() <= 1,
            Passage::Closed(_) => false,
        }
    }

    /// Whether the tenant's limits let one more go; if not, until when they do not.
    pub(crate) fn allowed(&self, now: UnixMillis) -> Result<(), UnixMillis> {
        let (in_minute, in_day) = self.left(now);
        if in_day >= self.rules.per_day {
            return Err(Day::of(now).next_morning());
        }
        if in_minute >= self.rules.per_minute {
            return Err(UnixMillis((minute(now) + 1) * MINUTE_MS));
        }
        Ok(())
    }

    /// How many have left in this minute, and on this day.
    fn left(&self, now: UnixMillis) -> (u32, u32) {
        let (of_minute, in_minute) = self.state.minute;
        let in_day = self.state.day.filter(|(of, _)| *of == Day::of(now)).map_or(0, |(_, count)| count);
        (if of_minute == minute(now) { in_minute } else { 0 }, in_day)
    }

    fn may_send(&self, now: UnixMillis) -> bool {
        match self.state.gate.passage(now) {
            Passage::Open => self.sending.len() < SENDING,
            Passage::One => self.sending.is_empty(),
            Passage::Closed(_) => false,
        }
    }

    fn asks_at_once(&self) -> usize {
        if self.state.gate.trouble().is_some() { 1 } else { ASKING }
    }

    fn begin(&mut self, id: &TextId, sends: bool) {
        self.unschedule(id);
        let at = if sends { &mut self.sending } else { &mut self.asking };
        at.insert(id.clone());
    }

    fn schedule(&mut self, id: &TextId) {
        let Some(open) = self.open.get(id) else { return };
        if self.sending.contains(id) || self.asking.contains(id) {
            return;
        }
        let held = open.held.unwrap_or(UnixMillis(0));
        match open.fate.life.next() {
            Next::Send(due) => {
                let entry = (due.max(held), open.text.decided_at, id.clone());
                self.ends.insert((open.fate.life.until, id.clone()));
                let waiting = if open.fate.number.is_some() { &mut self.again } else { &mut self.fresh };
                waiting.insert(entry);
            }
            Next::Ask(due) => drop(self.asks.insert((due.max(held), id.clone()))),
            Next::Answer | Next::Nothing => {}
        }
    }

    fn unschedule(&mut self, id: &TextId) {
        let Some(open) = self.open.get(id) else { return };
        let held = open.held.unwrap_or(UnixMillis(0));
        match open.fate.life.next() {
            Next::Send(due) => {
                let entry = (due.max(held), open.text.decided_at, id.clone());
                self.again.remove(&entry);
                self.fresh.remove(&entry);
                self.ends.remove(&(open.fate.life.until, id.clone()));
            }
            Next::Ask(due) => drop(self.asks.remove(&(due.max(held), id.clone()))),
            Next::Answer | Next::Nothing => {}
        }
    }
}

const MINUTE_MS: i64 = 60_000;

fn minute(now: UnixMillis) -> i64 {
    now.0.div_euclid(MINUTE_MS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zvonar_gateways::outbox::{Begin, State};
    use zvonar_gateways::smsc::Code;
    use zvonar_gateways::{Accepted, GatewayError, SmsId};
    use zvonar_model::{AttemptId, Kopecks, PhoneNumber};

    use super::*;

    fn at(seconds: i64) -> UnixMillis {
        // Noon in Moscow, at the beginning of a minute.
        UnixMillis(1_772_442_000_000 + seconds * 1_000)
    }

    fn id(which: u32) -> TextId {
        TextId { attempt: AttemptId::new("a").unwrap(), ordinal: which }
    }

    fn outbox(rules: TextRules, texts: u32) -> Outbox {
        let mut outbox = Outbox::new(rules, OutboxRow::default());
        for which in 1..=texts {
            let text = Text {
                id: id(which),
                project: None,
                lead: None,
                to: PhoneNumber::parse("+79001234567").unwrap(),
                text: "x".into(),
                segments: 1,
                decided_at: at(0).plus(Duration::from_millis(which.into())),
                until: at(24 * 3_600),
            };
            let fate = Fate::begun(&text);
            outbox.put(text, fate, 1);
        }
        outbox
    }

    /// Gives it, and tells what the gateway says.
    fn gives(outbox: &mut Outbox, now: UnixMillis, which: &TextId, answer: Result<Accepted, GatewayError>) {
        let open = outbox.get(which).unwrap().clone();
        let mut fate = open.fate;
        assert_eq!(fate.life.begin(now), Begin::Give);
        if fate.number.replace(SmsId::new(which.ordinal).unwrap()).is_none() {
            outbox.state = outbox.counted(now, 1);
        }
        fate.life.sent(now, &answer);
        let _ = outbox.state.gate.heard(now, &which.to_string(), &answer);
        outbox.put(open.text, fate, 2);
        outbox.landed(which);
    }

    fn accepted() -> Result<Accepted, GatewayError> {
        Ok(Accepted { parts: Some(1), cost: Some(Kopecks(180)), balance: None })
    }

    #[test]
    fn messages_go_out_in_the_order_of_their_decisions_four_at_once() {
        let mut outbox = outbox(TextRules::default(), 6);
        for which in 1..=4 {
            assert_eq!(outbox.next(at(1)), Some(Job::Send(id(which))));
        }
        assert_eq!((outbox.next(at(1)), outbox.wake(at(1))), (None, Some(at(24 * 3_600))));
        gives(&mut outbox, at(1), &id(2), accepted());
        assert_eq!(outbox.next(at(1)), Some(Job::Send(id(5))));
        // What became of it is asked a minute later, beside all else.
        assert_eq!(outbox.next(at(60)), None);
        assert_eq!(outbox.next(at(61)), Some(Job::Ask(id(2))));
    }

    #[test]
    fn one_alone_tries_whether_a_trouble_is_over() {
        let mut outbox = outbox(TextRules::default(), 3);
        assert_eq!(outbox.next(at(1)), Some(Job::Send(id(1))));
        let empty = Err(GatewayError::Refused { code: Code(3), text: String::new() });
        gives(&mut outbox, at(1), &id(1), empty);
        assert_eq!((outbox.next(at(60)), outbox.wake(at(60))), (None, Some(at(61))));
        // The one that was given before goes first.
        assert_eq!(outbox.next(at(61)), Some(Job::Send(id(1))));
        assert_eq!(outbox.next(at(61)), None, "no other before its answer");
        gives(&mut outbox, at(61), &id(1), accepted());
        assert_eq!(outbox.next(at(61)), Some(Job::Send(id(2))));
        assert_eq!(outbox.next(at(61)), Some(Job::Send(id(3))));
    }

    /// The one that was refused most went first whenever the gate was tried, and kept it closed for all.
    #[test]
    fn the_one_that_was_refused_least_tries_whether_a_trouble_is_over() {
        let mut outbox = outbox(TextRules::default(), 5);
        let strange = || Err(GatewayError::Refused { code: Code(10), text: String::new() });
        for which in 1..=3 {
            assert_eq!(outbox.next(at(1)), Some(Job::Send(id(which))));
            gives(&mut outbox, at(1), &id(which), strange());
        }
        assert_eq!(outbox.next(at(60)), None, "three of them are too many");
        assert_eq!(outbox.next(at(61)), Some(Job::Send(id(4))), "and not one of the three again");
        gives(&mut outbox, at(61), &id(4), accepted());
        let rest: Vec<_> = std::iter::from_fn(|| outbox.next(at(62))).collect();
        assert_eq!(rest, [1, 2, 3, 5].map(|which| Job::Send(id(which))));
    }

    #[test]
    fn limits_hold_messages_until_the_next_minute_or_day_and_do_not_count_one_twice() {
        let rules = TextRules { per_minute: 2, per_day: 3, ..TextRules::default() };
        let mut outbox = outbox(rules, 5);
        for which in 1..=2 {
            assert_eq!(outbox.next(at(1)), Some(Job::Send(id(which))));
            gives(&mut outbox, at(1), &id(which), accepted());
        }
        assert_eq!((outbox.next(at(59)), outbox.wake(at(59))), (None, Some(at(60))));
        assert_eq!(outbox.next(at(60)), Some(Job::Send(id(3))));
        gives(&mut outbox, at(60), &id(3), Err(GatewayError::Refused { code: Code(4), text: String::new() }));
        // The third is tried again, and the fourth waits for the next day.
        let third =
            std::iter::from_fn(|| outbox.next(at(120))).filter(|job| *job == Job::Send(id(3))).count();
        assert_eq!(third, 1);
        gives(&mut outbox, at(120), &id(3), accepted());
        let midnight = at(12 * 3_600);
        assert!(std::iter::from_fn(|| outbox.next(at(11 * 3_600))).all(|job| matches!(job, Job::Ask(_))));
        for which in [1, 2, 3] {
            outbox.landed(&id(which));
        }
        assert!(
            std::iter::from_fn(|| outbox.next(midnight)).any(|job| job == Job::Send(id(4))),
            "a new day in Moscow"
        );
    }

    #[test]
    fn what_is_held_is_ended_when_it_is_of_no_use_any_more() {
        let rules = TextRules { per_day: 0, ..TextRules::default() };
        let mut outbox = outbox(rules, 1);
        assert_eq!(outbox.next(at(1)), None);
        outbox.hold(&id(1), at(30 * 3_600));
        let last = at(24 * 3_600);
        assert_eq!(outbox.next(at(24 * 3_600 - 1)), None);
        assert_eq!(outbox.next(last), Some(Job::End(id(1))));
        let mut open = outbox.get(&id(1)).unwrap().clone();
        assert_eq!(open.fate.life.begin(last), Begin::TooLate);
        assert!(matches!(open.fate.life.state, State::Failed { .. }));
        outbox.put(open.text, open.fate, 2);
        outbox.landed(&id(1));
        assert_eq!((outbox.next(last), outbox.wake(last)), (None, None));
        assert!(outbox.get(&id(1)).is_none());
    }
}
