//! What a stream starts with.

use std::time::Duration;

use crate::level::GateSettings;

/// What a stream starts with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamSettings {
    /// How long after a plan another address than the planned one may still become the source: for far ends behind NAT.
    pub latch_window: Duration,
    /// A new SSRC from the locked address is followed when the old one has been silent for this long.
    pub ssrc_silence: Duration,
    /// How long packets may be out of order: 20 to 80 ms. It delays recordings and keys in the sound, but not
    /// telephone-events.
    pub reorder: Duration,
    /// After how long without RTP [`StreamEvent::SilentWire`] comes; `None`: never. Whether the far end is gone by that is
    /// for those to say who know what it did before.
    pub silent_wire: Option<Duration>,
    /// How often a packet of silence is sent while nothing else is; `None`: never, not even the first.
    pub keepalive: Option<Duration>,
    /// While bridged: after how long without a packet of the other party silence is sent in its place, so that address
    /// translators, recorders and the far end's ear know that we are there. Longer than any packet.
    pub bridge_fill: Duration,
    /// What counts as voice where a voice recording ends at silence.
    pub gate: GateSettings,
    /// How long a voice recording that ends at silence waits for the voice to begin.
    pub voice_begin: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            latch_window: Duration::from_secs(1),
            ssrc_silence: Duration::from_millis(300),
            reorder: Duration::from_millis(60),
            silent_wire: Some(Duration::from_secs(10)),
            keepalive: Some(Duration::from_secs(15)),
            bridge_fill: Duration::from_millis(100),
            gate: GateSettings::default(),
            voice_begin: Duration::from_secs(5),
        }
    }
}

/// The numbers a stream begins with: random, so that they cannot be guessed (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamIds {
    /// Whose packets these are.
    pub ssrc: u32,
    /// The first sequence number.
    pub sequence: u16,
    /// The first timestamp.
    pub timestamp: u32,
}
