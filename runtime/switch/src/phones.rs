//! Telephones of operators: who is registered, and how they are rung.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, RwLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;
use zvonar_call::{Contact, Dial, Ended, Event, Identity, PhoneBook, Side};
use zvonar_media::Codec;

use crate::call::{Call, CallEvent};
use crate::endpoint::{Placed, Request, ends};
use crate::media_io::{MediaError, MediaEvents, MediaPlace, MediaPort};
use crate::{Shared, Switch, clock};

/// The registrations as everybody may read them; written by the endpoint task alone.
#[derive(Debug)]
pub(crate) struct Roster {
    book: Option<Arc<PhoneBook>>,
    contacts: RwLock<BTreeMap<String, Vec<Contact>>>,
    changes: watch::Sender<u64>,
}

impl Roster {
    pub(crate) fn new(book: Option<Arc<PhoneBook>>) -> Self {
        Self { book, contacts: RwLock::default(), changes: watch::Sender::new(0) }
    }

    pub(crate) fn write(&self, user: String, contacts: Vec<Contact>, came_or_went: bool) {
        let mut all = self.contacts.write().expect("no holder of this lock panics");
        if contacts.is_empty() {
            all.remove(&user);
        } else {
            all.insert(user, contacts);
        }
        drop(all);
        if came_or_went {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    fn read(&self, user: &str) -> Vec<Contact> {
        let Some(book) = &self.book else { return Vec::new() };
        let all = self.contacts.read().expect("no holder of this lock panics");
        let contacts = all.get(user).map_or(&[][..], Vec::as_slice).iter();
        contacts.filter(|contact| book.is_current(user, contact)).cloned().collect()
    }

    fn knows(&self, user: &str) -> bool {
        self.book.as_ref().is_some_and(|book| book.knows(user))
    }
}

/// Whose phones to ring, and what they show.
#[derive(Debug, Clone)]
pub struct PhoneRing {
    /// The account.
    pub user: String,
    /// The name that the phone shows: the lead's.
    pub display: String,
    /// The number that it shows.
    pub number: String,
    /// How long it may ring.
    pub ring: Duration,
    /// The place of the call that this one shall be bridged with; `None`: with none.
    pub beside: Option<MediaPlace>,
}

/// Why nothing rings.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// There is no such account.
    #[error("there is no account {0} for telephones")]
    NoSuchUser(String),
    /// No phone of the account is registered.
    #[error("no telephone of {0} is registered: it is off, or its password is wrong")]
    NotRegistered(String),
    /// No port for the sound.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The host stops.
    #[error("the switch is shutting down")]
    Closed,
}

/// What an owner hears of phones that ring.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made for each ringing, and taken apart at once")]
pub enum RingEvent {
    /// The first phone rings; at most once.
    Rings,
    /// Somebody picked up: the call is up and its sound flows. The other phones stop ringing. Nothing more comes.
    Answered(Call),
    /// Nobody will pick up any more. Nothing more comes.
    Ended(RingEnd),
}

/// What came of ringing, if nobody picked up; of several phones the most telling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RingEnd {
    /// No phone could be reached, for this reason.
    Unreachable(String),
    /// It rang, and nobody came (or the phone said so).
    NoAnswer,
    /// He talks.
    Busy,
    /// He does not want to.
    Declined,
}

impl RingEnd {
    /// What the end of one phone's call means.
    fn of(ended: &Ended) -> Self {
        match ended {
            Ended::Refused { by: Side::Near, reason, .. } => Self::Unreachable(reason.clone()),
            Ended::Refused { code, reason, .. } => match code {
                486 | 600 => Self::Busy,
                403 | 603 | 607 | 608 => Self::Declined,
                408 | 480 | 487 => Self::NoAnswer,
                _ => Self::Unreachable(format!("the phone said {code} {reason}")),
            },
            Ended::RangOut => Self::NoAnswer,
            Ended::Unreachable => unanswered(),
            Ended::NoCommonCodec => Self::Unreachable("the phone speaks no codec of ours (G.711)".into()),
            Ended::TooManyCalls => Self::Unreachable("this host has as many calls as it may have".into()),
            Ended::CanceledByUs
            | Ended::CanceledByFarEnd
            | Ended::AnsweredLate
            | Ended::HungUp { .. }
            | Ended::Lost { .. } => Self::Unreachable("the phone hung up at once".into()),
        }
    }

