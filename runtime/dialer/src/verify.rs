//! The books, checked: every charge worked out again from its record and compared.

use std::fmt;

use zvonar_ledger::{Balance, Charge, rate};
use zvonar_model::{AttemptId, AttemptRecord, Kopecks};
use zvonar_store::Cursor;

use crate::tables::{Payment, Read, Tables, TenantKeys, decode};
use crate::texts::TextId;
use crate::{Result, StatFault};

/// How many faults are listed; more are only counted.
const LISTED: usize = 1000;

/// How many charges are read at once.
const BATCH: usize = 500;

/// What a check of the books found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Charges that were worked out again.
    pub charges: u64,
    /// Their sum as it should be.
    pub sum: Kopecks,
    /// Records that were looked at.
    pub records: u64,
    /// Text messages that were looked at.
    pub texts: u64,
    /// Those of which nobody knows whether they were sent: the gateway is asked.
    pub texts_in_doubt: u64,
    /// Those that the gateway took and of which it never said what they cost: they were not charged.
    pub texts_unpriced: u64,
    /// What is wrong, the first thousand.
    pub faults: Vec<BookFault>,
    /// How much is wrong in all.
    pub fault_count: u64,
}

impl Verified {
    /// Whether the books are right.
    pub fn is_sound(&self) -> bool {
        self.fault_count == 0
    }

    fn lines(&mut self, charge: &Charge) {
        let lines = charge.lines.iter().map(|line| line.sum).sum();
        if lines != charge.total {
            let (attempt, total) = (charge.attempt.clone(), charge.total);
            self.fault(BookFault::Lines { attempt, total, lines });
        }
    }

    pub(crate) fn fault(&mut self, fault: BookFault) {
        self.fault_count += 1;
        if self.faults.len() < LISTED {
            self.faults.push(fault);
        }
    }
}

/// Something wrong with the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookFault {
    /// A charge without a call.
    NoRecord {
        /// Which.
        attempt: AttemptId,
    },
    /// A call without a charge.
    NoCharge {
        /// Which.
        attempt: AttemptId,
    },
    /// A charge that its record does not give.
    Differs {
        /// Which.
        attempt: AttemptId,
        /// What was charged.
        stored: Kopecks,
        /// What the record and the price list give.
        due: Kopecks,
        /// The tariffs of both.
        tariffs: (u32, u32),
    },
    /// A total that is not the sum of its lines.
    Lines {
        /// Which.
        attempt: AttemptId,
        /// What was charged.
        total: Kopecks,
        /// What the lines say.
        lines: Kopecks,
    },
    /// A charge stored under another attempt's key.
    Misplaced {
        /// The attempt that its key names.
        key: String,
        /// The attempt that it names itself.
        attempt: AttemptId,
    },
    /// A message whose gateway told a price that was not charged.
    TextNotCharged {
        /// Which.
        text: TextId,
    },
    /// A charge of a message that nobody decided to send.
    NoText {
        /// Which.
        text: TextId,
    },
    /// A message of which nothing says what became of it.
    TextWithoutFate {
        /// Which.
        text: TextId,
    },
    /// A charge of a message that is not what the gateway told.
    TextDiffers {
        /// Which.
        text: TextId,
        /// What was charged.
        stored: Kopecks,
        /// What the gateway told.
        due: Kopecks,
    },
    /// A sum of payments that is not the fold of them.
    Paid {
        /// What is stored.
        stored: Kopecks,
        /// What the payments give.
        folded: Kopecks,
    },
    /// A sum of fees that is not the fold of them.
    Fees {
        /// What is stored.
        stored: Kopecks,
        /// What the fees give.
        folded: Kopecks,
    },
    /// A balance that is not the fold of its charges.
    Balance {
        /// What is stored.
        stored: Balance,
        /// What the charges as they are stored give.
        folded: Balance,
    },
    /// A count or a report that would be wrong.
    Stats(StatFault),
}

