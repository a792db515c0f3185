//! A telephone of our own: it answers every call at once, listens, and keeps what it heard. A thread a call, strings
//! instead of a stack; for tests that ask what a person on the line would have heard.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    audio, clock,
    sip::{header, headers, method},
};

/// A call is dropped after this time in any case, so that no test waits for ever.
const LONGEST_CALL: Duration = Duration::from_secs(60);
/// At most so many calls at once; more are answered with 486.
const MOST_CALLS: usize = 200;

/// What one call brought.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The number that was called.
    pub called: String,
    /// The dialog's Call-ID.
    pub call_id: String,
    /// All sound, in order of arrival, 8000 samples a second.
    pub samples: Vec<f32>,
    /// From the answer to the end.
    pub length: Duration,
    /// Whether the caller hung up (and not we, by [`Phone::hang_up`] or [`LONGEST_CALL`]).
    pub hung_up: bool,
}

struct Line {
    call_id: String,
    over: Arc<AtomicBool>,
    /// Set before `over` where it is us who hang up.
    ours: Arc<AtomicBool>,
    /// Our request, which ends the call, and whom it is for.
    bye: (String, SocketAddr),
    listener: JoinHandle<Heard>,
}

/// What the telephone and its thread tell each other.
#[derive(Default)]
struct Told {
    /// Hang up on everybody.
    leave: AtomicBool,
    /// It is no more needed.
    stop: AtomicBool,
    /// How many are on the line.
    talking: AtomicUsize,
}

/// A telephone that picks up. It stops when dropped.
pub struct Phone {
    /// Where it takes SIP.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    told: Arc<Told>,
    thread: Option<JoinHandle<()>>,
}

impl Phone {
    /// On a free port of the loopback.
    pub fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let address = socket.local_addr()?;
        let (heard, told) = (Arc::default(), Arc::<Told>::default());
        let thread = {
            let (heard, told) = (Arc::clone(&heard), Arc::clone(&told));
            std::thread::spawn(move || run(&socket, address, &heard, &told))
        };
        Ok(Self { address, heard, told, thread: Some(thread) })
    }

    /// How many it talks with now.
    pub fn talking(&self) -> usize {
        self.told.talking.load(Ordering::Relaxed)
    }

    /// Hangs up on everybody who is on the line, within moments.
    pub fn hang_up(&self) {
        self.told.leave.store(true, Ordering::Relaxed);
    }

    /// The calls that have ended so far, in the order of their ends.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.told.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(socket: &UdpSocket, address: SocketAddr, heard: &Mutex<Vec<Heard>>, told: &Told) {
    let mut lines: Vec<Line> = Vec::new();
    // Answers to INVITEs, kept for their retransmissions.
    let mut answers: Vec<(String, String)> = Vec::new();
    let mut buffer = [0; 65_536];
    while !told.stop.load(Ordering::Relaxed) {
        let (ended, live) = lines.into_iter().partition(|line| line.listener.is_finished());
        lines = live;
        collect(ended, heard);
        if told.leave.swap(false, Ordering::Relaxed) {
            for line in lines.iter().filter(|line| !line.over.load(Ordering::Relaxed)) {
                let (bye, to) = &line.bye;
                let _ = socket.send_to(bye.as_bytes(), to);
                line.ours.store(true, Ordering::Relaxed);
                line.over.store(true, Ordering::Release);
            }
        }
        let talking = lines.iter().filter(|line| !line.over.load(Ordering::Relaxed)).count();
        told.talking.store(talking, Ordering::Relaxed);
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let Some(call_id) = header(&message, "Call-ID").map(str::to_owned) else { continue };
        let answer = match method(&message) {
            Some("INVITE") => {
                let known = answers.iter().find(|(id, _)| *id == call_id).map(|(_, answer)| answer.clone());
                known.or_else(|| {
                    let answer = pick_up(&message, &call_id, (address, from), &mut lines)
                        .unwrap_or_else(|| respond(&message, address, "486 Busy Here", None));
                    answers.push((call_id, answer.clone()));
                    Some(answer)
                })
            }
            Some("BYE") => {
                for line in lines.iter().filter(|line| line.call_id == call_id) {
                    line.over.store(true, Ordering::Release);
                }
                Some(respond(&message, address, "200 OK", None))
            }
            Some("ACK") | None => None,
            Some(_) => Some(respond(&message, address, "200 OK", None)),
        };
        if let Some(answer) = answer {
            let _ = socket.send_to(answer.as_bytes(), from);
        }
    }
    for line in &lines {
        line.over.store(true, Ordering::Release);
    }
    collect(lines, heard);
}