    /// Whether one phone speaks for all of them: a 6xx says that the person was found (RFC 3261 §21.6).
    fn is_for_all(ended: &Ended) -> bool {
        matches!(ended, Ended::Refused { code: 600..=699, by: Side::Far, .. })
    }
}

/// A phone that is there says at once that it rings, or that it has our INVITE (100) when it has yet to be woken. One that
/// has not said a word after so long is not rung any more: four INVITEs went unanswered, and a caller waits.
const REACHED_WITHIN: Duration = Duration::from_secs(6);
/// How long phones may take to confirm that they stopped ringing, before they count as stopped anyway.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);

/// What it means that a phone said nothing.
fn unanswered() -> RingEnd {
    RingEnd::Unreachable("the phone does not answer".into())
}

/// Phones that ring. Dropped, they stop.
#[derive(Debug)]
pub struct Ringing {
    shared: Arc<Shared>,
    legs: Vec<Leg>,
    has_rung: bool,
    /// The most telling end so far.
    end: RingEnd,
    /// When those that have said nothing are given up on; `None`: that is done.
    reached_by: Option<Instant>,
    /// When it counts as rung out, whatever the phones say.
    stopped_by: Instant,
    is_over: bool,
}

/// One phone of those that ring.
#[derive(Debug)]
struct Leg {
    state: LegState,
    /// It has answered our INVITE with anything: it is there.
    is_there: bool,
}

#[derive(Debug)]
enum LegState {
    /// Its INVITE waits for a place in the endpoint's queue.
    Waiting(Box<Dial>, (MediaPort, MediaEvents)),
    /// Its INVITE is with the endpoint.
    Asked(Asked),
    /// It rings, or will soon.
    Placed(Box<Call>),
    /// It will not be picked up any more.
    Over,
}

#[derive(Debug)]
struct Asked {
    reply: oneshot::Receiver<Placed>,
    events: mpsc::Receiver<Event>,
    ended: oneshot::Receiver<Ended>,
    sound: (MediaPort, MediaEvents),
}

impl Switch {
    /// The phones of an account that are registered, the one that was heard of last at the end.
    pub fn contacts(&self, user: &str) -> Vec<Contact> {
        self.shared.roster.read(user)
    }

    /// A number that is another one whenever a phone came or went, whosever.
    pub fn registrations(&self) -> watch::Receiver<u64> {
        self.shared.roster.changes.subscribe()
    }

    /// Rings all phones of an account at once. The INVITEs leave at once, or, when very much is going on, as soon as
    /// [`Ringing::next`] finds room for them.
    ///
    /// # Errors
    ///
    /// Nothing rings, and nothing will.
    pub fn ring(&self, ring: PhoneRing) -> Result<Ringing, RingError> {
        let PhoneRing { user, display, number, ring, beside } = ring;
        if !self.shared.roster.knows(&user) {
            return Err(RingError::NoSuchUser(user));
        }
        let contacts = self.shared.roster.read(&user);
        if contacts.is_empty() {
            return Err(RingError::NotRegistered(user));
        }
        let mut legs = Vec::with_capacity(contacts.len());
        for contact in contacts {
            let sound = match &beside {
                Some(place) => self.shared.media.open_in(place)?,
                None => self.shared.media.open()?,
            };
            let dial = Dial {
                flow: contact.flow,
                to_uri: contact.uri,
                from: Identity { user: number.clone(), display: Some(display.clone()), host: None },
                asserted_identity: None,
                credentials: None,
                local_media: self.shared.advertised(sound.0.local_addr()),
                codecs: Codec::ALL.to_vec(),
                ring,
                is_phone: true,
                is_leg: true,
                headers: Vec::new(),
            };
            legs.push(Leg { state: LegState::Waiting(Box::new(dial), sound), is_there: false });
        }
        let end = RingEnd::Unreachable("no phone could be reached".into());
        let now = clock::now();
        let mut ringing = Ringing {
            shared: Arc::clone(&self.shared),
            legs,
            has_rung: false,
            end,
            reached_by: Some(now + REACHED_WITHIN),
            stopped_by: now + ring + STOPPED_WITHIN,
            is_over: false,
        };
        while let Ok(permit) = self.shared.requests().try_reserve() {
            if !ringing.ask_next(permit) {
                return Ok(ringing);
            }
        }
        if self.shared.requests().is_closed() { Err(RingError::Closed) } else { Ok(ringing) }
    }
}

