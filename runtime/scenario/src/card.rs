//! The card of a person: what it may hold, and one in memory.
//!
//! The limits are those of the store that keeps cards, so that a scenario is told at once what would not be kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ports::Lead;

/// The most fields of a card.
pub const MAX_FIELDS: usize = 48;
/// The longest name of a field, in bytes.
pub const MAX_FIELD_NAME: usize = 64;
/// The longest value of a field and the longest note, in bytes.
pub const MAX_TEXT: usize = 4096;
/// The most that the fields of a card may weigh as JSON, in bytes.
pub const MAX_CARD_BYTES: usize = 192 << 10;

/// What fields weigh as JSON, in bytes.
pub fn card_bytes(fields: &BTreeMap<String, String>) -> usize {
    serde_json::to_vec(fields).expect("text keys and values").len()
}

/// A card in memory: the fields as they were, and what a session wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeadCard {
    /// The fields, with what the session wrote over them.
    pub fields: BTreeMap<String, String>,
    /// What the session wrote, by field.
    pub written: BTreeMap<String, String>,
    /// Notes, in order.
    pub notes: Vec<String>,
    /// Why the card goes on the blacklist, if it does. The first reason stands.
    pub blocked: Option<String>,
}

impl LeadCard {
    /// A card with these fields.
    pub fn new(fields: BTreeMap<String, String>) -> Self {
        Self { fields, ..Self::default() }
    }
}

impl Lead for LeadCard {
    fn field(&self, name: &str) -> Option<String> {
        self.fields.get(name).cloned()
    }

    fn set_field(&mut self, name: &str, value: &str) -> Result<(), String> {
        if !self.fields.contains_key(name) && self.fields.len() >= MAX_FIELDS {
            return Err(format!("a card has at most {MAX_FIELDS} fields, and this one has them"));
        }
        let before = self.fields.insert(name.to_owned(), value.to_owned());
        let weight = card_bytes(&self.fields);
        if weight > MAX_CARD_BYTES {
            match before {
                Some(before) => self.fields.insert(name.to_owned(), before),
                None => self.fields.remove(name),
            };
            return Err(format!(
                "the card would have {weight} bytes as JSON; at most {MAX_CARD_BYTES} are kept"
            ));
        }
        self.written.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    fn block(&mut self, reason: &str) {
        self.blocked.get_or_insert_with(|| reason.to_owned());
    }
}

/// A card that its owner keeps a hold of: the session writes through one handle, the owner reads through the other.
impl Lead for Arc<std::sync::Mutex<LeadCard>> {
    fn field(&self, name: &str) -> Option<String> {
        self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).field(name)
    }

    fn set_field(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).set_field(name, value)
    }

    fn note(&mut self, text: &str) {
        self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).note(text);
    }

    fn block(&mut self, reason: &str) {
        self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).block(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What did not fit was dropped after the call, and the scenario had heard that all was well.
    #[test]
    fn what_would_not_be_kept_is_refused_at_once() {
        let mut card = LeadCard::new([("name".to_owned(), "Анна".to_owned())].into());
        for i in 1..MAX_FIELDS {
            card.set_field(&format!("field {i}"), "x").unwrap();
        }
        let full = card.set_field("one more", "x").unwrap_err();
        assert!(full.contains("at most 48 fields"), "{full}");
        card.set_field("name", "Борис").unwrap();
        // A control character is six bytes as JSON.
        let heavy = "\u{1}".repeat(MAX_TEXT);
        let refused = (1..MAX_FIELDS).find_map(|i| card.set_field(&format!("field {i}"), &heavy).err());
        assert!(refused.unwrap().contains("at most 196608 are kept"));
        assert!(card_bytes(&card.fields) <= MAX_CARD_BYTES);
        assert!(card.fields.values().any(|value| value == "x"), "what was there before stays");
        assert_eq!(card.fields["name"], "Борис");
    }
}
