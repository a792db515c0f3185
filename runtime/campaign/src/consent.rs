//! Consents to be called: a journal of who gave or took back what, and the state that is folded from it.
//!
//! What counts is when somebody said it, not when it was written down: an old list of consents that is loaded today
//! does not undo a refusal of yesterday. Said at the same moment, the refusal counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zvonar_model::{AttemptId, PhoneNumber, UnixMillis};

use crate::Purpose;

/// Whether a project calls only those who consented to calls of its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentRule {
    /// It calls whoever is on its list: consents are kept elsewhere.
    #[default]
    NotRequired,
    /// It calls nobody without one.
    Required,
}

/// What somebody said about being called: an entry of the journal, written once and never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentEvent {
    /// Given, or taken back.
    pub given: bool,
    /// For which numbers.
    pub numbers: Vec<PhoneNumber>,
    /// For which purposes; none, when taken back: for all.
    pub purposes: Vec<Purpose>,
    /// When it was said.
    pub at: UnixMillis,
    /// What was agreed to, by its id and version.
    #[serde(default)]
    pub text: Option<String>,
    /// How it was said: a form, a paper, a call.
    #[serde(default)]
    pub channel: String,
    /// From which address, if over the network.
    #[serde(default)]
    pub ip: Option<String>,
    /// The proof: a file's name or its SHA-256.
    #[serde(default)]
    pub proof: Option<String>,
    /// The call in which it was said, if one of ours.
    #[serde(default)]
    pub attempt: Option<AttemptId>,
}

/// Where a number stands: what was said last for each purpose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Consents {
    /// Purposes of which nothing was said are absent.
    pub said: BTreeMap<Purpose, Said>,
}

/// What was said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Given, or taken back.
    pub given: bool,
    /// When.
    pub at: UnixMillis,
}

impl Consents {
    /// The state after an event; the same in whatever order events come.
    #[must_use]
    pub fn after(&self, event: &ConsentEvent) -> Self {
        let mut next = self.clone();
        let all = !event.given && event.purposes.is_empty();
        for purpose in if all { &Purpose::ALL } else { event.purposes.as_slice() } {
            let said = Said { given: event.given, at: event.at };
            let counts = |before: &Said| (said.at, !said.given) >= (before.at, !before.given);
            if next.said.get(purpose).is_none_or(counts) {
                next.said.insert(*purpose, said);
            }
        }
        next
    }

    /// Whether calls of this purpose are consented to.
    pub fn allow(&self, purpose: Purpose) -> bool {
        self.said.get(&purpose).is_some_and(|said| said.given)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(given: bool, purposes: &[Purpose], at: i64) -> ConsentEvent {
        ConsentEvent {
            given,
            numbers: vec![PhoneNumber::parse("+79000000001").unwrap()],
            purposes: purposes.to_vec(),
            at: UnixMillis(at),
            text: Some("form-7/2".into()),
            channel: "site".into(),
            ip: None,
            proof: None,
            attempt: None,
        }
    }

    #[test]
    fn a_refusal_holds_against_consents_that_were_given_before_it() {
        let given = Consents::default().after(&event(true, &[Purpose::Inform, Purpose::Survey], 5));
        assert!(
            given.allow(Purpose::Inform) && given.allow(Purpose::Survey) && !given.allow(Purpose::Collection)
        );
        let refused = given.after(&event(false, &[], 7));
        assert!(Purpose::ALL.iter().all(|purpose| !refused.allow(*purpose)));
        // An old list, loaded late.
        assert!(!refused.after(&event(true, &[Purpose::Inform], 6)).allow(Purpose::Inform));
        assert!(!refused.after(&event(true, &[Purpose::Inform], 7)).allow(Purpose::Inform));
        assert!(refused.after(&event(true, &[Purpose::Inform], 8)).allow(Purpose::Inform));
        let one = given.after(&event(false, &[Purpose::Survey], 7));
        assert!(one.allow(Purpose::Inform) && !one.allow(Purpose::Survey));
    }

    proptest! {
        #[test]
        fn the_order_of_writing_down_does_not_matter(
            mut events in prop::collection::vec((any::<bool>(), 0usize..5, 0i64..6), 0..12),
            turns in prop::collection::vec(0usize..12, 12),
        ) {
            let fold = |events: &[(bool, usize, i64)]| events.iter().fold(Consents::default(), |state, (given, which, at)| {
                let purposes = Purpose::ALL.get(*which).map_or(&[][..], std::slice::from_ref);
                state.after(&event(*given, purposes, *at))
            });
            let before = fold(&events);
            for (place, other) in turns.into_iter().enumerate() {
                if place < events.len() && other < events.len() {
                    events.swap(place, other);
                }
            }
            prop_assert_eq!(fold(&events), before);
        }
    }
}
