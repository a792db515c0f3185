//! What a two-way stream of G.711 costs: the media threads beside the obvious way, a tokio task and a socket per call,
//! in the same run, with the same `Stream` inside, against the same far end.
//!
//! `cargo bench -p zvonar-switch --bench tick -- 500 1000 2000`: how many streams. One core carries each variant. CPU is
//! that of the carrying thread alone, from the kernel's accounts; on the loopback the sender pays for the delivery, so
//! the sends of the far end are on its own account.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use zvonar_media::rtp::{Header, PacketBuf};
use zvonar_media::stream::NoTap;
use zvonar_media::{Clip, Codec, MediaPlan, PlayId, Prompt, Stream, StreamIds, StreamSettings};
use zvonar_switch::clock;
use zvonar_switch::media_io::{MediaConfig, MediaEngine};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const TICK: Duration = Duration::from_millis(20);
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(8);

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let counts = if given.is_empty() { vec![500, 1000, 1500, 2000] } else { given };
    println!(
        "streams | media thread: core %, µs a packet pair, late >10 ms % | task per call: the same | ratio"
    );
    for streams in counts {
        let ours = media_threads(streams);
        let naive = task_per_call(streams);
        println!("{streams:7} | {ours} | {naive} | {:.2}", naive.cpu / ours.cpu);
    }
}

struct Figures {
    /// Of one core, 0 to 1.
    cpu: f64,
    pairs: u64,
    late: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.cpu * MEASURE.as_secs_f64() * 1e6 / self.pairs.max(1) as f64;
        write!(f, "{:5.1} % {micros:5.2} µs {:6.3} %", self.cpu * 100.0, self.late * 100.0)
    }
}

fn plan(remote: SocketAddr) -> MediaPlan {
    let (event_send, event_receive) = (Some(101), Some(101));
    MediaPlan { remote, codec: Codec::Pcma, event_send, event_receive, send: true, receive: true }
}

fn music() -> Prompt {
    let samples: Vec<i16> = (0..80_000).map(|n| ((n as f32 / 3.0).sin() * 9000.0) as i16).collect();
    Prompt::from(Arc::new(Clip::from_samples(&samples))).repeated()
}

/// Nanoseconds on a core so far, of the threads with this name.
fn cpu_ns(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let of_task = |path: std::path::PathBuf| -> Option<u64> {
        let comm = std::fs::read_to_string(path.join("comm")).ok()?;
        let spent = std::fs::read_to_string(path.join("schedstat")).ok()?;
        if comm.trim() == name { spent.split_whitespace().next()?.parse().ok() } else { None }
    };
    tasks.filter_map(|task| of_task(task.ok()?.path())).sum()
}

/// The far ends: one thread that sends each stream a packet every 20 ms, and reads what comes.
struct FarEnds {
    addresses: Vec<SocketAddr>,
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    sockets: Option<Vec<UdpSocket>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FarEnds {
    fn new(count: usize) -> Self {
        let sockets: Vec<UdpSocket> =
            (0..count).map(|_| UdpSocket::bind((HERE, 0)).expect("a socket")).collect();
        let addresses = sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect();
        let (received, stop) = (Arc::default(), Arc::default());
        Self { addresses, received, stop, sockets: Some(sockets), thread: None }
    }

    fn begin(&mut self, targets: &[SocketAddr]) {
        let sockets = self.sockets.take().expect("begun once");
        for (socket, target) in sockets.iter().zip(targets) {
            socket.set_nonblocking(true).expect("an option");
            socket.connect(target).expect("a route");
        }
        let (received, stop) = (Arc::clone(&self.received), Arc::clone(&self.stop));
        self.thread = Some(std::thread::spawn(move || {
            let mut packet = [0xd5; 172];
            let mut sink = [0; 2000];
            let begin = clock::now();
            for ms in 0u32.. {
                if stop.load(Relaxed) {
                    return;
                }
                let mut seen = 0;
                for socket in sockets.iter().skip(ms as usize % 20).step_by(20) {
                    let n = ms / 20;
                    let header = Header {
                        marker: n == 0,
                        payload_type: 8,
                        sequence: n as u16,
                        timestamp: n * 160,
                        ssrc: 9,
                    };
                    header.write(packet.first_chunk_mut().expect("twelve"));
                    let _ = socket.send(&packet);
                    while socket.recv(&mut sink).is_ok() {
                        seen += 1;
                    }
                }
                received.fetch_add(seen, Relaxed);
                std::thread::sleep(
                    (begin + Duration::from_millis(u64::from(ms) + 1))
                        .saturating_duration_since(clock::now()),
                );
            }
        }));
    }

    /// Waits, then measures a thread and the packets that came meanwhile.
    fn measure(&self, thread: &str) -> (f64, u64) {
        std::thread::sleep(WARM_UP);
        let before = (cpu_ns(thread), self.received.load(Relaxed));
        std::thread::sleep(MEASURE);
        let after = (cpu_ns(thread), self.received.load(Relaxed));
        ((after.0 - before.0) as f64 / MEASURE.as_nanos() as f64, after.1 - before.1)
    }
}

impl Drop for FarEnds {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the far ends have no bug");
        }
    }
}

