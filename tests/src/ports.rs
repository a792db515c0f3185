//! Ports that are free, for processes that run side by side.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Both ranges are below the one from which Linux hands out ports by itself (32768…60999): what is free when it is looked
/// at is not given away to somebody's outgoing socket before its owner has started.
const MEDIA_PORTS: Range<u16> = 10_000..28_000;
/// Single ports: signalling, HTTP, control.
const SINGLE_PORTS: Range<u16> = 28_000..32_000;

static MEDIA: Mutex<Option<Ranges>> = Mutex::new(None);
static SINGLE: Mutex<Option<Ranges>> = Mutex::new(None);

/// A port on which nobody listens at this moment, by UDP or by TCP, on the loopback or on any other address of this machine.
///
/// This process gives it to nobody else until it has gone round all of them; other processes may take it, so whoever needs
/// it takes it soon.
///
/// # Panics
///
/// If all ports are taken.
pub fn free_port() -> u16 {
    let free =
        |port| UdpSocket::bind(("0.0.0.0", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok();
    take(&SINGLE, SINGLE_PORTS, 1, free).0
}

/// A range of `count` ports for media, `(first, last)`, `first` even, none of which is in use now, and which this process
/// gives to nobody else until it has gone round all of them.
///
/// # Panics
///
/// If there is no such row.
pub fn media_range(count: u16) -> (u16, u16) {
    take(&MEDIA, MEDIA_PORTS, count, |port| UdpSocket::bind(("0.0.0.0", port)).is_ok())
}

fn take(
    ranges: &Mutex<Option<Ranges>>,
    within: Range<u16>,
    count: u16,
    free: impl Fn(u16) -> bool,
) -> (u16, u16) {
    // Two test runs at once start at different places.
    let anywhere = u64::from(std::process::id()).wrapping_mul(977);
    ranges
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_with(|| Ranges::from(within.clone(), anywhere))
        .take(count, free)
        .unwrap_or_else(|| {
            panic!("no {count} free ports in a row between {} and {}", within.start, within.end)
        })
}

/// Whether somebody has bound this UDP address (or its port on all addresses), as the kernel tells it. It is asked without
/// binding anything: that could be in the way of the very program that is waited for.
///
/// # Panics
///
/// If the kernel does not tell.
pub fn is_bound(address: SocketAddr) -> bool {
    let told = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let tables = told("/proc/net/udp") + &told("/proc/net/udp6");
    assert!(!tables.is_empty(), "the kernel does not tell of its sockets in /proc/net/udp");
    names(&tables, address)
}

/// Whether an address is among the local ones of a table of sockets: `sl local_address rem_address …`, a socket a line.
fn names(tables: &str, address: SocketAddr) -> bool {
    // Each 32 bits as the machine has them in memory.
    let word = |octets: &[u8]| format!("{:08X}", u32::from_ne_bytes(octets.try_into().expect("four octets")));
    let words = |ip: Ipv6Addr| ip.octets().chunks(4).map(word).collect::<String>();
    let ips = match address.ip() {
        // A socket of version 6 can hold one of version 4.
        IpAddr::V4(ip) => {
            vec![word(&ip.octets()), word(&[0; 4]), words(ip.to_ipv6_mapped()), words(Ipv6Addr::UNSPECIFIED)]
        }
        IpAddr::V6(ip) => vec![words(ip), words(Ipv6Addr::UNSPECIFIED)],
    };
    let locals = tables.lines().filter_map(|line| line.split_whitespace().nth(1)?.split_once(':'));
    let port = format!("{:04X}", address.port());
    locals.into_iter().any(|(ip, of)| of == port && ips.iter().any(|wanted| wanted == ip))
}

/// What was given of a range of ports, and from where to look on.
struct Ranges {
    /// Begins and ends even.
    within: Range<u16>,
    /// Always even, always in the range.
    next: u16,
    /// Oldest first. The oldest belong to tests that are over: they are forgotten when there is no other room.
    given: VecDeque<(u16, u16)>,
}

impl Ranges {
    fn from(within: Range<u16>, anywhere: u64) -> Ranges {
        let offset = anywhere % u64::from(within.end - within.start);
        Ranges { next: (within.start + offset as u16) & !1, within, given: VecDeque::new() }
    }

    /// The next `count` ports in a row that are `free` and were not given; those longest given are given again where
    /// nothing else is left. Nothing where even then no such row is free.
    fn take(&mut self, count: u16, free: impl Fn(u16) -> bool) -> Option<(u16, u16)> {
        loop {
            if let Some(range) = self.look(count, &free) {
                self.given.push_back(range);
                self.next =
                    if range.1 >= self.within.end - 2 { self.within.start } else { (range.1 + 2) & !1 };
                return Some(range);
            }
            self.given.pop_front()?;
        }
    }

    /// Once round all ports. What is in the way is passed over whole: small steps would end in the midst of a large
    /// range of somebody else.
    fn look(&self, count: u16, free: impl Fn(u16) -> bool) -> Option<(u16, u16)> {
        for (from, until) in
            [(self.next, self.within.end), (self.within.start, self.next.saturating_add(count))]
        {
            let mut first = from;
            while first.saturating_add(count) <= until.min(self.within.end) {
                let last = first + count - 1;
                let given =
                    self.given.iter().filter(|(a, b)| first <= *b && *a <= last).map(|(_, b)| *b).max();
                match given.or_else(|| (first..=last).rev().find(|port| !free(*port))) {
                    Some(taken) => first = (taken + 2) & !1,
                    None => return Some((first, last)),
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;
    use crate::clock;

    #[test]
    fn ranges_do_not_overlap_and_start_even() {
        let (a, b) = (media_range(100), media_range(100));
        assert_eq!((a.1 - a.0, b.1 - b.0), (99, 99));
        assert_eq!((a.0 % 2, b.0 % 2), (0, 0));
        assert!(a.1 < b.0 || b.1 < a.0, "{a:?} and {b:?} overlap");
    }

    /// Hosts take 400 at a time and telephones 20, as the tests do, from any start and for many rounds.
    #[test]
    fn there_is_always_room_and_the_last_thirty_ranges_stand_apart() {
        for start in (0..40_000_000).step_by(977_111) {
            let mut ranges = Ranges::from(MEDIA_PORTS, start);
            let mut last: VecDeque<(u16, u16)> = VecDeque::new();
            for turn in 0..300 {
                let count = if turn % 3 == 0 { 400 } else { 20 };
                let range = ranges.take(count, |_| true).expect("room");
                assert_eq!((range.0 % 2, range.1 - range.0), (0, count - 1));
                assert!(MEDIA_PORTS.start <= range.0 && range.1 < MEDIA_PORTS.end, "{range:?}");
                assert!(
                    last.iter().all(|(a, b)| range.1 < *a || *b < range.0),
                    "{range:?} was given lately: {last:?}"
                );
                last.push_back(range);
                if last.len() > 30 {
                    last.pop_front();
                }
            }
        }
    }

    #[test]
    fn ports_in_use_are_passed_over_and_the_only_row_left_is_found() {
        let open: HashSet<u16> = (17_001..=17_022).collect();
        for start in [0, 6_900, 7_000, 7_010, 7_030, 17_999] {
            assert_eq!(
                Ranges::from(MEDIA_PORTS, start).take(20, |port| open.contains(&port)),
                Some((17_002, 17_021)),
                "from {start}"
            );
            let larger = Ranges::from(MEDIA_PORTS, start).take(24, |port| open.contains(&port));
            assert_eq!(larger, None, "from {start}");
        }
    }

    #[test]
    fn single_ports_are_free_for_both_protocols_and_given_once() {
        let mut given = HashSet::new();
        for _ in 0..50 {
            let port = free_port();
            assert!(SINGLE_PORTS.contains(&port) && given.insert(port), "{port} of {given:?}");
        }
        let mut ranges = Ranges::from(SINGLE_PORTS, 977);
        let all: HashSet<_> = (0..2_000).map(|_| ranges.take(1, |_| true).expect("room").0).collect();
        assert_eq!(all.len(), 2_000, "the oldest are given again once all were given");
    }

    #[test]
    fn a_socket_is_seen_without_being_touched_and_no_more_when_it_is_closed() {
        for ip in [[127, 0, 0, 1], [0, 0, 0, 0]] {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            assert!(!is_bound(address));
            let socket = UdpSocket::bind(SocketAddr::from((ip, address.port()))).unwrap();
            assert!(is_bound(address), "{ip:?}");
            assert!(!is_bound(SocketAddr::new(address.ip(), free_port())));
            drop(socket);
            // A child that another test is just starting has a copy of it for a moment.
            assert!(clock::within(Duration::from_secs(20), || !is_bound(address)), "{ip:?}");
        }
        let table = "  sl  local_address                         remote_address st\n   \
                     7: 0000000000000000FFFF00000100007F:13C4 00000000000000000000000000000000:0000 07";
        let here = SocketAddr::from(([127, 0, 0, 1], 5060));
        assert_eq!(names(table, here), cfg!(target_endian = "little"));
    }
}
