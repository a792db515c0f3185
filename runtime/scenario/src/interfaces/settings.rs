//! `settings`: what the project's owner filled in.

use serde_json::json;

use super::wit::settings::Host;
use crate::session::State;

impl Host for State {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let call = self.enter("settings.get")?;
        let value = self.settings.get(&name).cloned();
        self.leave(call, || (json!(name), json!(value)));
        Ok(value)
    }
}
