//! A call in progress, as its owner holds it: signalling and sound behind one handle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use zvonar_call::{CallId, Command, DialogId, Ended, Event, Incoming, ReferRequest, Replaces};
use zvonar_media::Report;

use crate::endpoint::{Arrival, Request};
use crate::media_io::{Closed, MediaError, MediaEvent, MediaEvents, MediaPlace, MediaPort};
use crate::trunk::Line;
use crate::{Shared, clock};

/// What an owner hears from his call.
#[derive(Debug)]
pub enum CallEvent {
    /// A provisional answer: 100 somebody has it, 180 it rings, 183 there is sound before the answer.
    Progress {
        /// The SIP status.
        code: u16,
        /// Sound of the far end flows before its answer; it may be bridged at once.
        sound: bool,
    },
    /// The call is up; its sound flows.
    Answered {
        /// When.
        at: Instant,
    },
    /// A key, by whatever way it came (RFC 4733, INFO, in the sound).
    Key {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// When it was recognised.
        at: Instant,
    },
    /// The far end holds us (it wants no sound of ours), or took us back.
    Held {
        /// Whether it holds us now.
        held: bool,
    },
    /// The far end, a phone of ours, wants its call handed on. [`Call::answer_refer`] answers it.
    Refer(Box<ReferRequest>),
    /// Something about the sound.
    Media(MediaEvent),
    /// Over, and nothing more comes. Asked again, the call says it again.
    Ended {
        /// How.
        how: Ended,
        /// When this side learnt of it.
        at: Instant,
    },
}

/// A call in progress. It hangs up when it is dropped, so a crashed owner cannot leave a person on the line.
#[derive(Debug)]
pub struct Call {
    leg: Leg,
    events: mpsc::Receiver<Event>,
    end: End,
    port: MediaPort,
    sounds: MediaEvents,
    /// How both ends name the call; `None` until it is up.
    dialog: Option<DialogId>,
    is_held: bool,
    /// The trunk's line is free again when the call is gone.
    _line: Option<Line>,
}

/// The signalling's side of a handle: hangs up, or refuses, when it is dropped before the end.
#[derive(Debug)]
struct Leg {
    id: CallId,
    shared: Arc<Shared>,
    over: bool,
}

impl Leg {
    async fn command(&self, command: Command) {
        self.shared.ask(Request::Call { call: self.id, command }).await;
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        if !self.over {
            self.shared.dropped.add(self.id);
        }
    }
}

#[derive(Debug)]
enum End {
    Awaited(oneshot::Receiver<Ended>),
    Come { how: Ended, at: Instant },
}

/// A call that came in and waits to be taken. Dropped, it is refused.
#[derive(Debug)]
pub struct IncomingCall {
    /// What the caller said of himself.
    pub about: Box<Incoming>,
    leg: Leg,
    events: mpsc::Receiver<Event>,
    ended: oneshot::Receiver<Ended>,
}

impl IncomingCall {
    pub(crate) fn new(arrival: Arrival, shared: Arc<Shared>) -> Self {
        let Arrival { call, incoming, events, ended } = arrival;
        Self { about: incoming, leg: Leg { id: call, shared, over: false }, events, ended }
    }

    /// Tells the caller that it rings (180).
    pub async fn ring(&self) {
        self.leg.command(Command::Ring { early_media: None }).await;
    }

    /// Refuses with a final SIP code of 300 to 699.
    pub async fn reject(mut self, code: u16, reason: &str) {
        self.leg.command(Command::Reject { code, reason: reason.into() }).await;
        self.leg.over = true;
    }

    /// Picks up. [`CallEvent::Answered`] follows, or [`CallEvent::Ended`] if the caller has gone.
    ///
    /// # Errors
    /// No port for the sound is left: the caller hears 503.
    pub async fn answer(self) -> Result<Call, MediaError> {
        let opened = self.leg.shared.media.open();
        self.answer_with(opened).await
    }

    /// Picks up a call that shall be bridged with another: `beside` is that one's [`MediaPort::place`].
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub async fn answer_beside(self, beside: &MediaPlace) -> Result<Call, MediaError> {
        let opened = self.leg.shared.media.open_in(beside);
        self.answer_with(opened).await
    }

    async fn answer_with(
        self,
        opened: Result<(MediaPort, MediaEvents), MediaError>,
    ) -> Result<Call, MediaError> {
        let (port, sounds) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                self.reject(503, "No Media Port").await;
                return Err(fault);
            }
        };
        let local_media = self.leg.shared.advertised(port.local_addr());
        self.leg.command(Command::Answer { local_media }).await;
        let Self { leg, events, ended, .. } = self;
        Ok(Call {
            leg,
            events,
            end: End::Awaited(ended),
            port,
            sounds,
            dialog: None,
            is_held: false,
            _line: None,
        })
    }

    /// Waits until the caller gives up; for callees who never pick up. Not to be awaited again once it came back.
    pub async fn given_up(&mut self) -> Ended {
        let ended = (&mut self.ended).await.unwrap_or(Ended::CanceledByUs);
        self.leg.over = true;
        ended
    }
}

