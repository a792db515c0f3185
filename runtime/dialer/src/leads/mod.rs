//! What people do with the leads of a project: look for them, tag, edit, delete, move, copy, call again.
//!
//! Operations on many leads go batch by batch, each batch with its step in one commit, so that counts stay right and a run
//! in progress hears of it. One that was cut short is done again: what is done already is passed over.
//!
//! # What always holds
//!
//! * Every change of a lead is a compare-and-set: nothing that a call, or somebody else, wrote meanwhile is lost.
//! * A deleted lead stays deleted, also when its call is still going on: that call is recorded and charged as any other.
//! * A lead that is being dialled is not moved or copied: in its new project it could be dialled at the same time.

mod bulk;
mod edit;
mod filter;
mod redial;

use zvonar_store::MAX_VALUE_BYTES;

use crate::tables::{Lead, encode};

pub use bulk::{Changed, Selection};
pub use edit::LeadEdit;
pub use filter::{LeadFilter, LeadPage};

/// The most tags of a lead.
pub const MAX_TAGS: usize = 50;
/// The longest tag, in bytes.
pub const MAX_TAG: usize = 100;

/// What a lead may weigh as it is stored.
const ROOM: usize = MAX_VALUE_BYTES - 1024;

/// What is wrong with a tag.
pub(crate) fn tag_fault(tag: &str) -> Option<String> {
    if tag.trim().is_empty() {
        return Some("a tag is empty".into());
    }
    (tag.len() > MAX_TAG).then(|| {
        let start = crate::projects::cut(tag, 20);
        format!("the tag `{start}…` is longer than {MAX_TAG} bytes")
    })
}

/// The lead as it fits into the store: the oldest notes go first.
pub(crate) fn fitted(mut lead: Lead) -> Lead {
    while encode(&lead).len() > ROOM && !lead.notes.is_empty() {
        lead.notes.remove(0);
    }
    lead
}
