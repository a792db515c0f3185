//! Webhooks against real receivers over HTTP and HTTPS, and the rules of when what is sent again.

mod line;
mod sign;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zvonar_gateways::Trust;
use zvonar_gateways::smsc::{Patience, Secret};
use zvonar_gateways::webhook::sign::verify;
use zvonar_gateways::webhook::{Courier, Endpoint, EndpointFault, EndpointSettings, Letter, NotTaken};
use zvonar_model::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_772_445_600_000);
const BODY: &str = r#"{"id":"call_finished-a1","type":"call_finished","call":{"phone":"+79001234567"}}"#;

fn secret() -> Secret {
    Secret::new("the secret of the hook").unwrap()
}

/// Longer than any answer takes that comes: who is waited for to no end is told so with a clock that runs ahead.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(url: &str) -> EndpointSettings {
    EndpointSettings {
        name: "crm".into(),
        url: url.into(),
        secrets: vec![secret()],
        trust: Trust::Machine,
        patience: Patience { connect: PATIENCE, answer: PATIENCE },
    }
}

fn letter(attempt: u32) -> Letter<'static> {
    Letter { event: "call_finished-a1", attempt, body: BODY.as_bytes() }
}

async fn bring(url: &str) -> Result<u16, NotTaken> {
    Endpoint::new(settings(url)).unwrap().bring(&letter(1), NOW).await
}

/// What came.
struct Came {
    head: String,
    body: Vec<u8>,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// Reads a request to its end.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Came> {
    let mut came = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        came.extend_from_slice(&piece[..read]);
        let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(came[..end].to_vec()).unwrap();
        let mut whole = Came { head, body: came[end + 4..].to_vec() };
        let length: usize = whole.header("content-length").parse().unwrap();
        while whole.body.len() < length {
            let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
            whole.body.extend_from_slice(&piece[..read]);
        }
        return Some(whole);
    }
}

/// A receiver that says the same to everybody, after a while, and hangs up. Silent: it says nothing.
struct Receiver {
    url: String,
    came: mpsc::Receiver<Came>,
    _tasks: JoinSet<()>,
}

async fn receiver(says: &'static [u8], after: Duration) -> Receiver {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/zvonar?for=me", listener.local_addr().unwrap());
    let (tell, came) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(one) = read(&mut stream).await {
                tell.send(one).await.unwrap();
            }
            answer(&mut stream, says, after).await;
        }
    });
    Receiver { url, came, _tasks: tasks }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), says: &[u8], after: Duration) {
    tokio::time::sleep(after).await;
    let _ = stream.write_all(says).await;
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn a_letter_comes_whole_and_signed_with_its_event_and_its_try() {
    let mut receiver = receiver(b"HTTP/1.1 204 No Content\r\n\r\n", Duration::ZERO).await;
    let endpoint = Endpoint::new(settings(&receiver.url)).unwrap();
    for attempt in [1, 2] {
        assert_eq!(endpoint.bring(&letter(attempt), NOW).await, Ok(204));
        let came = receiver.came.recv().await.unwrap();
        assert!(came.head.starts_with("POST /hooks/zvonar?for=me HTTP/1.1\r\n"), "{}", came.head);
        assert_eq!(came.header("content-type"), "application/json");
        assert_eq!(came.header("zvonar-event-id"), "call_finished-a1");
        assert_eq!(came.header("zvonar-delivery"), format!("crm;try={attempt}"));
        assert_eq!(came.body, BODY.as_bytes());
        assert_eq!(verify(came.header("zvonar-signature"), &came.body, &[secret()], NOW), Ok(()));
    }
}

#[tokio::test]
async fn only_a_success_counts_and_redirects_are_not_followed() {
    let elsewhere = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let failed = "HTTP/1.1 500 Oops\r\nContent-Length: 22\r\n\r\nбаза  лежит\r\n".as_bytes();
    let refused = |status, said: &str| Err(NotTaken::Refused { status, said: said.to_owned() });
    for (says, expected) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..], Ok(200)),
        (b"HTTP/1.1 299 Fine\r\n\r\n", Ok(299)),
        // The status says it all: whatever is wrong with the body behind it, it was taken.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", Ok(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Ok(200)),
        (elsewhere, Err(NotTaken::Redirect { status: 302 })),
        (failed, refused(500, "база лежит")),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", refused(410, "")),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9999\r\n\r\nhalf a body", refused(404, "half a body")),
    ] {
        let receiver = receiver(says, Duration::ZERO).await;
        assert_eq!(bring(&receiver.url).await, expected, "{}", String::from_utf8_lossy(says));
    }
    for says in [&b""[..], b"HTTP/1.1 20", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0\0"] {
        let receiver = receiver(says, Duration::ZERO).await;
        let answer = bring(&receiver.url).await;
        assert!(matches!(answer, Err(NotTaken::NoAnswer(_))), "{says:?}: {answer:?}");
    }
}

