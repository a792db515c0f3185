//! Who may speak to us at all: judged by address, before a byte is parsed.
//!
//! Strangers and scanners get no answer: not even an error tells them that somebody is here. Those who are known are
//! held to a rate, so that one broken carrier cannot take the signalling of the others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use zvonar_call::subscriber;

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of it.
    pub address: IpAddr,
    /// 0 to 32, or to 128.
    pub prefix: u8,
}

impl Network {
    /// Every address of the old internet.
    pub fn everyone_v4() -> Self {
        Self { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 }
    }

    /// Every address of the new one.
    pub fn everyone_v6() -> Self {
        Self { address: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 }
    }

    /// Whether the address is one of the network's. A prefix that is too long means the address itself.
    pub fn contains(&self, other: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, other) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (u32::from(ours).into(), u32::from(theirs).into(), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (u128::from(ours), u128::from(theirs), 128),
            _ => return false,
        };
        let ignored = width - u32::from(self.prefix).min(width);
        (ours ^ theirs).checked_shr(ignored).unwrap_or(0) == 0
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self { address, prefix: 128 }
    }
}

/// Sources that are remembered at once; past that the idle ones are forgotten, and if none is idle, strangers to the
/// table are refused. Reached only where a wide network was allowed, or by forged addresses.
const SOURCES: usize = 10_000;

/// How often a full table is looked through for idle sources, at most: a datagram must not cost more than its reading.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// A source that has sent nothing for so long is idle: its bucket is full again.
const IDLE: Duration = Duration::from_secs(2);

/// Datagrams a second of an address from which nobody is registered: enough for an office that comes back to life.
const STRANGERS: u32 = 20;

/// The same of all such addresses together. Addresses are easily forged, and each of these datagrams is answered: whoever
/// is named in them hears no more from us than this, and what is left over costs next to nothing. A few thousand
/// telephones that come back at once, each with two requests, are all there within a minute or so: they try again.
const ALL_STRANGERS: u32 = 200;

/// Datagrams a second of an address at which phones are registered: a whole office may be behind it.
const GUESTS: u32 = 200;

/// The gate before the parser.
#[derive(Debug)]
pub struct Screen {
    allowed: Vec<Network>,
    sources: Buckets,
    /// Phones that are registered. Apart from the others, so that a flood of addresses that nobody knows takes no place
    /// of theirs.
    guests: Buckets,
    /// Whoever wants to register: one by one, and all together.
    strangers: Buckets,
    /// `None`: none has come yet.
    all_strangers: Option<Bucket>,
    refused: u64,
}

/// One bucket an address.
#[derive(Debug)]
struct Buckets {
    per_second: f64,
    sources: HashMap<IpAddr, Bucket>,
    /// When the idle ones were last looked for.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Screen {
    /// `per_second`: datagrams that one address may send, with a second's worth as burst.
    pub fn new(allowed: Vec<Network>, per_second: u32) -> Self {
        Self {
            allowed,
            sources: Buckets::new(per_second),
            guests: Buckets::new(per_second.min(GUESTS)),
            strangers: Buckets::new(per_second.min(STRANGERS)),
            all_strangers: None,
            refused: 0,
        }
    }

    /// Whether the configuration lets an address in.
    pub fn allows(&self, source: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(source))
    }

    /// Whether a datagram of this source goes on to the parser.
    pub fn admits(&mut self, now: Instant, source: IpAddr) -> bool {
        let admitted = self.allows(source) && self.sources.take_token(now, source);
        self.refused += u64::from(!admitted);
        admitted
    }

    /// The same for somebody whom the configuration does not let in: a phone that is registered (`is_known`), or one that
    /// wants to be.
    pub fn admits_guest(&mut self, now: Instant, source: IpAddr, is_known: bool) -> bool {
        let source = subscriber(source);
        let admitted = if is_known {
            self.guests.take_token(now, source)
        } else {
            let rate = f64::from(ALL_STRANGERS);
            let all = self.all_strangers.get_or_insert(Bucket { tokens: rate, filled: now });
            // What none is left for takes no place in the table; and whoever sends more than he may takes nothing of what
            // is for all.
            all.has_token(now, rate) && self.strangers.take_token(now, source) && all.take_token(now, rate)
        };
        self.refused += u64::from(!admitted);
        admitted
    }

    /// Counts a datagram that somebody else refused unread.
    pub fn refuse(&mut self) {
        self.refused += 1;
    }

    /// Datagrams that were dropped unread so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

impl Buckets {
    fn new(per_second: u32) -> Self {
        Self { per_second: per_second.into(), sources: HashMap::new(), swept: None }
    }

    fn take_token(&mut self, now: Instant, source: IpAddr) -> bool {
        let rate = self.per_second;
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.sweep(now);
            if self.sources.len() >= SOURCES {
                return false;
            }
        }
        self.sources.entry(source).or_insert(Bucket { tokens: rate, filled: now }).take_token(now, rate)
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_EVERY) {
            return;
        }
        self.swept = Some(now);
        self.sources.retain(|_, bucket| now.saturating_duration_since(bucket.filled) < IDLE);
    }
}

