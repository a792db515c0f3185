//! Two hosts and a network between them, in simulated time.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use zvonar_sip::message::read;

use crate::{CallId, Calls, CallsConfig, Command, Dial, Event, Flow, Identity, Output, Transport};

/// A small source of chance (xorshift64*).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the network does to datagrams.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    pub loss_percent: u64,
    pub repeat_percent: u64,
    /// Datagrams that arrive with a few bytes changed.
    pub damage_percent: u64,
    /// Up to so much more delay, at random: datagrams overtake each other.
    pub jitter_ms: u64,
}

pub(super) const CALLER: usize = 0;
pub(super) const CALLEE: usize = 1;
/// Every datagram takes at least so long.
const DELAY: Duration = Duration::from_millis(10);

/// Two hosts and a network.
pub(super) struct World {
    pub start: Instant,
    pub now: Instant,
    pub hosts: [Calls; 2],
    pub weather: Weather,
    pub chance: Chance,
    under_way: BTreeMap<(Instant, u64), (usize, Flow, Bytes)>,
    sent: u64,
    /// Datagrams whose first line starts so are lost.
    pub swallow: Vec<(usize, &'static str)>,
    /// Every event, by host and call.
    pub events: Vec<(Instant, usize, CallId, Event)>,
    /// What happened, as text: messages as `0 INVITE`, events as `1: Incoming`.
    pub log: Vec<String>,
    pub keeps_log: bool,
    pub ended: HashMap<(usize, CallId), usize>,
}

pub(super) fn address(host: usize) -> SocketAddr {
    format!("10.0.0.{}:5060", host + 1).parse().unwrap()
}

pub(super) fn media(host: usize) -> SocketAddr {
    format!("10.0.0.{}:40000", host + 1).parse().unwrap()
}

pub(super) fn flow(from: usize) -> Flow {
    Flow { transport: Transport::Udp, local: address(from), remote: address(1 - from) }
}

pub(super) fn dial(ring: Duration) -> Dial {
    Dial {
        flow: flow(CALLER),
        to_uri: "sip:+79161234567@10.0.0.2".into(),
        from: Identity { user: "+74951234567".into(), display: Some("Робот".into()), host: None },
        asserted_identity: None,
        credentials: None,
        local_media: media(CALLER),
        codecs: Vec::new(),
        is_phone: false,
        is_leg: false,
        ring,
        headers: Vec::new(),
    }
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
        let start = Instant::now();
        let hosts = [Calls::new(CallsConfig::default(), seed), Calls::new(CallsConfig::default(), !seed)];
        Self {
            start,
            now: start,
            hosts,
            weather,
            chance: Chance::new(seed),
            under_way: BTreeMap::new(),
            sent: 0,
            swallow: Vec::new(),
            events: Vec::new(),
            log: Vec::new(),
            keeps_log: false,
            ended: HashMap::new(),
        }
    }

    pub(super) fn dial(&mut self, dial: Dial) -> CallId {
        let call = self.hosts[CALLER].dial(self.now, dial);
        self.drain(CALLER);
        call
    }

    pub(super) fn command(&mut self, host: usize, call: CallId, command: Command) {
        self.hosts[host].command(self.now, call, command);
        self.drain(host);
    }

    fn note(&mut self, text: String) {
        if self.keeps_log {
            let ms = (self.now - self.start).as_millis();
            self.log.push(format!("{}.{:03} {text}", ms / 1000, ms % 1000));
        }
    }

