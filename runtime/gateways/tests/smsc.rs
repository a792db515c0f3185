//! The client against the stand over real HTTP, and against things that are no gateway at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use zvonar_gateways::smsc::{Account, Callback, Code, Patience, Secret, Smsc, SmscSettings};
use zvonar_gateways::stand::{Manner, Running, StandSettings, serve};
use zvonar_gateways::{Delivery, Gateway, GatewayError, Price, Sms, SmsId, Trust};
use zvonar_model::{Kopecks, PhoneNumber, UnixMillis};

/// The stand's clock: it stands still until it is told to go on.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

async fn stand(settings: StandSettings, callback: Option<&str>) -> (Running, Clock) {
    let clock = Clock(Arc::new(AtomicI64::new(1_700_000_000_000)));
    let told = clock.clone();
    let now = Arc::new(move || UnixMillis(told.0.load(Ordering::SeqCst)));
    (serve("127.0.0.1:0".parse().unwrap(), settings, callback, now).await.unwrap(), clock)
}

/// Longer than any answer takes that comes.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(hosts: &[String]) -> SmscSettings {
    let account = Account::Login { login: "zvonar".into(), password: Secret::new("пароль").unwrap() };
    let patience = Patience { connect: PATIENCE, answer: PATIENCE };
    SmscSettings { hosts: hosts.to_vec(), patience, ..SmscSettings::new(account) }
}

fn client(hosts: &[String]) -> Smsc {
    Smsc::new(settings(hosts)).unwrap()
}

fn url(stand: &Running) -> String {
    format!("http://{}", stand.address())
}

fn sms(id: u32, text: &str) -> Sms {
    Sms { id: SmsId::new(id).unwrap(), to: PhoneNumber::parse("+79001234567").unwrap(), text: text.into() }
}

/// Where nobody listens, as long as the socket is kept: the port is taken, and calls to it are refused.
fn closed() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    (socket, url)
}

/// A server that reads a question and says this, or hangs up at once with `None`.
async fn babbler(says: Option<&'static [u8]>, tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = [0; 4096];
            let _ = stream.read(&mut question).await;
            if let Some(says) = says {
                let _ = stream.write_all(says).await;
            }
        }
    });
    address
}

#[tokio::test]
async fn a_text_arrives_letter_by_letter_and_is_tracked_to_its_end() {
    let account = settings(&[]).account;
    let (stand, clock) =
        stand(StandSettings { account: Some(account), ..StandSettings::default() }, None).await;
    let mut with_sender = settings(&[url(&stand)]);
    with_sender.sender = Some("Zvonar".into());
    let smsc = Smsc::new(with_sender).unwrap();
    let text = "Ждём вас 5-го: «ул. Ленина, 1» — 50% & + = 😀\nДа?";
    let message = sms(2_147_483_647, text);
    assert_eq!(smsc.balance().await, Ok(Kopecks(10_000)));
    assert_eq!(smsc.price(&message.to, text).await, Ok(Price { parts: Some(1), cost: Kopecks(180) }));
    assert_eq!(smsc.status(message.id, &message.to).await, Ok(None));
    let accepted = smsc.send(&message).await.unwrap();
    assert_eq!(
        (accepted.parts, accepted.cost, accepted.balance),
        (Some(1), Some(Kopecks(180)), Some(Kopecks(9_820)))
    );
    for (seconds, delivery) in [(0, Delivery::Queued), (1, Delivery::Sent), (3, Delivery::Delivered)] {
        clock.pass(seconds);
        stand.with(|stand| drop(stand.advance(UnixMillis(clock.0.load(Ordering::SeqCst)))));
        let tracked = smsc.status(message.id, &message.to).await.unwrap().unwrap();
        assert_eq!((tracked.delivery, tracked.cost), (delivery, Some(Kopecks(180))));
    }
    let taken = stand.with(|stand| stand.taken().cloned().collect::<Vec<_>>());
    assert_eq!(taken.len(), 1);
    assert_eq!(
        (&taken[0].text[..], &taken[0].phone[..], &taken[0].sender[..], taken[0].id),
        (text, "79001234567", "Zvonar", 2_147_483_647)
    );
}

