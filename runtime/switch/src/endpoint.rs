//! The SIP task: one socket, all transactions, dialogs and legs behind it.
//!
//! The loop contains no rules. It moves bytes between the socket and [`Calls`], commands from handles to [`Calls`], and
//! events from [`Calls`] to the handles. One task is enough: a whole call costs it a fraction of a millisecond.
//!
//! # What happens when a queue is full
//!
//! * Commands (4,096): the handle waits.
//! * Incoming calls (512): the caller hears 503 and may try again.
//! * Events of one call (32): progress, keys and changes of media are dropped, as only a far end that floods us gets
//!   there. The answer and the end have places of their own and are never lost.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep_until;
use zvonar_call::{CallId, Calls, Command, Dial, Ended, Event, Flow, Incoming, Output, Transport};

use crate::clock;
use crate::phones::Roster;
use crate::screen::Screen;

/// Datagrams read in a row before the timers and the commands get their turn.
const BATCH: usize = 64;
/// Places in a call's queue that only its answer may take.
const RESERVED: usize = 2;
/// The largest datagram there is.
const DATAGRAM: usize = 65_535;

/// How long far ends may take to confirm the last BYEs when the host stops: time for three repetitions.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a handle asks of the task.
pub(crate) enum Request {
    /// Place a call, unless nobody waits for the reply any more.
    Dial { dial: Box<Dial>, ends: Ends, reply: oneshot::Sender<Placed> },
    /// Do something with a call.
    Call { call: CallId, command: Command },
    /// Hang up everything, and end the task once that is confirmed.
    Stop,
}

/// A call just placed, on its way to whoever asked for it. It is hung up if it never gets there: he may be cancelled
/// between the reply and his next turn, and then nobody has the call's number.
#[derive(Debug)]
pub(crate) struct Placed {
    call: CallId,
    dropped: Arc<Dropped>,
    is_taken: bool,
}

impl Placed {
    /// From here on the caller has to hang up.
    pub(crate) fn take(mut self) -> CallId {
        self.is_taken = true;
        self.call
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if !self.is_taken {
            self.dropped.add(self.call);
        }
    }
}

/// The task's side of one call's handle.
pub(crate) struct Ends {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) ended: oneshot::Sender<Ended>,
}

/// A call that came in: what was said, and the handle's side of it.
pub(crate) struct Arrival {
    pub(crate) call: CallId,
    pub(crate) incoming: Box<Incoming>,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) ended: oneshot::Receiver<Ended>,
}

/// The calls whose handles were dropped; the task hangs them up. Never longer than the calls there are.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    calls: Mutex<Vec<CallId>>,
    some: Notify,
}

impl Dropped {
    pub(crate) fn add(&self, call: CallId) {
        self.calls.lock().expect("no holder of this lock panics").push(call);
        self.some.notify_one();
    }

    fn take(&self) -> Vec<CallId> {
        std::mem::take(&mut *self.calls.lock().expect("no holder of this lock panics"))
    }
}

/// The two ends of an event queue for one call.
pub(crate) fn ends() -> (Ends, mpsc::Receiver<Event>, oneshot::Receiver<Ended>) {
    let (events, received) = mpsc::channel(32);
    let (ended, end) = oneshot::channel();
    (Ends { events, ended }, received, end)
}

pub(crate) struct Endpoint {
    pub(crate) socket: UdpSocket,
    pub(crate) local: SocketAddr,
    pub(crate) screen: Screen,
    pub(crate) calls: Calls,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) dropped: Arc<Dropped>,
    pub(crate) roster: Arc<Roster>,
}

