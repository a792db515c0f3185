//! The tasks that bring letters: one for each hook of a tenant, each with its own line, none waiting for another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use futures::{FutureExt, stream};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use zvonar_gateways::webhook::{Back, Letter, Line, NotTaken, RETRIES, Turn, Verdict};
use zvonar_model::{TenantId, UnixMillis};
use zvonar_store::{Commit, Event as Change, Item, NEWS, StoreError, Write};

use super::{HookSetup, LetterRow, OverRow, TryRow};
use crate::tables::{Read, TRIES, Tables, decode, encode};
use crate::{DialerError, Result, Stop, WallClock};

/// How long steps are gathered, at the most, before letters are made of them.
const GATHER: Duration = Duration::from_millis(100);

/// How long a hook rests whose store failed.
const REST: Duration = Duration::from_secs(5);

/// How often what is over is looked through for what is too old.
const SWEEP: Duration = Duration::from_secs(3600);

/// How long the last letters may take when the host stops. What is left goes when it begins again.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How many letters are read at once.
const PAGE: usize = 50;

/// The most deletions of one commit.
const WRITES: usize = 90;

/// Why a letter is given up that did not go again.
const DOOR_SHUT: &str = "the receiver took nothing for a day";

/// The same, if it never went at all.
const LONG_SHUT: &str = "the receiver took nothing for a week";

impl Tables {
    /// Tells the tenant's hooks what happens, until told to stop. Hooks that are not among these are forgotten. When the
    /// store fails, they rest and begin again.
    ///
    /// # Errors
    /// The store has failed from the beginning until it was time to stop.
    pub async fn keep_hooks(&self, hooks: Vec<HookSetup>, clock: WallClock, mut stop: Stop) -> Result<()> {
        while let Err(why) = self.begin_hooks(&hooks, &clock).await {
            note_late(self.tenant(), &why);
            tokio::select! {
                () = told(&mut stop) => return Err(why),
                () = tokio::time::sleep(REST) => {}
            }
        }
        let mut tasks = JoinSet::new();
        for setup in hooks {
            let (tables, clock, mut stop) = (self.clone(), clock.clone(), stop.clone());
            tasks.spawn(async move {
                loop {
                    let post = Post::new(tables.clone(), setup.clone(), clock.clone());
                    let work = std::panic::AssertUnwindSafe(post.work(stop.clone())).catch_unwind();
                    match work.await {
                        Ok(Ok(())) => return,
                        Ok(Err(why)) => {
                            let why = &why as &dyn std::error::Error;
                            tracing::error!(hook = %setup.hook.name, error = why, "a webhook rests for a moment");
                        }
                        Err(_) => tracing::error!(hook = %setup.hook.name, "a bug stopped a webhook; it begins again"),
                    }
                    tokio::select! {
                        () = told(&mut stop) => return,
                        () = tokio::time::sleep(REST) => {}
                    }
                }
            });
        }
        if tasks.is_empty() {
            return Ok(());
        }
        // They end when they are told to.
        while tasks.join_next().await.is_some() {}
        told(&mut stop).await;
        Ok(())
    }
}

impl Tables {
    /// Notes which hooks there are, and forgets the others.
    async fn begin_hooks(&self, hooks: &[HookSetup], clock: &WallClock) -> Result<()> {
        self.forget_hooks(&hooks.iter().map(|setup| &setup.hook.name).collect()).await?;
        for setup in hooks {
            self.open_hook(&setup.hook, clock()).await?;
        }
        Ok(())
    }
}

fn note_late(tenant: &TenantId, why: &DialerError) {
    let error = why as &dyn std::error::Error;
    tracing::error!(%tenant, error, "the webhooks of a tenant do not begin yet: the store has failed");
}