impl Ringing {
    /// What happens next; `Answered` and `Ended` come once, and last. Nothing is lost when the future is dropped. Asked
    /// again after the end, it waits for ever.
    pub async fn next(&mut self) -> RingEvent {
        if self.is_over {
            std::future::pending::<()>().await;
        }
        while self.legs.iter().any(|leg| matches!(leg.state, LegState::Waiting(..))) {
            let shared = Arc::clone(&self.shared);
            let Ok(permit) = shared.requests().reserve().await else { break };
            self.ask_next(permit);
        }
        loop {
            let by = self.reached_by.map_or(self.stopped_by, |by| by.min(self.stopped_by));
            let said = tokio::select! {
                biased;
                said = self.leg_event() => said,
                () = sleep_until(by.into()) => {
                    self.give_up_on_silent();
                    if by < self.stopped_by {
                        continue; // for those that ring, or for nobody
                    }
                    let end = if self.has_rung { RingEnd::NoAnswer } else { unanswered() };
                    self.end = self.end.clone().max(end);
                    None
                }
            };
            let Some((index, event)) = said else {
                self.is_over = true;
                self.legs.clear();
                return RingEvent::Ended(self.end.clone());
            };
            match event {
                Some(CallEvent::Progress { code, .. }) => {
                    self.legs[index].is_there = true;
                    if code >= 180 && !std::mem::replace(&mut self.has_rung, true) {
                        return RingEvent::Rings;
                    }
                }
                Some(CallEvent::Answered { .. }) => {
                    self.is_over = true;
                    // The others are dropped: they are cancelled, or closed if they answered meanwhile.
                    if let LegState::Placed(call) = self.legs.swap_remove(index).state {
                        self.legs.clear();
                        return RingEvent::Answered(*call);
                    }
                }
                Some(CallEvent::Ended { how, .. }) => {
                    self.end = self.end.clone().max(RingEnd::of(&how));
                    if let (RingEnd::Unreachable(_), now @ RingEnd::Unreachable(_)) =
                        (&self.end, RingEnd::of(&how))
                    {
                        self.end = now;
                    }
                    self.legs[index].state = LegState::Over;
                    if RingEnd::is_for_all(&how) {
                        self.legs.clear();
                    }
                }
                // The endpoint has stopped.
                None => self.legs[index].state = LegState::Over,
                Some(_) => {}
            }
        }
    }

    /// Phones that have not said a word are not there. Dropped, they are cancelled, or closed if they pick up after all.
    fn give_up_on_silent(&mut self) {
        self.reached_by = None;
        for leg in self.legs.iter_mut().filter(|leg| !leg.is_there) {
            if !matches!(std::mem::replace(&mut leg.state, LegState::Over), LegState::Over) {
                self.end = self.end.clone().max(unanswered());
            }
        }
    }

    /// Gives one waiting INVITE to the endpoint; `false`: none waits.
    fn ask_next(&mut self, permit: mpsc::Permit<'_, Request>) -> bool {
        let waits = |leg: &&mut Leg| matches!(leg.state, LegState::Waiting(..));
        let Some(Leg { state, .. }) = self.legs.iter_mut().find(waits) else { return false };
        let (reply, placed) = oneshot::channel();
        let (ends, events, ended) = ends();
        if let LegState::Waiting(dial, sound) = std::mem::replace(state, LegState::Over) {
            permit.send(Request::Dial { dial, ends, reply });
            *state = LegState::Asked(Asked { reply: placed, events, ended, sound });
        }
        true
    }

    /// What the first phone has to say, and which; `None`: no phone is left.
    async fn leg_event(&mut self) -> Option<(usize, Option<CallEvent>)> {
        poll_fn(|context| {
            let mut is_any_left = false;
            for (index, Leg { state, .. }) in self.legs.iter_mut().enumerate() {
                if let LegState::Asked(asked) = state {
                    match pin!(&mut asked.reply).poll(context) {
                        Poll::Pending => is_any_left = true,
                        Poll::Ready(Err(_)) => return Poll::Ready(Some((index, None))),
                        Poll::Ready(Ok(placed)) => {
                            if let LegState::Asked(Asked { events, ended, sound, .. }) =
                                std::mem::replace(state, LegState::Over)
                            {
                                let shared = Arc::clone(&self.shared);
                                let call = Call::new(placed.take(), shared, (events, ended), sound, None);
                                *state = LegState::Placed(Box::new(call));
                            }
                        }
                    }
                }
                if let LegState::Placed(call) = state {
                    is_any_left = true;
                    if let Poll::Ready(event) = pin!(call.next()).poll(context) {
                        return Poll::Ready(Some((index, Some(event))));
                    }
                }
            }
            if is_any_left { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }
}
