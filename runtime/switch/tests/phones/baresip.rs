//! The same with baresip (Debian: baresip-core), a real telephone that owes us nothing: it is told what to do over its
//! control port, and what it did is read there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zvonar_call::Ended;
use zvonar_switch::{CallEvent, RingEnd, RingEvent};

use super::{ANNA, House, answered, ended, event, house_on, next};

const MODULES: &str = "/usr/lib/baresip/modules";
/// It takes its time to start, and to register again.
const PATIENCE: Duration = Duration::from_secs(20);

struct Baresip {
    child: Child,
    control: TcpStream,
    buffer: Vec<u8>,
    _home: TempDir,
}

/// The address of this machine besides the loopback, on which baresip does not work. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// A host on an address where baresip can work; `None`, said aloud: it cannot be tried here. That is a failure under
/// `ZVONAR_TESTS_STRICT`, under which nothing may be skipped.
async fn bench() -> Option<House> {
    let is_here = Path::new("/usr/bin/baresip").exists() && Path::new(MODULES).is_dir();
    match own_address().filter(|_| is_here) {
        Some(ip) => Some(house_on(ip, zvonar_switch::PhoneSettings::default()).await),
        None => {
            let why =
                "this needs baresip (Debian: baresip-core) and a network interface besides the loopback";
            assert!(std::env::var_os("ZVONAR_TESTS_STRICT").is_none(), "may not be skipped here: {why}");
            println!("SKIPPED: {why}");
            None
        }
    }
}

/// Where a telephone can be told what to do. Ports below 32768 are given to nobody who does not ask for them, so that this one
/// is free still when it starts.
fn control() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = 6_000 + (std::process::id() % 300 * 10) as u16;
    loop {
        let port = begin + NEXT.fetch_add(1, Ordering::Relaxed) % 1_000;
        if let Ok(socket) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return socket.local_addr().expect("bound");
        }
    }
}

