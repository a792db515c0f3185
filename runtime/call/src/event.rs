//! What the driver is told.

use std::{fmt, time::Duration};

use zvonar_media::MediaPlan;
use zvonar_sip::{Flow, dialog::DialogId};

use crate::ReferRequest;

/// One call of one [`crate::Calls`]: never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub(crate) u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call-{}", self.0)
    }
}

/// Something happened to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody calls us: the first event of an inbound call. Answer with `Ring`, `Answer`, `Reject`.
    Incoming(Box<Incoming>),
    /// Outbound: a provisional response (100–199). Inbound: our own 183 with sound left.
    Progress {
        /// 100, 180, 183, …
        code: u16,
        /// Sound that flows before the answer, from now on.
        media: Option<MediaPlan>,
    },
    /// The call is up, at most once. Outbound: the 2xx came and was acknowledged. Inbound: our 200 left (or, if the INVITE
    /// had no offer, the ACK brought the answer to ours). The talk counts from here.
    Answered {
        /// The code of the 2xx.
        code: u16,
        /// How the sound flows.
        media: MediaPlan,
        /// How both ends name the call.
        dialog: DialogId,
    },
    /// Inbound only, after `Answered`: the caller's ACK came.
    Confirmed,
    /// The far end moved its media, held us, or took us back. It can come before `Confirmed`.
    MediaChanged {
        /// How the sound flows from now on.
        media: MediaPlan,
    },
    /// A key pressed, told by SIP INFO.
    Key {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it was held, if the message says so.
        held: Option<Duration>,
    },
    /// The far end, a phone of ours, wants its call handed on. Answer with `AnswerRefer`.
    Refer(Box<ReferRequest>),
    /// Exactly once, last.
    Ended(Ended),
}

/// A call that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Where it came from: the only identity to trust.
    pub flow: Flow,
    /// The user part of the request URI, unescaped: the number called. Empty if the URI has none.
    pub to_user: String,
    /// The request URI.
    pub to_uri: String,
    /// The URI of `From`: a claim.
    pub from_uri: String,
    /// The user part of that URI, unescaped, or the digits of a `tel:` URI.
    pub from_user: String,
    /// The name beside it, without its quotes.
    pub from_display: String,
    /// The `P-Asserted-Identity`, as it stands: worth something only from a trusted trunk.
    pub asserted_identity: Option<String>,
    /// The SIP `Call-ID`, for logs.
    pub call_id: String,
    /// Whether the INVITE has an offer (one with no codec of ours was answered 488 already); without one we make ours
    /// in the 200.
    pub has_offer: bool,
    /// The account whose phone this is, proved; `None`: it came from a carrier, or from somebody else whom the
    /// configuration lets in.
    pub account: Option<String>,
}

/// Which end did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// We.
    Near,
    /// They.
    Far,
}

/// How a call ended: what it is reported and charged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A final response of 300 or more: theirs to our INVITE, or ours to theirs.
    Refused {
        /// The status code.
        code: u16,
        /// The phrase beside it.
        reason: String,
        /// Who refused.
        by: Side,
    },
    /// The ring time ran out and we cancelled.
    RangOut,
    /// `Hangup` before the answer.
    CanceledByUs,
    /// The caller gave up before we answered.
    CanceledByFarEnd,
    /// The answer crossed our CANCEL: it was acknowledged and closed at once. Somebody did pick up.
    AnsweredLate,
    /// Answered, and closed by a BYE.
    HungUp {
        /// Whose BYE.
        by: Side,
        /// From `Answered` to the BYE.
        talk: Duration,
    },
    /// Nothing at all came back for our INVITE (timer B).
    Unreachable,
    /// Inbound: we answered and the ACK never came. The call was closed by a BYE.
    Lost {
        /// From `Answered` to the moment we gave up; zero if there was no `Answered` yet.
        talk: Duration,
    },
    /// Outbound: the far end answered without a codec that we offered. The call was acknowledged and closed. Inbound with
    /// our offer in the 200: the same for the answer in the ACK.
    NoCommonCodec,
    /// [`crate::CallsConfig::max_calls`], or `max_legs`, is reached: no INVITE left.
    TooManyCalls,
}

impl Ended {
    /// Whether somebody picked up (even too late).
    pub fn was_answered(&self) -> bool {
        matches!(self, Self::AnsweredLate | Self::HungUp { .. } | Self::Lost { .. } | Self::NoCommonCodec)
    }
}
