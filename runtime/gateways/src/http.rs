//! One question over HTTP or HTTPS, on a connection of its own: to gateways of text messages, and to webhooks.
//!
//! What matters here is whether a question that failed may have been heard: [`HttpError::NotSent`] is said only as long
//! as not a byte of it has left.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The longest answer that is read.
const LONGEST_ANSWER: usize = 256 << 10;

/// Where somebody listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    secure: bool,
    host: String,
    port: u16,
}

/// Why an address is none that questions with passwords may go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Cannot be read.
    #[error("`{0}` is no address of a gateway: write it as https://smsc.ru, without a path")]
    Strange(String),
    /// Anybody on the way could read the password.
    #[error("`{0}` is not encrypted: write https://; http:// is only for this machine itself (127.0.0.1)")]
    Open(String),
    /// Nothing can be sent there.
    #[error(
        "this is no address of a webhook: write it as https://example.org/path, without a name and password and without `#`"
    )]
    NoUrl,
}

impl Base {
    /// `https://` and a name, or `http://` and this very machine; with or without a port.
    pub(crate) fn parse(text: &str) -> Result<Self, AddressFault> {
        let strange = || AddressFault::Strange(text.to_owned());
        let (base, path) = Self::split(text).ok_or_else(strange)?;
        if path != "/" {
            return Err(strange());
        }
        let here = base.host == "localhost" || base.host.parse::<IpAddr>().is_ok_and(|at| at.is_loopback());
        if !base.secure && !here {
            return Err(AddressFault::Open(text.to_owned()));
        }
        Ok(base)
    }

    /// Any address over HTTP or HTTPS: who listens, and the path with its query.
    pub(crate) fn parse_url(text: &str) -> Result<(Self, String), AddressFault> {
        Self::split(text).filter(|_| !text.contains('#')).ok_or(AddressFault::NoUrl)
    }

    fn split(text: &str) -> Option<(Self, String)> {
        let uri: Uri = text.trim().parse().ok()?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        let host = uri.host().map(|host| host.trim_matches(['[', ']'])).filter(|host| !host.is_empty())?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return None;
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some((Self { secure, host: host.to_owned(), port }, path.to_owned()))
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// As it stands in a `Host` header.
    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.authority())
    }
}

/// Whom HTTPS trusts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// The authorities that this machine trusts (`ca-certificates`), to which its owner may have added some.
    #[default]
    Machine,
    /// These alone, as PEM.
    Pem(Vec<u8>),
}

/// Nobody can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    /// The machine has no list.
    #[error(
        "this machine trusts no certificate authority, so HTTPS cannot be used: install `ca-certificates`{0}"
    )]
    Nobody(String),
    /// What was given is no certificate.
    #[error("the file of certificate authorities holds no certificate that can be used: it must be PEM")]
    Pem,
}

impl Trust {
    fn roots(&self) -> Result<RootCertStore, TrustFault> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::Machine => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let why = found.errors.first().map_or(String::new(), |why| format!(" ({why})"));
                    return Err(TrustFault::Nobody(why));
                }
            }
            Self::Pem(pem) => {
                for found in CertificateDer::pem_slice_iter(pem) {
                    roots.add(found.map_err(|_| TrustFault::Pem)?).map_err(|_| TrustFault::Pem)?;
                }
                if roots.is_empty() {
                    return Err(TrustFault::Pem);
                }
            }
        }
        Ok(roots)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// Nobody has heard the question.
    NotSent(String),
    /// The question left.
    NoAnswer(String),
}

/// What is posted.
pub(crate) struct Post<'a> {
    /// The path, with its query.
    pub(crate) path: &'a str,
    /// Headers besides those that every question has.
    pub(crate) headers: &'a [(&'static str, String)],
    /// The body.
    pub(crate) body: Bytes,
    /// How much of the answer is wanted.
    pub(crate) wanted: Wanted,
}

/// How much of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: half of one is no answer.
    Whole,
    /// The status; of the body as much as comes, up to so many bytes.
    Status(usize),
}

/// Asks. Clones share what they trust.
#[derive(Clone)]
pub(crate) struct Http {
    tls: Option<TlsConnector>,
    connect: Duration,
    answer: Duration,
}

impl Http {
    /// `trust` is only wanted for HTTPS.
    pub(crate) fn new(
        trust: Option<&Trust>,
        connect: Duration,
        answer: Duration,
    ) -> Result<Self, TrustFault> {
        let tls = match trust {
            None => None,
            Some(trust) => {
                let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .expect("ring speaks TLS 1.2 and 1.3")
                    .with_root_certificates(trust.roots()?)
                    .with_no_client_auth();
                Some(TlsConnector::from(Arc::new(config)))
            }
        };
        Ok(Self { tls, connect, answer })
    }

