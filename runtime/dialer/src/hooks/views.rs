//! What people ask of hooks: where they stand, what became of each letter, and «send it again».

use std::collections::BTreeSet;

use zvonar_model::UnixMillis;
use zvonar_store::{Commit, Key, Write};

use super::fold::letter;
use super::{Event, EventKind, HookName, HookRow, LetterRow, OverRow, TryRow};
use crate::tables::{Read, TRIES, Tables, decode};
use crate::{DialerError, Result};

/// As many waiting letters are counted.
const COUNTED: usize = 1_000;

/// The most letters of one answer.
pub(crate) const MOST: usize = 500;

/// How many revisions are read at once, backwards, at first.
const WIDTH: u64 = 256;

/// Where a hook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookView {
    /// What it is called.
    pub name: HookName,
    /// Where it leads, without what follows `?`.
    pub url: String,
    /// What it is told.
    pub events: BTreeSet<EventKind>,
    /// What happened before is not told.
    pub since: UnixMillis,
    /// Letters that wait, up to a thousand.
    pub waiting: usize,
    /// Since when the first of them waits.
    pub waiting_since: Option<UnixMillis>,
    /// Of those, the ones that were not taken at least once.
    pub failing: usize,
    /// The last failure of those.
    pub why: Option<String>,
    /// When a letter was delivered the last time.
    pub delivered: Option<UnixMillis>,
    /// Letters that were given up, as long as they are kept, up to a thousand.
    pub lost: usize,
}

/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It goes, or goes again.
    Waiting,
    /// It was taken.
    Delivered,
    /// «Не доставлено»: it was given up.
    Lost,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Lost];

    /// A word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Lost => "lost",
        }
    }
}

/// A letter and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryView {
    /// What is told.
    pub event: Event,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it came into the queue.
    pub queued: UnixMillis,
    /// How often it went.
    pub tries: u32,
    /// When it goes again.
    pub due: Option<UnixMillis>,
    /// When it was over.
    pub ended: Option<UnixMillis>,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// Why it was not taken the last time.
    pub why: Option<String>,
}

impl Tables {
    /// The hooks that the host was set up with when it ran the last time, by name.
    pub async fn hooks(&self) -> Result<Vec<HookView>> {
        let mut rows = Vec::new();
        self.each_keyed(&self.keys.hooks(), |name, read: Read<HookRow>| {
            rows.extend(name.parse::<HookName>().ok().map(|name| (name, read.row)));
        })
        .await?;
        let mut views = Vec::new();
        for (name, row) in rows {
            views.push(self.hook_view(name, row).await?);
        }
        views.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(views)
    }

    async fn hook_view(&self, name: HookName, row: HookRow) -> Result<HookView> {
        let (shard, keys) = (self.keys.shard(), &self.keys);
        let waiting = self.store.read(shard, &keys.hook_queue(&name), 0, COUNTED).await?;
        let waiting_since = waiting.first().map(decode::<LetterRow>).transpose()?;
        let mut tries: Vec<TryRow> = Vec::new();
        self.each(&keys.hook_tries(&name), |read| tries.push(read.row)).await?;
        let last = self.last_of(&keys.hook_done(&name), 1).await?;
        let lost = self.store.read(shard, &keys.hook_lost(&name), 0, COUNTED).await?;
        Ok(HookView {
            url: row.url,
            events: row.events,
            since: row.since,
            waiting: waiting.len(),
            waiting_since: waiting_since.map(|read| read.row.queued),
            failing: tries.len(),
            why: tries.into_iter().max_by_key(|row| row.at).map(|row| row.why),
            delivered: last.first().map(|read| read.row.ended),
            lost: lost.len(),
            name,
        })
    }

    /// Up to `limit` letters of a hook: those that wait, the first first; then those that were lost and those that were
    /// delivered, the last first.
    ///
    /// # Errors
    /// [`DialerError::NoHook`] when there is none of this name.
    pub async fn deliveries(
        &self,
        hook: &HookName,
        only: Option<DeliveryState>,
        limit: usize,
    ) -> Result<Vec<DeliveryView>> {
        self.need_hook(hook).await?;
        let (keys, limit) = (&self.keys, limit.clamp(1, MOST));
        let mut all = Vec::new();
        for state in DeliveryState::ALL.into_iter().filter(|state| only.is_none_or(|only| only == *state)) {
            let room = limit - all.len();
            match state {
                _ if room == 0 => {}
                DeliveryState::Waiting => {
                    for item in self.store.read(keys.shard(), &keys.hook_queue(hook), 0, room).await? {
                        let row = decode::<LetterRow>(&item)?.row;
                        all.push(self.waiting(hook, row).await?);
                    }
                }
                DeliveryState::Delivered => {
                    let last = self.last_of(&keys.hook_done(hook), room).await?;
                    all.extend(last.into_iter().map(|read| over(read.row)));
                }
                DeliveryState::Lost => {
                    let last = self.last_of(&keys.hook_lost(hook), room).await?;
                    all.extend(last.into_iter().map(|read| over(read.row)));
                }
            }
        }
        Ok(all)
    }

    /// One letter, by its event's id.
    ///
    /// # Errors
    /// [`DialerError::NoHook`], or [`DialerError::NoDelivery`] when none is kept.
    pub async fn delivery(&self, hook: &HookName, event: &str) -> Result<DeliveryView> {
        self.need_hook(hook).await?;
        let keys = &self.keys;
        if let Some(read) = self.get::<LetterRow>(&keys.hook_queue(hook).then(event)).await? {
            return self.waiting(hook, read.row).await;
        }
        for journal in [keys.hook_done(hook), keys.hook_lost(hook)] {
            if let Some(read) = self.get::<OverRow>(&journal.then(event)).await? {
                return Ok(over(read.row));
            }
        }
        Err(DialerError::NoDelivery(event.to_owned()))
    }

