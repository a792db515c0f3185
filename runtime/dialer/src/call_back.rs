//! «Добавить в проект и перезвонить по пропущенному»: a caller who wanted somebody and got nobody is added to a project, in
//! the commit that settles his call, so that it happens once whatever crashes. As long as nobody has talked with him, a row
//! says that he waits: should the program die, the next run adds him in the commit that takes the row away.

use serde::{Deserialize, Serialize};
use zvonar_campaign::{LeadState, Progress};
use zvonar_model::{AttemptId, AttemptRecord, LeadId, PhoneNumber, ProjectId, UnixMillis};
use zvonar_store::{Commit, Write};

use crate::alive::Alive;
use crate::leads::fitted;
use crate::recovery::Abandoned;
use crate::tables::{Lead, Read, Row, Step, TRIES, Tables, encode};
use crate::{DialerError, Effects, Result};

/// Somebody who waits for a person, or did and got nobody, in a call that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waits {
    /// Which call.
    pub(crate) attempt: AttemptId,
    /// The project that he is added to if nobody talks with him.
    pub(crate) back_to: ProjectId,
    /// The project that dialled him, and which of its leads he is.
    pub(crate) whose: Option<(ProjectId, LeadId)>,
    /// His number.
    pub(crate) number: Option<PhoneNumber>,
    /// Since when.
    pub(crate) since: UnixMillis,
    /// When his call is over at the latest.
    pub(crate) until: UnixMillis,
}

impl Row for Waits {
    const VERSION: u16 = 1;
}

/// Who is to be called back.
struct Missed<'a> {
    attempt: &'a AttemptId,
    whose: Option<(&'a ProjectId, &'a LeadId)>,
    number: Option<&'a PhoneNumber>,
    at: UnixMillis,
}

impl Tables {
    /// Notes that somebody waits; instead of what was noted of this call before.
    pub(crate) async fn note_waits(&self, waits: &Waits) -> Result<()> {
        let key = self.keys.waits(&waits.attempt);
        for _ in 0..TRIES {
            let write = match self.get::<Waits>(&key).await? {
                Some(Read { row, .. }) if row == *waits => return Ok(()),
                Some(Read { revision, .. }) => Write::replace(key.clone(), revision, encode(waits)),
                None => Write::create(key.clone(), encode(waits)),
            };
            if let Commit::Done(_) = self.commit(vec![write], 0).await? {
                return Ok(());
            }
        }
        Err(DialerError::Contended(key))
    }

    /// Somebody talks with him: he need not be called back.
    pub(crate) async fn note_found(&self, attempt: &AttemptId) -> Result<()> {
        let key = self.keys.waits(attempt);
        for _ in 0..TRIES {
            let Some(gone) = self.waits_write(attempt).await? else { return Ok(()) };
            // Whether it is gone tells what became of the commit.
            match self.store.commit(self.keys.shard(), vec![gone]).await {
                Ok(Commit::Done(_)) => return Ok(()),
                Err(error) if !error.is_worth_retrying() => return Err(error.into()),
                Ok(Commit::Conflict) | Err(_) => {}
            }
        }
        Err(DialerError::Contended(key))
    }

    /// The write that takes the row of a call away, if there is one.
    async fn waits_write(&self, attempt: &AttemptId) -> Result<Option<Write>> {
        let key = self.keys.waits(attempt);
        let there = self.get::<Waits>(&key).await?;
        Ok(there.map(|Read { revision, .. }| Write::delete(key, revision)))
    }

    /// Adds those to their projects who waited when the program died. Gives how many.
    pub(crate) async fn call_back_left(
        &self,
        abandoned: Abandoned,
        alive: &Alive,
        now: UnixMillis,
    ) -> Result<u64> {
        let mut left = Vec::new();
        self.each(&self.keys.all_waits(), |read: Read<Waits>| match abandoned {
            Abandoned::Expired if read.row.until >= now || alive.has(&read.row.attempt) => {}
            Abandoned::Expired | Abandoned::OfOtherRuns(_) => left.push(read.row),
        })
        .await?;
        let mut called_back = 0;
        for waits in left {
            let missed = Missed {
                attempt: &waits.attempt,
                whose: waits.whose.as_ref().map(|(project, lead)| (project, lead)),
                number: waits.number.as_ref(),
                at: now,
            };
            let mut adds = false;
            for tries in 1.. {
                let Some(gone) = self.waits_write(&waits.attempt).await? else {
                    // Somebody was quicker, or it was the commit whose answer was lost.
                    called_back += u64::from(adds);
                    break;
                };
                let card = match &waits.whose {
                    Some((project, lead)) => self.get::<Lead>(&self.keys.lead(project, lead)).await?,
                    None => None,
                };
                let card = card.as_ref().map(|read| &read.row);
                let mut writes = self.added_writes(&missed, &waits.back_to, card).await?;
                adds = !writes.is_empty();
                writes.push(gone);
                // The row is gone exactly if he was added.
                match self.store.commit(self.keys.shard(), writes).await {
                    Ok(Commit::Done(_)) => {
                        tracing::warn!(attempt = %waits.attempt, project = %waits.back_to, adds, "a caller waited when the program stopped");
                        called_back += u64::from(adds);
                        break;
                    }
                    Err(error) if !error.is_worth_retrying() => return Err(error.into()),
                    Ok(Commit::Conflict) | Err(_) if tries == TRIES => {
                        return Err(DialerError::Contended(self.keys.waits(&waits.attempt)));
                    }
                    Ok(Commit::Conflict) | Err(_) => {}
                }
            }
        }
        Ok(called_back)
    }