impl fmt::Display for BookFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord { attempt } => write!(f, "attempt {attempt} is charged, but no call is recorded"),
            Self::NoCharge { attempt } => write!(f, "attempt {attempt} is recorded, but has no charge"),
            Self::Differs { attempt, stored, due, tariffs: (by, now) } => write!(
                f,
                "attempt {attempt} is charged {stored} by tariff {by}; its record gives {due} by tariff {now}"
            ),
            Self::Lines { attempt, total, lines } => {
                write!(f, "the lines of attempt {attempt} come to {lines}, its total says {total}")
            }
            Self::Misplaced { key, attempt } => {
                write!(f, "the charge of attempt {attempt} is stored as {key}'s")
            }
            Self::TextNotCharged { text } => {
                write!(f, "text message {text} has cost something, and is not charged")
            }
            Self::NoText { text } => {
                write!(f, "text message {text} is charged, but nobody decided to send it")
            }
            Self::TextWithoutFate { text } => write!(f, "nothing tells what became of text message {text}"),
            Self::TextDiffers { text, stored, due } => {
                write!(f, "text message {text} is charged {stored}, the gateway told {due}")
            }
            Self::Paid { stored, folded } => {
                write!(f, "the balance says {stored} paid, the payments come to {folded}")
            }
            Self::Fees { stored, folded } => {
                write!(f, "the balance says {stored} of fees, the fees come to {folded}")
            }
            Self::Balance { stored, folded } => write!(
                f,
                "the balance says {} spent in {} charges, the charges come to {} in {}",
                stored.spent, stored.charges, folded.spent, folded.charges
            ),
            Self::Stats(fault) => fault.fmt(f),
        }
    }
}

impl Tables {
    /// Works out every charge of the tenant again, and compares: charge with record, total with lines, balance with
    /// charges, record with charge, steps with records, counts with leads and records. Dialling may go on meanwhile.
    pub async fn verify(&self) -> Result<Verified> {
        let balance = self.fold_balance().await?;
        let mut found = Verified::default();
        let mut folded = Balance::default();
        let mut after = 0;
        loop {
            let charges = self.store.read(self.keys.shard(), &self.keys.charges(), after, BATCH).await?;
            let Some(last) = charges.last() else { break };
            after = last.revision;
            for item in &charges {
                let charge: Charge = decode(item)?.row;
                // What was charged after the folding is in the next balance.
                if item.revision <= balance.cursor {
                    folded = folded.after(&charge);
                }
                if let Some(text) = TenantKeys::charged_text(&item.key) {
                    found.charges += 1;
                    found.lines(&charge);
                    self.verify_text_charge(&text, &item.key, charge, &mut found).await?;
                    continue;
                }
                let key = item.key.last();
                if key != charge.attempt.as_str() {
                    found.fault(BookFault::Misplaced { key: key.into(), attempt: charge.attempt.clone() });
                }
                self.verify_charge(charge, &mut found).await?;
            }
        }
        self.verify_payments(&mut found).await?;
        self.verify_texts(&mut found).await?;
        let (stored, fees) = self.fees_folded_anew().await?;
        if stored != fees {
            found.fault(BookFault::Fees { stored, folded: fees });
        }
        if folded != balance.balance {
            found.fault(BookFault::Balance { stored: balance.balance, folded });
        }
        let mut cursor = Some(Cursor::start());
        while let Some(after) = cursor {
            let (records, next) = self.page::<AttemptRecord>(&self.keys.calls(), after).await?;
            for Read { row: record, .. } in records {
                found.records += 1;
                let charged = self.store.get(self.keys.shard(), &self.keys.charge(&record.attempt)).await?;
                if charged.is_none() {
                    found.fault(BookFault::NoCharge { attempt: record.attempt });
                }
            }
            cursor = next;
        }
        self.verify_stats(&mut found).await?;
        Ok(found)
    }

    async fn verify_payments(&self, found: &mut Verified) -> Result<()> {
        let row = self.fold_payments().await?;
        let (mut paid, mut after) = (Kopecks::ZERO, 0);
        loop {
            let payments = self.store.read(self.keys.shard(), &self.keys.payments(), after, BATCH).await?;
            let Some(last) = payments.last() else { break };
            after = last.revision;
            for item in payments.iter().filter(|item| item.revision <= row.cursor) {
                paid += decode::<Payment>(item)?.row.kopecks;
            }
        }
        if paid != row.paid {
            found.fault(BookFault::Paid { stored: row.paid, folded: paid });
        }
        Ok(())
    }

    async fn verify_charge(&self, charge: Charge, found: &mut Verified) -> Result<()> {
        found.charges += 1;
        found.lines(&charge);
        let Some(record) = self.record(&charge.attempt).await? else {
            found.fault(BookFault::NoRecord { attempt: charge.attempt });
            return Ok(());
        };
        let due = rate(&self.prices, &record);
        found.sum += due.total;
        if due != charge {
            let tariffs = (charge.tariff, due.tariff);
            let (attempt, stored) = (charge.attempt, charge.total);
            found.fault(BookFault::Differs { attempt, stored, due: due.total, tariffs });
        }
        Ok(())
    }
}
