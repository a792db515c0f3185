//! Prepaid tenants: what is paid, what is spent, and what is held for calls in progress.
//!
//! ```text
//! left = payments − charges − fees + credit − holds
//! ```
//!
//! Payments are a journal, as charges are; both are folded, and the check of the books folds them again. Before somebody is
//! dialled, the price of the first minute is held, or of as long as the host says. A call that cannot be held does not
//! begin; one in progress is never cut, so it may take what is left below nothing by as much as it lasts longer than its
//! hold. Holds live in memory alone: after a crash the calls are gone, and recovery has settled them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use zvonar_ledger::PriceList;
use zvonar_model::{Kopecks, UnixMillis};
use zvonar_store::{Commit, Write};

use crate::tables::{PaidRow, Payment, Read, Tables, encode};
use crate::{DialerError, Result};

/// How long a sum that was read is trusted; what was held meanwhile stays counted as spent that long.
const FRESH: Duration = Duration::from_secs(1);

/// The longest id of a payment, in bytes.
const MAX_PAYMENT_ID: usize = 64;

/// How a prepaid tenant pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepaid {
    /// How far below nothing it may go.
    pub credit: Kopecks,
    /// How many seconds with the robot are held before a call.
    pub hold: Duration,
}

impl Default for Prepaid {
    fn default() -> Self {
        Self { credit: Kopecks::ZERO, hold: Duration::from_secs(60) }
    }
}

/// What a tenant has paid and spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// The sum of its payments.
    pub paid: Kopecks,
    /// How many.
    pub payments: u64,
    /// The sum of its charges.
    pub spent: Kopecks,
    /// How many, those of nothing included.
    pub charges: u64,
    /// The sum of the subscription fees.
    pub fees: Kopecks,
}

impl Account {
    /// What is left of what was paid; negative when it is owed.
    pub fn left(&self) -> Kopecks {
        self.paid - self.spent - self.fees
    }
}

impl Tables {
    /// Notes a payment, once for each id: whoever is not sure sends it again. `false`: it was noted before.
    ///
    /// # Errors
    /// [`DialerError::BadPayment`] for nothing, less than nothing, an id that is none, and another sum under a known id.
    pub async fn top_up(&self, id: &str, kopecks: Kopecks, now: UnixMillis) -> Result<bool> {
        let bad = |what: String| Err(DialerError::BadPayment(what));
        if id.is_empty() || id.len() > MAX_PAYMENT_ID {
            return bad(format!("the id of a payment has 1 to {MAX_PAYMENT_ID} bytes"));
        }
        if kopecks.0 <= 0 || kopecks > LARGEST {
            return bad(format!("a payment is 1 to {} kopecks, not {}", LARGEST.0, kopecks.0));
        }
        let key = self.keys.payment(id);
        let row = Payment { id: id.to_owned(), kopecks, at: now };
        match self.commit(vec![Write::create(key.clone(), encode(&row))], 0).await? {
            Commit::Done(_) => Ok(true),
            Commit::Conflict => match self.get::<Payment>(&key).await? {
                Some(Read { row: known, .. }) if known.kopecks != kopecks => bad(format!(
                    "payment {id} is known with {} kopecks, not {}: nothing was noted",
                    known.kopecks.0, kopecks.0
                )),
                _ => Ok(false),
            },
        }
    }

    /// What the tenant has paid and spent up to now.
    pub async fn account(&self) -> Result<Account> {
        let PaidRow { paid, payments, .. } = self.fold_payments().await?;
        let balance = self.balance().await?;
        let fees = self.fold_fees().await?.fees;
        Ok(Account { paid, payments, spent: balance.spent, charges: balance.charges, fees })
    }
}

/// The largest payment: a billion roubles. More is a slip of the pen.
const LARGEST: Kopecks = Kopecks(100_000_000_000);

/// The purse of a prepaid tenant in this process.
#[derive(Debug)]
pub(crate) struct Purse {
    prepaid: Prepaid,
    /// One at a time looks and takes.
    read: Mutex<Option<Sum>>,
    /// For calls in progress and text messages.
    held: Arc<AtomicI64>,
    /// For text messages alone: some are in doubt for days.
    texts: Arc<AtomicI64>,
}

/// What was left at a moment.
#[derive(Debug, Clone, Copy)]
struct Sum {
    at: UnixMillis,
    left: Kopecks,
    /// What was held then or since: what calls that are over have cost is not in `left` yet.
    counted: Kopecks,
}

/// The price of a call's beginning, held until this is dropped. Drop it when the charge is stored.
#[derive(Debug)]
pub(crate) struct Held {
    held: Vec<Arc<AtomicI64>>,
    kopecks: Kopecks,
}

impl Drop for Held {
    fn drop(&mut self) {
        for held in &self.held {
            held.fetch_sub(self.kopecks.0, Ordering::AcqRel);
        }
    }
}

/// Whether a call may be paid for.
#[derive(Debug)]
pub(crate) enum Hold {
    /// It is held.
    Held(Held),
    /// It may be once calls in progress are over; text messages in doubt are not waited for.
    Later,
    /// It cannot.
    Spent(DialerError),
}

impl Purse {
    pub(crate) fn new(prepaid: Prepaid) -> Self {
        Self { prepaid, read: Mutex::new(None), held: Arc::default(), texts: Arc::default() }
    }

    /// Holds the price of a call's beginning.
    pub(crate) async fn hold(&self, tables: &Tables, prices: &PriceList, now: UnixMillis) -> Result<Hold> {
        let need = prices.in_force(now).robot_per_second.times(self.prepaid.hold.as_secs());
        self.hold_sum(tables, need, now, false).await
    }

    /// Holds the price of the beginning of a talk with an external number.
    pub(crate) async fn hold_external(&self, tables: &Tables, now: UnixMillis) -> Result<Hold> {
        let need = tables.prices.in_force(now).external.of(self.prepaid.hold);
        self.hold_sum(tables, need, now, false).await
    }

    /// Holds the price of a text message.
    pub(crate) async fn hold_text(&self, tables: &Tables, need: Kopecks, now: UnixMillis) -> Result<Hold> {
        self.hold_sum(tables, need, now, true).await
    }

    async fn hold_sum(&self, tables: &Tables, need: Kopecks, now: UnixMillis, is_text: bool) -> Result<Hold> {
        let mut read = self.read.lock().await;
        let fresh = |sum: &Sum| sum.at <= now && now < sum.at.plus(FRESH);
        let enough = |sum: &Sum| sum.left + self.prepaid.credit - sum.counted >= need;
        let known = read.filter(|sum| fresh(sum) && enough(sum));
        let mut sum = match known {
            Some(sum) => sum,
            None => {
                // Before the sum is read: a call that ends in between counts twice for a moment, not never.
                let counted = Kopecks(self.held.load(Ordering::Acquire));
                Sum { at: now, left: tables.account().await?.left(), counted }
            }
        };
        if !enough(&sum) {
            *read = None;
            let texts = Kopecks(self.texts.load(Ordering::Acquire));
            if sum.left + self.prepaid.credit - texts.min(sum.counted) >= need {
                return Ok(Hold::Later);
            }
            return Ok(Hold::Spent(DialerError::Spent { left: sum.left, credit: self.prepaid.credit, need }));
        }
        sum.counted += need;
        *read = Some(sum);
        let held = std::iter::once(&self.held).chain(is_text.then_some(&self.texts)).map(Arc::clone);
        let held = Held { held: held.collect(), kopecks: need };
        for held in &held.held {
            held.fetch_add(need.0, Ordering::AcqRel);
        }
        Ok(Hold::Held(held))
    }
}
