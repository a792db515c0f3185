//! One call leg as a state machine, from the INVITE to the BYE.
//!
//! The leg performs no I/O and reads no clock: [`crate::Calls`] tells it what the SIP agent and the driver say, and does
//! what [`Leg::poll_action`] asks for.
//!
//! # Invariants
//!
//! * `Ended` comes out once and last: it is what the call is charged by.
//! * Whoever picked up is never left on the line: an answer that nobody wants any more is closed by a BYE.
//! * `Up` comes out at most once, and a talk is measured from it.
//!
//! Deliberately absent: retransmissions either way, the ACK, holding a CANCEL back until the first provisional response,
//! holding a BYE back until the ACK, the 200 to a BYE. Those belong to `sip`. What an offer means belongs to
//! `negotiation`.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{Ended, Side};

/// How long a caller may hear that it rings before we refuse for whoever does not answer him.
const ANSWER_WITHIN: Duration = Duration::from_secs(180);

/// A state carries only what is true in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Our INVITE is out; perhaps it rings.
    Inviting { ring_until: Instant },
    /// Our CANCEL is out, or wants to be.
    Canceling { why: Why, give_up_at: Instant },
    /// Their INVITE is in.
    Invited { refuse_at: Instant },
    /// Our 200 is out and its ACK is not here. `None`: the ACK will bring the answer to our offer, there is no sound yet.
    Answering { since: Option<Instant> },
    /// Both ends know that they talk.
    Talking { since: Instant },
    /// Nothing more comes out.
    Ended,
}

/// Why a call was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    RangOut,
    HungUp,
}

/// What happened, or is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A 2xx to our INVITE came and was acknowledged.
    Answered {
        /// Whether its session description can be used.
        is_usable: bool,
    },
    /// A final response of 300 or more to our INVITE.
    Refused {
        /// The status code.
        code: u16,
        /// The phrase beside it.
        reason: String,
    },
    /// Nothing came back for our INVITE.
    NoResponse,
    /// The ACK to our 200.
    Acknowledged {
        /// Whether its session description can be used, where one was needed.
        is_usable: bool,
    },
    /// The ACK to our 200 (or to a later 2xx) never came.
    NeverAcknowledged,
    /// The caller took his INVITE back.
    Canceled,
    /// The far end's BYE.
    FarHangup,
    /// Pick up. The INVITE had an offer, or it had none.
    Answer {
        /// Whether the answer to it makes sound flow at once.
        has_offer: bool,
    },
    /// Refuse.
    Reject {
        /// The status code, 300–699.
        code: u16,
        /// The phrase beside it.
        reason: String,
    },
    /// End it whatever its state.
    Hangup,
}

/// What the leg wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Take the INVITE back.
    Cancel,
    /// Stop waiting for what the CANCEL does. `sip` closes the call of whoever picks up after that.
    Abandon,
    /// Send 200.
    Accept,
    /// Send a refusal.
    Reject {
        /// The status code.
        code: u16,
        /// The phrase beside it.
        reason: String,
    },
    /// Send BYE.
    Bye,
    /// The call is up: sound flows, the talk counts.
    Up,
    /// The caller knows that it is up.
    Confirmed,
    /// It is over.
    Ended(Ended),
}

/// One call leg.
#[derive(Debug)]
pub struct Leg {
    state: State,
    actions: VecDeque<Action>,
    cancel_wait: Duration,
}

impl Leg {
    /// One whose INVITE leaves now. `cancel_wait` is how long the far end may take to confirm a CANCEL: 64 × T1
    /// (RFC 3261 §9.1).
    pub fn outbound(now: Instant, ring: Duration, cancel_wait: Duration) -> Self {
        Self { state: State::Inviting { ring_until: now + ring }, actions: VecDeque::new(), cancel_wait }
    }

    /// One whose INVITE came now.
    pub fn inbound(now: Instant, cancel_wait: Duration) -> Self {
        Self {
            state: State::Invited { refuse_at: now + ANSWER_WITHIN },
            actions: VecDeque::new(),
            cancel_wait,
        }
    }

