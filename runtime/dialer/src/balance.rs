//! The balance: a projection of the journal of charges.
//!
//! The cursor and the sum go in one commit, so folding again, folding twice at once, or folding after a crash counts
//! each charge once. It can be dropped and made anew from the journal at any time.

use zvonar_ledger::{Balance, Charge};
use zvonar_store::{Commit, Write};

use crate::tables::{BalanceRow, TRIES, Tables, decode, encode};
use crate::{DialerError, Result};

/// How many charges are folded in one commit.
const BATCH: usize = 500;

impl Tables {
    /// Folds what was charged since the last time, and gives the balance.
    pub async fn balance(&self) -> Result<Balance> {
        Ok(self.fold_balance().await?.balance)
    }

    pub(crate) async fn fold_balance(&self) -> Result<BalanceRow> {
        let key = self.keys.balance();
        for _ in 0..TRIES {
            let stored = self.get::<BalanceRow>(&key).await?;
            let (revision, mut row) = match stored {
                Some(read) => (Some(read.revision), read.row),
                None => (None, BalanceRow::default()),
            };
            let mut news =
                self.store.read(self.keys.shard(), &self.keys.charges(), row.cursor, BATCH).await?;
            if news.is_empty() {
                return Ok(row);
            }
            let mut revision = revision;
            // As long as nobody else folds, batch after batch; on a lost race, from what the other has folded.
            loop {
                for item in &news {
                    row.balance = row.balance.after(&decode::<Charge>(item)?.row);
                    row.cursor = item.revision;
                }
                let write = match revision {
                    Some(revision) => Write::replace(key.clone(), revision, encode(&row)),
                    None => Write::create(key.clone(), encode(&row)),
                };
                // Two that fold the same charges write the same row, so a witness of the other is as good as ours.
                match self.commit(vec![write], 0).await? {
                    Commit::Done(revisions) => revision = revisions.last().copied(),
                    Commit::Conflict => break,
                }
                news = self.store.read(self.keys.shard(), &self.keys.charges(), row.cursor, BATCH).await?;
                if news.is_empty() {
                    return Ok(row);
                }
            }
        }
        Err(DialerError::Contended(key))
    }
}
