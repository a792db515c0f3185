//! What the driver asks for.

use std::{net::SocketAddr, time::Duration};

use zvonar_media::Codec;
use zvonar_sip::{Flow, digest::Credentials};

/// A call to place.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Where the INVITE goes: a trunk's address, or the phone itself.
    pub flow: Flow,
    /// The number called, as a SIP URI (`sip:+79161234567@trunk.example`): request URI and `To`.
    pub to_uri: String,
    /// Who calls, as `From` shows it.
    pub from: Identity,
    /// The `P-Asserted-Identity` (RFC 3325), as a URI, for trunks that want one.
    pub asserted_identity: Option<String>,
    /// What to answer a challenge (401, 407) with; `None`: a challenge ends the call as refused.
    pub credentials: Option<Credentials>,
    /// Where we want the far end's RTP: this very address is named in the SDP.
    pub local_media: SocketAddr,
    /// What we offer, the preferred first; not empty.
    pub codecs: Vec<Codec>,
    /// How long it may ring, counted from the INVITE. Then it is cancelled.
    pub ring: Duration,
    /// The callee is a phone that is registered here: all messages of the call go by `flow`, whatever it says of itself,
    /// and it may hand the call on.
    pub is_phone: bool,
    /// The callee is somebody whom a caller is handed to: the call counts for [`crate::CallsConfig::max_legs`], as those to
    /// phones of ours do.
    pub is_leg: bool,
    /// Headers to add to the INVITE as they are. Line breaks in them are replaced by spaces.
    pub headers: Vec<(String, String)>,
}

/// A caller's name in `From`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The user part: usually the number that the callee sees.
    pub user: String,
    /// The words beside it.
    pub display: Option<String>,
    /// The host part; `None`: the address that we advertise.
    pub host: Option<String>,
}

/// What may be asked of a call. A command that does not fit the call's state (an answer to a call that was cancelled a
/// moment ago) is ignored: the event that explains it is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Inbound only: tell the caller that it rings (180), or play to him before the answer (183 with our SDP).
    Ring {
        /// Where we want the caller's RTP, if sound is to flow before the answer. Ignored when the INVITE had no offer.
        early_media: Option<SocketAddr>,
    },
    /// Inbound only: pick up.
    Answer {
        /// Where we want the caller's RTP (the same as in `Ring`, if early media was asked for).
        local_media: SocketAddr,
    },
    /// Inbound only: refuse.
    Reject {
        /// 300 to 699; anything else becomes 480.
        code: u16,
        /// The phrase beside it; empty: the usual one of the code.
        reason: String,
    },
    /// Answer `Event::Refer`: the call will be handed on (the far end is told how it goes by `ReferProgress`), or not.
    AnswerRefer {
        /// 202, or 603.
        accept: bool,
    },
    /// Tell whoever asked for a transfer how it goes.
    ReferProgress {
        /// What the new callee answered; 200 or more is the last news.
        code: u16,
        /// The phrase beside it; empty: the usual one of the code.
        reason: String,
    },
    /// End the call whatever its state: CANCEL, 603 or BYE.
    Hangup,
}