    /// Takes one input. What does not fit the state is a duplicate, too late, or a command that crossed an event.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match (&self.state, input) {
            (State::Inviting { .. }, Input::Answered { is_usable: true }) => {
                self.act(Action::Up);
                self.state = State::Talking { since: now };
            }
            (State::Inviting { .. }, Input::Answered { is_usable: false }) => {
                self.act(Action::Bye);
                self.end(Ended::NoCommonCodec);
            }
            // The answer crossed our CANCEL on the wire. The person is on the line already, so the call is closed, not
            // ignored (`sip` acknowledged it).
            (State::Canceling { .. }, Input::Answered { .. }) => {
                self.act(Action::Bye);
                self.end(Ended::AnsweredLate);
            }
            (State::Inviting { .. }, Input::Refused { code, reason }) => {
                self.end(Ended::Refused { code, reason, by: Side::Far });
            }
            // 487 confirms the CANCEL, 481 says there was nothing to cancel any more, 408 and 5xx that the way is
            // gone, and a challenge was not answered because of the CANCEL. Anything else, say busy, crossed it.
            (State::Canceling { why, .. }, Input::Refused { code, reason }) => {
                let is_ours = matches!(code, 401 | 407 | 408 | 481 | 487 | 500..=599);
                let ended =
                    if is_ours { why.ended() } else { Ended::Refused { code, reason, by: Side::Far } };
                self.end(ended);
            }
            (State::Inviting { .. } | State::Canceling { why: Why::RangOut, .. }, Input::NoResponse) => {
                self.end(Ended::Unreachable);
            }
            (State::Canceling { why: Why::HungUp, .. }, Input::NoResponse) => self.end(Ended::CanceledByUs),
            (State::Inviting { .. }, Input::Hangup) => self.cancel(now, Why::HungUp),

            (State::Invited { .. }, Input::Answer { has_offer }) => {
                self.act(Action::Accept);
                if has_offer {
                    self.act(Action::Up);
                }
                self.state = State::Answering { since: has_offer.then_some(now) };
            }
            (State::Invited { .. }, Input::Reject { code, reason }) => self.refuse(code, reason),
            (State::Invited { .. }, Input::Hangup) => self.refuse(603, String::new()),
            (State::Invited { .. }, Input::Canceled) => self.end(Ended::CanceledByFarEnd),
            (State::Answering { since: Some(since) }, Input::Acknowledged { .. }) => {
                let since = *since;
                self.act(Action::Confirmed);
                self.state = State::Talking { since };
            }
            (State::Answering { since: None }, Input::Acknowledged { is_usable: true }) => {
                self.act(Action::Up);
                self.act(Action::Confirmed);
                self.state = State::Talking { since: now };
            }
            (State::Answering { since: None }, Input::Acknowledged { is_usable: false }) => {
                self.act(Action::Bye);
                self.end(Ended::NoCommonCodec);
            }

            // `sip` closes a dialog whose 2xx nobody acknowledges.
            (State::Answering { since }, Input::NeverAcknowledged) => {
                let talk = since.map_or(Duration::ZERO, |since| now - since);
                self.end(Ended::Lost { talk });
            }
            (State::Talking { since }, Input::NeverAcknowledged) => {
                let talk = now - *since;
                self.end(Ended::Lost { talk });
            }
            (State::Answering { since }, Input::Hangup) => {
                let talk = since.map_or(Duration::ZERO, |since| now - since);
                self.act(Action::Bye);
                self.end(Ended::HungUp { by: Side::Near, talk });
            }
            (State::Talking { since }, Input::Hangup) => {
                let talk = now - *since;
                self.act(Action::Bye);
                self.end(Ended::HungUp { by: Side::Near, talk });
            }
            (State::Answering { since }, Input::FarHangup) => {
                let talk = since.map_or(Duration::ZERO, |since| now - since);
                self.end(Ended::HungUp { by: Side::Far, talk });
            }
            (State::Talking { since }, Input::FarHangup) => {
                let talk = now - *since;
                self.end(Ended::HungUp { by: Side::Far, talk });
            }

            // Duplicates, commands that crossed an event, and whatever comes after the end.
            (_, _) => {}
        }
    }

    /// To be called once [`Self::poll_timeout`] is reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Inviting { ring_until } if now >= ring_until => self.cancel(now, Why::RangOut),
            State::Canceling { why, give_up_at } if now >= give_up_at => {
                self.act(Action::Abandon);
                self.end(why.ended());
            }
            State::Invited { refuse_at } if now >= refuse_at => self.refuse(480, String::new()),
            _ => {}
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Inviting { ring_until } => Some(ring_until),
            State::Canceling { give_up_at, .. } => Some(give_up_at),
            State::Invited { refuse_at } => Some(refuse_at),
            State::Answering { .. } | State::Talking { .. } | State::Ended => None,
        }
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether sound flows and a change of it matters.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Answering { since: Some(_) } | State::Talking { .. })
    }

    /// Whether an INVITE is waiting for our answer.
    pub fn is_invited(&self) -> bool {
        matches!(self.state, State::Invited { .. })
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn cancel(&mut self, now: Instant, why: Why) {
        self.act(Action::Cancel);
        self.state = State::Canceling { why, give_up_at: now + self.cancel_wait };
    }

    fn refuse(&mut self, code: u16, reason: String) {
        self.act(Action::Reject { code, reason: reason.clone() });
        self.end(Ended::Refused { code, reason, by: Side::Near });
    }

    fn end(&mut self, ended: Ended) {
        self.act(Action::Ended(ended));
        self.state = State::Ended;
    }
}

impl Why {
    fn ended(self) -> Ended {
        match self {
            Self::RangOut => Ended::RangOut,
            Self::HungUp => Ended::CanceledByUs,
        }
    }
}

#[cfg(test)]
mod tests;