/// Comes back when it is time to stop, or nobody is left who could tell.
async fn told(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A letter in the line.
#[derive(Debug, Clone)]
struct Held {
    /// Its event's id.
    event: String,
    failures: u32,
    /// The revision of its row of failures, if it has one.
    tries: Option<u64>,
}

/// What a courier has come back with: the letter's place, and the answer.
type Answered = (u64, std::result::Result<u16, NotTaken>);

type Changes = BoxStream<'static, std::result::Result<Change, StoreError>>;

/// The post of one hook.
struct Post {
    tables: Tables,
    setup: HookSetup,
    clock: WallClock,
    line: Line,
    held: BTreeMap<u64, Held>,
    /// The last letter that was taken into the line, and whether there may be more.
    read_to: u64,
    more: bool,
    /// There may be steps of which no letters were made.
    steps: bool,
    out: JoinSet<Answered>,
}

impl Post {
    fn new(tables: Tables, setup: HookSetup, clock: WallClock) -> Self {
        Self {
            line: Line::new(setup.hook.at_once),
            tables,
            setup,
            clock,
            held: BTreeMap::new(),
            read_to: 0,
            more: true,
            steps: true,
            out: JoinSet::new(),
        }
    }

    async fn work(mut self, mut stop: Stop) -> Result<()> {
        let mut heard = self.listen().await?;
        let (mut gather, mut sweep) = (tokio::time::interval(GATHER), tokio::time::interval(SWEEP));
        gather.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.fill().await?;
            self.start().await?;
            let due = self.line.poll_timeout();
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                Some(answered) = self.out.join_next(), if !self.out.is_empty() => self.ended(answered).await?,
                change = heard.next() => match change {
                    Some(Ok(change)) => self.note(&change),
                    lost => {
                        if let Some(Err(why)) = lost && !matches!(why, StoreError::Lagged) {
                            tracing::warn!(error = &why as &dyn std::error::Error, "watching begins anew");
                        }
                        heard = self.listen().await?;
                        (self.steps, self.more) = (true, true);
                    }
                },
                // After all that is heard of already; at once when it was quiet, else when some has come together.
                _ = gather.tick(), if self.steps => {
                    self.steps = false;
                    let made = self.tables.fold_hook(&self.setup.hook, (self.clock)()).await?;
                    self.more |= made > 0;
                }
                _ = sweep.tick() => self.sweep().await?,
                () = until(due, &self.clock) => {}
            }
        }
        match tokio::time::timeout(LAST_WORDS, self.last_words()).await {
            Ok(done) => done,
            Err(_) => {
                self.out.shutdown().await;
                Ok(())
            }
        }
    }

    /// Tells what happened last, and what is due.
    async fn last_words(&mut self) -> Result<()> {
        self.tables.fold_hook(&self.setup.hook, (self.clock)()).await?;
        self.more = true;
        loop {
            self.fill().await?;
            self.start().await?;
            match self.out.join_next().await {
                Some(answered) => self.ended(answered).await?,
                None => return Ok(()),
            }
        }
    }

    /// Hears of every step, and of every letter that is laid into the queue by somebody else.
    async fn listen(&self) -> Result<Changes> {
        let (shard, keys) = (self.tables.keys.shard(), &self.tables.keys);
        let steps = self.tables.store.watch(shard, &keys.steps(), NEWS).await?;
        let queue = keys.hook_queue(&self.setup.hook.name);
        let letters = self.tables.store.watch(shard, &queue, NEWS).await?;
        // The end of one is the end of both.
        let ending = |changes: Changes| changes.map(Some).chain(stream::iter([None])).boxed();
        let all = stream::select_all([steps, letters].map(ending));
        Ok(all.scan((), |(), change| std::future::ready(change)).boxed())
    }

    fn note(&mut self, change: &Change) {
        if change.key.is_below(&self.tables.keys.steps()) {
            self.steps = true;
        } else {
            self.more |= change.value.is_some();
            let letter = change.value.clone().map(|value| {
                let (key, revision) = (change.key.clone(), change.revision);
                decode::<LetterRow>(&Item { key, revision, value })
            });
            // What cannot be read is told when its turn comes.
            if letter.and_then(Result::ok).is_some_and(|read| read.row.by_hand) {
                self.line.knock((self.clock)());
            }
        }
    }

    /// Takes letters into the line, as many as it has room for.
    async fn fill(&mut self) -> Result<()> {
        if self.line.wants_aside((self.clock)()) {
            self.look_aside().await?;
        }
        let queue = self.tables.keys.hook_queue(&self.setup.hook.name);
        while self.more && self.line.room() > 0 {
            let most = self.line.room().min(PAGE);
            let items = self.tables.store.read(self.tables.keys.shard(), &queue, self.read_to, most).await?;
            let Some(last) = items.last() else {
                self.more = false;
                break;
            };
            self.read_to = last.revision;
            for item in &items {
                let letter = decode::<LetterRow>(item)?;
                // It may have gone before the program began.
                let tries = self.tables.keys.hook_tries(&self.setup.hook.name).then(&letter.row.event.id);
                let tries = self.tables.get::<TryRow>(&tries).await?;
                self.take(letter, tries);
            }
        }
        Ok(())
    }

    fn take(&mut self, letter: Read<LetterRow>, tries: Option<Read<TryRow>>) {
        let Read { row, revision: place } = letter;
        if self.line.holds(place) {
            return;
        }
        let (failures, since, due) = tries.as_ref().map_or((0, row.queued, row.queued), |read| {
            (read.row.failures, read.row.first.unwrap_or(row.queued), read.row.due)
        });
        self.line.take(place, since, failures, due);
        let tries = tries.map(|read| read.revision);
        self.held.insert(place, Held { event: row.event.id, failures, tries });
        self.put_aside();
    }

    /// Lets go of letters that were not taken when there are too many of them: they stay in the store.
    fn put_aside(&mut self) {
        while let Some(place) = self.line.put_aside() {
            self.held.remove(&place);
        }
    }

    /// Takes those letters in that were not taken, are not in the line, and are due first.
    async fn look_aside(&mut self) -> Result<()> {
        self.line.looking_aside();
        let tries = self.tables.keys.hook_tries(&self.setup.hook.name);
        let here: BTreeSet<&str> = self.held.values().map(|held| held.event.as_str()).collect();
        let mut first = BTreeMap::new();
        let note = |event: &str, read: Read<TryRow>| {
            if !here.contains(event) {
                first.insert((read.row.due, event.to_owned()), read);
            }
            if first.len() > RETRIES + 1 {
                first.pop_last();
            }
        };
        // An event's id is in the key as it is.
        self.tables.each_keyed(&tries, note).await?;
        if first.len() > RETRIES
            && let Some(((due, _), _)) = first.pop_last()
        {
            self.line.note_aside(due);
        }
        for ((_, event), read) in first {
            let letter = self.tables.keys.hook_queue(&self.setup.hook.name).then(&event);
            match self.tables.get::<LetterRow>(&letter).await? {
                Some(letter) => self.take(letter, Some(read)),
                // Of a letter that is over.
                None => self.tables.delete(vec![Write::delete(tries.then(&event), read.revision)]).await?,
            }
        }
        Ok(())
    }

    /// Does what is due.
    async fn start(&mut self) -> Result<()> {
        loop {
            let now = (self.clock)();
            match self.line.next(now) {
                None => return Ok(()),
                Some(Turn::GiveUp(place)) => {
                    let went = self.held.get(&place).is_some_and(|held| held.failures > 0);
                    let why = if went { DOOR_SHUT } else { LONG_SHUT };
                    self.over(place, None, Some(why.to_owned()), now).await?;
                }
                Some(Turn::Bring(place, attempt)) => self.bring(place, attempt).await?,
            }
        }
    }

    async fn bring(&mut self, place: u64, attempt: u32) -> Result<()> {
        let Some(letter) = self.letter(place).await? else {
            // Somebody has taken it away.
            self.line.lose(place);
            self.held.remove(&place);
            return Ok(());
        };
        let (courier, now) = (self.setup.courier.clone(), (self.clock)());
        self.out.spawn(async move {
            let body = letter.event.body();
            let brought = Letter { event: &letter.event.id, attempt, body: &body };
            let bring = std::panic::AssertUnwindSafe(courier.bring(&brought, now)).catch_unwind();
            let bug = |_| Err(NotTaken::NoAnswer("a bug of ours stopped it; the log says more".into()));
            (place, bring.await.unwrap_or_else(bug))
        });
        Ok(())
    }

    /// The letter at a place of the line, if it is still there.
    async fn letter(&self, place: u64) -> Result<Option<LetterRow>> {
        let Some(held) = self.held.get(&place) else { return Ok(None) };
        let key = self.tables.keys.hook_queue(&self.setup.hook.name).then(&held.event);
        let read = self.tables.get::<LetterRow>(&key).await?;
        Ok(read.filter(|read| read.revision == place).map(|read| read.row))
    }

    /// A courier is back.
    async fn ended(&mut self, answered: std::result::Result<Answered, tokio::task::JoinError>) -> Result<()> {
        let (place, answer) = answered.map_err(|bug| DialerError::Bug(bug.to_string()))?;
        let now = (self.clock)();
        let hook = &self.setup.hook.name;
        let Some(held) = self.held.get(&place).cloned() else { return Ok(()) };
        let shut = self.line.shut_since();
        let verdict = self.line.ended(place, Back::of(&answer), now);
        match (shut, self.line.shut_since()) {
            (None, Some(_)) => {
                tracing::warn!(%hook, "a webhook takes nothing, and is asked with one letter at a time")
            }
            (Some(_), None) => tracing::info!(%hook, "a webhook takes letters again"),
            _ => {}
        }
        if let Some(held) = self.held.get_mut(&place) {
            held.failures = held.failures.saturating_add(u32::from(answer.is_err()));
        }
        match (verdict, answer) {
            (Verdict::Again { failures, due, since }, Err(why)) => {
                tracing::debug!(%hook, event = %held.event, why = why.brief(), "a webhook did not take a letter");
                let (status, first) = (why.status(), Some(since));
                let row = TryRow { failures, due, at: now, first, status, why: why.to_string() };
                self.failed(place, &held, &row).await?;
                self.put_aside();
                Ok(())
            }
            (_, Ok(status)) => self.over(place, Some(status), None, now).await,
            (_, Err(why)) => {
                tracing::warn!(%hook, event = %held.event, why = why.brief(), "a webhook did not take a letter for a day");
                self.over(place, why.status(), Some(why.to_string()), now).await
            }
        }
    }

    /// Stores that a letter was not taken.
    async fn failed(&mut self, place: u64, held: &Held, row: &TryRow) -> Result<()> {
        if self.letter(place).await?.is_none() {
            // Somebody laid it into the queue anew while it was on its way.
            return Ok(());
        }
        let key = self.tables.keys.hook_tries(&self.setup.hook.name).then(&held.event);
        let write = match held.tries {
            Some(revision) => Write::replace(key.clone(), revision, encode(row)),
            None => Write::create(key.clone(), encode(row)),
        };
        let tries = match self.tables.commit(vec![write], 0).await? {
            Commit::Done(revisions) => Some(revisions[0]),
            // Somebody else brings the same letters: the next one sees what he wrote.
            Commit::Conflict => self.tables.get::<TryRow>(&key).await?.map(|read| read.revision),
        };
        if let Some(held) = self.held.get_mut(&place) {
            held.tries = tries;
        }
        Ok(())
    }

    /// Stores that a letter is over, delivered or not, and out of the queue.
    async fn over(
        &mut self,
        place: u64,
        status: Option<u16>,
        why: Option<String>,
        now: UnixMillis,
    ) -> Result<()> {
        let Some(mut letter) = self.letter(place).await? else {
            self.held.remove(&place);
            return Ok(());
        };
        let Some(held) = self.held.remove(&place) else { return Ok(()) };
        let hook = self.setup.hook.name.clone();
        for _ in 0..TRIES {
            let keys = &self.tables.keys;
            let tries = held.failures.saturating_add(u32::from(why.is_none()));
            let to = if why.is_none() { keys.hook_done(&hook) } else { keys.hook_lost(&hook) };
            let row = OverRow { letter, tries, ended: now, status, why: why.clone() };
            let tries = keys.hook_tries(&hook).then(&held.event);
            let failed = self.tables.get::<TryRow>(&tries).await?;
            let mut writes = vec![
                Write::set(to.then(&held.event), encode(&row)),
                Write::delete(keys.hook_queue(&hook).then(&held.event), place),
            ];
            writes.extend(failed.map(|read| Write::delete(tries, read.revision)));
            if let Commit::Done(_) = self.tables.commit(writes, 0).await? {
                return Ok(());
            }
            // Somebody laid it into the queue anew, or brings the same letters.
            let key = self.tables.keys.hook_queue(&hook).then(&held.event);
            match self.tables.get::<LetterRow>(&key).await?.filter(|read| read.revision == place) {
                Some(read) => letter = read.row,
                None => return Ok(()),
            }
        }
        Err(DialerError::Contended(self.tables.keys.hook_queue(&hook)))
    }

    /// Deletes what was over long ago.
    async fn sweep(&self) -> Result<()> {
        let (keys, hook) = (&self.tables.keys, &self.setup.hook);
        let now = (self.clock)();
        for journal in [keys.hook_done(&hook.name), keys.hook_lost(&hook.name)] {
            loop {
                let items = self.tables.store.read(keys.shard(), &journal, 0, WRITES).await?;
                let mut writes = Vec::new();
                for item in &items {
                    // In the order of their ends.
                    if decode::<OverRow>(item)?.row.ended.plus(hook.kept) > now {
                        break;
                    }
                    writes.push(Write::delete(item.key.clone(), item.revision));
                }
                if writes.is_empty() {
                    break;
                }
                self.tables.delete(writes).await?;
            }
        }
        Ok(())
    }
}

/// Sleeps until a moment; for ever, if there is none.
async fn until(due: Option<UnixMillis>, clock: &WallClock) {
    let Some(due) = due else { return std::future::pending().await };
    let left = due.0.saturating_sub(clock().0).max(0);
    tokio::time::sleep(Duration::from_millis(left.unsigned_abs())).await;
}
