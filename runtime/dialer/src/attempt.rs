//! One attempt in the store: claimed, started, settled.
//!
//! A lead is claimed by compare-and-set, so two runners cannot both have it. The intent is stored as started before the
//! INVITE leaves. One commit settles: the record, the charge, the step for the reports, the lead's next state, what the
//! scenario wants remembered, and the end of the intent. All keys are made from the attempt's id, so settling twice writes once.

use std::time::Duration;

use bytes::Bytes;
use zvonar_campaign::{Meaning, RetryClass, RetryRules, after, meaning, rotation};
use zvonar_ledger::{Charge, Tariff, rate, rate_by};
use zvonar_model::{
    AttemptId, AttemptRecord, Direction, Kopecks, PhoneNumber, RECORD_VERSION, RecognisedAnswer, TenantId,
    TrunkId, UnixMillis,
};
use zvonar_store::{Commit, MAX_VALUE_BYTES, Write};

use crate::projects::{MAX_FIELD_NAME, MAX_FIELDS, MAX_NOTES, MAX_TEXT, cut};
use crate::tables::{AttemptStep, Epoch, Intent, Lead, Project, Read, Stage, Step, TRIES, Tables, encode};
use crate::texts::{TextDecision, sent_sms};
use crate::{CallReport, DialerError, Effects, Order, Result};

/// How long a claim holds on which nothing was started.
const CLAIM_LEASE: Duration = Duration::from_secs(60);

/// How long a started attempt may take beyond its ringing before its owner is taken for dead. No call is longer.
const CALL_LEASE: Duration = Duration::from_secs(4 * 3600);

/// An attempt that this process owns: only its holder may place the call, and only once.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) intent: Intent,
    pub(crate) order: Order,
    pub(crate) intent_revision: u64,
    /// The lead as it was claimed; saves reading it again when nobody edits it meanwhile.
    lead: Option<Read<Lead>>,
}

impl Claimed {
    /// Until when an attempt that starts now is its owner's.
    pub(crate) fn lease(order: &Order, now: UnixMillis) -> UnixMillis {
        now.plus(order.ring).plus(CALL_LEASE)
    }
}

/// What settling came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// Record and charge are written.
    Done {
        /// The record.
        record: Box<AttemptRecord>,
        /// What it costs.
        charge: Charge,
    },
    /// The attempt had been given up, and stands in the books as failed. The true record was put aside, so that what
    /// the carrier will ask for can be explained.
    Orphan {
        /// The true record.
        record: Box<AttemptRecord>,
    },
}

/// A call that came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    /// Its id.
    pub attempt: AttemptId,
    /// The caller's number, if it is one.
    pub number: Option<PhoneNumber>,
    /// The caller as the network named it.
    pub peer: String,
    /// By which trunk it came.
    pub trunk: Option<TrunkId>,
    /// When its INVITE came.
    pub started_at: UnixMillis,
}

impl Tables {
    /// Takes a lead for an attempt. `None`: somebody else was quicker, or the lead has changed.
    pub(crate) async fn claim(
        &self,
        project: &Project,
        lead: Read<Lead>,
        attempt: AttemptId,
        epoch: Epoch,
        now: UnixMillis,
    ) -> Result<Option<Claimed>> {
        let Read { mut row, revision } = lead;
        if row.claim.is_some() || row.progress.state.is_finished() {
            return Ok(None);
        }
        let rules = project.rules.retry;
        let turn = rotation(&row.progress.tries, &rules, &row.numbers).next();
        let Some(number) = turn.map(|turn| row.numbers[turn].clone()) else {
            self.retire(project, row, revision).await?;
            return Ok(None);
        };
        let intent = Intent {
            attempt: attempt.clone(),
            project: Some(project.project.clone()),
            lead: Some(row.lead.clone()),
            number: number.clone(),
            trunk: project.trunk.clone(),
            epoch,
            stage: Stage::Claimed,
            rules,
            lease_until: now.plus(CLAIM_LEASE),
        };
        row.claim = Some(attempt.clone());
        let writes = vec![
            Write::create(self.keys.intent(&attempt), encode(&intent)),
            Write::replace(self.keys.lead(&project.project, &row.lead), revision, encode(&row)),
        ];
        let Commit::Done(revisions) = self.commit(writes, 0).await? else { return Ok(None) };
        let order = Order {
            attempt,
            tenant: self.tenant.clone(),
            project: Some(project.project.clone()),
            lead: Some(row.lead.clone()),
            number,
            trunk: project.trunk.clone(),
            scenario: project.scenario.clone(),
            settings: project.settings.clone(),
            fields: row.fields.clone(),
            attempt_number: row.progress.tries.len() as u32 + 1,
            ring: project.ring(),
        };
        let lead = Some(Read { row, revision: revisions[1] });
        Ok(Some(Claimed { intent, order, intent_revision: revisions[0], lead }))
    }

