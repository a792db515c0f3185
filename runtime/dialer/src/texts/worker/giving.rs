//! Giving a message to the gateway: whether it may go, what it may cost, its number, its intent.

use std::sync::Arc;

use zvonar_campaign::with_start;
use zvonar_gateways::outbox::{Begin, Passage};
use zvonar_gateways::smsc::Class;
use zvonar_gateways::{GatewayError, Price, Sms, SmsId};
use zvonar_model::PhoneNumber;
use zvonar_store::Write;

use super::{Answer, NUMBERS, UNPAID, Worker};
use crate::purse::Hold;
use crate::tables::{Read, encode};
use crate::texts::TextRules;
use crate::texts::rows::{NumberRow, TextId, TextedRow};
use crate::{Day, DialerError, Result};

impl Worker {
    /// Sees whether a message may go, and lets it. `false`: it does not, for now or for ever.
    pub(super) async fn send(&mut self, id: &TextId) -> Result<bool> {
        if !self.dialer.is_prepaid(self.tables.tenant()) || self.holds.contains_key(id) {
            return self.give(id).await;
        }
        if !self.may_go(id).await? {
            return Ok(false);
        }
        let Some(open) = self.outbox.get(id) else { return Ok(false) };
        let gateway = Arc::clone(&self.gateway);
        let (to, text) = (open.text.to.clone(), open.text.text.clone());
        self.fly(id.clone(), async move { Answer::Priced(gateway.price(&to, &text).await) });
        Ok(true)
    }

    /// Whether a message may go at this moment. If it may not for a reason of its own, that is noted.
    async fn may_go(&mut self, id: &TextId) -> Result<bool> {
        let Some(open) = self.outbox.get(id).cloned() else { return Ok(false) };
        let now = self.dialer.now();
        if let Some(why) = self.tables.text_forbidden(&open.text).await? {
            let mut fate = open.fate;
            if fate.life.forbid(now, why) {
                self.change(id, now, fate, None, Vec::new()).await?;
            }
            return Ok(false);
        }
        if !self.outbox.may_go_on(now) {
            return Ok(false);
        }
        if open.fate.number.is_some() {
            return Ok(true);
        }
        let texted = self.texted(&open.text.to).await?;
        let day = Day::of(now);
        let texted = texted.map(|read| read.row);
        if texted.as_ref().is_some_and(|row| row.day == day && row.texts >= self.rules.per_person) {
            self.outbox.hold(id, day.next_morning());
            return Ok(false);
        }
        let moments = texted.map(|row| row.moments).unwrap_or_default();
        if let Some(until) = self.tables.text_held(&open.text, &moments, now).await? {
            self.outbox.hold(id, until);
            return Ok(false);
        }
        Ok(self.outbox.allowed(now).is_ok())
    }

    async fn texted(&self, to: &PhoneNumber) -> Result<Option<Read<TextedRow>>> {
        self.tables.get(&self.tables.keys.texted(to)).await
    }

    /// Gives a message to the gateway, if it may go. `false`: it is not given, and nothing is held for it.
    async fn give(&mut self, id: &TextId) -> Result<bool> {
        // Others may have gone, and all may have changed, while its price was asked for.
        let flies = self.may_go(id).await? && self.gives(id).await?;
        if !flies {
            self.holds.remove(id);
        }
        Ok(flies)
    }

    /// Stores the intent and gives a message to the gateway. `false`: it is not given.
    async fn gives(&mut self, id: &TextId) -> Result<bool> {
        let Some(open) = self.outbox.get(id).cloned() else { return Ok(false) };
        let now = self.dialer.now();
        let mut fate = open.fate;
        let fresh = fate.number.is_none();
        match fate.life.begin(now) {
            Begin::Give => {}
            Begin::TooLate => {
                self.change(id, now, fate, None, Vec::new()).await?;
                return Ok(false);
            }
            Begin::No => return Ok(false),
        }
        let number = match fate.number {
            Some(number) => number,
            None => self.number().await?,
        };
        fate.number = Some(number);
        let (mut more, mut state) = (Vec::new(), None);
        if fresh {
            let keys = &self.tables.keys;
            more.push(Write::create(keys.text_number(number), encode(&NumberRow { text: id.clone() })));
            let (key, day) = (keys.texted(&open.text.to), Day::of(now));
            let before = self.texted(&open.text.to).await?;
            let texts =
                before.as_ref().filter(|read| read.row.day == day).map_or(0, |read| read.row.texts) + 1;
            let moments = before.as_ref().map_or(&[][..], |read| &read.row.moments);
            let row = encode(&TextedRow { day, texts, moments: with_start(moments, now) });
            more.push(match before {
                Some(read) => Write::replace(key, read.revision, row),
                None => Write::create(key, row),
            });
            state = Some(self.outbox.counted(now, number.get()));
        }
        if !self.change(id, now, fate, state, more).await? {
            return Ok(false);
        }
        let sms = Sms { id: number, to: open.text.to, text: open.text.text };
        let gateway = Arc::clone(&self.gateway);
        self.fly(id.clone(), async move { Answer::Sent(gateway.send(&sms).await) });
        Ok(true)
    }

    /// A number that no message of the account had.
    async fn number(&mut self) -> Result<SmsId> {
        if self.numbers.0 >= self.numbers.1 {
            let TextRules { account, first_number, .. } = &self.rules;
            let first = (*first_number).max(self.outbox.state.highest.saturating_add(1));
            let (first, count) = self.tables.take_numbers(account, first, NUMBERS).await?;
            self.numbers = (first, first + count);
        }
        let number = SmsId::new(self.numbers.0).ok_or(DialerError::NoNumbers)?;
        self.numbers.0 += 1;
        Ok(number)
    }

    pub(super) async fn priced(
        &mut self,
        id: &TextId,
        price: std::result::Result<Price, GatewayError>,
    ) -> Result<bool> {
        let now = self.dialer.now();
        match price {
            Ok(price) => match self.dialer.hold_sum(&self.tables, price.cost).await? {
                None => {}
                Some(Hold::Held(held)) => drop(self.holds.insert(id.clone(), held)),
                Some(Hold::Later | Hold::Spent(_)) => {
                    tracing::warn!(text = %id, "a text message waits: what is left of the balance does not pay for it");
                    self.outbox.hold(id, now.plus(UNPAID));
                    return Ok(false);
                }
            },
            Err(why) => {
                let refused = match &why {
                    GatewayError::Refused { code, .. } => {
                        matches!(code.class(), Class::Message | Class::Number)
                    }
                    GatewayError::Unreachable(_) | GatewayError::NoAnswer(_) => false,
                };
                self.hear(now, id, &Err(why)).await?;
                if !refused {
                    // Nobody knows what it costs, so nothing can be held. A gate that has closed says when it is tried.
                    if !matches!(self.outbox.state.gate.passage(now), Passage::Closed(_)) {
                        self.outbox.hold(id, now.plus(UNPAID));
                    }
                    return Ok(false);
                }
                // It is this message that is refused: it will be told so itself, and costs nothing.
            }
        }
        self.give(id).await
    }
}
