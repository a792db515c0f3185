//! The task over a real socket, with the far end played by hand.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use zvonar_call::{CallsConfig, Identity};

use super::*;

/// A limit to waiting for what is sure to come.
const SOON: Duration = Duration::from_secs(20);
const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

struct Bench {
    far: UdpSocket,
    near: SocketAddr,
    requests: mpsc::Sender<Request>,
    arrivals: mpsc::Receiver<Arrival>,
    task: JoinHandle<io::Result<()>>,
}

/// A message of the task's, as text.
struct Said(String);

impl Said {
    fn line(&self, name: &str) -> &str {
        self.0.lines().find(|line| line.starts_with(name)).expect("a header")
    }

    /// The answer to it; the tag is ours.
    fn answer(&self, status: &str) -> String {
        let [via, from, call, cseq] = ["Via", "From", "Call-ID", "CSeq"].map(|name| self.line(name));
        let to = self.line("To");
        let tag = if to.contains(";tag=") { "" } else { ";tag=far" };
        format!(
            "SIP/2.0 {status}\r\n{via}\r\n{from}\r\n{to}{tag}\r\n{call}\r\n{cseq}\r\nContent-Length: 0\r\n\r\n"
        )
    }
}

impl Bench {
    async fn new() -> Self {
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let near = socket.local_addr().unwrap();
        let (requests, inbox) = mpsc::channel(16);
        let (door, arrivals) = mpsc::channel(16);
        let endpoint = Endpoint {
            socket,
            local: near,
            screen: Screen::new(vec![crate::screen::Network::from(near.ip())], 1000),
            calls: Calls::new(CallsConfig::default(), 7),
            requests: inbox,
            arrivals: door,
            dropped: Arc::default(),
            roster: Arc::new(Roster::new(None)),
        };
        Self { far, near, requests, arrivals, task: tokio::spawn(endpoint.run()) }
    }

    async fn say(&self, text: &str) {
        self.far.send_to(text.as_bytes(), self.near).await.unwrap();
    }

    /// The next message that starts so; others are passed over.
    async fn hear(&self, start: &str) -> Said {
        let wait = async {
            let mut buffer = vec![0; DATAGRAM];
            loop {
                let length = self.far.recv(&mut buffer).await.unwrap();
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                if text.starts_with(start) {
                    return Said(text);
                }
            }
        };
        timeout(SOON, wait).await.unwrap_or_else(|_| panic!("no {start} came"))
    }

    async fn hears_no(&self, start: &str, time: Duration) {
        let mut buffer = vec![0; DATAGRAM];
        let wait = async {
            loop {
                let length = self.far.recv(&mut buffer).await.unwrap();
                assert!(!buffer[..length].starts_with(start.as_bytes()), "a {start} came");
            }
        };
        assert!(timeout(time, wait).await.is_err());
    }

    fn dial(&self) -> Dial {
        let remote = self.far.local_addr().unwrap();
        Dial {
            flow: Flow { transport: Transport::Udp, local: self.near, remote },
            to_uri: format!("sip:bob@{remote}"),
            from: Identity { user: "robot".into(), display: None, host: None },
            asserted_identity: None,
            credentials: None,
            local_media: "127.0.0.1:4002".parse().unwrap(),
            codecs: Vec::new(),
            is_phone: false,
            is_leg: false,
            ring: Duration::from_secs(60),
            headers: Vec::new(),
        }
    }

    /// The far end calls and we pick up; our 200 is not acknowledged yet.
    async fn called(&mut self) -> (Arrival, Said) {
        let far = self.far.local_addr().unwrap();
        let invite = format!(
            "INVITE sip:robot@{near} SIP/2.0\r\nVia: SIP/2.0/UDP {far};branch=z9hG4bKi\r\nFrom: <sip:bob@x>;tag=far\r\n\
             To: <sip:robot@x>\r\nCall-ID: in\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@{far}>\r\nMax-Forwards: 70\r\n\
             Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{OFFER}",
            near = self.near,
            length = OFFER.len()
        );
        self.say(&invite).await;
        let arrival = timeout(SOON, self.arrivals.recv()).await.unwrap().expect("a call came in");
        let command = Command::Answer { local_media: "127.0.0.1:4002".parse().unwrap() };
        self.requests.send(Request::Call { call: arrival.call, command }).await.unwrap();
        let ok = self.hear("SIP/2.0 200").await;
        (arrival, ok)
    }

