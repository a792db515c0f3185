//! Finished attempts, one by one or by the day: what replays and analyses read.
//!
//! The journal of calls is in the order of their ends and has no index by time, so the beginning of a day is looked up by
//! halving: about forty reads, however many calls there are.

use std::time::Duration;

use zvonar_model::{AttemptId, AttemptRecord, UnixMillis};

use crate::Result;
use crate::tables::{Tables, decode};

/// A call that began before midnight may end so long after it.
const LONGEST_CALL: Duration = Duration::from_secs(4 * 3600);

/// A part of the records.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordPage {
    /// In the order in which the attempts ended.
    pub records: Vec<AttemptRecord>,
    /// Where to go on; `None`: this was the last.
    pub next: Option<u64>,
}

impl Tables {
    /// Where the records of attempts begin that ended at this moment or later.
    pub async fn records_from(&self, moment: UnixMillis) -> Result<u64> {
        // The ends of calls grow with the revisions, but for settlements that were late by moments.
        let moment = UnixMillis(moment.0.saturating_sub(60_000));
        let mut high = 1_u64;
        while self.ends_at(high).await?.is_some_and(|ended| ended < moment) {
            high = high.saturating_mul(2);
        }
        let mut low = high / 2;
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.ends_at(middle).await? {
                Some(ended) if ended < moment => low = middle,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// When the first attempt above a revision ended.
    async fn ends_at(&self, above: u64) -> Result<Option<UnixMillis>> {
        let items = self.store.read(self.keys.shard(), &self.keys.calls(), above, 1).await?;
        items.first().map(|item| Ok(decode::<AttemptRecord>(item)?.row.ended_at)).transpose()
    }

    /// Up to `limit` records above a revision, of which those are kept that began within `from` (included) and `to`
    /// (excluded). `next` is `None` once no later record can have begun before `to`.
    pub async fn records(
        &self,
        above: u64,
        limit: usize,
        (from, to): (UnixMillis, UnixMillis),
    ) -> Result<RecordPage> {
        let items = self.store.read(self.keys.shard(), &self.keys.calls(), above, limit).await?;
        let last = items.last().map(|item| item.revision);
        let mut records = Vec::with_capacity(items.len());
        let mut over = false;
        for item in &items {
            let record = decode::<AttemptRecord>(item)?.row;
            over |= record.ended_at >= to.plus(LONGEST_CALL);
            if from <= record.started_at && record.started_at < to {
                records.push(record);
            }
        }
        Ok(RecordPage { records, next: last.filter(|_| !over) })
    }

    /// The revision of a finished attempt: where the records after it begin.
    pub async fn record_place(&self, attempt: &AttemptId) -> Result<Option<u64>> {
        let item = self.store.get(self.keys.shard(), &self.keys.call(attempt)).await?;
        Ok(item.map(|item| item.revision))
    }
}