    /// Posts a form; the status and the whole answer.
    pub(crate) async fn post(
        &self,
        base: &Base,
        path: &str,
        form: String,
    ) -> Result<(u16, Bytes), HttpError> {
        let headers = [("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        let body = Bytes::from(form);
        self.ask(base, Post { path, headers: &headers, body, wanted: Wanted::Whole }).await
    }

    /// Posts; the status, and as much of the answer as is wanted. A redirect is an answer like others: nobody follows it.
    pub(crate) async fn ask(&self, base: &Base, post: Post<'_>) -> Result<(u16, Bytes), HttpError> {
        let not_sent = |why: String| HttpError::NotSent(format!("{base}: {why}"));
        let reach = async {
            let stream =
                TcpStream::connect((base.host.as_str(), base.port)).await.map_err(|why| why.to_string())?;
            let _ = stream.set_nodelay(true);
            if !base.secure {
                return Ok(Connection::Open(stream));
            }
            let tls = self.tls.as_ref().ok_or("HTTPS was not set up")?;
            let name = ServerName::try_from(base.host.clone()).map_err(|why| why.to_string())?;
            let stream = tls.connect(name, stream).await.map_err(|why| why.to_string())?;
            Ok::<_, String>(Connection::Secure(Box::new(stream)))
        };
        let reached = timeout(self.connect, reach).await;
        let connection = reached
            .map_err(|_| not_sent(format!("nobody answers within {:?}", self.connect)))?
            .map_err(not_sent)?;
        let asked = async {
            match connection {
                Connection::Open(stream) => exchange(base, post, stream).await,
                Connection::Secure(stream) => exchange(base, post, *stream).await,
            }
        };
        match timeout(self.answer, asked).await {
            Ok(answer) => answer.map_err(|why| HttpError::NoAnswer(format!("{base}: {why}"))),
            Err(_) => Err(HttpError::NoAnswer(format!("{base}: no answer within {:?}", self.answer))),
        }
    }
}

enum Connection {
    Open(TcpStream),
    Secure(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn exchange<S>(base: &Base, post: Post<'_>, stream: S) -> Result<(u16, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
    let mut request = Request::post(post.path)
        .header("Host", base.authority())
        .header("User-Agent", concat!("zvonar/", env!("CARGO_PKG_VERSION")))
        .header("Connection", "close");
    for (name, value) in post.headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(post.body)).map_err(|why| why.to_string())?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(|why| chain(&why))?;
        let status = response.status().as_u16();
        let body = match post.wanted {
            Wanted::Whole => {
                let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
                body.map_err(|why| chain(why.as_ref()))?.to_bytes()
            }
            Wanted::Status(most) => beginning(response.into_body(), most).await,
        };
        Ok((status, body))
    };
    // The connection moves the bytes as long as somebody asks it to. Once it has ended, what it brought is still there.
    let moved = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = asked => answer,
        () = moved => Err("the connection has ended".into()),
    }
}

/// How long the body of an answer is waited for whose status is known, and is what was wanted.
const TAIL: Duration = Duration::from_secs(1);

/// As much of a body as comes soon.
async fn beginning(mut body: Incoming, most: usize) -> Bytes {
    let mut begun = Vec::new();
    let read = async {
        while begun.len() < most
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Ok(data) = frame.into_data() {
                begun.extend_from_slice(&data[..data.len().min(most - begun.len())]);
            }
        }
    };
    // Late or broken, it changes nothing.
    let _ = timeout(TAIL, read).await;
    begun.into()
}

/// An error with what caused it: hyper says only «connection error» itself.
fn chain(why: &dyn std::error::Error) -> String {
    let mut told = why.to_string();
    let mut cause = why.source();
    while let Some(why) = cause {
        told += &format!(": {why}");
        cause = why.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_this_machine_only_encrypted() {
        for (text, expected) in [
            ("https://smsc.ru", Ok("smsc.ru")),
            ("https://smsc.ru/", Ok("smsc.ru")),
            ("https://smsc.ru:8443", Ok("smsc.ru:8443")),
            ("http://127.0.0.1:8000", Ok("127.0.0.1:8000")),
            ("http://[::1]:8000", Ok("[::1]:8000")),
            ("http://localhost", Ok("localhost")),
            ("http://smsc.ru", Err("not encrypted")),
            ("http://10.0.0.1", Err("not encrypted")),
            ("http://127.0.0.1.example.org", Err("not encrypted")),
            ("smsc.ru", Err("no address")),
            ("ftp://smsc.ru", Err("no address")),
            ("https://smsc.ru/sys", Err("no address")),
            ("https://a:b@smsc.ru", Err("no address")),
            ("https://", Err("no address")),
            ("", Err("no address")),
        ] {
            match (Base::parse(text).map(|base| base.to_string()).map_err(|why| why.to_string()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(why), Err(word)) => assert!(why.contains(word), "{text}: {why}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_webhook_may_be_anywhere_but_carries_no_password() {
        for (text, expected) in [
            ("https://example.org/hooks/zvonar?a=1", Some(("example.org", "/hooks/zvonar?a=1"))),
            ("http://10.0.0.7:8000", Some(("10.0.0.7:8000", "/"))),
            ("http://[::1]:8000/x", Some(("[::1]:8000", "/x"))),
            ("https://me:word@example.org/", None),
            ("https://example.org/#part", None),
            ("ftp://example.org/", None),
            ("example.org/x", None),
            ("/x", None),
            ("https:///x", None),
            ("https://example.org/a b", None),
            ("", None),
        ] {
            let read = Base::parse_url(text).ok().map(|(base, path)| (base.to_string(), path));
            assert_eq!(read, expected.map(|(base, path)| (base.to_owned(), path.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let refused =
            |pem: &[u8]| Http::new(Some(&Trust::Pem(pem.to_vec())), Duration::ZERO, Duration::ZERO).err();
        assert_eq!(refused(b""), Some(TrustFault::Pem));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(refused(broken), Some(TrustFault::Pem));
    }
}