fn collect(lines: Vec<Line>, heard: &Mutex<Vec<Heard>>) {
    for line in lines {
        if let Ok(call) = line.listener.join() {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        }
    }
}

/// The 200 to an INVITE, with somebody listening; `None` if there is no room or nothing to listen to.
fn pick_up(
    invite: &str,
    call_id: &str,
    (address, from): (SocketAddr, SocketAddr),
    lines: &mut Vec<Line>,
) -> Option<String> {
    if lines.len() >= MOST_CALLS {
        return None;
    }
    let media = UdpSocket::bind((address.ip(), 0)).ok()?;
    media.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
    let far = far_media(invite)?;
    let port = media.local_addr().ok()?.port();
    let (over, ours) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let called = invite.split(' ').nth(1)?.trim_start_matches("sip:").split('@').next()?.to_owned();
    let listener = {
        let (over, ours, call_id) = (Arc::clone(&over), Arc::clone(&ours), call_id.to_owned());
        std::thread::spawn(move || listen(&media, far, (&over, &ours), called, call_id))
    };
    let bye = (bye(invite, address, from), from);
    lines.push(Line { call_id: call_id.to_owned(), over, ours, bye, listener });
    let ip = address.ip();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n"
    );
    Some(respond(invite, address, "200 OK", Some(&sdp)))
}

/// Where an offer wants its audio.
fn far_media(invite: &str) -> Option<SocketAddr> {
    let line = |start: &str| invite.lines().find_map(|line| line.strip_prefix(start));
    let ip = line("c=IN IP4 ")?.trim().parse().ok()?;
    let port = line("m=audio ")?.split(' ').next()?.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}

/// Our BYE to whoever called us, as the dialog of his INVITE wants it.
fn bye(invite: &str, address: SocketAddr, to: SocketAddr) -> String {
    let of = |name: &str| header(invite, name).unwrap_or_default();
    let target = of("Contact").split(['<', '>']).nth(1).map_or_else(|| format!("sip:{to}"), str::to_owned);
    format!(
        "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {address};rport;branch=z9hG4bK-bye-{}\r\nMax-Forwards: 70\r\n\
         From: {};tag=phone\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        of("Call-ID"),
        of("To"),
        of("From"),
        of("Call-ID")
    )
}

/// Listens until the call is over, and says silence.
fn listen(
    media: &UdpSocket,
    far: SocketAddr,
    (over, ours): (&AtomicBool, &AtomicBool),
    called: String,
    call_id: String,
) -> Heard {
    let start = clock::now();
    let mut samples = Vec::new();
    let mut hear = || {
        let mut buffer = [0; 2048];
        let length = media.recv(&mut buffer).ok()?;
        if length > 12 && buffer[1] & 0x7f == 8 {
            samples.extend(buffer[12..length].iter().map(|byte| audio::from_alaw(*byte)));
        }
        Some(())
    };
    let mut sequence = 0_u16;
    while !over.load(Ordering::Acquire) && start.elapsed() < LONGEST_CALL {
        hear();
        // Silence towards the caller, at the pace of the time that went by: a line that is there.
        while u128::from(sequence) * 20 < start.elapsed().as_millis() {
            let mut packet = vec![0x80, 8];
            packet.extend(sequence.to_be_bytes());
            packet.extend((u32::from(sequence) * 160).to_be_bytes());
            packet.extend(u32::from(far.port()).to_be_bytes());
            packet.extend([0xd5; 160]);
            let _ = media.send_to(&packet, far);
            sequence += 1;
        }
    }
    // What had come before the end is heard, however late we are.
    let _ = media.set_nonblocking(true);
    while hear().is_some() {}
    let hung_up = over.load(Ordering::Acquire) && !ours.load(Ordering::Relaxed);
    Heard { called, call_id, samples, length: start.elapsed(), hung_up }
}

