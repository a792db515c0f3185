//! What every engine checks before it takes a commit.

use std::collections::BTreeSet;

use crate::{Expect, MAX_VALUE_BYTES, MAX_WRITES, Result, StoreError, Write};

/// Whether any store would take this commit at all.
pub(crate) fn check(writes: &[Write]) -> Result<()> {
    if writes.is_empty() {
        return Err(StoreError::Refused("a commit without writes".into()));
    }
    if writes.len() > MAX_WRITES {
        return Err(StoreError::Refused(format!(
            "a commit of {} writes; at most {MAX_WRITES} are allowed",
            writes.len()
        )));
    }
    let mut seen = BTreeSet::new();
    for write in writes {
        write.key.check_length()?;
        if !seen.insert(&write.key) {
            return Err(StoreError::Refused(format!("the key {} twice in one commit", write.key)));
        }
        if let Some(value) = &write.value
            && value.len() > MAX_VALUE_BYTES
        {
            return Err(StoreError::Refused(format!(
                "a value of {} bytes at {}; at most {MAX_VALUE_BYTES} are allowed",
                value.len(),
                write.key
            )));
        }
    }
    Ok(())
}

/// Whether an expectation holds of a key that is now at this revision.
pub(crate) fn holds(expect: Expect, now: Option<u64>) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => now.is_none(),
        Expect::Rev(revision) => now == Some(revision),
    }
}