#[tokio::test]
async fn each_error_comes_through_by_its_number() {
    let (stand, _) = stand(StandSettings::default(), None).await;
    let smsc = client(&[url(&stand)]);
    for code in 1..=9 {
        stand.with(|stand| stand.treat(Manner::Refuses(code), Some(4)));
        let message = sms(code, "x");
        let refused = |error: GatewayError| match error {
            GatewayError::Refused { code: Code(found), text } => (found, !text.is_empty()),
            other => panic!("{code}: {other}"),
        };
        assert_eq!(refused(smsc.send(&message).await.unwrap_err()), (code, true));
        assert_eq!(refused(smsc.price(&message.to, "x").await.unwrap_err()), (code, true));
        match smsc.status(message.id, &message.to).await {
            // Asked about one message, it says that there is none.
            Ok(None) if code == 3 => {}
            answer => assert_eq!(refused(answer.unwrap_err()), (code, true)),
        }
        assert_eq!(refused(smsc.balance().await.unwrap_err()), (code, true));
        assert!(smsc.balance().await.is_ok());
    }
    assert_eq!(stand.with(|stand| stand.taken().count()), 0);
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_a_doubt_that_the_status_settles() {
    for (manner, taken) in [
        (Manner::LosesTheAnswer, true),
        (Manner::AnswersHalf, true),
        (Manner::Babbles, false),
        (Manner::IsSilent, false),
        (Manner::Fails, false),
    ] {
        let (stand, _) = stand(StandSettings::default(), None).await;
        // The second host is the same stand: nothing may be given to it.
        let smsc = client(&[url(&stand), url(&stand)]);
        stand.with(|stand| stand.treat(manner, Some(1)));
        let message = sms(7, "x");
        let smsc = Arc::new(smsc);
        let asking = tokio::spawn({
            let (smsc, message) = (Arc::clone(&smsc), message.clone());
            async move { smsc.send(&message).await }
        });
        while stand.with(|stand| stand.questions()) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let silent = matches!(manner, Manner::LosesTheAnswer | Manner::IsSilent);
        if silent {
            // It has heard the question: the clock runs to the end of our patience by itself.
            tokio::time::pause();
        }
        let lost = asking.await.unwrap();
        if silent {
            tokio::time::resume();
        }
        assert!(matches!(&lost, Err(GatewayError::NoAnswer(_))), "{manner:?}: {lost:?}");
        assert_eq!(stand.with(|stand| stand.questions()), 1, "{manner:?}: asked again");
        let found = smsc.status(message.id, &message.to).await.unwrap();
        assert_eq!(found.is_some(), taken, "{manner:?}");
        let again = smsc.send(&message).await;
        match (taken, again) {
            (true, Err(GatewayError::Refused { code: Code(9), .. })) | (false, Ok(_)) => {}
            (_, again) => panic!("{manner:?}: {again:?}"),
        }
        let again = stand.with(|stand| stand.taken().map(|taken| taken.offered_again).collect::<Vec<_>>());
        // Whoever gives a message that was taken is noticed.
        assert_eq!(again, [u32::from(taken)]);
    }
}

#[tokio::test]
async fn what_is_no_gateway_leaves_a_doubt_as_well() {
    let mut tasks = JoinSet::new();
    for says in [
        None,
        Some(&b"\x15\x03\x01\x00\x02\x02\x50"[..]),
        Some(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":1"),
        Some(b"HTTP/1.1 200 OK\r\n\r\n"),
        Some(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"),
        Some(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1,2,3,4]"),
    ] {
        let smsc = client(&[babbler(says, &mut tasks).await]);
        let lost = smsc.send(&sms(7, "x")).await;
        assert!(matches!(&lost, Err(GatewayError::NoAnswer(_))), "{says:?}: {lost:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b' '; 8192]).await.is_ok() {}
    });
    let lost = client(&[address]).balance().await;
    assert!(matches!(&lost, Err(GatewayError::NoAnswer(why)) if why.contains("length limit")), "{lost:?}");
}

#[tokio::test]
async fn the_reserve_is_asked_when_a_host_is_not_reached_and_first_from_then_on() {
    let (stand, _) = stand(StandSettings::default(), None).await;
    let (_taken, dead) = closed();
    let smsc = client(&[dead.clone(), dead.clone(), url(&stand)]);
    assert!(smsc.send(&sms(7, "x")).await.is_ok());
    assert!(smsc.send(&sms(8, "y")).await.is_ok());
    assert_eq!(stand.with(|stand| stand.taken().count()), 2);
    let nobody = client(&[dead.clone(), dead]).send(&sms(9, "z")).await;
    assert!(
        matches!(&nobody, Err(GatewayError::Unreachable(why)) if why.matches("127.0.0.1").count() == 2),
        "{nobody:?}"
    );
    // A question that changes nothing is put to the next host even after it was heard.
    let mut tasks = JoinSet::new();
    let mute = babbler(None, &mut tasks).await;
    assert!(client(&[mute.clone(), url(&stand)]).balance().await.is_ok());
    assert!(client(&[mute, url(&stand)]).send(&sms(9, "z")).await.is_err());
    assert_eq!(stand.with(|stand| stand.taken().count()), 2);
}

/// A host that answered nonsense was asked first for ever, and with it every message was in doubt.
#[tokio::test]
async fn a_host_whose_answers_cannot_be_read_is_left_for_the_reserve() {
    const GARBAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n<html/>";
    let (stand, _) = stand(StandSettings::default(), None).await;
    let mut tasks = JoinSet::new();
    let strange = babbler(Some(GARBAGE), &mut tasks).await;
    // A message is not put to a second host, but the one after it begins there.
    let smsc = client(&[strange.clone(), url(&stand)]);
    let lost = smsc.send(&sms(7, "x")).await;
    assert!(matches!(&lost, Err(GatewayError::NoAnswer(why)) if why.contains("<html/>")), "{lost:?}");
    assert_eq!(stand.with(|stand| stand.questions()), 0);
    assert!(smsc.send(&sms(8, "y")).await.is_ok());
    assert!(smsc.send(&sms(9, "z")).await.is_ok());
    // What changes nothing is put to the next one at once.
    let smsc = client(&[strange.clone(), url(&stand)]);
    assert_eq!(smsc.balance().await, Ok(Kopecks(10_000 - 360)));
    assert!(smsc.status(SmsId::new(8).unwrap(), &sms(8, "y").to).await.unwrap().is_some());
    assert!(smsc.send(&sms(10, "w")).await.is_ok(), "it is asked first from then on");
    // A refusal is an answer.
    stand.with(|stand| stand.treat(Manner::Refuses(3), Some(1)));
    let smsc = client(&[strange.clone(), url(&stand), strange.clone()]);
    assert!(matches!(smsc.balance().await, Err(GatewayError::Refused { code: Code(3), .. })));
    assert!(smsc.send(&sms(11, "v")).await.is_ok());
    let nobody = client(&[strange]).balance().await;
    assert!(matches!(&nobody, Err(GatewayError::NoAnswer(why)) if why.contains("<html/>")), "{nobody:?}");
}

#[tokio::test]
async fn news_is_told_signed_to_the_address_of_the_account() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/smsc", listener.local_addr().unwrap());
    let secret = Secret::new("слово").unwrap();
    let (stand, clock) =
        stand(StandSettings { secret: Some(secret.clone()), ..StandSettings::default() }, Some(&address))
            .await;
    client(&[url(&stand)]).send(&sms(7, "x")).await.unwrap();
    clock.pass(10);
    let (mut stream, _) =
        tokio::time::timeout(Duration::from_secs(20), listener.accept()).await.unwrap().unwrap();
    let mut request = String::new();
    while !request.contains("sha1=") {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).await.unwrap();
        assert!(read > 0, "{request}");
        request += std::str::from_utf8(&some[..read]).unwrap();
    }
    assert!(request.starts_with("POST /smsc HTTP/1.1\r\n"), "{request}");
    let form = request.split("\r\n\r\n").nth(1).unwrap();
    let news = Callback::read(form.as_bytes(), &secret).unwrap();
    assert_eq!((news.id, news.delivery), (SmsId::new(7), Some(Delivery::Delivered)));
}