impl Baresip {
    /// Starts one whose account registers by itself.
    async fn start(host: SocketAddr, user: &str, password: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let control = control();
        let voice = home.path().join("voice.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(&voice, spec).expect("a file");
        for n in 0..8000 * 60 {
            let angle = f64::from(n) * 425.0 / 8000.0 * std::f64::consts::TAU;
            wav.write_sample((angle.sin() * 8000.0) as i16).expect("written");
        }
        wav.finalize().expect("written");
        let config = format!(
            "sip_listen {}:0\naudio_source aufile,{}\naudio_channels 1\njitter_buffer_type off\nmodule_path {MODULES}\n\
             module g711.so\nmodule aufile.so\nmodule_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n\
             module_app ctrl_tcp.so\nctrl_tcp_listen {control}\n",
            host.ip(),
            voice.display(),
        );
        let account = format!(
            "<sip:{user}@{host}>;auth_user={user};auth_pass={password};regint=60;answermode=manual;\
             audio_codecs=PCMA/8000/1\n"
        );
        fs::write(home.path().join("config"), config).expect("written");
        fs::write(home.path().join("accounts"), account).expect("written");
        fs::write(home.path().join("contacts"), "").expect("written");
        let child = Command::new("baresip")
            .arg("-f")
            .arg(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let connect = async {
            loop {
                match TcpStream::connect(control).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        let control = timeout(PATIENCE, connect).await.expect("its control port opens");
        Self { child, control, buffer: Vec::new(), _home: home }
    }

    /// Tells it to do something.
    async fn tell(&mut self, command: &str, params: &str) {
        let said = format!(r#"{{"command":"{command}","params":"{params}","token":"test"}}"#);
        self.control.write_all(format!("{}:{said},", said.len()).as_bytes()).await.expect("said");
    }

    /// The next thing that it says and that holds this text.
    async fn says(&mut self, text: &str) -> String {
        let wait = async {
            loop {
                while let Some(message) = self.take_message() {
                    if message.contains(text) {
                        return message;
                    }
                }
                let mut more = [0; 4096];
                let length = self.control.read(&mut more).await.expect("read");
                assert!(length > 0, "baresip is gone");
                self.buffer.extend_from_slice(&more[..length]);
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("baresip never said {text}"))
    }

    /// One message of those that came: `length:text,`.
    fn take_message(&mut self) -> Option<String> {
        let colon = self.buffer.iter().position(|byte| *byte == b':')?;
        let length: usize = std::str::from_utf8(&self.buffer[..colon]).ok()?.parse().ok()?;
        if self.buffer.len() < colon + length + 2 {
            return None;
        }
        let message = String::from_utf8_lossy(&self.buffer[colon + 1..colon + 1 + length]).into_owned();
        self.buffer.drain(..colon + length + 2);
        Some(message)
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl House {
    async fn baresip(&self) -> Baresip {
        let mut changes = self.switch.registrations();
        let phone = Baresip::start(self.switch.local_addr(), ANNA, "right").await;
        if self.switch.contacts(ANNA).is_empty() {
            timeout(PATIENCE, changes.changed()).await.expect("it registers").expect("the switch is there");
        }
        phone
    }
}

#[tokio::test]
async fn a_real_phone_registers_is_rung_holds_and_hands_on() {
    let Some(house) = bench().await else { return };
    let mut phone = house.baresip().await;
    let contacts = house.switch.contacts(ANNA);
    assert!(contacts[0].user_agent.starts_with("baresip"), "{contacts:?}");

    let mut ringing = house.ring(PATIENCE);
    let incoming = phone.says("CALL_INCOMING").await;
    assert!(incoming.contains("79161234567"), "{incoming}");
    assert!(matches!(next(&mut ringing).await, RingEvent::Rings));
    phone.tell("accept", "").await;
    let mut call = answered(&mut ringing).await;
    phone.says("CALL_ESTABLISHED").await;

    phone.tell("hold", "").await;
    assert!(matches!(event(&mut call).await, CallEvent::Held { held: true }));
    phone.tell("resume", "").await;
    assert!(matches!(event(&mut call).await, CallEvent::Held { held: false }));

    phone.tell("transfer", &format!("sip:102@{}", house.switch.local_addr())).await;
    // It holds the call before it hands it on.
    let request = loop {
        match event(&mut call).await {
            CallEvent::Refer(request) => break request,
            CallEvent::Held { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((request.to_user.as_str(), &request.replaces), ("102", &None));
    call.answer_refer(true).await;
    call.refer_progress(180, "").await;
    call.refer_progress(200, "").await;
    // It hangs up by itself once it hears that the transfer came to something.
    loop {
        match event(&mut call).await {
            CallEvent::Ended { how: Ended::HungUp { by: zvonar_call::Side::Far, .. }, .. } => break,
            CallEvent::Held { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_real_phone_declines_and_stops_ringing_when_told() {
    let Some(house) = bench().await else { return };
    let mut phone = house.baresip().await;
    let mut ringing = house.ring(PATIENCE);
    phone.says("CALL_INCOMING").await;
    phone.tell("hangup", "").await;
    // baresip says 486 when its owner does not want to.
    assert_eq!(ended(&mut ringing).await, RingEnd::Busy);

    let ringing = house.ring(PATIENCE);
    phone.says("CALL_INCOMING").await;
    drop(ringing);
    phone.says("CALL_CLOSED").await;

    // Its owner leaves.
    let mut changes = house.switch.registrations();
    phone.tell("quit", "").await;
    timeout(PATIENCE, changes.changed()).await.expect("it says good-bye").expect("the switch is there");
    assert_eq!(house.switch.contacts(ANNA), []);
}

#[tokio::test]
async fn a_real_phone_with_a_wrong_password_is_told_so() {
    let Some(house) = bench().await else { return };
    let mut phone = Baresip::start(house.switch.local_addr(), ANNA, "wrong").await;
    let wait = async {
        loop {
            phone.tell("reginfo", "").await;
            if phone.says("User Agents").await.contains("ERR") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it learns that it was refused");
    assert_eq!(house.switch.contacts(ANNA), []);
}

#[tokio::test]
async fn a_real_phone_calls_and_is_known_by_its_password() {
    let Some(mut house) = bench().await else { return };
    let mut phone = house.baresip().await;
    phone.tell("dial", &format!("sip:*21@{}", house.switch.local_addr())).await;
    let incoming =
        timeout(PATIENCE, house.door.next()).await.expect("it calls").expect("the switch is there");
    assert_eq!((incoming.about.account.as_deref(), incoming.about.to_user.as_str()), (Some(ANNA), "*21"));
    let mut call = incoming.answer().await.expect("a port");
    phone.says("CALL_ESTABLISHED").await;
    assert!(matches!(event(&mut call).await, CallEvent::Answered { .. }));
    call.hang_up().await;
    phone.says("CALL_CLOSED").await;
}
