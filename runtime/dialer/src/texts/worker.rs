//! The task of a tenant's messages: it does the [`Job`]s of its [`Outbox`], one change of the store at a time.
//!
//! Each change is on the disk before the next thing is done: the intent before a message leaves, the answer before another
//! is tried, the charge in the commit that learns the price. Only questions to the gateway run beside each other. It hears
//! of new messages from the store, whoever has put them there.

mod giving;
mod news;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use zvonar_gateways::outbox::{Alarm, Begin, Next};
use zvonar_gateways::{Accepted, Delivery, Gateway, GatewayError, Price, SmsId, Tracked};
use zvonar_ledger::charge_text;
use zvonar_model::UnixMillis;
use zvonar_store::{BoxStream, Commit, Cursor, Event, Expect, Key, NEWS, Write};

use super::TextRules;
use super::outbox::{Job, Outbox};
use super::rows::{Fate, OutboxRow, Text, TextId, TextStatus, TextStep, reason};
use crate::purse::Held;
use crate::run::told;
use crate::tables::{Read, TRIES, Tables, TenantKeys, encode};
use crate::{Dialer, DialerError, Result};

/// How many numbers are taken at once. Those that a crash leaves over are never given.
const NUMBERS: u32 = 100;

/// A message that nobody can pay for now is looked at again after so long.
const UNPAID: Duration = Duration::from_secs(60);

/// How long answers are waited for when the host stops. What is not answered by then is in doubt after the next start.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// The longest sleep: a clock that is set is noticed by then.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What somebody wants of a worker.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The gateway has told of a message by itself.
    News {
        number: SmsId,
        phone: String,
        /// `None`: it has none of this number any more.
        delivery: Option<Delivery>,
        /// Whether it is one of this tenant's; told once it is stored.
        known: oneshot::Sender<bool>,
    },
}

/// What came back from the gateway.
enum Answer {
    Priced(std::result::Result<Price, GatewayError>),
    Sent(std::result::Result<Accepted, GatewayError>),
    Asked(std::result::Result<Option<Tracked>, GatewayError>),
}

pub(super) struct Worker {
    dialer: Dialer,
    tables: Tables,
    gateway: Arc<dyn Gateway>,
    rules: TextRules,
    outbox: Outbox,
    state_revision: Option<u64>,
    /// Numbers that were taken and not given yet: from, and before.
    numbers: (u32, u32),
    flights: JoinSet<(TextId, Answer)>,
    flying: HashMap<tokio::task::Id, TextId>,
    /// What prepaid messages on their way cost.
    holds: BTreeMap<TextId, Held>,
}

impl Worker {
    pub(super) async fn new(
        dialer: Dialer,
        tables: Tables,
        gateway: Arc<dyn Gateway>,
        rules: TextRules,
    ) -> Result<Self> {
        let state = tables.get::<OutboxRow>(&tables.keys.outbox()).await?;
        let state_revision = state.as_ref().map(|read| read.revision);
        let state = state.map(|read| read.row).unwrap_or_default();
        let outbox = Outbox::new(rules.clone(), state);
        Ok(Self {
            dialer,
            tables,
            gateway,
            rules,
            outbox,
            state_revision,
            numbers: (0, 0),
            flights: JoinSet::new(),
            flying: HashMap::new(),
            holds: BTreeMap::new(),
        })
    }

    pub(super) async fn run(
        mut self,
        wanted: &mut mpsc::Receiver<Wanted>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<()> {
        let mut changes = self.changes().await?;
        self.load_all().await?;
        let mut asked_for = true;
        loop {
            while let Some(job) = self.outbox.next(self.dialer.now()) {
                self.start(job).await?;
            }
            if self.outbox.wants_more() {
                self.load_all().await?;
                continue;
            }
            let sleep = self.sleep();
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                Some(landed) = self.flights.join_next_with_id(), if !self.flights.is_empty() => {
                    self.landed(landed).await?;
                }
                one = wanted.recv(), if asked_for => match one {
                    Some(one) => self.serve(one).await?,
                    None => asked_for = false,
                },
                change = changes.next() => match change {
                    Some(Ok(event)) if event.value.is_some() => self.heard(event).await?,
                    Some(Ok(_)) => {}
                    // Too slow: what was missed is in the store.
                    Some(Err(_)) | None => {
                        changes = self.changes().await?;
                        self.load_all().await?;
                    }
                },
                () = tokio::time::sleep(sleep) => {}
            }
        }
        let last = async {
            while let Some(landed) = self.flights.join_next_with_id().await {
                self.landed(landed).await?;
            }
            Ok(())
        };
        // Nothing is lost with those that take longer: they are asked for after the next start.
        tokio::time::timeout(LAST_ANSWERS, last).await.unwrap_or(Ok(()))
    }