impl Bucket {
    /// Whether a token is left, of which so many come a second, with a second's worth as burst.
    fn has_token(&mut self, now: Instant, rate: f64) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(rate);
        self.filled = now;
        self.tokens >= 1.0
    }

    fn take_token(&mut self, now: Instant, rate: f64) -> bool {
        let is_enough = self.has_token(now, rate);
        if is_enough {
            self.tokens -= 1.0;
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn network(text: &str) -> Network {
        let (address, prefix) = text.split_once('/').expect("a test's network has a slash");
        Network { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn a_network_holds_its_own_addresses_only() {
        for (net, address, inside) in [
            ("127.0.0.0/8", "127.255.0.1", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("10.0.0.1/128", "10.0.0.1", true),
            ("10.0.0.1/128", "10.0.0.2", false),
        ] {
            assert_eq!(network(net).contains(address.parse().unwrap()), inside, "{address} in {net}");
        }
    }

    #[test]
    fn strangers_are_refused_and_the_known_are_held_to_their_rate() {
        let start = crate::clock::now();
        let (known, stranger) = ("127.0.0.1".parse().unwrap(), "8.8.8.8".parse().unwrap());
        let mut screen = Screen::new(vec![network("127.0.0.0/8")], 10);
        assert!(!screen.admits(start, stranger));
        assert_eq!((0..100).filter(|_| screen.admits(start, known)).count(), 10, "a second's worth at once");
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| screen.admits(later, known)).count(), 5, "half a second refills half");
        assert_eq!(screen.refused(), 1 + 90 + 95);
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_the_table_without_bound() {
        let start = crate::clock::now();
        let mut screen = Screen::new(vec![network("0.0.0.0/0")], 10);
        for i in 0..3 * SOURCES as u32 {
            screen.admits(start, IpAddr::from(i.to_be_bytes()));
        }
        assert_eq!(screen.sources.sources.len(), SOURCES);
        assert!(
            screen.admits(start + Duration::from_secs(3), "9.9.9.9".parse().unwrap()),
            "the idle ones make room"
        );
    }

    /// One subscriber has a network of 2⁶⁴ addresses by IPv6, and had as many buckets.
    #[test]
    fn the_addresses_of_one_network_are_one_stranger() {
        let (start, mut screen) = (crate::clock::now(), Screen::new(Vec::new(), 10));
        let admitted = (0..1_000u128).filter(|i| {
            let source = Ipv6Addr::from((0x2001_0db8_0000_0001_u128 << 64) + i);
            screen.admits_guest(start, source.into(), false)
        });
        assert_eq!(admitted.count(), 10);
        assert!(screen.admits_guest(start, "2001:db8:0:2::1".parse().unwrap(), false), "the neighbour");
    }

    /// Each datagram of a flood looked through the whole table, so that a few thousand a second took all of the task.
    #[test]
    fn a_flood_looks_for_idle_sources_once_a_second_at_most() {
        let start = crate::clock::now();
        let mut screen = Screen::new(vec![network("0.0.0.0/0")], 10);
        let mut flood = |at_ms: u64| {
            for i in 0..3 * SOURCES as u32 {
                screen.admits(start + Duration::from_millis(at_ms), IpAddr::from((i + 1).to_be_bytes()));
            }
            screen.sources.swept.map(|swept| swept - start)
        };
        assert_eq!(flood(0), Some(Duration::ZERO));
        assert_eq!(flood(999), Some(Duration::ZERO));
        assert_eq!(flood(1000), Some(Duration::from_secs(1)));
    }

    /// Forged addresses are new each time, so that nobody was ever over his own rate: each was answered.
    #[test]
    fn all_strangers_together_are_held_to_a_rate_and_one_of_them_takes_no_more_than_his_own() {
        let start = crate::clock::now();
        let mut screen = Screen::new(Vec::new(), 2000);
        let one = "9.9.9.9".parse().unwrap();
        let alone = (0..1000).filter(|_| screen.admits_guest(start, one, false)).count();
        assert_eq!(alone, STRANGERS as usize);
        let mut forged = |at: Instant| {
            let sources = (0..3 * SOURCES as u32).map(|i| IpAddr::from((i + 1).to_be_bytes()));
            sources.filter(|source| screen.admits_guest(at, *source, false)).count()
        };
        assert_eq!(forged(start), (ALL_STRANGERS - STRANGERS) as usize, "what one was refused was not lost");
        assert_eq!(forged(start + Duration::from_secs(1)), ALL_STRANGERS as usize);
        assert!(
            screen.strangers.sources.len() <= 2 * ALL_STRANGERS as usize,
            "and the rest is not remembered"
        );
        assert!(screen.admits_guest(start, one, true), "phones that are registered go on");
    }
}
