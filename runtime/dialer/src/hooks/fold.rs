//! From steps to letters: what a hook is told, made once and written with the cursor.

use std::collections::BTreeSet;
use std::time::Duration;

use zvonar_model::{AttemptRecord, UnixMillis};
use zvonar_store::{Commit, Cursor, Item, Key, MAX_VALUE_BYTES, Write};

use super::event::{Facts, is_lost};
use super::{Event, EventKind, Hook, HookCursor, HookName, HookRow, LetterRow};
use crate::tables::{AttemptStep, Read, Step, TRIES, Tables, decode, encode};
use crate::{DialerError, Result};

/// How many steps are read at once.
const BATCH: usize = 500;

/// The most writes of a commit: below the store's limit, with the letters of one step to spare.
const WRITES: usize = 90;

/// Between two tries of a deletion.
const PAUSE: Duration = Duration::from_millis(200);

/// What a letter may weigh in the store.
const ROOM: usize = MAX_VALUE_BYTES - 4096;

impl Tables {
    /// Notes a hook as it is set up now. One that is new begins with what happens from now on.
    pub(super) async fn open_hook(&self, hook: &Hook, now: UnixMillis) -> Result<()> {
        let (at, cursor) = (self.keys.hook(&hook.name), self.keys.hook_cursor(&hook.name));
        for _ in 0..TRIES {
            let known = self.get::<HookRow>(&at).await?;
            let since = known.as_ref().map_or(now, |read| read.row.since);
            let row = HookRow { url: hook.shown_url.clone(), events: hook.events.clone(), since };
            let mut writes = Vec::new();
            match known {
                Some(read) if read.row == row => {}
                Some(read) => writes.push(Write::replace(at.clone(), read.revision, encode(&row))),
                None => writes.push(Write::create(at.clone(), encode(&row))),
            }
            if self.get::<HookCursor>(&cursor).await?.is_none() {
                let begin = HookCursor { cursor: self.folded().await?.cursor };
                writes.push(Write::create(cursor.clone(), encode(&begin)));
            }
            if writes.is_empty() {
                return Ok(());
            }
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(());
            }
        }
        Err(DialerError::Contended(at))
    }

    /// Forgets the hooks that are not set up any more, with what waits for them: one that comes back begins anew.
    pub(super) async fn forget_hooks(&self, kept: &BTreeSet<&HookName>) -> Result<()> {
        let mut known = Vec::new();
        self.each_keyed(&self.keys.hooks(), |name, _: Read<HookRow>| {
            if let Ok(name) = name.parse::<HookName>() {
                known.push(name);
            }
        })
        .await?;
        for name in known.into_iter().filter(|name| !kept.contains(name)) {
            let waiting = self.drop_all(&self.keys.hook_queue(&name)).await?;
            self.drop_all(&self.keys.hook_tries(&name)).await?;
            self.drop_all(&self.keys.hook_done(&name)).await?;
            self.drop_all(&self.keys.hook_lost(&name)).await?;
            // Its own rows last: whoever dies on the way begins again.
            for key in [self.keys.hook_cursor(&name), self.keys.hook(&name)] {
                self.drop_one(&key).await?;
            }
            tracing::warn!(hook = %name, waiting, "a webhook is not in the configuration any more, and is forgotten");
        }
        Ok(())
    }

    /// Deletes; whoever asks looks again whether anything is left, so a lost race or answer is no fault.
    pub(super) async fn delete(&self, writes: Vec<Write>) -> Result<()> {
        match self.store.commit(self.keys.shard(), writes).await {
            Ok(Commit::Done(_) | Commit::Conflict) => Ok(()),
            Err(why) if why.is_worth_retrying() => {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
            Err(why) => Err(why.into()),
        }
    }

    async fn drop_one(&self, key: &Key) -> Result<()> {
        while let Some(item) = self.store.get(self.keys.shard(), key).await? {
            self.delete(vec![Write::delete(key.clone(), item.revision)]).await?;
        }
        Ok(())
    }

    /// Deletes all below a key; gives how many that were.
    async fn drop_all(&self, prefix: &Key) -> Result<u64> {
        let mut dropped = 0;
        loop {
            let page = self.store.scan(self.keys.shard(), prefix, Cursor::start(), WRITES).await?;
            if page.items.is_empty() {
                return Ok(dropped);
            }
            dropped += page.items.len() as u64;
            let writes = page.items.into_iter().map(|item| Write::delete(item.key, item.revision)).collect();
            self.delete(writes).await?;
        }
    }

    /// Writes letters for all that happened since the last time. Gives how many.
    pub(super) async fn fold_hook(&self, hook: &Hook, now: UnixMillis) -> Result<u64> {
        let key = self.keys.hook_cursor(&hook.name);
        let mut made = 0;
        for _ in 0..TRIES {
            let Some(Read { row: mut cursor, mut revision }) = self.get::<HookCursor>(&key).await? else {
                return Err(DialerError::NoHook(hook.name.to_string()));
            };
            loop {
                let steps =
                    self.store.read(self.keys.shard(), &self.keys.steps(), cursor.cursor, BATCH).await?;
                if steps.is_empty() {
                    return Ok(made);
                }
                let mut letters = Vec::new();
                for item in &steps {
                    let events = self.events_of(item, hook).await?;
                    if 1 + letters.len() + events.len() > WRITES {
                        break;
                    }
                    for event in events {
                        let key = self.keys.hook_queue(&hook.name).then(&event.id);
                        // Whatever is there was made from the same step.
                        letters.push(Write::set(key, letter(event, now, false)));
                    }
                    cursor.cursor = item.revision;
                }
                made += letters.len() as u64;
                let mut writes = vec![Write::replace(key.clone(), revision, encode(&cursor))];
                writes.append(&mut letters);
                // A cursor only goes on, and whoever wrote it there has written the letters too.
                match self.commit(writes, 0).await? {
                    Commit::Done(revisions) => revision = revisions[0],
                    Commit::Conflict => break,
                }
            }
        }
        Err(DialerError::Contended(key))
    }

    /// What of a step a hook is told.
    async fn events_of(&self, item: &Item, hook: &Hook) -> Result<Vec<Event>> {
        let wants = |kind| hook.events.contains(&kind);
        // Kinds of steps are told by their keys, so that a long import is not read for nothing. The token is encoded.
        let wanted = match item.key.last().split_once('=').map(|(kind, _)| kind) {
            None => [EventKind::CallFinished, EventKind::CallResult, EventKind::TransferLost]
                .into_iter()
                .any(wants),
            Some("state") => wants(EventKind::ProjectState),
            Some("text") => wants(EventKind::SmsStatus),
            Some("judged") => wants(EventKind::CallResult),
            Some(_) => false,
        };
        if !wanted {
            return Ok(Vec::new());
        }
        Ok(match decode::<Step>(item)?.row {
            Step::Attempt(step) => self.events_of_call(&step, hook).await?,
            Step::Judged(judged) => {
                let step = self.get::<Step>(&self.keys.attempt_step(&judged.attempt)).await?;
                // What was said before the call was over is in the events of its end. Told on its own, and before them,
                // it would be overwritten by them.
                let Some(Read { row: Step::Attempt(step), .. }) =
                    step.filter(|step| step.revision < item.revision)
                else {
                    return Ok(Vec::new());
                };
                let make = |facts: Option<&Facts<'_>>| {
                    vec![Event::of_judged(&self.tenant, *judged, facts, item.revision)]
                };
                self.with_facts(&step, hook, make).await?
            }
            Step::Text(step) => vec![Event::of_sms(&self.tenant, *step, item.revision)],
            Step::State(step) => vec![Event::of_state(&self.tenant, *step, item.revision)],
            _ => Vec::new(),
        })
    }

    async fn events_of_call(&self, step: &AttemptStep, hook: &Hook) -> Result<Vec<Event>> {
        let make = |facts: Option<&Facts<'_>>| {
            let Some(facts) = facts else {
                tracing::warn!(attempt = %step.attempt, "a webhook cannot be told of a call that has no record");
                return Vec::new();
            };
            let has_result = facts.record.outcome.is_answered() || facts.verdict.is_some();
            let kinds = [
                (EventKind::CallFinished, true),
                (EventKind::CallResult, has_result),
                (EventKind::TransferLost, is_lost(facts.record)),
            ];
            let kinds = kinds.into_iter().filter(|(kind, is)| *is && hook.events.contains(kind));
            kinds.map(|(kind, _)| Event::of_call(kind, facts)).collect()
        };
        self.with_facts(step, hook, make).await
    }

    /// Makes events of a call that is over out of all that is stored about it.
    async fn with_facts(
        &self,
        step: &AttemptStep,
        hook: &Hook,
        make: impl FnOnce(Option<&Facts<'_>>) -> Vec<Event>,
    ) -> Result<Vec<Event>> {
        let record = self.get::<AttemptRecord>(&self.keys.call(&step.attempt)).await?;
        let Some(Read { row: record, .. }) = record else { return Ok(make(None)) };
        let verdict = self.verdict(&step.attempt).await?;
        let project = match &record.project {
            Some(project) => self.project(project).await?,
            None => None,
        };
        let lead = match record.project.as_ref().zip(record.lead.as_ref()) {
            Some((project, lead)) => self.lead(project, lead).await?,
            None => None,
        };
        Ok(make(Some(&Facts {
            record: &record,
            step,
            verdict: verdict.as_ref(),
            project: project.as_ref(),
            lead: lead.as_ref(),
            register: &self.policy.register,
            recordings: hook.recordings.as_deref(),
        })))
    }
}

/// A letter as it is stored; what is too long for the store is left out of it, and it says so.
pub(super) fn letter(event: Event, queued: UnixMillis, by_hand: bool) -> zvonar_store::Bytes {
    let mut row = LetterRow { event, queued, by_hand };
    let text = encode(&row);
    if text.len() <= ROOM {
        return text;
    }
    row.event = row.event.shortened();
    encode(&row)
}
