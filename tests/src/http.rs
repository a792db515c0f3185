//! The HTTP interface of a host, as a script would use it: one request, one connection.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::host;

/// How long an answer may take: the host compiles what is uploaded.
const LIMIT: Duration = Duration::from_secs(120);

/// A tenant's secret and what the configuration keeps of it.
#[derive(Debug, Clone)]
pub struct Token {
    /// What is sent.
    pub secret: String,
    /// What stands in `tokens`.
    pub hash: String,
}

impl Token {
    /// A new one, by `zvonar token`.
    ///
    /// # Panics
    ///
    /// If the command fails.
    pub fn new(tenant: &str) -> Self {
        let mut command = host::zvonar(["token", "--json", "--tenant", tenant, "--name", "test"]);
        let done = command.output().expect("zvonar can be started");
        let told: Value = serde_json::from_slice(&done.stdout).expect("it prints JSON");
        let text = |name: &str| told[name].as_str().expect("a text").to_owned();
        Self { secret: text("token"), hash: text("configuration") }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 0: the connection ended without an answer.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Asks once. The path may have a query; `body` is sent with its length, or, for a `GET`, not at all.
pub fn ask(
    address: SocketAddr,
    token: &Token,
    method: &str,
    path: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(LIMIT))?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        token.secret,
        body.len()
    );
    // A refusal may come, and the connection be closed, before all is sent.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
