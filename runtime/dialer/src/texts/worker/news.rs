//! What the gateway tells of a message by itself: stored before it is answered, whatever we thought of the message.

use zvonar_gateways::{Delivery, SmsId};
use zvonar_store::{Commit, Write};

use super::{Wanted, Worker};
use crate::tables::{TRIES, encode};
use crate::texts::books::same_number;
use crate::texts::rows::Text;
use crate::{DialerError, Result};

impl Worker {
    pub(super) async fn serve(&mut self, wanted: Wanted) -> Result<()> {
        match wanted {
            Wanted::News { number, phone, delivery, known } => {
                let is_known = self.news(number, &phone, delivery).await?;
                // Whoever asked may have gone.
                let _ = known.send(is_known);
            }
        }
        Ok(())
    }

    /// `false`: the tenant has no such message.
    async fn news(&mut self, number: SmsId, phone: &str, delivery: Option<Delivery>) -> Result<bool> {
        let Some(id) = self.tables.text_by_number(number).await? else { return Ok(false) };
        let text = match self.outbox.get(&id) {
            Some(open) => Some(open.text.clone()),
            None => self.tables.get::<Text>(&self.tables.keys.text(&id)).await?.map(|read| read.row),
        };
        let Some(text) = text.filter(|text| same_number(&text.to, phone)) else { return Ok(false) };
        // It has none of this number any more: what we know of it stays.
        let Some(delivery) = delivery else { return Ok(true) };
        for _ in 0..TRIES {
            let now = self.dialer.now();
            if let Some(open) = self.outbox.get(&id) {
                let mut fate = open.fate.clone();
                if !fate.life.news(now, delivery) || self.change(&id, now, fate, None, Vec::new()).await? {
                    return Ok(true);
                }
                continue;
            }
            // All is told of it, or nobody asks any more; or it waits in the store until there is room.
            let Some((known, over)) = self.tables.fate(&id).await? else { return Ok(true) };
            let mut next = known.row.clone();
            if !next.life.news(now, delivery) {
                return Ok(true);
            }
            let tells = self.telling(&text, &known.row, &mut next, now);
            let (keys, row) = (&self.tables.keys, encode(&next));
            let mut writes = match (over, next.is_over()) {
                (true, true) => vec![Write::replace(keys.done_text(&id), known.revision, row)],
                (false, false) => vec![Write::replace(keys.open_text(&id), known.revision, row)],
                // Now there is something to ask: its price.
                (true, false) => vec![
                    Write::create(keys.open_text(&id), row),
                    Write::delete(keys.done_text(&id), known.revision),
                ],
                (false, true) => vec![
                    Write::create(keys.done_text(&id), row),
                    Write::delete(keys.open_text(&id), known.revision),
                ],
            };
            writes.extend(tells);
            if let Commit::Done(revisions) = self.tables.commit(writes, 0).await? {
                self.outbox.put(text, next, revisions[0]);
                return Ok(true);
            }
        }
        Err(DialerError::Contended(self.tables.keys.text(&id)))
    }
}