fn media_threads(streams: usize) -> Figures {
    let mut far = FarEnds::new(streams);
    let engine = MediaEngine::start(MediaConfig { threads: 1, ..MediaConfig::new(HERE) }).expect("an engine");
    let music = music();
    let calls: Vec<_> = far
        .addresses
        .iter()
        .map(|address| {
            let (port, events) = engine.open().expect("a port");
            port.start(plan(*address));
            port.play(music.clone(), true);
            (port, events)
        })
        .collect();
    let targets: Vec<SocketAddr> = calls.iter().map(|(port, _)| port.local_addr()).collect();
    far.begin(&targets);
    let before = engine.stats();
    let (cpu, pairs) = far.measure("media-0");
    let stats = engine.stats();
    let late = (stats.late_10ms - before.late_10ms) as f64 / (stats.ticks - before.ticks).max(1) as f64;
    Figures { cpu, pairs, late }
}

fn task_per_call(streams: usize) -> Figures {
    let mut far = FarEnds::new(streams);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("naive")
        .enable_all()
        .build()
        .expect("a runtime");
    let (ticks, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let music = music();
    let mut targets = Vec::new();
    for address in far.addresses.clone() {
        let socket = UdpSocket::bind((HERE, 0)).expect("a socket");
        socket.set_nonblocking(true).expect("an option");
        targets.push(socket.local_addr().expect("bound"));
        let (ticks, late, music) = (Arc::clone(&ticks), Arc::clone(&late), music.clone());
        runtime.spawn(call_task(socket, address, music, ticks, late));
    }
    far.begin(&targets);
    std::thread::sleep(WARM_UP);
    let before = (ticks.load(Relaxed), late.load(Relaxed));
    let (cpu, pairs) = far.measure("naive");
    let late = (late.load(Relaxed) - before.1) as f64 / (ticks.load(Relaxed) - before.0).max(1) as f64;
    runtime.shutdown_background();
    Figures { cpu, pairs, late }
}

async fn call_task(
    socket: UdpSocket,
    remote: SocketAddr,
    music: Prompt,
    ticks: Arc<AtomicU64>,
    late: Arc<AtomicU64>,
) {
    let socket = tokio::net::UdpSocket::from_std(socket).expect("a socket of the runtime");
    let ids = StreamIds { ssrc: 1, sequence: 1, timestamp: 1 };
    let mut stream = Stream::new(clock::now(), StreamSettings::default(), ids);
    stream.start(clock::now(), plan(remote));
    stream.play(PlayId(0), music, true);
    let mut interval = tokio::time::interval(TICK);
    let mut packet = PacketBuf::new();
    let mut datagram = [0; 1600];
    loop {
        tokio::select! {
            due = interval.tick() => {
                let now = clock::now();
                ticks.fetch_add(1, Relaxed);
                late.fetch_add(u64::from(now - due.into_std() > Duration::from_millis(10)), Relaxed);
                stream.tick(now, &mut packet, &mut NoTap);
                if !packet.is_empty() {
                    let _ = socket.send_to(packet.as_slice(), remote).await;
                }
            }
            Ok((len, from)) = socket.recv_from(&mut datagram) => {
                stream.handle_packet(clock::now(), from, &datagram[..len]);
            }
        }
        while stream.poll_event().is_some() {}
    }
}