#[tokio::test]
async fn whoever_is_slow_silent_or_not_there_is_not_waited_for() {
    let mut slow = receiver(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 60 * PATIENCE).await;
    let url = slow.url.clone();
    let asking = tokio::spawn(async move { bring(&url).await });
    slow.came.recv().await.unwrap();
    // It has heard the letter; nothing is left but our patience, to whose end the clock runs by itself.
    tokio::time::pause();
    let told = asking.await.unwrap();
    tokio::time::resume();
    assert!(matches!(told, Err(NotTaken::NoAnswer(why)) if why.contains("no answer within")));
    // A body that never ends, behind a status that says it all.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = read(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
        while stream.write_all(&[b'x'; 1_000]).await.is_ok() {}
    });
    assert_eq!(bring(&url).await, Ok(200));
    // Bound, and nobody listens: the port is nobody else's meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = format!("http://{}/", socket.local_addr().unwrap());
    assert!(matches!(bring(&closed).await, Err(NotTaken::Unreachable(_))));
    let nowhere = bring("http://no-such-host.invalid/").await;
    assert!(matches!(nowhere, Err(NotTaken::Unreachable(_))), "{nowhere:?}");
}

#[tokio::test]
async fn over_https_only_whoever_is_trusted_gets_it() {
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let chain =
        CertificateDer::pem_slice_iter(include_bytes!("../data/server.pem")).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../data/server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, mut came) = mpsc::channel(4);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if let Some(one) = read(&mut stream).await {
                tell.send(one).await.unwrap();
            }
            answer(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Duration::ZERO).await;
        }
    });
    let trusting = |pem: &[u8], host: &str| {
        let trust = Trust::Pem(pem.to_vec());
        Endpoint::new(EndpointSettings { trust, ..settings(&format!("https://{host}:{port}/x")) }).unwrap()
    };
    let authority = include_bytes!("../data/authority.pem");
    assert_eq!(trusting(authority, "localhost").bring(&letter(1), NOW).await, Ok(200));
    assert_eq!(came.recv().await.unwrap().body, BODY.as_bytes());
    let stranger = include_bytes!("../data/server.pem");
    for endpoint in [trusting(authority, "127.0.0.1"), trusting(stranger, "localhost")] {
        let refused = endpoint.bring(&letter(1), NOW).await;
        assert!(
            matches!(&refused, Err(NotTaken::Unreachable(why)) if why.contains("certificate")),
            "{refused:?}"
        );
    }
    assert!(came.try_recv().is_err(), "nobody else got it");
}

#[test]
fn an_endpoint_that_cannot_be_is_told_why() {
    let fault = |url: &str, secrets: Vec<Secret>| {
        Endpoint::new(EndpointSettings { secrets, ..settings(url) }).err().unwrap()
    };
    let short = Secret::new("a short secret").unwrap();
    for (found, word) in [
        (fault("example.org", vec![secret()]), "https://example.org/path"),
        (fault("http://127.0.0.1/", Vec::new()), "give it a secret"),
        (fault("http://127.0.0.1/", vec![secret(), short]), "at least 16 characters"),
    ] {
        assert!(found.to_string().contains(word), "{found}");
    }
    let bad = EndpointSettings { trust: Trust::Pem(b"none".to_vec()), ..settings("https://example.org/") };
    assert!(matches!(Endpoint::new(bad), Err(EndpointFault::Trust(_))));
}
