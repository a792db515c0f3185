//! `outcome`: the result of the talk.

use serde_json::json;

use super::types::shorten;
use super::wit::outcome::Host;
use crate::session::State;
use crate::trace;

impl Host for State {
    fn set_result(&mut self, name: String) -> wasmtime::Result<Result<(), String>> {
        let call = self.enter("outcome.set-result")?;
        let declared = &self.module.manifest().results;
        let set = if declared.iter().any(|result| result.name == name) {
            Ok(())
        } else if declared.is_empty() {
            Err("the manifest declares no results".to_owned())
        } else {
            let names: Vec<&str> = declared.iter().map(|result| &*result.name).collect();
            Err(format!(
                "the manifest declares no result `{}`; it declares `{}`",
                shorten(&name, 128),
                names.join("`, `")
            ))
        };
        self.leave(call, || (json!(shorten(&name, 128)), trace::done(&set)));
        if set.is_ok() {
            self.result = Some(name);
        }
        Ok(set)
    }
}
