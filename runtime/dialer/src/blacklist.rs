//! The blacklist: numbers that no project of a tenant calls.
//!
//! It is looked at right before each call. Who asks in a call not to be called is put on it with all numbers of the card,
//! and what they had consented to is taken back, in the commit that settles the call.

use zvonar_campaign::ConsentEvent;
use zvonar_model::{AttemptRecord, PhoneNumber, UnixMillis};
use zvonar_store::{Commit, Expect, Write};

use crate::projects::{MAX_TEXT, cut};
use crate::tables::{Blocked, ConsentRow, Lead, TRIES, Tables, encode};
use crate::{DialerError, Effects, Result};

/// How many numbers are put on the list in one commit.
const BATCH: usize = 90;

/// How many consents are taken back in the commit that settles a call: a card of fifty numbers fits beside the rest.
const TAKEN_BACK: usize = 25;

/// What somebody said in a call of ours.
const CHANNEL: &str = "call";

impl Tables {
    /// Puts a number on the blacklist: no project calls it from now on.
    pub async fn block(&self, number: &PhoneNumber, why: &str, since: UnixMillis) -> Result<()> {
        self.block_all(&[(number.clone(), why.to_owned())], since).await.map(drop)
    }

    /// Puts numbers on the blacklist, each with a reason. Those that are on it stay as they are. Gives how many were not.
    pub async fn block_all(&self, numbers: &[(PhoneNumber, String)], since: UnixMillis) -> Result<u64> {
        let mut fresh = 0;
        for batch in numbers.chunks(BATCH) {
            let mut tries = TRIES;
            loop {
                let mut writes: Vec<Write> = Vec::new();
                for (number, why) in batch {
                    let key = self.keys.blocked(number);
                    let known = writes.iter().any(|write| write.key == key);
                    if known || self.blocked(number).await?.is_some() {
                        continue;
                    }
                    let row = Blocked {
                        number: Some(number.clone()),
                        why: cut(why, MAX_TEXT),
                        since,
                        attempt: None,
                    };
                    writes.push(Write::create(key, encode(&row)));
                }
                let count = writes.len() as u64;
                if count == 0 {
                    break;
                }
                if let Commit::Done(_) = self.commit(writes, 0).await? {
                    fresh += count;
                    break;
                }
                tries -= 1;
                if tries == 0 {
                    return Err(DialerError::Contended(self.keys.blocked(&batch[0].0)));
                }
            }
        }
        Ok(fresh)
    }

    /// Takes a number off the blacklist. A consent that was given before it came there does not come back. `false`: it was
    /// not on it.
    pub async fn unblock(&self, number: &PhoneNumber) -> Result<bool> {
        for _ in 0..TRIES {
            let key = self.keys.blocked(number);
            let Some(blocked) = self.get::<Blocked>(&key).await? else { return Ok(false) };
            let since = blocked.row.since;
            let stale = self.consents(number).await?.said.values().any(|said| said.given && said.at <= since);
            if stale && blocked.row.attempt.is_some() {
                self.add_consent(&refusal(vec![number.clone()], &blocked.row)).await?;
            }
            // A deletion leaves no witness behind: sent again after a lost answer, it finds nothing to delete.
            let sent = self
                .store
                .commit(self.keys.shard(), vec![Write::delete(key.clone(), blocked.revision)])
                .await;
            match sent {
                Ok(Commit::Done(_)) => return Ok(true),
                Err(error) if !error.is_worth_retrying() => return Err(error.into()),
                _ if self.get::<Blocked>(&key).await?.is_none() => return Ok(true),
                _ => {}
            }
        }
        Err(DialerError::Contended(self.keys.blocked(number)))
    }

    /// Why a number is on the blacklist, if it is.
    pub async fn blocked(&self, number: &PhoneNumber) -> Result<Option<Blocked>> {
        Ok(self.get::<Blocked>(&self.keys.blocked(number)).await?.map(|read| read.row))
    }

    /// The whole blacklist, by number.
    pub async fn blacklist(&self) -> Result<Vec<(PhoneNumber, Blocked)>> {
        let mut all = Vec::new();
        self.each_keyed(&self.keys.all_blocked(), |digits, read: crate::tables::Read<Blocked>| {
            // What an earlier program put there knows its number by its key alone.
            let number = read.row.number.clone().or_else(|| PhoneNumber::parse(&format!("+{digits}")).ok());
            all.extend(number.map(|number| (number, read.row)));
        })
        .await?;
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// The writes of a call in which somebody asked not to be called: all numbers of the card are on the blacklist, and
    /// what was consented to for them is taken back. None, when nobody did.
    pub(crate) async fn refusal_writes(
        &self,
        record: &AttemptRecord,
        effects: &Effects,
        lead: Option<&Lead>,
    ) -> Result<Vec<Write>> {
        let Some(why) = &effects.block else { return Ok(Vec::new()) };
        let mut numbers: Vec<PhoneNumber> = record.number.iter().cloned().collect();
        for number in lead.iter().flat_map(|lead| &lead.numbers) {
            if !numbers.contains(number) {
                numbers.push(number.clone());
            }
        }
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let blocked = |number: &PhoneNumber| Blocked {
            number: Some(number.clone()),
            why: cut(why, MAX_TEXT),
            since: record.ended_at,
            attempt: Some(record.attempt.clone()),
        };
        let event = refusal(numbers.clone(), &blocked(&numbers[0]));
        let mut writes: Vec<Write> = numbers
            .iter()
            .map(|number| Write {
                key: self.keys.blocked(number),
                expect: Expect::Any,
                value: Some(encode(&blocked(number))),
            })
            .collect();
        let key = self.keys.consent(record.attempt.as_str());
        writes.push(Write { key, expect: Expect::Any, value: Some(encode(&event)) });
        let mut taken_back = 0;
        for number in &numbers {
            // What does not fit is taken back when the number leaves the blacklist, and not looked at before.
            if taken_back == TAKEN_BACK {
                break;
            }
            let Some(before) = self.get::<ConsentRow>(&self.keys.consented(number)).await? else { continue };
            let after = ConsentRow { number: number.clone(), consents: before.row.consents.after(&event) };
            if after != before.row {
                writes.push(Write::replace(self.keys.consented(number), before.revision, encode(&after)));
                taken_back += 1;
            }
        }
        Ok(writes)
    }

    /// Does what [`Tables::refusal_writes`] would have, for a call whose attempt had been given up: a refusal counts all
    /// the same.
    pub(crate) async fn refuse_late(&self, record: &AttemptRecord, effects: &Effects) -> Result<()> {
        for _ in 0..TRIES {
            let lead = match record.project.as_ref().zip(record.lead.as_ref()) {
                Some((project, lead)) => self.lead(project, lead).await?,
                None => None,
            };
            let writes = self.refusal_writes(record, effects, lead.as_ref()).await?;
            if writes.is_empty() {
                return Ok(());
            }
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(());
            }
        }
        Err(DialerError::Contended(self.keys.consent(record.attempt.as_str())))
    }
}

/// What the journal of consents says of somebody who asked not to be called.
fn refusal(numbers: Vec<PhoneNumber>, blocked: &Blocked) -> ConsentEvent {
    ConsentEvent {
        given: false,
        numbers,
        purposes: Vec::new(),
        at: blocked.since,
        text: Some(blocked.why.clone()),
        channel: CHANNEL.into(),
        ip: None,
        proof: None,
        attempt: blocked.attempt.clone(),
    }
}
