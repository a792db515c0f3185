//! Messages in the store: decided, looked up, charged, checked.

use jiff::tz::TimeZone;
use zvonar_campaign::{Calling, ConsentRule};
use zvonar_gateways::SmsId;
use zvonar_gateways::outbox::{Passage, Trouble};
use zvonar_ledger::{Charge, charge_text};
use zvonar_model::{AttemptId, AttemptRecord, Kopecks, PhoneNumber, SentSms, UnixMillis};
use zvonar_store::{Commit, Key, Write, commit_surely};

use super::decision::{TextDecision, Whose};
use super::rows::{Fate, NumberRow, NumbersRow, OutboxRow, Text, TextId, TextStatus, reason};
use crate::hours::Hours;
use crate::tables::{Read, TRIES, Tables, TenantKeys, decode, encode};
use crate::verify::{BookFault, Verified};
use crate::{Day, DialerError, Result};

/// How many messages the settling commit stores itself; if more are missing, the first of them are stored before.
const SETTLED: usize = 6;

/// How many messages are stored in one commit.
const BATCH: usize = 40;

/// How many rows of the journal are read at once.
const PAGE: usize = 500;

/// A message and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextInfo {
    /// What was decided.
    pub text: Text,
    /// What became of it.
    pub fate: Fate,
}

impl TextInfo {
    /// Where it is, in a word.
    pub fn status(&self) -> TextStatus {
        TextStatus::of(&self.fate.life.state)
    }

    /// Why it is there, if that is no good news.
    pub fn reason(&self) -> Option<String> {
        reason(&self.fate.life.state)
    }
}

/// A part of the messages.
#[derive(Debug, Clone, PartialEq)]
pub struct TextPage {
    /// In the order in which they were stored.
    pub texts: Vec<TextInfo>,
    /// Where to go on; `None`: this was the last.
    pub next: Option<u64>,
}

/// Whether a tenant's messages go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxState {
    /// What keeps them.
    pub trouble: Option<Trouble>,
    /// One is tried then.
    pub until: Option<UnixMillis>,
    /// How many have left today, Moscow time.
    pub today: u32,
}

impl Tables {
    /// What was decided in an attempt, and what became of it, in order.
    pub async fn texts_of(&self, attempt: &AttemptId) -> Result<Vec<TextInfo>> {
        let mut found = Vec::new();
        let mut id = TextId { attempt: attempt.clone(), ordinal: 1 };
        // They are stored in the order of their decisions, so there is no gap.
        while let Some(info) = self.text(&id).await? {
            found.push(info);
            id.ordinal += 1;
        }
        Ok(found)
    }

    /// A message and what has become of it.
    pub async fn text(&self, id: &TextId) -> Result<Option<TextInfo>> {
        let Some(Read { row: text, .. }) = self.get::<Text>(&self.keys.text(id)).await? else {
            return Ok(None);
        };
        let key = self.keys.text(id);
        let fate = self.fate(id).await?;
        let (fate, _) = fate.ok_or_else(|| DialerError::Unreadable { key, what: NO_FATE.into() })?;
        Ok(Some(TextInfo { text, fate: fate.row }))
    }

    /// What has become of a message, and whether nothing is left to be done about it.
    pub(super) async fn fate(&self, id: &TextId) -> Result<Option<(Read<Fate>, bool)>> {
        // It may be moved from the one to the other in between; back only by news, and then it is seen there.
        for (key, done) in [
            (self.keys.open_text(id), false),
            (self.keys.done_text(id), true),
            (self.keys.open_text(id), false),
        ] {
            if let Some(fate) = self.get::<Fate>(&key).await? {
                return Ok(Some((fate, done)));
            }
        }
        Ok(None)
    }

    /// Up to `limit` messages above a revision of their journal, decided before `to`.
    pub async fn text_page(&self, above: u64, limit: usize, to: UnixMillis) -> Result<TextPage> {
        let items = self.store.read(self.keys.shard(), &self.keys.texts(), above, limit).await?;
        let mut next = items.last().map(|item| item.revision).filter(|_| items.len() == limit);
        let mut texts = Vec::with_capacity(items.len());
        for item in &items {
            let text = decode::<Text>(item)?.row;
            if text.decided_at >= to {
                next = None;
                continue;
            }
            let missing = || DialerError::Unreadable { key: item.key.clone(), what: NO_FATE.into() };
            let (fate, _) = self.fate(&text.id).await?.ok_or_else(missing)?;
            texts.push(TextInfo { text, fate: fate.row });
        }
        Ok(TextPage { texts, next })
    }