fn respond(request: &str, address: SocketAddr, status: &str, sdp: Option<&str>) -> String {
    let mut answer = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
        for value in headers(request, name) {
            answer += &format!("{name}: {value}\r\n");
        }
    }
    let to = header(request, "To").unwrap_or_default();
    let tag = if to.contains("tag=") { "" } else { ";tag=phone" };
    let body = sdp.unwrap_or_default();
    answer += &format!("To: {to}{tag}\r\nContact: <sip:phone@{address}>\r\n");
    if sdp.is_some() {
        answer += "Content-Type: application/sdp\r\n";
    }
    answer + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_phone_picks_up_hears_what_is_said_and_notices_the_hang_up() {
        let phone = Phone::start().unwrap();
        let (sip, media) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        for socket in [&sip, &media] {
            socket.set_read_timeout(Some(LIMIT)).unwrap();
        }
        let head = |method: &str| {
            format!(
                "{method} sip:123@{} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{method}\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:123@c>\r\nCall-ID: one\r\nCSeq: 1 {method}\r\n",
                phone.address,
                sip.local_addr().unwrap()
            )
        };
        let ask = |text: String| {
            sip.send_to(text.as_bytes(), phone.address).unwrap();
            let mut buffer = [0; 4096];
            let length = sip.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let port = media.local_addr().unwrap().port();
        let sdp = format!("v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {port} RTP/AVP 8\r\n");
        let answer = ask(format!("{}\r\n{sdp}", head("INVITE")));
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        let far = far_media(&answer).unwrap();

        let mut packet = vec![0x80, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        packet.extend([0xaa, 0x2a].repeat(80));
        for _ in 0..10 {
            media.send_to(&packet, far).unwrap();
        }
        let mut silence = [0; 512];
        assert_eq!(media.recv(&mut silence).unwrap(), 172, "the phone says nothing to its caller");

        let answer = ask(format!("{}\r\n", head("BYE")));
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        assert!(clock::within(LIMIT, || !phone.heard().is_empty()));
        let heard = phone.heard().remove(0);
        assert_eq!((heard.called.as_str(), heard.hung_up, heard.samples.len()), ("123", true, 1600));
        assert!(audio::rms(&heard.samples) > 0.9, "{}", audio::rms(&heard.samples));

        // Another call, which it ends itself.
        let another = format!("{}\r\n{sdp}", head("INVITE").replace("Call-ID: one", "Call-ID: two"));
        assert!(ask(another).starts_with("SIP/2.0 200"));
        assert!(clock::within(LIMIT, || phone.talking() == 1));
        phone.hang_up();
        let mut buffer = [0; 4096];
        let length = sip.recv(&mut buffer).unwrap();
        let bye = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(bye.starts_with("BYE sip:127.0.0.1:"), "{bye}");
        let dialog = ["From", "To", "Call-ID", "CSeq"].map(|name| header(&bye, name).unwrap());
        assert_eq!(dialog, ["<sip:123@c>;tag=phone", "<sip:a@b>;tag=1", "two", "1 BYE"]);
        assert!(clock::within(LIMIT, || phone.heard().len() == 2));
        assert!(!phone.heard()[1].hung_up);
    }
}
