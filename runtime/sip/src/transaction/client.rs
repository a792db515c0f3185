//! The side that sent the request.

use std::time::{Duration, Instant};

use crate::Timing;

/// One client transaction, from the request on. Its driver sends the request when it makes this.
#[derive(Debug, Clone)]
pub struct Client {
    timing: Timing,
    is_invite: bool,
    is_reliable: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing came back (Calling, Trying). Timers A and E send again, B and F give up.
    Calling {
        resend_at: Option<Instant>,
        pause: Duration,
        give_up_at: Instant,
    },
    /// A provisional response came. An INVITE waits for as long as its sender likes, and once he has lost interest until
    /// a time of his; others keep timers E and F.
    Proceeding {
        resend_at: Option<Instant>,
        give_up_at: Option<Instant>,
    },
    /// A final response came; repetitions of it are absorbed until timer D or K.
    Completed {
        until: Instant,
    },
    /// A 2xx to an INVITE came; more of them may, from other branches, until timer M.
    Accepted {
        until: Instant,
    },
    Terminated,
}

/// What a response asks of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Pass it to the user.
    Deliver,
    /// Acknowledge it (a final response of 300 or more to an INVITE) and pass it on.
    AcknowledgeAndDeliver,
    /// Send the same ACK again: the first was lost.
    AcknowledgeAgain,
    /// A repetition, or out of turn.
    Ignore,
}

/// What a timer asks of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientDue {
    /// Send the request again.
    Resend,
    /// Nothing came back (B, F): tell the user; the transaction is over.
    GiveUp,
    /// The transaction is over.
    Gone,
    /// Nothing is due yet.
    Nothing,
}

impl Client {
    /// Starts one.
    pub fn new(now: Instant, is_invite: bool, is_reliable: bool, timing: Timing) -> Self {
        let state = State::Calling {
            resend_at: (!is_reliable).then(|| now + timing.t1),
            pause: timing.t1,
            give_up_at: now + timing.transaction(),
        };
        Self { timing, is_invite, is_reliable, state }
    }

    /// Takes the code of a response that matches.
    pub fn handle_response(&mut self, now: Instant, code: u16) -> Reaction {
        match (self.state, code) {
            (State::Calling { resend_at, give_up_at, .. }, ..=199) => {
                self.state = if self.is_invite {
                    State::Proceeding { resend_at: None, give_up_at: None }
                } else {
                    State::Proceeding { resend_at, give_up_at: Some(give_up_at) }
                };
                Reaction::Deliver
            }
            (State::Proceeding { .. }, ..=199) => Reaction::Deliver,
            (State::Calling { .. } | State::Proceeding { .. }, 200..=299) if self.is_invite => {
                self.state = State::Accepted { until: now + self.timing.transaction() };
                Reaction::Deliver
            }
            (State::Calling { .. } | State::Proceeding { .. }, _) => {
                let wait = if self.is_invite { self.timing.transaction() } else { self.timing.t4 };
                self.state =
                    if self.is_reliable { State::Terminated } else { State::Completed { until: now + wait } };
                if self.is_invite { Reaction::AcknowledgeAndDeliver } else { Reaction::Deliver }
            }
            (State::Completed { .. }, 300..) if self.is_invite => Reaction::AcknowledgeAgain,
            (State::Accepted { .. }, 200..=299) => Reaction::Deliver,
            (State::Completed { .. } | State::Accepted { .. } | State::Terminated, _) => Reaction::Ignore,
        }
    }

    /// Nobody waits for the answer any more: nothing is sent again, and a final response is still taken until then.
    pub fn outstay(&mut self, until: Instant) {
        if self.is_unanswered() {
            self.state = State::Proceeding { resend_at: None, give_up_at: Some(until) };
        }
    }

    /// To be called once [`Self::due`] is reached, until it says `Nothing`, `GiveUp` or `Gone`.
    pub fn handle_timeout(&mut self, now: Instant) -> ClientDue {
        match self.state {
            State::Calling { give_up_at, .. } | State::Proceeding { give_up_at: Some(give_up_at), .. }
                if now >= give_up_at =>
            {
                self.state = State::Terminated;
                ClientDue::GiveUp
            }
            State::Calling { resend_at: Some(at), pause, give_up_at } if now >= at => {
                // Timer A doubles without end, timer E up to T2.
                let pause = if self.is_invite { pause * 2 } else { (pause * 2).min(self.timing.t2) };
                self.state = State::Calling { resend_at: Some(now + pause), pause, give_up_at };
                ClientDue::Resend
            }
            State::Proceeding { resend_at: Some(at), give_up_at } if now >= at => {
                self.state = State::Proceeding { resend_at: Some(now + self.timing.t2), give_up_at };
                ClientDue::Resend
            }
            State::Completed { until } | State::Accepted { until } if now >= until => {
                self.state = State::Terminated;
                ClientDue::Gone
            }
            State::Terminated => ClientDue::Gone,
            _ => ClientDue::Nothing,
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Calling { resend_at, give_up_at, .. } => {
                Some(resend_at.map_or(give_up_at, |at| at.min(give_up_at)))
            }
            State::Proceeding { resend_at, give_up_at } => match (resend_at, give_up_at) {
                (Some(resend_at), Some(give_up_at)) => Some(resend_at.min(give_up_at)),
                (resend_at, give_up_at) => resend_at.or(give_up_at),
            },
            State::Completed { until } | State::Accepted { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Whether a provisional response came and no final one: only then may an INVITE be cancelled (RFC 3261 §9.1).
    pub fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Whether no final response came yet.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding { .. })
    }

    /// Whether it is over.
    pub fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }
}
