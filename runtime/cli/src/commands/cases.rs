//! Files with many cases for the commands that explain: JSON objects one after the other (a line each, usually), or one
//! list of them. A case may stand inside an object that names it: `{"name": "…", "input": {…}}`.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Failure;

/// Reads all cases of a file; `-` is stdin. `inner`: the key under which a case may stand.
pub(crate) fn read<T: DeserializeOwned>(file: &Path, inner: &str) -> Result<Vec<T>, Failure> {
    let mut text = String::new();
    let done = match file.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|mut opened| opened.read_to_string(&mut text)),
    };
    done.map_err(|why| format!("{} cannot be read: {why}", file.display()))?;
    let mut cases = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        match value.map_err(|why| format!("{}: this is no JSON: {why}", file.display()))? {
            Value::Array(many) => cases.extend(many),
            one => cases.push(one),
        }
    }
    if cases.is_empty() {
        return Err(format!("{}: there is nothing in it; a JSON object is needed", file.display()).into());
    }
    let read = |(at, mut case): (usize, Value)| {
        let case = case.get_mut(inner).map(Value::take).unwrap_or(case);
        serde_json::from_value(case)
            .map_err(|why| format!("{}, case {}: {why}", file.display(), at + 1).into())
    };
    cases.into_iter().enumerate().map(read).collect()
}
