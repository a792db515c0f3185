//! The part of a project's table that says when it dials and how often one person.

use jiff::tz::TimeZone;
use zvonar_campaign::{Caps, ConsentRule, MAX_STARTS, Purpose, RetryClass, RetryRules, Schedule};
use zvonar_dialer::DialRules;

use super::reader::Section;

/// The classes by their keys; `_min` behind one is its interval.
const CLASSES: [(&str, RetryClass); 5] = [
    ("no_answer", RetryClass::NoAnswer),
    ("busy", RetryClass::Busy),
    ("rejected", RetryClass::Rejected),
    ("system", RetryClass::System),
    ("machine", RetryClass::Machine),
];
/// The highest cap: so many calls of one number are remembered.
const MOST_CALLS: u32 = 200;
const _: () = assert!(MOST_CALLS as usize <= MAX_STARTS);
/// The longest interval: a month.
const LONGEST_MIN: u64 = 31 * 24 * 60;

/// `max_calls`, `retry`, `hours`, `zone`, `only_mobile`, `purpose`, `consent`; what is absent is as the FAQ has it.
pub(super) fn rules(section: &Section<'_>) -> DialRules {
    let mut rules = DialRules::default();
    rules.retry.max_calls = section.number("max_calls", 1..=100, rules.retry.max_calls.into()) as u32;
    for (key, value) in section.settings("retry") {
        if let Err(why) = retry(&mut rules.retry, &key, &value) {
            section.fault("retry", why);
        }
    }
    if let Some(hours) = section.text::<String>("hours", "any, ru-default, fz230, or windows") {
        match Schedule::named(&hours) {
            Ok(_) => rules.hours = hours,
            Err(why) => section.fault("hours", why),
        }
    }
    if let Some(zone) = section.text::<String>("zone", "a zone of the tz database, as Asia/Omsk") {
        match TimeZone::get(&zone) {
            Ok(_) => rules.zone = zone,
            Err(_) => {
                section.fault("zone", format!("the tz database has no zone `{zone}`; one is Europe/Moscow"))
            }
        }
    }
    const PURPOSES: &str = "inform, survey, collection or advertising";
    if let Some(purpose) = section.text::<Purpose>("purpose", PURPOSES) {
        match purpose.allow_robot() {
            Ok(()) => rules.purpose = purpose,
            Err(why) => section.fault("purpose", why),
        }
    }
    match section.text::<String>("consent", "required or not-required").as_deref() {
        None | Some("not-required") => {}
        Some("required") => rules.consent = ConsentRule::Required,
        Some(other) => {
            section.fault("consent", format!("`{other}` is neither `required` nor `not-required`"))
        }
    }
    rules.only_mobile = section.switch("only_mobile", rules.only_mobile);
    rules
}

/// `caps = { day = 3, week = 10, month = 30 }` of a tenant; what is absent is not capped.
pub(super) fn caps(section: &Section<'_>) -> Caps {
    let mut caps = Caps::default();
    for (key, value) in section.settings("caps") {
        let limit = match value.parse::<u32>() {
            Ok(limit @ 1..=MOST_CALLS) => limit,
            _ => {
                section.fault(
                    "caps",
                    format!("{key} is `{value}`; a cap is a whole number from 1 to {MOST_CALLS}"),
                );
                continue;
            }
        };
        match key.as_str() {
            "day" => caps.day = Some(limit),
            "week" => caps.week = Some(limit),
            "month" => caps.month = Some(limit),
            other => section.fault("caps", format!("there is no cap `{other}`; there are day, week, month")),
        }
    }
    caps
}

fn retry(rules: &mut RetryRules, key: &str, value: &str) -> Result<(), String> {
    let (name, interval) = key.strip_suffix("_min").map_or((key, false), |name| (name, true));
    let Some((_, class)) = CLASSES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = CLASSES.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        return Err(format!(
            "there is no result `{key}`; there are {known}, and each with _min for its minutes"
        ));
    };
    let rule = rules.of_mut(*class);
    match (interval, value.parse::<u64>()) {
        (false, Ok(limit @ 1..=100)) => rule.limit = limit as u32,
        (false, _) => return Err(format!("{key} is `{value}`; a limit is a whole number from 1 to 100")),
        (true, Ok(minutes @ 0..=LONGEST_MIN)) => rule.interval = std::time::Duration::from_secs(minutes * 60),
        (true, _) => return Err(format!("{key} is `{value}`; an interval is 0 to {LONGEST_MIN} minutes")),
    }
    Ok(())
}
