//! That a caller waits for a person is noted in the store, so that he is called back should the program die. Nobody waits
//! for the store: notes are written one after the other, beside the call.

use std::future::Future;

use tokio::task::JoinHandle;
use zvonar_model::AttemptId;

use crate::Result;
use crate::call_back::Waits;
use crate::tables::Tables;

/// The notes of one call.
#[derive(Debug, Default)]
pub(super) struct Note {
    /// A note says that he waits, or soon will.
    stands: bool,
    last: Option<JoinHandle<()>>,
}

impl Note {
    /// He waits.
    pub(super) fn waits(&mut self, tables: Tables, waits: Waits) {
        self.stands = true;
        self.write(async move { tables.note_waits(&waits).await });
    }

    /// Somebody talks with him.
    pub(super) fn found(&mut self, tables: Tables, attempt: AttemptId) {
        if std::mem::take(&mut self.stands) {
            self.write(async move { tables.note_found(&attempt).await });
        }
    }

    fn write(&mut self, note: impl Future<Output = Result<()>> + Send + 'static) {
        let before = self.last.take();
        self.last = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // One that a bug stopped wrote nothing.
                let _ = before.await;
            }
            if let Err(why) = note.await {
                tracing::error!(%why, "that a caller waits is not stored: should the program die, he is not called back");
            }
        }));
    }

    /// The call is over: nothing is written after this.
    pub(super) async fn finish(self) {
        if let Some(last) = self.last {
            let _ = last.await;
        }
    }
}
