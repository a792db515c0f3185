//! Which G.711 law a stream uses.

/// A codec that calls can be carried in: 8 kHz, one byte a sample, 160 bytes a packet of 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 A-law, static payload type 8, `PCMA/8000`.
    Pcma,
    /// G.711 µ-law, static payload type 0, `PCMU/8000`.
    Pcmu,
}

impl Codec {
    /// All of them, the preferred first: A-law is what Russian carriers speak.
    pub const ALL: [Self; 2] = [Self::Pcma, Self::Pcmu];

    /// The name in `a=rtpmap` (RFC 3551 §6), compared without case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
        }
    }

    /// The static payload type (RFC 3551 table 4).
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcma => 8,
            Self::Pcmu => 0,
        }
    }
}
