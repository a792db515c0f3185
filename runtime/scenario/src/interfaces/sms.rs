//! `sms`: text messages. No host has a gateway yet, and says so.

use serde_json::json;

use super::wit::sms::{Host, SmsError};
use crate::session::State;

impl Host for State {
    fn send(&mut self, to: Option<String>, text: String) -> wasmtime::Result<Result<String, SmsError>> {
        let call = self.enter("sms.send")?;
        self.leave(call, || (json!([to, text]), json!({ "err": "not-configured" })));
        Ok(Err(SmsError::NotConfigured))
    }
}
