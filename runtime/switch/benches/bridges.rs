//! What a bridged call costs, and how late its packets are: the media thread beside a plain UDP relay, in the same run,
//! and beside Debian's `rtpengine` in userspace where that is installed.
//!
//! `cargo bench -p zvonar-switch --bench bridges -- 200`: how many calls of two legs. Core 0 carries the bridge, core 1
//! all telephones: each sends a packet every 20 ms, with the moment of its sending in it, and the kernel stamps its
//! arrival at the other telephone. So neither the waking of the telephones nor their reading counts. A packet is late
//! when it took more than 10 ms. CPU is that of the carrying threads alone, from the kernel's accounts; on the loopback
//! whoever sends pays for the delivery.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use zvonar_media::rtp::Header;
use zvonar_media::{Codec, MediaPlan};
use zvonar_switch::clock;
use zvonar_switch::media_io::{MediaConfig, MediaEngine};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(15);
const LATE_NS: u64 = 10_000_000;

/// The core that is measured, and that of the telephones.
const CARRIER: usize = 0;
const TELEPHONES: usize = 1;

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let counts = if given.is_empty() { vec![200] } else { given };
    println!(
        "calls | carried by       | core %   µs a call-second | median    99 %  99.9 %     worst | late      lost"
    );
    for calls in counts {
        let ours = Phones::new(calls).measure(&Ours::new);
        println!("{calls:5} | zvonar's bridge  | {ours}");
        let relay = Phones::new(calls).measure(&Relay::new);
        println!("{calls:5} | a plain relay    | {relay}");
        let reference = rtpengine_is_here().then(|| Phones::new(calls).measure(&Rtpengine::new));
        match &reference {
            Some(figures) => println!("{calls:5} | rtpengine        | {figures}"),
            None => {
                println!("{calls:5} | rtpengine        | is not installed (apt-get install rtpengine-daemon)")
            }
        }
        let beside =
            |name: &str, other: &Figures| println!("      CPU beside {name}: {:.2}", ours.cpu / other.cpu);
        beside("a plain relay", &relay);
        if let Some(figures) = &reference {
            beside("rtpengine", figures);
        }
    }
}

/// What carries calls between telephones: given theirs, it says where each should send.
trait Carrier {
    /// Where each telephone sends to, in their order: those of one call stand side by side.
    fn targets(&self) -> Vec<SocketAddr>;
    /// Nanoseconds on a core so far.
    fn cpu_ns(&self) -> u64;
}

struct Figures {
    calls: usize,
    /// Of one core, 0 to 1.
    cpu: f64,
    delays_ns: Vec<u64>,
    sent: u64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arrived = self.delays_ns.len();
        let at = |share: f64| {
            let place = ((arrived as f64 * share) as usize).min(arrived.saturating_sub(1));
            self.delays_ns.get(place).map_or(f64::NAN, |ns| *ns as f64 / 1e6)
        };
        let late = self.delays_ns.iter().filter(|ns| **ns > LATE_NS).count();
        let of_sent = |count: u64| count as f64 * 100.0 / self.sent.max(1) as f64;
        let micros = self.cpu * 1e6 / self.calls as f64;
        write!(f, "{:5.1} % {micros:18.0} | ", self.cpu * 100.0)?;
        write!(f, "{:5.2} {:6.2} {:6.2} {:6.2} ms | ", at(0.5), at(0.99), at(0.999), at(1.0))?;
        write!(f, "{:.4} % {:.4} %", of_sent(late as u64), of_sent(self.sent.saturating_sub(arrived as u64)))
    }
}

// --- the telephones

struct Phones {
    sockets: Vec<UdpSocket>,
}

impl Phones {
    fn new(calls: usize) -> Self {
        Self { sockets: (0..calls * 2).map(|_| bound()).collect() }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect()
    }

