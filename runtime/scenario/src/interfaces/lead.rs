//! `lead`: the card of the person on the line.

use serde_json::{Value, json};

use super::types::shorten;
use super::wit::lead::Host;
use crate::limits::{CARD_WRITES, FIELD_NAME_BYTES, TEXT_BYTES};
use crate::session::State;
use crate::trace;

impl Host for State {
    fn field(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let call = self.enter("lead.field")?;
        let value = self.ports.lead.field(&name);
        self.leave(call, || (json!(name), json!(value)));
        Ok(value)
    }

    fn set_field(&mut self, name: String, value: String) -> wasmtime::Result<Result<(), String>> {
        let call = self.enter("lead.set-field")?;
        let written = if name.trim().is_empty() || name.len() > FIELD_NAME_BYTES {
            Err(format!("a field's name has 1 to {FIELD_NAME_BYTES} bytes, this one has {}", name.len()))
        } else if value.len() > TEXT_BYTES {
            Err(format!("a field's value has at most {TEXT_BYTES} bytes, this one has {}", value.len()))
        } else if !self.may_write_card() {
            Err(format!("one call writes at most {CARD_WRITES} times to the card"))
        } else {
            self.ports.lead.set_field(&name, &value)
        };
        self.leave(call, || (json!([name, value]), trace::done(&written)));
        Ok(written)
    }

    fn note(&mut self, text: String) -> wasmtime::Result<()> {
        let call = self.enter("lead.note")?;
        let text = shorten(&text, TEXT_BYTES);
        if self.may_write_card() {
            self.ports.lead.note(text);
        }
        self.leave(call, || (json!(text), Value::Null));
        Ok(())
    }

    fn block(&mut self, reason: String) -> wasmtime::Result<()> {
        let call = self.enter("lead.block")?;
        // Never held back by the bound on writes: somebody asked not to be called again.
        let reason = shorten(&reason, TEXT_BYTES);
        self.ports.lead.block(reason);
        self.leave(call, || (json!(reason), Value::Null));
        Ok(())
    }
}

impl State {
    /// Counts a write to the card. Notes beyond the bound are dropped (the trace has them), fields are refused.
    fn may_write_card(&mut self) -> bool {
        self.card_writes = self.card_writes.saturating_add(1);
        self.card_writes <= CARD_WRITES
    }
}