    /// Finishes a lead whose numbers have all had their calls by rules that were made stricter since: nothing else would,
    /// and its project would never be done. Whoever changes the lead at the same moment goes first.
    async fn retire(&self, project: &Project, mut row: Lead, revision: u64) -> Result<()> {
        let before = row.progress.state.status();
        row.progress.state = rotation(&row.progress.tries, &project.rules.retry, &row.numbers).state();
        let moved = (before, row.progress.state.status());
        let step = Step::Edited { project: project.project.clone(), lead: row.lead.clone(), moved };
        let writes = vec![
            Write::create(self.keys.changed_step("retired", &project.project, revision), encode(&step)),
            Write::replace(self.keys.lead(&project.project, &row.lead), revision, encode(&row)),
        ];
        let _ = self.commit(writes, 0).await?;
        Ok(())
    }

    /// Stores the intent to place a call by hand, as started. `None`: the attempt's id was used before.
    pub(crate) async fn start_by_hand(
        &self,
        order: Order,
        epoch: Epoch,
        now: UnixMillis,
    ) -> Result<Option<Claimed>> {
        let intent = Intent {
            attempt: order.attempt.clone(),
            project: None,
            lead: None,
            number: order.number.clone(),
            trunk: order.trunk.clone(),
            epoch,
            stage: Stage::Started { at: now },
            rules: RetryRules::default(),
            lease_until: Claimed::lease(&order, now),
        };
        let used = self.store.get(self.keys.shard(), &self.keys.call(&order.attempt)).await?.is_some();
        if used {
            return Ok(None);
        }
        let key = self.keys.intent(&intent.attempt);
        for _ in 0..TRIES {
            // Whoever calls by hand is held by no cap, and his calls count all the same.
            let person = self.starts(&intent.number).await?;
            let writes = vec![
                Write::create(key.clone(), encode(&intent)),
                self.start_write(&intent.number, person.as_ref(), now),
            ];
            if let Commit::Done(revisions) = self.commit(writes, 0).await? {
                return Ok(Some(Claimed { intent, order, intent_revision: revisions[0], lead: None }));
            }
            if self.get::<Intent>(&key).await?.is_some() {
                return Ok(None);
            }
        }
        Err(DialerError::Contended(key))
    }

    /// Takes up an attempt that another run of the program left.
    pub(crate) fn take_up(&self, intent: Read<Intent>) -> Left {
        Left { intent: intent.row, intent_revision: intent.revision, lead: None }
    }

    /// Settles an attempt of ours. Gives the lead as it is after it, if it was still the attempt's.
    pub(crate) async fn settle(
        &self,
        claimed: Claimed,
        report: CallReport,
    ) -> Result<(Settled, Option<Box<Lead>>)> {
        let left =
            Left { intent: claimed.intent, intent_revision: claimed.intent_revision, lead: claimed.lead };
        let effects = report.effects.clone();
        match self.settle_left(left, report).await? {
            Closed::Now { record, charge, lead } => Ok((Settled::Done { record, charge }, lead)),
            Closed::Before { record } => {
                self.refuse_late(&record, &effects).await?;
                self.store_texts_late(&record, &effects.texts).await?;
                Ok((self.put_aside(*record).await?, None))
            }
        }
    }

