//! One INVITE and the dialog that came of it: what the agent remembers between messages.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    invite::Outbound,
    refer::{Referral, Subscription},
};
use crate::{Flow, dialog::Dialog, message::Message};

/// A call as the agent knows it. Its number is also the tag that we gave our end, so that a message finds it without a
/// search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(super) u64);

impl SessionId {
    /// No session has this number: that of transactions outside calls.
    pub(super) const NOBODY: Self = Self(0);

    /// The tag of our end.
    pub(super) fn tag(self) -> String {
        format!("{:016x}", self.0)
    }

    /// The session that a tag of ours names.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let is_ours = tag.len() == 16 && tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_ours.then(|| u64::from_str_radix(tag, 16).ok().map(Self)).flatten()
    }
}

#[derive(Debug)]
pub(super) struct Session {
    /// The way that the INVITE came or went. Later requests go where the dialog says.
    pub flow: Flow,
    pub state: State,
    /// What we asked for, if we called: also answers challenges to later requests.
    pub outbound: Option<Box<Outbound>>,
    /// A 2xx of ours that waits for its ACK: to the first INVITE or to a later one.
    pub unacknowledged: Option<Unacknowledged>,
    /// A re-INVITE or UPDATE whose answer is being worked out.
    pub offer: Option<(u64, Flow, Box<Message>)>,
    /// We hung up before the ACK came: the BYE waits for it.
    pub bye_wanted: bool,
    /// Server transactions of requests inside the dialog that have not been forgotten yet.
    pub requests: usize,
    /// Messages go by `flow` and nowhere else: the far end is a phone.
    pub keeps_flow: bool,
    /// A REFER that waits for its answer.
    pub referral: Option<Referral>,
    /// Whether a REFER was answered before.
    pub has_referred: bool,
    /// Who asked for the last transfer is told how it goes.
    pub subscription: Option<Subscription>,
}

#[derive(Debug)]
pub(super) enum State {
    /// We called, and no 2xx came yet.
    Inviting {
        /// The branch of the INVITE that is out: there is one at a time.
        branch: u64,
        cancel: Cancel,
        /// Their BYE overtook their 2xx: the tag it came with.
        early_bye: Option<Option<Box<str>>>,
        /// The last reliable provisional response that we acknowledged (RFC 3262), and how many there were.
        rseq: Option<(u32, u8)>,
    },
    /// They called, and no final response left yet.
    Invited { server: u64, invite: Box<Message> },
    /// Both ends agree that there is a call.
    Talking { dialog: Box<Dialog> },
    /// Our BYE is out.
    Closing { dialog: Box<Dialog>, is_challenged: bool },
}

/// How far a wish to cancel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    /// No provisional response came yet, so it has to wait (RFC 3261 §9.1).
    Wanted,
    Sent,
}

/// A 2xx that is sent again until its ACK comes (RFC 3261 §13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub cseq: u32,
    pub flow: Flow,
    pub bytes: Bytes,
    pub resend_at: Instant,
    pub pause: Duration,
    pub give_up_at: Instant,
}

impl Session {
    pub(super) fn new(flow: Flow, state: State) -> Self {
        Self {
            flow,
            state,
            outbound: None,
            unacknowledged: None,
            offer: None,
            bye_wanted: false,
            requests: 0,
            keeps_flow: false,
            referral: None,
            has_referred: false,
            subscription: None,
        }
    }

    pub(super) fn dialog(&self) -> Option<&Dialog> {
        match &self.state {
            State::Talking { dialog } | State::Closing { dialog, .. } => Some(dialog),
            State::Inviting { .. } | State::Invited { .. } => None,
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.unacknowledged.as_ref().map(|waiting| waiting.resend_at.min(waiting.give_up_at))
    }
}
