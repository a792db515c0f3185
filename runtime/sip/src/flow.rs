//! Where a message came from and where its answer goes.

use std::net::SocketAddr;

/// How bytes travel between two SIP elements (RFC 3261 §18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams: lost, repeated and reordered, so transactions retransmit.
    Udp,
    /// A stream, framed by `Content-Length`.
    Tcp,
    /// A stream inside TLS.
    Tls,
}

impl Transport {
    /// The name in `Via` (RFC 3261 §20.42).
    pub fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Whether the transport itself repeats what was lost: then transactions need not.
    pub fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// The port that a URI without one means (RFC 3261 §19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

/// A pair of addresses and what joins them. The answer to what arrived on a flow leaves on the same flow, whatever its
/// `Via` claims (RFC 3581): it passes address translators, and nobody can aim our answers at a third party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// The kind of the path.
    pub transport: Transport,
    /// Our end.
    pub local: SocketAddr,
    /// Their end.
    pub remote: SocketAddr,
}