    /// Settles a call that came in: its record and its charge.
    pub async fn settle_inbound(&self, inbound: Inbound, report: CallReport) -> Result<Settled> {
        let (report, effects) = split(report);
        let record = record(
            &self.tenant,
            Begun {
                attempt: inbound.attempt,
                project: None,
                lead: None,
                direction: Direction::Inbound,
                number: inbound.number,
                peer: inbound.peer,
                trunk: inbound.trunk,
                started_at: inbound.started_at,
            },
            report,
            &effects.texts,
        );
        let (record, charge, books) = self.books(record);
        let key = self.keys.call(&record.attempt);
        for _ in 0..TRIES {
            let mut writes = books.clone();
            writes.push(self.step_write(&record, &charge, None));
            writes.extend(self.refusal_writes(&record, &effects, None).await?);
            writes.extend(self.call_back_writes(&record, &effects, None).await?);
            writes.extend(self.missing_text_writes(&record, &effects.texts).await?);
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(Settled::Done { record: Box::new(record), charge });
            }
            // It was settled before, or somebody has changed what the caller had consented to, or stored his messages.
            if self.store.get(self.keys.shard(), &key).await?.is_some() {
                self.store_texts_late(&record, &effects.texts).await?;
                return self.put_aside(record).await;
            }
        }
        Err(DialerError::Contended(key))
    }

    /// The commit of a finished attempt, whoever began it.
    pub(crate) async fn settle_left(&self, left: Left, report: CallReport) -> Result<Closed> {
        let Left { intent, mut intent_revision, mut lead } = left;
        let (report, effects) = split(report);
        let started_at = match intent.stage {
            Stage::Started { at } => at,
            Stage::Claimed => report.ended_at,
        };
        let record = record(
            &self.tenant,
            Begun {
                attempt: intent.attempt.clone(),
                project: intent.project.clone(),
                lead: intent.lead.clone(),
                direction: Direction::Outbound,
                peer: intent.number.reveal().to_owned(),
                number: Some(intent.number.clone()),
                trunk: Some(intent.trunk.clone()),
                started_at,
            },
            report,
            &effects.texts,
        );
        let (record, charge, books) = self.books(record);
        let whose = intent.project.as_ref().zip(intent.lead.as_ref());
        for _ in 0..TRIES {
            let mut writes = books.clone();
            writes.push(Write::delete(self.keys.intent(&intent.attempt), intent_revision));
            let mut after = None;
            if let Some((project, id)) = whose {
                if lead.is_none() {
                    lead = self.get::<Lead>(&self.keys.lead(project, id)).await?;
                }
                // The lead may have been deleted, or claimed anew after this attempt was given up.
                if let Some(Read { row, revision }) = &lead
                    && row.claim.as_ref() == Some(&intent.attempt)
                {
                    let (next, text) = next_lead(row, &record, &effects, &intent.rules, ROOM);
                    writes.push(Write::replace(self.keys.lead(project, id), *revision, text));
                    after = Some(next);
                }
            }
            let moved = lead.as_ref().map(|read| &read.row).zip(after.as_ref());
            writes.push(self.step_write(&record, &charge, moved));
            let card = lead.as_ref().map(|read| &read.row);
            writes.extend(self.refusal_writes(&record, &effects, card).await?);
            writes.extend(self.call_back_writes(&record, &effects, card).await?);
            writes.extend(self.missing_text_writes(&record, &effects.texts).await?);
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(Closed::Now { record: Box::new(record), charge, lead: after.map(Box::new) });
            }
            // Somebody edited the lead, or stored a message, or settled the attempt.
            match self.get::<Intent>(&self.keys.intent(&intent.attempt)).await? {
                Some(read) => intent_revision = read.revision,
                None => return Ok(Closed::Before { record: Box::new(record) }),
            }
            lead = None;
        }
        Err(DialerError::Contended(self.keys.intent(&intent.attempt)))
    }

    /// Record and charge, and the writes that create them.
    fn books(&self, record: AttemptRecord) -> (AttemptRecord, Charge, Vec<Write>) {
        let (record, text) = fitted(record);
        let charge = rate(&self.prices, &record);
        let writes = vec![
            Write::create(self.keys.call(&record.attempt), text),
            Write::create(self.keys.charge(&record.attempt), encode(&charge)),
        ];
        (record, charge, writes)
    }

    fn step_write(&self, record: &AttemptRecord, charge: &Charge, lead: Option<(&Lead, &Lead)>) -> Write {
        let step = Step::Attempt(Box::new(AttemptStep::of(record, charge, lead)));
        Write::create(self.keys.attempt_step(&record.attempt), encode(&step))
    }

    /// Keeps the true record of an attempt that the books have as failed.
    async fn put_aside(&self, record: AttemptRecord) -> Result<Settled> {
        tracing::warn!(attempt = %record.attempt, "a report came after its attempt was given up");
        let key = self.keys.orphan(&record.attempt);
        // A conflict says that it is there.
        let _ = self.commit(vec![Write::create(key, encode(&record))], 0).await?;
        Ok(Settled::Orphan { record: Box::new(record) })
    }

    /// Gives a lead back that this process claimed and for whom nothing was started.
    pub(crate) async fn give_back(&self, claimed: Claimed) -> Result<bool> {
        let Claimed { intent, intent_revision, lead, .. } = claimed;
        self.free(Left { intent, intent_revision, lead }).await
    }

    /// Gives a lead back whose attempt never started. `false`: its owner was quicker.
    pub(crate) async fn free(&self, left: Left) -> Result<bool> {
        let Left { intent, intent_revision, .. } = left;
        let key = self.keys.intent(&intent.attempt);
        for _ in 0..TRIES {
            let mut writes = vec![Write::delete(key.clone(), intent_revision)];
            if let Some((project, id)) = intent.project.as_ref().zip(intent.lead.as_ref()) {
                let key = self.keys.lead(project, id);
                if let Some(Read { mut row, revision }) = self.get::<Lead>(&key).await?
                    && row.claim.as_ref() == Some(&intent.attempt)
                {
                    row.claim = None;
                    writes.push(Write::replace(key, revision, encode(&row)));
                }
            }
            // A deletion leaves no witness behind, but its absence is one: whatever became of the commit, the intent
            // tells.
            let sent = self.store.commit(self.keys.shard(), writes).await;
            if let Ok(Commit::Done(_)) = sent {
                return Ok(true);
            }
            match self.get::<Intent>(&key).await? {
                None => return Ok(true),
                Some(read) if read.revision != intent_revision => return Ok(false),
                // Sent again: after a lost answer, or with the lead as it is now.
                Some(_) => match sent {
                    Err(error) if !error.is_worth_retrying() => return Err(error.into()),
                    _ => {}
                },
            }
        }
        Err(DialerError::Contended(key))
    }
}

