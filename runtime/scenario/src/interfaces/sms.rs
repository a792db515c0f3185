//! `sms`: text messages. Whether there is a gateway is for the port to know.

use serde_json::{Value, json};

use super::types::shorten;
use super::wit::sms::{Host, SmsError};
use crate::limits::SMS_BYTES;
use crate::ports;
use crate::session::State;

impl Host for State {
    fn send(&mut self, to: Option<String>, text: String) -> wasmtime::Result<Result<String, SmsError>> {
        let call = self.enter("sms.send")?;
        let sent = if text.trim().is_empty() {
            Err(SmsError::Refused("the text is empty".into()))
        } else if text.len() > SMS_BYTES {
            Err(SmsError::Refused(format!(
                "a text has at most {SMS_BYTES} bytes, this one has {}",
                text.len()
            )))
        } else if self.sms_sent >= self.limits.sms {
            Err(SmsError::Limit)
        } else {
            self.ports.sms.send(to.as_deref(), &text).map_err(SmsError::from)
        };
        // What was refused is not counted: the scenario may send the other text that it has.
        self.sms_sent += u32::from(sent.is_ok());
        self.leave(call, || {
            let got = match &sent {
                Ok(id) => json!(id),
                Err(SmsError::NotConfigured) => json!({ "err": "not-configured" }),
                Err(SmsError::Limit) => json!({ "err": "limit" }),
                Err(SmsError::Refused(why)) => json!({ "err": { "refused": why } }),
            };
            (json!([to.map_or(Value::Null, Value::from), shorten(&text, SMS_BYTES)]), got)
        });
        Ok(sent)
    }
}

impl From<ports::SmsError> for SmsError {
    fn from(error: ports::SmsError) -> Self {
        match error {
            ports::SmsError::NotConfigured => Self::NotConfigured,
            ports::SmsError::Refused(why) => Self::Refused(why),
            ports::SmsError::Limit => Self::Limit,
        }
    }
}
