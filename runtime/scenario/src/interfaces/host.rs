//! `host`: the time, chance and a log.

use serde_json::{Value, json};

use super::types::shorten;
use super::wit::host::{Host, Level};
use crate::limits::LOG_BYTES;
use crate::session::State;

impl Host for State {
    fn log(&mut self, level: Level, text: String) -> wasmtime::Result<()> {
        let call = self.enter("host.log")?;
        self.log_lines = self.log_lines.saturating_add(1);
        if self.log_lines > self.limits.log_lines {
            self.trace.drop_one();
            return Ok(());
        }
        let text = shorten(&text, LOG_BYTES);
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        // An author's words may hold a caller's number or name: they belong to the tenant's timeline, and reach the
        // host's own log only where somebody asked for debugging.
        tracing::debug!(scenario = %self.module.manifest().name, level, text, "the scenario says");
        self.leave(call, || (json!([level, text]), Value::Null));
        Ok(())
    }

    fn now(&mut self) -> wasmtime::Result<String> {
        let call = self.enter("host.now")?;
        let now = self.ports.clock.now();
        self.leave(call, || (Value::Null, json!(now)));
        Ok(now)
    }

    fn random(&mut self) -> wasmtime::Result<u64> {
        let call = self.enter("host.random")?;
        let random = (self.ports.random)();
        // As text: readers of JSON in other languages lose the low bits of a large number.
        self.leave(call, || (Value::Null, json!(random.to_string())));
        Ok(random)
    }
}