/// What the settling commit came to.
pub(crate) enum Closed {
    /// It is written.
    Now { record: Box<AttemptRecord>, charge: Charge, lead: Option<Box<Lead>> },
    /// Somebody else had settled the attempt before.
    Before { record: Box<AttemptRecord> },
}

/// An attempt to be settled by whoever holds it.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) intent: Intent,
    intent_revision: u64,
    lead: Option<Read<Lead>>,
}

/// What is known of an attempt before its call.
struct Begun {
    attempt: AttemptId,
    project: Option<zvonar_model::ProjectId>,
    lead: Option<zvonar_model::LeadId>,
    direction: Direction,
    number: Option<PhoneNumber>,
    peer: String,
    trunk: Option<TrunkId>,
    started_at: UnixMillis,
}

fn split(mut report: CallReport) -> (CallReport, Effects) {
    let effects = std::mem::take(&mut report.effects);
    (report, effects)
}

fn record(tenant: &TenantId, begun: Begun, report: CallReport, texts: &[TextDecision]) -> AttemptRecord {
    let mut sms = report.sms;
    sms.extend(texts.iter().map(|text| sent_sms(&text.id(&begun.attempt), text.segments)));
    AttemptRecord {
        version: RECORD_VERSION,
        attempt: begun.attempt,
        tenant: tenant.clone(),
        project: begun.project,
        lead: begun.lead,
        direction: begun.direction,
        number: begun.number,
        peer: if report.peer.is_empty() { begun.peer } else { report.peer },
        trunk: begun.trunk,
        started_at: begun.started_at,
        answered_at: report.answered_at,
        ended_at: report.ended_at,
        post_dial_delay: report.post_dial_delay,
        phases: report.phases,
        machine: report.machine,
        outcome: report.outcome,
        sip_code: report.sip_code,
        keys: report.keys,
        answers: report.answers,
        transfers: report.transfers,
        sms,
        scenario: report.scenario,
        media: report.media,
        recording: report.recording,
        trace: report.trace,
    }
}

