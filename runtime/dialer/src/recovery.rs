//! After a crash: what became of the attempts that were under way.
//!
//! An intent that was only claimed is taken back: no INVITE left. One that was started may have rung a phone, so it
//! counts as an attempt, «Системная ошибка», and the lead is never dialled again at once. What was under way is found by
//! its intents, of which there are as many as there were lines, not by looking through all leads.

use zvonar_model::UnixMillis;

use crate::alive::Alive;
use crate::attempt::Closed;
use crate::tables::{Epoch, Intent, Read, Stage, Tables};
use crate::{CallReport, Result};

/// The sentence in the record of an attempt that was cut off.
pub const CUT_OFF: &str = "the program stopped during the call; the phone may have rung";

/// Whose attempts are taken for abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// All but those of this run of the program: right when no other can have the store open, as with an embedded one.
    OfOtherRuns(Epoch),
    /// Those whose lease is over.
    Expired,
}

/// What a recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Claims that were taken back: the leads are dialled as if nothing had been.
    pub freed: u64,
    /// Attempts that count as failed: their phones may have rung.
    pub failed: u64,
    /// Callers who waited for a person, and were added to the project from which such callers are called back.
    pub called_back: u64,
}

impl Tables {
    /// Settles what a dead run of the program left of this tenant's calls. Call it before the first call of this run.
    pub async fn recover(&self, abandoned: Abandoned, now: UnixMillis) -> Result<Recovered> {
        self.recover_but(abandoned, &Alive::default(), now).await
    }

    /// The same, leaving alone the attempts that go on.
    pub(crate) async fn recover_but(
        &self,
        abandoned: Abandoned,
        alive: &Alive,
        now: UnixMillis,
    ) -> Result<Recovered> {
        // What is settled below moves leads, so those of before the journal must be in it.
        self.ensure_journal().await?;
        let mut intents: Vec<Read<Intent>> = Vec::new();
        self.each(&self.keys.intents(), |read: Read<Intent>| {
            let dead = match abandoned {
                Abandoned::OfOtherRuns(epoch) => read.row.epoch != epoch,
                Abandoned::Expired => read.row.lease_until < now,
            };
            if dead && !alive.has(&read.row.attempt) {
                intents.push(read);
            }
        })
        .await?;
        let mut done = Recovered::default();
        for intent in intents {
            let left = self.take_up(intent);
            match left.intent.stage {
                Stage::Claimed => done.freed += u64::from(self.free(left).await?),
                Stage::Started { .. } => {
                    let attempt = left.intent.attempt.clone();
                    // What it had decided to send goes out, and its record says so.
                    let sms = self.sent_in(&attempt).await?;
                    let report = CallReport { sms, ..CallReport::failed(now, CUT_OFF) };
                    match self.settle_left(left, report).await? {
                        Closed::Now { .. } => {
                            tracing::warn!(%attempt, "an attempt was cut off and counts as failed");
                            done.failed += 1;
                        }
                        // Its owner lives and was quicker.
                        Closed::Before { .. } => {}
                    }
                }
            }
        }
        done.called_back = self.call_back_left(abandoned, alive, now).await?;
        Ok(done)
    }
}
