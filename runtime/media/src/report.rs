//! What crossed the wire during a call, counted.

/// The totals of one stream. They only grow, and a re-INVITE does not reset them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// RTP packets that left.
    pub packets_sent: u64,
    /// RTP packets of the far end that were taken.
    pub packets_heard: u64,
    /// Holes in the far end's sequence numbers that were never filled.
    pub packets_lost: u64,
    /// Packets that came after their turn to be heard.
    pub packets_late: u64,
    /// Packets that came twice.
    pub packets_duplicate: u64,
    /// Packets that were refused: wrong source, wrong SSRC, a payload type that was not agreed on, not RTP. What the
    /// kernel refuses for us once the socket is connected does not reach us and is not counted.
    pub packets_refused: u64,
    /// Interarrival jitter at the end (RFC 3550 §6.4.1), in microseconds.
    pub jitter_us: u64,
    /// Keys that were heard, whichever way they came.
    pub keys_heard: u64,
    /// Events dropped because nobody took them: key presses faster than they were read.
    pub events_dropped: u64,
    /// Recording frames dropped because the writer could not keep up.
    pub frames_dropped: u64,
}