#[tokio::test]
async fn https_is_spoken_with_whom_is_trusted_and_with_nobody_else() {
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let chain =
        CertificateDer::pem_slice_iter(include_bytes!("data/server.pem")).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("data/server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut question = [0; 4096];
            let _ = stream.read(&mut question).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"balance\":\"12.34\"}";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    let trusting = |trust: Trust, host: &str| {
        let settings = SmscSettings { trust, ..settings(&[format!("https://{host}:{port}")]) };
        Smsc::new(settings).unwrap()
    };
    let authority = Trust::Pem(include_bytes!("data/authority.pem").to_vec());
    assert_eq!(trusting(authority.clone(), "localhost").balance().await, Ok(Kopecks(1_234)));
    // Another name, or another authority: the password stays here.
    let stranger = Trust::Pem(include_bytes!("data/server.pem").to_vec());
    for smsc in [trusting(authority, "127.0.0.1"), trusting(stranger, "localhost")] {
        let refused = smsc.send(&sms(7, "x")).await;
        assert!(
            matches!(&refused, Err(GatewayError::Unreachable(why)) if why.contains("certificate")),
            "{refused:?}"
        );
    }
    assert!(
        Smsc::new(settings(&["http://smsc.ru".into()])).err().unwrap().to_string().contains("not encrypted")
    );
    assert!(Smsc::new(settings(&[])).is_err());
}

#[tokio::test]
async fn few_questions_of_an_account_are_asked_at_once() {
    let (stand, _) = stand(StandSettings::default(), None).await;
    stand.with(|stand| stand.treat(Manner::IsSilent, None));
    let mut patient = settings(&[url(&stand)]);
    patient.patience.answer = Duration::from_secs(60);
    let one = Smsc::new(patient.clone()).unwrap();
    // Two tenants of the account, each with his own sender's name.
    let other = Smsc::new(SmscSettings { sender: Some("Zvonar".into()), ..patient }).unwrap().sharing(&one);
    let clients = [Arc::new(one), Arc::new(other)];
    let mut asking = JoinSet::new();
    for id in 1..=20 {
        let smsc = Arc::clone(&clients[id as usize % 2]);
        asking.spawn(async move { smsc.send(&sms(id, "x")).await.is_err() });
    }
    let five = async {
        while stand.with(|stand| stand.questions()) < 5 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(60), five).await;
    assert!(asked.is_ok(), "after a minute {} are asked", stand.with(|stand| stand.questions()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stand.with(|stand| stand.questions()), 5);
}
