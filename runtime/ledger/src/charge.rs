//! What one attempt costs, line by line.

use serde::{Deserialize, Serialize};
use zvonar_model::{AttemptId, AttemptRecord, Kopecks, Millis, Outcome, SystemResult, Transfer};

use crate::{PriceList, Tariff};

/// The shape of [`Charge`] that this code writes.
pub const CHARGE_VERSION: u16 = 1;

/// What one attempt costs. Written once, together with its record, and never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// [`CHARGE_VERSION`] at the time of writing.
    pub version: u16,
    /// Which attempt: a charge's key is made from it, so that it is charged once.
    pub attempt: AttemptId,
    /// The version of the tariff that was in force at the pick-up (for unanswered attempts, at the start).
    pub tariff: u32,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// How many external numbers took the caller, one after the other. To the trial it is one call.
    #[serde(default, skip_serializing_if = "is_none")]
    pub externals: u32,
    /// What for.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Kopecks,
}

/// One thing that was charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What kind of thing.
    pub kind: Kind,
    /// How many units.
    pub quantity: u64,
    /// Of what size.
    pub unit: Unit,
    /// The price of one.
    pub unit_price: Kopecks,
    /// `quantity` × `unit_price`.
    pub sum: Kopecks,
    /// A sentence for the person who pays.
    pub why: String,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// What can be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Time with the robot.
    Robot,
    /// Talk with an employee or an external number.
    Transfer,
    /// An answer in words that was understood.
    Recognition,
    /// A text message.
    Sms,
}

impl Kind {
    /// The name in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Robot => "Робот",
            Self::Transfer => "Перевод",
            Self::Recognition => "Распознавание",
            Self::Sms => "SMS",
        }
    }
}

/// What things are counted in. A started one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// A step of recognised speech, see [`Recognition`](crate::Recognition).
    Step,
    /// A part of a text message.
    Segment,
    /// A text message, whose price its parts do not share evenly.
    Message,
}

impl Unit {
    /// Started units in this time, for units that are times.
    pub(crate) fn started(self, time: Millis) -> u64 {
        match self {
            Self::Minute => time.0.div_ceil(60_000),
            Self::Second | Self::Step | Self::Segment | Self::Message => time.seconds_up(),
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Second => "с",
            Self::Minute => "мин",
            Self::Step => "шаг.",
            Self::Segment => "част.",
            Self::Message => "сообщ.",
        }
    }
}

/// Rates an attempt by the tariff that was in force at its pick-up.
///
/// The rows of the tariff are rates of the *phases* of one call: the caller stays with the robot until somebody picks
/// up, so waiting for a transfer is time with the robot, and a transfer that connects changes the rate. A voicemail
/// that answered is charged like a person, unless the tariff says otherwise.
pub fn rate(prices: &PriceList, record: &AttemptRecord) -> Charge {
    rate_by(prices.in_force(record.answered_at.unwrap_or(record.started_at)), record)
}

/// Rates an attempt by this very tariff, whenever it was.
pub fn rate_by(tariff: &Tariff, record: &AttemptRecord) -> Charge {
    let robot = Millis(record.phases.robot.0.saturating_add(record.phases.wait.0));
    let mut charge = Charge {
        version: CHARGE_VERSION,
        attempt: record.attempt.clone(),
        tariff: tariff.version,
        robot_seconds: 0,
        externals: 0,
        lines: Vec::new(),
        total: Kopecks::ZERO,
    };
    if record.answered_at.is_none() {
        return charge;
    }
    charge.robot_seconds = robot.seconds_up();
    charge.lines.extend(robot_line(tariff, record, charge.robot_seconds));
    for transfer in record.transfers.iter().filter(|transfer| transfer.connected) {
        // The first records have the length of their only talk here alone.
        let talk = if record.transfers.len() == 1 { record.phases.talk } else { transfer.talk };
        charge.externals += u32::from(!transfer.to_operator);
        charge.lines.extend(transfer_line(tariff, transfer, talk));
    }
    let recognition = tariff.recognition;
    for (index, answer) in record.answers.iter().enumerate() {
        let heard = answer.speech.0.min(u64::from(recognition.cut_s) * 1000);
        let steps = heard.div_ceil(u64::from(recognition.step_s) * 1000);
        let why = format!(
            "Ответ {}: речь {} с, начатых отрезков по {} с: {steps}",
            index + 1,
            seconds(answer.speech),
            recognition.step_s
        );
        // The first words of a greeting are recognised before it is known for one.
        let price = if is_free(tariff, record) { Kopecks::ZERO } else { recognition.price };
        charge.lines.extend(line(Kind::Recognition, steps, Unit::Step, price, why));
    }
    for (index, sms) in record.sms.iter().enumerate() {
        // Of the others nobody knows the price yet: see [`charge_text`].
        let Some(price) = sms.price else { continue };
        charge.lines.extend(parts_line(index + 1, sms.segments, price));
    }
    charge.total = charge.lines.iter().map(|line| line.sum).sum();
    charge
}

