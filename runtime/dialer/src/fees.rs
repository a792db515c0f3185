//! The subscription fee: a journal of its own beside those of charges and payments, folded as they are.
//!
//! The key of a fee is made of its month and operator, so that each is charged once, whoever tries and however often.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use zvonar_ledger::{Fee, Month, seat_fee};
use zvonar_model::{Kopecks, OperatorId, UnixMillis};
use zvonar_store::{Commit, Write};

use crate::tables::{Row, Tables, decode, encode};
use crate::{Day, Result};

/// How many fees are read at once.
const BATCH: usize = 500;

/// The fees as far as their journal was folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct FeesRow {
    /// The last fee that is in it, by revision.
    pub(crate) cursor: u64,
    pub(crate) fees: Kopecks,
}

impl Row for FeesRow {
    const VERSION: u16 = 1;
}

impl Row for Fee {
    const VERSION: u16 = zvonar_ledger::FEE_VERSION;
}

impl Tables {
    /// Charges the places of the tenant's operators for the month that it is in Moscow, if the tariff has a fee and the
    /// trial is over: each once. Gives those that were charged just now.
    pub async fn charge_seats(&self, now: UnixMillis) -> Result<Vec<Fee>> {
        let tariff = self.prices.in_force(now);
        if tariff.seat.per_month == Kopecks::ZERO {
            return Ok(Vec::new());
        }
        let externals = self.balance().await?.externals;
        let month = Day::of(now).month();
        let charged: BTreeSet<OperatorId> =
            self.fees(month).await?.into_iter().map(|fee| fee.operator).collect();
        let mut fees = Vec::new();
        for (row, _) in self.operators().await? {
            let id = &row.operator.id;
            let Some(fee) = seat_fee(tariff, externals, month, id).filter(|_| !charged.contains(id)) else {
                continue;
            };
            let write = Write::create(self.keys.fee(month, id), encode(&fee));
            if let Commit::Done(_) = self.commit(vec![write], 0).await? {
                fees.push(fee);
            }
        }
        Ok(fees)
    }

    /// What was charged for places in this month.
    pub async fn fees(&self, month: Month) -> Result<Vec<Fee>> {
        let mut fees = Vec::new();
        self.each::<Fee>(&self.keys.fees(), |read| {
            if read.row.month == month {
                fees.push(read.row);
            }
        })
        .await?;
        Ok(fees)
    }

    /// What the stored sum of the fees says, and what they come to, as far as it goes.
    pub(crate) async fn fees_folded_anew(&self) -> Result<(Kopecks, Kopecks)> {
        let row = self.fold_fees().await?;
        let (mut fees, mut after) = (Kopecks::ZERO, 0);
        loop {
            let news = self.store.read(self.keys.shard(), &self.keys.fees(), after, BATCH).await?;
            let Some(last) = news.last() else { return Ok((row.fees, fees)) };
            after = last.revision;
            for item in news.iter().filter(|item| item.revision <= row.cursor) {
                fees += decode::<Fee>(item)?.row.sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_moscows() {
        // 2026-02-28T20:59:59Z, and a second later.
        let last = UnixMillis(1_772_312_399_000);
        assert_eq!(Day::of(last).month(), Month { year: 2026, month: 2 });
        assert_eq!(Day::of(UnixMillis(last.0 + 1_000)).month(), Month { year: 2026, month: 3 });
    }
}
