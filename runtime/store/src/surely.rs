//! Finding out what became of a commit whose outcome is unknown.

use std::time::Duration;

use crate::{Commit, Result, Shard, Store, Write};

/// How often a commit is sent before its error is given back: with the waits below, about ten seconds.
const SENDINGS: u32 = 10;

/// The wait after the first failure; it doubles, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// The longest wait between two sendings.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Sends a commit until its outcome is known.
///
/// `witness` is the place in `writes` of a value that only this commit can have written (it holds an attempt's id, for
/// instance) and that expects [`Absent`](crate::Expect::Absent) or a revision: a conflict after a sending of unknown
/// outcome is told from a lost race by looking whether it is there.
///
/// # Errors
/// When the store does not come back in time; the outcome is still unknown then.
pub async fn commit_surely(
    store: &dyn Store,
    shard: Shard,
    writes: Vec<Write>,
    witness: usize,
) -> Result<Commit> {
    assert!(
        writes.get(witness).is_some_and(|write| write.value.is_some()),
        "the witness is a value that this commit writes"
    );
    let mut unknown = false;
    let mut wait = FIRST_WAIT;
    let mut sending = 1;
    loop {
        let failure = match store.commit(shard, writes.clone()).await {
            Ok(Commit::Done(revisions)) => return Ok(Commit::Done(revisions)),
            Ok(Commit::Conflict) if !unknown => return Ok(Commit::Conflict),
            Ok(Commit::Conflict) => match store.get(shard, &writes[witness].key).await {
                Ok(Some(item)) if Some(&item.value) == writes[witness].value.as_ref() => {
                    let first = item.revision - witness as u64;
                    return Ok(Commit::Done((first..).take(writes.len()).collect()));
                }
                Ok(_) => return Ok(Commit::Conflict),
                Err(failure) => failure,
            },
            Err(failure) => {
                unknown = true;
                failure
            }
        };
        if sending == SENDINGS || !failure.is_worth_retrying() {
            return Err(failure);
        }
        tracing::warn!(sending, error = &failure as &dyn std::error::Error, "a commit is sent again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
        sending += 1;
    }
}