    async fn acknowledge(&self, ok: &Said) {
        let far = self.far.local_addr().unwrap();
        let ack = format!(
            "ACK sip:robot@{near} SIP/2.0\r\nVia: SIP/2.0/UDP {far};branch=z9hG4bKa\r\nFrom: <sip:bob@x>;tag=far\r\n\
             {to}\r\nCall-ID: in\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            near = self.near,
            to = ok.line("To")
        );
        self.say(&ack).await;
    }
}

/// Whoever placed the call was cancelled between the reply of the task and his next turn: nobody had the call's number,
/// so it rang on, a person picked up, and nobody was there.
#[tokio::test]
async fn a_call_whose_number_nobody_took_is_cancelled() {
    let bench = Bench::new().await;
    let (ends, _events, _ended) = ends();
    let (reply, id) = oneshot::channel();
    bench.requests.send(Request::Dial { dial: Box::new(bench.dial()), ends, reply }).await.ok().unwrap();
    let invite = bench.hear("INVITE").await;
    drop(id);
    bench.say(&invite.answer("180 Ringing")).await;
    bench.hear("CANCEL").await;
}

/// A caller who gave up while his request waited in the queue still made a phone ring for a moment.
#[tokio::test]
async fn a_call_that_nobody_wants_any_more_is_not_placed() {
    let bench = Bench::new().await;
    let (ends, _events, _ended) = ends();
    let (reply, id) = oneshot::channel();
    drop(id);
    bench.requests.send(Request::Dial { dial: Box::new(bench.dial()), ends, reply }).await.ok().unwrap();
    bench.hears_no("INVITE", Duration::from_millis(200)).await;
}

/// The host stopped right after it had picked up: the BYE waited for the ACK, the task did not wait for the BYE, and the
/// caller listened to silence until his own end gave up.
#[tokio::test]
async fn a_bye_that_waits_for_the_ack_leaves_before_the_task_ends() {
    let mut bench = Bench::new().await;
    let (_arrival, ok) = bench.called().await;
    bench.requests.send(Request::Stop).await.ok().unwrap();
    bench.hears_no("BYE", Duration::from_millis(100)).await;
    bench.acknowledge(&ok).await;
    let bye = bench.hear("BYE").await;
    assert!(!bench.task.is_finished(), "the BYE may be lost");
    bench.say(&bye.answer("200 OK")).await;
    timeout(SOON, bench.task).await.expect("nothing is left to wait for").unwrap().unwrap();
}

/// One lost datagram at the end of the host, and the person stayed on the line with nobody.
#[tokio::test]
async fn a_lost_bye_is_sent_again_though_the_host_stops() {
    let mut bench = Bench::new().await;
    let (_arrival, ok) = bench.called().await;
    bench.acknowledge(&ok).await;
    bench.requests.send(Request::Stop).await.ok().unwrap();
    let lost = bench.hear("BYE").await;
    let again = bench.hear("BYE").await;
    assert_eq!(lost.0, again.0);
    bench.say(&again.answer("200 OK")).await;
    timeout(SOON, bench.task).await.expect("nothing is left to wait for").unwrap().unwrap();
}

/// A far end that is gone confirms nothing; the host stops all the same.
#[tokio::test]
async fn an_end_that_never_confirms_does_not_hold_the_host() {
    let mut bench = Bench::new().await;
    let (_arrival, ok) = bench.called().await;
    bench.acknowledge(&ok).await;
    bench.requests.send(Request::Stop).await.ok().unwrap();
    bench.hear("BYE").await;
    timeout(LAST_WORDS + SOON, bench.task).await.expect("there is an end to it").unwrap().unwrap();
}
