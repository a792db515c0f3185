//! The calling hours of a project's leads: its schedule in each lead's own time.
//!
//! Where a lead lives is what its card says (`tz`, then `region`), then what the register says of the number whose turn
//! it is, then the project's default; never where this machine stands. A region that spans zones is called only when all
//! of them agree, and so is a number of a range that is given out all over the country: in its zone and the default.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::tz::{Offset, TimeZone};
use zvonar_campaign::{Calling, Register, RetryRules, Schedule, rotation, zones_of_region};
use zvonar_model::{PhoneNumber, UnixMillis};

use crate::tables::{DialRules, Lead};
use crate::{DialerError, Result};

/// The lead's field that names his zone: `Asia/Omsk`, several with commas between them, or hours as `МСК+4`, `UTC+7`.
pub(crate) const ZONE_FIELD: &str = "tz";

/// The lead's fields that name his region, in any usual spelling.
const REGION_FIELDS: [&str; 4] = ["region", "регион", "Регион", "Region"];

/// When a lead is looked at again whom the schedule never lets be called: it may be edited.
const NEVER_AGAIN_BEFORE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// How many names of places are remembered: a column of nonsense must not fill the memory.
const REMEMBERED: usize = 10_000;

/// A project's schedule, ready to be asked; all attempts of a run ask the same one.
#[derive(Debug)]
pub(crate) struct Hours {
    schedule: Schedule,
    /// What the law sets for the project's purpose: both must allow a call.
    law: Option<Schedule>,
    retry: RetryRules,
    register: Arc<Register>,
    known: Mutex<Known>,
}

/// What was found out so far.
#[derive(Debug)]
struct Known {
    /// The first is the project's default. A list has a few dozen places, and a million leads.
    places: Vec<Place>,
    /// By who says the name.
    named: [HashMap<Box<str>, Option<usize>>; 3],
}

/// Somewhere that leads live.
#[derive(Debug)]
struct Place {
    /// At least one.
    zones: Arc<[TimeZone]>,
    /// The answer that was given last, and for which moment: a list is read within one.
    answered: Option<(UnixMillis, Calling)>,
}

/// Who says where a lead lives: the same name means another thing from another mouth.
#[derive(Debug, Clone, Copy)]
enum Source {
    Zone,
    Region,
    Range,
}

impl Hours {
    /// Whether a project can be dialled by these rules.
    ///
    /// # Errors
    /// As [`Hours::new`].
    pub(crate) fn check(rules: &DialRules) -> Result<()> {
        Self::new(rules, &Register::sample()).map(drop)
    }

    /// # Errors
    /// [`DialerError::CannotCall`] for hours or a zone that cannot be read, and for a purpose that a robot must not have.
    pub(crate) fn new(rules: &DialRules, register: &Arc<Register>) -> Result<Self> {
        rules.purpose.allow_robot().map_err(|why| DialerError::CannotCall(why.to_string()))?;
        let schedule =
            Schedule::named(&rules.hours).map_err(|why| DialerError::CannotCall(why.to_string()))?;
        let default = TimeZone::get(&rules.zone)
            .map_err(|_| DialerError::CannotCall(format!("the tz database has no zone `{}`", rules.zone)))?;
        Ok(Self {
            schedule,
            law: rules.purpose.hours(),
            retry: rules.retry,
            register: Arc::clone(register),
            known: Mutex::new(Known {
                places: vec![Place { zones: [default].into(), answered: None }],
                named: Default::default(),
            }),
        })
    }

    /// From when on a lead that is due then may be called; never before `now`'s window opens. Due leads whose window
    /// is open stay as they are, so that the list keeps its order.
    pub(crate) fn due(&self, lead: &Lead, due: UnixMillis, now: UnixMillis) -> UnixMillis {
        let at = due.max(now);
        match self.calling(lead, at) {
            Calling::Open { .. } => due,
            Calling::Closed { opens: Some(opens) } => opens,
            Calling::Closed { opens: None } => at.plus(NEVER_AGAIN_BEFORE),
        }
    }