    fn measure<C: Carrier>(self, carrier: &dyn Fn(&[SocketAddr]) -> C) -> Figures {
        let carrier = carrier(&self.addresses());
        for (socket, target) in self.sockets.iter().zip(carrier.targets()) {
            socket.connect(target).expect("a route");
            socket.set_nonblocking(true).expect("an option");
            kernel::stamp_arrivals(socket).expect("an option");
        }
        let calls = self.sockets.len() / 2;
        let counting = Arc::new(AtomicBool::new(false));
        let stop = Arc::new(AtomicBool::new(false));
        let (counts, stops) = (Arc::clone(&counting), Arc::clone(&stop));
        let talk = std::thread::spawn(move || self.talk(&counts, &stops));
        std::thread::sleep(WARM_UP);
        let before = carrier.cpu_ns();
        counting.store(true, Relaxed);
        std::thread::sleep(MEASURE);
        let cpu_ns = carrier.cpu_ns() - before;
        counting.store(false, Relaxed);
        std::thread::sleep(Duration::from_millis(200)); // what is under way
        stop.store(true, Relaxed);
        let (mut delays_ns, sent) = talk.join().expect("the telephones have no bug");
        delays_ns.sort_unstable();
        Figures { calls, cpu: cpu_ns as f64 / MEASURE.as_nanos() as f64, delays_ns, sent }
    }

    /// Every telephone speaks once in 20 ms, a twentieth of them in each millisecond, and reads what came.
    fn talk(&self, counting: &AtomicBool, stop: &AtomicBool) -> (Vec<u64>, u64) {
        kernel::pin_and_raise(TELEPHONES);
        let mut packet = [0xd5; 172];
        let (mut delays, mut sent) = (Vec::with_capacity(4_000_000), 0);
        let begin = clock::now();
        for ms in 0u32.. {
            if stop.load(Relaxed) {
                break;
            }
            let counts = counting.load(Relaxed);
            let n = ms / 20;
            // Those of one call do not stand side by side here, so that they do not speak at once.
            for (at, socket) in self.sockets.iter().enumerate() {
                if (at * 7) % 20 != ms as usize % 20 {
                    continue;
                }
                let header = Header {
                    marker: n == 0,
                    payload_type: 8,
                    sequence: n as u16,
                    timestamp: n * 160,
                    ssrc: 9 + at as u32,
                };
                header.write(packet.first_chunk_mut().expect("twelve"));
                let stamp = if counts { kernel::now_ns() } else { 0 };
                packet[12..20].copy_from_slice(&stamp.to_be_bytes());
                sent += u64::from(counts && socket.send(&packet).is_ok());
                if !counts {
                    let _ = socket.send(&packet);
                }
                while let Some((stamp, arrived)) = kernel::receive(socket) {
                    if stamp != 0 && stamp != u64::from_be_bytes([0xd5; 8]) {
                        delays.push(arrived.saturating_sub(stamp));
                    }
                }
            }
            let next = begin + Duration::from_millis(u64::from(ms) + 1);
            std::thread::sleep(next.saturating_duration_since(clock::now()));
        }
        (delays, sent)
    }
}

fn bound() -> UdpSocket {
    UdpSocket::bind((HERE, 0)).expect("a socket: raise the limit on open files")
}

/// Nanoseconds on a core so far, of the threads of a process whose names begin so.
fn cpu_of(process: &str, name: &str) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    let of_task = |path: std::path::PathBuf| -> Option<u64> {
        let comm = std::fs::read_to_string(path.join("comm")).ok()?;
        let spent = std::fs::read_to_string(path.join("schedstat")).ok()?;
        if comm.starts_with(name) { spent.split_whitespace().next()?.parse().ok() } else { None }
    };
    tasks.filter_map(|task| of_task(task.ok()?.path())).sum()
}

// --- what carries them

struct Ours {
    targets: Vec<SocketAddr>,
    _calls: Vec<(zvonar_switch::media_io::MediaPort, zvonar_switch::media_io::MediaEvents)>,
    _engine: MediaEngine,
}

