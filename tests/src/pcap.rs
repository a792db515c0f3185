//! Capture files for SIPp's `play_pcap_audio`, made from nothing: the packets' contents are ours, byte by byte.

use std::{fs, io, path::Path, time::Duration};

/// The dynamic payload type that our peers offer for telephone events.
pub const EVENT_PAYLOAD_TYPE: u8 = 101;

/// Whose stream it is.
const SSRC: u32 = 0x5a56_4f4e;

/// One RTP packet at its time.
pub struct Packet {
    /// Since the capture's start.
    pub at: Duration,
    /// RTP header and payload.
    pub rtp: Vec<u8>,
}

/// Writes a classic pcap file of Ethernet frames with IPv4 and UDP (what SIPp reads; it rewrites the addresses).
pub fn write(path: &Path, packets: &[Packet]) -> io::Result<()> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.extend(word.to_le_bytes());
    }
    for packet in packets {
        let frame = frame(&packet.rtp);
        let length = frame.len() as u32;
        for word in [packet.at.as_secs() as u32, packet.at.subsec_micros(), length, length] {
            out.extend(word.to_le_bytes());
        }
        out.extend(frame);
    }
    fs::write(path, out)
}

fn frame(rtp: &[u8]) -> Vec<u8> {
    let udp = (8 + rtp.len()) as u16;
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00]);
    frame.extend([0x45, 0]);
    frame.extend((20 + udp).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    for half in [6000_u16, 6000, udp, 0] {
        frame.extend(half.to_be_bytes());
    }
    frame.extend(rtp);
    frame
}

/// A caller who says nothing, presses one key after `before`, and says nothing again for `after`: one stream, whose
/// sequence numbers have no hole. The key is as RFC 4733 has it: an event packet every 20 ms with growing duration, the
/// last one three times with the end bit, all of one timestamp (§2.5.1).
pub fn silence_with_key(before: Duration, key: char, held: Duration, after: Duration) -> Vec<Packet> {
    let event = match key {
        '0'..='9' => key as u8 - b'0',
        '*' => 10,
        '#' => 11,
        _ => panic!("`{key}` is no key of a telephone"),
    };
    let steps = (held.as_millis() / 20).max(1) as u16;
    let mut packets = silence(before);
    let first = packets.len() as u16;
    for index in 0..steps + 2 {
        let (end, duration) = (index + 1 >= steps, (index + 1).min(steps) * 160);
        let mut rtp = vec![0x80, EVENT_PAYLOAD_TYPE | if index == 0 { 0x80 } else { 0 }];
        rtp.extend((first + index).to_be_bytes());
        rtp.extend((u32::from(first) * 160).to_be_bytes());
        rtp.extend(SSRC.to_be_bytes());
        rtp.extend([event, if end { 0x80 } else { 0 } | 10]);
        rtp.extend(duration.to_be_bytes());
        packets.push(Packet { at: Duration::from_millis(20 * u64::from(first + index)), rtp });
    }
    let next = packets.len() as u32;
    packets.extend((0..(after.as_millis() / 20) as u32).map(|index| quiet(next + index)));
    packets
}

/// G.711 A-law silence, for a caller who is there but says nothing: one packet each 20 ms.
pub fn silence(length: Duration) -> Vec<Packet> {
    (0..(length.as_millis() / 20) as u32).map(quiet).collect()
}

fn quiet(index: u32) -> Packet {
    let mut rtp = vec![0x80, 8 | if index == 0 { 0x80 } else { 0 }];
    rtp.extend((index as u16).to_be_bytes());
    rtp.extend((index * 160).to_be_bytes());
    rtp.extend(SSRC.to_be_bytes());
    rtp.extend([0xd5; 160]);
    Packet { at: Duration::from_millis(20 * u64::from(index)), rtp }
}