    fn sleep(&self) -> Duration {
        let now = self.dialer.now();
        let until = self.outbox.wake(now).map_or(i64::MAX, |wake| wake.0.saturating_sub(now.0));
        // A moment at least, whatever the wall clock does.
        Duration::from_millis(until.max(1).unsigned_abs()).min(LONGEST_SLEEP)
    }

    /// What changes of the messages, and of the outbox by other hands.
    async fn changes(&self) -> Result<BoxStream<'static, zvonar_store::Result<Event>>> {
        let keys = &self.tables.keys;
        let texts = self.tables.store.watch(keys.shard(), &keys.open_texts(), NEWS).await?;
        let state = self.tables.store.watch(keys.shard(), &keys.outboxes(), NEWS).await?;
        Ok(futures::stream::select(texts, state).boxed())
    }

    /// Takes up what others have stored.
    async fn heard(&mut self, event: Event) -> Result<()> {
        if event.key != self.tables.keys.outbox() {
            return self.load(&event.key).await;
        }
        if self.state_revision.is_none_or(|known| event.revision > known) {
            self.read_state().await?;
        }
        Ok(())
    }

    async fn read_state(&mut self) -> Result<()> {
        if let Some(Read { row, revision }) = self.tables.get::<OutboxRow>(&self.tables.keys.outbox()).await?
        {
            (self.outbox.state, self.state_revision) = (row, Some(revision));
        }
        Ok(())
    }

    /// Takes in all messages about which something is to be done.
    async fn load_all(&mut self) -> Result<()> {
        let open = self.tables.keys.open_texts();
        let mut after = Some(Cursor::start());
        while let Some(place) = after {
            let page = self.tables.store.scan(self.tables.keys.shard(), &open, place, 500).await?;
            for item in &page.items {
                self.load(&item.key).await?;
            }
            after = page.next;
        }
        Ok(())
    }

    /// Takes in a message that is not known yet.
    async fn load(&mut self, key: &Key) -> Result<()> {
        let Some(id) = TenantKeys::text_of(key) else { return Ok(()) };
        if self.outbox.get(&id).is_some() {
            return Ok(());
        }
        let Some((fate, false)) = self.tables.fate(&id).await? else { return Ok(()) };
        let Some(text) = self.tables.get::<Text>(&self.tables.keys.text(&id)).await? else {
            return Ok(());
        };
        self.outbox.put(text.row, fate.row, fate.revision);
        let now = self.dialer.now();
        // Whoever was giving it is dead: this run has nothing on its way that it does not know.
        let Some(open) = self.outbox.get(&id) else { return Ok(()) };
        let mut found = open.fate.clone();
        if found.life.found(now) {
            tracing::warn!(text = %id, "the program ended while a text message was being sent: the gateway is asked");
            self.change(&id, now, found, None, Vec::new()).await?;
        }
        Ok(())
    }

    async fn start(&mut self, job: Job) -> Result<()> {
        match job {
            Job::Ask(id) => {
                let known = self.outbox.get(&id).map(|open| (open.fate.number, open.text.to.clone()));
                // What is asked for was given, and had its number before.
                let Some((Some(number), to)) = known else {
                    self.outbox.landed(&id);
                    return Ok(());
                };
                let gateway = Arc::clone(&self.gateway);
                self.fly(id, async move { Answer::Asked(gateway.status(number, &to).await) });
                Ok(())
            }
            Job::End(id) => {
                let now = self.dialer.now();
                if let Some(open) = self.outbox.get(&id) {
                    let mut fate = open.fate.clone();
                    if fate.life.begin(now) == Begin::TooLate {
                        self.change(&id, now, fate, None, Vec::new()).await?;
                    }
                }
                self.outbox.landed(&id);
                Ok(())
            }
            Job::Send(id) => {
                let flies = self.send(&id).await?;
                if !flies {
                    self.outbox.landed(&id);
                }
                Ok(())
            }
        }
    }

    fn fly(&mut self, id: TextId, question: impl Future<Output = Answer> + Send + 'static) {
        let named = id.clone();
        let task = self.flights.spawn(async move { (named, question.await) });
        self.flying.insert(task.id(), id);
    }

    async fn landed(
        &mut self,
        landed: std::result::Result<(tokio::task::Id, (TextId, Answer)), tokio::task::JoinError>,
    ) -> Result<()> {
        let (task, answer) = match landed {
            Ok((task, (_, answer))) => (task, Some(answer)),
            Err(bug) => {
                tracing::error!(%bug, "a bug stopped a question to the gateway of text messages");
                (bug.id(), None)
            }
        };
        let Some(id) = self.flying.remove(&task) else { return Ok(()) };
        match answer {
            Some(Answer::Priced(price)) => {
                // It flies on, if it can be paid.
                if self.priced(&id, price).await? {
                    return Ok(());
                }
            }
            Some(Answer::Sent(answer)) => self.sent(&id, &answer).await?,
            Some(Answer::Asked(answer)) => self.asked(&id, &answer).await?,
            None => self.lost(&id).await?,
        }
        self.outbox.landed(&id);
        Ok(())
    }

    /// Tells the gate alone, and stores what it makes of it.
    async fn hear(
        &mut self,
        now: UnixMillis,
        id: &TextId,
        answer: &std::result::Result<Accepted, GatewayError>,
    ) -> Result<()> {
        let mut state = self.outbox.state.clone();
        self.alarm(state.gate.heard(now, &id.to_string(), answer));
        if state != self.outbox.state {
            self.store_state(state).await?;
        }
        Ok(())
    }

    async fn store_state(&mut self, state: OutboxRow) -> Result<()> {
        match self.tables.commit(vec![self.state_write(&state)], 0).await? {
            Commit::Done(revisions) => {
                self.state_revision = revisions.first().copied();
                self.outbox.state = state;
                Ok(())
            }
            // Somebody has just said that it is over: that counts.
            Commit::Conflict => self.read_state().await,
        }
    }

    fn alarm(&self, alarm: Option<Alarm>) {
        let tenant = self.tables.tenant();
        match alarm {
            Some(Alarm::Closed(trouble)) => tracing::error!(%tenant, "{}", trouble.sentence()),
            Some(Alarm::Opened) => tracing::warn!(%tenant, "text messages go out again"),
            None => {}
        }
    }

    async fn sent(
        &mut self,
        id: &TextId,
        answer: &std::result::Result<Accepted, GatewayError>,
    ) -> Result<()> {
        // An answer comes once: it is stored whoever else changes the outbox at that moment.
        for _ in 0..TRIES {
            let now = self.dialer.now();
            let mut state = self.outbox.state.clone();
            let alarm = state.gate.heard(now, &id.to_string(), answer);
            let state = Some(state).filter(|state| *state != self.outbox.state);
            // News may have been quicker than the answer, and all is told.
            let known = self.outbox.get(id).filter(|open| !open.fate.is_over()).map(|open| open.fate.clone());
            let Some(mut fate) = known else {
                self.alarm(alarm);
                return match state {
                    Some(state) => self.store_state(state).await,
                    None => Ok(()),
                };
            };
            fate.life.sent(now, answer);
            if self.change(id, now, fate, state, Vec::new()).await? {
                self.alarm(alarm);
                return Ok(());
            }
        }
        Err(DialerError::Contended(self.tables.keys.open_text(id)))
    }

    async fn asked(
        &mut self,
        id: &TextId,
        answer: &std::result::Result<Option<Tracked>, GatewayError>,
    ) -> Result<()> {
        let now = self.dialer.now();
        if let Some(open) = self.outbox.get(id) {
            let mut fate = open.fate.clone();
            fate.life.asked(now, answer);
            let mut state = self.outbox.state.clone();
            let alarm = state.gate.asked(now, answer);
            let state = Some(state).filter(|state| *state != self.outbox.state);
            if self.change(id, now, fate, state, Vec::new()).await? {
                self.alarm(alarm);
            }
        }
        Ok(())
    }

    /// Nobody knows what became of a question.
    async fn lost(&mut self, id: &TextId) -> Result<()> {
        let now = self.dialer.now();
        if let Some(open) = self.outbox.get(id) {
            let mut fate = open.fate.clone();
            if fate.life.found(now) {
                self.change(id, now, fate, None, Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Stores what has become of a message, with all that follows from it: the charge once the price is known, the step,
    /// the state of the outbox. `false`: somebody else has changed it, and nothing was stored; what is stored counts.
    async fn change(
        &mut self,
        id: &TextId,
        now: UnixMillis,
        mut next: Fate,
        state: Option<OutboxRow>,
        more: Vec<Write>,
    ) -> Result<bool> {
        let Some(open) = self.outbox.get(id).cloned() else { return Ok(false) };
        let tells = self.telling(&open.text, &open.fate, &mut next, now);
        let (row, keys) = (encode(&next), &self.tables.keys);
        let mut writes = if next.is_over() {
            let gone = Write::delete(keys.open_text(id), open.revision);
            vec![Write { key: keys.done_text(id), expect: Expect::Any, value: Some(row) }, gone]
        } else {
            vec![Write::replace(keys.open_text(id), open.revision, row)]
        };
        writes.extend(tells);
        writes.extend(more);
        let state_at = writes.len();
        writes.extend(state.as_ref().map(|state| self.state_write(state)));
        match self.tables.commit(writes, 0).await? {
            Commit::Done(revisions) => {
                if let Some(state) = state {
                    self.outbox.state = state;
                    self.state_revision = revisions.get(state_at).copied();
                }
                if next.charged.is_some() || next.is_over() || matches!(next.life.next(), Next::Send(_)) {
                    self.holds.remove(id);
                }
                if next.is_unpriced() {
                    tracing::warn!(text = %id, "the gateway took a text message and never said what it costs: it is not charged");
                }
                self.outbox.put(open.text, next, revisions[0]);
                Ok(true)
            }
            Commit::Conflict => {
                tracing::info!(text = %id, "somebody else has changed a text message or the outbox: both are read again");
                self.read_again(id).await?;
                Ok(false)
            }
        }
    }

    /// The writes that go with a change, in the order in which they must be found: the charge before the step that tells of
    /// it.
    fn telling(&self, text: &Text, before: &Fate, next: &mut Fate, now: UnixMillis) -> Vec<Write> {
        use zvonar_gateways::outbox::State;
        let keys = &self.tables.keys;
        let (id, mut writes, mut charged) = (&text.id, Vec::new(), None);
        if let (None, State::Accepted { cost: Some(cost), parts, .. }) = (next.charged, &next.life.state) {
            let charge = charge_text(&id.attempt, id.ordinal, parts.unwrap_or(text.segments), *cost);
            writes.push(Write::create(keys.text_charge(id), encode(&charge)));
            charged = Some(*cost);
            next.charged = charged;
        }
        let (was, status) = (TextStatus::of(&before.life.state), TextStatus::of(&next.life.state));
        // That it waits or is on its way is nobody's news.
        let silent = matches!(status, TextStatus::Queued | TextStatus::Sending);
        if charged.is_some() || (was != status && !silent) {
            next.told += 1;
            let step = TextStep {
                text: id.clone(),
                project: text.project.clone(),
                lead: text.lead.clone(),
                to: text.to.clone(),
                segments: text.segments,
                decided_at: text.decided_at,
                at: now,
                status,
                why: reason(&next.life.state),
                charged,
            };
            let step = crate::tables::Step::Text(Box::new(step));
            writes.push(Write::create(keys.text_step(id, next.told), encode(&step)));
        }
        writes
    }

    fn state_write(&self, state: &OutboxRow) -> Write {
        let key = self.tables.keys.outbox();
        match self.state_revision {
            Some(revision) => Write::replace(key, revision, encode(state)),
            None => Write::create(key, encode(state)),
        }
    }

    async fn read_again(&mut self, id: &TextId) -> Result<()> {
        self.read_state().await?;
        let Some(open) = self.outbox.get(id).cloned() else { return Ok(()) };
        if let Some((fate, false)) = self.tables.fate(id).await? {
            self.outbox.put(open.text, fate.row, fate.revision);
        } else {
            self.outbox.forget(id);
        }
        Ok(())
    }
}
