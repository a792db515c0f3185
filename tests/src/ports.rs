//! UDP ports that are free, for processes that run side by side.

use std::{
    net::{TcpListener, UdpSocket},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
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

/// So many ranges are kept apart; those before them belong to tests that are over.
const REMEMBERED: usize = 8;

/// A range of `count` ports for media, `(first, last)`, none of which is in use now, and which this process gives to
/// nobody else until it has gone round all of them.
pub fn media_range(count: u16) -> (u16, u16) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static GIVEN: Mutex<Vec<(u16, u16)>> = Mutex::new(Vec::new());
    let room = u32::from(MEDIA_PORTS.end - MEDIA_PORTS.start);
    // Two test runs at once start at different places.
    let start = std::process::id().wrapping_mul(977);
    for _ in 0..64 {
        let step = NEXT.fetch_add(u32::from(count), Ordering::Relaxed);
        let offset = start.wrapping_add(step) % (room - u32::from(count));
        let first = (MEDIA_PORTS.start + offset as u16) & !1;
        let last = first + count - 1;
        // A range that was given may not be in use yet, and another count wraps at another place.
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        let overlaps = given.iter().any(|(a, b)| first <= *b && *a <= last);
        if !overlaps && (first..=last).step_by(2).all(|port| UdpSocket::bind(("0.0.0.0", port)).is_ok()) {
            if given.len() >= REMEMBERED {
                given.remove(0);
            }
            given.push((first, last));
            return (first, last);
        }
    }
    panic!("no {count} free UDP ports in a row between {} and {}", MEDIA_PORTS.start, MEDIA_PORTS.end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_overlap_and_start_even() {
        let (a, b) = (media_range(100), media_range(100));
        assert_eq!((a.1 - a.0, b.1 - b.0), (99, 99));
        assert_eq!((a.0 % 2, b.0 % 2), (0, 0));
        assert!(a.1 < b.0 || b.1 < a.0, "{a:?} and {b:?} overlap");
    }
}
