//! Whose number it is: what keeps one person from being called twice under two names.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, HashSet};

use zvonar_model::LeadId;

use crate::{Contact, Refusal};

/// The numbers of a project and of the list that is being read. A number takes 12 bytes; with merging, its lead's id as
/// well.
#[derive(Debug)]
pub struct Known {
    /// Who has a number, by the place of his id, or by the line that he stands in.
    owners: HashMap<u64, u32>,
    merge: Option<Ids>,
}

/// Ids one behind the other.
#[derive(Debug, Default)]
struct Ids {
    text: String,
    ends: Vec<u32>,
    /// Those that are there, by hash.
    present: HashSet<u64>,
}

/// In `owners`, without merging: a lead of the project, by 31 bits of the hash of his id. Without the bit: a line.
const IN_PROJECT: u32 = 1 << 31;

/// What becomes of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// He is to be added; numbers that others have were left out.
    Add,
    /// Others have all his numbers.
    Refused(Refusal),
}

impl Known {
    /// Nothing is known yet. `merge`: contacts with a known number become part of whoever has it.
    pub fn new(merge: bool) -> Self {
        Self { owners: HashMap::new(), merge: merge.then(Ids::default) }
    }

    /// Tells a number of a lead of the project, by its digits.
    pub fn tell(&mut self, number: &str, lead: &str) {
        let owner = match &mut self.merge {
            None => IN_PROJECT | hash(lead) as u32,
            Some(ids) => ids.add(lead),
        };
        self.owners.entry(digits(number)).or_insert(owner);
    }

    /// How many numbers are known.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Judges a contact of the list, and knows his numbers from now on. With merging he may get the id of whoever has one
    /// of his numbers already.
    pub fn judge(&mut self, contact: &mut Contact, line: u64) -> Verdict {
        let line = u32::try_from(line).unwrap_or(u32::MAX) & !IN_PROJECT;
        if let Some(ids) = &self.merge
            && !ids.present.contains(&hash(contact.lead.as_str()))
        {
            let owner = contact.numbers.iter().find_map(|number| self.owners.get(&digits(number.digits())));
            if let Some(lead) = owner.and_then(|place| LeadId::new(ids.get(*place)).ok()) {
                contact.lead = lead;
            }
        }
        let own = match &mut self.merge {
            None => IN_PROJECT | hash(contact.lead.as_str()) as u32,
            Some(ids) => ids.add(contact.lead.as_str()),
        };
        let mut left = Vec::with_capacity(contact.numbers.len());
        let mut taken = None;
        for number in std::mem::take(&mut contact.numbers) {
            let why = match (self.owners.entry(digits(number.digits())), &self.merge) {
                (Place::Vacant(place), merge) => {
                    place.insert(if merge.is_some() { own } else { line });
                    None
                }
                (Place::Occupied(owner), _) if *owner.get() == own => None,
                (Place::Occupied(owner), Some(ids)) => {
                    let other = ids.get(*owner.get());
                    (other != contact.lead.as_str()).then(|| Refusal::OthersNumber { lead: other.to_owned() })
                }
                (Place::Occupied(owner), None) if owner.get() & IN_PROJECT != 0 => Some(Refusal::KnownNumber),
                (Place::Occupied(owner), None) => Some(Refusal::SameNumber { line: u64::from(*owner.get()) }),
            };
            match why {
                None => left.push(number),
                Some(why) => {
                    taken.get_or_insert_with(|| why.clone());
                    contact.left_out.push(why);
                }
            }
        }
        contact.numbers = left;
        match taken.filter(|_| contact.numbers.is_empty()) {
            Some(why) => Verdict::Refused(why),
            None => Verdict::Add,
        }
    }
}

impl Ids {
    /// The place of an id. The last one is often asked for again: a lead may have several numbers.
    fn add(&mut self, id: &str) -> u32 {
        if self.ends.last().is_some() && self.get(self.ends.len() as u32 - 1) == id {
            return self.ends.len() as u32 - 1;
        }
        self.present.insert(hash(id));
        self.text.push_str(id);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.ends.len() as u32 - 1
    }

    fn get(&self, place: u32) -> &str {
        let place = place as usize;
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin as usize..self.ends[place] as usize]
    }
}

fn digits(number: &str) -> u64 {
    // A leading 1 keeps numbers apart that begin with zeros.
    let digits = number.bytes().filter(u8::is_ascii_digit).take(18);
    digits.fold(1, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// FNV-1a: the same in every run.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use zvonar_model::PhoneNumber;

    use super::*;

    fn contact(lead: &str, numbers: &[&str]) -> Contact {
        Contact {
            lead: LeadId::new(lead).unwrap(),
            made: false,
            numbers: numbers.iter().map(|number| PhoneNumber::parse(number).unwrap()).collect(),
            fields: BTreeMap::new(),
            tags: BTreeSet::new(),
            left_out: Vec::new(),
        }
    }

    /// Id, numbers and reasons after the judgement.
    fn judged(known: &mut Known, lead: &str, numbers: &[&str], line: u64) -> String {
        let mut contact = contact(lead, numbers);
        let verdict = known.judge(&mut contact, line);
        let last: Vec<&str> = contact.numbers.iter().map(|number| &number.reveal()[11..]).collect();
        let left: Vec<String> = contact.left_out.iter().map(ToString::to_string).collect();
        let refused = if verdict == Verdict::Add { "" } else { " refused" };
        format!("{} {} {}{refused}", contact.lead, last.join(","), left.join("; ")).trim().replace("  ", " ")
    }

    #[test]
    fn a_number_is_called_for_one_person_only() {
        let mut known = Known::new(false);
        known.tell("79160000001", "anna");
        known.tell("79160000002", "anna");
        for (lead, numbers, line, expected) in [
            // Whoever is there already is told apart by those who keep the leads.
            ("anna", &["89160000001"][..], 2, "anna 1"),
            ("boris", &["89160000001"], 3, "boris  Номер уже есть в проекте refused"),
            ("boris", &["89160000002", "89160000003"], 4, "boris 3 Номер уже есть в проекте"),
            ("vera", &["89160000003"], 5, "vera  Номер уже есть в списке: строка 4 refused"),
            ("vera", &["89160000004"], 6, "vera 4"),
        ] {
            assert_eq!(judged(&mut known, lead, numbers, line), expected.replace("  ", " "), "line {line}");
        }
        assert_eq!(known.len(), 4);
    }

    #[test]
    fn merging_gives_the_row_to_whoever_has_the_number() {
        let mut known = Known::new(true);
        known.tell("79160000001", "anna");
        known.tell("79160000002", "boris");
        for (lead, numbers, line, expected) in [
            ("x1", &["89160000001", "89160000003"][..], 2, "anna 1,3"),
            ("x2", &["89160000003"], 3, "anna 3"),
            // A known id stays whose it is.
            ("boris", &["89160000002", "89160000001"], 4, "boris 2 Номер есть у другого контакта: anna"),
            ("vera", &["89160000004"], 5, "vera 4"),
            ("x3", &["89160000004", "89160000005"], 6, "vera 4,5"),
            ("x4", &["89160000002", "89160000004"], 7, "boris 2 Номер есть у другого контакта: vera"),
        ] {
            assert_eq!(judged(&mut known, lead, numbers, line), expected, "line {line}");
        }
    }
}
