//! Service codes over real sockets: an operator's telephone dials his status, and can dial nothing else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::timeout;
use zvonar_call::{Ended, Side};
use zvonar_desk::Status;
use zvonar_dialer::Tables;
use zvonar_dialer::operators::{
    DeskControl, OperatorRow, ServiceTones, Staff, StoredDesk, operator_of_user, serve_code,
};
use zvonar_ledger::PriceList;
use zvonar_model::{OperatorId, TrunkId, UnixMillis};
use zvonar_sip::digest::{Answer, Challenge, Credentials};
use zvonar_store::MemoryStore;
use zvonar_switch::{CallEvent, Doorway, MediaConfig, PhoneBook, Switch, SwitchConfig, Target, TrunkConfig};

use crate::world::tenant;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const SOON: Duration = Duration::from_secs(30);
const PASSWORD: &str = "слово и дело";

fn config(ports: u16, phones: Option<Arc<PhoneBook>>, trunks: Vec<TrunkConfig>) -> SwitchConfig {
    SwitchConfig {
        listen: SocketAddr::new(HERE, 0),
        advertise: None,
        allow: Vec::new(),
        per_source: 10_000,
        trunks,
        media: MediaConfig { ports: ports..=ports + 39, threads: 1, ..MediaConfig::new(HERE) },
        calls: 10,
        phones,
        // Call-IDs come of it: a telephone that comes again is another one.
        seed: rand::random(),
    }
}

fn anna() -> OperatorId {
    OperatorId::new("anna").unwrap()
}

/// Registers her telephone: nobody else is even heard.
async fn register(near: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((HERE, 0)).await.unwrap();
    let here = socket.local_addr().unwrap();
    let credentials = Credentials { username: "acme.anna".into(), password: PASSWORD.into() };
    let mut proof = String::new();
    for cseq in 1..=2 {
        let request = format!(
            "REGISTER sip:zvonar SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bK-{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:acme.anna@zvonar>;tag=1\r\nTo: <sip:acme.anna@zvonar>\r\nCall-ID: 1\r\n\
             CSeq: {cseq} REGISTER\r\nContact: <sip:acme.anna@{here}>\r\nExpires: 300\r\n{proof}\
             Content-Length: 0\r\n\r\n"
        );
        socket.send_to(request.as_bytes(), near).await.unwrap();
        let mut buffer = vec![0; 65_535];
        let length = timeout(SOON, socket.recv(&mut buffer)).await.expect("an answer").unwrap();
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if answer.starts_with("SIP/2.0 200") {
            return socket;
        }
        assert!(answer.starts_with("SIP/2.0 401"), "{answer}");
        let asked = answer.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: "));
        let challenge = Challenge::first(asked).expect("a challenge");
        let mut right = Answer::new(challenge, "c0ffee".into());
        proof = format!("Authorization: {}\r\n", right.header(&credentials, "REGISTER", "sip:zvonar", b""));
    }
    panic!("her telephone is not let in");
}

/// A host with one operator, and her telephone, which dials with this password.
struct House {
    switch: Switch,
    door: Doorway,
    staff: Staff,
    tables: Tables,
    /// Where her telephone is registered: whoever calls from there has to prove himself.
    _registered: UdpSocket,
}

impl House {
    async fn open() -> Self {
        let tables = Tables::new(Arc::new(MemoryStore::new()), Arc::new(PriceList::default()), tenant());
        let desk: Arc<dyn DeskControl> = Arc::new(StoredDesk::new(tables.clone(), Arc::new(|| NOW)));
        let book = Arc::new(PhoneBook::new("zvonar"));
        let staff = Staff::new(tables.clone(), 2, book.realm(), desk, [1; 32]).with_accounts(book.clone());
        staff.add(OperatorRow::new(anna(), "Анна", NOW), Some(PASSWORD)).await.unwrap();
        let (switch, door) = Switch::start(config(27_000, Some(book), Vec::new())).await.expect("a switch");
        let registered = register(switch.local_addr()).await;
        Self { switch, door, staff, tables, _registered: registered }
    }

