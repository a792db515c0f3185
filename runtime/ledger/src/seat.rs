//! The subscription fee: what an operator's place costs by the month, once the trial is over.

use std::fmt;

use serde::{Deserialize, Serialize};
use zvonar_model::{Kopecks, OperatorId};

use crate::Tariff;

/// The shape of [`Fee`] that this code writes.
pub const FEE_VERSION: u16 = 1;

/// What an operator's place costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatPrice {
    /// A calendar month, begun ones counting whole.
    pub per_month: Kopecks,
    /// So many calls to external numbers are the trial: the fee begins once they were made.
    pub trial_transfers: u32,
}

impl Default for SeatPrice {
    /// Nothing, as in the tariff taken as the model; its trial has 20 calls.
    fn default() -> Self {
        Self { per_month: Kopecks::ZERO, trial_transfers: 20 }
    }
}

/// A calendar month, Moscow time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Month {
    /// As 2026.
    pub year: i16,
    /// 1 to 12.
    pub month: i8,
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// What one operator's place costs in one month. Charged once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// [`FEE_VERSION`] at the time of writing.
    pub version: u16,
    /// Whose place.
    pub operator: OperatorId,
    /// When.
    pub month: Month,
    /// By which version of the tariff.
    pub tariff: u32,
    /// How much.
    pub sum: Kopecks,
    /// A sentence for the person who pays.
    pub why: String,
}

/// What an operator's place costs in this month; `None`: nothing, as the tariff has no fee, or the trial is not over.
///
/// `externals`: how many calls were handed to external numbers up to now, and were taken there.
pub fn seat_fee(tariff: &Tariff, externals: u64, month: Month, operator: &OperatorId) -> Option<Fee> {
    let SeatPrice { per_month, trial_transfers } = tariff.seat;
    let due = per_month > Kopecks::ZERO && externals >= u64::from(trial_transfers);
    due.then(|| Fee {
        version: FEE_VERSION,
        operator: operator.clone(),
        month,
        tariff: tariff.version,
        sum: per_month,
        why: format!("Абонентская плата: сотрудник {operator}, {month}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fee_begins_with_the_end_of_the_trial() {
        let operator = OperatorId::new("anna").unwrap();
        let month = Month { year: 2026, month: 3 };
        let seat = SeatPrice { per_month: Kopecks(65_000), trial_transfers: 20 };
        let tariff = Tariff { seat, ..Tariff::standard() };
        for (externals, due) in [(0, false), (19, false), (20, true), (21, true), (u64::MAX, true)] {
            let fee = seat_fee(&tariff, externals, month, &operator);
            assert_eq!(fee.is_some(), due, "{externals}");
        }
        let fee = seat_fee(&tariff, 20, month, &operator).unwrap();
        assert_eq!(
            (fee.sum, fee.why.as_str()),
            (Kopecks(65_000), "Абонентская плата: сотрудник anna, 2026-03")
        );
        let no_trial = SeatPrice { trial_transfers: 0, ..seat };
        assert!(seat_fee(&Tariff { seat: no_trial, ..tariff }, 0, month, &operator).is_some());
        assert_eq!(seat_fee(&Tariff::standard(), 100, month, &operator), None, "nothing costs nothing");
    }
}
