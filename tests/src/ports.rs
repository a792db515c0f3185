//! UDP ports that are free, for processes that run side by side.

use std::{
    collections::VecDeque,
    net::{TcpListener, UdpSocket},
    sync::{Mutex, PoisonError},
};

/// Below the range from which Linux hands out ports by itself (32768…60999), so that a media range is not taken apart
/// by the sockets of everybody else.
const MEDIA_PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port on which nobody listens at this moment, on the loopback or on any other address of this machine.
///
/// It is free, not reserved: whoever needs it takes it soon.
pub fn free_port() -> u16 {
    UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr()).expect("a free UDP port").port()
}

/// A TCP port of 127.0.0.1 on which nobody listens at this moment.
pub fn free_tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free TCP port on the loopback")
        .port()
}

/// A range of `count` ports for media, `(first, last)`, `first` even, none of which is in use now, and which this process
/// gives to nobody else until it has gone round all of them.
pub fn media_range(count: u16) -> (u16, u16) {
    static RANGES: Mutex<Option<Ranges>> = Mutex::new(None);
    // Two test runs at once start at different places.
    RANGES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_with(|| Ranges::from(u64::from(std::process::id()).wrapping_mul(977)))
        .take(count, |port| UdpSocket::bind(("0.0.0.0", port)).is_ok())
        .unwrap_or_else(|| {
            panic!("no {count} free UDP ports in a row between {} and {}", MEDIA_PORTS.start, MEDIA_PORTS.end)
        })
}

/// What was given of [`MEDIA_PORTS`], and from where to look on.
struct Ranges {
    /// Always even, always in the range.
    next: u16,
    /// Oldest first. The oldest belong to tests that are over: they are forgotten when there is no other room.
    given: VecDeque<(u16, u16)>,
}

impl Ranges {
    fn from(anywhere: u64) -> Ranges {
        let offset = anywhere % u64::from(MEDIA_PORTS.end - MEDIA_PORTS.start);
        Ranges { next: (MEDIA_PORTS.start + offset as u16) & !1, given: VecDeque::new() }
    }

    /// The next `count` ports in a row that are `free` and were not given; those longest given are given again where
    /// nothing else is left. Nothing where even then no such row is free.
    fn take(&mut self, count: u16, free: impl Fn(u16) -> bool) -> Option<(u16, u16)> {
        loop {
            if let Some(range) = self.look(count, &free) {
                self.given.push_back(range);
                self.next =
                    if range.1 >= MEDIA_PORTS.end - 2 { MEDIA_PORTS.start } else { (range.1 + 2) & !1 };
                return Some(range);
            }
            self.given.pop_front()?;
        }
    }

    /// Once round all ports. What is in the way is passed over whole: small steps would end in the midst of a large
    /// range of somebody else.
    fn look(&self, count: u16, free: impl Fn(u16) -> bool) -> Option<(u16, u16)> {
        for (from, until) in
            [(self.next, MEDIA_PORTS.end), (MEDIA_PORTS.start, self.next.saturating_add(count))]
        {
            let mut first = from;
            while first.saturating_add(count) <= until.min(MEDIA_PORTS.end) {
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
    use std::collections::HashSet;

    use super::*;

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
            let mut ranges = Ranges::from(start);
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
        for start in [0, 6_900, 7_000, 7_010, 7_030, 21_999] {
            assert_eq!(
                Ranges::from(start).take(20, |port| open.contains(&port)),
                Some((17_002, 17_021)),
                "from {start}"
            );
            assert_eq!(Ranges::from(start).take(24, |port| open.contains(&port)), None, "from {start}");
        }
    }
}
