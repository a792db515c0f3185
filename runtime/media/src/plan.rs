//! What two ends agreed on for the sound of a call.

use std::net::SocketAddr;

use crate::Codec;

/// The outcome of an offer and an answer (RFC 3264) for one audio stream, seen from our side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPlan {
    /// Where the far end wants its RTP.
    pub remote: SocketAddr,
    /// Both ways.
    pub codec: Codec,
    /// The payload type of telephone-event packets (RFC 4733) that we send; `None`: the far end takes none.
    pub event_send: Option<u8>,
    /// The payload type of telephone-event packets that come to us; `None`: keys come in the sound, if at all.
    pub event_receive: Option<u8>,
    /// Whether we may send (false while the far end holds us).
    pub send: bool,
    /// Whether the far end sends.
    pub receive: bool,
}