    fn drain(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].poll_output() {
            match output {
                Output::Send { flow, bytes } => self.send(host, flow, bytes),
                other @ (Output::Registered { .. } | Output::Guessing { .. }) => panic!("{other:?}"),
                Output::Event { call, event } => {
                    if self.keeps_log {
                        let text = format!("{host}: {event:?}");
                        let short = text.split(['(', '{']).next().unwrap_or("").trim_end().to_owned();
                        self.note(if text.contains("Ended") { text } else { short });
                    }
                    assert!(
                        !self.ended.contains_key(&(host, call)),
                        "host {host}, {call}: {event:?} after its end"
                    );
                    if matches!(event, Event::Ended(_)) {
                        self.ended.insert((host, call), self.events.len());
                    }
                    self.events.push((self.now, host, call, event));
                }
            }
        }
    }

    fn send(&mut self, from: usize, flow: Flow, bytes: Bytes) {
        assert_eq!(flow.local, address(from));
        // Whatever we print we can read: each message of each run is checked for it. Only the refusal of a damaged
        // request may lack what the request lacked.
        let what = match read(&bytes, Transport::Udp) {
            Ok(message) if message.is_request() => message.method().to_string(),
            Ok(message) => format!("{} {}", message.code(), message.method()),
            Err(error) => {
                let is_refusal = self.weather.damage_percent > 0 && bytes.starts_with(b"SIP/2.0 ");
                assert!(is_refusal, "{error:?}");
                String::new()
            }
        };
        let swallowed = self.swallow.iter().any(|(host, start)| *host == from && what.starts_with(start));
        let lost = swallowed || self.chance.percent(self.weather.loss_percent);
        self.note(format!("{from} {what}{}", if lost { " lost" } else { "" }));
        if lost || flow.remote != address(1 - from) {
            return;
        }
        let copies = if self.chance.percent(self.weather.repeat_percent) { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.chance.below(self.weather.jitter_ms + 1);
            let at = self.now + DELAY + Duration::from_millis(jitter);
            self.sent += 1;
            let bytes = self.damaged(&bytes);
            let back = Flow { local: flow.remote, remote: flow.local, ..flow };
            self.under_way.insert((at, self.sent), (1 - from, back, bytes));
        }
    }

    fn damaged(&mut self, bytes: &Bytes) -> Bytes {
        if !self.chance.percent(self.weather.damage_percent) {
            return bytes.clone();
        }
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.chance.below(4) {
            let at = self.chance.below(bytes.len() as u64) as usize;
            match self.chance.below(4) {
                0 => bytes[at] = self.chance.below(256) as u8,
                // Digits for digits: lengths, tags, ports and numbers that are wrong and look right.
                1 => bytes[at] = b'0' + self.chance.below(10) as u8,
                2 => bytes.insert(at, b"\r\n \";<,@%"[self.chance.below(9) as usize]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes.into()
    }

    /// When anything happens next.
    fn next(&self) -> Option<Instant> {
        let arrival = self.under_way.keys().next().map(|(at, _)| *at);
        [arrival, self.hosts[0].poll_timeout(), self.hosts[1].poll_timeout()].into_iter().flatten().min()
    }

    /// Lets time pass until an instant.
    pub(super) fn run_until(&mut self, until: Instant) {
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            let arrived: Vec<_> = {
                let later = self.under_way.split_off(&(self.now, u64::MAX));
                std::mem::replace(&mut self.under_way, later).into_values().collect()
            };
            for (to, flow, bytes) in arrived {
                self.hosts[to].handle_bytes(self.now, flow, &bytes);
                self.drain(to);
            }
            for host in [CALLER, CALLEE] {
                if self.hosts[host].poll_timeout().is_some_and(|at| at <= self.now) {
                    self.hosts[host].handle_timeout(self.now);
                    self.drain(host);
                }
            }
        }
        self.now = self.now.max(until);
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass until nothing wants to happen any more.
    pub(super) fn run_out(&mut self) {
        while let Some(next) = self.next() {
            self.run_until(next);
        }
    }

    /// Calls that a host was told of and that have not ended.
    pub(super) fn live(&self, host: usize) -> Vec<CallId> {
        let mut calls: Vec<_> = self
            .events
            .iter()
            .filter(|(_, at, call, _)| *at == host && !self.ended.contains_key(&(host, *call)))
            .map(|(_, _, call, _)| *call)
            .collect();
        calls.dedup();
        calls
    }

    /// The last call that came in at a host.
    pub(super) fn incoming(&self, host: usize) -> Option<CallId> {
        self.events.iter().rev().find_map(|(_, at, call, event)| {
            (*at == host && matches!(event, Event::Incoming(_))).then_some(*call)
        })
    }
}
