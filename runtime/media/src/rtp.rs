//! The fixed header of an RTP packet (RFC 3550 §5.1), read from hostile bytes and written for our own.

use std::ops::Range;

/// Bytes of the header that we write: no contributing sources, no extension.
pub const HEADER_LEN: usize = 12;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// For G.711 the first packet of a talkspurt; for telephone-event the first of a key press.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Counts packets, wraps.
    pub sequence: u16,
    /// Counts samples of 125 µs, wraps.
    pub timestamp: u32,
    /// Whose stream it is.
    pub ssrc: u32,
}

impl Header {
    /// Reads a packet: its header and where in `packet` the payload lies. `None` for anything that is no sound RTP of
    /// version 2: too short, lengths that do not fit, or RTCP that shares the port (RFC 5761 §4).
    pub fn parse(packet: &[u8]) -> Option<(Self, Range<usize>)> {
        let fixed: &[u8; HEADER_LEN] = packet.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        // With the marker bit on top, RTCP's 200..=204 would read as payload types 72..=76, which are reserved for it.
        let payload_type = fixed[1] & 0x7f;
        if (72..=76).contains(&payload_type) {
            return None;
        }
        let mut start = HEADER_LEN + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let extension: &[u8; 4] = packet.get(start..)?.first_chunk()?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        let mut end = packet.len();
        if fixed[0] & 0x20 != 0 {
            let padding = usize::from(*packet.last()?);
            if padding == 0 {
                return None;
            }
            end = end.checked_sub(padding)?;
        }
        if start > end {
            return None;
        }
        let header = Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        Some((header, start..end))
    }

    /// The twelve bytes.
    pub fn write(&self, out: &mut [u8; HEADER_LEN]) {
        out[0] = 0x80;
        out[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

/// Room for one packet that leaves: the header and at most 20 ms of G.711.
#[derive(Debug, Clone)]
pub struct PacketBuf {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl PacketBuf {
    /// A header and [`crate::FRAME`] bytes.
    pub const CAPACITY: usize = HEADER_LEN + crate::FRAME;

    /// An empty one.
    pub fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], len: 0 }
    }

    /// The packet, empty when there is none.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether it holds no packet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Writes the header and says how long the payload is; the caller fills the slice that comes back.
    pub(crate) fn begin(&mut self, header: Header, payload_len: usize) -> &mut [u8] {
        let payload_len = payload_len.min(crate::FRAME);
        let (head, rest) = self.bytes.split_first_chunk_mut::<HEADER_LEN>().expect("the capacity is larger");
        header.write(head);
        self.len = HEADER_LEN + payload_len;
        &mut rest[..payload_len]
    }
}

impl Default for PacketBuf {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Header {
        Header { marker: true, payload_type: 8, sequence: 0xfffe, timestamp: 0x0102_0304, ssrc: 0xdead_beef }
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        let mut buf = PacketBuf::new();
        buf.begin(sample(), 3).copy_from_slice(b"abc");
        let (header, payload) = Header::parse(buf.as_slice()).expect("sound");
        assert_eq!(header, sample());
        assert_eq!(&buf.as_slice()[payload], b"abc");
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_stepped_over() {
        let mut packet = vec![0xb2, 0x08, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0; 8]); // two contributing sources
        packet.extend([0xbe, 0xde, 0, 1, 9, 9, 9, 9]); // one word of extension
        packet.extend(b"sound");
        packet.extend([0, 0, 3]);
        let (_, payload) = Header::parse(&packet).expect("sound");
        assert_eq!(&packet[payload], b"sound");
    }

    #[test]
    fn what_is_no_rtp_is_refused() {
        for packet in [
            &[][..],
            &[0x80; 11],
            &[0x00; 12],                                // version 0: STUN and others
            &[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0], // RTCP sender report
            &[0x8f, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],   // fifteen sources, none there
            &[0x90, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], // extension beyond the end
            &[0xa0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 99],  // padding beyond the start
            &[0xa0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],   // padding of nothing
        ] {
            assert_eq!(Header::parse(packet), None, "{packet:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_a_payload_lies_inside(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((_, payload)) = Header::parse(&packet) {
                prop_assert!(packet.get(payload).is_some());
            }
        }

        #[test]
        fn any_header_survives_the_wire(marker: bool, pt in 0u8..72, sequence: u16, timestamp: u32, ssrc: u32) {
            let header = Header { marker, payload_type: pt, sequence, timestamp, ssrc };
            let mut bytes = [0; HEADER_LEN];
            header.write(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Some((header, 12..12)));
        }
    }
}
