//! Which ports are free: picked at random, and rested after use, so that a packet meant for the last call does not
//! reach the next.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
use socket2::{Domain, Protocol, Socket, Type};

use super::MediaError;

/// Bytes of packets that may wait in a socket; the kernel doubles it for its own needs, and counts 768 for a packet of
/// 20 ms. So 85 packets, 1.7 s: more than any stall that a call survives.
const RECEIVE_BUFFER: usize = 32 * 1024;

/// Expedited forwarding (RFC 3246), the class of voice, as the byte of the IP header.
const VOICE_CLASS: u32 = 0xb8;

#[derive(Debug)]
pub(super) struct Ports {
    address: IpAddr,
    range: (u16, u16),
    count: usize,
    /// The longest rested in front.
    free: Mutex<VecDeque<u16>>,
}

/// A port in use; free again, after a rest, when dropped. Drop it after its socket.
#[derive(Debug)]
pub(super) struct Lease {
    ports: Arc<Ports>,
    port: u16,
}

impl Ports {
    pub(super) fn new(address: IpAddr, range: &RangeInclusive<u16>) -> Result<Self, MediaError> {
        let (first, last) = (*range.start(), *range.end());
        // RTP is even by custom, and the odd one above it is left for RTCP (RFC 3550 §11).
        let free: VecDeque<u16> = range.clone().filter(|port| port % 2 == 0 && *port != 0).collect();
        if free.is_empty() {
            return Err(MediaError::NoPorts { first, last });
        }
        Ok(Self { address, range: (first, last), count: free.len(), free: Mutex::new(free) })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// A socket on a free port. Ports that others use are passed over.
    pub(super) fn bind(self: &Arc<Self>) -> Result<(UdpSocket, Lease), MediaError> {
        for _ in 0..self.count {
            let Some(port) = self.pick() else { break };
            let lease = Lease { ports: Arc::clone(self), port };
            let address = SocketAddr::new(self.address, port);
            match open(address) {
                Ok(socket) => return Ok((socket, lease)),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(source) => return Err(MediaError::Socket { address, source }),
            }
        }
        Err(MediaError::PortsExhausted { first: self.range.0, last: self.range.1, count: self.count })
    }

    /// One of the half that has rested longest.
    fn pick(&self) -> Option<u16> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.is_empty() {
            return None;
        }
        let at = rand::rng().random_range(0..free.len().div_ceil(2));
        free.remove(at)
    }
}

impl Lease {
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ports.address, self.port)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.port);
    }
}

fn open(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    // A class that the system does not let us set costs priority on the way, not the call.
    let _ = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(VOICE_CLASS),
        SocketAddr::V6(_) => socket.set_tclass_v6(VOICE_CLASS),
    };
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A loopback address for one test of one run: its ports are nobody else's.
    fn home(test: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(127, 77, (std::process::id() % 250) as u8, test))
    }

    /// A range below the ones that the kernel hands out.
    fn ports(home: IpAddr, range: RangeInclusive<u16>) -> Arc<Ports> {
        Arc::new(Ports::new(home, &range).expect("some ports"))
    }

    #[test]
    fn only_even_ports_are_used_each_once_in_no_order() {
        let ports = ports(home(1), 21_001..=21_100);
        assert_eq!(ports.count(), 50);
        let held: Vec<_> = (0..40).map(|_| ports.bind().expect("free")).collect();
        let numbers: Vec<u16> = held.iter().map(|(_, lease)| lease.port).collect();
        assert!(numbers.iter().all(|port| port % 2 == 0 && (21_001..=21_100).contains(port)));
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 40);
        assert!(!numbers.is_sorted(), "{numbers:?}");
    }

    #[test]
    fn a_port_that_others_use_is_passed_over_and_an_exhausted_range_is_said_to_be_so() {
        let other = UdpSocket::bind((home(2), 21_202)).expect("free");
        let ports = ports(home(2), 21_200..=21_205);
        let held: Vec<_> = (0..2).map(|_| ports.bind().expect("free")).collect();
        assert!(held.iter().all(|(_, lease)| lease.port != 21_202));
        let error = ports.bind().expect_err("all are taken");
        assert_eq!(
            error.to_string(),
            "all 3 media ports of 21200-21205 are taken: allow fewer calls or give a wider range of ports"
        );
        drop(held);
        drop(other);
        let all: Vec<_> = (0..3).map(|_| ports.bind().expect("free again")).collect();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_port_rests_after_use() {
        let ports = ports(home(3), 21_300..=21_399);
        for _ in 0..200 {
            let (socket, lease) = ports.bind().expect("free");
            let port = lease.port;
            drop((socket, lease));
            let next: Vec<_> = (0..25).map(|_| ports.bind().expect("free")).collect();
            assert!(next.iter().all(|(_, lease)| lease.port != port), "{port} came back at once");
        }
    }

    #[test]
    fn a_range_without_an_even_port_is_refused() {
        let error = Ports::new(home(4), &(21_401..=21_401)).expect_err("none");
        assert_eq!(error.to_string(), "the range of media ports 21401-21401 has no even port");
    }
}