impl Ours {
    fn new(phones: &[SocketAddr]) -> Self {
        let config = MediaConfig { cores: vec![CARRIER], ..MediaConfig::new(HERE) };
        let engine = MediaEngine::start(config).expect("an engine");
        let calls: Vec<_> = phones
            .iter()
            .map(|phone| {
                let (port, events) = engine.open().expect("a port");
                port.start(MediaPlan {
                    remote: *phone,
                    codec: Codec::Pcma,
                    event_send: Some(101),
                    event_receive: Some(101),
                    send: true,
                    receive: true,
                });
                (port, events)
            })
            .collect();
        for two in calls.chunks_exact(2) {
            two[0].0.bridge(&two[1].0).expect("one thread carries all");
        }
        let targets = calls.iter().map(|(port, _)| port.local_addr()).collect();
        Self { targets, _calls: calls, _engine: engine }
    }
}

impl Carrier for Ours {
    fn targets(&self) -> Vec<SocketAddr> {
        self.targets.clone()
    }
    fn cpu_ns(&self) -> u64 {
        cpu_of("self", "media-0")
    }
}

/// The least there is: a socket for each telephone, and whatever one of a call reads the other sends.
struct Relay {
    targets: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    fn new(phones: &[SocketAddr]) -> Self {
        let sockets: Vec<UdpSocket> = phones.iter().map(|_| bound()).collect();
        let targets = sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect();
        let poll = kernel::Poll::new().expect("an epoll");
        for (at, (socket, phone)) in sockets.iter().zip(phones).enumerate() {
            socket.connect(phone).expect("a route");
            socket.set_nonblocking(true).expect("an option");
            poll.add(socket, at as u64).expect("it is new");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&stop);
        let run = move || {
            kernel::pin_and_raise(CARRIER);
            let mut packet = [0; 1600];
            while !stops.load(Relaxed) {
                for at in poll.wait() {
                    while let Ok(len) = sockets[at].recv(&mut packet) {
                        let _ = sockets[at ^ 1].send(&packet[..len]);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("relay".into()).spawn(run).expect("a thread");
        Self { targets, stop, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the relay has no bug");
        }
    }
}

impl Carrier for Relay {
    fn targets(&self) -> Vec<SocketAddr> {
        self.targets.clone()
    }
    fn cpu_ns(&self) -> u64 {
        cpu_of("self", "relay")
    }
}

/// The relay that most of the world uses, without its kernel module, told by its own protocol.
struct Rtpengine {
    process: Child,
    targets: Vec<SocketAddr>,
}

fn rtpengine_is_here() -> bool {
    let asked =
        Command::new("rtpengine").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

impl Rtpengine {
    fn new(phones: &[SocketAddr]) -> Self {
        let control = bound();
        let address = bound().local_addr().expect("bound"); // free again, and nobody is that quick
        let process = Command::new("taskset")
            .args([
                "-c",
                &CARRIER.to_string(),
                "rtpengine",
                "--config-file=none",
                "--table=-1",
                "--foreground",
            ])
            .args([&format!("--listen-ng={address}"), "--interface=127.0.0.1", "--num-threads=1"])
            .args(["--port-min=40000", "--port-max=59999", "--log-level=3", "--log-stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rtpengine starts");
        control.connect(address).expect("a route");
        control.set_read_timeout(Some(Duration::from_millis(500))).expect("an option");
        let mut engine = Self { process, targets: Vec::new() };
        for (call, two) in phones.chunks_exact(2).enumerate() {
            // Where the callee should send is in the rewritten offer, where the caller should in the rewritten answer.
            let for_callee = ask(&control, "offer", call, two[0]);
            let for_caller = ask(&control, "answer", call, two[1]);
            engine.targets.extend([for_caller, for_callee]);
        }
        engine
    }
}

impl Drop for Rtpengine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Carrier for Rtpengine {
    fn targets(&self) -> Vec<SocketAddr> {
        self.targets.clone()
    }
    fn cpu_ns(&self) -> u64 {
        cpu_of(&self.process.id().to_string(), "")
    }
}

/// One question of the ng protocol, a dictionary in bencode, asked until it is answered.
fn ask(control: &UdpSocket, command: &str, call: usize, phone: SocketAddr) -> SocketAddr {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        phone.port()
    );
    let text = |text: &str| format!("{}:{text}", text.len());
    let mut question = format!("{command}{call} d{}{}", text("call-id"), text(&format!("call-{call}")));
    for (name, value) in [("command", command), ("from-tag", "caller"), ("sdp", &sdp), ("to-tag", "callee")] {
        if name != "to-tag" || command == "answer" {
            question += &text(name);
            question += &text(value);
        }
    }
    question.push('e');
    let mut answer = [0; 4096];
    for _ in 0..20 {
        control.send(question.as_bytes()).ok();
        if let Ok(len) = control.recv(&mut answer) {
            let answer = String::from_utf8_lossy(&answer[..len]);
            let port = answer.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
            return SocketAddr::new(HERE, port.unwrap_or_else(|| panic!("rtpengine said {answer}")));
        }
        std::thread::sleep(Duration::from_millis(100)); // it is only starting
    }
    panic!("rtpengine does not answer");
}

/// What the library does not lend: the kernel's stamps, an epoll, a core and a priority.
mod kernel {
    use super::{AsRawFd, FromRawFd, OwnedFd, UdpSocket, io};

    fn check(result: libc::c_int) -> io::Result<libc::c_int> {
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    /// By the clock of the kernel's stamps.
    pub(super) fn now_ns() -> u64 {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the timespec lives until the call returns.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
        nanos(now)
    }

    fn nanos(time: libc::timespec) -> u64 {
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    pub(super) fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
        let on: libc::c_int = 1;
        let len = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the value lives until the call returns and is as long as we say.
        check(unsafe {
            let fd = socket.as_raw_fd();
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, (&raw const on).cast(), len)
        })
        .map(drop)
    }

    /// A packet: the moment that is written in it, and the one at which it arrived.
    pub(super) fn receive(socket: &UdpSocket) -> Option<(u64, u64)> {
        let mut packet = [0u8; 2000];
        let mut control = [0u64; 16];
        let mut part = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
        // SAFETY: a zeroed message is an empty one; the buffers live until the call returns; the control messages that
        // the kernel wrote are walked by its own macros.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&control) as _;
            let len = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT);
            if len < 20 {
                return None;
            }
            let head = libc::CMSG_FIRSTHDR(&raw const message);
            if head.is_null() || (*head).cmsg_type != libc::SCM_TIMESTAMPNS {
                return None;
            }
            let arrived: libc::timespec = libc::CMSG_DATA(head).cast::<libc::timespec>().read_unaligned();
            Some((u64::from_be_bytes(packet[12..20].try_into().ok()?), nanos(arrived)))
        }
    }

    /// As the media threads do: one core, before others.
    pub(super) fn pin_and_raise(core: usize) {
        // SAFETY: a zeroed set is an empty one; 0 is the calling thread; the parameters live until the calls return. A
        // refusal only makes the figures worse.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(core, &mut set);
            libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
            let lowest = libc::sched_param { sched_priority: 1 };
            libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest);
        }
    }

    pub(super) struct Poll(OwnedFd);

    impl Poll {
        pub(super) fn new() -> io::Result<Self> {
            // SAFETY: no pointers; the descriptor is ours alone.
            Ok(Self(unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) }))
        }

        pub(super) fn add(&self, socket: &UdpSocket, at: u64) -> io::Result<()> {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: at };
            // SAFETY: the event lives until the call returns.
            check(unsafe {
                libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event)
            })
            .map(drop)
        }

        /// Those that have something to read, at most 100 ms from now.
        pub(super) fn wait(&self) -> impl Iterator<Item = usize> + use<> {
            let mut ready = [libc::epoll_event { events: 0, u64: 0 }; 256];
            // SAFETY: the buffer has as many events as we say.
            let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), ready.as_mut_ptr(), 256, 100) };
            ready.into_iter().take(usize::try_from(count).unwrap_or(0)).map(|event| event.u64 as usize)
        }
    }
}