    /// The writes by which the caller of this record is added to the project that his scenario named, and by which he waits
    /// no more. `lead`: his card, if he has one.
    pub(crate) async fn call_back_writes(
        &self,
        record: &AttemptRecord,
        effects: &Effects,
        lead: Option<&Lead>,
    ) -> Result<Vec<Write>> {
        if record.transfers.is_empty() && effects.call_back.is_none() {
            return Ok(Vec::new());
        }
        let mut writes: Vec<Write> = self.waits_write(&record.attempt).await?.into_iter().collect();
        let Some(id) = &effects.call_back else { return Ok(writes) };
        // His own project calls him again by its own rules: see `next_lead`.
        if record.project.as_ref() == Some(id) && record.lead.is_some() {
            return Ok(writes);
        }
        let missed = Missed {
            attempt: &record.attempt,
            whose: record.project.as_ref().zip(record.lead.as_ref()),
            number: record.number.as_ref(),
            at: record.ended_at,
        };
        writes.extend(self.added_writes(&missed, id, lead).await?);
        Ok(writes)
    }

    /// The writes that add somebody to a project. He keeps the id, the numbers, fields and tags of his card; somebody
    /// without one is known by his number. Who is there already and finished is called again; who is still to be called
    /// there stays as he is.
    async fn added_writes(
        &self,
        missed: &Missed<'_>,
        id: &ProjectId,
        lead: Option<&Lead>,
    ) -> Result<Vec<Write>> {
        // Cut off: his own project has that in its books, and calls him again.
        if missed.whose.is_some_and(|(project, _)| project == id) {
            return Ok(Vec::new());
        }
        let lost = |why: &str| {
            tracing::warn!(attempt = %missed.attempt, project = %id, why, "a missed caller is not called back");
            Ok(Vec::new())
        };
        let Some(project) = self.project(id).await? else { return lost("the project is gone") };
        let mut numbers: Vec<PhoneNumber> = match lead {
            Some(lead) => lead.numbers.clone(),
            None => missed.number.into_iter().cloned().collect(),
        };
        numbers.retain(|number| self.check_number(number, project.rules.only_mobile).is_ok());
        let Some(first) = numbers.first() else { return lost("he has no number that may be dialled") };
        let name = match lead {
            Some(lead) => lead.lead.clone(),
            None => by_number(first),
        };
        let key = self.keys.lead(id, &name);
        if let Some(Read { row, revision }) = self.get::<Lead>(&key).await? {
            if row.claim.is_some() || !row.progress.state.is_finished() {
                return Ok(Vec::new());
            }
            let mut again = row.clone();
            again.progress = Progress { state: LeadState::Again { due: missed.at }, ..Progress::new() };
            let moved = (row.progress.state.status(), again.progress.state.status());
            let step = Step::Edited { project: id.clone(), lead: name, moved };
            return Ok(vec![
                Write::replace(key, revision, encode(&again)),
                Write::create(self.keys.changed_step("edited", id, revision), encode(&step)),
            ]);
        }
        self.ensure_journal().await?;
        let position = self.reserve_places(id, 1).await?;
        let row = Lead {
            lead: name.clone(),
            numbers,
            fields: lead.map(|lead| lead.fields.clone()).unwrap_or_default(),
            notes: Vec::new(),
            tags: lead.map(|lead| lead.tags.clone()).unwrap_or_default(),
            position,
            progress: Progress::new(),
            claim: None,
        };
        let step = Step::Added { project: id.clone(), leads: vec![name] };
        Ok(vec![
            Write::create(key, encode(&fitted(row))),
            Write::create(self.keys.added_step(id, position), encode(&step)),
        ])
    }
}

/// Who has no card is known by his number, so that one who calls ten times is called back once. Ids stand in logs, so it is
/// not the number itself.
fn by_number(number: &PhoneNumber) -> LeadId {
    // FNV-1a: the same in every version of the program.
    let digits = number.digits().bytes();
    let hash = digits.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    LeadId::new(&format!("missed-{hash:016x}")).expect("letters, digits and a dash")
}
