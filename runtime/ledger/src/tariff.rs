//! Tariffs: prices as data, each version in force from a moment on.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zvonar_model::{Kopecks, UnixMillis};

use crate::{SeatPrice, Unit};

/// The highest price of anything, in kopecks: ten thousand roubles. More is a slip of the pen.
const HIGHEST_PRICE: i64 = 1_000_000;

/// The longest trial, in calls to external numbers.
const MOST_TRIAL: u32 = 1_000_000;

/// The prices of one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// Names the tariff in charges; never used twice.
    pub version: u32,
    /// From when on it is in force; `None`: since ever (the first one only).
    pub from: Option<UnixMillis>,
    /// A started second with the robot, waiting for a transfer included.
    pub robot_per_second: Kopecks,
    /// A started second of talk with an employee.
    pub employee_per_second: Kopecks,
    /// Talk with an external number.
    pub external: External,
    /// Understanding an answer in words.
    pub recognition: Recognition,
    /// Whether a call that a machine answered costs what any other does.
    pub bill_machine: bool,
    /// The subscription fee of an operator's place.
    #[serde(default)]
    pub seat: SeatPrice,
}

/// The price of talk with an external number, from its pick-up on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// Of a started unit.
    pub price: Kopecks,
    /// [`Unit::Second`] or [`Unit::Minute`].
    pub per: Unit,
}

impl External {
    /// What a talk of this length costs.
    pub fn of(self, talk: Duration) -> Kopecks {
        self.price.times(self.per.started(talk.into()))
    }
}

/// The price of an answer in words, by the length of the speech in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recognition {
    /// Of a started step.
    pub price: Kopecks,
    /// The length of a step, in seconds.
    pub step_s: u32,
    /// Speech beyond this is not heard and not charged, in seconds.
    pub cut_s: u32,
}

/// All tariffs of a host, past and to come. There is always one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    /// By time; the first has no beginning.
    tariffs: Vec<Tariff>,
}

impl Tariff {
    /// The prices of the service taken as the model. Its price of outgoing calls is published nowhere: 3 kopecks a
    /// second stands for it.
    pub fn standard() -> Self {
        Self {
            version: 1,
            from: None,
            robot_per_second: Kopecks(4),
            employee_per_second: Kopecks(0),
            external: External { price: Kopecks(3), per: Unit::Second },
            recognition: Recognition { price: Kopecks(40), step_s: 15, cut_s: 30 },
            bill_machine: true,
            seat: SeatPrice::default(),
        }
    }
}

impl Default for PriceList {
    /// [`Tariff::standard`], since ever.
    fn default() -> Self {
        Self { tariffs: vec![Tariff::standard()] }
    }
}

impl PriceList {
    /// Reads a file like this one, which is the default. Each tariff but the first also says from when on it is in force:
    /// `from = "2027-01-01T00:00:00+03:00"`.
    ///
    /// ```
    /// let file = r#"
    /// [[tariff]]
    /// version = 1
    /// robot_per_second = 4                   # kopecks, everywhere
    /// employee_per_second = 0
    /// external = { price = 3, per = "second" }            # or "minute"
    /// recognition = { price = 40, step_s = 15, cut_s = 30 }
    /// bill_machine = true                    # may be left out, as the next line
    /// seat = { per_month = 0, trial_transfers = 20 }      # an operator's place, after so many external calls
    /// "#;
    /// assert_eq!(zvonar_ledger::PriceList::from_toml(file).unwrap(), zvonar_ledger::PriceList::default());
    /// ```
    ///
    /// # Errors
    /// All faults of the file at once, unless it cannot even be read as TOML.
    pub fn from_toml(text: &str) -> Result<Self, PriceListError> {
        let raw: RawList =
            toml::from_str(text).map_err(|error| PriceListError::Unreadable(error.to_string()))?;
        Self::check(raw)
    }

    /// The same as JSON: `{"tariff": [{"version": 1, …}]}`.
    ///
    /// # Errors
    /// As [`PriceList::from_toml`].
    pub fn from_json(text: &str) -> Result<Self, PriceListError> {
        let raw: RawList =
            serde_json::from_str(text).map_err(|error| PriceListError::Unreadable(error.to_string()))?;
        Self::check(raw)
    }

