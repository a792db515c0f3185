//! Consents as they are stored: the journal of what was said, and the state of each number that is folded from it.
//!
//! An event's key is made of its content, so entering the same file again enters nothing. An event and the states that
//! it changes are one commit.

use std::collections::BTreeMap;

use zvonar_campaign::{ConsentEvent, Consents};
use zvonar_model::PhoneNumber;
use zvonar_store::{Commit, Key, Sha256, Write};

use crate::tables::{ConsentRow, Read, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// How many writes a batch makes at most, below the store's limit.
const WRITES: usize = 90;

/// The most numbers of one event.
pub const MAX_EVENT_NUMBERS: usize = 50;

/// The most bytes of an event as it is stored: names and texts, not documents.
const MAX_EVENT_BYTES: usize = 16 * 1024;

impl Tables {
    /// Writes down what somebody said. `false`: it was written down before.
    ///
    /// # Errors
    /// As [`Tables::add_consents`].
    pub async fn add_consent(&self, event: &ConsentEvent) -> Result<bool> {
        Ok(self.add_consents(std::slice::from_ref(event)).await? == 1)
    }

    /// Writes down what people said. Gives how many of the events were not written down before. A failure in the middle
    /// leaves those before it; adding all again adds the rest.
    ///
    /// # Errors
    /// [`DialerError::BadConsent`] before anything is written: an event without a number, with more than fifty, given for no
    /// purpose, or longer than a journal takes.
    pub async fn add_consents(&self, events: &[ConsentEvent]) -> Result<u64> {
        for event in events {
            check(event)?;
        }
        let mut rest = events;
        let mut fresh = 0;
        while !rest.is_empty() {
            let mut count = 0;
            let mut writes = 0;
            for event in rest {
                writes += 1 + event.numbers.len();
                if writes > WRITES {
                    break;
                }
                count += 1;
            }
            let (batch, after) = rest.split_at(count);
            fresh += self.add_batch_of_consents(batch).await?;
            rest = after;
        }
        Ok(fresh)
    }

    async fn add_batch_of_consents(&self, batch: &[ConsentEvent]) -> Result<u64> {
        for _ in 0..TRIES {
            let mut states: BTreeMap<PhoneNumber, (Option<u64>, ConsentRow, bool)> = BTreeMap::new();
            let mut journal: BTreeMap<Key, Write> = BTreeMap::new();
            for event in batch {
                let key = self.event_key(event);
                if journal.contains_key(&key) || self.store.get(self.keys.shard(), &key).await?.is_some() {
                    continue;
                }
                journal.insert(key.clone(), Write::create(key, encode(event)));
                for number in &event.numbers {
                    if !states.contains_key(number) {
                        let read = self.get::<ConsentRow>(&self.keys.consented(number)).await?;
                        let fresh = || ConsentRow { number: number.clone(), consents: Consents::default() };
                        let state = match read {
                            Some(Read { row, revision }) => (Some(revision), row, false),
                            None => (None, fresh(), false),
                        };
                        states.insert(number.clone(), state);
                    }
                    let (_, row, changed) = states.get_mut(number).expect("it was put there");
                    let after = row.consents.after(event);
                    *changed |= after != row.consents;
                    row.consents = after;
                }
            }
            let fresh = journal.len() as u64;
            if fresh == 0 {
                return Ok(0);
            }
            let mut writes: Vec<Write> = journal.into_values().collect();
            for (number, (revision, row, _)) in states.into_iter().filter(|(_, (.., changed))| *changed) {
                let key = self.keys.consented(&number);
                writes.push(match revision {
                    Some(revision) => Write::replace(key, revision, encode(&row)),
                    None => Write::create(key, encode(&row)),
                });
            }
            // The same event is the same value: whoever wrote the witness, it is written.
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(fresh);
            }
        }
        Err(DialerError::Contended(self.keys.consent_journal()))
    }

    /// Where a number stands.
    pub async fn consents(&self, number: &PhoneNumber) -> Result<Consents> {
        let read = self.get::<ConsentRow>(&self.keys.consented(number)).await?;
        Ok(read.map(|read| read.row.consents).unwrap_or_default())
    }

    /// What was said, oldest first; of one number, or of all.
    pub async fn consent_events(&self, number: Option<&PhoneNumber>) -> Result<Vec<ConsentEvent>> {
        let mut events = Vec::new();
        self.each(&self.keys.consent_journal(), |read: Read<ConsentEvent>| {
            if number.is_none_or(|number| read.row.numbers.contains(number)) {
                events.push(read.row);
            }
        })
        .await?;
        events.sort_by(|a, b| (a.at, &a.numbers, a.given).cmp(&(b.at, &b.numbers, b.given)));
        Ok(events)
    }

    fn event_key(&self, event: &ConsentEvent) -> Key {
        self.keys.consent(&Sha256::of(&encode(event)).to_string())
    }
}

fn check(event: &ConsentEvent) -> Result<()> {
    let bad = |what: String| Err(DialerError::BadConsent(what));
    let count = event.numbers.len();
    if count == 0 || count > MAX_EVENT_NUMBERS {
        return bad(format!("it is said for {count} numbers; 1 to {MAX_EVENT_NUMBERS} go together"));
    }
    if event.given && event.purposes.is_empty() {
        return bad("it is given for no purpose: name what the calls are for".into());
    }
    let bytes = encode(event).len();
    if bytes > MAX_EVENT_BYTES {
        return bad(format!(
            "it has {bytes} bytes; at most {MAX_EVENT_BYTES} are kept: name the proof, do not write it out"
        ));
    }
    Ok(())
}