impl Endpoint {
    /// Runs until it is told to stop, or every handle is gone, and the last call has ended and its far end knows, or had
    /// [`LAST_WORDS`] to learn it.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let mut live: HashMap<CallId, Ends> = HashMap::new();
        let mut buffer = vec![0; DATAGRAM];
        let mut open = true;
        let mut stop_by = None;
        loop {
            self.deliver(&mut live).await;
            if !open && live.is_empty() {
                let now = clock::now();
                if now >= *stop_by.get_or_insert(now + LAST_WORDS) || self.calls.unconfirmed() == 0 {
                    return Ok(());
                }
            }
            let deadline = self.calls.poll_timeout().into_iter().chain(stop_by).min();
            tokio::select! {
                ready = self.socket.readable() => {
                    ready?;
                    self.read_batch(&mut buffer, &mut live).await;
                }
                request = self.requests.recv(), if open => open = self.hear(request, &mut live),
                () = self.dropped.some.notified() => {
                    let dropped = self.dropped.take();
                    // What their owners asked before they let go of them comes first: the last word on a transfer, say.
                    for _ in 0..self.requests.len() {
                        if !open {
                            break;
                        }
                        let Ok(request) = self.requests.try_recv() else { break };
                        open = self.hear(Some(request), &mut live);
                    }
                    for call in dropped {
                        self.calls.command(clock::now(), call, Command::Hangup);
                    }
                }
                () = sleep_until(deadline.unwrap_or_else(clock::now).into()), if deadline.is_some() => {
                    self.calls.handle_timeout(clock::now());
                }
            }
        }
    }

    /// Does what a handle asks; `false`: nothing more is to be asked.
    fn hear(&mut self, request: Option<Request>, live: &mut HashMap<CallId, Ends>) -> bool {
        match request {
            Some(Request::Dial { dial, ends, reply }) => self.dial(*dial, ends, reply, live),
            Some(Request::Call { call, command }) => self.calls.command(clock::now(), call, command),
            Some(Request::Stop) | None => {
                for call in live.keys() {
                    self.calls.command(clock::now(), *call, Command::Hangup);
                }
                return false;
            }
        }
        true
    }

    fn dial(
        &mut self,
        dial: Dial,
        ends: Ends,
        reply: oneshot::Sender<Placed>,
        live: &mut HashMap<CallId, Ends>,
    ) {
        if reply.is_closed() {
            return; // whoever wanted the call has gone before the INVITE left
        }
        let call = self.calls.dial(clock::now(), dial);
        live.insert(call, ends);
        // A reply that nobody receives hangs up.
        let _ = reply.send(Placed { call, dropped: Arc::clone(&self.dropped), is_taken: false });
    }

    async fn read_batch(&mut self, buffer: &mut [u8], live: &mut HashMap<CallId, Ends>) {
        for _ in 0..BATCH {
            let (length, source) = match self.socket.try_recv_from(buffer) {
                Ok(received) => received,
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error of something we sent earlier; the transaction's timers deal with it.
                Err(_) => continue,
            };
            let now = clock::now();
            let flow = Flow { transport: Transport::Udp, local: self.local, remote: source };
            let bytes = &buffer[..length];
            if self.screen.allows(source.ip()) {
                if self.screen.admits(now, source.ip()) {
                    self.calls.handle_bytes(now, flow, bytes);
                }
            } else if self.calls.admits(now, source.ip(), bytes) {
                let is_known = self.calls.knows(now, source.ip());
                if self.screen.admits_guest(now, source.ip(), is_known) {
                    self.calls.handle_guest_bytes(now, flow, bytes);
                }
            } else {
                self.screen.refuse();
            }
            self.deliver(live).await;
        }
    }

    async fn deliver(&mut self, live: &mut HashMap<CallId, Ends>) {
        while let Some(output) = self.calls.poll_output() {
            match output {
                Output::Send { flow, bytes } => self.send(flow, &bytes).await,
                Output::Event { call, event } => self.pass_on(call, event, live),
                Output::Registered { user, came_or_went } => {
                    let contacts = self.calls.contacts(&user);
                    if came_or_went {
                        tracing::debug!(user, phones = contacts.len(), "a telephone came or went");
                    }
                    self.roster.write(user, contacts, came_or_went);
                }
                Output::Guessing { address, user, is_shut_out: true } => tracing::warn!(
                    %address,
                    ?user,
                    "too many wrong passwords of telephones: nothing is heard from there for a while"
                ),
                Output::Guessing { address, user, is_shut_out: false } => tracing::warn!(
                    %address,
                    ?user,
                    "too many wrong passwords of telephones from a network of [sip] allow, which is heard all the same: \
                     see who guesses there"
                ),
            }
        }
    }

    async fn send(&self, flow: Flow, bytes: &[u8]) {
        if let Err(fault) = self.socket.send_to(bytes, flow.remote).await {
            tracing::debug!(to = %flow.remote, %fault, "a SIP message did not leave");
        }
    }

    fn pass_on(&mut self, call: CallId, event: Event, live: &mut HashMap<CallId, Ends>) {
        match event {
            Event::Incoming(incoming) => {
                let (ends, events, ended) = ends();
                match self.arrivals.try_send(Arrival { call, incoming, events, ended }) {
                    Ok(()) => {
                        live.insert(call, ends);
                    }
                    Err(_) => {
                        tracing::warn!("a call was refused: too many wait to be taken");
                        let refusal = Command::Reject { code: 503, reason: "Busy Here, Try Later".into() };
                        self.calls.command(clock::now(), call, refusal);
                    }
                }
            }
            Event::Ended(end) => {
                if let Some(ends) = live.remove(&call) {
                    // Nobody listens any more when the handle was dropped: the hang-up was ours.
                    let _ = ends.ended.send(end);
                }
            }
            event => {
                let Some(ends) = live.get(&call) else { return };
                let keeps_place =
                    !matches!(event, Event::Answered { .. }) && ends.events.capacity() <= RESERVED;
                if keeps_place || ends.events.try_send(event).is_err() {
                    tracing::debug!(?call, "an event of a call was dropped: its queue is full");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