    /// The tariff at this moment.
    pub fn in_force(&self, at: UnixMillis) -> &Tariff {
        let later = self.tariffs.partition_point(|tariff| tariff.from.is_none_or(|from| from <= at));
        &self.tariffs[later.max(1) - 1]
    }

    /// All of them, by time.
    pub fn tariffs(&self) -> &[Tariff] {
        &self.tariffs
    }

    fn check(raw: RawList) -> Result<Self, PriceListError> {
        let mut faults = Vec::new();
        if raw.tariff.is_empty() {
            faults.push(TariffFault::None);
        }
        let mut tariffs: Vec<Tariff> = Vec::with_capacity(raw.tariff.len());
        let mut versions = std::collections::BTreeSet::new();
        let mut last_from = None;
        for (index, raw) in raw.tariff.into_iter().enumerate() {
            let mut check = Check { place: index + 1, faults: &mut faults };
            let version = check.version(raw.version);
            if !versions.insert(version) && version != 0 {
                check.fault(Wrong::VersionTwice(version));
            }
            let from = check.from(raw.from.as_deref(), index == 0);
            if let (Some(from), Some(last)) = (from, last_from)
                && from <= last
            {
                check.fault(Wrong::NotLater);
            }
            last_from = from.or(last_from);
            let robot_per_second = check.price("robot_per_second", raw.robot_per_second);
            let employee_per_second = check.price("employee_per_second", raw.employee_per_second);
            let external = raw.external.unwrap_or_else(|| {
                check.fault(Wrong::Missing("external"));
                RawExternal { price: Some(0), per: Some("second".into()) }
            });
            let recognition = raw.recognition.unwrap_or_else(|| {
                check.fault(Wrong::Missing("recognition"));
                RawRecognition { price: Some(0), step_s: Some(1), cut_s: Some(1) }
            });
            let external = External {
                price: check.price("external.price", external.price),
                per: check.unit(external.per),
            };
            let step_s = check.seconds("recognition.step_s", recognition.step_s);
            let cut_s = check.seconds("recognition.cut_s", recognition.cut_s);
            if cut_s < step_s {
                check.fault(Wrong::CutBelowStep);
            }
            let seat = raw.seat.map_or_else(SeatPrice::default, |seat| check.seat(&seat));
            let recognition =
                Recognition { price: check.price("recognition.price", recognition.price), step_s, cut_s };
            tariffs.push(Tariff {
                version,
                from,
                robot_per_second,
                employee_per_second,
                external,
                recognition,
                bill_machine: raw.bill_machine.unwrap_or(true),
                seat,
            });
        }
        if faults.is_empty() { Ok(Self { tariffs }) } else { Err(PriceListError::Faults(faults)) }
    }
}

/// Why a price list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceListError {
    /// It is not TOML or JSON, or has a field that no price list has.
    #[error("the price list cannot be read: {0}")]
    Unreadable(String),
    /// It can be read, and says things that cannot be.
    #[error("the price list has {} fault(s): {}", .0.len(), Listed(.0))]
    Faults(Vec<TariffFault>),
}

/// One fault of a price list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TariffFault {
    /// There is no tariff in it.
    #[error("it holds no [[tariff]]")]
    None,
    /// Something about one tariff.
    #[error("tariff {place}: {wrong}")]
    In {
        /// The how-manieth tariff of the file it is, from 1.
        place: usize,
        /// What is wrong.
        wrong: Wrong,
    },
}