impl Call {
    pub(crate) fn new(
        id: CallId,
        shared: Arc<Shared>,
        (events, ended): (mpsc::Receiver<Event>, oneshot::Receiver<Ended>),
        (port, sounds): (MediaPort, MediaEvents),
        line: Option<Line>,
    ) -> Self {
        let leg = Leg { id, shared, over: false };
        Self {
            leg,
            events,
            end: End::Awaited(ended),
            port,
            sounds,
            dialog: None,
            is_held: false,
            _line: line,
        }
    }

    /// The sound of the call.
    pub fn media(&self) -> &MediaPort {
        &self.port
    }

    /// What happens next. Sound starts by itself with the answer. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> CallEvent {
        loop {
            let ended = match &mut self.end {
                End::Come { how, at } => return CallEvent::Ended { how: how.clone(), at: *at },
                End::Awaited(ended) => ended,
            };
            tokio::select! {
                biased; // what came before the end is told before it: a key pressed while hanging up counts
                Some(event) = self.events.recv() => if let Some(event) = self.take(event) { return event },
                Some(sound) = self.sounds.recv() => return match sound {
                    MediaEvent::Key { digit, at } => CallEvent::Key { digit, at },
                    other => CallEvent::Media(other),
                },
                how = ended => {
                    // The endpoint task gone means that the host stops.
                    self.end = End::Come { how: how.unwrap_or(Ended::CanceledByUs), at: clock::now() };
                    self.leg.over = true;
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> Option<CallEvent> {
        match event {
            Event::Progress { code, media } => {
                let sound = media.is_some();
                if let Some(plan) = media {
                    self.port.start(plan);
                }
                Some(CallEvent::Progress { code, sound })
            }
            Event::Answered { media, dialog, .. } => {
                self.is_held = !media.send;
                self.dialog = Some(dialog);
                self.port.start(media);
                Some(CallEvent::Answered { at: clock::now() })
            }
            Event::MediaChanged { media } => {
                let held = !media.send;
                self.port.start(media);
                let has_changed = std::mem::replace(&mut self.is_held, held) != held;
                has_changed.then_some(CallEvent::Held { held })
            }
            Event::Refer(request) => Some(CallEvent::Refer(request)),
            Event::Key { digit, .. } => {
                // One in the sound reaches the other party of a bridge by itself.
                self.port.pass_key(digit);
                Some(CallEvent::Key { digit, at: clock::now() })
            }
            Event::Incoming(_) | Event::Confirmed | Event::Ended(_) => None,
        }
    }

    /// The SIP `Call-ID`; empty until the call is up.
    pub fn call_id(&self) -> &str {
        self.dialog.as_ref().map_or("", |dialog| &dialog.call_id)
    }

    /// Whether this is the call that a phone wants to put another in the place of.
    pub fn matches(&self, replaces: &Replaces) -> bool {
        self.dialog.as_ref().is_some_and(|dialog| replaces.names(dialog))
    }

    /// Whether the far end holds us.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Answers [`CallEvent::Refer`]: the call will be handed on, or not. Who asked is told how it goes by
    /// [`Self::refer_progress`].
    pub async fn answer_refer(&self, accept: bool) {
        self.leg.command(Command::AnswerRefer { accept }).await;
    }

    /// Tells whoever asked for a transfer what the new callee answered; a code of 200 or more is the last news.
    pub async fn refer_progress(&self, code: u16, reason: &str) {
        self.leg.command(Command::ReferProgress { code, reason: reason.into() }).await;
    }

    /// Joins the sound of this call and another: see [`MediaPort::bridge`]. The calls go on being two; whoever hangs up
    /// ends his own. It may be done before the far end answers, once sound flows.
    ///
    /// # Errors
    /// The other was not placed or answered beside this one.
    pub fn bridge(&self, other: &Self) -> Result<(), MediaError> {
        self.port.bridge(&other.port)
    }

    /// Parts them again. Without a bridge, nothing happens.
    pub fn unbridge(&self) {
        self.port.unbridge();
    }

    /// Hangs up, or gives up if it only rings. [`CallEvent::Ended`] follows.
    pub async fn hang_up(&self) {
        self.leg.command(Command::Hangup).await;
    }

    /// Waits for the end, at most this long, dropping whatever else happens. `None`: it did not come.
    pub async fn ended(&mut self, longest: Duration) -> Option<(Ended, Instant)> {
        let wait = async {
            loop {
                if let CallEvent::Ended { how, at } = self.next().await {
                    return (how, at);
                }
            }
        };
        tokio::time::timeout(longest, wait).await.ok()
    }

    /// Closes the sound, once the call has ended, and says what crossed the wire. What else happened until then, the
    /// end of a prompt that was still playing among it, goes to `last`. A call that has not ended hangs up.
    pub async fn close(self, mut last: impl FnMut(MediaEvent)) -> Closed {
        let Self { leg, port, mut sounds, .. } = self;
        drop(leg);
        port.stop();
        port.close();
        while let Some(event) = sounds.recv().await {
            match event {
                MediaEvent::Closed(closed) => return *closed,
                other => last(other),
            }
        }
        // The media engine has stopped in this very moment.
        Closed { report: Report::default(), recording: None }
    }
}