/// What a row may weigh as it is stored. JSON is longer than the text in it: a quote is two bytes there, a control
/// character six, so limits of the text alone promise nothing.
const ROOM: usize = MAX_VALUE_BYTES - 1024;

/// Shortens a trace until the record fits into the store, and then what was said in answers, the longest first. What is
/// charged for is never cut. The record comes as it is stored, too.
fn fitted(mut record: AttemptRecord) -> (AttemptRecord, Bytes) {
    loop {
        let text = encode(&record);
        if text.len() <= ROOM {
            return (record, text);
        }
        if record.trace.events.is_empty() {
            // Of a thousand answers, what is charged for fits in any case.
            let longest = record.answers.iter().map(|answer| answer.text.len()).max().unwrap_or(0);
            let told = |answer: &RecognisedAnswer| !answer.model.is_empty() || answer.sound.is_some();
            if longest == 0 && !record.answers.iter().any(told) {
                return (record, text);
            }
            for answer in &mut record.answers {
                answer.text = cut(&answer.text, longest / 2);
                if longest == 0 {
                    (answer.model, answer.sound) = (String::new(), None);
                }
            }
            continue;
        }
        let kept = record.trace.events.len() / 2;
        let cut = record.trace.events.len() - kept;
        record.trace.events.truncate(kept);
        record.trace.dropped = record.trace.dropped.saturating_add(u32::try_from(cut).unwrap_or(u32::MAX));
    }
}

/// The lead after its attempt, not heavier than `room` when it is stored: the oldest notes go first, then what this
/// call wrote into the fields. Its progress always stays, as the commit that carries it carries the charge too. The lead
/// comes as it is stored, too.
fn next_lead(
    lead: &Lead,
    record: &AttemptRecord,
    effects: &Effects,
    rules: &RetryRules,
    room: usize,
) -> (Lead, Bytes) {
    let mut next = lead.clone();
    next.claim = None;
    // Who wanted a person, got none, and is to be called back by this very project, was not reached as yet.
    let missed = effects.call_back.is_some() && effects.call_back == record.project;
    let meaning = if missed { Meaning::Retried(RetryClass::NoAnswer) } else { meaning(record) };
    next.progress = after(&lead.progress, record, meaning, rules, &lead.numbers);
    let mut written = Vec::new();
    for (name, value) in &effects.set_fields {
        let name = cut(name, MAX_FIELD_NAME);
        if next.fields.len() < MAX_FIELDS || next.fields.contains_key(&name) {
            next.fields.insert(name.clone(), cut(value, MAX_TEXT));
            written.push(name);
        }
    }
    next.notes.extend(effects.notes.iter().map(|note| cut(note, MAX_TEXT)));
    let surplus = next.notes.len().saturating_sub(MAX_NOTES);
    next.notes.drain(..surplus);
    let mut dropped = 0;
    let mut text = encode(&next);
    while text.len() > room {
        if !next.notes.is_empty() {
            next.notes.remove(0);
        } else if let Some(name) = written.pop() {
            match lead.fields.get(&name) {
                Some(before) => next.fields.insert(name, before.clone()),
                None => next.fields.remove(&name),
            };
        } else {
            break;
        }
        dropped += 1;
        text = encode(&next);
    }
    if dropped > 0 {
        tracing::warn!(attempt = %record.attempt, dropped, "notes and fields did not fit on the card");
    }
    (next, text)
}

/// What a call outside the books would cost by this tariff: for calls that are placed from the command line alone.
pub fn rate_report(tariff: &Tariff, report: &CallReport) -> Kopecks {
    let begun = Begun {
        attempt: AttemptId::fresh(UnixMillis(0), 0),
        project: None,
        lead: None,
        direction: Direction::Outbound,
        number: None,
        peer: String::new(),
        trunk: None,
        started_at: report.ended_at,
    };
    let tenant = TenantId::new("nobody").expect("a good id");
    rate_by(tariff, &record(&tenant, begun, report.clone(), &[])).total
}
