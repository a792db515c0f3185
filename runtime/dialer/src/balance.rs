//! The balance: projections of the journals of charges, of fees and of payments.
//!
//! The cursor and the sum go in one commit, so folding again, folding twice at once, or folding after a crash counts
//! each entry once. They can be dropped and made anew from the journal at any time.

use zvonar_ledger::{Balance, Charge, Fee};
use zvonar_store::{Commit, Key, Write};

use crate::fees::FeesRow;
use crate::tables::{BalanceRow, PaidRow, Payment, Read, Row, TRIES, Tables, decode, encode};
use crate::{DialerError, Result};

/// How many entries are folded in one commit.
const BATCH: usize = 500;

impl Tables {
    /// Folds what was charged since the last time, and gives the balance.
    pub async fn balance(&self) -> Result<Balance> {
        Ok(self.fold_balance().await?.balance)
    }

    pub(crate) async fn fold_balance(&self) -> Result<BalanceRow> {
        self.fold(&self.keys.balance(), &self.keys.charges()).await
    }

    pub(crate) async fn fold_payments(&self) -> Result<PaidRow> {
        self.fold(&self.keys.paid(), &self.keys.payments()).await
    }

    pub(crate) async fn fold_fees(&self) -> Result<FeesRow> {
        self.fold(&self.keys.fees_sum(), &self.keys.fees()).await
    }

    async fn fold<T: Fold>(&self, key: &Key, journal: &Key) -> Result<T> {
        for _ in 0..TRIES {
            let stored = self.get::<T>(key).await?;
            let (mut revision, mut row) = match stored {
                Some(read) if read.row.is_current() => (Some(read.revision), read.row),
                Some(read) => (Some(read.revision), T::default()),
                None => (None, T::default()),
            };
            let mut news = self.store.read(self.keys.shard(), journal, row.cursor(), BATCH).await?;
            if news.is_empty() {
                return Ok(row);
            }
            // As long as nobody else folds, batch after batch; on a lost race, from what the other has folded.
            loop {
                for item in &news {
                    row.add(decode::<T::Of>(item)?);
                }
                let write = match revision {
                    Some(revision) => Write::replace(key.clone(), revision, encode(&row)),
                    None => Write::create(key.clone(), encode(&row)),
                };
                // Two that fold the same entries write the same row, so a witness of the other is as good as ours.
                match self.commit(vec![write], 0).await? {
                    Commit::Done(revisions) => revision = revisions.last().copied(),
                    Commit::Conflict => break,
                }
                news = self.store.read(self.keys.shard(), journal, row.cursor(), BATCH).await?;
                if news.is_empty() {
                    return Ok(row);
                }
            }
        }
        Err(DialerError::Contended(key.clone()))
    }
}

/// A sum over a journal, and how far it goes.
trait Fold: Row + Default + Copy + Send + Sync {
    /// What the journal holds.
    type Of: Row;
    /// Whether it was folded as it would be now. What was not is made anew from the journal.
    fn is_current(&self) -> bool {
        true
    }
    fn cursor(&self) -> u64;
    fn add(&mut self, entry: Read<Self::Of>);
}

impl Fold for BalanceRow {
    type Of = Charge;

    fn is_current(&self) -> bool {
        self.rule == Self::RULE
    }

    fn cursor(&self) -> u64 {
        self.cursor
    }

    fn add(&mut self, charge: Read<Charge>) {
        self.balance = self.balance.after(&charge.row);
        self.cursor = charge.revision;
    }
}

impl Fold for PaidRow {
    type Of = Payment;

    fn cursor(&self) -> u64 {
        self.cursor
    }

    fn add(&mut self, payment: Read<Payment>) {
        self.paid += payment.row.kopecks;
        self.payments += 1;
        self.cursor = payment.revision;
    }
}

impl Fold for FeesRow {
    type Of = Fee;

    fn cursor(&self) -> u64 {
        self.cursor
    }

    fn add(&mut self, fee: Read<Fee>) {
        self.fees += fee.row.sum;
        self.cursor = fee.revision;
    }
}
