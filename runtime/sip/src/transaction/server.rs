//! The side that was asked.

use std::time::{Duration, Instant};

use crate::{Timing, transaction::TRYING_AFTER};

/// One server transaction, from the first copy of the request on.
#[derive(Debug, Clone)]
pub struct Server {
    timing: Timing,
    is_invite: bool,
    is_reliable: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No final response yet. An INVITE that nobody answers soon is answered 100.
    Proceeding {
        trying_at: Option<Instant>,
    },
    /// A final response left; repetitions of the request fetch it again until timer J, or, for an INVITE, timer G sends
    /// it again until the ACK or timer H.
    Completed {
        resend_at: Option<Instant>,
        pause: Duration,
        until: Instant,
    },
    /// The ACK came; repetitions of it are absorbed until timer I.
    Confirmed {
        until: Instant,
    },
    /// A 2xx to an INVITE left; its sender repeats it, this absorbs repetitions of the INVITE until timer L.
    Accepted {
        until: Instant,
    },
    Terminated,
}

/// What a timer asks of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerDue {
    /// Answer 100: the user is slow.
    Trying,
    /// Send the last response again.
    Resend,
    /// The transaction is over.
    Gone,
    /// Nothing is due yet.
    Nothing,
}

impl Server {
    /// Starts one.
    pub fn new(now: Instant, is_invite: bool, is_reliable: bool, timing: Timing) -> Self {
        let state = State::Proceeding { trying_at: is_invite.then(|| now + TRYING_AFTER) };
        Self { timing, is_invite, is_reliable, state }
    }

    /// Notes that a response leaves; `false`: it must not, as a final one left before.
    pub fn respond(&mut self, now: Instant, code: u16) -> bool {
        let State::Proceeding { .. } = self.state else { return false };
        let wait = self.timing.transaction();
        self.state = match code {
            ..=199 => State::Proceeding { trying_at: None },
            200..=299 if self.is_invite => State::Accepted { until: now + wait },
            _ if self.is_invite => State::Completed {
                resend_at: (!self.is_reliable).then(|| now + self.timing.t1),
                pause: self.timing.t1,
                until: now + wait,
            },
            _ if self.is_reliable => State::Terminated,
            _ => State::Completed { resend_at: None, pause: wait, until: now + wait },
        };
        true
    }

    /// Whether a repetition of the request wants the last response again.
    pub fn repeats_response(&self) -> bool {
        matches!(self.state, State::Proceeding { .. } | State::Completed { .. })
    }

    /// Takes the ACK to a final response of 300 or more.
    pub fn handle_ack(&mut self, now: Instant) {
        if self.is_invite && matches!(self.state, State::Completed { .. }) {
            self.state = if self.is_reliable {
                State::Terminated
            } else {
                State::Confirmed { until: now + self.timing.t4 }
            };
        }
    }

    /// To be called once [`Self::due`] is reached, until it says `Nothing` or `Gone`.
    pub fn handle_timeout(&mut self, now: Instant) -> ServerDue {
        match self.state {
            State::Proceeding { trying_at: Some(at) } if now >= at => {
                self.state = State::Proceeding { trying_at: None };
                ServerDue::Trying
            }
            State::Completed { until, .. } | State::Confirmed { until } | State::Accepted { until }
                if now >= until =>
            {
                self.state = State::Terminated;
                ServerDue::Gone
            }
            State::Completed { resend_at: Some(at), pause, until } if now >= at => {
                let pause = (pause * 2).min(self.timing.t2);
                self.state = State::Completed { resend_at: Some(now + pause), pause, until };
                ServerDue::Resend
            }
            State::Terminated => ServerDue::Gone,
            _ => ServerDue::Nothing,
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Proceeding { trying_at } => trying_at,
            State::Completed { resend_at, until, .. } => Some(resend_at.map_or(until, |at| at.min(until))),
            State::Confirmed { until } | State::Accepted { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Whether no final response left yet.
    pub fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Whether a refusal of an INVITE left and its ACK is not here: it may have been lost.
    pub fn awaits_ack(&self) -> bool {
        self.is_invite && matches!(self.state, State::Completed { .. })
    }

    /// Whether it is over.
    pub fn is_terminated(&self) -> bool {
        self.state == State::Terminated
    }
}