    /// Dials; gives whether it was answered, how it ended, and how much sound came.
    async fn dials(&mut self, password: &str, dialled: &str) -> (bool, Ended, u64) {
        let trunk = TrunkConfig {
            id: TrunkId::new("house").unwrap(),
            address: self.switch.local_addr(),
            lines: 1,
            calls_per_second: 100,
            caller: "acme.anna".into(),
            login: Some(("acme.anna".into(), password.into())),
            tenants: None,
        };
        let (phone, phone_door) =
            Switch::start(config(27_100, None, vec![trunk])).await.expect("a telephone");
        let line = phone.reserve(&TrunkId::new("house").unwrap(), &tenant()).await.expect("a line");
        let target = Target::Uri(format!("sip:{dialled}@{}", self.switch.local_addr()));
        let mut call = phone.place(line, target, SOON).await.expect("a call");
        let tones = ServiceTones::default();
        // Whoever is not let in never comes to the door.
        let over = Notify::new();
        let served = async {
            let incoming = tokio::select! {
                incoming = self.door.next() => incoming,
                () = over.notified() => None,
            };
            let Some(incoming) = incoming else { return };
            let account =
                incoming.about.account.clone().expect("only telephones that prove themselves get here");
            let (of, operator) = operator_of_user(&account).expect("an operator's telephone");
            assert_eq!((of, &operator), (tenant(), &anna()));
            serve_code(incoming, &self.staff, &operator, &tones).await;
        };
        let heard = async {
            let mut answered = false;
            loop {
                match timeout(SOON, call.next()).await.expect("it ends") {
                    CallEvent::Answered { .. } => answered = true,
                    CallEvent::Ended { how, .. } => {
                        over.notify_one();
                        break (answered, how);
                    }
                    _ => {}
                }
            }
        };
        let ((), (answered, how)) = tokio::join!(served, heard);
        let packets = call.close(|_| ()).await.report.packets_heard;
        phone_door.shutdown().await.unwrap();
        (answered, how, packets)
    }
}

#[tokio::test]
async fn an_operator_dials_her_status_hears_it_confirmed_and_can_dial_nothing_else() {
    let mut house = House::open().await;
    let mut heard = Vec::new();
    for (dialled, status) in [
        ("*71", Status::Available),
        ("*72", Status::Break),
        ("*73", Status::WrapUp),
        ("*74", Status::Offline),
        ("*70", Status::Offline),
    ] {
        let (answered, how, packets) = house.dials(PASSWORD, dialled).await;
        assert!(answered && matches!(how, Ended::HungUp { by: Side::Far, .. }), "{dialled}: {how:?}");
        let presence = house.tables.presence(&anna()).await.unwrap();
        assert_eq!(presence.map(|presence| presence.status), Some(status), "{dialled}");
        heard.push(packets);
    }
    // 20 packets before the first beep, 20 for each; the last of them may be on their way when the call ends.
    for (packets, beeps) in heard.iter().zip([1, 2, 3, 4, 4]) {
        assert!(packets.abs_diff(20 + 20 * beeps) < 10, "{heard:?} are not so many beeps");
    }
    // Toll fraud with her password, a slip of the finger, and somebody who does not know it.
    for (password, dialled, code) in
        [(PASSWORD, "+79161234567", 403), (PASSWORD, "810441234567890", 403), (PASSWORD, "*79", 404)]
    {
        let (answered, how, _) = house.dials(password, dialled).await;
        assert!(
            !answered && matches!(how, Ended::Refused { code: it, .. } if it == code),
            "{dialled}: {how:?}"
        );
    }
    let (answered, how, _) = house.dials("не то слово", "*71").await;
    assert!(!answered, "{how:?}");
    let presence = house.tables.presence(&anna()).await.unwrap();
    assert_eq!(presence.map(|presence| presence.status), Some(Status::Offline));
    house.door.shutdown().await.unwrap();
}