/// What can be wrong with a tariff.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A field is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// The version is zero, negative or too large.
    #[error("the version {0} is none: use 1, 2, 3 and so on")]
    Version(i64),
    /// An earlier tariff has this version.
    #[error("the version {0} is taken by an earlier tariff; charges name it, so it must be new")]
    VersionTwice(u32),
    /// A price below zero or beyond all measure.
    #[error("`{field}` is {price} kopecks; prices go from 0 to {HIGHEST_PRICE}")]
    Price {
        /// Which one.
        field: &'static str,
        /// What it is.
        price: i64,
    },
    /// A length that is not from one second to an hour.
    #[error("`{field}` is {seconds}; it goes from 1 to 3600 seconds")]
    Seconds {
        /// Which one.
        field: &'static str,
        /// What it is.
        seconds: i64,
    },
    /// The longest answer is shorter than a step.
    #[error("`recognition.cut_s` is less than `recognition.step_s`")]
    CutBelowStep,
    /// A unit that talk is not counted in.
    #[error("`external.per` is `{0}`; it is \"second\" or \"minute\"")]
    Unit(String),
    /// A trial of fewer than no calls, or of more than anybody makes.
    #[error("`seat.trial_transfers` is {0}; it goes from 0 to {MOST_TRIAL}")]
    Trial(i64),
    /// Not a moment.
    #[error("`from` is `{0}`, which is no moment: write one like 2027-01-01T00:00:00+03:00")]
    From(String),
    /// A tariff other than the first that says no beginning.
    #[error("`from` is missing; only the first tariff may be without")]
    FromMissing,
    /// The first tariff says a beginning, so calls before it would have no price.
    #[error("`from` must not stand in the first tariff: calls before it would have no price")]
    FromFirst,
    /// Its beginning is not after the one before.
    #[error("`from` is not later than that of the tariff before")]
    NotLater,
}

