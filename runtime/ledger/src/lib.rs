//! Money: tariffs as data, the rating of attempts, balances.
//!
//! Everything is worked out from an [`AttemptRecord`](zvonar_model::AttemptRecord) and a [`PriceList`], so it can be
//! worked out again at any time and comes out the same. All sums are whole kopecks; each kopeck has a [`Line`] that
//! says what for.
//!
//! # What always holds
//!
//! * Nobody picked up: nothing is charged.
//! * A call is rated by the tariff that was in force when it was answered.
//! * The total of a charge is the sum of its lines.
//!
//! Deliberately absent: storage, holds on a balance.

mod charge;
mod seat;
mod tariff;

pub use charge::{Balance, CHARGE_VERSION, Charge, Kind, Line, Unit, charge_text, rate, rate_by};
pub use seat::{FEE_VERSION, Fee, Month, SeatPrice, seat_fee};
pub use tariff::{External, PriceList, PriceListError, Recognition, Tariff, TariffFault, Wrong};