    /// Where the messages begin in their journal that were decided at this moment or later.
    pub async fn texts_from(&self, moment: UnixMillis) -> Result<u64> {
        // A call's messages may be stored when it is settled, after those of others.
        let moment = UnixMillis(moment.0.saturating_sub(LATEST_MS));
        let mut high = 1_u64;
        while self.decided_above(high).await?.is_some_and(|decided| decided < moment) {
            high = high.saturating_mul(2);
        }
        let mut low = high / 2;
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.decided_above(middle).await? {
                Some(decided) if decided < moment => low = middle,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    async fn decided_above(&self, above: u64) -> Result<Option<UnixMillis>> {
        let items = self.store.read(self.keys.shard(), &self.keys.texts(), above, 1).await?;
        items.first().map(|item| Ok(decode::<Text>(item)?.row.decided_at)).transpose()
    }

    /// Where a message stands in the journal of them.
    pub async fn text_place(&self, id: &TextId) -> Result<Option<u64>> {
        let item = self.store.get(self.keys.shard(), &self.keys.text(id)).await?;
        Ok(item.map(|item| item.revision))
    }

    /// Whether messages go out.
    pub async fn outbox_state(&self, now: UnixMillis) -> Result<OutboxState> {
        let row = self.get::<OutboxRow>(&self.keys.outbox()).await?.map(|read| read.row).unwrap_or_default();
        let today = row.day.filter(|(day, _)| *day == Day::of(now)).map_or(0, |(_, count)| count);
        let until = match row.gate.passage(now) {
            Passage::Closed(until) => Some(until),
            Passage::Open | Passage::One => None,
        };
        Ok(OutboxState { trouble: row.gate.trouble(), until, today })
    }

    /// Somebody says that what keeps the messages is over: one is tried at once, also by a host that runs. `false`: nothing
    /// keeps them.
    pub async fn try_texts_now(&self, now: UnixMillis) -> Result<bool> {
        let key = self.keys.outbox();
        for _ in 0..TRIES {
            let Some(Read { row: before, revision }) = self.get::<OutboxRow>(&key).await? else {
                return Ok(false);
            };
            let mut row = before.clone();
            row.gate.try_now(now);
            if row == before {
                return Ok(row.gate.trouble().is_some());
            }
            let write = Write::replace(key.clone(), revision, encode(&row));
            if let Commit::Done(_) = self.commit(vec![write], 0).await? {
                return Ok(true);
            }
        }
        Err(DialerError::Contended(key))
    }

    /// How many messages were decided and not given to the gateway yet.
    pub async fn texts_waiting(&self) -> Result<u64> {
        let mut waiting = 0;
        self.each(&self.keys.open_texts(), |read: Read<Fate>| {
            let status = TextStatus::of(&read.row.life.state);
            waiting += u64::from(matches!(status, TextStatus::Queued | TextStatus::Sending));
        })
        .await?;
        Ok(waiting)
    }

    /// Stores messages; those that are stored stay as they are.
    pub(crate) async fn store_texts(&self, texts: &[Text]) -> Result<()> {
        for batch in texts.chunks(BATCH) {
            for tries in 0..TRIES {
                let mut writes = Vec::new();
                for text in batch {
                    if self.store.get(self.keys.shard(), &self.keys.text(&text.id)).await?.is_none() {
                        writes.extend(self.text_writes(text));
                    }
                }
                if writes.is_empty() {
                    break;
                }
                // The same decision is the same value: whoever wrote the witness, it is written.
                match self.commit(writes, 0).await? {
                    Commit::Done(_) => break,
                    Commit::Conflict if tries + 1 == TRIES => {
                        return Err(DialerError::Contended(self.keys.text(&batch[0].id)));
                    }
                    Commit::Conflict => {}
                }
            }
        }
        Ok(())
    }

    fn text_writes(&self, text: &Text) -> [Write; 2] {
        [
            Write::create(self.keys.text(&text.id), encode(text)),
            Write::create(self.keys.open_text(&text.id), encode(&Fate::begun(text))),
        ]
    }

    /// The writes of a settling commit that store what was decided in the call and is not stored yet. If that is too much
    /// for one commit, the first are stored here and now.
    pub(crate) async fn missing_text_writes(
        &self,
        record: &AttemptRecord,
        decisions: &[TextDecision],
    ) -> Result<Vec<Write>> {
        let mut missing = Vec::new();
        for text in texts(record, decisions) {
            if self.store.get(self.keys.shard(), &self.keys.text(&text.id)).await?.is_none() {
                missing.push(text);
            }
        }
        let before = missing.len().saturating_sub(SETTLED);
        self.store_texts(&missing[..before]).await?;
        Ok(missing[before..].iter().flat_map(|text| self.text_writes(text)).collect())
    }

    /// Stores what was decided in a call whose attempt had been settled before it ended: somebody was promised it.
    pub(crate) async fn store_texts_late(
        &self,
        record: &AttemptRecord,
        decisions: &[TextDecision],
    ) -> Result<()> {
        self.store_texts(&texts(record, decisions).collect::<Vec<_>>()).await
    }

    /// What the record of an attempt that was cut off says of its messages.
    pub(crate) async fn sent_in(&self, attempt: &AttemptId) -> Result<Vec<SentSms>> {
        let texts = self.texts_of(attempt).await?.into_iter();
        Ok(texts.map(|info| sent_sms(&info.text.id, info.text.segments)).collect())
    }

    /// What a message was charged, line by line.
    pub async fn text_charge(&self, id: &TextId) -> Result<Option<Charge>> {
        Ok(self.get(&self.keys.text_charge(id)).await?.map(|read| read.row))
    }

    /// What so many messages of an attempt were charged up to now.
    pub(crate) async fn text_charges(&self, attempt: &AttemptId, texts: u32) -> Result<Vec<Charge>> {
        let mut charges = Vec::new();
        for ordinal in 1..=texts {
            charges.extend(self.text_charge(&TextId { attempt: attempt.clone(), ordinal }).await?);
        }
        Ok(charges)
    }

    /// Which of the tenant's messages the gateway knows by this number.
    pub async fn text_by_number(&self, number: SmsId) -> Result<Option<TextId>> {
        let row = self.get::<NumberRow>(&self.keys.text_number(number)).await?;
        Ok(row.map(|read| read.row.text))
    }

    /// Why a message must not be sent, as things stand now; `None`: it may.
    pub(super) async fn text_forbidden(&self, text: &Text) -> Result<Option<String>> {
        if let Err(why) = self.policy.register.check(&text.to) {
            return Ok(Some(why.to_string()));
        }
        if let Some(blocked) = self.blocked(&text.to).await? {
            return Ok(Some(format!("the number is on the blacklist ({})", blocked.why)));
        }
        let said = self.consents(&text.to).await?;
        let project = match &text.project {
            Some(project) => self.project(project).await?,
            None => None,
        };
        let Some(project) = project else {
            // Nobody says what it is about: whoever has taken something back, and gave nothing, is left alone.
            let mut any = said.said.values();
            let refused = any.clone().any(|said| !said.given) && !any.any(|said| said.given);
            return Ok(refused.then(|| "a consent was taken back, and none is left".into()));
        };
        let purpose = project.rules.purpose;
        if said.said.get(&purpose).is_some_and(|said| !said.given) {
            return Ok(Some(format!("the consent to «{}» was taken back", purpose.title())));
        }
        if project.rules.consent == ConsentRule::Required && !said.allow(purpose) {
            return Ok(Some(format!("there is no consent to «{}»", purpose.title())));
        }
        Ok(None)
    }

    /// Until when the law lets nobody write to this number about what the message's project is for (230-ФЗ: its hours where the
    /// person lives, and so many a day, week and month); `None`: it may go. `moments`: when messages left to it.
    pub(super) async fn text_held(
        &self,
        text: &Text,
        moments: &[UnixMillis],
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>> {
        let Some(id) = &text.project else { return Ok(None) };
        let Some(project) = self.project(id).await? else { return Ok(None) };
        let purpose = project.rules.purpose;
        let Some(law) = purpose.hours() else { return Ok(None) };
        let lead = match &text.lead {
            Some(lead) => self.lead(id, lead).await?,
            None => None,
        };
        let zones = match &lead {
            Some(lead) => Hours::new(&project.rules, &self.policy.register)?.zones(lead),
            None => TimeZone::get(&project.rules.zone).into_iter().collect(),
        };
        if let Calling::Closed { opens } = law.calling(now, &zones) {
            return Ok(Some(opens.unwrap_or(text.until)));
        }
        Ok(purpose.text_caps().hold(moments, &zones, now).map(|capped| capped.until))
    }

    /// Takes the next numbers of an account, never to be given again: the first and how many. They are the account's, so
    /// tenants that share one cannot get the same.
    pub(super) async fn take_numbers(&self, account: &str, first: u32, wanted: u32) -> Result<(u32, u32)> {
        let (shard, key) = TenantKeys::account_numbers(account);
        for _ in 0..TRIES {
            let stored = self.store.get(shard, &key).await?;
            let known = stored.as_ref().map(decode::<NumbersRow>).transpose()?;
            let next = known.as_ref().map_or(1, |known| known.row.next).max(first).max(1);
            let taken =
                wanted.min((SmsId::MAX - next.min(SmsId::MAX)).saturating_add(u32::from(next <= SmsId::MAX)));
            if taken == 0 {
                return Err(DialerError::NoNumbers);
            }
            let row = encode(&NumbersRow { next: next + taken, by: self.tenant.clone() });
            let write = match known {
                Some(known) => Write::replace(key.clone(), known.revision, row),
                None => Write::create(key.clone(), row),
            };
            if let Commit::Done(_) = commit_surely(&*self.store, shard, vec![write], 0).await? {
                return Ok((next, taken));
            }
        }
        Err(DialerError::Contended(key))
    }

    /// Works the charges of messages out again, and looks for messages that cost something and were not charged.
    pub(crate) async fn verify_texts(&self, found: &mut Verified) -> Result<()> {
        let mut after = 0;
        loop {
            let items = self.store.read(self.keys.shard(), &self.keys.texts(), after, PAGE).await?;
            let Some(last) = items.last() else { return Ok(()) };
            after = last.revision;
            for item in &items {
                let text = decode::<Text>(item)?.row;
                found.texts += 1;
                // The charge is written in one commit with the fate, so it is looked for after it.
                let Some((fate, _)) = self.fate(&text.id).await? else {
                    found.fault(BookFault::TextWithoutFate { text: text.id });
                    continue;
                };
                let charge = self.text_charge(&text.id).await?;
                match (fate.row.charged, charge) {
                    (Some(_), None) => found.fault(BookFault::TextNotCharged { text: text.id }),
                    _ if fate.row.is_unpriced() => found.texts_unpriced += 1,
                    _ if TextStatus::of(&fate.row.life.state) == TextStatus::InDoubt => {
                        found.texts_in_doubt += 1;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Works one charge of a message out again.
    pub(crate) async fn verify_text_charge(
        &self,
        id: &TextId,
        key: &Key,
        charge: Charge,
        found: &mut Verified,
    ) -> Result<()> {
        if charge.attempt != id.attempt {
            let attempt = charge.attempt.clone();
            found.fault(BookFault::Misplaced { key: key.last().into(), attempt });
        }
        // The charge was read first, and the fate that goes with it was written in the same commit.
        let Some(info) = self.text(id).await? else {
            found.fault(BookFault::NoText { text: id.clone() });
            return Ok(());
        };
        let due = due_charge(&info);
        found.sum += due.as_ref().map_or(Kopecks::ZERO, |due| due.total);
        if due.as_ref() != Some(&charge) {
            let due = due.map_or(Kopecks::ZERO, |due| due.total);
            found.fault(BookFault::TextDiffers { text: id.clone(), stored: charge.total, due });
        }
        Ok(())
    }
}

/// Texts may be stored so long after they were decided: as long as a call lasts at most.
const LATEST_MS: i64 = 4 * 3_600_000;

const NO_FATE: &str = "nothing tells what became of the message, though both are written together";

/// What a message costs, as the gateway has told.
fn due_charge(info: &TextInfo) -> Option<Charge> {
    let cost = info.fate.charged?;
    let parts = match info.fate.life.state {
        zvonar_gateways::outbox::State::Accepted { parts: Some(parts), .. } => parts,
        _ => info.text.segments,
    };
    Some(charge_text(&info.text.id.attempt, info.text.id.ordinal, parts, cost))
}

/// What a record says of a message.
pub(crate) fn sent_sms(id: &TextId, segments: u32) -> SentSms {
    SentSms { id: id.to_string(), segments, price: None }
}

fn texts<'a>(record: &AttemptRecord, decisions: &'a [TextDecision]) -> impl Iterator<Item = Text> + use<'a> {
    let (attempt, project, lead) = (record.attempt.clone(), record.project.clone(), record.lead.clone());
    let whose = Whose { attempt, project, lead };
    decisions.iter().map(move |decision| whose.text(decision))
}

/// The digits of a number, however somebody else writes it.
pub(super) fn same_number(number: &PhoneNumber, digits: &str) -> bool {
    digits.chars().filter(char::is_ascii_digit).eq(number.digits().chars())
}