    /// Whether the lead may be called at this moment.
    pub(crate) fn calling(&self, lead: &Lead, at: UnixMillis) -> Calling {
        let mut known = self.known();
        let place = self.place(&mut known, lead);
        let place = &mut known.places[place];
        match place.answered {
            Some((asked, answer)) if asked == at => answer,
            _ => {
                let both: Vec<&Schedule> = std::iter::once(&self.schedule).chain(&self.law).collect();
                let answer = Schedule::all_calling(&both, at, &place.zones);
                place.answered = Some((at, answer));
                answer
            }
        }
    }

    /// The zones in which the lead may live; all must agree.
    pub(crate) fn zones(&self, lead: &Lead) -> Arc<[TimeZone]> {
        let mut known = self.known();
        let place = self.place(&mut known, lead);
        Arc::clone(&known.places[place].zones)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is remembered is right at every moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a lead whose turn it is.
    pub(crate) fn turn<'a>(&self, lead: &'a Lead) -> Option<&'a PhoneNumber> {
        turn(lead, &self.retry)
    }

    fn place(&self, known: &mut Known, lead: &Lead) -> usize {
        if let Some(written) = lead.fields.get(ZONE_FIELD)
            && let Some(place) = known.named(Source::Zone, written, |_| zones_written(written))
        {
            return place;
        }
        let region = REGION_FIELDS.iter().find_map(|field| lead.fields.get(*field));
        if let Some(region) = region
            && let Some(place) =
                known.named(Source::Region, region, |_| zones_named(&zones_of_region(region)))
        {
            return place;
        }
        let entry = turn(lead, &self.retry).and_then(|number| self.register.look_up(number));
        let place = entry.and_then(|entry| {
            known.named(Source::Range, entry.region, |default| {
                let mut zones = zones_named(entry.zones)?;
                if entry.federal {
                    zones.extend(default.iter().cloned());
                }
                Some(zones)
            })
        });
        place.unwrap_or(0)
    }
}

impl Known {
    /// The place of this name; `None`: nobody knows it. `find` gets the default's zones.
    fn named(
        &mut self,
        source: Source,
        name: &str,
        find: impl FnOnce(&[TimeZone]) -> Option<Vec<TimeZone>>,
    ) -> Option<usize> {
        let named = &mut self.named[source as usize];
        if let Some(place) = named.get(name) {
            return *place;
        }
        let place = find(&self.places[0].zones).map(|mut zones| {
            let mut seen: Vec<TimeZone> = Vec::with_capacity(zones.len());
            zones.retain(|zone| {
                let fresh = !seen.contains(zone);
                if fresh {
                    seen.push(zone.clone());
                }
                fresh
            });
            let known = self.places.iter().position(|place| *place.zones == *zones);
            known.unwrap_or_else(|| {
                self.places.push(Place { zones: zones.into(), answered: None });
                self.places.len() - 1
            })
        });
        if named.len() < REMEMBERED {
            named.insert(name.into(), place);
        }
        place
    }
}

/// The number whose turn it is; of a finished lead, its first.
fn turn<'a>(lead: &'a Lead, rules: &RetryRules) -> Option<&'a PhoneNumber> {
    // Most leads of a list were never dialled, or have one number.
    if lead.numbers.len() < 2 || lead.progress.tries.is_empty() {
        return lead.numbers.first();
    }
    lead.numbers.get(rotation(&lead.progress.tries, rules, &lead.numbers).next().unwrap_or(0))
}

/// Zones by their names; `None`: there is none, or one that the tz database does not know.
fn zones_named(names: &[&str]) -> Option<Vec<TimeZone>> {
    let zones: Option<Vec<TimeZone>> = names.iter().map(|name| TimeZone::get(name).ok()).collect();
    zones.filter(|zones| !zones.is_empty())
}