/// What one text of an attempt costs, once the gateway has told: `ordinal` counts the attempt's texts from 1, and `cost` is
/// for all `parts` together.
pub fn charge_text(attempt: &AttemptId, ordinal: u32, parts: u32, cost: Kopecks) -> Charge {
    let even = parts > 0 && cost.0 % i64::from(parts) == 0;
    let text = if even {
        parts_line(ordinal as usize, parts, Kopecks(cost.0 / i64::from(parts)))
    } else {
        let why = format!("SMS {ordinal}: частей: {parts}, за всё сообщение по цене оператора {cost}");
        line(Kind::Sms, 1, Unit::Message, cost, why)
    };
    Charge {
        version: CHARGE_VERSION,
        attempt: attempt.clone(),
        tariff: NO_TARIFF,
        robot_seconds: 0,
        externals: 0,
        lines: text.into_iter().collect(),
        total: cost,
    }
}

/// Of charges whose price no tariff of ours has: the gateway's own. Tariffs count from 1.
const NO_TARIFF: u32 = 0;

fn parts_line(ordinal: usize, parts: u32, price: Kopecks) -> Option<Line> {
    let why = format!("SMS {ordinal}: частей: {parts}, по цене оператора {price}");
    line(Kind::Sms, parts.into(), Unit::Segment, price, why)
}

/// Whether a machine picked up whose calls cost nothing by this tariff.
fn is_free(tariff: &Tariff, record: &AttemptRecord) -> bool {
    let named = Outcome::answered(SystemResult::Machine);
    (record.machine || record.outcome == named) && !tariff.bill_machine
}

fn robot_line(tariff: &Tariff, record: &AttemptRecord, quantity: u64) -> Option<Line> {
    if is_free(tariff, record) {
        let why = format!("Робот: {quantity} с на автоответчике, по тарифу бесплатно");
        return line(Kind::Robot, quantity, Unit::Second, Kopecks::ZERO, why);
    }
    let until = match &*record.transfers {
        [] => "до конца звонка",
        [only] if only.connected && only.to_operator => "до ответа сотрудника",
        [only] if only.connected => "до ответа внешнего номера",
        several if several.iter().any(|transfer| transfer.connected) => {
            "до конца звонка, без разговоров после перевода"
        }
        _ => "до конца звонка, ожидание перевода включено",
    };
    let why = format!("Робот: {quantity} с по {}, от ответа {until}", tariff.robot_per_second);
    line(Kind::Robot, quantity, Unit::Second, tariff.robot_per_second, why)
}

fn transfer_line(tariff: &Tariff, transfer: &Transfer, talk: Millis) -> Option<Line> {
    let (to, unit, price) = if transfer.to_operator {
        ("с сотрудником", Unit::Second, tariff.employee_per_second)
    } else {
        ("с внешним номером", tariff.external.per, tariff.external.price)
    };
    let quantity = unit.started(talk);
    let why = format!("Разговор {to}: {quantity} {} по {price}, от его ответа до конца", unit.short());
    line(Kind::Transfer, quantity, unit, price, why)
}

/// Nothing of a thing is no line; things that cost nothing are, since they say so.
fn line(kind: Kind, quantity: u64, unit: Unit, unit_price: Kopecks, why: String) -> Option<Line> {
    (quantity > 0).then(|| Line { kind, quantity, unit, unit_price, sum: unit_price.times(quantity), why })
}

/// `6,04`: seconds as they are read in Russian.
fn seconds(time: Millis) -> String {
    let text = format!("{},{:03}", time.0 / 1000, time.0 % 1000);
    text.trim_end_matches('0').trim_end_matches(',').to_owned()
}

/// What a tenant has spent: the fold of its charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Balance {
    /// The sum of all charges.
    pub spent: Kopecks,
    /// How many charges that were, those of nothing included.
    pub charges: u64,
    /// How many calls were taken at external numbers, however many numbers that were in one call: the trial is counted in
    /// them.
    #[serde(default)]
    pub externals: u64,
}

impl Balance {
    /// With one charge more.
    #[must_use]
    pub fn after(self, charge: &Charge) -> Self {
        Self {
            spent: self.spent + charge.total,
            charges: self.charges + 1,
            externals: self.externals + u64::from(charge.externals > 0),
        }
    }
}
