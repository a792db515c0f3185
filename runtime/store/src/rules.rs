//! What every engine checks before it takes a commit.

use crate::{Expect, Key, MAX_VALUE_BYTES, MAX_WRITES, Result, StoreError, Write};

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
    let mut keys: Vec<&Key> = writes.iter().map(|write| &write.key).collect();
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|two| two[0] == two[1]) {
        return Err(StoreError::Refused(format!("the key {} twice in one commit", twice[0])));
    }
    for write in writes {
        write.key.check_length()?;
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
