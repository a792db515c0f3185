//! `zvonar rate`: what a call costs, line by line, and why.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use serde_json::json;
use zvonar_ledger::{Charge, External, Kind, PriceList, Tariff, Unit, rate_by};
use zvonar_model::{
    AttemptId, AttemptRecord, Direction, Kopecks, Millis, Outcome, Phases, RecognisedAnswer, SentSms,
    SystemResult, TenantId, Transfer, UnixMillis,
};

use super::{Failure, cases, say};

/// What `zvonar rate` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A tariff file, TOML or JSON; its first tariff is used. Absent: the tariff that ships.
    #[arg(long, value_name = "FILE")]
    tariff: Option<PathBuf>,
    /// A call as JSON, as {"robot": 25000, "wait": 8000, "talk": 61200, "kind": "external", "connected": true,
    /// "answers": [4000], "sms": [[2, 180]]}: milliseconds; a text's parts and the kopecks of one. `-`: from stdin.
    #[arg(long, value_name = "FILE", required_unless_present = "file", conflicts_with = "file")]
    call: Option<PathBuf>,
    /// Many calls, one JSON a line (or one list).
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only the sums, as JSON, a line per call.
    #[arg(long)]
    json: bool,
}

/// A call, as far as it costs something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    #[serde(default = "yes")]
    answered: bool,
    /// Milliseconds with the robot, waiting for a transfer, and talking.
    #[serde(default)]
    robot: u64,
    #[serde(default)]
    wait: u64,
    #[serde(default)]
    talk: u64,
    /// To whom it was transferred.
    kind: Option<To>,
    #[serde(default)]
    connected: bool,
    /// The price of a second of talk with an external number, when it is not the tariff's.
    ext_kop_per_s: Option<i64>,
    /// The speech in each answer, in milliseconds.
    #[serde(default)]
    answers: Vec<u64>,
    /// Parts and the price of one.
    #[serde(default, deserialize_with = "texts")]
    sms: Vec<(u32, Kopecks)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    Employee,
    External,
}

fn yes() -> bool {
    true
}

fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(u32, Kopecks)>, D::Error> {
    let texts = Vec::<(u32, i64)>::deserialize(from)?;
    Ok(texts.into_iter().map(|(parts, price)| (parts, Kopecks(price))).collect())
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let tariff = match &arguments.tariff {
        None => Tariff::standard(),
        Some(file) => read_tariff(file)?,
    };
    let file = arguments.call.or(arguments.file).ok_or("--call FILE or --file FILE is needed")?;
    for case in cases::read::<Call>(&file, "input")? {
        let charge = charge(&tariff, &case);
        if arguments.json { say(sums(&charge))? } else { tell(&charge)? }
    }
    Ok(())
}

fn read_tariff(file: &std::path::Path) -> Result<Tariff, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|why| format!("the tariff {} cannot be read: {why}", file.display()))?;
    let json = file.extension().is_some_and(|extension| extension == "json");
    let list = if json { PriceList::from_json(&text) } else { PriceList::from_toml(&text) };
    let list = list.map_err(|why| format!("{}: {why}", file.display()))?;
    Ok(list.tariffs()[0].clone())
}

fn charge(tariff: &Tariff, call: &Call) -> Charge {
    let mut tariff = tariff.clone();
    if let Some(price) = call.ext_kop_per_s {
        tariff.external = External { price: Kopecks(price), per: Unit::Second };
    }
    let attempt = AttemptId::fresh(UnixMillis(0), 0);
    let tenant = TenantId::new("nobody").expect("a good id");
    let begun = AttemptRecord::begun(attempt, tenant, Direction::Outbound, UnixMillis(0));
    let talked = Outcome::answered(SystemResult::Connected);
    let record = AttemptRecord {
        answered_at: call.answered.then_some(UnixMillis(0)),
        outcome: if call.answered { talked } else { Outcome::NoAnswer },
        phases: Phases { robot: Millis(call.robot), wait: Millis(call.wait), talk: Millis(call.talk) },
        answers: call.answers.iter().map(|speech| RecognisedAnswer::lasting(Millis(*speech))).collect(),
        transfers: call.kind.into_iter().map(|to| transfer(to, call)).collect(),
        sms: call.sms.iter().map(|&(segments, price)| SentSms::priced(segments, price)).collect(),
        ..begun
    };
    rate_by(&tariff, &record)
}

fn transfer(to: To, call: &Call) -> Transfer {
    let Call { connected, wait, talk, .. } = *call;
    Transfer {
        to_operator: to == To::Employee,
        connected,
        wait: Millis(wait),
        talk: Millis(talk),
        ..Transfer::default()
    }
}

fn sums(charge: &Charge) -> serde_json::Value {
    let sum = |kind| charge.lines.iter().filter(|line| line.kind == kind).map(|line| line.sum.0).sum::<i64>();
    json!({
        "robot_s": charge.robot_seconds,
        "robot": sum(Kind::Robot),
        "transfer": sum(Kind::Transfer),
        "recognition": sum(Kind::Recognition),
        "sms": sum(Kind::Sms),
        "total": charge.total.0,
    })
}

fn tell(charge: &Charge) -> Result<(), Failure> {
    for line in &charge.lines {
        say(format!("{:>12}  {}", line.sum.to_string(), line.why))?;
    }
    let why = if charge.lines.is_empty() {
        "  ничего платного не было"
    } else {
        "  итого"
    };
    say(format!("{:>12}{why}", charge.total.to_string()))
}
