//! Whether a lead may be called right now, by what its tenant has stored: the blacklist, consents, calls of the last
//! month. The rules themselves are in `campaign`; when it is looked at is in `errand`.

use std::time::Duration;

use jiff::tz::TimeZone;
use zvonar_campaign::{Capped, Caps, ConsentRule, Purpose, with_start};
use zvonar_model::{Outcome, PhoneNumber, UnixMillis};
use zvonar_store::{Commit, Write};

use crate::attempt::Claimed;
use crate::tables::{DialRules, Intent, Lead, PersonRow, Read, Stage, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// When a lead without a consent is looked at again: one may have been entered.
pub(crate) const ASKED_AGAIN: Duration = Duration::from_secs(3600);

/// What keeps a lead from being called for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Its number is called as often as it may be.
    Capped(Capped),
    /// Nobody has consented to calls of this purpose.
    NoConsent(Purpose),
}

impl Held {
    /// When it is worth looking again.
    pub(crate) fn until(&self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Capped(capped) => capped.until,
            Self::NoConsent(_) => now.plus(ASKED_AGAIN),
        }
    }
}

/// What became of a start.
#[derive(Debug)]
pub(crate) enum Start {
    /// It is stored: the phone may ring.
    Rings,
    /// The claim had been taken back: it must not.
    Lost,
    /// The number has had its calls, by another project perhaps; nothing is stored.
    Capped(Capped),
}

impl Tables {
    /// How often a project may call one number: what the tenant's policy says, and the law for its purpose.
    pub(crate) fn caps(&self, rules: &DialRules) -> Caps {
        self.policy.caps.and(rules.purpose.caps())
    }

    /// What becomes of an attempt at this number of a lead without any call; `None`: it may be called. A number that a
    /// caller asked not to be called at speaks for all of the lead's numbers.
    pub(crate) async fn forbidden(&self, lead: &Lead, number: &PhoneNumber) -> Result<Option<Outcome>> {
        if self.policy.register.check(number).is_err() {
            // The register may have been loaded after the list.
            return Ok(Some(Outcome::NoSuchNumber));
        }
        for one in std::iter::once(number).chain(lead.numbers.iter().filter(|one| *one != number)) {
            if let Some(blocked) = self.blocked(one).await?
                && (one == number || blocked.attempt.is_some())
            {
                return Ok(Some(Outcome::Blacklisted));
            }
        }
        Ok(None)
    }

    /// What keeps this number from being called for now.
    pub(crate) async fn held(
        &self,
        rules: &DialRules,
        number: &PhoneNumber,
        zones: &[TimeZone],
        now: UnixMillis,
    ) -> Result<Option<Held>> {
        if rules.consent == ConsentRule::Required && !self.consents(number).await?.allow(rules.purpose) {
            return Ok(Some(Held::NoConsent(rules.purpose)));
        }
        let caps = self.caps(rules);
        if caps.is_none() {
            return Ok(None);
        }
        let starts = self.starts(number).await?.map(|read| read.row.starts).unwrap_or_default();
        Ok(caps.hold(&starts, zones, now).map(Held::Capped))
    }

    /// The calls to this number of the last month.
    pub(crate) async fn starts(&self, number: &PhoneNumber) -> Result<Option<Read<PersonRow>>> {
        self.get(&self.keys.person(number)).await
    }

    /// The write that notes a call to a number.
    pub(crate) fn start_write(
        &self,
        number: &PhoneNumber,
        before: Option<&Read<PersonRow>>,
        now: UnixMillis,
    ) -> Write {
        let starts = before.map_or(&[][..], |read| &read.row.starts);
        let row = encode(&PersonRow { starts: with_start(starts, now) });
        let key = self.keys.person(number);
        match before {
            Some(read) => Write::replace(key, read.revision, row),
            None => Write::create(key, row),
        }
    }

    /// Stores that the phone may ring from now on, and counts the call against the caps of its number, in one commit.
    pub(crate) async fn start(
        &self,
        claimed: &mut Claimed,
        caps: &Caps,
        zones: &[TimeZone],
        now: UnixMillis,
    ) -> Result<Start> {
        let mut intent = claimed.intent.clone();
        intent.stage = Stage::Started { at: now };
        intent.lease_until = Claimed::lease(&claimed.order, now);
        let key = self.keys.intent(&intent.attempt);
        for _ in 0..TRIES {
            let person = self.starts(&intent.number).await?;
            let starts = person.as_ref().map_or(&[][..], |read| &read.row.starts);
            if let Some(capped) = caps.hold(starts, zones, now) {
                return Ok(Start::Capped(capped));
            }
            let writes = vec![
                Write::replace(key.clone(), claimed.intent_revision, encode(&intent)),
                self.start_write(&intent.number, person.as_ref(), now),
            ];
            if let Commit::Done(revisions) = self.commit(writes, 0).await? {
                claimed.intent = intent;
                claimed.intent_revision = revisions[0];
                return Ok(Start::Rings);
            }
            // The claim was taken back, or somebody else has just called this number.
            match self.get::<Intent>(&key).await? {
                Some(read) if read.revision == claimed.intent_revision => {}
                _ => return Ok(Start::Lost),
            }
        }
        Err(DialerError::Contended(self.keys.person(&intent.number)))
    }
}
