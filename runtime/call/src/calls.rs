//! All calls of one host.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;
use zvonar_sip::Flow;

use crate::{CallId, CallsConfig, Command, Dial, Event};

/// All calls of one host: see the crate's doc for how to drive it.
pub struct Calls {
    config: CallsConfig,
    outputs: VecDeque<Output>,
    next: u64,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send one SIP message.
    Send {
        /// By which way.
        flow: Flow,
        /// The whole message.
        bytes: Bytes,
    },
    /// Tell whoever owns the call.
    Event {
        /// Which call.
        call: CallId,
        /// What happened.
        event: Event,
    },
}

impl Calls {
    /// None yet. All random values (tags, branches, Call-IDs) come from `seed`, so a run can be repeated; give a secret
    /// random one outside tests.
    pub fn new(config: CallsConfig, seed: u64) -> Self {
        Self { config, outputs: VecDeque::new(), next: seed & 1 }
    }

    /// What came from the network: one datagram, or one framed message of a stream.
    pub fn handle_bytes(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        let _ = (now, flow, bytes);
    }

    /// Places a call. Events follow, at the least an `Ended`.
    pub fn dial(&mut self, now: Instant, dial: Dial) -> CallId {
        let _ = (now, dial);
        self.next += 1;
        CallId(self.next)
    }

    /// Asks something of a call. Unknown and ended calls ignore it.
    pub fn command(&mut self, now: Instant, call: CallId, command: Command) {
        let _ = (now, call, command);
    }

    /// To be called once [`Self::poll_timeout`] is reached; earlier or later does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When [`Self::handle_timeout`] wants to be called; `None`: not before the next input. Cheap.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What to do next; `None`: nothing until the next input. Call it until then after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Calls that have not ended.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there is no call.
    pub fn is_empty(&self) -> bool {
        self.config.max_calls == 0 || self.len() == 0
    }
}