/// What a card says: names with commas between them, or hours ahead of Moscow or Greenwich.
fn zones_written(text: &str) -> Option<Vec<TimeZone>> {
    let zone = |name: &str| match ahead(name) {
        Some(hours) => Offset::from_hours(hours).ok().map(TimeZone::fixed),
        None => TimeZone::get(name).ok(),
    };
    let zones: Option<Vec<TimeZone>> =
        text.split([',', ';']).map(str::trim).filter(|name| !name.is_empty()).map(zone).collect();
    zones.filter(|zones| !zones.is_empty())
}

/// Hours ahead of Greenwich: `МСК+4` is 7, `UTC+7` too, `МСК` is 3.
fn ahead(text: &str) -> Option<i8> {
    let text = text.to_uppercase();
    let bases = [("МСК", 3), ("MSK", 3), ("UTC", 0), ("GMT", 0)];
    let (rest, base) =
        bases.iter().find_map(|(name, base)| Some((text.strip_prefix(name)?.trim(), *base)))?;
    if rest.is_empty() {
        return Some(base);
    }
    let signed = rest.starts_with(['+', '-']);
    let more: i8 = rest.parse().ok().filter(|more| signed && (-14..=14).contains(more))?;
    Some(base + more)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::Timestamp;
    use zvonar_campaign::{Meaning, Progress, Purpose, RetryClass, Try};
    use zvonar_model::{AttemptId, LeadId};

    use super::*;

    fn lead(fields: &[(&str, &str)], numbers: &[&str]) -> Lead {
        let fields: BTreeMap<String, String> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Lead {
            lead: LeadId::new("anna").unwrap(),
            numbers: numbers.iter().map(|number| PhoneNumber::parse(number).unwrap()).collect(),
            fields,
            notes: Vec::new(),
            tags: BTreeSet::new(),
            position: 0,
            progress: Progress::new(),
            claim: None,
        }
    }

    /// Hours ahead of Greenwich, of all zones.
    fn hours(default: &str, lead: &Lead) -> Vec<i32> {
        let mut register = Register::clone(&Register::sample());
        let table = "900;0000000;0999999;1000000;А;г. Москва и Московская область;1\n\
                     900;1000000;1999999;1000000;А;Российская Федерация;1\n\
                     914;0000000;0999999;1000000;А;Приморский край;1\n\
                     914;1000000;1999999;1000000;А;Республика Саха /Якутия/;1\n";
        register.load("DEF-9xx.csv", table, UnixMillis(0)).unwrap();
        let rules = DialRules { zone: default.into(), ..DialRules::default() };
        let hours = Hours::new(&rules, &Arc::new(register)).unwrap();
        let at = Timestamp::from_millisecond(1_790_000_000_000).unwrap();
        let once: Vec<i32> =
            hours.zones(lead).iter().map(|zone| zone.to_offset(at).seconds() / 3600).collect();
        let again: Vec<i32> =
            hours.zones(lead).iter().map(|zone| zone.to_offset(at).seconds() / 3600).collect();
        assert_eq!(once, again, "what is remembered is what was found");
        once
    }

    #[test]
    fn a_lead_lives_where_its_card_says_then_where_its_number_lies_then_where_the_project_is() {
        const SEA: &str = "+79140000001";
        for (default, fields, numbers, expected) in [
            ("Asia/Omsk", &[][..], &["+79140000001"][..], &[10][..]),
            ("Asia/Omsk", &[("tz", "Asia/Irkutsk"), ("region", "Томская область")], &[SEA], &[8]),
            ("Asia/Omsk", &[("tz", "nowhere"), ("region", "Томская область")], &[SEA], &[7]),
            ("Asia/Omsk", &[("tz", "nowhere"), ("region", "nowhere")], &[SEA], &[10]),
            ("Asia/Omsk", &[("tz", ""), ("регион", "г. Казань")], &[SEA], &[3]),
            ("Asia/Omsk", &[("tz", "Asia/Irkutsk, Asia/Yakutsk")], &[SEA], &[8, 9]),
            ("Asia/Omsk", &[("tz", "МСК+4")], &[SEA], &[7]),
            ("Asia/Omsk", &[("tz", "msk")], &[SEA], &[3]),
            ("Asia/Omsk", &[("tz", "UTC+12")], &[SEA], &[12]),
            ("Asia/Omsk", &[("tz", "UTC+99")], &[SEA], &[10]),
            ("Asia/Omsk", &[("Регион", "Якутия")], &[SEA], &[9, 10, 11]),
            ("Asia/Omsk", &[], &["+79141000001"], &[9, 10, 11]),
            // In no range, or in one of all Russia: the project's default.
            ("Asia/Omsk", &[], &["+79990000001"], &[6]),
            ("Asia/Omsk", &[], &["+79001000001"], &[6]),
            // Moscow's federal ranges are given out everywhere: Moscow and the default must agree.
            ("Asia/Omsk", &[], &["+79000000001"], &[3, 6]),
            ("Europe/Moscow", &[], &["+79000000001"], &[3]),
            // A lead's first number, as long as it was not dialled.
            ("Asia/Omsk", &[], &["+79140000001", "+79141000001"], &[10]),
        ] {
            assert_eq!(hours(default, &lead(fields, numbers)), expected, "{default} {fields:?} {numbers:?}");
        }
    }

    #[test]
    fn the_number_whose_turn_it_is_tells_the_zone() {
        let mut lead = lead(&[], &["+79141000001", "+79140000001"]);
        assert_eq!(hours("Asia/Omsk", &lead), [9, 10, 11]);
        lead.progress.tries.push(Try {
            attempt: AttemptId::new("a").unwrap(),
            number: Some(lead.numbers[0].clone()),
            meaning: Meaning::Retried(RetryClass::Busy),
            at: UnixMillis(0),
        });
        assert_eq!(hours("Asia/Omsk", &lead), [10]);
    }

    #[test]
    fn debts_keep_to_the_hours_of_the_law_whatever_the_project_says() {
        let rules = |hours: &str, purpose| DialRules { hours: hours.into(), purpose, ..DialRules::default() };
        let lead = lead(&[], &["+79000000001"]);
        // Saturday, 7 March 2026, 20:30 in Moscow.
        let late = UnixMillis("2026-03-07T17:30:00Z".parse::<Timestamp>().unwrap().as_millisecond());
        for (rules, open) in [
            (rules("any", Purpose::Inform), true),
            (rules("any", Purpose::Collection), false),
            (rules("ru-default", Purpose::Collection), false),
            (rules("ru-default", Purpose::Survey), true),
        ] {
            let hours = Hours::new(&rules, &Register::sample()).unwrap();
            assert_eq!(matches!(hours.calling(&lead, late), Calling::Open { .. }), open, "{rules:?}");
        }
        let refused = Hours::check(&rules("any", Purpose::Advertising)).unwrap_err().to_string();
        assert!(refused.contains("38-ФЗ art. 18 (2)"), "{refused}");
    }

    #[test]
    fn a_lead_of_several_zones_is_called_only_when_all_agree() {
        let hours = Hours::new(&DialRules::default(), &Register::sample()).unwrap();
        let lead = lead(&[("region", "Якутия")], &["+79000000001"]);
        let at = |text: &str| UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond());
        // 9 to 21 at +9, +10 and +11: from 0:00 to 10:00 in Greenwich.
        for (now, expected) in [
            ("2026-03-01T23:30:00Z", Calling::Closed { opens: Some(at("2026-03-02T00:00:00Z")) }),
            ("2026-03-02T00:00:00Z", Calling::Open { until: at("2026-03-02T10:00:00Z") }),
            ("2026-03-02T10:00:00Z", Calling::Closed { opens: Some(at("2026-03-03T00:00:00Z")) }),
        ] {
            assert_eq!(hours.calling(&lead, at(now)), expected, "{now}");
            assert_eq!(hours.calling(&lead, at(now)), expected, "{now}, asked again");
        }
        assert_eq!(hours.due(&lead, UnixMillis(0), at("2026-03-02T12:00:00Z")), at("2026-03-03T00:00:00Z"));
    }
}
