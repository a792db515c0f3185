//! Who is heard: which address and which SSRC.
//!
//! Before anything came, the planned address is expected, and for a short while any other may take its place: a far
//! end behind NAT sends from where its SDP does not say. After that the source is locked, so that packets which leak
//! in from elsewhere ("RTP bleed") are not heard and, more important, do not draw our sound to themselves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[derive(Debug)]
enum State {
    /// Nothing came, and any address may become the source until then.
    Open {
        until: Instant,
    },
    /// Another address than the planned one took the place; the planned one can still take it back until then.
    Latched {
        from: SocketAddr,
        until: Instant,
    },
    Locked {
        from: SocketAddr,
    },
}

#[derive(Debug)]
pub(super) struct Source {
    /// `None` before the plan.
    state: Option<(SocketAddr, State)>,
    /// Whether anything was taken from it.
    is_heard: bool,
    ssrc: Option<(u32, Instant)>,
}

pub(super) enum Verdict {
    Refused,
    /// A packet of the stream that is heard already.
    Known,
    /// The first packet of a stream: what was known about the one before is void.
    New,
}

impl Source {
    pub(super) fn new() -> Self {
        Self { state: None, is_heard: false, ssrc: None }
    }

    /// A plan names this address.
    pub(super) fn open(&mut self, planned: SocketAddr, until: Instant) {
        self.state = Some((planned, State::Open { until }));
        self.is_heard = false;
        self.ssrc = None;
    }

    /// A plan confirmed the address: the SSRC may change with it. If nothing ever came from there, it may be one that only
    /// the far end's own network knows, as a telephone names it that rings behind NAT and is silent until it is picked up:
    /// then others may take its place again until then.
    pub(super) fn confirm(&mut self, planned: SocketAddr, until: Instant) {
        if self.is_heard {
            self.ssrc = None;
        } else {
            self.open(planned, until);
        }
    }

    /// Who is listened to now, if somebody is.
    pub(super) fn latched(&self) -> Option<SocketAddr> {
        match &self.state {
            Some((_, State::Latched { from, .. } | State::Locked { from })) => Some(*from),
            _ => None,
        }
    }

    pub(super) fn locked(&self) -> Option<SocketAddr> {
        match &self.state {
            Some((_, State::Locked { from })) => Some(*from),
            _ => None,
        }
    }

    /// Time passes: what is not settled within the window is settled then.
    pub(super) fn settle(&mut self, now: Instant) {
        let Some((planned, state)) = &mut self.state else { return };
        match *state {
            State::Open { until } if now >= until => *state = State::Locked { from: *planned },
            State::Latched { from, until } if now >= until => *state = State::Locked { from },
            _ => {}
        }
    }

    pub(super) fn judge(
        &mut self,
        now: Instant,
        from: SocketAddr,
        ssrc: u32,
        ssrc_silence: Duration,
    ) -> Verdict {
        self.settle(now);
        let Some((planned, state)) = &mut self.state else { return Verdict::Refused };
        match state {
            State::Open { .. } if from == *planned => *state = State::Locked { from },
            State::Open { until } => *state = State::Latched { from, until: *until },
            State::Latched { from: latched, .. } if from == *latched => {}
            State::Latched { .. } if from == *planned => {
                *state = State::Locked { from };
                self.ssrc = None;
            }
            State::Locked { from: locked } if from == *locked => {}
            State::Latched { .. } | State::Locked { .. } => return Verdict::Refused,
        }
        self.is_heard = true;
        match &mut self.ssrc {
            Some((known, last)) if *known == ssrc => {
                *last = now;
                Verdict::Known
            }
            // The far end's switchboard may join another stream without a word of SIP. It is followed once the old one
            // has fallen silent; two at once are not mixed.
            Some((_, last)) if now.saturating_duration_since(*last) < ssrc_silence => Verdict::Refused,
            other => {
                *other = Some((ssrc, now));
                Verdict::New
            }
        }
    }
}