    /// Lays a letter into the queue anew, wherever it stands: it goes at once, and is tried for another day.
    ///
    /// # Errors
    /// As [`Tables::delivery`].
    pub async fn resend(&self, hook: &HookName, event: &str, now: UnixMillis) -> Result<DeliveryView> {
        self.need_hook(hook).await?;
        let keys = &self.keys;
        let queue = keys.hook_queue(hook).then(event);
        for _ in 0..TRIES {
            let mut writes = Vec::new();
            if let Some(read) = self.get::<LetterRow>(&queue).await? {
                // With another revision it is another letter to whoever has it in the line.
                writes.push(Write::replace(queue.clone(), read.revision, letter(read.row.event, now, true)));
                let tries = keys.hook_tries(hook).then(event);
                if let Some(read) = self.get::<TryRow>(&tries).await? {
                    writes.push(Write::delete(tries, read.revision));
                }
            } else {
                for key in [keys.hook_lost(hook).then(event), keys.hook_done(hook).then(event)] {
                    if let Some(read) = self.get::<OverRow>(&key).await?.filter(|_| writes.is_empty()) {
                        writes.push(Write::create(queue.clone(), letter(read.row.letter.event, now, true)));
                        writes.push(Write::delete(key, read.revision));
                    }
                }
            }
            if writes.is_empty() {
                return Err(DialerError::NoDelivery(event.to_owned()));
            }
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                let row = self.get::<LetterRow>(&queue).await?.map(|read| read.row);
                return match row {
                    Some(row) => self.waiting(hook, row).await,
                    // It was taken at once.
                    None => self.delivery(hook, event).await,
                };
            }
        }
        Err(DialerError::Contended(queue))
    }

    /// Lays a letter into the queue that tells nothing, to see whether it is taken. Gives its event's id.
    ///
    /// # Errors
    /// [`DialerError::NoHook`] when there is none of this name.
    pub async fn test_hook(&self, hook: &HookName, now: UnixMillis) -> Result<String> {
        self.need_hook(hook).await?;
        for n in 0..TRIES as i64 {
            let event = Event::bare(EventKind::Test, &self.tenant, &(now.0 + n).to_string(), now);
            let (id, key) = (event.id.clone(), self.keys.hook_queue(hook).then(&event.id));
            if let Commit::Done(_) =
                self.commit(vec![Write::create(key, letter(event, now, true))], 0).await?
            {
                return Ok(id);
            }
        }
        Err(DialerError::Contended(self.keys.hook_queue(hook)))
    }

    async fn need_hook(&self, hook: &HookName) -> Result<()> {
        let known = self.store.get(self.keys.shard(), &self.keys.hook(hook)).await?.is_some();
        if known { Ok(()) } else { Err(DialerError::NoHook(hook.to_string())) }
    }

    async fn waiting(&self, hook: &HookName, row: LetterRow) -> Result<DeliveryView> {
        let tries = self.get::<TryRow>(&self.keys.hook_tries(hook).then(&row.event.id)).await?;
        let tries = tries.map(|read| read.row);
        Ok(DeliveryView {
            event: row.event,
            state: DeliveryState::Waiting,
            queued: row.queued,
            tries: tries.as_ref().map_or(0, |row| row.failures),
            due: Some(tries.as_ref().map_or(row.queued, |row| row.due)),
            ended: None,
            status: tries.as_ref().and_then(|row| row.status),
            why: tries.map(|row| row.why),
        })
    }

    /// The last entries of a journal of letters that are over, the last first. It has no index but its revisions: where it
    /// ends is found by halving, and what is before it by reading backwards, in steps that grow.
    async fn last_of(&self, journal: &Key, most: usize) -> Result<Vec<Read<OverRow>>> {
        let (shard, store) = (self.keys.shard(), &self.store);
        let any_above =
            async |above: u64| Ok::<_, DialerError>(!store.read(shard, journal, above, 1).await?.is_empty());
        let mut high = 1_u64;
        while any_above(high).await? {
            high = high.saturating_mul(2);
        }
        let mut low = high / 2;
        while low < high {
            let middle = low + (high - low) / 2;
            if any_above(middle).await? { low = middle + 1 } else { high = middle }
        }
        // Nothing is above `high`.
        let (mut last, mut width) = (Vec::new(), WIDTH);
        while last.len() < most && high > 0 {
            let above = high.saturating_sub(width);
            let mut piece = Vec::new();
            let mut from = above;
            loop {
                let items = store.read(shard, journal, from, MOST).await?;
                let inside = items.iter().take_while(|item| item.revision <= high);
                let before = piece.len();
                for item in inside {
                    piece.push(decode::<OverRow>(item)?);
                    from = item.revision;
                }
                if piece.len() - before < MOST {
                    break;
                }
            }
            if piece.len() < most / 2 {
                width = width.saturating_mul(4);
            }
            last.extend(piece.into_iter().rev());
            high = above;
        }
        last.truncate(most);
        Ok(last)
    }
}

fn over(row: OverRow) -> DeliveryView {
    let state = if row.why.is_none() { DeliveryState::Delivered } else { DeliveryState::Lost };
    DeliveryView {
        event: row.letter.event,
        state,
        queued: row.letter.queued,
        tries: row.tries,
        due: None,
        ended: Some(row.ended),
        status: row.status,
        why: row.why,
    }
}
