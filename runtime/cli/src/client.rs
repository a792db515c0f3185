//! The HTTP interface of a running host, from the side of the commands.
//!
//! Plain HTTP: a host listens on its own machine, and what comes from elsewhere comes through a tunnel or a proxy that
//! speaks TLS.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use zvonar_model::AttemptRecord;

use crate::commands::Failure;

/// How long the host may think: it compiles what is uploaded.
const ANSWER: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(10);

/// Which host, and on whose behalf.
#[derive(Debug, clap::Args)]
pub(crate) struct Whom {
    /// The host's HTTP interface: `[http] listen` of its configuration.
    #[arg(long, value_name = "URL", env = "ZVONAR_HOST", default_value = "http://127.0.0.1:8080")]
    pub(crate) host: String,
    /// A token of the tenant (`zvonar token`); better in ZVONAR_TOKEN, where other users of the machine do not see it.
    #[arg(long, value_name = "TOKEN", env = "ZVONAR_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// A host that can be asked.
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    token: String,
}

/// An answer that is no success. `Display` is all of it, a fault a line.
#[derive(Debug, Deserialize, thiserror::Error)]
#[error("{message}{}", faults.iter().map(|fault| format!("\n  {fault}")).collect::<String>())]
pub(crate) struct Refusal {
    pub(crate) message: String,
    #[serde(default)]
    faults: Vec<String>,
}

impl Client {
    pub(crate) fn new(whom: &Whom) -> Result<Self, Failure> {
        let base = whom.host.trim_end_matches('/');
        if base.starts_with("https://") {
            return Err("--host: this program speaks plain HTTP: use a tunnel (`ssh -L 8080:127.0.0.1:8080 …`) and http://127.0.0.1:8080".into());
        }
        if !base.starts_with("http://") {
            return Err(format!("--host: `{base}` is no address; write it as http://127.0.0.1:8080").into());
        }
        let token = whom.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
        let token = token.ok_or(
            "no token: give --token or set ZVONAR_TOKEN; whoever runs the host makes one with `zvonar token`",
        )?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .build()
            .into();
        Ok(Self { agent, base: base.to_owned(), token: token.to_owned() })
    }

    /// What is at a path.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.agent.get(self.url(path)).header("Authorization", self.bearer());
        self.read(request.call())
    }

    /// Sends JSON.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T, Failure> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        self.read(request.header("Content-Type", "application/json").send(body.to_string()))
    }

    /// Sends a request with or without JSON; the answer as it came, if it is a success.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<serde_json::Value, Failure> {
        let url = self.url(path);
        let sent = match (method, body) {
            ("GET", _) => self.agent.get(url).header("Authorization", self.bearer()).call(),
            ("DELETE", _) => self.agent.delete(url).header("Authorization", self.bearer()).call(),
            (_, body) => {
                let request = match method {
                    "PATCH" => self.agent.patch(url),
                    "PUT" => self.agent.put(url),
                    _ => self.agent.post(url),
                };
                let request = request.header("Authorization", self.bearer());
                request
                    .header("Content-Type", "application/json")
                    .send(body.unwrap_or_else(|| b"{}".to_vec()))
            }
        };
        self.read(sent)
    }

    /// Sends an archive.
    pub(crate) fn upload<T: DeserializeOwned>(&self, path: &str, archive: &[u8]) -> Result<T, Failure> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        let request = request.header("Content-Type", "application/octet-stream");
        // What is refused by its length or its token is refused before it is sent.
        self.read(request.header("Expect", "100-continue").send(archive))
    }

    /// The records of a day, one after the other.
    pub(crate) fn records(
        &self,
        day: &str,
        scenario: Option<&str>,
    ) -> Result<impl Iterator<Item = Result<AttemptRecord, Failure>> + use<>, Failure> {
        let mut path = format!("/v1/attempts?day={}", encoded(day));
        if let Some(scenario) = scenario {
            path += &format!("&scenario={}", encoded(scenario));
        }
        let request = self.agent.get(self.url(&path)).header("Authorization", self.bearer());
        let response = request.call().map_err(|why| self.unreachable(&why))?;
        if !response.status().is_success() {
            return Err(self
                .read::<serde_json::Value>(Ok(response))
                .err()
                .unwrap_or_else(|| "refused".into()));
        }
        let lines = BufReader::new(response.into_body().into_reader()).lines();
        Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
    }

    /// The record of one attempt.
    pub(crate) fn record(&self, attempt: &str) -> Result<AttemptRecord, Failure> {
        self.get(&format!("/v1/attempts/{}", encoded(attempt)))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn unreachable(&self, why: &ureq::Error) -> Failure {
        format!(
            "{} does not answer ({why}): is `zvonar serve` running there, with [http] in its configuration?",
            self.base
        )
        .into()
    }

    fn read<T: DeserializeOwned>(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let mut response = response.map_err(|why| self.unreachable(&why))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(64 << 20).read_to_string();
        let body = body.map_err(|why| self.unreachable(&why))?;
        if status.is_success() {
            return serde_json::from_str(&body)
                .map_err(|why| format!("{}: this answer is none of Zvonar's: {why}", self.base).into());
        }
        match serde_json::from_str::<Refusal>(&body) {
            Ok(refusal) => Err(refusal.into()),
            Err(_) => Err(format!("{} answered {status}; is it a Zvonar host?", self.base).into()),
        }
    }
}

/// A text as it may stand in a URL.
pub(crate) fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            url.push(char::from(byte));
        } else {
            url += &format!("%{byte:02X}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_urls_is_encoded() {
        assert_eq!(encoded("menu-2_x.~"), "menu-2_x.~");
        assert_eq!(encoded("a b&c=Ж/"), "a%20b%26c%3D%D0%96%2F");
    }

    #[test]
    fn a_refusal_is_told_whole_a_fault_a_line() {
        let refusal: Refusal = serde_json::from_str(
            r#"{"code":"package-refused","message":"the package was refused","faults":["a","b"]}"#,
        )
        .unwrap();
        assert_eq!(refusal.to_string(), "the package was refused\n  a\n  b");
    }

    #[test]
    fn an_address_that_cannot_be_is_told_before_anything_is_sent() {
        let whom = |host: &str, token: &str| Whom { host: host.into(), token: Some(token.into()) };
        for (host, token, word) in [
            ("https://example.org", "zvt_1", "tunnel"),
            ("127.0.0.1:8080", "zvt_1", "http://"),
            ("http://127.0.0.1:8080", " ", "ZVONAR_TOKEN"),
        ] {
            let why = Client::new(&whom(host, token)).err().expect("it cannot be").to_string();
            assert!(why.contains(word), "{why}");
        }
    }
}
