//! Hands durable changes to watchers.
//!
//! Engines publish after the disk has acknowledged, in the order of revisions. The queue of a watcher is bounded: one
//! that falls behind is told so and starts again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{BoxStream, StreamExt};
use tokio::sync::broadcast;

use crate::{Event, Item, Key, NEWS, Result, Shard, StoreError};

/// How many changes a watcher may be behind.
const BEHIND: usize = 4096;

pub(crate) struct Hub {
    /// By shard: whoever watches one is not woken by the others.
    senders: Vec<broadcast::Sender<Arc<Event>>>,
    /// The last revision that was published.
    published: Mutex<u64>,
}

/// A place in the flow of changes: everything after `since` will come out of the receiver.
pub(crate) struct Subscription {
    receiver: broadcast::Receiver<Arc<Event>>,
    pub(crate) since: u64,
}

impl Hub {
    pub(crate) fn new(revision: u64) -> Self {
        let senders = Shard::all().map(|_| broadcast::Sender::new(BEHIND)).collect();
        Self { senders, published: Mutex::new(revision) }
    }

    /// Tells of the changes of one durable commit.
    pub(crate) fn publish(&self, shard: Shard, events: impl IntoIterator<Item = Event>) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            *published = event.revision;
            // An error says that nobody watches.
            let _ = self.senders[usize::from(shard.number())].send(Arc::new(event));
        }
    }

    pub(crate) fn subscribe(&self, shard: Shard) -> Subscription {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        Subscription { receiver: self.senders[usize::from(shard.number())].subscribe(), since: *published }
    }
}

impl Subscription {
    /// The stream of a watcher. `found` is what a scan begun after the subscription saw; of it only what is newer than
    /// `from` and was durable at the subscription is told, since the rest comes from the receiver.
    pub(crate) fn stream(
        self,
        prefix: Key,
        from: u64,
        mut found: Vec<Item>,
    ) -> BoxStream<'static, Result<Event>> {
        let since = self.since;
        let from = if from == NEWS { since } else { from };
        found.retain(|item| item.revision > from && item.revision <= since);
        found.sort_unstable_by_key(|item| item.revision);
        let found: VecDeque<Item> = found.into();
        let state = (found, Some(self.receiver), prefix);
        futures::stream::unfold(state, move |(mut found, mut receiver, prefix)| async move {
            if let Some(item) = found.pop_front() {
                let event = Event { key: item.key, revision: item.revision, value: Some(item.value) };
                return Some((Ok(event), (found, receiver, prefix)));
            }
            loop {
                match receiver.as_mut()?.recv().await {
                    Ok(event) if event.revision > since.max(from) && event.key.is_below(&prefix) => {
                        return Some((Ok(Event::clone(&event)), (found, receiver, prefix)));
                    }
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        return Some((Err(StoreError::Lagged), (found, None, prefix)));
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }
}