struct Listed<'a>(&'a [TariffFault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// The file as it is written, before anything is believed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    #[serde(default)]
    tariff: Vec<RawTariff>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTariff {
    version: Option<i64>,
    from: Option<String>,
    robot_per_second: Option<i64>,
    employee_per_second: Option<i64>,
    external: Option<RawExternal>,
    recognition: Option<RawRecognition>,
    bill_machine: Option<bool>,
    seat: Option<RawSeat>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeat {
    per_month: Option<i64>,
    trial_transfers: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExternal {
    price: Option<i64>,
    per: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecognition {
    price: Option<i64>,
    step_s: Option<i64>,
    cut_s: Option<i64>,
}

/// Notes each fault and goes on with something harmless in its place.
struct Check<'a> {
    place: usize,
    faults: &'a mut Vec<TariffFault>,
}

impl Check<'_> {
    fn fault(&mut self, wrong: Wrong) {
        self.faults.push(TariffFault::In { place: self.place, wrong });
    }

    fn version(&mut self, version: Option<i64>) -> u32 {
        match version {
            None => self.fault(Wrong::Missing("version")),
            Some(version) => match u32::try_from(version) {
                Ok(good) if good > 0 => return good,
                _ => self.fault(Wrong::Version(version)),
            },
        }
        0
    }

    fn from(&mut self, from: Option<&str>, first: bool) -> Option<UnixMillis> {
        match from {
            None if first => None,
            None => {
                self.fault(Wrong::FromMissing);
                None
            }
            Some(text) => {
                if first {
                    self.fault(Wrong::FromFirst);
                }
                match text.parse::<jiff::Timestamp>() {
                    Ok(moment) => Some(UnixMillis(moment.as_millisecond())),
                    Err(_) => {
                        self.fault(Wrong::From(text.to_owned()));
                        None
                    }
                }
            }
        }
    }

    fn price(&mut self, field: &'static str, price: Option<i64>) -> Kopecks {
        match price {
            Some(price) if (0..=HIGHEST_PRICE).contains(&price) => return Kopecks(price),
            Some(price) => self.fault(Wrong::Price { field, price }),
            None => self.fault(Wrong::Missing(field)),
        }
        Kopecks::ZERO
    }

    fn seconds(&mut self, field: &'static str, seconds: Option<i64>) -> u32 {
        match seconds {
            Some(good @ 1..=3600) => return good as u32,
            Some(seconds) => self.fault(Wrong::Seconds { field, seconds }),
            None => self.fault(Wrong::Missing(field)),
        }
        1
    }

    fn seat(&mut self, seat: &RawSeat) -> SeatPrice {
        let per_month = self.price("seat.per_month", seat.per_month);
        let trial = seat.trial_transfers.map_or(Some(SeatPrice::default().trial_transfers), |trial| {
            u32::try_from(trial).ok().filter(|trial| *trial <= MOST_TRIAL)
        });
        let trial_transfers = trial.unwrap_or_else(|| {
            self.fault(Wrong::Trial(seat.trial_transfers.unwrap_or_default()));
            0
        });
        SeatPrice { per_month, trial_transfers }
    }

    fn unit(&mut self, unit: Option<String>) -> Unit {
        match unit.as_deref() {
            Some("second") => return Unit::Second,
            Some("minute") => return Unit::Minute,
            Some(other) => self.fault(Wrong::Unit(other.to_owned())),
            None => self.fault(Wrong::Missing("external.per")),
        }
        Unit::Second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        [[tariff]]
        version = 1
        robot_per_second = 4
        employee_per_second = 0
        external = { price = 3, per = "second" }
        recognition = { price = 40, step_s = 15, cut_s = 30 }
        [[tariff]]
        version = 2
        from = "2027-01-01T00:00:00+03:00"
        robot_per_second = 5
        employee_per_second = 1
        external = { price = 180, per = "minute" }
        recognition = { price = 50, step_s = 10, cut_s = 60 }
        bill_machine = false
    "#;

    #[test]
    fn a_tariff_is_in_force_from_its_first_millisecond_until_the_next_ones() {
        let list = PriceList::from_toml(TWO).unwrap();
        let turn = 1_798_750_800_000; // 2026-12-31T21:00:00Z
        for (at, version) in [(i64::MIN, 1), (0, 1), (turn - 1, 1), (turn, 2), (turn + 1, 2), (i64::MAX, 2)] {
            assert_eq!(list.in_force(UnixMillis(at)).version, version, "{at}");
        }
    }

    #[test]
    fn every_fault_of_a_price_list_is_told_at_once() {
        let text = r#"
            [[tariff]]
            version = 0
            from = "2027-01-01T00:00:00Z"
            robot_per_second = -4
            external = { price = 3, per = "hour" }
            recognition = { price = 1000001, step_s = 15, cut_s = 10 }
            [[tariff]]
            version = 3
            from = "tomorrow"
            robot_per_second = 4
            employee_per_second = 0
            recognition = { step_s = 0, cut_s = 30 }
            [[tariff]]
            version = 3
            from = "2026-01-01T00:00:00Z"
            robot_per_second = 4
            employee_per_second = 0
            external = { price = 3, per = "second" }
            recognition = { price = 40, step_s = 15, cut_s = 30 }
        "#;
        let Err(error @ PriceListError::Faults(_)) = PriceList::from_toml(text) else { panic!("accepted") };
        let told = error.to_string();
        for part in [
            "has 13 fault(s)",
            "tariff 1: the version 0 is none",
            "tariff 1: `from` must not stand in the first tariff",
            "tariff 1: `robot_per_second` is -4 kopecks",
            "tariff 1: `employee_per_second` is missing",
            "tariff 1: `external.per` is `hour`",
            "tariff 1: `recognition.cut_s` is less than",
            "tariff 1: `recognition.price` is 1000001 kopecks",
            "tariff 2: `from` is `tomorrow`",
            "tariff 2: `external` is missing",
            "tariff 2: `recognition.step_s` is 0",
            "tariff 2: `recognition.price` is missing",
            "tariff 3: the version 3 is taken",
            "tariff 3: `from` is not later",
        ] {
            assert!(told.contains(part), "{part:?} is not in {told:?}");
        }
        assert!(PriceList::from_toml("").unwrap_err().to_string().contains("it holds no [[tariff]]"));
    }

    #[test]
    fn a_field_that_no_price_list_has_is_refused_by_name() {
        let told = PriceList::from_toml(&format!("{TWO}\nrobot_per_minute = 9")).unwrap_err().to_string();
        assert!(told.contains("robot_per_minute"), "{told}");
        assert!(matches!(PriceList::from_json("{"), Err(PriceListError::Unreadable(_))));
    }
}
